//! What to compile for.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Bits of the score range that are guaranteed when nothing else is asked for.
pub const DEFAULT_PRECISION: f64 = 10.0;

/// Compile options.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Name of the model in specs and report.
    pub name: String,
    /// How features are quantised.
    pub features: FeatureMode,
    /// Bits of the score range to guarantee; an error if they cannot be reached. `None`:
    /// [`DEFAULT_PRECISION`], or as many as can be reached, with a warning in the report.
    pub precision: Option<f64>,
    /// What is scarce.
    pub profile: Profile,
    /// Names of the classes, in order, for a file of a library that holds none.
    pub classes: Option<Vec<String>>,
}

impl Options {
    /// The defaults: exact features without decoys, balanced.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            features: FeatureMode::Exact { decoys: 0 },
            precision: None,
            profile: Profile::Balanced,
            classes: None,
        }
    }
}

/// How the features of a tree ensemble are quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureMode {
    /// By the model's own thresholds, which the client specs then show. Encrypted comparisons equal
    /// the model's.
    Exact {
        /// Split points a feature that no tree uses, mixed in.
        decoys: u32,
    },
    /// By a quantile grid of 2^bits bins, fitted on the calibration rows. The model's thresholds
    /// move to the nearest edge and stay on the server.
    Grid {
        /// log2 of the number of bins, 1 to 16.
        bits: u32,
    },
}

impl fmt::Display for FeatureMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { decoys: 0 } => write!(f, "exact"),
            Self::Exact { decoys } => write!(f, "exact with {decoys} decoys a feature"),
            Self::Grid { bits } => write!(f, "grid:{bits}"),
        }
    }
}

/// What is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Server time, with query bytes at a price.
    Balanced,
    /// Bytes of key and query.
    Compact,
    /// No evaluation key: selectors travel as whole ciphertexts.
    Keyless,
}

impl Profile {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Compact => "compact",
            Self::Keyless => "keyless",
        }
    }
}

/// A word that names no option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of: {expected}")]
pub struct ParseOptionError {
    found: String,
    expected: &'static str,
}

impl FromStr for Profile {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        [Self::Balanced, Self::Compact, Self::Keyless]
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| ParseOptionError {
                found: text.into(),
                expected: "balanced, compact, keyless",
            })
    }
}

impl FromStr for FeatureMode {
    type Err = ParseOptionError;

    /// `exact` or `grid:BITS`.
    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        let bits = || {
            text.strip_prefix("grid:")?
                .parse()
                .ok()
                .filter(|bits| (1..=16).contains(bits))
        };
        match text {
            "exact" => Ok(Self::Exact { decoys: 0 }),
            _ => bits()
                .map(|bits| Self::Grid { bits })
                .ok_or_else(|| ParseOptionError {
                    found: text.into(),
                    expected: "exact, grid:BITS with 1 to 16 bits",
                }),
        }
    }
}
