//! Thin entry point: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    nanoresearch::cli::main()
}
