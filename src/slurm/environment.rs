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
    if name == "SLURM_CONF" {
        return true;
    }
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
    !starts(OVERRIDES) && !starts(LAUNCHERS) && !is_secret(name)
}

/// Whether a variable's name says that its value is a secret: one of its words does (`AWS_ACCESS_KEY_ID`, `GH_PAT`), or it ends in
/// one without a break (`PGPASSWORD`). Addresses that may hold a password (`DATABASE_URL`) count as well; nothing that runs on a
/// node needs one.
fn is_secret(name: &str) -> bool {
    const WORDS: &[&str] = &["KEY", "KEYS", "PASS", "PAT", "PWD", "AUTH", "CREDS", "DSN", "COOKIE", "WEBHOOK"];
    const ENDS: &[&str] = &["APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "KEY"];
    let upper = name.to_ascii_uppercase();
    let told = |word: &str| {
        let one = word.strip_suffix('S').unwrap_or(word);
        WORDS.contains(&word) || ENDS.iter().any(|end| one.ends_with(end))
    };
    // Where the shell is, and where an agent for keys listens: no secrets, and the first is needed.
    let harmless = ["PWD", "OLDPWD", "SSH_AUTH_SOCK"].contains(&upper.as_str());
    !harmless && (upper.split('_').any(told) || ["DATABASE_URL", "REDIS_URL"].iter().any(|end| upper.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_and_secrets_stay_behind() {
        for name in ["SLURM_JOB_ID", "SBATCH_PARTITION", "SRUN_DEBUG", "PMIX_RANK", "OPENAI_API_KEY", "hf_token"] {
            assert!(!is_inherited(name), "{name}");
        }
        let secrets = "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY GH_PAT DB_PASS PGPASSWORD LLMKEY SSH_PRIVATE_KEY DATABASE_URL \
                       AZURE_CLIENT_SECRET_VALUE GOOGLE_APPLICATION_CREDENTIALS SLACK_WEBHOOK_URL ANTHROPIC_AUTH_TOKEN";
        for name in secrets.split_whitespace() {
            assert!(!is_inherited(name), "{name}");
        }
        for name in
            ["PATH", "HOME", "SLURM_CONF", "LD_LIBRARY_PATH", "NANORESEARCH_DATA", "CUDA_HOME", "PWD", "MODULEPATH"]
        {
            assert!(is_inherited(name), "{name}");
        }
    }
}
