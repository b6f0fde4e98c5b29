//! What may be proposed at all: valid experiments that keep the campaign's constraints and fit in memory and time.

use super::facts::Price;
use crate::config::{Campaign, Constraint, Experiment};
use crate::planner::Assignment;
use std::cell::Cell;

/// Whether an assignment makes a valid experiment of the baseline and keeps the constraints.
pub fn acceptable(baseline: &Experiment, constraints: &[Constraint], assignment: &Assignment) -> bool {
    baseline.with(assignment).is_ok_and(|e| constraints.iter().all(|c| c.holds(&|path| e.get(path))))
}

/// The rule of one campaign.
pub struct Admission<'a> {
    baseline: &'a Experiment,
    constraints: &'a [Constraint],
    /// Bytes of the host and of the GPU; 0 is no limit.
    memory: [u64; 2],
    /// Wall seconds of all attempts together that a run may have; 0 is no limit.
    wall: f64,
}

impl<'a> Admission<'a> {
    /// Of a campaign whose baseline is run as `baseline`. The memory limit is the machine's, so a candidate cannot move it.
    pub fn of(campaign: &'a Campaign, baseline: &'a Experiment) -> Self {
        let filter = campaign.planner.memory_filter;
        let bytes = |mib: u64, on: bool| if filter && on { mib.saturating_mul(1 << 20) } else { 0 };
        let resources = &baseline.resources;
        let device = bytes(campaign.execution.device_memory_mib, resources.device.is_gpu());
        // What cannot be done within the wall limit, going on from checkpoints as often as it may, is not begun.
        let wall = if filter { resources.wall_seconds * (1 + campaign.execution.retries) as f64 } else { 0.0 };
        let memory = [bytes(resources.memory_mib, true), device];
        Admission { baseline, constraints: &campaign.constraints, memory, wall }
    }

    /// Whether it may be proposed; `price` is only asked where there is a limit to compare with. What is refused is
    /// counted in `left_out`.
    pub fn admits(
        &self,
        assignment: &Assignment,
        price: &dyn Fn(&Assignment) -> Option<Price>,
        left_out: &Cell<LeftOut>,
    ) -> bool {
        let mut count = left_out.get();
        let acceptable = acceptable(self.baseline, self.constraints, assignment);
        let [host, device] = self.memory;
        let within = |p: &Price| {
            (host == 0 || p.memory.0 <= host) && (device == 0 || p.device_memory.is_none_or(|m| m.0 <= device))
        };
        let unlimited = self.memory == [0, 0] && self.wall == 0.0;
        let price = if acceptable && !unlimited { price(assignment) } else { None };
        let fits = price.as_ref().is_none_or(within);
        let in_time = price.is_none_or(|p| self.wall == 0.0 || p.seconds <= self.wall);
        count.constraints += usize::from(!acceptable);
        count.memory += usize::from(!fits);
        count.time += usize::from(!in_time);
        left_out.set(count);
        acceptable && fits && in_time
    }
}

/// Points that a sampler drew and that were not proposed, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// No valid experiment, or against a constraint.
    pub constraints: usize,
    /// More memory than `resources.memory_mib` or the GPU has.
    pub memory: usize,
    /// Longer than `resources.wall_seconds` allows, retries included.
    pub time: usize,
}

impl LeftOut {
    /// `; left out: ...` for the end of a sentence; empty where nothing was.
    pub fn words(self) -> String {
        let part = |n: usize, why: &str| (n > 0).then(|| format!("{n} that {why}"));
        let parts = [
            part(self.constraints, "no valid experiment or the constraints allow"),
            part(self.memory, "need more memory than there is"),
            part(self.time, "take longer than resources.wall_seconds allows"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { String::new() } else { format!("; points left out: {}", parts.join(", ")) }
    }
}
