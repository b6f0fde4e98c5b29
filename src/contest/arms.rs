//! What competes.

use crate::config::{Halving, PlannerKind, PlannerSpec, Weighing};

/// A planner's settings under a name.
#[derive(Debug, Clone)]
pub struct Arm {
    /// For tables and folders.
    pub name: &'static str,
    /// In a sentence.
    pub about: &'static str,
    settings: fn(&mut PlannerSpec),
}

impl Arm {
    /// Whether it asks a language model.
    pub fn asks(&self) -> bool {
        self.planner(0).kind.asks()
    }

    /// The planner of this arm with a seed.
    pub fn planner(&self, seed: u64) -> PlannerSpec {
        let mut spec = PlannerSpec { seed, ..PlannerSpec::default() };
        (self.settings)(&mut spec);
        spec
    }
}

/// All arms; the first is what the others are compared with.
pub const ARMS: [Arm; 12] = [
    Arm {
        name: "random",
        about: "independent draws; never what is predicted not to fit in memory",
        settings: |s| s.kind = PlannerKind::Random,
    },
    Arm {
        name: "random-blind",
        about: "independent draws, submitted whether they fit or not",
        settings: |s| {
            s.kind = PlannerKind::Random;
            s.memory_filter = false;
        },
    },
    Arm { name: "tpe", about: "TPE", settings: |s| s.kind = PlannerKind::Tpe },
    Arm { name: "cma-es", about: "CMA-ES", settings: |s| s.kind = PlannerKind::CmaEs },
    Arm { name: "evolution", about: "evolution with niches", settings: |s| s.kind = PlannerKind::Evolution },
    Arm {
        name: "random-halving",
        about: "independent draws under successive halving",
        settings: |s| {
            s.kind = PlannerKind::Random;
            s.halving = Some(Halving::default());
        },
    },
    Arm {
        name: "tpe-halving",
        about: "TPE under successive halving",
        settings: |s| {
            s.kind = PlannerKind::Tpe;
            s.halving = Some(Halving::default());
        },
    },
    Arm {
        name: "cma-es-halving",
        about: "CMA-ES under successive halving",
        settings: |s| {
            s.kind = PlannerKind::CmaEs;
            s.halving = Some(Halving::default());
        },
    },
    Arm {
        name: "tpe-aware",
        about: "TPE, the best of eight proposals by gain for its cost",
        settings: |s| {
            s.kind = PlannerKind::Tpe;
            s.weighing = Some(Weighing::default());
        },
    },
    Arm {
        name: "tpe-cost-blind",
        about: "the same without the cost",
        settings: |s| {
            s.kind = PlannerKind::Tpe;
            s.weighing = Some(Weighing { cost: false, ..Weighing::default() });
        },
    },
    Arm {
        name: "tpe-memory-blind",
        about: "TPE, submitted whether it fits in memory or not",
        settings: |s| {
            s.kind = PlannerKind::Tpe;
            s.memory_filter = false;
        },
    },
    Arm {
        name: "tpe-aware-halving",
        about: "TPE, by gain for its cost, under successive halving",
        settings: |s| {
            s.kind = PlannerKind::Tpe;
            s.weighing = Some(Weighing::default());
            s.halving = Some(Halving::default());
        },
    },
];

/// Arms that ask a language model: only for campaigns with one, and only where they are named.
pub const ASKING: [Arm; 3] = [
    Arm {
        name: "hybrid",
        about: "TPE, and a language model for 30% of the proposals",
        settings: |s| s.kind = PlannerKind::Hybrid,
    },
    Arm {
        name: "hybrid-cma-es",
        about: "CMA-ES, and a language model for 30% of the proposals",
        settings: |s| {
            s.kind = PlannerKind::Hybrid;
            s.classical = Some(PlannerKind::CmaEs);
        },
    },
    Arm { name: "llm", about: "a language model for all proposals", settings: |s| s.kind = PlannerKind::Llm },
];

/// The arm of that name.
pub fn arm(name: &str) -> Option<&'static Arm> {
    ARMS.iter().chain(&ASKING).find(|a| a.name == name)
}
