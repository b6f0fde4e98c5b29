//! Tests on a real SLURM: the testbed beside this file (`tests/slurm/cluster up`, then `SLURM_CONF` as it says).
//!
//! They submit jobs, take nodes down and stop daemons, so they run on nothing but that testbed: a SLURM_CONF that is not its
//! own counts as none. Without it each test says that it was skipped, and why.

mod bed;
mod controllers;
mod faults;
mod nodes;
mod people;
mod profiles;
mod rungs;
