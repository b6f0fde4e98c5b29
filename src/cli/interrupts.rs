//! Ctrl-C on a controller: the first says what would happen, a second one soon after leaves.

use super::output::say;
use crate::campaign::{Event, Observer, State};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::shell;
use crate::sys::signal::StopFlag;
use std::path::{Path, PathBuf};

/// Turns two Ctrl-C within three seconds into leaving.
pub struct Interrupts {
    stop: StopFlag,
    clock: SystemClock,
    first: Option<(usize, f64)>,
    folder: PathBuf,
}

const SECOND_WITHIN: f64 = 3.0;

impl Interrupts {
    /// For the controller of the campaign in `folder`.
    pub fn new(stop: StopFlag, clock: SystemClock, folder: &Path) -> Self {
        Interrupts { stop, clock, first: None, folder: folder.to_path_buf() }
    }
}

impl Observer for Interrupts {
    fn on_event(&mut self, _state: &State, _event: &Event) {}

    fn on_tick(&mut self, state: &State) {
        let now = self.clock.monotonic();
        let count = self.stop.interrupts();
        match self.first {
            Some((seen, since)) if count > seen && now - since <= SECOND_WITHIN => self.stop.request(),
            Some((seen, _)) if count == seen => {}
            None if count == 0 => {}
            // Pressed more than once since the last look, which a calibration can keep waiting for seconds.
            first if count >= first.map_or(0, |(seen, _)| seen) + 2 => self.stop.request(),
            _ => {
                self.first = Some((count, now));
                say(&format!(
                    "\n{} attempt(s) under way go on if this controller leaves; press Ctrl-C again within 3 s to leave,\n\
                     or end them with `nanoresearch cancel --in {}`",
                    state.live().count(),
                    shell::path(&self.folder)
                ));
            }
        }
    }
}
