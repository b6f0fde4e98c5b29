//! Prices experiments: data sizes from the dataset, work from the programs, speed from this machine's profile.

use super::data::download_bar;
use super::output::say;
use crate::bench::{self, Family};
use crate::campaign::{Price, Pricer};
use crate::config::{DataSpec, Experiment};
use crate::cost::{Prediction, RunCost, Samples, ThroughputProfile, predict, run_cost};
use crate::data::{Dataset, Part};
use crate::engine::{self, Placement};
use crate::graph::{self, StepPrograms};
use crate::problem::Result;
use crate::sys::{env, http::Network};
use crate::train::{BatchSource, DatasetSource};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Everything known about an experiment before it runs.
pub struct Assessment {
    /// Its programs.
    pub programs: StepPrograms,
    /// Predicted seconds.
    pub prediction: Prediction,
    /// Cost of one run.
    pub cost: RunCost,
    /// Samples in both parts.
    pub samples: Samples,
    /// Content of the data.
    pub data_hash: String,
}

/// What a profile is for.
type ProfileKey = (Placement, Family);

/// The pricer of this machine. Datasets are read once, profiles measured once.
pub struct MachinePricer {
    base: PathBuf,
    datasets: RefCell<Vec<(DataSpec, Rc<Dataset>)>>,
    profiles: RefCell<Vec<(ProfileKey, Rc<ThroughputProfile>)>>,
}

impl MachinePricer {
    /// For experiments whose relative data paths refer to `base`.
    pub fn new(base: &Path) -> Self {
        MachinePricer { base: base.to_path_buf(), datasets: RefCell::default(), profiles: RefCell::default() }
    }

    fn dataset(&self, spec: &DataSpec) -> Result<Rc<Dataset>> {
        if let Some((_, dataset)) = self.datasets.borrow().iter().find(|(known, _)| known == spec) {
            return Ok(Rc::clone(dataset));
        }
        let dataset = Rc::new(Dataset::load(spec, &self.base, &env::data_dir(), &Network, &mut download_bar())?);
        self.datasets.borrow_mut().push((spec.clone(), Rc::clone(&dataset)));
        Ok(dataset)
    }

    fn profile(&self, experiment: &Experiment) -> Result<Rc<ThroughputProfile>> {
        let key = (Placement::of(experiment), Family::of(&experiment.model));
        if let Some((_, profile)) = self.profiles.borrow().iter().find(|(known, _)| *known == key) {
            return Ok(Rc::clone(profile));
        }
        let profile = Rc::new(bench::profile(key.0, key.1, &mut say)?);
        self.profiles.borrow_mut().push((key, Rc::clone(&profile)));
        Ok(profile)
    }

    /// Builds, checks against the data and prices an experiment.
    pub fn assess(&self, experiment: &Experiment) -> Result<Assessment> {
        let dataset = self.dataset(&experiment.data)?;
        let programs = graph::build(experiment, &dataset.shape())?;
        let source = DatasetSource::new(&dataset, &experiment.model);
        source.check(experiment.training.batch_size)?;
        let samples = Samples { train: source.samples(Part::Train), validation: source.samples(Part::Validation) };
        let profile = self.profile(experiment)?;
        let prediction = predict(&programs, &profile);
        let mut cost = run_cost(experiment, &programs, &prediction, samples);
        // The engine knows its own temporaries; the process itself comes on top.
        let engine = engine::footprint(Placement::of(experiment), &programs)?;
        cost.memory.0 = cost.memory.0.max(engine.0 + profile.machine.process_memory.0);
        Ok(Assessment { programs, prediction, cost, samples, data_hash: dataset.hash().to_string() })
    }
}

impl Pricer for MachinePricer {
    fn price(&self, experiment: &Experiment) -> Result<Price> {
        let assessment = self.assess(experiment)?;
        Ok(Price {
            seconds: assessment.cost.wall.seconds,
            high_seconds: assessment.cost.wall.high,
            memory: assessment.cost.memory,
            steps: assessment.cost.steps,
            data_hash: assessment.data_hash,
        })
    }
}
