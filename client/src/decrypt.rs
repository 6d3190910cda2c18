//! A reply to a table of predictions, in bounded memory.

use crate::client::Client;
use crate::error::ClientError;
use crate::prediction;
use cipherfn_protocol::frame::{FrameError, Kind, ParameterSetTag};
use cipherfn_protocol::message::{Chunks, Outcome, ReplyChunk};
use cipherfn_scheme::SecretKey;
use rayon::prelude::*;
use std::io::{Read, Write};

/// What was decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decrypted {
    /// Number of rows, failed ones included.
    pub rows: u64,
    /// Rows that the server could not evaluate, the first [`Decrypted::MAX_FAILURES`] of them.
    pub failures: Vec<Failure>,
    /// Number of all failed rows.
    pub failed: u64,
}

impl Decrypted {
    /// Most failures that are listed.
    pub const MAX_FAILURES: usize = 100;
}

/// A row without a prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Number of the row, from 1.
    pub row: u64,
    /// Why.
    pub reason: String,
}

impl Client {
    /// Column names of the predictions: `label`, `probability_<class>`, `score_<class>`, `prediction` or `prediction_<i>`.
    pub fn prediction_columns(&self) -> Vec<String> {
        prediction::columns(self.specs().specs())
    }

    /// Decrypts a reply and writes the predictions as CSV, one line a row, a line of empty cells for a row that failed. `progress` hears
    /// the number of rows so far.
    pub fn decrypt(
        &self,
        key: &SecretKey,
        reply: impl Read,
        out: impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<Decrypted, ClientError> {
        self.check_key(key)?;
        let mut csv = csv::Writer::from_writer(out);
        let columns = self.prediction_columns();
        csv.write_record(&columns).map_err(ClientError::WritePredictions)?;
        let mut done = Decrypted {
            rows: 0,
            failures: Vec::new(),
            failed: 0,
        };
        for chunk in Chunks::<_, ReplyChunk>::new(reply) {
            let (tag, chunk) = chunk?;
            self.check_reply(key, tag, &chunk)?;
            let decrypt = |(index, outcome): (usize, &Outcome)| match outcome {
                Ok(bytes) => {
                    let row = chunk.head.first_row + index as u64 + 1;
                    self.decrypt_row(key, bytes)
                        .map(Ok)
                        .map_err(|source| ClientError::Reply { row, source })
                }
                Err(reason) => Ok(Err(reason.clone())),
            };
            let predictions = chunk.outcomes.par_iter().enumerate().map(decrypt).collect::<Result<Vec<_>, _>>()?;
            for prediction in predictions {
                done.rows += 1;
                match prediction {
                    Ok(prediction) => csv.write_record(prediction.cells()),
                    Err(reason) => {
                        done.failed += 1;
                        if done.failures.len() < Decrypted::MAX_FAILURES {
                            done.failures.push(Failure { row: done.rows, reason });
                        }
                        csv.write_record(columns.iter().map(|_| ""))
                    }
                }
                .map_err(ClientError::WritePredictions)?;
            }
            progress(done.rows);
        }
        csv.flush().map_err(|error| ClientError::WritePredictions(error.into()))?;
        Ok(done)
    }

    fn check_reply(&self, key: &SecretKey, tag: ParameterSetTag, chunk: &ReplyChunk) -> Result<(), ClientError> {
        let (found, expected) = (chunk.head.specs, self.specs().hash());
        if found != expected {
            return Err(ClientError::OtherSpecs {
                found: found.short(),
                expected: expected.short(),
            });
        }
        if tag != self.parameter_set().tag() || chunk.head.row_len as usize != self.reply_row_bytes() {
            return Err(ClientError::Message(FrameError::Corrupt { kind: Kind::Reply }.into()));
        }
        if chunk.head.key != key.id() {
            return Err(ClientError::OtherKey {
                found: chunk.head.key,
                held: key.id(),
            });
        }
        Ok(())
    }
}
