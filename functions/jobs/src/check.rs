//! What is refused of a declaration before anything is done.

use cipherfn_protocol::api::job::{ChunkFile, MAX_CHUNK};
use cipherfn_protocol::api::{Problem, ProblemType};
use std::collections::HashMap;

/// Chunks must be 1 to `most`, of a size that is taken, and no two the same: the same query twice
/// would be the same ciphertexts, which no client makes.
pub(crate) fn chunks(chunks: &[ChunkFile], most: usize) -> Result<(), Problem> {
    let malformed = |detail| Err(Problem::new(ProblemType::MalformedRequest, detail));
    if chunks.is_empty() || chunks.len() > most {
        return malformed(format!(
            "chunks: {} are declared; declare 1 to {most} at a time",
            chunks.len()
        ));
    }
    let mut seen = HashMap::with_capacity(chunks.len());
    for (number, chunk) in chunks.iter().enumerate() {
        if !(1..=MAX_CHUNK).contains(&chunk.bytes) {
            return malformed(format!(
                "chunks: number {number} has {} bytes; a chunk has 1 to {MAX_CHUNK}",
                chunk.bytes
            ));
        }
        if let Some(first) = seen.insert(chunk.sha256, number) {
            return malformed(format!(
                "chunks: numbers {first} and {number} are the same; declare each chunk once"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::chunks;
    use cipherfn_protocol::api::job::{ChunkFile, MAX_CHUNK};
    use cipherfn_protocol::hash::Sha256;

    fn chunk(bytes: u64, digit: u8) -> ChunkFile {
        ChunkFile {
            bytes,
            sha256: Sha256::from_bytes([digit; 32]),
        }
    }

    #[test]
    fn what_no_client_would_declare_is_refused_by_number() {
        let sound = [chunk(1, 0), chunk(MAX_CHUNK, 1)];
        assert!(chunks(&sound, 2).is_ok());
        let refused = |declared: &[ChunkFile], most| chunks(declared, most).unwrap_err().detail;
        assert!(refused(&[], 2).contains("0 are declared"));
        assert!(refused(&sound, 1).contains("1 to 1"));
        for bytes in [0, MAX_CHUNK + 1, u64::MAX] {
            let declared = [chunk(1, 0), chunk(bytes, 1)];
            assert!(refused(&declared, 2).contains(&format!("number 1 has {bytes} bytes")));
        }
        let doubled = [chunk(1, 0), chunk(1, 1), chunk(1, 0)];
        assert!(refused(&doubled, 3).contains("numbers 0 and 2 are the same"));
    }
}
