//! Programs of all trainings that rows or sums are uploaded for, as they are published.

use crate::descent::Training;
use crate::error::TrainingError;
use crate::leaves::LeafTraining;
use crate::spec::StatisticsSpec;
use crate::summed::SummedSchema;
use cipherfn_protocol::hash::Hash;

/// A checked program. It is public.
#[derive(Clone, Debug)]
pub enum TrainingProgram {
    /// Gradient descent.
    Descent(Box<Training>),
    /// Counts of rows in the leaves of trees.
    Leaves(Box<LeafTraining>),
    /// Sums of owners' rows, which are added.
    Statistics(Box<StatisticsSpec>),
    /// Sums of owners' rows by the keys of a frame, which are added.
    Frame(SummedSchema),
}

impl TrainingProgram {
    /// Reads a program, JSON.
    ///
    /// # Errors
    /// Bytes that are no program of any kind, with the field at fault.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TrainingError> {
        Ok(if LeafTraining::is_program(bytes) {
            Self::Leaves(Box::new(LeafTraining::from_json(bytes)?))
        } else if SummedSchema::is_program(bytes) {
            Self::Frame(SummedSchema::new(bytes.to_vec()))
        } else if StatisticsSpec::is_program(bytes) {
            Self::Statistics(Box::new(StatisticsSpec::from_json(bytes)?))
        } else {
            Self::Descent(Box::new(Training::from_json(bytes)?))
        })
    }

    /// The program of gradient descent that it is.
    ///
    /// # Errors
    /// One of trees or of sums.
    pub fn descent(self) -> Result<Training, TrainingError> {
        match self {
            Self::Descent(training) => Ok(*training),
            Self::Leaves(_) => Err(TrainingError::OfTrees),
            Self::Statistics(_) | Self::Frame(_) => Err(TrainingError::OfSums),
        }
    }

    /// Hash of everything in it.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Descent(training) => training.hash(),
            Self::Leaves(training) => training.hash(),
            Self::Statistics(spec) => spec.hash(),
            Self::Frame(schema) => schema.hash(),
        }
    }

    /// As it is published: bytes whose hash is the program's.
    ///
    /// # Errors
    /// None that a checked program has.
    pub fn canonical(&self) -> Result<Vec<u8>, TrainingError> {
        match self {
            Self::Descent(training) => Ok(training.canonical().to_vec()),
            Self::Leaves(training) => training.to_json(),
            Self::Statistics(spec) => Ok(spec.canonical().to_vec()),
            Self::Frame(schema) => Ok(schema.json().to_vec()),
        }
    }
}
