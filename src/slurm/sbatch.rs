//! `sbatch`: what to ask, and what its answer says about whether there is a job now.

use std::path::Path;

/// What is known after `sbatch` was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// There is a job of this id.
    Accepted(u64),
    /// There is none, and asking the same again would be refused again. Why, in SLURM's words.
    Refused(String),
    /// There is none now; later there may be.
    Later(String),
    /// Nobody knows: the answer was lost or is not understood. The job is to be looked for by its name before anything
    /// else is done.
    Lost(String),
}

/// Refusals that stand, and are about what one attempt asks for: its memory, its time, the nodes that it stays away from.
/// What is on no list is [`Submission::Lost`], which is slower and never wrong.
const OF_ATTEMPTS: &[&str] = &[
    "invalid node name",
    "invalid job array",
    "invalid --time",
    "invalid --mem",
    "invalid --signal",
    "unable to open file",
    "batch script is empty",
    "does not specify an interpreter",
    "node configuration is not available",
    "memory specification can not be satisfied",
    "requested time limit is invalid",
    "requested partition configuration not available",
    "more processors requested than permitted",
    "node count specification invalid",
    "pathname of a file, directory or other parameter too long",
];

/// Refusals that stand, and are about the site's own settings and this user's rights: they would meet every job.
const OF_THE_SITE: &[&str] = &[
    "invalid partition",
    "invalid account",
    "invalid qos",
    "invalid feature",
    "invalid constraint",
    "invalid generic resource (gres)",
    "invalid gres",
    "invalid trackable resource",
    "invalid license",
    "invalid wckey",
    "invalid directive",
    "reservation is invalid",
    "denied to requested reservation",
    "unrecognized option",
    "access/permission denied",
    "user's group not permitted",
];

/// Reasons of that kind for which a job that was taken never starts.
const NEVER_FOR_ANY: &[&str] = &[
    "accountnotallowed",
    "qosnotallowed",
    "invalidaccount",
    "invalidqos",
    "groupnotallowed",
    "reservationinvalid",
    "invalidreservation",
    "badconstraints",
];

/// Refusals that pass: nothing was accepted, and there is no harm in asking again after a while.
const PASSING: &[&str] = &[
    "qosmaxsubmitjobperuserlimit",
    "assocmaxsubmitjoblimit",
    "assocgrpsubmitjobslimit",
    "qosgrpsubmitjobslimit",
    "qosmaxsubmitjobperaccountlimit",
    "job size specification limit",
    "slurm temporarily unable to accept job",
    // Either a limit of a sum or one on the job itself: the message does not say which.
    "job violates accounting/qos policy",
    "too many jobs",
];

/// Whether a refusal, in SLURM's words, would meet every job of this site as it is described now.
pub fn meets_every_job(why: &str) -> bool {
    let lower = why.to_ascii_lowercase();
    OF_THE_SITE.iter().chain(NEVER_FOR_ANY).any(|words| lower.contains(words))
}

/// Arguments that submit a script.
pub fn arguments(script: &Path) -> Vec<String> {
    vec!["--parsable".to_string(), script.display().to_string()]
}

/// Arguments that ask when a script's job would start; nothing is submitted, and a job's number is used up.
pub fn test_arguments(script: &Path) -> Vec<String> {
    vec!["--test-only".to_string(), script.display().to_string()]
}

/// Reads the answer to that: when it is expected to start, where that is told.
///
/// # Errors
/// SLURM's words, where such a job would be refused.
pub fn parse_test(code: Option<i32>, stderr: &str) -> Result<Option<String>, String> {
    match code {
        Some(0) => {
            let words = stderr.split_whitespace().collect::<Vec<_>>();
            let at = words.windows(3).position(|w| w[0] == "to" && w[1] == "start" && w[2] == "at");
            Ok(at.and_then(|i| words.get(i + 3)).map(|w| w.to_string()))
        }
        Some(_) => Err(message(stderr).trim_start_matches("allocation failure: ").to_string()),
        None => Err("no answer in time".to_string()),
    }
}

/// Reads the answer. `code`: the exit code; none where it was killed or never started to answer.
pub fn parse(code: Option<i32>, stdout: &str, stderr: &str) -> Submission {
    if code == Some(0) {
        // `123` or `123;cluster`, on a line that ends: half a number is a number too.
        let line = stdout.lines().next().filter(|_| stdout.ends_with('\n')).unwrap_or_default();
        let id = line.split(';').next().unwrap_or_default();
        let id = id.bytes().all(|b| b.is_ascii_digit()).then(|| id.parse().ok()).flatten();
        return match id.filter(|id| *id > 0) {
            Some(id) => Submission::Accepted(id),
            None => Submission::Lost(format!("sbatch answered {:?}", shortened(stdout))),
        };
    }
    let said = message(stderr);
    let lower = stderr.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    match code {
        None => Submission::Lost("sbatch gave no answer in time".to_string()),
        // Limits of a sum are reported together with a general refusal, so they are looked for first.
        Some(_) if any(PASSING) => Submission::Later(said),
        Some(_) if any(OF_ATTEMPTS) || any(OF_THE_SITE) => Submission::Refused(said),
        Some(_) => Submission::Lost(said),
    }
}

/// SLURM's words without its prefixes, the last line first: it is the general one, and the lines before say more.
fn message(stderr: &str) -> String {
    let lines = stderr.lines().map(|l| l.trim_start_matches("sbatch: ").trim_start_matches("error: ").trim());
    let lines: Vec<&str> = lines.filter(|l| !l.is_empty()).collect();
    shortened(&lines.join("; "))
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(400).collect()
}
