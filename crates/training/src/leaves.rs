//! Refitted leaves: the structure of trees is public, and what is counted in their leaves are encrypted
//! rows.
//!
//! A column's values fall into *bins* between its cuts, and a row is encrypted as the bits of its bins,
//! and of its label. Which leaf it reaches stays hidden; sums over rows of what each leaf has are
//! integers, and come out exact.

mod boosted;
mod counts;
mod growth;
mod messages;
mod program;
mod refit;
mod rows;
mod spec;
mod structure;
mod tree;
mod upload;

pub use boosted::BoostedStep;
pub use counts::{LeafCounts, share};
pub use growth::{Grown, Growth};
pub use messages::{
    GrownTree, LeafRowsChunk, LeafSums, MAX_ROWS_BYTES, MAX_SUMS_BYTES, leaf_rows_hash,
};
pub use program::{LeafTraining, SumForm};
pub use refit::Refitted;
pub use rows::{LeafRow, LeafRowEncoder};
pub use spec::LeafSpec;
pub use structure::{Structure, StructureNode, TreeSum};
pub use tree::{LeafNode, LeafTree};
pub use upload::LeafUpload;

use cipherfn_protocol::specs::Bits;

/// Bits of a sum's coefficients that travel: their rounding is a hundredth of the smallest unit that
/// noise allows.
pub const REPLY_BITS: Bits = Bits::new(26);

/// What an encrypted label says.
#[derive(Clone, Debug, PartialEq)]
pub enum LeafTarget {
    /// A class: one bit for each but the first.
    Classes {
        /// Header name.
        name: String,
        /// The classes.
        classes: Vec<String>,
    },
    /// A number, or of boosted leaves what a model leaves of one; in steps from `low` on: the bits of how
    /// many.
    Number {
        /// Header name.
        name: String,
        /// Least value.
        low: f64,
        /// A step.
        step: f64,
        /// Largest number of steps.
        steps: u64,
    },
}

impl LeafTarget {
    /// Header name of its column.
    pub fn name(&self) -> &str {
        match self {
            Self::Classes { name, .. } | Self::Number { name, .. } => name,
        }
    }

    /// Bits of a label.
    pub fn bits(&self) -> usize {
        match self {
            Self::Classes { classes, .. } => classes.len() - 1,
            Self::Number { steps, .. } => (u64::BITS - steps.leading_zeros()) as usize,
        }
    }
}
