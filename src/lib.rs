//! `nanoresearch`: a research question and a compute budget become typed experiments, measured runs and a report.
//!
//! ARCHITECTURE.md has the bird's-eye view; the module levels named there are enforced by `tests/suite/levels.rs`.

pub mod ids;
pub mod problem;
pub mod rng;
pub mod sys;
pub mod text;
pub mod units;

pub mod config;

pub mod data;
pub mod graph;
pub mod journal;
pub mod knowledge;
pub mod literature;
pub mod llm;
pub mod plot;
pub mod record;
pub mod slurm;

pub mod agent;
pub mod analysis;
pub mod cost;
pub mod failure;
pub mod gpu;

pub mod engine;
pub mod exec;
pub mod planner;

pub mod campaign;
pub mod train;

pub mod bench;
pub mod bundle;
pub mod contest;
pub mod figures;
pub mod review;
pub mod worker;

pub mod paper;
pub mod report;
pub mod verify;

pub mod cli;
