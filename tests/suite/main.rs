//! The one integration-test binary: whole processes, whole folders, and the rules of the architecture.
#![allow(clippy::disallowed_methods)]

mod again;
mod agent;
mod bad_input;
mod batch;
mod campaigns;
mod control;
mod controllers;
mod demo;
mod device;
mod export;
mod gpu;
#[cfg(feature = "candle-cuda")]
mod gpu_memory;
#[cfg(feature = "candle-cuda")]
mod gpu_verify;
mod init;
mod kill_campaign;
mod kill_train;
mod levels;
mod literature;
mod planners;
mod planted;
#[path = "../../src/sys/request.rs"]
mod request;
#[path = "../slurm/mod.rs"]
mod slurm;
mod torch_fixture;
mod utilization;
mod verify_paper;
