//! What rows of other frames look up of a frame.

use super::{POLYNOMIAL_SIZE, ROOM_BITS, Schema};

/// Most combinations of keys of a look-up: 32 ciphertexts a limb.
pub const MAX_LOOKUP_SIZE: u64 = 1 << 16;
/// Most rows of a key whose values a look-up adds, unless a schema says otherwise: what limbs have room for.
pub const ADDED_ROWS: u32 = 1 << (ROOM_BITS - 1);
/// Most rows of a key that a schema may say: limbs of 8 bits then still have what errors leave of a
/// coefficient.
pub const MAX_ADDED_ROWS: u32 = 1 << 20;

/// Columns that rows of other frames look up by keys of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupIndex {
    /// The key columns, one or two.
    pub by: Vec<String>,
    /// The columns that are looked up; that a row exists can always be.
    pub columns: Vec<String>,
    /// What happens where two rows have equal keys.
    pub duplicates: Duplicates,
    /// Most rows of a key, where their values are added; [`ADDED_ROWS`] elsewhere.
    pub rows: u32,
}

/// What happens where two rows have equal keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// They are refused when the frame is encrypted.
    #[default]
    Refuse,
    /// Their values are added.
    Sum,
}

/// A table that an encrypted frame has for a look-up: entry k is that of the rows of key k.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TablePart {
    /// The number of rows.
    Matched,
    /// The number of rows whose cell of a column is there. Of columns with nulls.
    Presence(usize),
    /// A limb of a column.
    Limb(usize, usize),
}

/// Places of combinations of keys: the sum of code times stride.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLayout {
    /// A stride a key.
    pub strides: Vec<u64>,
    /// Number of places.
    pub places: u64,
}

impl LookupIndex {
    /// How many rows an entry may be the sum of.
    pub const fn added(&self) -> u32 {
        match self.duplicates {
            Duplicates::Refuse => 1,
            Duplicates::Sum => self.rows,
        }
    }

    /// A limb of b bits is `v 2^-(this + b)`, so that sums of as many as may be added have half the torus;
    /// numbers of rows are limbs of one bit.
    pub const fn room_bits(&self) -> u32 {
        let needed = self.added().next_power_of_two().trailing_zeros() + 1;
        if needed > ROOM_BITS {
            needed
        } else {
            ROOM_BITS
        }
    }
}

impl KeyLayout {
    /// Keys of so many codes each. Where one ciphertext has no room for all, strides are powers of
    /// two, so that the high bits of codes are the number of a ciphertext.
    pub fn of(sizes: Vec<u64>) -> Self {
        let product = sizes
            .iter()
            .fold(1u64, |product, size| product.saturating_mul(*size));
        let is_one = product <= u64::from(POLYNOMIAL_SIZE);
        let (mut strides, mut stride, mut places) = (Vec::with_capacity(sizes.len()), 1u64, 1u64);
        for size in sizes {
            strides.push(stride);
            places = stride.saturating_mul(size);
            stride = if is_one {
                places
            } else {
                stride.saturating_mul(size.next_power_of_two())
            };
        }
        Self { strides, places }
    }

    /// Number of ciphertexts.
    pub const fn blocks(&self) -> u64 {
        self.places.div_ceil(POLYNOMIAL_SIZE as u64)
    }
}

impl Schema {
    /// The tables of a look-up, in the order in which files hold them.
    pub fn tables(&self, lookup: &LookupIndex) -> Vec<TablePart> {
        let mut tables = vec![TablePart::Matched];
        for name in &lookup.columns {
            let Some(index) = self.position(name) else {
                continue;
            };
            let column = &self.columns[index];
            if column.nulls {
                tables.push(TablePart::Presence(index));
            }
            let limbs = column.limbs().len();
            tables.extend((0..limbs).map(|limb| TablePart::Limb(index, limb)));
        }
        tables
    }

    /// Entries of a look-up's tables.
    pub fn lookup_size(&self, lookup: &LookupIndex) -> u64 {
        self.lookup_layout(lookup).places
    }

    /// Where the rows of a look-up's keys lie in its tables.
    pub fn lookup_layout(&self, lookup: &LookupIndex) -> KeyLayout {
        let keys = lookup.by.iter().filter_map(|name| self.position(name));
        KeyLayout::of(keys.map(|key| self.columns[key].domain.size()).collect())
    }

    /// An entry of 1 of a table of a look-up is the torus fraction `2^-this`.
    pub fn unit(&self, lookup: &LookupIndex, part: TablePart) -> u32 {
        let bits = match part {
            TablePart::Matched | TablePart::Presence(_) => 1,
            TablePart::Limb(column, _) => self.columns[column].limb_bits,
        };
        lookup.room_bits() + bits
    }
}
