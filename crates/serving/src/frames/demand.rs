//! What an answer has to be worth, and why a plan is not evaluated.

use super::FrameError;
use cipherfn_frame::plan::PlanError;
use cipherfn_frame::schema::SchemaError;
use cipherfn_scheme::SchemeError;
use std::fmt;

/// What every column of an answer has to be worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// All of it.
    Exact,
    /// So many bits of its range; more than none, whatever the number is.
    Bits(f64),
}

/// How many rows are summed in one ciphertext, beyond which decryption adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SumRows {
    /// So many.
    Given(u32),
    /// As many as meet a demand.
    Fitting(Demand),
}

/// Why a plan is not evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameQueryError {
    /// There are no frames.
    #[error("give the encrypted frames that the plan names, one at least")]
    NoFrames,
    /// Frames that do not go together.
    #[error(
        "frame {frame:?} is {what} than frame {first:?}; encrypt both alike, with one key ring"
    )]
    Unlike {
        /// The frame.
        frame: String,
        /// What is not alike.
        what: &'static str,
        /// The first frame.
        first: String,
    },
    /// The plan, for these schemas.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan with hashes in place of names, for the schemas that have them.
    #[error(
        "with hashed names: {problem}; hash the names of all frames by one secret, and look texts up in none that have them in the clear"
    )]
    Hashed {
        /// What is wrong, in names as far as they are known.
        problem: String,
    },
    /// A schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// What is evaluated.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The parameter set.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// Nothing is asked for.
    #[error("the plan has no pass")]
    NoPass,
    /// A published model whose weights whoever evaluates lacks.
    #[error(
        "the plan takes the score of model {model:?}, of which only the specs are at hand; give its bundle to whoever evaluates"
    )]
    NoWeights {
        /// The model.
        model: String,
    },
    /// Cells of a table in the clear, or weights of a model, that give results of a form of their own, or
    /// less exact ones.
    #[error(
        "with the cells of its tables in the clear and the weights of its models the plan has results of another form, or less exact ones, than was said; report this"
    )]
    Form,
    /// A stage of a plan that is not levelled.
    #[error("stage {number}: {source}")]
    Stage {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        source: Box<FrameQueryError>,
    },
    /// A column that is less exact than was asked for.
    #[error("column {column:?} {}; {step} {spent}", fallen_short(*bits, *demand))]
    TooImprecise {
        /// The column.
        column: String,
        /// Bits that it would have.
        bits: f64,
        /// What was asked for.
        demand: Demand,
        /// The step that spends them.
        step: String,
        /// How it does, and the way out.
        spent: String,
    },
}

impl FrameQueryError {
    /// Whether a column is worth less than was asked for.
    pub fn is_imprecise(&self) -> bool {
        match self {
            Self::TooImprecise { .. } => true,
            Self::Stage { source, .. } => source.is_imprecise(),
            _ => false,
        }
    }
}

/// How a column is less than was asked for.
fn fallen_short(bits: f64, demand: Demand) -> String {
    if bits > 0.0 {
        format!("would have {bits:.1} bits of its range, {demand} asked for")
    } else {
        "would have no bit of its range guaranteed, which is no answer, however little is asked for"
            .into()
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("all were"),
            Self::Bits(bits) => write!(f, "{bits} were"),
        }
    }
}
