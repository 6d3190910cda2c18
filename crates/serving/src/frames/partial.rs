//! What some rows of a pass make, as a file, and all rows' to the results of the pass.
//!
//! Results are sums of ciphertexts, so it makes no difference who evaluates which rows. What adds up is
//! bound: a file says which query it is of, which pass and which rows; every row is there once, or
//! nothing is made of them.
//!
//! Payload of a frame of kind [`FrameKind::Sums`], version 2 (integers little endian):
//!
//! ```text
//! offset  size  field
//!      0    32  name of the query
//!     32     4  number of the pass, from 0
//!     36     8  first row, from 0
//!     44     8  the row behind the last
//!     52     4  ciphertexts
//!   then     -  of each: its place (4), mask and body, 8 bytes a coefficient
//! ```

use super::{PassResults, PassRun};
use crate::rows::{Malformed, Reader};
use cipherfn_protocol::api::job::MAX_SUMS;
use cipherfn_protocol::frame::{self, FrameError, FrameKind};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{Glwe, SchemeError};
use std::collections::BTreeMap;
use std::ops::Range;

/// Version 1 is what parts of models make.
const VERSION: u16 = 2;

/// What some rows of a pass make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialResults {
    /// Which rows.
    rows: Range<u64>,
    /// By place among the results of the pass.
    results: BTreeMap<u32, Glwe>,
}

/// Why files do not add up to the results of a pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// No file of sums.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// One that is not whole, or of other dimensions.
    #[error("what rows of pass {pass} make cannot be read: {why}")]
    Form {
        /// The pass, from 1.
        pass: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Of another query or another pass.
    #[error("what rows of pass {pass} make is of another query or pass")]
    Other {
        /// The pass, from 1.
        pass: usize,
    },
    /// Rows that are there twice, or not at all.
    #[error("of pass {pass}, row {row} is missing, or there twice")]
    Rows {
        /// The pass, from 1.
        pass: usize,
        /// The row, from 1.
        row: u64,
    },
    /// Ciphertexts that do not add up.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}

impl PassRun<'_> {
    /// What was made so far, which is of these rows.
    pub fn partial(self, rows: Range<usize>) -> PartialResults {
        let results = self.results.into_iter();
        PartialResults {
            rows: rows.start as u64..rows.end as u64,
            results: results
                .map(|(place, result)| (place as u32, result))
                .collect(),
        }
    }
}

impl PartialResults {
    /// The file, of a query and the pass of a number from 0.
    pub fn to_file_bytes(&self, set: &ParameterSet, (query, pass): (Hash, usize)) -> Vec<u8> {
        let mut payload = Vec::new();
        payload.extend(query.as_bytes());
        payload.extend((pass as u32).to_le_bytes());
        payload.extend(self.rows.start.to_le_bytes());
        payload.extend(self.rows.end.to_le_bytes());
        payload.extend((self.results.len() as u32).to_le_bytes());
        for (place, glwe) in &self.results {
            payload.extend(place.to_le_bytes());
            let words = glwe.mask.iter().chain(&glwe.body);
            payload.extend(words.flat_map(|word| word.to_le_bytes()));
        }
        frame::encode(FrameKind::Sums, VERSION, set.tag(), &payload)
    }

    fn from_file_bytes(
        bytes: &[u8],
        set: &ParameterSet,
        (query, pass): (Hash, usize),
    ) -> Result<Self, PartialError> {
        let frame = frame::decode(bytes, FrameKind::Sums, &[VERSION], MAX_SUMS as u64)?;
        let form = |Malformed(why)| PartialError::Form {
            pass: pass + 1,
            why,
        };
        let mut reader = Reader(&frame.payload);
        let found = Hash::from_bytes(reader.array().map_err(form)?);
        let number = reader.number().map_err(form)?;
        if frame.parameter_set != set.tag() || (found, number as usize) != (query, pass) {
            return Err(PartialError::Other { pass: pass + 1 });
        }
        let start = u64::from_le_bytes(reader.array().map_err(form)?);
        let end = u64::from_le_bytes(reader.array().map_err(form)?);
        let count = reader.number().map_err(form)?;
        let size = set.ring.polynomial_size;
        let mut results = BTreeMap::new();
        for _ in 0..count {
            let place = reader.number().map_err(form)?;
            let glwe = Glwe {
                mask: reader.words(set.ring.glwe_dimension * size).map_err(form)?,
                body: reader.words(size).map_err(form)?,
            };
            results.insert(place, glwe);
        }
        if !reader.0.is_empty() {
            return Err(form(Malformed("bytes follow its ciphertexts")));
        }
        Ok(Self {
            rows: start..end,
            results,
        })
    }
}

impl PassResults {
    /// The results of a pass over so many rows, of files that say what some of them make, in any order.
    pub fn of_files<B: AsRef<[u8]>>(
        set: &ParameterSet,
        (query, pass): (Hash, usize),
        rows: usize,
        files: &[B],
    ) -> Result<Self, PartialError> {
        let mut total: BTreeMap<u32, Glwe> = BTreeMap::new();
        let mut ranges = Vec::with_capacity(files.len());
        for file in files {
            let part = PartialResults::from_file_bytes(file.as_ref(), set, (query, pass))?;
            for (place, result) in part.results {
                match total.get_mut(&place) {
                    Some(sum) => sum.add(&result)?,
                    None => drop(total.insert(place, result)),
                }
            }
            ranges.push((part.rows.start, part.rows.end));
        }
        ranges.sort_unstable();
        let mut next = 0;
        for (start, end) in ranges.into_iter().chain([(rows as u64, rows as u64)]) {
            if start != next || end < start {
                return Err(PartialError::Rows {
                    pass: pass + 1,
                    row: next.min(start) + 1,
                });
            }
            next = end;
        }
        Ok(Self {
            rows,
            ciphertexts: total.into_values().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "cipherfn-128-n2048-m11-v1";

    fn part(set: &ParameterSet, rows: Range<u64>, results: &[(u32, u64)]) -> Vec<u8> {
        let size = set.ring.polynomial_size;
        let glwe = |value| Glwe {
            mask: vec![value; size * set.ring.glwe_dimension],
            body: vec![value; size],
        };
        let results = results.iter().map(|(place, value)| (*place, glwe(*value)));
        let part = PartialResults {
            rows,
            results: results.collect(),
        };
        part.to_file_bytes(set, (Hash::of(b"query"), 1))
    }

    #[test]
    fn rows_add_up_in_any_order_and_every_row_counts_once() {
        let set = ParameterSet::by_name(SET).unwrap();
        let (a, b) = (
            part(set, 0..64, &[(0, 5), (1, 7)]),
            part(set, 64..100, &[(1, u64::MAX), (2, 9)]),
        );
        let name = (Hash::of(b"query"), 1);
        let sum = |files: &[&Vec<u8>]| PassResults::of_files(set, name, 100, files);
        for files in [[&a, &b], [&b, &a]] {
            let results = sum(&files).unwrap();
            let values: Vec<u64> = results
                .ciphertexts
                .iter()
                .map(|glwe| glwe.body[3])
                .collect();
            assert_eq!((results.rows, values), (100, vec![5, 6, 9]));
        }
        for (files, row) in [
            (&[&a][..], 65),
            (&[&b], 1),
            (&[&a, &b, &b], 101),
            (&[&a, &a, &b], 1),
        ] {
            let error = sum(files).unwrap_err();
            assert!(
                matches!(error, PartialError::Rows { pass: 2, row: found } if found == row),
                "{error}, not {row}"
            );
        }
        for other in [(Hash::of(b"other"), 1), (Hash::of(b"query"), 0)] {
            let error = PassResults::of_files(set, other, 100, &[&a, &b]).unwrap_err();
            assert!(matches!(error, PartialError::Other { .. }), "{error}");
        }
        let payload = &a[frame::HEADER_LEN..];
        for len in [0, 20, 40, 56, 57, 1000, payload.len() - 1] {
            let cut = frame::encode(FrameKind::Sums, VERSION, set.tag(), &payload[..len]);
            assert!(sum(&[&cut, &b]).is_err(), "{len}");
        }
    }
}
