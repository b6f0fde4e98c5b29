//! Machines to try executors on: the fake one, and this one. Those of SLURM are beside their executor.

use super::{Bed, Behaviour};
use crate::exec::fake::{FakeExecutor, FakeMachine, Play, outcome};
use crate::exec::{Executor, Launch, LocalExecutor, Place};
use crate::ids::{AttemptId, RunId, RunKey};
use crate::record::{AttemptSpec, End};
use crate::sys::clock::{Clock, FakeClock, SystemClock};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// The fake machine.
pub(super) struct FakeBed {
    clock: &'static FakeClock,
    machine: Rc<FakeMachine<'static>>,
    plays: Rc<RefCell<BTreeMap<AttemptId, Play>>>,
}

impl Default for FakeBed {
    fn default() -> Self {
        let clock: &'static FakeClock = Box::leak(Box::default());
        let plays: Rc<RefCell<BTreeMap<AttemptId, Play>>> = Rc::default();
        let script = Rc::clone(&plays);
        let executor = FakeExecutor::new(4, clock, move |launch| script.borrow()[&launch.id].clone());
        FakeBed { clock, machine: executor.machine(), plays }
    }
}

impl Bed for FakeBed {
    fn executor(&self) -> Box<dyn Executor + '_> {
        Box::new(FakeExecutor::on(Rc::clone(&self.machine), 4))
    }
    fn attempt(&self, behaviour: Behaviour) -> Launch {
        let play = match behaviour {
            Behaviour::Completes => Play::completes(0.03, &[]),
            Behaviour::StartsAfter(seconds) => Play::completes(0.03, &[]).starting_after(seconds),
            Behaviour::Hangs => Play::hangs(),
            Behaviour::Deaf => Play::hangs().deaf(),
            Behaviour::Crashes => Play { log: "its last words\n".to_string(), ..Play::exits(0.03, 3) },
            Behaviour::IsKilled => Play::dies(0.03, 9),
            Behaviour::CompletesThenIsKilled => Play { code: None, signal: Some(9), ..Play::completes(0.03, &[]) },
        };
        let number = self.plays.borrow().len() as u32 + 1;
        let id = AttemptId { run: RunId(1), number };
        self.plays.borrow_mut().insert(id, play);
        Launch { id, folder: PathBuf::from("nowhere"), kill_after_seconds: 0.0, place: Place::default() }
    }
    fn wait(&self) {
        self.clock.advance(0.01);
    }
    fn patience(&self) -> usize {
        1000
    }
}

/// This machine, with a shell script for a worker.
pub(in super::super) struct LocalBed {
    pub clock: SystemClock,
    pub folder: tempfile::TempDir,
    made: Cell<u32>,
}

const WORKER: &str = r#"#!/bin/sh
# worker --attempt FOLDER: does what FOLDER/behaviour says.
folder=$3
read -r behaviour wait < "$folder/behaviour"
echo "A=$SHOWN_A B=$SHOWN_B HOME=$HOME" >&2
echo "CARD=$CUDA_VISIBLE_DEVICES" >&2
outcome() {
    cp "$folder/$1" "$folder/.outcome" && mv "$folder/.outcome" "$folder/outcome.json"
}
case $behaviour in
    Deaf) trap '' TERM USR2 ;;
    *) trap 'outcome checkpointed; exit 75' TERM USR2 ;;
esac
sleep "$wait"
read -r stat < /proc/$$/stat
set -- ${stat##*) }
echo "{\"worker\":{\"pid\":$$,\"start\":${20}}}" > "$folder/.claim"
ln "$folder/.claim" "$folder/claim" 2> /dev/null || { echo yes > "$folder/refused"; exit 1; }
echo yes >> "$folder/ran"
case $behaviour in
    Completes) outcome completed ;;
    Crashes) echo 'its last words' >&2; exit 3 ;;
    IsKilled) kill -9 $$ ;;
    CompletesThenIsKilled) outcome completed; kill -9 $$ ;;
    *) while :; do sleep 0.01; done ;;
esac
"#;

impl Default for LocalBed {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Written by a process that then ends: had this one, with its threads that start others, ever held the file open
        // for writing, a child of another test could keep it busy.
        let mut writer = std::process::Command::new("/bin/sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(folder.path().join("worker.sh"))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut writer.stdin.take().unwrap(), WORKER.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        LocalBed { clock: SystemClock::default(), folder, made: Cell::new(0) }
    }
}

impl LocalBed {
    /// Gives an attempt a specification, on a device.
    pub fn specify(&self, launch: &Launch, device: &str) {
        let text = format!(
            "data.kind = \"digits\"\nmodel = {{ kind = \"mlp\", widths = [8] }}\noptimizer.kind = \"adamw\"\n\
             resources.device = \"{device}\""
        );
        let spec = AttemptSpec::new(
            launch.id,
            crate::config::parse_experiment(&text, "t", &[]).unwrap(),
            PathBuf::from("."),
            RunKey("k".into()),
        );
        spec.write(&launch.folder).unwrap();
    }

    pub fn local(&self) -> LocalExecutor<'_> {
        LocalExecutor::new(self.folder.path().join("worker.sh"), 4, &self.clock)
    }
}

impl Bed for LocalBed {
    fn executor(&self) -> Box<dyn Executor + '_> {
        Box::new(self.local())
    }
    fn attempt(&self, behaviour: Behaviour) -> Launch {
        self.made.set(self.made.get() + 1);
        let id = AttemptId { run: RunId(1), number: self.made.get() };
        let folder = self.folder.path().join(format!("{:02}", id.number));
        std::fs::create_dir(&folder).unwrap();
        let said = match behaviour {
            Behaviour::StartsAfter(seconds) => format!("Completes {seconds}\n"),
            other => format!("{other:?} 0\n"),
        };
        std::fs::write(folder.join("behaviour"), said).unwrap();
        for (name, end) in [("completed", End::Completed), ("checkpointed", End::Checkpointed)] {
            std::fs::write(folder.join(name), serde_json::to_vec(&outcome(end, 0.01)).unwrap()).unwrap();
        }
        Launch { id, folder, kill_after_seconds: 0.0, place: Place::default() }
    }
    fn wait(&self) {
        self.clock.sleep(0.005);
    }
    fn patience(&self) -> usize {
        4000
    }
}
