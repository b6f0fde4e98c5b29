//! The environment of SLURM's commands: what they are given, and what of the controller's own they must not see.

/// Set for every command: all times in UTC, messages in English, ISO dates.
pub const ENVIRONMENT: &[(&str, &str)] = &[("TZ", "UTC"), ("LC_ALL", "C"), ("SLURM_TIME_FORMAT", "standard")];

/// Whether a variable of the controller may pass to SLURM's commands, and through `sbatch` to the job.
///
/// `SBATCH_*` and `SLURM_*` override what the script says (a controller that is itself a job has many), `PMIX_*` and the
/// like confuse launchers, and secrets have no business on a compute node. `SLURM_CONF` says where the cluster is and
/// stays.
pub fn is_inherited(name: &str) -> bool {
    const OVERRIDES: &[&str] = &["SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SACCT_", "SINFO_"];
    const LAUNCHERS: &[&str] = &["PMIX_", "PMI_", "PMI2_", "OMPI_", "OPAL_", "PRTE_"];
    const SECRETS: &[&str] = &["API_KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS", "ACCESS_KEY"];
    if name == "SLURM_CONF" {
        return true;
    }
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
    let upper = name.to_ascii_uppercase();
    !starts(OVERRIDES) && !starts(LAUNCHERS) && !SECRETS.iter().any(|s| upper.ends_with(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_and_secrets_stay_behind() {
        for name in ["SLURM_JOB_ID", "SBATCH_PARTITION", "SRUN_DEBUG", "PMIX_RANK", "OPENAI_API_KEY", "hf_token"] {
            assert!(!is_inherited(name), "{name}");
        }
        for name in ["PATH", "HOME", "SLURM_CONF", "LD_LIBRARY_PATH", "NANORESEARCH_DATA", "CUDA_HOME"] {
            assert!(is_inherited(name), "{name}");
        }
    }
}
