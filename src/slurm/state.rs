//! A job's state.

use std::fmt;

/// The states of SLURM (`squeue` manual, "JOB STATE CODES"), and what was not known when this was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are SLURM's own")]
pub enum State {
    Pending,
    Configuring,
    Requeued,
    RequeueFed,
    RequeueHold,
    ResvDelHold,
    SpecialExit,
    Running,
    Completing,
    Suspended,
    Stopped,
    Signaling,
    StageOut,
    Resizing,
    Completed,
    Failed,
    Timeout,
    /// By whom, where `sacct` says it; 0 is the system itself.
    Cancelled {
        by: Option<u32>,
    },
    OutOfMemory,
    NodeFail,
    BootFail,
    Deadline,
    Preempted,
    Revoked,
    /// Anything else, as it was written.
    Unknown(String),
}

/// What a state means for whoever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It may start later.
    Waiting,
    /// It holds its nodes; a completing job too, whose processes may still write.
    Active,
    /// It will not run again by itself: attempts are never requeued.
    Ended,
    /// Keep watching: neither success nor failure.
    Unknown,
}

impl State {
    /// Reads the long form, the two-letter form, `CANCELLED by 1001` and what columns have cut (`CANCELLED+`).
    pub fn parse(text: &str) -> State {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("CANCELLED") {
            let by = rest.trim().strip_prefix("by").and_then(|uid| uid.trim().parse().ok());
            if rest.is_empty() || rest == "+" || rest.trim_start().starts_with("by") || rest.starts_with(" +") {
                return State::Cancelled { by };
            }
        }
        let whole = text.strip_suffix('+');
        let known = NAMES.iter().find(|(long, short, _)| match whole {
            // Cut by a column's width: at least a column of five, and only one can be meant.
            Some(start) => start.len() >= 5 && long.starts_with(start) && one_starts_with(start),
            None => *long == text || *short == text,
        });
        known.map_or_else(|| State::Unknown(text.to_string()), |(_, _, state)| state.clone())
    }

    /// What it means for whoever waits.
    pub fn phase(&self) -> Phase {
        use State as S;
        match self {
            S::Pending | S::Configuring | S::Requeued | S::RequeueFed | S::RequeueHold | S::ResvDelHold => {
                Phase::Waiting
            }
            S::SpecialExit => Phase::Waiting,
            S::Running | S::Completing | S::Suspended | S::Stopped | S::Signaling | S::StageOut | S::Resizing => {
                Phase::Active
            }
            S::Completed | S::Failed | S::Timeout | S::Cancelled { .. } | S::OutOfMemory | S::NodeFail => Phase::Ended,
            S::BootFail | S::Deadline | S::Preempted => Phase::Ended,
            S::Revoked | S::Unknown(_) => Phase::Unknown,
        }
    }

    /// Whether somebody's hand is needed before it can start.
    pub fn is_held(&self) -> bool {
        matches!(self, State::RequeueHold | State::ResvDelHold | State::SpecialExit)
    }
}

const NAMES: &[(&str, &str, State)] = &[
    ("PENDING", "PD", State::Pending),
    ("CONFIGURING", "CF", State::Configuring),
    ("REQUEUED", "RQ", State::Requeued),
    ("REQUEUE_FED", "RF", State::RequeueFed),
    ("REQUEUE_HOLD", "RH", State::RequeueHold),
    ("RESV_DEL_HOLD", "RD", State::ResvDelHold),
    ("SPECIAL_EXIT", "SE", State::SpecialExit),
    ("RUNNING", "R", State::Running),
    ("COMPLETING", "CG", State::Completing),
    ("SUSPENDED", "S", State::Suspended),
    ("STOPPED", "ST", State::Stopped),
    ("SIGNALING", "SI", State::Signaling),
    ("STAGE_OUT", "SO", State::StageOut),
    ("RESIZING", "RS", State::Resizing),
    ("COMPLETED", "CD", State::Completed),
    ("FAILED", "F", State::Failed),
    ("TIMEOUT", "TO", State::Timeout),
    ("CANCELLED", "CA", State::Cancelled { by: None }),
    ("OUT_OF_MEMORY", "OOM", State::OutOfMemory),
    ("NODE_FAIL", "NF", State::NodeFail),
    ("BOOT_FAIL", "BF", State::BootFail),
    ("DEADLINE", "DL", State::Deadline),
    ("PREEMPTED", "PR", State::Preempted),
    ("REVOKED", "RV", State::Revoked),
];

fn one_starts_with(start: &str) -> bool {
    NAMES.iter().filter(|(long, _, _)| long.starts_with(start)).count() == 1
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Cancelled { by: Some(uid) } => write!(f, "CANCELLED by {uid}"),
            State::Unknown(text) => f.write_str(text),
            state => f.write_str(NAMES.iter().find(|(_, _, s)| s == state).map_or("?", |(long, _, _)| long)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (long, short, state) in NAMES {
            assert_eq!((&State::parse(long), &State::parse(short)), (state, state));
            assert_eq!(state.to_string(), *long);
        }
        assert_eq!(State::parse("CANCELLED by 1001"), State::Cancelled { by: Some(1001) });
        assert_eq!(State::parse("CANCELLED+"), State::Cancelled { by: None });
        assert_eq!(State::parse("CANCELLED by 99999999999"), State::Cancelled { by: None });
        assert_eq!(State::parse("OUT_OF_ME+"), State::OutOfMemory);
        assert_eq!(State::parse("COMPLETED "), State::Completed);
    }

    #[test]
    fn what_is_cut_or_new_is_unknown_and_never_success() {
        for text in ["COMPL+", "COMPLET", "COMPLETE", "completed", "", "+", "C", "REQUE+", "EXPEDITING", "CANCELLEDX"] {
            let state = State::parse(text);
            assert_eq!(state, State::Unknown(text.to_string()));
            assert_eq!(state.phase(), Phase::Unknown);
        }
    }
}
