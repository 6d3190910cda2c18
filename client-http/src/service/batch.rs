//! How many rows go into one request.

use super::error::ServiceError;
use cipherfn_client::Client;
use cipherfn_protocol::api::{MAX_REPLY, MAX_REQUEST, ModelName};
use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::message::{HEAD_LEN, MAX_EXPLANATION, rows_a_chunk};

/// Bytes of a chunk beside its rows: the frame's header and the chunk's head.
const CHUNK_HEADER: usize = HEADER_LEN + HEAD_LEN;

/// Most rows whose query and whose reply are within the service's limits, even if every row fails
/// with the longest explanation.
pub(crate) fn rows_a_request(client: &Client, model: &ModelName) -> Result<usize, ServiceError> {
    let query_row = client.query_row_bytes().max(1);
    // An outcome is a flag and the row, or a flag, a length and an explanation.
    let outcome = (1 + client.reply_row_bytes()).max(5 + MAX_EXPLANATION);
    // A service may cut its reply as its query is cut, or as replies of files are.
    let reply_chunk = rows_a_chunk(query_row).min(rows_a_chunk(outcome));
    let fits = |row, chunk, limit| match most_rows(row, chunk, limit) {
        0 => Err(ServiceError::RowTooLarge {
            model: model.clone(),
            bytes: row,
            limit,
        }),
        rows => Ok(rows),
    };
    Ok(
        fits(query_row, rows_a_chunk(query_row), MAX_REQUEST)?.min(fits(
            outcome,
            reply_chunk,
            MAX_REPLY,
        )?),
    )
}

/// Most rows of `row` bytes, in chunks of `chunk` rows, that take at most `limit` bytes.
const fn most_rows(row: usize, chunk: usize, limit: usize) -> usize {
    let whole = CHUNK_HEADER + chunk * row;
    let rest = (limit % whole).saturating_sub(CHUNK_HEADER) / row;
    limit / whole * chunk + rest
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_HEADER, most_rows};

    #[test]
    fn the_most_rows_that_fit_and_not_one_more() {
        for row in [1, 7, 100, 4096] {
            for chunk in [1, 3, 50] {
                for limit in [0, 100, 117, 118, 5000, 123_456] {
                    let rows = most_rows(row, chunk, limit);
                    let bytes = |rows: usize| rows * row + rows.div_ceil(chunk) * CHUNK_HEADER;
                    assert!(bytes(rows) <= limit, "{row} {chunk} {limit}");
                    assert!(bytes(rows + 1) > limit, "{row} {chunk} {limit}");
                }
            }
        }
    }
}
