//! Arguments, one file per command, output and exit codes.

use std::process::ExitCode;

/// Parses the arguments, runs the command, prints, and returns the documented exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
