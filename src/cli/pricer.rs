//! Prices experiments: data sizes from the dataset, work from the programs, speed from this machine's profile.

use super::data::download_bar;
use super::output::say;
use crate::bench::{self, Elsewhere, Family};
use crate::campaign::{Price, Pricer};
use crate::config::{self, Campaign, DataSpec, Experiment, Site};
use crate::cost::{HostMemory, Prediction, RunCost, Samples, ThroughputProfile, checkpoint_bytes, predict, run_cost};
use crate::data::{Dataset, Part};
use crate::engine::{self, Placement};
use crate::graph::{self, StepPrograms};
use crate::problem::{Class, Result};
use crate::slurm::{self, Need};
use crate::sys::{env, http::Network};
use crate::train::{BatchSource, DatasetSource};
use crate::worker::Expected;
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
    /// Runs go to the machines of a site, whose GPUs this one may not have.
    elsewhere: bool,
    /// That site, as far as it can be read here.
    site: Option<Site>,
}

impl MachinePricer {
    /// For experiments whose relative data paths refer to `base`.
    pub fn new(base: &Path) -> Self {
        let (base, datasets, profiles) = (base.to_path_buf(), RefCell::default(), RefCell::default());
        MachinePricer { base, datasets, profiles, elsewhere: false, site: None }
    }

    /// For a campaign's runs: where they go to a site, a GPU need not be here to be planned for.
    pub fn of(base: &Path, campaign: &Campaign) -> Self {
        let name = campaign.execution.site.as_ref();
        // Where it cannot be read, whoever runs on it says so.
        let site = name.and_then(|name| config::load_site(&base.join(name), &[]).ok()).map(|loaded| loaded.value);
        MachinePricer { elsewhere: name.is_some(), site, ..Self::new(base) }
    }

    fn dataset(&self, spec: &DataSpec) -> Result<Rc<Dataset>> {
        if let Some((_, dataset)) = self.datasets.borrow().iter().find(|(known, _)| known == spec) {
            return Ok(Rc::clone(dataset));
        }
        let dataset = Rc::new(Dataset::load(spec, &self.base, &env::data_dir(), &Network, &mut download_bar())?);
        self.datasets.borrow_mut().push((spec.clone(), Rc::clone(&dataset)));
        Ok(dataset)
    }

    /// Takes over the dataset that another pricer has read, which is called `data` here.
    pub fn with_data_of(self, other: MachinePricer, data: &DataSpec) -> Self {
        let read = other.datasets.into_inner().into_iter().map(|(_, dataset)| (data.clone(), dataset));
        MachinePricer { datasets: RefCell::new(read.take(1).collect()), ..self }
    }

    fn profile(&self, experiment: &Experiment) -> Result<Rc<ThroughputProfile>> {
        let key = (Placement::of(experiment), Family::of(&experiment.model));
        if let Some((_, profile)) = self.profiles.borrow().iter().find(|(known, _)| *known == key) {
            return Ok(Rc::clone(profile));
        }
        let profile = match self.measured_there(experiment) {
            Some((place, profile)) => {
                say(&format!("times are what a job measured in {place}"));
                profile
            }
            None => match bench::profile(key.0, key.1, &mut say) {
                Err(problem) if self.elsewhere && key.0.device.is_gpu() && problem.class == Class::Unavailable => {
                    say(
                        "there is no GPU here to measure: times are what an H200 took, with an interval of a factor of \
                         three either way, until runs have ended; `nanoresearch bench site CAMPAIGN.toml` measures the \
                         site's by a short job",
                    );
                    bench::h200(key.0)?
                }
                measured => measured?,
            },
        };
        let profile = Rc::new(profile);
        self.profiles.borrow_mut().push((key, Rc::clone(&profile)));
        Ok(profile)
    }

    /// What a job has measured on the site: in the first place that an attempt may be sent to, where it has, else in another.
    /// GPU types of the usual speed come first; another's times are made those of the usual speed, since that is what an
    /// expected time means wherever a place is chosen.
    fn measured_there(&self, experiment: &Experiment) -> Option<(String, ThroughputProfile)> {
        let site = self.site.as_ref()?;
        let need = Need { gpu: experiment.resources.device.is_gpu(), ..Need::default() };
        let speed =
            |kind: &Option<String>| kind.as_ref().and_then(|k| site.relative_speed.get(k)).copied().unwrap_or(1.0);
        let mut ways = slurm::ways(site, &need);
        ways.sort_by_key(|(_, kind)| speed(kind) != 1.0);
        ways.into_iter().find_map(|(partition, kind)| {
            let there = Elsewhere::of(experiment, &site.name, &partition, kind.as_deref());
            Some((format!("{} of site {}", there.place(), site.name), there.load()?.faster(1.0 / speed(&kind))))
        })
    }

    /// The dataset and the programs of an experiment that can be trained on it; what cannot is refused.
    fn build(&self, experiment: &Experiment) -> Result<(Rc<Dataset>, StepPrograms)> {
        let dataset = self.dataset(&experiment.data)?;
        let programs = graph::build(experiment, &dataset.shape())?;
        DatasetSource::new(&dataset, &experiment.model).check(experiment.training.batch_size)?;
        Ok((dataset, programs))
    }

    /// Refuses what [`assess`](Self::assess) would, and measures nothing.
    pub fn validate(&self, experiment: &Experiment) -> Result<()> {
        self.build(experiment).map(|_| ())
    }

    /// Builds, checks against the data and prices an experiment.
    pub fn assess(&self, experiment: &Experiment) -> Result<Assessment> {
        let (dataset, programs) = self.build(experiment)?;
        let samples = samples(experiment, &dataset);
        let profile = self.profile(experiment)?;
        let placement = Placement::of(experiment);
        let (engine, tasks) = engine::demand(placement, &programs)?;
        let prediction = predict(&programs, &tasks, &profile);
        let host = HostMemory {
            process: profile.machine.process_memory,
            data: dataset.size(),
            checkpoint: checkpoint_bytes(&programs),
        };
        let cost = run_cost(experiment, &programs, &prediction, samples);
        let cost = match placement.device.is_gpu() {
            true => cost.on_gpu(engine, host),
            false => cost.on_cpu(engine, host),
        };
        Ok(Assessment { programs, prediction, cost, samples, data_hash: dataset.hash().to_string() })
    }
}

fn samples(experiment: &Experiment, dataset: &Dataset) -> Samples {
    let source = DatasetSource::new(dataset, &experiment.model);
    Samples { train: source.samples(Part::Train), validation: source.samples(Part::Validation) }
}

/// What a training that starts now is expected to take, from what is known without measuring anything.
pub fn expected(experiment: &Experiment, dataset: &Dataset, programs: &StepPrograms) -> Option<Expected> {
    let placement = Placement::of(experiment);
    let (profile, from) = bench::at_hand(placement, Family::of(&experiment.model));
    // Not its memory: on a GPU that takes a rehearsal, which the engine makes anyway.
    let prediction = predict(programs, &engine::tasks(placement, programs).ok()?, &profile);
    let cost = run_cost(experiment, programs, &prediction, samples(experiment, dataset));
    Some(Expected { seconds: cost.wall.seconds, steps: cost.steps, from })
}

impl Pricer for MachinePricer {
    fn price(&self, experiment: &Experiment) -> Result<Price> {
        let assessment = self.assess(experiment)?;
        Ok(Price {
            seconds: assessment.cost.wall.seconds,
            high_seconds: assessment.cost.wall.high,
            memory: assessment.cost.memory,
            device_memory: assessment.cost.device_memory,
            steps: assessment.cost.steps,
            data_hash: assessment.data_hash,
        })
    }
}
