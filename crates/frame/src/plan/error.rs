//! What can be wrong with a plan.

/// Why something is no plan, or none for the frames that it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not JSON, or not of this layout.
    #[error("not a plan: {problem}")]
    Document {
        /// Place and cause.
        problem: String,
    },
    /// Another layout version.
    #[error("the plan has format {found}, this build reads 1 to 3; write it anew with this build")]
    Format {
        /// Version found.
        found: u16,
    },
    /// Larger than plans may be.
    #[error("the plan has {found} {what}, at most {limit} are possible; make it smaller")]
    TooLarge {
        /// Of what there are too many.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A frame that nobody has given.
    #[error("{step}: there is no frame {name:?}; the frames are {known}")]
    UnknownFrame {
        /// The step.
        step: StepName,
        /// The frame's name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A column that the table at that step does not have.
    #[error("{step}: there is no column {name:?}; the columns are {known}")]
    UnknownColumn {
        /// The step.
        step: StepName,
        /// The column's name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Something that makes no sense, or that schemas do not allow.
    #[error("{step}: {problem}")]
    Invalid {
        /// The step.
        step: StepName,
        /// Column and cause, and the way out.
        problem: String,
    },
    /// Something that takes a value which the server computes to choose by.
    #[error("{step}: {problem}, which is not levelled: {refresh}")]
    NotLevelled {
        /// The step.
        step: StepName,
        /// Column and cause.
        problem: String,
        /// What a round trip over the client would be.
        refresh: String,
    },
    /// SQL outside the subset.
    #[error("SQL{position}: {problem}")]
    Sql {
        /// Line and column, where they are known.
        position: String,
        /// What, and what would do.
        problem: String,
    },
}

impl PlanError {
    /// The same with the number of its step, if it names one, as `number` has it.
    #[must_use]
    pub(crate) fn renumbered(mut self, number: impl FnOnce(usize) -> usize) -> Self {
        match &mut self {
            Self::UnknownFrame { step, .. }
            | Self::UnknownColumn { step, .. }
            | Self::Invalid { step, .. }
            | Self::NotLevelled { step, .. } => step.number = number(step.number),
            Self::Document { .. }
            | Self::Format { .. }
            | Self::TooLarge { .. }
            | Self::Sql { .. } => {}
        }
        self
    }
}

/// A step of a plan, as people count them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepName {
    /// Its number, from 1; 0 is the scan.
    pub number: usize,
    /// What it is.
    pub what: &'static str,
}

impl std::fmt::Display for StepName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number {
            0 => f.write_str(self.what),
            number => write!(f, "step {number} ({})", self.what),
        }
    }
}
