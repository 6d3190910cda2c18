//! Tables under a public key: look-ups turn them as those that the key holder encrypts. Those of few entries
//! share a ciphertext, which is turned to the first entry of one.

use super::PublicCiphertext;
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::parameters::ParameterSet;
use crate::polynomial;

/// Most words of all tables.
const MAX_WORDS: usize = 1 << 26;

/// Dimensions of tables under a public key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublicTableShape {
    /// Parameter set of the ciphertexts.
    pub set: &'static ParameterSet,
    /// Number of tables.
    pub tables: usize,
    /// Entries of each; of more than N entries in blocks of N.
    pub entries: usize,
}

impl PublicTableShape {
    /// Words of the ciphertexts, up to the last table's last entry.
    ///
    /// # Errors
    /// No tables or entries, or too many of them.
    pub fn words(&self) -> Result<usize, SchemeError> {
        let words = self.tables.checked_mul(self.entries.max(1));
        let fits = words.is_some_and(|words| words <= MAX_WORDS);
        if !fits || self.tables == 0 || self.entries == 0 {
            return Err(SchemeError::Shape {
                what: "tables under a public key",
                problem: format!("{} tables of {} entries", self.tables, self.entries),
                set: self.set.name,
            });
        }
        Ok(self.first(self.tables - 1) + self.entries)
    }

    /// Bytes of the ciphertexts; none where there can be no such tables.
    pub fn bytes(&self) -> usize {
        self.words()
            .map_or(0, |words| PublicCiphertext::bytes(self.set, words))
    }

    /// The words to encrypt, of the entries of each table.
    ///
    /// # Errors
    /// Other numbers of tables or entries.
    pub fn lay_out(&self, tables: &[impl AsRef<[u64]>]) -> Result<Vec<u64>, SchemeError> {
        let mut words = vec![0; self.words()?];
        let count = |what, expected, found| {
            if expected == found {
                return Ok(());
            }
            Err(SchemeError::Count {
                what,
                expected,
                found,
            })
        };
        count("tables", self.tables, tables.len())?;
        for (index, table) in tables.iter().enumerate() {
            let (table, first) = (table.as_ref(), self.first(index));
            count("entries of a table", self.entries, table.len())?;
            words[first..first + self.entries].copy_from_slice(table);
        }
        Ok(words)
    }

    /// The entries of each table among words that were decrypted.
    ///
    /// # Errors
    /// Another number of words.
    pub fn entries_of<'w>(&self, words: &'w [u64]) -> Result<Vec<&'w [u64]>, SchemeError> {
        let expected = self.words()?;
        if words.len() != expected {
            return Err(SchemeError::Count {
                what: "decrypted words",
                expected,
                found: words.len(),
            });
        }
        let table = |index| {
            let first = self.first(index);
            &words[first..first + self.entries]
        };
        Ok((0..self.tables).map(table).collect())
    }

    /// The ciphertext of entries `block N` and on of a table: they are coefficients 0 and on, and what
    /// follows them means nothing. `None` where there is no such table.
    pub fn table(&self, sum: &PublicCiphertext, index: usize, block: usize) -> Option<Glwe> {
        let size = self.set.ring.polynomial_size;
        if index >= self.tables || block >= self.entries.div_ceil(size) {
            return None;
        }
        let first = self.first(index) + block * size;
        let Glwe { mask, mut body } = sum.glwes.get(first / size)?.clone();
        body.resize(size, 0);
        let turned = |words: Vec<u64>| match first % size {
            0 => words,
            places => polynomial::rotate(&words, 2 * size - places),
        };
        Some(Glwe {
            mask: turned(mask),
            body: turned(body),
        })
    }

    /// Place of a table's first entry among all words.
    const fn first(&self, index: usize) -> usize {
        let size = self.set.ring.polynomial_size;
        if self.entries > size {
            return index * self.entries.div_ceil(size) * size;
        }
        let together = size / self.entries;
        index / together * size + index % together * self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::public::PublicKey;
    use crate::random::reproducible;

    /// Tables that share a ciphertext, one a ciphertext, and of several: each begins at coefficient 0.
    #[test]
    fn tables_begin_with_their_entries() {
        reproducible::seeds("tables under a public key");
        let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
        let key = SecretKey::generate(set).unwrap();
        let public = PublicKey::generate(&key).unwrap();
        for (tables, entries, ciphertexts) in [(5, 700, 3), (2, 2048, 2), (2, 2100, 4)] {
            let shape = PublicTableShape {
                set,
                tables,
                entries,
            };
            let number = |table: usize, entry: usize| ((7 * table + entry) as u64 % 200) << 50;
            let own = |table| (0..entries).map(|entry| number(table, entry)).collect();
            let own: Vec<Vec<u64>> = (0..tables).map(own).collect();
            let sum = public.encrypt(&shape.lay_out(&own).unwrap()).unwrap();
            assert_eq!(sum.glwes.len(), ciphertexts);
            let near = |word: u64, number: u64| {
                assert!((word.wrapping_sub(number) as i64).unsigned_abs() < 1 << 40);
            };
            let words = sum.decrypt(&key).unwrap();
            let read = shape.entries_of(&words).unwrap();
            assert_eq!(read.len(), tables);
            for (own, read) in own.iter().zip(&read) {
                assert_eq!(own.len(), read.len());
                own.iter()
                    .zip(*read)
                    .for_each(|(own, read)| near(*read, *own));
            }
            for table in 0..tables {
                for block in 0..entries.div_ceil(2048) {
                    let glwe = shape.table(&sum, table, block).unwrap();
                    let product = key.multiplier().product(&glwe.mask).to_vec();
                    let phases = glwe.body.iter().zip(&product);
                    let phases = phases.map(|(body, product)| body.wrapping_sub(*product));
                    for (entry, phase) in phases.enumerate().take(entries - 2048 * block) {
                        near(phase, number(table, 2048 * block + entry));
                    }
                }
                assert!(shape.table(&sum, table, entries.div_ceil(2048)).is_none());
            }
            assert!(shape.table(&sum, tables, 0).is_none());
            assert!(shape.lay_out(&own[1..]).is_err() && shape.entries_of(&words[1..]).is_err());
        }
        for (tables, entries) in [(0, 5), (5, 0), (1 << 20, 1 << 20), (usize::MAX, 2)] {
            let shape = PublicTableShape {
                set,
                tables,
                entries,
            };
            assert!(shape.words().is_err());
        }
    }
}
