//! Forms of encrypted rows by weights that a training has left encrypted: one external product a batch and
//! set of weights, and no evaluation key.

use super::SET;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SchemeError;
use cipherfn_scheme::descent::{Batch, BatchShape, Weights, form_bytes, forms};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_training::TrainingError;
use cipherfn_training::descent::{DescentState, Forms, FormsQuery, MAX_FORMS};
use rayon::prelude::*;

/// Why rows have no forms.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormsError {
    /// Ciphertexts.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// Bytes that are no query, or no weights.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// A query for other weights.
    #[error("the query is of another {what} than the weights; encrypt the rows for these weights")]
    Other {
        /// What differs.
        what: &'static str,
    },
    /// Batches that are not those of the rows.
    #[error(
        "the query has {bytes} bytes of batches where {rows} rows take {expected}; encrypt the rows again"
    )]
    Batches {
        /// Rows that it says it has.
        rows: u64,
        /// Bytes of so many rows.
        expected: u64,
        /// Bytes that there are.
        bytes: usize,
    },
    /// More than a reply has room for.
    #[error(
        "the forms of {rows} rows have {bytes} bytes, a reply at most {MAX_FORMS}; ask for at most {most} rows"
    )]
    TooMany {
        /// Rows.
        rows: u64,
        /// Bytes of their forms.
        bytes: usize,
        /// Rows whose forms have room.
        most: u64,
    },
}

/// The reply to a query, by the weights of a state after the last step.
///
/// # Errors
/// A query that is none, or for other weights; more rows than a reply has room for. Sizes are looked at
/// before anything is computed.
pub fn answer_forms(state: &DescentState, query: &[u8]) -> Result<Forms, FormsError> {
    let name = Hash::of(query);
    let query = FormsQuery::from_file_bytes(query)?;
    let set = ParameterSet::by_name(SET)?;
    for (what, same) in [
        ("program", query.program == state.program),
        ("key", query.key == state.key),
        (
            "parameter set",
            [query.parameter_set, state.parameter_set] == [set.tag(); 2],
        ),
    ] {
        if !same {
            return Err(FormsError::Other { what });
        }
    }
    let shape = BatchShape::new(set, usize::try_from(query.features).unwrap_or(usize::MAX))?;
    let batches = query.rows.div_ceil(shape.samples() as u64);
    let expected = batches.saturating_mul(shape.bytes() as u64);
    if query.rows == 0 || query.batches.len() as u64 != expected {
        return Err(FormsError::Batches {
            rows: query.rows,
            expected,
            bytes: query.batches.len(),
        });
    }
    let sets = state.weights.len() / Weights::bytes(&shape);
    let a_batch = sets * form_bytes(&shape);
    let bytes = (batches as usize).saturating_mul(a_batch);
    if bytes > MAX_FORMS {
        let most = MAX_FORMS / a_batch.max(1) * shape.samples();
        return Err(FormsError::TooMany {
            rows: query.rows,
            bytes,
            most: most as u64,
        });
    }
    let weights = Weights::read_sets(&shape, sets, &state.weights)?;
    let batches = query.batches.par_chunks(shape.bytes()).map(|batch| {
        let batch = Batch::read(&shape, batch)?;
        let sets = weights.iter().flat_map(|weights| forms(&batch, weights));
        Ok::<_, SchemeError>(sets.collect::<Vec<u8>>())
    });
    Ok(Forms {
        query: name,
        key: state.key,
        parameter_set: set.tag(),
        forms: batches.collect::<Result<Vec<_>, _>>()?.concat(),
    })
}
