//! What a whole campaign is expected to take: its baseline, one candidate, and how many of them its budget buys.

use super::output::significant;
use crate::campaign::{Amount, Limits, Price, Scope};
use crate::config::Campaign;
use crate::cost::overhead_factor;
use crate::units::{DeviceTime, Dollars};
use serde_json::{Value, json};

/// What a campaign may spend; no dollars where they are not limited.
pub fn budget(campaign: &Campaign) -> (DeviceTime, Option<Dollars>) {
    let dollars = campaign.budget.dollars;
    (DeviceTime::from_hours(campaign.budget.device_hours), (dollars > 0.0).then(|| Dollars::of(dollars)))
}

/// `8.00 device-h and $16.00`.
pub fn budget_words((time, dollars): (DeviceTime, Option<Dollars>)) -> String {
    format!("{time}{}", dollars.map_or_else(String::new, |d| format!(" and {d}")))
}

/// In device time as it would be charged; everything is expected, nothing is a bound but `reserved`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// What may be spent.
    pub budget: DeviceTime,
    /// Runs of the baseline.
    pub baseline_runs: usize,
    /// All of them.
    pub baseline: DeviceTime,
    /// The cheapest run of a candidate that was priced.
    pub candidate_low: DeviceTime,
    /// The one in the middle.
    pub candidate: DeviceTime,
    /// The dearest.
    pub candidate_high: DeviceTime,
    /// Candidates that are confirmed in the end.
    pub finalists: usize,
    /// Further runs of each of them.
    pub confirm: usize,
    /// Candidates that there is room for beside the baseline and the confirmations.
    pub candidates: usize,
    /// What limits their number.
    pub limited_by: &'static str,
    /// Everything together, with so many candidates.
    pub whole: DeviceTime,
    /// What is set aside for one attempt at the baseline, at most.
    pub reserved: Amount,
    /// Dollars that may be spent; none where they are not limited.
    pub dollars: Option<Dollars>,
    /// What `whole` costs, a language model aside; none where nothing has a price.
    pub whole_dollars: Option<Dollars>,
    /// A language model is asked for a price.
    pub asks: bool,
}

impl Outlook {
    /// Of a campaign whose baseline is run as `scope` says. `candidates`: prices of points of its space; where there are none,
    /// the baseline's stands for them.
    pub fn of(campaign: &Campaign, scope: &Scope, candidates: &[Price]) -> Self {
        // What one run is charged: its share of a device, with what is believed of overheads before any has ended.
        let charge =
            |seconds: f64| overhead_factor(&[]) * seconds / campaign.execution.attempts_per_device.max(1) as f64;
        let mut prices: Vec<f64> = candidates.iter().map(|price| charge(price.seconds)).collect();
        if prices.is_empty() {
            prices.push(charge(scope.price.seconds));
        }
        prices.sort_by(f64::total_cmp);
        let (low, typical, high) = (prices[0], prices[prices.len() / 2], prices[prices.len() - 1]);
        let (budget, dollars) = budget(campaign);
        let finalists = campaign.seeds.finalists;
        let baseline = charge(scope.price.seconds) * scope.seeds.len() as f64;
        let confirming = typical * (finalists * scope.confirm) as f64;
        let time = ((budget.seconds() - baseline - confirming) / typical.max(1e-9)).max(0.0) as usize;
        let besides = scope.seeds.len() + finalists * scope.confirm;
        let mut limits = vec![(time, "the budget's device time")];
        let (rate, each) = (campaign.budget.dollars_per_device_hour, campaign.budget.overhead_dollars_per_attempt);
        let cost = |seconds: f64, runs: usize| seconds / 3600.0 * rate + runs as f64 * each;
        let one = cost(typical, 1);
        if campaign.budget.dollars > 0.0 && one > 0.0 {
            let left = campaign.budget.dollars - cost(baseline + confirming, besides);
            limits.push(((left / one).max(0.0) as usize, "the budget's dollars"));
        }
        if campaign.budget.runs > 0 {
            limits.push((campaign.budget.runs.saturating_sub(besides), "budget.runs"));
        }
        if campaign.planner.candidates > 0 {
            limits.push((campaign.planner.candidates, "planner.candidates"));
        }
        let (candidates, limited_by) = limits.into_iter().min_by_key(|(room, _)| *room).unwrap_or_default();
        let time = |seconds: f64| DeviceTime::of(1, seconds);
        Outlook {
            budget,
            baseline_runs: scope.seeds.len(),
            baseline: time(baseline),
            candidate_low: time(low),
            candidate: time(typical),
            candidate_high: time(high),
            finalists,
            confirm: scope.confirm,
            candidates,
            limited_by,
            whole: time(baseline + confirming + typical * candidates as f64),
            reserved: Limits::first(&scope.baseline, &scope.price).reservation(campaign),
            dollars,
            asks: campaign.planner.kind.asks()
                && campaign
                    .llm
                    .as_ref()
                    .is_some_and(|llm| llm.prices.values().any(|p| p.input > 0.0 || p.output > 0.0)),
            whole_dollars: (rate > 0.0 || each > 0.0)
                .then(|| Dollars::of(cost(baseline + confirming + typical * candidates as f64, besides + candidates))),
        }
    }

    /// For programs, in device-hours.
    pub fn json(&self) -> Value {
        json!({
            "budget_device_hours": self.budget.hours(),
            "baseline_runs": self.baseline_runs,
            "baseline_device_hours": self.baseline.hours(),
            "candidate_device_hours": {
                "low": self.candidate_low.hours(),
                "median": self.candidate.hours(),
                "high": self.candidate_high.hours(),
            },
            "candidates": self.candidates,
            "limited_by": self.limited_by,
            "finalists": self.finalists,
            "confirmation_runs": self.confirm,
            "device_hours": self.whole.hours(),
            "reserved_device_hours": self.reserved.time.hours(),
            "budget_dollars": self.dollars.map(Dollars::value),
            "dollars": self.whole_dollars.map(Dollars::value),
        })
    }

    /// What one candidate takes: `0.3 device-s to 4.1 device-s a run over the space, 1.2 device-s in the middle`.
    fn candidate_words(&self) -> String {
        if self.candidate_low == self.candidate_high {
            return format!("{} a run", self.candidate);
        }
        let Outlook { candidate_low, candidate, candidate_high, .. } = self;
        format!("{candidate_low} to {candidate_high} a run over the space, {candidate} in the middle")
    }

    /// The most that one attempt at the baseline may take: `10.2 device-s ($0.0057)`.
    pub fn reserved_words(&self) -> String {
        let dollars = self.reserved.dollars;
        format!("{}{}", self.reserved.time, if dollars.micro > 0 { format!(" ({dollars})") } else { String::new() })
    }

    /// What everything costs, to stand behind the time that it takes: `, $0.19`, `, $0.19 and the language model`.
    pub fn price_words(&self) -> String {
        let besides = if self.asks { " and the language model" } else { "" };
        self.whole_dollars.map_or_else(String::new, |dollars| format!(", {dollars}{besides}"))
    }

    /// Lines for people.
    pub fn words(&self) -> String {
        let hours = |time: DeviceTime| format!("{} device-h", significant(time.hours(), 2));
        format!(
            "baseline   {} runs, about {} ({})\n\
             candidate  about {}; confirming one takes {} runs more\n\
             budget     {} {} about {} candidates, limited by {}: with the baseline and {} confirmed about {} ({}{})\n\
             worst case {} reserved for each attempt and refunded when it ends; {} in all, which is never exceeded\n",
            self.baseline_runs,
            self.baseline,
            hours(self.baseline),
            self.candidate_words(),
            self.confirm,
            budget_words((self.budget, self.dollars)),
            if self.dollars.is_some() { "buy" } else { "buys" },
            self.candidates,
            self.limited_by,
            if self.finalists == 1 { "1 finalist".to_string() } else { format!("{} finalists", self.finalists) },
            self.whole,
            hours(self.whole),
            self.price_words(),
            self.reserved_words(),
            budget_words((self.budget, self.dollars)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_campaign;
    use crate::units::Bytes;

    fn price(seconds: f64) -> Price {
        let (memory, data_hash) = (Bytes(1), "h".to_string());
        Price { seconds, high_seconds: 2.0 * seconds, memory, device_memory: None, steps: 10, data_hash }
    }

    #[test]
    fn the_budget_buys_what_is_left_beside_baseline_and_confirmations() {
        let text = "name = \"t\"\nquestion = \"?\"\nobjective.metric = \"accuracy\"\nbudget.device_hours = 0.1\n\
                    seeds = { baseline = 4, confirm = 3, finalists = 2 }\n[baseline]\ndata.kind = \"digits\"\nmodel = { kind = \
                    \"mlp\", widths = [8] }\noptimizer.kind = \"adamw\"\n[space]\n\"optimizer.learning_rate\" = { type = \
                    \"log-float\", low = 1e-3, high = 1e-1 }\n";
        let of = |text: &str, candidates: &[Price]| {
            let campaign = parse_campaign(text, "t.toml", &[]).unwrap();
            let baseline = campaign.baseline.clone();
            let scope =
                Scope { baseline, price: price(5.0), seeds: vec![1, 2, 3, 4], confirm: 3, downscaled: Vec::new() };
            Outlook::of(&campaign, &scope, candidates)
        };
        // Charged 1.2 times what is predicted: 4 x 6 s and 2 x 3 x 12 s of 360 s leave 264 s, 22 candidates of 12 s.
        let outlook = of(text, &[price(30.0), price(1.0), price(10.0)]);
        assert_eq!((outlook.baseline.ms, outlook.candidate.ms, outlook.candidates), (24_000, 12_000, 22));
        assert_eq!((outlook.candidate_low.ms, outlook.candidate_high.ms, outlook.whole.ms), (1_200, 36_000, 360_000));
        assert_eq!(outlook.limited_by, "the budget's device time");
        let few = of(&text.replace("budget.device_hours", "budget.runs = 15\nbudget.device_hours"), &[price(10.0)]);
        assert_eq!((few.candidates, few.limited_by), (5, "budget.runs"));
        assert!(few.words().contains("about 12.0 device-s a run; confirming one takes 3 runs more"), "{}", few.words());
        assert!(few.words().contains("6.0 device-min buys about") && !few.words().contains('$'), "{}", few.words());
        // At $36 a device-hour and a cent an attempt a candidate costs 13 cents, the baseline 28 and the confirmations 78: of
        // $2.20 there is $1.14 left for 8 of them.
        let priced = text.replace(
            "budget.device_hours",
            "budget.dollars = 2.2\nbudget.dollars_per_device_hour = 36.0\n\
                                   budget.overhead_dollars_per_attempt = 0.01\nbudget.device_hours",
        );
        let poor = of(&priced, &[price(10.0)]);
        assert_eq!((poor.candidates, poor.limited_by), (8, "the budget's dollars"));
        assert!(poor.whole_dollars.is_some_and(|d| d.micro.abs_diff(2_100_000) <= 1), "{:?}", poor.whole_dollars);
        assert!(poor.words().contains("6.0 device-min and $2.20 buy about 8 candidates"), "{}", poor.words());
        let rich = of(&priced.replace("2.2", "9.0"), &[price(10.0)]);
        assert_eq!((rich.candidates, rich.limited_by), (22, "the budget's device time"));
    }
}
