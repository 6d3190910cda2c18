//! What serving refuses, as problems of the API.

use crate::training::TrainingRunError;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::message::MessageError;
use cipherfn_serving::training::FormsError;
use cipherfn_serving::{
    CheckpointError, OutOfTime, QueryError, ReplyTooLarge, SumsError, TooLittleMemory,
};

/// A body that is no query.
pub(crate) fn malformed(error: &MessageError) -> Problem {
    Problem::new(ProblemType::MalformedQuery, error.to_string())
}

/// A query for another model or key.
pub(crate) fn misdirected(error: &QueryError) -> Problem {
    let kind = match error {
        QueryError::KeySet { .. } => ProblemType::WrongParameterSet,
        QueryError::NoKey => ProblemType::UnknownKey,
        QueryError::MissingPart { .. } => ProblemType::MissingKeyPart,
        _ => ProblemType::MalformedQuery,
    };
    Problem::new(kind, error.to_string())
}

/// A checkpoint from which nothing can go on.
pub(crate) fn other_checkpoint(error: &CheckpointError) -> Problem {
    Problem::new(ProblemType::CheckpointAltered, error.to_string())
}

/// A model of which this function cannot evaluate a row.
pub(crate) fn too_little_memory(error: &TooLittleMemory) -> Problem {
    Problem::new(ProblemType::TooLittleMemory, error.to_string())
}

/// More rows than a reply has room for.
pub(crate) fn too_large(error: &ReplyTooLarge) -> Problem {
    too_many_rows(error.to_string(), error.most as u64)
}

/// More rows than there is time for.
pub(crate) fn too_late(error: &OutOfTime) -> Problem {
    match error {
        OutOfTime::TooManyRows { most, .. } => too_many_rows(error.to_string(), *most),
        _ => Problem::new(ProblemType::OutOfTime, error.to_string()),
    }
}

/// Sums of parts that cannot be made or added.
pub(crate) fn no_sums(error: &SumsError) -> Problem {
    match error {
        SumsError::OutOfTime(late) => too_late(late),
        SumsError::TooManyRows { most, .. } => too_many_rows(error.to_string(), *most as u64),
        _ => Problem::new(ProblemType::ChunkAltered, error.to_string()),
    }
}

/// Rows of which a training cannot be made.
pub(crate) fn malformed_rows(error: &TrainingRunError) -> Problem {
    Problem::new(ProblemType::MalformedRows, error.to_string())
}

/// Rows that have no forms by the weights at hand.
pub(crate) fn no_forms(error: &FormsError) -> Problem {
    match error {
        FormsError::TooMany { most, .. } => too_many_rows(error.to_string(), *most),
        _ => Problem::new(ProblemType::MalformedQuery, error.to_string()),
    }
}

fn too_many_rows(detail: String, most: u64) -> Problem {
    let mut problem = Problem::new(ProblemType::TooManyRows, detail);
    problem.most_rows = Some(most);
    problem
}
