//! What to compile for.

use crate::error::CompileError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

mod effect;
mod limits;

pub use limits::{FitOptions, Limits, ParseLimitsError};

/// Bits of the score range that are guaranteed when nothing else is asked for.
pub const DEFAULT_PRECISION: f64 = 10.0;
/// The same in the wide profile. Its deeper expansion costs half a bit: with 10 bits a model of 50
/// trees took 354 slots instead of 231, more than the batch saves, with 9.5 bits 219.
const WIDE_PRECISION: f64 = 9.5;

/// Part of the simulated labels that must be the model's when nothing else is asked for.
pub const DEFAULT_AGREEMENT: f64 = 0.99;

/// Most error of a score, in parts of its range, when nothing else is asked for.
const DEFAULT_ERROR: f64 = 0.01;

/// Compile options.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Name of the model in specs and report.
    pub name: String,
    /// How features are quantised.
    pub features: FeatureMode,
    /// Decimals that values of columns have, with exact features and no decoys.
    pub decimals: Decimals,
    /// Bits of the score range to guarantee; an error if they cannot be reached. `None`: for trees
    /// that give labels as many as the calibration rows need to keep theirs, from 7 up; else, and
    /// at most, [`DEFAULT_PRECISION`] (9.5 in the wide profile). As many as can be reached, with a
    /// warning in the report, where that is out of reach.
    pub precision: Option<f64>,
    /// What is scarce.
    pub profile: Profile,
    /// Which of server time and query bytes to spare more than the profile does.
    pub prefer: Option<Prefer>,
    /// Names of the classes, in order, for a file of a library that holds none.
    pub classes: Option<Vec<String>>,
    /// Part of the calibration rows, 0 to 1, that must get the label that the model gives them when
    /// quantisation and noise are simulated; an error below it.
    pub min_agreement: f64,
    /// For approximate models (networks, kernel machines, neighbours): how far off scores may be when
    /// the calibration rows are simulated, as the root mean square in parts of the score's range,
    /// 0.0001 to 0.25; an error beyond it. `None`: better than 0.01 where that can be reached, 0.01 at
    /// most for regressors, and a warning beyond that for classifiers that keep their labels.
    pub max_error: Option<f64>,
    /// Whether clients mark rows that break relations between columns, where networks and kernel machines
    /// need it: the specs have the relations then.
    pub relations: bool,
    /// What the model is to fit; less faithful circuits than asked for are tried until one does.
    pub fit: Option<FitOptions>,
    /// Who evaluates trees over other estimators' results.
    pub combiner: Combiner,
    /// Name of the node that is compiled, of a larger ONNX model.
    pub layer: Option<String>,
    /// Whether a linear layer's transpose is compiled.
    pub transpose: bool,
    /// Whether predictions of a forest have the standard deviation of the trees' predictions.
    pub uncertainty: bool,
}

impl Options {
    /// The defaults: exact features without decoys, balanced.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            features: FeatureMode::Exact { decoys: 0 },
            decimals: Decimals::default(),
            precision: None,
            profile: Profile::Balanced,
            prefer: None,
            classes: None,
            min_agreement: DEFAULT_AGREEMENT,
            max_error: None,
            relations: true,
            fit: None,
            combiner: Combiner::Auto,
            layer: None,
            transpose: false,
            uncertainty: false,
        }
    }

    /// Checks the values.
    pub(crate) fn check(&self) -> Result<(), CompileError> {
        let bad = |option, found: String, expected| {
            Err(CompileError::Option {
                option,
                found,
                expected,
            })
        };
        match self.features {
            FeatureMode::Grid { bits } if !(1..=16).contains(&bits) => {
                return bad("features", format!("grid:{bits}"), "grid:1 to grid:16");
            }
            FeatureMode::Exact { decoys } if decoys > 4096 => {
                return bad("decoys", decoys.to_string(), "at most 4096 a feature");
            }
            // Real split points would be floats of so many decimals and decoys would not, and the
            // specs would name the features that the trees use.
            FeatureMode::Exact { decoys } if decoys > 0 && self.decimals != Decimals::default() => {
                let found = "given with decoys, which decimals tell from real split points".into();
                return bad("decimals", found, "one of the two: leave the other out");
            }
            _ => {}
        }
        if self.layer.is_some() && self.classes.is_some() {
            let found = "given for a linear layer, which has none".into();
            return bad(
                "classes",
                found,
                "it for files of XGBoost and LightGBM only",
            );
        }
        if !(0.0..=1.0).contains(&self.min_agreement) {
            let percent = (100.0 * self.min_agreement).to_string();
            return bad("min-agreement", percent, "0 to 100 %");
        }
        if let Some(error) = self.max_error
            && !(0.0001..=0.25).contains(&error)
        {
            return bad("max-error", (100.0 * error).to_string(), "0.01 to 25 %");
        }
        if let (Profile::Compact, Some(prefer)) = (self.profile, self.prefer) {
            let expected = "another profile: in the compact one bytes come first";
            return bad("prefer", prefer.name().to_owned(), expected);
        }
        match self.precision {
            Some(bits) if !(1.0..=40.0).contains(&bits) => {
                bad("precision", bits.to_string(), "1 to 40 bits")
            }
            _ if self.name.is_empty() => bad("name", "empty".into(), "a name"),
            _ => Ok(()),
        }
    }
}

impl Options {
    /// How far off scores may be where that can be reached, in parts of their range.
    pub(crate) fn most_error(&self) -> f64 {
        self.max_error.unwrap_or(DEFAULT_ERROR)
    }

    /// How far off scores may be for a model to be compiled: of a classifier labels decide, where no
    /// error was said.
    pub(crate) fn refused_error(&self, is_classifier: bool) -> f64 {
        match self.max_error {
            None if is_classifier => f64::INFINITY,
            _ => self.most_error(),
        }
    }

    /// Whether it was said how good scores have to be: nothing better is aimed at then.
    pub(crate) const fn says_how_good(&self) -> bool {
        self.precision.is_some() || self.max_error.is_some()
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
    /// move to the edge that fewest rows lie before and stay on the server.
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

/// How many decimals the values of columns have. Split points that they cannot separate are one, and
/// clients refuse rows with more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decimals {
    /// Columns by name.
    pub columns: BTreeMap<String, u32>,
    /// Whether other columns have as many as in the calibration rows, where that saves split points.
    pub auto: bool,
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
    /// Bytes a row in requests of many rows, which share query and reply ciphertexts, for a larger
    /// key. A row alone is as large as in other profiles.
    Wide,
}

impl Profile {
    /// Bits of the score range that tree ensembles guarantee when nothing else is asked for, and
    /// fewer do not keep the labels.
    pub(crate) const fn usual_precision(self) -> f64 {
        match self {
            Self::Balanced | Self::Compact | Self::Keyless => DEFAULT_PRECISION,
            Self::Wide => WIDE_PRECISION,
        }
    }

    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Compact => "compact",
            Self::Keyless => "keyless",
            Self::Wide => "wide",
        }
    }
}

/// Which of two costs counts ten times as much beside the other as it does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// Server time: a query byte counts as much as a gigabit a second takes for it.
    Time,
    /// Query bytes, and with them memory: as much as 10 megabits a second take. Without a preference
    /// it is 100.
    Size,
}

impl Prefer {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Size => "size",
        }
    }
}

impl FromStr for Prefer {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        [Self::Time, Self::Size]
            .into_iter()
            .find(|prefer| prefer.name() == text)
            .ok_or_else(|| ParseOptionError {
                found: text.into(),
                expected: "time, size",
            })
    }
}

/// Who evaluates trees over other estimators' results (stacking).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combiner {
    /// The client where they have at most 1,024 nodes and it can compute what they are over, else the
    /// server.
    #[default]
    Auto,
    /// The client, over decrypted results: the specs show the trees.
    Client,
    /// The server, by comparing encrypted results with thresholds: only the trees' own travel.
    Server,
}

impl Combiner {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl FromStr for Combiner {
    type Err = ParseOptionError;

    fn from_str(text: &str) -> Result<Self, ParseOptionError> {
        [Self::Auto, Self::Client, Self::Server]
            .into_iter()
            .find(|combiner| combiner.name() == text)
            .ok_or_else(|| ParseOptionError {
                found: text.into(),
                expected: "auto, client, server",
            })
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
        [Self::Balanced, Self::Compact, Self::Keyless, Self::Wide]
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| ParseOptionError {
                found: text.into(),
                expected: "balanced, compact, keyless, wide",
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
