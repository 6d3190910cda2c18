//! Prepared circuits and their evaluation on encrypted rows.

use crate::error::EngineError;
use crate::levelled::{Levelled, Statistics, Values};
use crate::linear::Linear;
use cipherfn_circuit::circuit::{Circuit, validate};
use cipherfn_scheme::ExpandedEvaluationKey;
use cipherfn_scheme::Glwe;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{self, LinearQueryShape, SelectorQueryShape};
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_scheme::selectors::FourierSelectors;
use rayon::prelude::*;
use std::fmt;
use std::time::{Duration, Instant};

/// Rows go to threads whole while their memory, over all threads, stays below this; larger rows are
/// evaluated one after the other on all threads, so that they share the caches.
const ROW_PARALLEL_BYTES: u64 = 512 << 20;

/// A checked circuit in the form that evaluates fast. Immutable: one serves all threads.
#[derive(Debug)]
pub struct PreparedCircuit {
    kind: Kind,
    reply: ReplyShape,
}

#[derive(Debug)]
enum Kind {
    Levelled(SelectorQueryShape, Levelled),
    Linear(LinearQueryShape, Linear),
}

/// Dimensions of a circuit's query rows.
#[derive(Clone, Copy, Debug)]
pub enum QueryShape {
    /// Encrypted selector bits.
    Selectors(SelectorQueryShape),
    /// An encrypted feature vector.
    Linear(LinearQueryShape),
}

/// Memory of one evaluation at a time. It grows to what a circuit needs and is used again: keep one
/// a thread.
#[derive(Default)]
pub struct Workspace {
    selectors: Option<FourierSelectors>,
    values: Values,
    result: Glwe,
}

/// Where the time of a row went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Query row to ciphertexts.
    pub expand: Duration,
    /// Circuit.
    pub evaluate: Duration,
    /// Ciphertext to reply row.
    pub compress: Duration,
}

impl PreparedCircuit {
    /// Checks and prepares a circuit.
    pub fn new(circuit: &Circuit) -> Result<Self, EngineError> {
        let set = ParameterSet::by_name(circuit.parameter_set())?;
        let dimensions = crate::dimensions(set);
        validate(circuit, dimensions)?;
        Ok(match circuit {
            Circuit::Levelled(circuit) => {
                let shape = SelectorQueryShape {
                    set,
                    selectors: circuit.selectors as usize,
                    gadget: circuit.gadget,
                    transport: circuit.transport,
                };
                let (coefficients, stride) =
                    (circuit.coefficients as usize, circuit.stride as usize);
                Self {
                    kind: Kind::Levelled(shape, Levelled::new(circuit, dimensions)?),
                    reply: ReplyShape {
                        set,
                        coefficients,
                        stride,
                        bits: circuit.reply_bits,
                    },
                }
            }
            Circuit::Linear(circuit) => {
                let (features, block) = (circuit.weights[0].len(), circuit.block as usize);
                let shape = LinearQueryShape {
                    set,
                    features,
                    block,
                    stride: circuit.stride as usize,
                    body_bits: circuit.body_bits,
                };
                Self {
                    kind: Kind::Linear(shape, Linear::new(circuit, set.ring.polynomial_size)),
                    reply: ReplyShape {
                        set,
                        coefficients: circuit.weights.len(),
                        stride: 1,
                        bits: circuit.reply_bits,
                    },
                }
            }
        })
    }

    /// Parameter set of keys and ciphertexts.
    pub const fn parameter_set(&self) -> &'static ParameterSet {
        self.reply.set
    }

    /// Dimensions of a query row.
    pub const fn query_shape(&self) -> QueryShape {
        match &self.kind {
            Kind::Levelled(shape, _) => QueryShape::Selectors(*shape),
            Kind::Linear(shape, _) => QueryShape::Linear(*shape),
        }
    }

    /// Dimensions of a reply row.
    pub const fn reply_shape(&self) -> ReplyShape {
        self.reply
    }

    /// What an evaluation consists of; all zero for a linear model.
    pub fn statistics(&self) -> Statistics {
        match &self.kind {
            Kind::Levelled(_, levelled) => levelled.statistics(),
            Kind::Linear(..) => Statistics::default(),
        }
    }

    /// Bytes of memory that it takes, about.
    pub fn memory_len(&self) -> usize {
        match &self.kind {
            Kind::Levelled(_, levelled) => levelled.memory_len(),
            Kind::Linear(_, linear) => linear.memory_len(),
        }
    }

    /// Evaluates one row, on all threads of the current rayon pool.
    pub fn evaluate_row(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: &[u8],
        workspace: &mut Workspace,
    ) -> Result<Vec<u8>, EngineError> {
        self.run(key, row, workspace, true).map(|(reply, _)| reply)
    }

    /// [`Self::evaluate_row`] that also says where the time went.
    pub fn evaluate_row_timed(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: &[u8],
        workspace: &mut Workspace,
    ) -> Result<(Vec<u8>, Timings), EngineError> {
        self.run(key, row, workspace, true)
    }

    /// Evaluates rows, on all threads of the current rayon pool: one outcome a row.
    pub fn evaluate_rows(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        rows: &[&[u8]],
    ) -> Vec<Result<Vec<u8>, EngineError>> {
        let threads = rayon::current_num_threads();
        let whole = threads > 1
            && rows.len() >= threads
            && self.statistics().bytes.saturating_mul(threads as u64) <= ROW_PARALLEL_BYTES;
        let evaluate = |rows: &[&[u8]], parallel: bool| {
            let mut workspace = Workspace::default();
            rows.iter()
                .map(|row| {
                    self.run(key, row, &mut workspace, parallel)
                        .map(|(reply, _)| reply)
                })
                .collect::<Vec<_>>()
        };
        if whole {
            rows.par_chunks(rows.len().div_ceil(threads))
                .flat_map_iter(|rows| evaluate(rows, false))
                .collect()
        } else {
            evaluate(rows, true)
        }
    }

    fn run(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: &[u8],
        workspace: &mut Workspace,
        parallel: bool,
    ) -> Result<(Vec<u8>, Timings), EngineError> {
        let start = Instant::now();
        let Workspace {
            selectors,
            values,
            result,
        } = workspace;
        let expanded = match &self.kind {
            Kind::Levelled(shape, levelled) => {
                let selectors = fit(selectors, shape);
                query::expand_selectors(key, shape, row, selectors)?;
                let expanded = Instant::now();
                levelled.evaluate(selectors, values, result, parallel);
                expanded
            }
            Kind::Linear(shape, linear) => {
                let ciphertexts = query::decode_linear(shape, row)?;
                let expanded = Instant::now();
                linear.evaluate(&ciphertexts, result);
                expanded
            }
        };
        let evaluated = Instant::now();
        let reply = reply::compress(&self.reply, &result.mask, &result.body)?;
        let timings = Timings {
            expand: expanded - start,
            evaluate: evaluated - expanded,
            compress: evaluated.elapsed(),
        };
        Ok((reply, timings))
    }
}

/// The selectors of the row before, if they have the same dimensions: fresh memory would cost a
/// page fault every 4 KB.
fn fit<'a>(
    selectors: &'a mut Option<FourierSelectors>,
    shape: &SelectorQueryShape,
) -> &'a mut FourierSelectors {
    if selectors.as_ref().is_some_and(|selectors| {
        selectors.shape() != shape.ggsw() || selectors.len() != shape.selectors
    }) {
        *selectors = None;
    }
    selectors.get_or_insert_with(|| FourierSelectors::zeroed(shape.ggsw(), shape.selectors))
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}
