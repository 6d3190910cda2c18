//! Results of rows in files that servers keep for each other, integers little endian:
//!
//! ```text
//! 0, then ciphertexts: mask and body, 8 bytes a coefficient
//! 1, then a length (4 bytes) and that many bytes of UTF-8: why the row failed
//! ```

use crate::answer::Waiting;
use cipherfn_protocol::message::MAX_EXPLANATION;
use cipherfn_scheme::Glwe;

const DONE: u8 = 0;
const FAILED: u8 = 1;

/// What is wrong with the bytes, as part of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Appends a row.
pub(crate) fn write(payload: &mut Vec<u8>, row: &Waiting) {
    match row {
        Ok(row) => {
            payload.push(DONE);
            write_ciphertexts(payload, row);
        }
        Err(why) => {
            // No more of it would travel.
            let why = &why[..why.floor_char_boundary(MAX_EXPLANATION)];
            payload.push(FAILED);
            payload.extend_from_slice(&(why.len() as u32).to_le_bytes());
            payload.extend_from_slice(why.as_bytes());
        }
    }
}

/// Appends ciphertexts, one behind the other.
pub(crate) fn write_ciphertexts(payload: &mut Vec<u8>, ciphertexts: &[Glwe]) {
    let words = ciphertexts
        .iter()
        .flat_map(|glwe| glwe.mask.iter().chain(&glwe.body));
    payload.extend(words.flat_map(|word| word.to_le_bytes()));
}

/// Bytes that are left to read.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.0.split_at_checked(len);
        let (taken, rest) = taken.ok_or(Malformed("it ends inside a row"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Malformed> {
        let taken = self.0.split_first_chunk();
        let (taken, rest) = taken.ok_or(Malformed("it ends inside a field"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn number(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A row of so many ciphertexts, of so many words of mask and of body.
    fn row(&mut self, count: usize, len: (usize, usize)) -> Result<Waiting, Malformed> {
        match self.array()? {
            // Ciphertexts of no words would cost memory that no byte pays for.
            [DONE] if len.0 == 0 || len.1 == 0 => Err(Malformed("ciphertexts without words")),
            [DONE] => Ok(Ok(self.some(count, len)?)),
            [FAILED] => {
                let len = self.number()? as usize;
                let text = std::str::from_utf8(self.take(len)?);
                let text = text.map_err(|_| Malformed("a text is not UTF-8"))?;
                Ok(Err(text.to_owned()))
            }
            _ => Err(Malformed("unknown outcome")),
        }
    }

    /// So many ciphertexts, of so many words of mask and of body.
    fn some(&mut self, count: usize, len: (usize, usize)) -> Result<Vec<Glwe>, Malformed> {
        let glwes = (0..count).map(|_| {
            Ok(Glwe {
                mask: self.words(len.0)?,
                body: self.words(len.1)?,
            })
        });
        glwes.collect()
    }

    /// Ciphertexts to the end of the bytes, as many of these dimensions.
    pub(crate) fn ciphertexts(
        mut self,
        count: usize,
        len: (usize, usize),
    ) -> Result<Vec<Glwe>, Malformed> {
        let ciphertexts = self.some(count, len)?;
        self.require_end(ciphertexts)
    }

    fn require_end<T>(&self, read: T) -> Result<T, Malformed> {
        if self.0.is_empty() {
            Ok(read)
        } else {
            Err(Malformed("bytes follow its rows"))
        }
    }

    /// Rows to the end of the bytes, each of which has a byte at least, so that they pay for what is
    /// allocated.
    pub(crate) fn rows(
        mut self,
        rows: u32,
        count: usize,
        len: (usize, usize),
    ) -> Result<Vec<Waiting>, Malformed> {
        let rows = (0..rows)
            .map(|_| self.row(count, len))
            .collect::<Result<_, _>>()?;
        self.require_end(rows)
    }

    pub(crate) fn words(&mut self, len: usize) -> Result<Vec<u64>, Malformed> {
        let bytes = self.take(len.saturating_mul(8))?;
        let (words, _) = bytes.as_chunks();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}
