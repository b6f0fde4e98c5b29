//! Questions about seeds, candidates and what the planner may see, answered from the state alone.
//!
//! Boundary: pure; what follows from the answers is decided elsewhere.

use super::correction;
use super::facts::Seen;
use super::state::{Candidate, Decision, Known, Standing, State};
use crate::analysis::Verdict;
use crate::config::{Direction, PlannerResults};
use crate::ids::RunId;
use crate::planner::Observation;

impl State {
    /// The seed on which candidates are first looked at: the one after the baseline's, so that no comparison with the
    /// baseline contains the run by which a candidate was chosen (the winner's curse). A campaign that has looked at one
    /// goes on with the seed of that one.
    pub fn screening_seed(&self) -> Option<u64> {
        let first = self.candidates.iter().find_map(|c| self.run(c.screening?));
        first.map(|run| run.seed).or_else(|| Some(self.scope.as_ref()?.seeds.iter().max()? + 1))
    }

    /// Seeds of a confirmation: the baseline's that gave a value, as many as the budget allows.
    pub fn confirmation_seeds(&self) -> Vec<u64> {
        let (Some(scope), Some(baseline)) = (&self.scope, &self.baseline) else { return Vec::new() };
        scope.seeds.iter().copied().filter(|s| baseline.values.contains_key(s)).take(scope.confirm).collect()
    }

    /// The results that the next proposal may rest on: their number and which. None: one of them is still under way.
    ///
    /// Where equal seeds are to give equal campaigns, proposal `i` sees what came of the proposals up to `i - parallel` and
    /// nothing else, whatever has ended by then, and waits for those.
    pub fn due(&self) -> Option<(usize, Seen)> {
        // Promotions rest on whatever has arrived, so under halving there is no other way.
        if self.campaign.planner.results == PlannerResults::Latest || self.campaign.planner.halving.is_some() {
            return Some((self.known.len(), Seen::Arrived));
        }
        let due = (self.candidates.len() + 1).saturating_sub(self.campaign.execution.parallel.max(1));
        (0..due as u64).all(|index| self.known.iter().any(|k| k.index == index)).then_some((due, Seen::Earliest))
    }

    /// What the planner sees before proposal `index` when it rests on `observed` results: those, then the other proposals
    /// before it, as if all were under way. Depends on nothing else, so that every proposal can be derived again from the
    /// journal.
    pub fn observations(&self, index: u64, observed: usize, seen: Seen) -> Vec<Observation> {
        let sign = if self.direction() == Direction::Maximize { -1.0 } else { 1.0 };
        // The newest that is known of each, in the order in which the first became known.
        let mut news: Vec<Known> = Vec::new();
        for known in self.known.iter().take(if seen == Seen::Arrived { observed } else { usize::MAX }) {
            match news.iter_mut().find(|k| k.index == known.index) {
                Some(older) => *older = *known,
                None => news.push(*known),
            }
        }
        if seen == Seen::Earliest {
            news.retain(|k| k.index < observed as u64);
            news.sort_by_key(|k| k.index);
        }
        let seen: Vec<u64> = news.iter().map(|k| k.index).collect();
        let finished = news.iter().filter_map(|k| Some((k, self.candidates.get(k.index as usize)?)));
        let finished = finished.map(|(k, c)| Observation {
            assignment: c.assignment.clone(),
            value: k.value.map(|v| sign * v),
            failed: k.value.is_none(),
            trained: k.trained,
        });
        let pending = self.candidates.iter().filter(|c| c.index < index && !seen.contains(&c.index));
        let pending = pending.map(|c| Observation::pending(c.assignment.clone()));
        finished.chain(pending).collect()
    }

    /// Screened candidates whose one value beats the baseline's mean, best first. Candidates that share their run (equal
    /// experiments) count once. What was judged already keeps its rank.
    pub fn contenders(&self) -> Vec<&Candidate> {
        let Some(reference) = self.baseline.as_ref().map(|b| b.interval.mean) else { return Vec::new() };
        let ranked = |c: &&Candidate| {
            matches!(c.standing, Standing::Screened | Standing::Confirming | Standing::Judged { .. })
                && c.value.is_some_and(|v| self.better(v, reference))
        };
        let mut contenders: Vec<&Candidate> = self.candidates.iter().filter(ranked).collect();
        contenders.sort_by(|a, b| {
            let (x, y) = (a.value.unwrap_or(f64::NAN), b.value.unwrap_or(f64::NAN));
            let order = x.total_cmp(&y);
            let order = if self.direction() == Direction::Maximize { order.reverse() } else { order };
            order.then(a.index.cmp(&b.index))
        });
        let mut seen = Vec::new();
        contenders.retain(|c| {
            let new = !seen.contains(&c.screening);
            seen.push(c.screening);
            new
        });
        contenders
    }

    /// The best candidate that cleared the noise floor and survives Holm's correction over all that were compared: by its
    /// mean over seeds.
    pub fn best(&self) -> Option<&Candidate> {
        let mut best: Option<(&Candidate, f64)> = None;
        for candidate in correction::survivors(self).iter().filter_map(|i| self.candidates.get(*i as usize)) {
            if let Standing::Judged { verdict: Verdict::Better, own: Some(own), .. } = &candidate.standing
                && best.is_none_or(|(_, mean)| self.better(own.mean, mean))
            {
                best = Some((candidate, own.mean));
            }
        }
        best.map(|(candidate, _)| candidate)
    }

    /// Everything decided about a run and the candidate it serves, in order; for `why RUN`.
    pub fn why(&self, id: RunId) -> Vec<&Decision> {
        let serves = |c: &Candidate| c.runs.values().any(|r| *r == id);
        let candidates: Vec<u64> = self.candidates.iter().filter(|c| serves(c)).map(|c| c.index).collect();
        // What a language model was asked and said for it.
        let asked: Vec<[String; 2]> = candidates
            .iter()
            .filter_map(|c| self.counsel.design_of(*c))
            .map(|d| [format!("question {}:", d.question), format!("question {} (", d.question)])
            .collect();
        let about = |d: &&Decision| {
            d.run == Some(id)
                || (d.run.is_none() && d.candidate.is_some_and(|c| candidates.contains(&c)))
                || asked.iter().flatten().any(|mark| d.text.starts_with(mark))
        };
        self.decisions.iter().filter(about).collect()
    }
}
