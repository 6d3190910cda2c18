//! Which rows a query was made from, as only the holder of its secret key can tell.

use cipherfn_program::Tensor;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::Nonce;
use cipherfn_scheme::{KeyedDigest, SecretKey};

/// What separates these digests from any other use of the secret key.
const CONTEXT: &str = "cipherfn client rows of a query v1";

/// A digest of a query's rows, in their order: kept until its reply comes, it shows whether rows
/// that are given then are the ones that were encrypted, and so which answers mean nothing.
///
/// Of a row that cannot be read it is only that: reasons name files, which may be moved.
pub struct RowsDigest(KeyedDigest);

impl RowsDigest {
    /// Of no rows yet.
    pub fn new(key: &SecretKey, nonce: Option<Nonce>) -> Self {
        let mut digest = key.digest(CONTEXT);
        // Equal rows of two queries are not seen to be equal.
        digest.update(&nonce.map_or([0; 16], |nonce| *nonce.as_bytes()));
        Self(digest)
    }

    /// Adds rows.
    pub fn take(&mut self, rows: &[Result<Vec<Tensor>, String>]) {
        for row in rows {
            match row {
                Ok(tensors) => {
                    self.number(1 + tensors.len());
                    for tensor in tensors {
                        self.tensor(tensor);
                    }
                }
                Err(_) => self.number(0),
            }
        }
    }

    /// Of all rows.
    pub fn finish(self) -> Hash {
        self.0.finish()
    }

    fn tensor(&mut self, tensor: &Tensor) {
        let kind = match tensor {
            Tensor::F32(_) => 0,
            Tensor::F64(_) => 1,
            Tensor::I64(_) => 2,
            Tensor::Text(_) => 3,
        };
        self.number(kind);
        self.number(tensor.len());
        match tensor {
            Tensor::F32(values) => self.bytes(values.iter().map(|value| value.to_le_bytes())),
            Tensor::F64(values) => self.bytes(values.iter().map(|value| value.to_le_bytes())),
            Tensor::I64(values) => self.bytes(values.iter().map(|value| value.to_le_bytes())),
            Tensor::Text(values) => {
                for value in values {
                    self.number(value.len());
                    self.0.update(value.as_bytes());
                }
            }
        }
    }

    fn bytes<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) {
        for value in values {
            self.0.update(&value);
        }
    }

    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::RowsDigest;
    use cipherfn_program::Tensor;
    use cipherfn_protocol::message::Nonce;
    use cipherfn_scheme::SecretKey;
    use cipherfn_scheme::parameters::ParameterSet;

    #[test]
    fn a_digest_is_of_these_rows_in_this_order_under_this_key() {
        let set = ParameterSet::by_name("cipherfn-128-n2048-m8-v1").unwrap();
        let [key, other] = [0; 2].map(|_| SecretKey::generate(set).unwrap());
        let [nonce, another] = [1, 2].map(|byte| Some(Nonce::from_bytes([byte; 16])));
        let row = |number: f32, text: &str| {
            let texts = [text, "x"].map(str::to_owned).to_vec();
            Ok(vec![Tensor::F32(vec![number, 1.0]), Tensor::Text(texts)])
        };
        let digest = |key, nonce, batches: &[&[_]]| {
            let mut digest = RowsDigest::new(key, nonce);
            for batch in batches {
                digest.take(batch);
            }
            digest.finish()
        };
        let bad = |reason: &str| Err(reason.to_owned());
        let rows = [row(1.0, "a"), row(2.0, "b"), bad("line 3 of rows.csv")];
        let first = digest(&key, nonce, &[&rows]);
        // However they come, and wherever the file lies.
        let moved = [row(1.0, "a"), row(2.0, "b"), bad("line 3 of moved.csv")];
        assert_eq!(digest(&key, nonce, &[&moved[..1], &moved[1..]]), first);
        let swapped = [row(2.0, "b"), row(1.0, "a"), rows[2].clone()];
        let value = [row(1.5, "a"), row(2.0, "b"), rows[2].clone()];
        let text = [row(1.0, "ax"), row(2.0, "b"), rows[2].clone()];
        let mended = [row(1.0, "a"), row(2.0, "b"), row(3.0, "c")];
        for others in [&swapped[..], &value, &text, &mended, &rows[..2]] {
            assert_ne!(digest(&key, nonce, &[others]), first);
        }
        assert_ne!(digest(&key, another, &[&rows]), first);
        assert_ne!(digest(&other, nonce, &[&rows]), first);
    }
}
