//! Throughput profiles that jobs measured at a site, kept for controllers that plan for it from another machine.

use super::calibrate::calibrate;
use super::family::Family;
use super::host::{BUILD, folder};
use crate::config::Experiment;
use crate::cost::ThroughputProfile;
use crate::engine::Placement;
use crate::problem::{Problem, Result};
use crate::sys::fs;
use std::path::{Path, PathBuf};

/// What is measured, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Elsewhere {
    /// Name of the site.
    pub site: String,
    /// Partition.
    pub partition: String,
    /// GPU type, where requests name one.
    pub gpu_type: Option<String>,
    /// Engine, device, precision, threads.
    pub placement: Placement,
    /// Models.
    pub family: Family,
}

impl Elsewhere {
    /// For what an experiment needs.
    pub fn of(experiment: &Experiment, site: &str, partition: &str, gpu_type: Option<&str>) -> Self {
        Elsewhere {
            site: site.to_string(),
            partition: partition.to_string(),
            gpu_type: gpu_type.map(str::to_string),
            placement: Placement::of(experiment),
            family: Family::of(&experiment.model),
        }
    }

    /// Sixteen digits that stand for it and for this build of the program.
    pub fn token(&self) -> String {
        let probes = self.family.probes(self.placement.device.is_gpu());
        let all = format!("{self:?} {probes:?} {BUILD}");
        blake3::hash(all.as_bytes()).to_hex()[..16].to_string()
    }

    /// `partition gpu on h100`.
    pub fn place(&self) -> String {
        let on = self.gpu_type.as_ref().map(|kind| format!(" on {kind}")).unwrap_or_default();
        format!("partition {}{on}", self.partition)
    }

    fn path(&self) -> PathBuf {
        folder().join(format!("site-{}-{}.json", self.site, self.token()))
    }

    /// The profile, where one was measured.
    pub fn load(&self) -> Option<ThroughputProfile> {
        let path = self.path();
        let bytes = fs::read_if_there(&path).ok()??;
        // A damaged or foreign profile is only a reason to measure again.
        ThroughputProfile::parse(&String::from_utf8_lossy(&bytes), &path.display().to_string()).ok()
    }

    /// Keeps a profile that a job has measured.
    pub fn keep(&self, profile: &ThroughputProfile) -> Result<()> {
        let path = self.path();
        fs::create_dir(path.parent().unwrap_or(Path::new(".")))?;
        fs::write_atomic(&path, json(profile)?.as_bytes())
    }
}

/// Measures this machine for what an experiment needs, and writes the profile to a file: what the job does.
pub fn measure_to(experiment: &Experiment, out: &Path) -> Result<ThroughputProfile> {
    let placement = Placement::of(experiment);
    let profile = calibrate(placement, Family::of(&experiment.model))?;
    fs::write_atomic(out, json(&profile)?.as_bytes())?;
    Ok(profile)
}

fn json(profile: &ThroughputProfile) -> Result<String> {
    serde_json::to_string_pretty(profile).map_err(|e| Problem::failed(format!("a profile is no JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_experiment;

    #[test]
    fn what_differs_has_another_profile() {
        let experiment = |more: &str| {
            let text = format!(
                "data.kind = \"digits\"\nmodel.kind = \"mlp\"\noptimizer.kind = \"adamw\"\n[resources]\n{more}"
            );
            parse_experiment(&text, "t", &[]).unwrap()
        };
        let one = experiment("threads = 1");
        let of = |e: &Experiment, site, partition, kind| Elsewhere::of(e, site, partition, kind).token();
        let all = [
            of(&one, "a", "gpu", None),
            of(&one, "b", "gpu", None),
            of(&one, "a", "cpu", None),
            of(&one, "a", "gpu", Some("h100")),
            of(&experiment("threads = 2"), "a", "gpu", None),
            of(&experiment("threads = 1\ndevice = \"cuda\""), "a", "gpu", None),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], of(&one, "a", "gpu", None));
    }
}
