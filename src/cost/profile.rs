//! Measured speeds of one machine and one engine.

use super::OpClass;
use crate::graph::Work;
use crate::problem::{Problem, Result};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the profile's format.
pub const PROFILE_FORMAT: u32 = 2;

/// Speed of a class of ops, kept as costs: they add up, and 0 means "never the limit" where a rate would be infinite.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rate {
    /// Seconds of overhead for each op, whatever its size.
    pub seconds_per_op: f64,
    /// Inverse of the FLOP rate.
    pub seconds_per_flop: f64,
    /// Inverse of the memory bandwidth.
    pub seconds_per_byte: f64,
}

impl Rate {
    /// Seconds of one op: its overhead, and the longer of computing and moving (the roofline of Williams, Waterman and
    /// Patterson 2009).
    pub fn seconds(&self, work: Work) -> f64 {
        self.seconds_per_op + (work.flops.0 * self.seconds_per_flop).max(work.bytes.0 as f64 * self.seconds_per_byte)
    }
}

/// What is known of a machine beside the speed of its ops; measured by the bench.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the engine.
    pub engine: String,
    /// Threads it ran on; a profile holds for no other number.
    pub threads: usize,
    /// Chip, instruction set, clock: what tells whether a cached profile still applies.
    pub chip: BTreeMap<String, String>,
    /// Seconds from the start of a worker to its first step, on data that is at hand.
    pub startup_seconds: f64,
    /// Seconds to write and sync one byte of a checkpoint.
    pub write_seconds_per_byte: f64,
    /// Seconds of a checkpoint beside its bytes.
    #[serde(default)]
    pub checkpoint_seconds: f64,
    /// Resident memory of a worker before it holds any state.
    pub process_memory: Bytes,
}

/// Measured speeds, with how far predictions from them are off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThroughputProfile {
    /// [`PROFILE_FORMAT`].
    pub format: u32,
    /// Where it holds.
    pub machine: Machine,
    /// Speeds of the classes that were measured.
    pub rates: BTreeMap<OpClass, Rate>,
    /// Speed of ops of all classes together, for those that were not.
    pub fallback: Rate,
    /// Half-width of the 80% interval of `ln(measured / predicted)`, from samples that were left out of the fit.
    pub log_spread: f64,
    /// Samples it was fitted to.
    pub samples: usize,
}

impl ThroughputProfile {
    /// The same on a device `factor` times as fast.
    pub fn faster(mut self, factor: f64) -> Self {
        for rate in self.rates.values_mut().chain([&mut self.fallback]) {
            *rate = Rate {
                seconds_per_op: rate.seconds_per_op / factor,
                seconds_per_flop: rate.seconds_per_flop / factor,
                seconds_per_byte: rate.seconds_per_byte / factor,
            };
        }
        self
    }

    /// The speed of a class, measured or fallen back to.
    pub fn rate(&self, class: OpClass) -> Rate {
        self.rates.get(&class).copied().unwrap_or(self.fallback)
    }

    /// Reads a profile's JSON; `place` is where it comes from. A profile is only a cache of measurements, so the remedy
    /// for any damage is to measure again.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let remedy = "delete the file: it is measured again when it is needed";
        let broken = |e: serde_json::Error| {
            Problem::usage(format!("this is not a throughput profile: {e}")).at(place).remedy(remedy)
        };
        let version: Version = serde_json::from_str(text).map_err(broken)?;
        if version.format != PROFILE_FORMAT {
            let what = format!("throughput profile of format {}, this program reads {PROFILE_FORMAT}", version.format);
            return Err(Problem::usage(what).at(place).remedy(remedy));
        }
        let profile: ThroughputProfile = serde_json::from_str(text).map_err(broken)?;
        let machine = &profile.machine;
        let numbers = profile
            .rates
            .values()
            .chain([&profile.fallback])
            .flat_map(|r| [r.seconds_per_op, r.seconds_per_flop, r.seconds_per_byte])
            .chain([profile.log_spread, machine.startup_seconds])
            .chain([machine.write_seconds_per_byte, machine.checkpoint_seconds]);
        if let Some(wrong) = numbers.into_iter().find(|x| !x.is_finite() || *x < 0.0) {
            let what = format!("a throughput profile holds costs, and {wrong} is negative or not finite");
            return Err(Problem::usage(what).at(place).remedy(remedy));
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Flops;

    fn profile() -> ThroughputProfile {
        let rate = Rate { seconds_per_op: 1e-5, seconds_per_flop: 1e-10, seconds_per_byte: 2e-10 };
        ThroughputProfile {
            format: PROFILE_FORMAT,
            machine: Machine { engine: "reference".into(), threads: 2, ..Machine::default() },
            rates: [(OpClass::ConvGrad, rate)].into(),
            fallback: Rate::default(),
            log_spread: 0.1,
            samples: 12,
        }
    }

    #[test]
    fn the_longer_of_computing_and_moving() {
        let rate = profile().rate(OpClass::ConvGrad);
        let work = |flops, bytes| Work { flops: Flops(flops), bytes: Bytes(bytes) };
        assert_eq!(rate.seconds(work(1e6, 100)), 1e-5 + 1e-4);
        assert_eq!(rate.seconds(work(10.0, 1_000_000)), 1e-5 + 2e-4);
        assert_eq!(profile().rate(OpClass::Pool), Rate::default());
        let slower = profile().faster(0.5);
        assert_eq!(slower.rate(OpClass::ConvGrad).seconds(work(1e6, 100)), 2.0 * (1e-5 + 1e-4));
        assert_eq!((slower.log_spread, slower.rate(OpClass::Pool)), (0.1, Rate::default()));
    }

    #[test]
    fn json_round_trip_and_refusals() {
        let text = serde_json::to_string(&profile()).unwrap();
        assert_eq!(ThroughputProfile::parse(&text, "p.json").unwrap(), profile());
        let newer = text.replace("\"format\":2", "\"format\":3");
        let problem = ThroughputProfile::parse(&newer, "p.json").unwrap_err().to_string();
        assert!(problem.contains("p.json: throughput profile of format 3") && problem.contains("delete"), "{problem}");
        assert!(ThroughputProfile::parse(&text.replace("0.1", "-0.1"), "p.json").is_err());
        for cut in 0..text.len() {
            assert!(ThroughputProfile::parse(&text[..cut], "p.json").is_err());
        }
    }
}
