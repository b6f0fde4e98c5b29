//! Running SLURM's commands without waiting for them.

use crate::slurm::{ENVIRONMENT, is_inherited};
use crate::sys::process::{Answer, Asked};

/// Seconds after which a command is killed. `sbatch` tries again by itself for about two minutes where the controller does
/// not answer; the others give up much sooner.
const PATIENCE: f64 = 180.0;

/// Whoever runs commands: the system, or a fake.
pub(super) trait Commands {
    /// Starts one; the answer comes later, once.
    fn start(&mut self, program: &str, arguments: &[String]) -> Box<dyn Pending>;
}

/// A command under way.
pub(super) trait Pending {
    /// The answer, once it is there.
    fn answer(&mut self) -> Option<Answer>;
}

/// The commands on PATH.
pub(super) struct SystemCommands;

impl Commands for SystemCommands {
    fn start(&mut self, program: &str, arguments: &[String]) -> Box<dyn Pending> {
        Box::new(Asked::start(program, arguments, is_inherited, ENVIRONMENT, PATIENCE))
    }
}

impl Pending for Asked {
    fn answer(&mut self) -> Option<Answer> {
        Asked::answer(self)
    }
}
