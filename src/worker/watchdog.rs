//! Limits that hold even where the loop does not come round to look at them.

use super::report::Report;
use crate::record::{AttemptSpec, End, MemoryKind};
use crate::sys::process::resident_memory;
use crate::units::Bytes;

/// Seconds between two looks.
const PERIOD: f64 = 0.05;
/// Seconds beyond the wall limit within which the loop may reach a step boundary and write its checkpoint.
pub(super) const GRACE: f64 = 2.0;

/// What a watchdog looks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// Wall seconds since the attempt began; none for no limit.
    pub wall: Option<f64>,
    /// Resident memory; none for no limit.
    pub memory: Option<Bytes>,
}

impl Limits {
    pub fn of(spec: &AttemptSpec) -> Self {
        Limits {
            wall: (spec.wall_seconds > 0.0).then_some(spec.wall_seconds),
            memory: (spec.memory.0 > 0).then_some(spec.memory),
        }
    }

    pub fn any(&self) -> bool {
        self.wall.is_some() || self.memory.is_some()
    }

    /// The end that these readings mean, if any.
    pub fn passed(&self, seconds: f64, resident: Bytes) -> Option<End> {
        if let Some(limit) = self.memory.filter(|limit| resident > *limit) {
            return Some(End::OutOfMemory { wanted: resident, limit, of: MemoryKind::Host });
        }
        let limit = self.wall.filter(|limit| seconds > limit + GRACE)?;
        Some(End::TimedOut { limit_seconds: limit })
    }
}

/// What to do about it, for who reads the log.
fn remedy(end: &End) -> &'static str {
    match end {
        End::OutOfMemory { .. } => {
            "\n  choose a smaller resources.micro_batch or resources.recompute=true, which change no result, or raise \
             resources.memory_mib"
        }
        End::TimedOut { .. } => "\n  raise resources.wall_seconds, and go on with --resume",
        _ => "",
    }
}

/// Looks until the outcome is written. Where a limit is passed first, it writes the outcome and leaves by `exit`, which
/// ends the process (but in tests).
pub(super) fn watch(limits: Limits, report: &Report<'_>, exit: impl FnOnce()) {
    while !report.wait(PERIOD) {
        if let Some(end) = limits.passed(report.seconds(), Bytes(resident_memory().0)) {
            super::log::line(report.seconds(), &format!("error: the watchdog ends the attempt: {end}{}", remedy(&end)));
            return report.finish_and(end, exit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_ends_at_once_and_time_after_the_grace() {
        let limits = Limits { wall: Some(10.0), memory: Some(Bytes(100)) };
        assert_eq!(limits.passed(9.0, Bytes(100)), None);
        let memory = End::OutOfMemory { wanted: Bytes(101), limit: Bytes(100), of: MemoryKind::Host };
        assert_eq!(limits.passed(0.1, Bytes(101)), Some(memory));
        assert_eq!(limits.passed(11.9, Bytes(1)), None, "the loop may still come to a step boundary");
        assert_eq!(limits.passed(12.1, Bytes(1)), Some(End::TimedOut { limit_seconds: 10.0 }));
        let none = Limits { wall: None, memory: None };
        assert!(!none.any());
        assert_eq!(none.passed(1e9, Bytes(u64::MAX)), None);
    }
}
