//! The results of all rows of a reply, packed.

use super::{PackedShape, ReplyShape, decrypt_packed, pack};
use crate::error::SchemeError;
use crate::glwe::Glwe;
use crate::keys::{ExpandedEvaluationKey, SecretKey};
use crate::parallel;

/// Packed results of many rows, each of which has one result a shape: *blocks* of as many rows as
/// every result's ciphertext has room for, one ciphertext a shape in each.
///
/// Whatever a row's results hold beside the coefficients that travel is cleared, so the set's key
/// must be one that can: of log2 N levels.
#[derive(Clone, Copy, Debug)]
pub struct PackedRows<'a> {
    shapes: &'a [ReplyShape],
    rows_a_block: usize,
}

impl<'a> PackedRows<'a> {
    /// Of rows with results of these shapes. None where the set has no key that packs them.
    pub fn of(shapes: &'a [ReplyShape]) -> Option<Self> {
        let most = shapes.iter().map(PackedShape::most_rows).min();
        let rows_a_block = most.filter(|rows| *rows > 0)?;
        Some(Self {
            shapes,
            rows_a_block,
        })
    }

    /// Rows of a block, but for the last one.
    pub const fn rows_a_block(&self) -> usize {
        self.rows_a_block
    }

    /// Bytes of `rows` rows.
    pub fn bytes(&self, rows: usize) -> usize {
        let full = self
            .block_bytes(self.rows_a_block)
            .saturating_mul(rows / self.rows_a_block);
        full.saturating_add(self.block_bytes(rows % self.rows_a_block))
    }

    /// Whether `rows` rows take fewer bytes than apart.
    pub fn saves(&self, rows: usize) -> bool {
        let apart: usize = self.shapes.iter().map(ReplyShape::row_bytes).sum();
        self.bytes(rows) < rows.saturating_mul(apart)
    }

    /// Key switches that packing `rows` rows takes, at most: those of each result.
    pub fn key_switches(&self, rows: usize) -> impl Iterator<Item = usize> + use<'a> {
        let blocks = rows.div_ceil(self.rows_a_block);
        self.shapes.iter().map(move |shape| {
            let packing = shape.set.packing();
            let levels = packing.map_or(0, |packing| packing.key_switch.len());
            rows * shape.coefficients + blocks * levels
        })
    }

    /// Whether these can be the results of a row: a ciphertext a shape, each of its set's size.
    pub fn are_results(&self, row: &[Glwe]) -> bool {
        let fits = |(glwe, shape): (&Glwe, &ReplyShape)| {
            glwe.mask.len() == shape.set.mask_len()
                && glwe.body.len() == shape.set.ring.polynomial_size
        };
        row.len() == self.shapes.len() && row.iter().zip(self.shapes).all(fits)
    }

    /// Packs a block: the results of each row, or None for a row that has none and reads as zero.
    /// One ciphertext a shape, each when it is asked for; they follow each other in the reply.
    pub fn pack(
        &self,
        key: &ExpandedEvaluationKey,
        results: Vec<Option<Vec<Glwe>>>,
    ) -> impl Iterator<Item = Result<Vec<u8>, SchemeError>> {
        let rows = results.len();
        let mut results: Vec<_> = results
            .into_iter()
            .map(|row| row.map(Vec::into_iter))
            .collect();
        self.packed_shapes(rows).map(move |shape| {
            let results = results.iter_mut().map(|row| row.as_mut()?.next());
            let results: Vec<Option<Glwe>> = results.collect();
            pack(key, &shape, &results)
        })
    }

    /// The phases of all rows, by row: those of its results one after the other, as noisy as those
    /// of [`super::decrypt`].
    pub fn decrypt(
        &self,
        key: &SecretKey,
        rows: usize,
        packed: &[u8],
    ) -> Result<Vec<Vec<i64>>, SchemeError> {
        let expected = self.bytes(rows);
        if packed.len() != expected {
            return Err(SchemeError::Length {
                what: "packed reply",
                expected,
                found: packed.len(),
            });
        }
        // Rows come before bytes: there is no block of no bytes, but none of no rows either.
        let blocks = packed.chunks(self.block_bytes(self.rows_a_block));
        let blocks: Vec<&[u8]> = blocks.collect();
        let blocks = parallel::map(&blocks, |index, block| {
            let before = index * self.rows_a_block;
            self.decrypt_block(key, (rows - before).min(self.rows_a_block), block)
        });
        let blocks = blocks.into_iter().collect::<Result<Vec<_>, _>>();
        Ok(blocks?.concat())
    }

    fn decrypt_block(
        &self,
        key: &SecretKey,
        rows: usize,
        mut block: &[u8],
    ) -> Result<Vec<Vec<i64>>, SchemeError> {
        let mut phases = vec![Vec::new(); rows];
        for shape in self.packed_shapes(rows) {
            let (own, rest) = block.split_at(shape.bytes());
            block = rest;
            let results = decrypt_packed(key, &shape, own)?;
            for (row, results) in phases
                .iter_mut()
                .zip(results.chunks_exact(shape.row.coefficients))
            {
                row.extend_from_slice(results);
            }
        }
        Ok(phases)
    }

    fn block_bytes(&self, rows: usize) -> usize {
        match rows {
            0 => 0,
            _ => self
                .packed_shapes(rows)
                .map(|shape| shape.bytes())
                .fold(0, usize::saturating_add),
        }
    }

    fn packed_shapes(&self, rows: usize) -> impl Iterator<Item = PackedShape> + use<'a> {
        self.shapes
            .iter()
            .map(move |row| PackedShape { row: *row, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::EvaluationKey;
    use crate::parameters::ParameterSet;
    use crate::testing::Noiseless;
    use cipherfn_protocol::specs::Bits;

    const WIDE: &str = "cipherfn-128-n2048-m11-v1";

    fn shape(set: &str, coefficients: usize) -> ReplyShape {
        ReplyShape {
            set: ParameterSet::by_name(set).unwrap(),
            coefficients,
            stride: 1,
            bits: Bits::new(24),
        }
    }

    #[test]
    fn sets_that_cannot_clear_do_not_pack() {
        for (set, packs) in [
            (WIDE, true),
            ("cipherfn-128-n2048-m8-v1", false),
            ("cipherfn-128-n512k4-v1", false),
        ] {
            assert_eq!(PackedRows::of(&[shape(set, 1)]).is_some(), packs, "{set}");
        }
        assert!(PackedRows::of(&[]).is_none());
    }

    #[test]
    fn bytes_and_blocks() {
        let shapes = [shape(WIDE, 1)];
        let one = PackedRows::of(&shapes).unwrap();
        assert_eq!(one.rows_a_block(), 2048);
        assert_eq!(one.bytes(1), shapes[0].row_bytes());
        assert!(!one.saves(1) && one.saves(2));
        assert_eq!(one.bytes(2049), 2048 * 3 + 2048 * 3 + 2048 * 3 + 3);
        let shapes = [shape(WIDE, 10), shape(WIDE, 3)];
        let several = PackedRows::of(&shapes).unwrap();
        assert_eq!(several.rows_a_block(), 204);
        assert_eq!(several.bytes(205), 4 * 6144 + 3 * (2050 + 615));
    }

    /// Two results a row, three scores and one, in two blocks, and a row without results.
    #[test]
    fn rows_come_back_in_order() {
        let shapes = [shape(WIDE, 700), shape(WIDE, 1)];
        let secret = SecretKey::generate(shapes[0].set).unwrap();
        let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
        let inputs: Vec<Noiseless> = (0..3)
            .map(|index| Noiseless::random(&secret, index))
            .collect();
        let rows = PackedRows::of(&shapes).unwrap();
        assert_eq!(rows.rows_a_block(), 2);
        let results = |row: usize| {
            let glwe = |index: usize| inputs[index % 3].glwe.clone();
            (row != 1).then(|| vec![glwe(row), glwe(row + 1)])
        };
        let blocks = [vec![results(0), results(1)], vec![results(2)]];
        let mut packed = Vec::new();
        for block in blocks {
            packed.extend(rows.pack(&key, block).flat_map(Result::unwrap));
        }
        assert_eq!(packed.len(), rows.bytes(3));
        let phases = rows.decrypt(&secret, 3, &packed).unwrap();
        for (row, phases) in phases.iter().enumerate() {
            assert_eq!(phases.len(), 701);
            let first = &inputs[row % 3].message[..700];
            let expected = first.iter().chain(&inputs[(row + 1) % 3].message[..1]);
            for (phase, expected) in phases.iter().zip(expected) {
                let expected = if row == 1 { 0 } else { *expected as i64 };
                // 24 bits of reply leave 2^-21.3.
                assert!(phase.wrapping_sub(expected).unsigned_abs() < 1 << 46);
            }
        }
        assert!(rows.decrypt(&secret, 3, &packed[1..]).is_err());
        assert!(rows.decrypt(&secret, 2, &packed).is_err());
    }
}
