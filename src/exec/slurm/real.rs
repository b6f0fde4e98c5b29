//! The shared suite's bed on a real SLURM: the testbed that SLURM_CONF names (`tests/slurm/cluster up`). Without one its tests
//! say that they are skipped.
#![allow(clippy::disallowed_methods)]

use super::SlurmExecutor;
use crate::config::parse_site;
use crate::exec::conformance::{Bed, Behaviour, LocalBed};
use crate::exec::{Executor, Launch};
use crate::sys::clock::Clock;

const SITE: &str = "name = \"testbed\"\ngpus = 0\nmemory_mib = 100\npoll_seconds = 1.0\nkill_margin_seconds = 0.0\n\
                    submits_per_minute = 6000\n[[partitions]]\nname = \"gpu\"\n";

/// The shell script that plays the local worker, as the program of jobs.
pub struct RealBed {
    local: LocalBed,
}

impl RealBed {
    /// Calls `test` with a bed, if there is a testbed.
    pub fn with(name: &str, test: impl FnOnce(&RealBed)) {
        // Nobody's cluster but one that this repository made.
        let conf = std::env::var_os("SLURM_CONF").and_then(|conf| std::fs::read_to_string(conf).ok());
        if !conf.is_some_and(|text| text.lines().any(|line| line == "ClusterName=testbed")) {
            println!(
                "SKIPPED {name} on a real SLURM: SLURM_CONF names no testbed; `tests/slurm/cluster up` starts one"
            );
            return;
        }
        test(&RealBed { local: LocalBed::default() });
    }
}

impl Bed for RealBed {
    fn executor(&self) -> Box<dyn Executor + '_> {
        let site = parse_site(SITE, "testbed", &[]).unwrap();
        let folder = self.local.folder.path().canonicalize().unwrap();
        Box::new(SlurmExecutor::new(site, 100, &self.local.clock, folder.join("worker.sh"), folder))
    }
    fn attempt(&self, behaviour: Behaviour) -> Launch {
        let launch = self.local.attempt(behaviour);
        self.local.specify(&launch, "cpu");
        let folder = launch.folder.canonicalize().unwrap();
        Launch { folder, ..launch }
    }
    fn wait(&self) {
        self.local.clock.sleep(0.1);
    }
    fn patience(&self) -> usize {
        3000
    }
    /// SLURM says that it was the limit, and not how.
    fn signal_of_the_limit(&self) -> Option<i32> {
        None
    }
    fn only_parents_learn(&self) -> bool {
        false
    }
    fn knows_at_once(&self) -> bool {
        false
    }
    fn warns(&self) -> bool {
        true
    }
}
