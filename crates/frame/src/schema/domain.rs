//! What the cells of a column can be, as integers.

use crate::date::Date;
use crate::number::{MAX_PLACES, write_units};
use std::collections::HashSet;

/// Most texts of a dictionary.
const MAX_DICTIONARY: usize = 1 << 16;
/// Longest text of a dictionary, in bytes.
const MAX_TEXT: usize = 1 << 10;
/// Widest range of a column: values are 48 bits at most.
const MAX_SIZE: u64 = 1 << 48;

/// What the cells of a column can be. Every cell is an integer, its *units*; that minus the smallest
/// one is its *code*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Whole numbers: their units are they.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Numbers of so many decimals, in units of `10^-places`.
    Decimal {
        /// Smallest, in units.
        min: i64,
        /// Largest, in units.
        max: i64,
        /// Decimals.
        places: u8,
    },
    /// False 0, true 1.
    Boolean,
    /// Days, in days since 1970-01-01.
    Date {
        /// First.
        min: Date,
        /// Last.
        max: Date,
    },
    /// Texts of a dictionary: the place of one.
    Text {
        /// The texts.
        dictionary: Vec<String>,
    },
}

/// What a limb can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimbRange {
    /// Smallest.
    pub min: i64,
    /// Largest.
    pub max: i64,
}

impl Domain {
    /// Smallest and largest units.
    pub fn range(&self) -> (i64, i64) {
        match self {
            Self::Integer { min, max } | Self::Decimal { min, max, .. } => (*min, *max),
            Self::Boolean => (0, 1),
            Self::Date { min, max } => (min.days(), max.days()),
            Self::Text { dictionary } => (0, dictionary.len() as i64 - 1),
        }
    }

    /// Number of codes.
    pub fn size(&self) -> u64 {
        let (min, max) = self.range();
        max.abs_diff(min).saturating_add(1)
    }

    /// Decimals of its units.
    pub const fn places(&self) -> u8 {
        match self {
            Self::Decimal { places, .. } => *places,
            _ => 0,
        }
    }

    /// Whether it is what lies between two ends, and no dictionary.
    pub(super) const fn has_range(&self) -> bool {
        !matches!(self, Self::Text { .. })
    }

    /// Whether sums and products have a meaning.
    pub const fn is_number(&self) -> bool {
        matches!(
            self,
            Self::Integer { .. } | Self::Decimal { .. } | Self::Boolean
        )
    }

    /// The units of which the value zero is made: limbs are those of the units minus it. Zero for
    /// numbers, so that sums need no count.
    pub fn origin(&self) -> i64 {
        if self.is_number() { 0 } else { self.range().0 }
    }

    /// What each limb can be, from the least significant on: all but the last are below
    /// `2^limb_bits` and not negative; the last one has the sign.
    pub fn limbs(&self, limb_bits: u32) -> Vec<LimbRange> {
        let (min, max) = self.range();
        let (mut min, mut max) = (min - self.origin(), max - self.origin());
        let base = 1i64 << limb_bits;
        let mut limbs = Vec::new();
        // A limb with a sign has half the room to either side.
        while max >= base || min < -(base / 2) || (min < 0 && max >= base / 2) {
            limbs.push(LimbRange {
                min: 0,
                max: base - 1,
            });
            (min, max) = (min >> limb_bits, max >> limb_bits);
        }
        limbs.push(LimbRange {
            min: min.min(0),
            max: max.max(0),
        });
        limbs
    }

    /// The limbs of a cell's units.
    pub fn split(&self, units: i64, limb_bits: u32) -> Vec<i64> {
        let count = self.limbs(limb_bits).len();
        let mut rest = units - self.origin();
        let mut limbs = Vec::with_capacity(count);
        for _ in 1..count {
            limbs.push(rest & ((1 << limb_bits) - 1));
            rest >>= limb_bits;
        }
        limbs.push(rest);
        limbs
    }

    /// What it holds, for people: `0.00 to 655.35`.
    pub fn shown(&self) -> String {
        let (min, max) = self.range();
        let units = |units: i64| {
            let mut text = String::new();
            // Writing to a string does not fail.
            let _ = write_units(&mut text, units.into(), self.places());
            text
        };
        match self {
            Self::Integer { .. } | Self::Decimal { .. } => {
                format!("{} to {}", units(min), units(max))
            }
            Self::Boolean => "false and true".into(),
            Self::Date { min, max } => format!("{min} to {max}"),
            Self::Text { dictionary } => format!("{} texts", dictionary.len()),
        }
    }

    /// Name of the type in documents.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Integer { .. } => "integer",
            Self::Decimal { .. } => "decimal",
            Self::Boolean => "boolean",
            Self::Date { .. } => "date",
            Self::Text { .. } => "text",
        }
    }

    /// Field and problem of what is wrong with it.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if let Self::Text { dictionary } = self {
            return check_dictionary(dictionary);
        }
        if self.places() > MAX_PLACES {
            return Err((
                "places",
                format!(
                    "is {}; numbers have at most {MAX_PLACES} decimals",
                    self.places()
                ),
            ));
        }
        let (min, max) = self.range();
        if min > max {
            return Err(("max", "is below the field \"min\"".into()));
        }
        // Limbs are of the units themselves where these are numbers: both ends have to be near zero.
        let reach = if self.is_number() {
            min.unsigned_abs().max(max.unsigned_abs())
        } else {
            0
        };
        if self.size() > MAX_SIZE || reach > MAX_SIZE {
            return Err(("max", "and \"min\" are more than 2^48 units apart, or that far from zero; narrow the range, or have fewer decimals".into()));
        }
        Ok(())
    }
}

fn check_dictionary(dictionary: &[String]) -> Result<(), (&'static str, String)> {
    let error = |problem| Err(("dictionary", problem));
    if dictionary.is_empty() || dictionary.len() > MAX_DICTIONARY {
        return error(format!(
            "has {} texts; it may have 1 to {MAX_DICTIONARY}",
            dictionary.len()
        ));
    }
    let mut texts = HashSet::new();
    for (index, text) in dictionary.iter().enumerate() {
        if text.len() > MAX_TEXT {
            return error(format!(
                "has a text of {} bytes, at most {MAX_TEXT} are possible: text {}",
                text.len(),
                index + 1
            ));
        }
        if !texts.insert(text) {
            return error(format!("has the text {text:?} twice"));
        }
    }
    Ok(())
}
