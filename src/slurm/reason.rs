//! Why a job waits, and whether waiting can help.

/// A pending reason as SLURM writes it: a word, at times with a suffix (`ReqNodeNotAvail, UnavailableNodes:n1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub String);

/// What may come of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// It starts when its turn comes.
    Turn,
    /// Nodes are down, drained or reserved: it starts when they come back. Worth another partition after a while.
    Nodes,
    /// Somebody holds it, or SLURM does after a failed launch: it needs a hand, ours or an administrator's.
    Held,
    /// It never starts as it was asked for: cancel it and ask otherwise.
    Never,
    /// A reason not known here: wait, and show it.
    Unknown,
}

const TURN: &[&str] = &[
    "None",
    "Priority",
    "Resources",
    "BeginTime",
    "JobArrayTaskLimit",
    "Licenses",
    "Cleaning",
    "Prolog",
    "Dependency",
    "NodeDown",
    "FrontEndDown",
    "Reservation",
    "Scheduling",
    "BurstBufferResources",
    "BurstBufferStageIn",
    "FedJobLock",
    "InactiveLimit",
    "QOSJobLimit",
    "QOSResourceLimit",
    "QOSTimeLimit",
    "AssociationJobLimit",
    "AssocMaxJobsLimit",
    "AssociationResourceLimit",
    "AssociationTimeLimit",
    "MaxRequeue",
    "QOSUsageThreshold",
    "Deadline",
];

const NODES: &[&str] = &[
    "ReqNodeNotAvail",
    // "... are DOWN, DRAINED or reserved for jobs in higher priority partitions"
    "Nodes required for job",
    "PartitionDown",
    "PartitionInactive",
    "ReservationDeleted",
    "NodeFailure",
];

const HELD: &[&str] = &[
    "JobHeldUser",
    "JobHeldAdmin",
    "JobHoldMaxRequeue",
    "launch failed requeued held",
    "JobLaunchFailure",
    "job requeued in held state",
    "job requeued in special exit state",
    "SchedDefer",
    "PauseHold",
];

const NEVER: &[&str] = &[
    "PartitionTimeLimit",
    "PartitionNodeLimit",
    "BadConstraints",
    "DependencyNeverSatisfied",
    "AccountNotAllowed",
    "QOSNotAllowed",
    "InvalidAccount",
    "InvalidQOS",
    "NonZeroExitCode",
    "OutOfMemory",
    "SystemFailure",
    "QOSMinGRES",
    "QOSMinMemory",
    "QOSMinCpuNotSatisfied",
    "QOSMinNode",
    "QOSMinBilling",
    "RaisedSignal",
    "TimeLimit",
    "ReservationInvalid",
    "AccountingPolicy",
    "InvalidReservation",
    "GroupNotAllowed",
];

impl Reason {
    /// The reason in a field; brackets of `(JobHeldUser)` are dropped.
    pub fn parse(text: &str) -> Reason {
        let text = text.trim();
        Reason(text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text).to_string())
    }

    /// What may come of waiting.
    ///
    /// Limits of an association or QOS on one job (`QOSMaxWallDurationPerJobLimit`, `AssocMaxNodePerJobLimit`) never let
    /// it start; limits on a user's or a group's sum let it start when others end.
    pub fn waiting(&self) -> Waiting {
        let listed = |words: &[&str]| words.iter().any(|w| self.is(w));
        let limit = ["QOS", "Assoc", "Max"].iter().any(|p| self.0.starts_with(p));
        if self.0.is_empty() || listed(TURN) {
            Waiting::Turn
        } else if listed(HELD) {
            Waiting::Held
        } else if listed(NEVER)
            || (limit && self.word().ends_with("PerJob"))
            || (limit && self.0.contains("PerJobLimit"))
        {
            Waiting::Never
        } else if listed(NODES) {
            Waiting::Nodes
        } else if limit
            && ["Grp", "PerUser", "PerAccount", "PerAcct", "MaxJobs", "MaxSubmit"].iter().any(|p| self.0.contains(p))
        {
            Waiting::Turn
        } else {
            Waiting::Unknown
        }
    }

    /// The reason is this word, with or without a suffix of its own after a comma, a colon or a bracket.
    fn is(&self, word: &str) -> bool {
        self.0.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ':', '(', ' ']))
    }

    fn word(&self) -> &str {
        self.0.split([',', ' ', ':', '(']).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_their_class() {
        use Waiting as W;
        let cases = [
            ("Priority", W::Turn),
            ("(Resources)", W::Turn),
            ("BeginTime", W::Turn),
            ("QOSMaxJobsPerUserLimit", W::Turn),
            ("QOSGrpGRES", W::Turn),
            ("AssocGrpCPUMinutesLimit", W::Turn),
            ("AssocMaxJobsLimit", W::Turn),
            ("JobHeldUser", W::Held),
            ("JobHeldAdmin", W::Held),
            ("launch failed requeued held", W::Held),
            ("JobHoldMaxRequeue", W::Held),
            ("PartitionTimeLimit", W::Never),
            ("PartitionNodeLimit", W::Never),
            ("DependencyNeverSatisfied", W::Never),
            ("QOSMaxWallDurationPerJobLimit", W::Never),
            ("QOSMaxGRESPerJob", W::Never),
            ("AssocMaxNodePerJobLimit", W::Never),
            ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", W::Nodes),
            ("ReqNodeNotAvail(Unavailable:n1)", W::Nodes),
            ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions", W::Nodes),
            ("SomethingNew", W::Unknown),
            ("PriorityOfTomorrow", W::Unknown),
        ];
        for (text, class) in cases {
            assert_eq!(Reason::parse(text).waiting(), class, "{text}");
        }
    }
}
