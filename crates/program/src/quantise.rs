//! Feature value to bin, bin to selector bits; feature value to torus.
//!
//! These are the client's arithmetic, and the compiler's simulation of the client.

use crate::decimals::has_decimals;
use crate::decoding::TORUS;
use crate::encoding::{
    Encoding, IntegerEncoding, IntegerFeature, LinearEncoding, MissingBin, Predicate, Quantiser,
    SelectorEncoding,
};

#[cfg(test)]
mod tests;

/// A feature vector that cannot be encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// NaN or an empty cell where the model gives it no meaning.
    #[error(
        "feature {name:?} is missing, and the model takes no missing values there; fill it in, or have the model compiled with calibration rows that have some"
    )]
    Missing {
        /// The feature.
        name: String,
    },
    /// More decimals than the model was compiled for.
    #[error(
        "feature {name:?} is {value}, and the model was compiled for values of at most {decimals} decimals; round it as the model's training data were rounded"
    )]
    Decimals {
        /// The feature.
        name: String,
        /// Its value.
        value: f32,
        /// Decimals that it may have.
        decimals: u32,
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
    /// where missing values come first. An infinite value exceeds all splits or none.
    pub fn bin(&self, value: f32) -> Result<u32, QuantiseError> {
        if value.is_nan() {
            return self.missing_bin().ok_or_else(|| QuantiseError::Missing {
                name: self.name.clone(),
            });
        }
        if let Some(decimals) = self.decimals
            && value.is_finite()
            && !has_decimals(value, decimals)
        {
            return Err(QuantiseError::Decimals {
                name: self.name.clone(),
                value,
                decimals,
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
            Self::Within(ranges) => {
                let next = ranges.partition_point(|range| range.1 <= bin);
                ranges.get(next).is_some_and(|range| range.0 <= bin)
            }
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
    /// Torus values (units of 2^-64) of the first entries of a feature vector, one a feature that has
    /// a name here. A value outside its range becomes the end of the range that is nearer: see [`Self::limited`].
    pub fn messages(&self, features: &[f32]) -> Result<Vec<u64>, QuantiseError> {
        let own = features
            .get(..self.names.len())
            .ok_or(QuantiseError::Width {
                expected: self.names.len(),
                found: features.len(),
            })?;
        let entry = |(index, value): (usize, &f32)| {
            if value.is_nan() {
                let name = self.names[index].clone();
                return Err(QuantiseError::Missing { name });
            }
            let relative = self.relative(index, *value).clamp(-1.0, 1.0);
            Ok((relative * self.delta.get() * TORUS).round() as i64 as u64)
        };
        own.iter().enumerate().map(entry).collect()
    }

    /// Index of each feature whose value is outside the range that the model was compiled for,
    /// where a linear function says the less the further away.
    pub fn limited<'a>(&'a self, features: &'a [f32]) -> impl Iterator<Item = usize> + 'a {
        let is_outside =
            |(index, value): &(usize, &f32)| self.relative(*index, **value).abs() > 1.0;
        features
            .iter()
            .take(self.names.len())
            .enumerate()
            .filter(is_outside)
            .map(|(index, _)| index)
    }

    /// A value in half widths from the centre of its feature's range.
    fn relative(&self, index: usize, value: f32) -> f64 {
        (f64::from(value) - self.centre[index]) / self.half_width[index]
    }
}

impl IntegerFeature {
    /// Smallest and largest value that is not limited: half a step beyond those that integers
    /// stand for.
    pub fn range(&self) -> (f64, f64) {
        let most = f64::from(self.bits).exp2() - 0.5;
        (self.low - 0.5 * self.step, self.low + most * self.step)
    }

    /// The integer whose value is nearest; the first or last one for values outside the range.
    pub fn integer(&self, value: f32) -> Result<u32, QuantiseError> {
        if value.is_nan() {
            return Err(QuantiseError::Missing {
                name: self.name.clone(),
            });
        }
        Ok(self.nearest(value) as u32)
    }

    /// The value that the nearest integer stands for, which is taken for this one.
    pub fn nearest_value(&self, value: f32) -> f64 {
        self.low + self.nearest(value) * self.step
    }

    fn nearest(&self, value: f32) -> f64 {
        let most = f64::from(self.bits).exp2() - 1.0;
        let place = ((f64::from(value) - self.low) / self.step).round();
        place.clamp(0.0, most)
    }

    /// Whether a value is outside the range.
    pub fn limits(&self, value: f32) -> bool {
        let (low, high) = self.range();
        let value = f64::from(value);
        value < low || value > high
    }

    /// Whether a value within the range lies further between two steps than it may.
    pub fn rounds(&self, value: f32) -> bool {
        let is_far = |most: f64| (f64::from(value) - self.nearest_value(value)).abs() > most;
        !self.limits(value) && self.tolerance.is_some_and(is_far)
    }
}

impl IntegerEncoding {
    /// Number of selectors.
    pub fn selectors(&self) -> usize {
        self.features.iter().map(|own| own.bits as usize).sum()
    }

    /// The bits to encrypt for a feature vector, one a selector.
    pub fn bits(&self, features: &[f32]) -> Result<Vec<bool>, QuantiseError> {
        let mut bits = Vec::with_capacity(self.selectors());
        for own in &self.features {
            let value = features.get(own.feature as usize);
            let value = value.ok_or(QuantiseError::Width {
                expected: own.feature as usize + 1,
                found: features.len(),
            })?;
            let integer = own.integer(*value)?;
            bits.extend((0..own.bits).map(|bit| integer >> bit & 1 == 1));
        }
        Ok(bits)
    }

    /// The features whose values are outside the range that the model was compiled for, where the
    /// end of the range is taken for them.
    pub fn limited<'a>(
        &'a self,
        features: &'a [f32],
    ) -> impl Iterator<Item = &'a IntegerFeature> + 'a {
        let value = |own: &IntegerFeature| features.get(own.feature as usize).copied();
        let is_outside =
            move |own: &&IntegerFeature| value(own).is_some_and(|value| own.limits(value));
        self.features.iter().filter(is_outside)
    }

    /// The features whose values lie further between two steps than they may: the nearer one is taken
    /// for them.
    pub fn rounded<'a>(
        &'a self,
        features: &'a [f32],
    ) -> impl Iterator<Item = &'a IntegerFeature> + 'a {
        let value = |own: &IntegerFeature| features.get(own.feature as usize).copied();
        let is_between =
            move |own: &&IntegerFeature| value(own).is_some_and(|value| own.rounds(value));
        self.features.iter().filter(is_between)
    }
}

impl Encoding {
    /// Limits the entries of a feature vector to the ranges that they have here, as they are encoded.
    pub fn limit(&self, features: &mut [f32]) {
        match self {
            Self::Selectors(_) => {}
            Self::Linear(encoding) => {
                let ranges = encoding.centre.iter().zip(&encoding.half_width);
                for (value, (centre, half)) in features.iter_mut().zip(ranges) {
                    *value = f64::from(*value).clamp(centre - half, centre + half) as f32;
                }
            }
            Self::Integers(encoding) => {
                for own in &encoding.features {
                    if let Some(value) = features.get_mut(own.feature as usize) {
                        let (low, high) = own.range();
                        *value = f64::from(*value).clamp(low, high) as f32;
                    }
                }
            }
        }
    }

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
            Self::Integers(encoding) => encoding
                .features
                .iter()
                .map(|own| own.feature as usize + 1)
                .max()
                .unwrap_or(0),
        }
    }
}
