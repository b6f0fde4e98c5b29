//! The only door to the outside: clock, environment, files, processes, signals, HTTP.
//!
//! Boundary: knows the operating system and nothing of this project's subject. Everything that a test must be able to
//! replace is a trait with a fake ([`clock::FakeClock`], [`http::FakeFetch`]); the rest works on real temporary folders.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod clock;
pub mod env;
pub mod fs;
pub mod http;
pub mod process;
#[cfg(test)]
pub(crate) mod request;
pub mod retry;
pub mod shell;
pub mod signal;
