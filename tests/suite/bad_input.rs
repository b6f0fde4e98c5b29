//! Whatever is wrong with the input: one paragraph that says what, where and what to do, the documented exit code, and
//! every file as it was.

mod campaigns;
mod commands;
mod datasets;
mod disks;
pub mod kit;
mod memory;
mod runs;
mod spaces;
