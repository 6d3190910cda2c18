//! Tables of functions.

use crate::error::SchemeError;
use crate::parameters::Bootstrap;

/// A function of z at the middles of the N steps of half the torus. On the other half the rotation
/// gives minus the function's value half a torus away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The values, in units of 2^-64.
    pub(super) words: Vec<u64>,
    /// What brings the domain to [0, 1/2), in units of 2^-64.
    pub(super) offset: u64,
}

impl Table {
    /// Any function of z in [-1/4, 1/4). A z beyond wraps: f(z - 1/2) = -f(z).
    pub fn of_half(
        bootstrap: &Bootstrap,
        function: impl Fn(f64) -> f64,
    ) -> Result<Self, SchemeError> {
        Self::sampled(bootstrap, -0.25, function)
    }

    /// A function of z on the whole torus for which f(z - 1/2) = -f(z), given on [0, 1/2). No part of
    /// the torus is lost to it.
    pub fn of_whole(
        bootstrap: &Bootstrap,
        function: impl Fn(f64) -> f64,
    ) -> Result<Self, SchemeError> {
        Self::sampled(bootstrap, 0.0, function)
    }

    /// `scale (|z| - 1/4)` for z in [-1/2, 1/2), and a scale of -2 to 2. ReLU(z) is half of |z| and
    /// half of z.
    pub fn of_absolute(bootstrap: &Bootstrap, scale: f64) -> Result<Self, SchemeError> {
        Self::of_whole(bootstrap, |z| scale * (z - 0.25))
    }

    /// The entries on [0, 1/2), in units of 2^-64, at strictly increasing positions; the others are 0.
    pub fn of_entries(bootstrap: &Bootstrap, entries: &[(u32, u64)]) -> Result<Self, SchemeError> {
        let size = bootstrap.output.polynomial_size;
        let mut words = vec![0; size];
        for (position, value) in entries {
            let found = *position as usize + 1;
            *words
                .get_mut(*position as usize)
                .ok_or(SchemeError::Count {
                    what: "entries of a table",
                    expected: size,
                    found,
                })? = *value;
        }
        Ok(Self { words, offset: 0 })
    }

    fn sampled(
        bootstrap: &Bootstrap,
        first: f64,
        function: impl Fn(f64) -> f64,
    ) -> Result<Self, SchemeError> {
        let size = bootstrap.output.polynomial_size;
        let word = |i: usize| {
            let at = first + (i as f64 + 0.5) / (2 * size) as f64;
            let value = function(at);
            if (-0.5..=0.5).contains(&value) {
                return Ok((value * 2f64.powi(64)).round() as i128 as u64);
            }
            Err(SchemeError::TableValue { value, at })
        };
        Ok(Self {
            words: (0..size).map(word).collect::<Result<_, _>>()?,
            offset: ((-first) * 2f64.powi(64)) as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::error::SchemeError;
    use crate::parameters::{KeyPartContents, ParameterSet};

    #[test]
    fn values_beyond_the_torus_are_refused() {
        let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
        let KeyPartContents::Bootstrap(fast) = &set.part("bootstrap-fast").unwrap().contents else {
            panic!("a bootstrap")
        };
        for value in [0.6, -0.501, f64::NAN, f64::INFINITY] {
            let table = Table::of_half(fast, |z| if z > 0.2 { value } else { 0.0 });
            assert!(
                matches!(table, Err(SchemeError::TableValue { .. })),
                "{value}"
            );
        }
        assert!(Table::of_absolute(fast, 2.5).is_err());
        let table = Table::of_absolute(fast, 2.0).unwrap();
        // -1/2 at 0, and half a step of 2^-10.
        assert_eq!(table.words[0], (1 << 63) + (1 << 53));
        assert_eq!((table.words.len(), table.offset), (1024, 0));
        assert_eq!(Table::of_half(fast, |z| z).unwrap().offset, 1 << 62);
    }
}
