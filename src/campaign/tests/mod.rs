//! Whole campaigns against fakes, in virtual time.
#![allow(clippy::disallowed_methods)]

mod approval;
mod budget;
mod cluster;
mod counsel;
mod devices;
mod failures;
mod halving;
pub(crate) mod lab;
mod people;
mod restart;
mod usage;
mod weighing;
mod whole;
