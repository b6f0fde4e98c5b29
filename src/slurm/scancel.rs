//! `scancel`: ending a job, or telling its worker to checkpoint.

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SIGUSR2 to the batch process, which is the worker: it checkpoints and leaves. For running jobs only.
    Checkpoint,
    /// The end of the job: SIGTERM, then SIGKILL after the cluster's KillWait; a waiting job leaves the queue.
    End,
}

/// Arguments. The name is given beside the id, where that is known, and both must fit: an id may have been used again for
/// somebody else's job. Without an id all jobs of the name are meant, and the name is one attempt's own.
pub fn arguments(kind: Kind, name: &str, id: Option<u64>) -> Vec<String> {
    let mut arguments = match kind {
        Kind::Checkpoint => vec!["--batch".to_string(), "--signal=USR2".to_string()],
        Kind::End => Vec::new(),
    };
    arguments.push("--me".to_string());
    arguments.push(format!("--name={name}"));
    arguments.extend(id.map(|id| id.to_string()));
    arguments
}
