//! A table to a query, in bounded memory.

use crate::client::Client;
use crate::error::ClientError;
use cipherfn_protocol::message::{ChunkHead, QueryChunk, rows_a_chunk, write_chunk};
use cipherfn_protocol::program::Tensor;
use cipherfn_scheme::SecretKey;
use cipherfn_table::Rows;
use rayon::prelude::*;
use std::io::{Read, Write};

/// What was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// Number of rows.
    pub rows: u64,
}

impl Client {
    /// Encrypts every row of a table and writes the query, one chunk at a time, rows of a chunk in parallel. `progress` hears the
    /// number of rows written so far.
    ///
    /// A row that cannot be encoded stops everything with an error that names its line: what was written then is not a whole query,
    /// and readers refuse it.
    pub fn encrypt<R: Read>(
        &self,
        key: &SecretKey,
        mut rows: Rows<R>,
        mut out: impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<Encrypted, ClientError> {
        self.check_key(key)?;
        let row_len = self.query_row_bytes();
        let source_name = rows.source_name().to_owned();
        let mut head = ChunkHead {
            specs: self.specs().hash(),
            key: key.id(),
            first_row: 0,
            last: false,
            row_len: row_len as u32,
        };
        let mut batch = next_batch(&mut rows, rows_a_chunk(row_len))?;
        while !batch.is_empty() {
            let next = next_batch(&mut rows, rows_a_chunk(row_len))?;
            head.last = next.is_empty();
            let encrypt = |(line, row): (u64, Vec<Tensor>)| {
                self.encrypt_row(key, row).map_err(|source| ClientError::Row {
                    source_name: source_name.clone(),
                    line,
                    source,
                })
            };
            let encrypted = batch.into_par_iter().map(encrypt).collect::<Result<Vec<_>, _>>()?;
            let count = encrypted.len() as u64;
            write_chunk(&mut out, self.parameter_set().tag(), &QueryChunk { head, rows: encrypted }).map_err(ClientError::WriteQuery)?;
            head.first_row += count;
            progress(head.first_row);
            batch = next;
        }
        out.flush().map_err(ClientError::WriteQuery)?;
        Ok(Encrypted { rows: head.first_row })
    }
}

/// The next rows, at most `count`, each with its line.
fn next_batch<R: Read>(rows: &mut Rows<R>, count: usize) -> Result<Vec<(u64, Vec<Tensor>)>, ClientError> {
    let mut batch = Vec::new();
    while batch.len() < count
        && let Some(row) = rows.next()
    {
        batch.push((rows.line(), row?));
    }
    Ok(batch)
}
