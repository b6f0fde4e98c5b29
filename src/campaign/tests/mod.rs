//! Whole campaigns against fakes, in virtual time.
#![allow(clippy::disallowed_methods)]

mod budget;
mod cluster;
mod devices;
mod failures;
mod halving;
mod lab;
mod people;
mod restart;
mod usage;
mod weighing;
mod whole;
