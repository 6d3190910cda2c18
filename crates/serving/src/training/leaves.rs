//! Leaf counts of encrypted rows: trees are evaluated with a coefficient of their own for each leaf, and
//! the results of all rows are added.

mod circuit;
mod error;
mod noise;
mod pass;

use circuit::LeafCircuit;
pub use error::LeafError;
pub use noise::{LeafNoise, choose_sums, noise, require_exact};
pub use pass::{LeafPass, LeafPassError};

use cipherfn_engine::{PreparedCircuit, QueryRow};
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_scheme::reply::{RUN, ReplyShape};
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};
use cipherfn_training::leaves::LeafTraining;
use rayon::prelude::*;
use std::ops::Range;

/// Parts of the evaluation key that counting needs: the expansion alone.
///
/// # Errors
/// A set that has none.
pub fn key_parts(set: &'static ParameterSet) -> Result<Vec<&'static KeyPart>, SchemeError> {
    Ok(vec![set.part("expansion")?])
}

/// Counts rows.
pub struct LeafCounter {
    circuits: Vec<PreparedCircuit>,
    /// Most rows of a sum.
    rows: usize,
}

impl LeafCounter {
    /// Prepares the circuits of a program.
    ///
    /// # Errors
    /// Trees that no circuit has room for.
    pub fn new(training: &LeafTraining, set: &'static ParameterSet) -> Result<Self, LeafError> {
        let circuits = circuit::circuits(training, set)?;
        let prepared = circuits
            .iter()
            .map(|own: &LeafCircuit| Ok::<_, LeafError>(PreparedCircuit::new(&own.circuit)?));
        Ok(Self {
            circuits: prepared.collect::<Result<_, LeafError>>()?,
            rows: training.sums().rows(),
        })
    }

    /// Sums over the encrypted rows of a group, as many at a time as a sum takes: the compressed sums of
    /// all outputs, then those of the next rows. On all threads of the current pool.
    ///
    /// # Errors
    /// A group that is malformed, a key of another set.
    pub fn sums(
        &self,
        key: &ExpandedEvaluationKey,
        group: &[u8],
        rows: usize,
    ) -> Result<Vec<Vec<u8>>, LeafError> {
        let mut compressed = Vec::new();
        for first in (0..rows).step_by(self.rows) {
            let range = first..rows.min(first + self.rows);
            compressed.extend(self.sum(key, (group, rows), range)?);
        }
        Ok(compressed)
    }

    /// The compressed sums of all outputs over some rows of a group.
    fn sum(
        &self,
        key: &ExpandedEvaluationKey,
        group: (&[u8], usize),
        rows: Range<usize>,
    ) -> Result<Vec<Vec<u8>>, LeafError> {
        let mut sums = Vec::new();
        // No more rows' results in memory than are evaluated together.
        for first in rows.clone().step_by(RUN) {
            self.count(key, group, first..rows.end.min(first + RUN), &mut sums)?;
        }
        self.compress(&sums)
    }

    /// Adds the results of some rows of a group to sums, of all outputs, in order; none are there at first.
    /// These are integer sums, the same in any order. After an error they are whatever was added by then.
    fn count(
        &self,
        key: &ExpandedEvaluationKey,
        (group, all): (&[u8], usize),
        rows: Range<usize>,
        sums: &mut Vec<Glwe>,
    ) -> Result<(), LeafError> {
        let queries = rows.clone().map(|index| QueryRow {
            group,
            form: crate::frames::form(all),
            index,
            tables: None,
        });
        let queries: Vec<QueryRow<'_>> = queries.collect();
        let mut first = 0;
        for circuit in &self.circuits {
            let outputs = circuit.outputs().len();
            let results = circuit.results_of_rows(Some(key), &queries);
            for (row, results) in rows.clone().zip(results) {
                let results = results.map_err(|source| LeafError::Row {
                    row: row + 1,
                    source,
                })?;
                if sums.len() == first {
                    sums.extend(results);
                    continue;
                }
                let own = sums.get_mut(first..).unwrap_or_default();
                let pairs = own.par_iter_mut().zip(results);
                pairs.try_for_each(|(sum, own)| sum.add(&own))?;
            }
            first += outputs;
        }
        Ok(())
    }

    /// Sums of all outputs, as they travel.
    fn compress(&self, sums: &[Glwe]) -> Result<Vec<Vec<u8>>, LeafError> {
        let compressed = self
            .outputs()
            .zip(sums)
            .map(|(shape, sum)| cipherfn_scheme::reply::compress(shape, &sum.mask, &sum.body));
        Ok(compressed.collect::<Result<_, _>>()?)
    }

    /// The outputs of all circuits, in order.
    fn outputs(&self) -> impl Iterator<Item = &ReplyShape> {
        self.circuits.iter().flat_map(PreparedCircuit::outputs)
    }

    /// Bytes of a group of so many rows. All circuits have the same inputs.
    fn group_bytes(&self, rows: usize) -> Result<usize, LeafError> {
        let form = crate::frames::form(rows);
        let first = self.circuits.first();
        let bytes = first.map(|circuit| circuit.group_bytes(form)).transpose()?;
        Ok(bytes.unwrap_or_default())
    }

    /// Bytes of a sum that is not at its end.
    fn open_bytes(&self, set: &ParameterSet) -> usize {
        let words = set.mask_len() + set.ring.polynomial_size;
        self.outputs().count() * words * size_of::<u64>()
    }

    /// Bytes of the compressed sums of all outputs.
    fn sum_bytes(&self) -> usize {
        self.outputs().map(ReplyShape::row_bytes).sum()
    }
}
