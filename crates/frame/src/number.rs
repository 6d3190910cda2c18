//! Numbers as people write them: exact decimals.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Most decimals of a number.
pub const MAX_PLACES: u8 = 18;

/// `units * 10^-places`, in its shortest form: no zeros at the end of the decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Number {
    units: i64,
    places: u8,
}

/// That a text is no number, or has more digits than one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a number of at most 18 digits")]
pub struct NotANumber;

impl Number {
    /// `units * 10^-places`; `None` above [`MAX_PLACES`].
    pub fn new(mut units: i64, mut places: u8) -> Option<Self> {
        while places > 0 && units % 10 == 0 {
            units /= 10;
            places -= 1;
        }
        (places <= MAX_PLACES).then_some(Self { units, places })
    }

    /// A whole number.
    pub const fn whole(units: i64) -> Self {
        Self { units, places: 0 }
    }

    /// Decimals that it needs.
    pub const fn places(self) -> u8 {
        self.places
    }

    /// The number in units of `10^-places`, if it is a whole number of them.
    pub fn units(self, places: u8) -> Option<i64> {
        let more = places.checked_sub(self.places)?;
        10i64
            .checked_pow(more.into())
            .and_then(|scale| self.units.checked_mul(scale))
    }

    /// The largest whole number of units of `10^-places` that is not above it.
    pub fn floor_units(self, places: u8) -> i128 {
        if let Some(more) = places.checked_sub(self.places) {
            return i128::from(self.units) * 10i128.pow(more.into());
        }
        i128::from(self.units).div_euclid(10i128.pow((self.places - places).into()))
    }

    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

impl FromStr for Number {
    type Err = NotANumber;

    /// Digits with an optional sign, decimals and exponent: `-12.50`, `1e-05`.
    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| NotANumber)?)
            }
            None => (text, 0),
        };
        let (sign, digits) = match mantissa.as_bytes().first() {
            Some(b'-') => (-1, &mantissa[1..]),
            Some(b'+') => (1, &mantissa[1..]),
            _ => (1, mantissa),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && decimals.is_empty() {
            return Err(NotANumber);
        }
        let mut units = 0i64;
        let mut places = 0i32;
        for (index, digit) in whole
            .bytes()
            .chain(decimals.trim_end_matches('0').bytes())
            .enumerate()
        {
            if !digit.is_ascii_digit() {
                return Err(NotANumber);
            }
            let grown = units
                .checked_mul(10)
                .and_then(|units| units.checked_add(i64::from(digit - b'0')));
            units = grown.ok_or(NotANumber)?;
            places += i32::from(index >= whole.len());
        }
        if decimals.bytes().any(|digit| !digit.is_ascii_digit()) {
            return Err(NotANumber);
        }
        let mut places = places.checked_sub(exponent).ok_or(NotANumber)?;
        while places < 0 && units != 0 {
            units = units.checked_mul(10).ok_or(NotANumber)?;
            places += 1;
        }
        while places > i32::from(MAX_PLACES) && units % 10 == 0 && units != 0 {
            units /= 10;
            places -= 1;
        }
        let places = if units == 0 { 0 } else { places };
        let places = u8::try_from(places).map_err(|_| NotANumber)?;
        Self::new(sign * units, places).ok_or(NotANumber)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_units(f, self.units.into(), self.places)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let places = self.places.max(other.places);
        self.floor_units(places).cmp(&other.floor_units(places))
    }
}

/// Writes `units * 10^-places` with all its places.
pub(crate) fn write_units(out: &mut impl fmt::Write, units: i128, places: u8) -> fmt::Result {
    let scale = 10u128.pow(places.into());
    let sign = if units < 0 { "-" } else { "" };
    let magnitude = units.unsigned_abs();
    write!(out, "{sign}{}", magnitude / scale)?;
    if places > 0 {
        write!(
            out,
            ".{:0width$}",
            magnitude % scale,
            width = usize::from(places)
        )?;
    }
    Ok(())
}

/// A number in documents: a float only where that is the same number. What is no [`Number`] is read all
/// the same, so that its place in the document can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Written {
    /// A whole number.
    Whole(i64),
    /// The number that the shortest text of a float is.
    Float(f64),
    /// Any other.
    Exact {
        /// Its text.
        decimal: String,
    },
}

impl From<Number> for Written {
    fn from(number: Number) -> Self {
        if number.places == 0 {
            return Self::Whole(number.units);
        }
        let float = number.to_f64();
        // The shortest text of a float is what was written.
        if float.to_string().parse() == Ok(number) {
            Self::Float(float)
        } else {
            Self::Exact {
                decimal: number.to_string(),
            }
        }
    }
}

impl TryFrom<Written> for Number {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let text = match written {
            Written::Whole(units) => return Ok(Self::whole(units)),
            Written::Float(float) => float.to_string(),
            Written::Exact { decimal } => decimal,
        };
        text.parse()
            .map_err(|error: NotANumber| format!("{text} {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_is_written() {
        let cases = [
            ("12.50", 125, 1),
            ("-3", -3, 0),
            ("+0.07", 7, 2),
            (".5", 5, 1),
            ("1e-05", 1, 5),
            ("1.5E3", 1500, 0),
            ("0.000", 0, 0),
            ("0e400", 0, 0),
            ("100", 100, 0),
        ];
        for (text, units, places) in cases {
            assert_eq!(text.parse(), Ok(Number { units, places }), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "1.2.3",
            "1,5",
            "abc",
            "1e",
            "99999999999999999999",
            "1e400",
            "1e-400",
            "nan",
            "1e99999999999",
            "0.5x",
        ] {
            assert_eq!(text.parse::<Number>(), Err(NotANumber), "{text}");
        }
    }

    #[test]
    fn units_are_exact_or_none() {
        let number: Number = "12.5".parse().expect("a number");
        assert_eq!(number.units(2), Some(1250));
        assert_eq!(number.units(0), None);
        assert_eq!(number.floor_units(0), 12);
        assert_eq!(
            "-12.5"
                .parse::<Number>()
                .map(|number| number.floor_units(0)),
            Ok(-13)
        );
        assert_eq!(number.to_string(), "12.5");
        assert!(number < Number::whole(13));
    }

    #[test]
    fn documents_hold_numbers() {
        for text in [
            "1.08",
            "-7",
            "0.1",
            "1000000000000000000",
            "1234567890123.45678",
        ] {
            let number: Number = text.parse().expect("a number");
            let json = serde_json::to_string(&number).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Number>(&json).expect("a number"),
                number,
                "{json}"
            );
        }
        assert!(serde_json::from_str::<Number>("1e300").is_err());
    }
}
