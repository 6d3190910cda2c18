//! Feature value to bin, bin to selector bits; feature value to torus.
//!
//! These are the client's arithmetic, and the compiler's simulation of the client.

use crate::decoding::TORUS;
use crate::encoding::{
    Encoding, LinearEncoding, MissingBin, Predicate, Quantiser, SelectorEncoding,
};

#[cfg(test)]
mod tests;

/// A feature vector that cannot be encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// NaN or an empty cell where the model gives it no meaning.
    #[error(
        "feature {name:?} is missing, and the model gives missing values no meaning; fill it in"
    )]
    Missing {
        /// The feature.
        name: String,
    },
    /// Positive or negative infinity.
    #[error("feature {name:?} is {value}; give a finite number")]
    NotFinite {
        /// The feature.
        name: String,
        /// Its value.
        value: f32,
    },
    /// Outside the range that the model was compiled for.
    #[error(
        "feature {name:?} is {value}, outside the range {low} to {high} that the model was compiled for; compile it with calibration rows that reach further"
    )]
    OutsideRange {
        /// The feature.
        name: String,
        /// Its value.
        value: f32,
        /// Smallest value accepted.
        low: f64,
        /// Largest value accepted.
        high: f64,
    },
    /// A feature vector of another width.
    #[error("the feature vector has {found} entries, the encoding needs {expected}")]
    Width {
        /// Entries needed.
        expected: usize,
        /// Entries found.
        found: usize,
    },
}

impl Quantiser {
    /// Number of bins, the one of missing values included.
    pub fn bins(&self) -> u32 {
        self.splits.len() as u32 + 1 + u32::from(self.missing.is_some())
    }

    /// Bits of a bin index.
    pub fn index_bits(&self) -> u32 {
        u32::BITS - (self.bins() - 1).leading_zeros()
    }

    /// The bin of missing values.
    pub fn missing_bin(&self) -> Option<u32> {
        self.missing.map(|missing| match missing {
            MissingBin::First => 0,
            MissingBin::Last => self.bins() - 1,
        })
    }

    /// The bin of `value`: the number of splits that it exceeds, as float32 compares, plus one
    /// where missing values come first.
    pub fn bin(&self, value: f32) -> Result<u32, QuantiseError> {
        if value.is_nan() {
            return self.missing_bin().ok_or_else(|| QuantiseError::Missing {
                name: self.name.clone(),
            });
        }
        if value.is_infinite() {
            return Err(QuantiseError::NotFinite {
                name: self.name.clone(),
                value,
            });
        }
        let exceeded = self.splits.partition_point(|split| value > *split) as u32;
        Ok(exceeded + u32::from(self.missing == Some(MissingBin::First)))
    }
}

impl Predicate {
    /// The bit of a bin index.
    pub fn holds(&self, bin: u32) -> bool {
        match self {
            Self::Bit(bit) => bin >> bit & 1 == 1,
            Self::Within(ranges) => ranges
                .iter()
                .any(|&(start, end)| (start..end).contains(&bin)),
        }
    }
}

impl SelectorEncoding {
    /// The bits to encrypt for a feature vector, one a selector.
    pub fn bits(&self, features: &[f32]) -> Result<Vec<bool>, QuantiseError> {
        let bins = self.quantisers.iter().map(|quantiser| {
            let feature = quantiser.feature as usize;
            let value = features.get(feature).ok_or(QuantiseError::Width {
                expected: feature + 1,
                found: features.len(),
            })?;
            quantiser.bin(*value)
        });
        let bins = bins.collect::<Result<Vec<u32>, _>>()?;
        Ok(self
            .selectors
            .iter()
            .map(|selector| selector.predicate.holds(bins[selector.quantiser as usize]))
            .collect())
    }
}

impl LinearEncoding {
    /// Torus values (units of 2^-64) of a feature vector, one a feature.
    pub fn messages(&self, features: &[f32]) -> Result<Vec<u64>, QuantiseError> {
        if features.len() != self.names.len() {
            return Err(QuantiseError::Width {
                expected: self.names.len(),
                found: features.len(),
            });
        }
        let entry = |(index, value): (usize, &f32)| {
            let (name, centre, half_width) = (
                &self.names[index],
                self.centre[index],
                self.half_width[index],
            );
            if value.is_nan() {
                return Err(QuantiseError::Missing { name: name.clone() });
            }
            if value.is_infinite() {
                return Err(QuantiseError::NotFinite {
                    name: name.clone(),
                    value: *value,
                });
            }
            let relative = (f64::from(*value) - centre) / half_width;
            if relative.abs() > 1.0 {
                return Err(QuantiseError::OutsideRange {
                    name: name.clone(),
                    value: *value,
                    low: centre - half_width,
                    high: centre + half_width,
                });
            }
            Ok((relative * self.delta * TORUS).round() as i64 as u64)
        };
        features.iter().enumerate().map(entry).collect()
    }
}

impl Encoding {
    /// Entries of the feature vector that it reads: none beyond this number.
    pub fn features(&self) -> usize {
        match self {
            Self::Selectors(encoding) => encoding
                .quantisers
                .iter()
                .map(|quantiser| quantiser.feature as usize + 1)
                .max()
                .unwrap_or(0),
            Self::Linear(encoding) => encoding.names.len(),
        }
    }
}
