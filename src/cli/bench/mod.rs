//! `bench`: what this machine and its engines do, measured.

mod cost;
mod gpu;
mod peer;
mod planners;
mod site;
mod subject;
mod train;

use crate::problem::Result;
use clap::{Args, Subcommand};

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Predict and measure the step time of every preset at two batch sizes
    Cost(cost::CostArgs),
    /// Time training steps beside the machine's ceilings
    Train(train::TrainArgs),
    /// Measure a GPU: its matrix rate, bandwidth and launch cost, and steps of the standard experiments on it
    Gpu(gpu::GpuArgs),
    /// Let planners compete at the same device-hours and seeds: on functions, recorded runs, or a real campaign
    Planners(planners::PlannersArgs),
    /// Measure a site's machines by short jobs, so that a controller without them plans with real numbers
    Site(site::SiteArgs),
    /// What such a job does
    #[command(hide = true)]
    Probe(site::ProbeArgs),
    /// Write initial weights, batches and losses for a peer in another language
    Export(peer::ExportArgs),
    /// Take steps as a peer asks for them on stdin (benches/peers/compare.py does)
    Drive(peer::DriveArgs),
}

/// Measures and prints.
pub fn run(args: &BenchArgs) -> Result<()> {
    match &args.command {
        BenchCommand::Cost(args) => cost::run(args),
        BenchCommand::Train(args) => train::run(args),
        BenchCommand::Gpu(args) => gpu::run(args),
        BenchCommand::Planners(args) => planners::run(args),
        BenchCommand::Site(args) => site::run(args),
        BenchCommand::Probe(args) => site::probe(args),
        BenchCommand::Export(args) => peer::export(args),
        BenchCommand::Drive(args) => peer::drive(args),
    }
}
