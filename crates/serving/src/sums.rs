//! What a part of a model makes of a query, and all parts' sums to the reply.
//!
//! The sums of parts are the results' ciphertexts with all their coefficients, as nothing may be
//! rounded before they are added. They tell more of a model than its results: a server keeps them to
//! itself. What adds up is bound: sums say which query they are of, and which part of which cut of
//! which bundle; only one of each part, of one query and one cut, are taken, and all of them or none.
//!
//! Payload of a frame of kind [`FrameKind::Sums`], version 1 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  SHA-256 of the query
//!     32    32  name of the cut: hash of the bundle's hash and of which part has which term
//!     64     4  number of the part, from 0
//!     68     4  number of parts
//!     72     4  rows
//!     76     4  ciphertexts of a row, one an output
//!   then     -  rows, as `rows` writes them
//! ```

use crate::answer::Waiting;
use crate::estimate::Timed;
use crate::rows::{self, Malformed, Reader};
use crate::{Estimate, Key, Model, OutOfTime, Part, Query, Reply, Work};
use cipherfn_engine::PreparedCircuit;
use cipherfn_protocol::api::job::MAX_SUMS;
use cipherfn_protocol::frame::{self, FrameError, FrameKind};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::Chunk;
use std::time::Instant;

/// File version that is written, and all that are read.
const VERSION: u16 = 1;
/// Bytes before the rows.
const HEAD: usize = 80;

/// What the sums that add up have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Binding {
    query: Sha256,
    cut: Hash,
    parts: u32,
    rows: u32,
}

/// Why sums cannot be made, read or added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SumsError {
    /// No file of sums.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A file of sums that is not whole, or of results of other dimensions.
    #[error("the sums of a part do not have the form of this model's results")]
    Form,
    /// Of another query, another cut, or another version of the model.
    #[error("the sums of part {number} are of another query, or of another cut of the model")]
    Other {
        /// The part.
        number: u32,
    },
    /// A part that is there already, or of which there is none.
    #[error("part {number} of {of} cannot be added: it is there already, or there is no such part")]
    Number {
        /// The part.
        number: u32,
        /// How many there are.
        of: u32,
    },
    /// Not all parts.
    #[error("the sums of part {number} of {of} are missing")]
    Missing {
        /// The first that is missing.
        number: u32,
        /// How many there are.
        of: u32,
    },
    /// More rows than whoever adds the parts has room for.
    #[error("what the parts of the model make of {rows} rows takes more than {} MB; send at most {most} at a time", MAX_SUMS >> 20)]
    TooManyRows {
        /// Rows of the query.
        rows: usize,
        /// Rows for which there is room.
        most: usize,
    },
    /// There is no time for it.
    #[error(transparent)]
    OutOfTime(#[from] OutOfTime),
}

impl From<Malformed> for SumsError {
    fn from(_: Malformed) -> Self {
        Self::Form
    }
}

impl Query {
    /// What a part of a model makes of all rows: a file of sums. `digest` is that of the query's
    /// bytes.
    pub fn sums(
        &self,
        model: &Model,
        key: Option<&Key>,
        digest: Sha256,
        estimate: &Estimate,
        deadline: Instant,
    ) -> Result<Vec<u8>, SumsError> {
        let (part, cut) = part_of(model);
        let rows = self.rows();
        let row = 1 + row_bytes(model.circuit());
        let most = largest(part.of).saturating_sub(HEAD) / row;
        if rows > most {
            return Err(SumsError::TooManyRows { rows, most });
        }
        let mut clock = self.clock(
            Work {
                rows,
                ..Work::default()
            },
            estimate,
            deadline,
        );
        let mut payload = Vec::with_capacity(HEAD + rows * row);
        payload.extend(digest.as_bytes());
        payload.extend(cut.as_bytes());
        let outputs = model.circuit().outputs().len();
        for number in [part.number, part.of, rows as u32, outputs as u32] {
            payload.extend(number.to_le_bytes());
        }
        for chunk in self.chunks() {
            for result in model.results(key, chunk, &mut clock)? {
                rows::write(&mut payload, &result);
            }
        }
        Ok(frame::encode(
            FrameKind::Sums,
            VERSION,
            model.tag(),
            &payload,
        ))
    }

    /// Adds the sums of all parts, in any order, and makes the reply of them. The model is any of the
    /// parts: their results have the same form.
    pub fn add<B: AsRef<[u8]>>(
        &self,
        model: &Model,
        key: Option<&Key>,
        (digest, sums): (Sha256, &[B]),
        estimate: &Estimate,
        deadline: Instant,
    ) -> Result<Reply, SumsError> {
        let (part, cut) = part_of(model);
        let binding = Binding {
            query: digest,
            cut,
            parts: part.of,
            rows: self.rows() as u32,
        };
        let mut there = vec![false; part.of as usize];
        let mut total: Option<Vec<Waiting>> = None;
        for bytes in sums {
            let (number, rows) = read(bytes.as_ref(), binding, model)?;
            match there.get_mut(number as usize) {
                Some(there) if !*there => *there = true,
                _ => {
                    return Err(SumsError::Number {
                        number,
                        of: part.of,
                    });
                }
            }
            total = Some(match total {
                None => rows,
                Some(total) => add(total, rows)?,
            });
        }
        let (None, Some(results)) = (there.iter().position(|there| !there), total) else {
            let missing = there.iter().position(|there| !there);
            return Err(SumsError::Missing {
                number: missing.unwrap_or_default() as u32,
                of: part.of,
            });
        };
        let left = Work {
            rows: 0,
            ..self.work(model)
        };
        let mut clock = self.clock(left, estimate, deadline);
        let mut results = results.into_iter();
        let mut replies = Vec::with_capacity(self.chunks().len());
        for chunk in self.chunks() {
            let own = results.by_ref().take(chunk.len()).collect();
            replies.push(model.reply_of(key, chunk, own, &mut clock)?);
        }
        Ok(self.reply(&replies))
    }

    fn clock<'a>(&self, left: Work, estimate: &'a Estimate, deadline: Instant) -> Timed<'a> {
        Timed {
            estimate,
            deadline,
            rows: self.rows(),
            left,
        }
    }
}

/// Largest payload of a file of sums, in bytes: those of all parts are in memory together.
const fn largest(parts: u32) -> usize {
    MAX_SUMS / parts as usize
}

fn part_of(model: &Model) -> (Part, Hash) {
    model.part().expect("only parts of models have sums")
}

/// Bytes of a row's ciphertexts.
fn row_bytes(circuit: &PreparedCircuit) -> usize {
    let ring = &circuit.parameter_set().ring;
    let words = (ring.glwe_dimension + 1) * ring.polynomial_size;
    circuit.outputs().len() * words * size_of::<u64>()
}

/// The part that sums are of, and its results.
fn read(bytes: &[u8], wanted: Binding, model: &Model) -> Result<(u32, Vec<Waiting>), SumsError> {
    let frame = frame::decode(
        bytes,
        FrameKind::Sums,
        &[VERSION],
        largest(wanted.parts) as u64,
    )?;
    let mut reader = Reader(&frame.payload);
    let (query, cut) = (reader.array()?, reader.array()?);
    let [number, parts, rows, outputs] = [
        reader.number()?,
        reader.number()?,
        reader.number()?,
        reader.number()?,
    ];
    let found = Binding {
        query: Sha256::from_bytes(query),
        cut: Hash::from_bytes(cut),
        parts,
        rows,
    };
    if frame.parameter_set != model.tag() || found != wanted {
        return Err(SumsError::Other { number });
    }
    if outputs as usize != model.circuit().outputs().len() {
        return Err(SumsError::Form);
    }
    let ring = &model.circuit().parameter_set().ring;
    let len = (
        ring.glwe_dimension * ring.polynomial_size,
        ring.polynomial_size,
    );
    Ok((number, reader.rows(rows, outputs as usize, len)?))
}

/// Row by row; one that failed in any part has failed.
fn add(total: Vec<Waiting>, part: Vec<Waiting>) -> Result<Vec<Waiting>, SumsError> {
    let add = |(total, part): (Waiting, Waiting)| match (total, part) {
        (Ok(mut total), Ok(part)) => {
            for (total, part) in total.iter_mut().zip(&part) {
                total.add(part).map_err(|_| SumsError::Form)?;
            }
            Ok(Ok(total))
        }
        (Err(problem), _) | (_, Err(problem)) => Ok(Err(problem)),
    };
    total.into_iter().zip(part).map(add).collect()
}
