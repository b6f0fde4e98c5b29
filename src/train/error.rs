//! Why a loop could not go on, in the terms that an outcome records.

use crate::engine::EngineError;
use crate::problem::{Class, Problem};
use crate::record::End;

/// A failure of the engine or of anything around it.
#[derive(Debug, Clone)]
pub enum TrainError {
    /// The engine failed; out of memory is told apart.
    Engine(EngineError),
    /// Files, data, checkpoints.
    Problem(Problem),
}

impl TrainError {
    /// How the attempt ends because of it.
    pub fn end(&self) -> End {
        match self {
            TrainError::Engine(EngineError::OutOfMemory { wanted, free }) => {
                End::OutOfMemory { wanted: *wanted, limit: *free }
            }
            TrainError::Engine(error) => End::Failed { message: error.to_string() },
            TrainError::Problem(problem) if problem.class == Class::Usage => {
                End::Refused { message: problem.to_string() }
            }
            TrainError::Problem(problem) => End::Failed { message: problem.to_string() },
        }
    }
}

impl From<EngineError> for TrainError {
    fn from(error: EngineError) -> Self {
        TrainError::Engine(error)
    }
}

impl From<Problem> for TrainError {
    fn from(problem: Problem) -> Self {
        TrainError::Problem(problem)
    }
}
