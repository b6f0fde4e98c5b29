//! The rules by which what is known of a job is reconciled, by name, so that a test can take one away and see what then goes
//! wrong. In the program itself all of them hold.

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// That a script is handed to `sbatch` is written down before it is.
    IntentComesFirst,
    /// After a lost answer the job is looked for by its name, and nothing is submitted again.
    LostAreLookedFor,
    /// Nothing follows from what a partial answer of the queue does not list.
    PartialSaysNothing,
    /// What is given up is given up through its claim, so that a worker which comes later leaves.
    GivenUpByClaim,
    /// A job that was given up without having been seen is cancelled by its name.
    UnseenAreCancelled,
    /// An outcome may be on its way through a filesystem when its job has ended.
    OutcomesArrive,
    /// A record of a failure without a code may still change, just after an outage of the database.
    RecordsSettle,
    /// A record of an end without the time of it still counts the seconds, and is waited for.
    EndsHaveATime,
    /// A job that accounting calls live is not over, although the queue does not show it.
    LiveRecordsLive,
    /// The end of a job is asked for until it has ended.
    EndsAreRepeated,
}

#[cfg(test)]
impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 10] = [
        Rule::IntentComesFirst,
        Rule::LostAreLookedFor,
        Rule::PartialSaysNothing,
        Rule::GivenUpByClaim,
        Rule::UnseenAreCancelled,
        Rule::OutcomesArrive,
        Rule::RecordsSettle,
        Rule::EndsHaveATime,
        Rule::LiveRecordsLive,
        Rule::EndsAreRepeated,
    ];
}

#[cfg(not(test))]
pub(super) const fn on(_: Rule) -> bool {
    true
}

#[cfg(test)]
thread_local! {
    /// The rule that a test has taken away.
    pub(super) static OFF: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(super) fn on(rule: Rule) -> bool {
    OFF.with(std::cell::Cell::get) != Some(rule)
}
