//! A training on arrays without elements: how much memory the same training on real ones will need, and where in it they
//! will lie.
//!
//! Where arrays come to lie depends only on what lies there already. Between two programs that is the constants, made
//! before all else, and the state, which has slots of its own ([`crate::gpu::Placement`]). So every program finds what it
//! found before, and one rehearsal of each is enough, whatever their order and number.

use super::super::lifetimes::dead_after;
use super::super::{EngineError, StepInputs};
use super::array::{Answer, Array};
use super::context::{Constant, Context};
use super::ghost::{Ghost, Meter};
use super::run::{Moment, run};
use crate::config::Precision;
use crate::graph::{Program, StepPrograms};
use candle_core::DType;

/// For what is no step of a run: evaluations, rehearsals.
pub(super) const NO_STEP: StepInputs =
    StepInputs { seed: 0, step: 0, learning_rate: 0.0, bias_correction1: 1.0, bias_correction2: 1.0 };

/// What a rehearsal has found.
pub(super) struct Rehearsal {
    /// Memory.
    pub(super) meter: Meter,
    /// The constants that the programs use.
    pub(super) constants: Vec<Constant>,
}

pub(super) fn all(programs: &StepPrograms) -> [&Program; 3] {
    [&programs.micro, &programs.apply, &programs.eval]
}

fn compute_type(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::Bf16 => DType::BF16,
    }
}

/// What lies on a device before a state is loaded: constants, then a state of zeros.
pub(super) fn begin<A: Array>(
    programs: &StepPrograms,
    device: A::Device,
    precision: Precision,
    constants: &[Constant],
) -> Answer<(Context<A>, Vec<A>)> {
    let context = Context::new(device, compute_type(precision));
    for constant in constants {
        context.constant(*constant)?;
    }
    let state = zeros(programs, &context)?;
    Ok((context, state))
}

fn zeros<A: Array>(programs: &StepPrograms, context: &Context<A>) -> Answer<Vec<A>> {
    programs.state.tensors.iter().map(|t| A::filled(&context.device, &t.shape, 0.0)).collect()
}

/// Runs each program on arrays without elements, and what comes before them.
pub(super) fn rehearse(programs: &StepPrograms, precision: Precision) -> Result<Rehearsal, EngineError> {
    let constants = {
        let mut stage = Stage::open(programs, precision, &[])?;
        all(programs).into_iter().try_for_each(|program| stage.perform(program))?;
        stage.context.constants()
    };
    let mut stage = Stage::open(programs, precision, &constants)?;
    // Loading makes a whole state beside the old one.
    stage.state = zeros(programs, &stage.context)?;
    all(programs).into_iter().try_for_each(|program| stage.perform(program))?;
    Ok(Rehearsal { meter: stage.context.device.clone(), constants })
}

/// A state on a device that only counts.
pub(super) struct Stage {
    pub(super) context: Context<Ghost>,
    state: Vec<Ghost>,
}

impl Stage {
    pub(super) fn open(programs: &StepPrograms, precision: Precision, constants: &[Constant]) -> Answer<Self> {
        let bytes = |shape: &[usize]| (shape.iter().product::<usize>() * DType::F32.size_in_bytes()) as u64;
        let meter = Meter::new(programs.state.tensors.iter().map(|t| bytes(&t.shape)));
        let (context, state) = begin(programs, meter, precision, constants)?;
        Ok(Stage { context, state })
    }

    pub(super) fn perform(&mut self, program: &Program) -> Answer<()> {
        let device = &self.context.device;
        let filled = |shape: &[usize]| Ghost::filled(device, shape, 0.0);
        let batch: Vec<Ghost> = program.batch.iter().map(|input| filled(&input.shape)).collect::<Answer<_>>()?;
        let moment = Moment { inputs: &NO_STEP, first_sample: 0 };
        let results = run(program, &dead_after(program), &self.state, &batch, &self.context, moment)?;
        for (index, ghost) in results.writes {
            self.state[index] = ghost;
        }
        Ok(())
    }
}
