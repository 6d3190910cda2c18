//! From a feature vector to what is encrypted: bins, selector bits, torus amplitudes.

use crate::{BaseLog, Bits, Levels, TorusFraction};
use serde::{Deserialize, Serialize};

/// How a feature vector becomes a query row.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoding {
    /// Selector bits.
    Selectors(SelectorEncoding),
    /// Coefficients of a linear model's input.
    Linear(LinearEncoding),
    /// Selector bits of numbers.
    Integers(IntegerEncoding),
}

/// Selector bits of quantised features.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectorEncoding {
    /// One quantiser a used feature.
    pub quantisers: Vec<Quantiser>,
    /// The bits to encrypt, in order.
    pub selectors: Vec<Selector>,
    /// Gadget of the selectors' GGSW ciphertexts.
    pub gadget: Gadget,
    /// Whether bits travel packed (expanded with the evaluation key) or as seeded GGSW
    /// ciphertexts.
    pub transport: Transport,
}

/// Form in which selectors travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Gadget-scaled bits in the coefficients of seeded GLWE ciphertexts.
    Packed,
    /// One seeded GGSW ciphertext a selector, no evaluation key.
    Ggsw,
}

/// Base and level count of a gadget decomposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gadget {
    /// log2 of the base.
    pub base_log: BaseLog,
    /// Number of levels.
    pub levels: Levels,
}

impl Gadget {
    /// So many levels of a base. What is read from outside may not fit into a word.
    pub const fn new(base_log: BaseLog, levels: Levels) -> Self {
        Self { base_log, levels }
    }

    /// Bits that the digits of all levels have together.
    pub const fn bits(self) -> u32 {
        self.base_log.get().saturating_mul(self.levels.get())
    }
}

/// Bins of one feature: bin index = number of `splits` that the value exceeds, so bin `i` is
/// `(splits[i-1], splits[i]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiser {
    /// Index into the feature vector.
    pub feature: u32,
    /// Name for errors and reports.
    pub name: String,
    /// Strictly increasing split points; at least one, unless missing values have a bin of their
    /// own.
    pub splits: Vec<f32>,
    /// Where a missing value (NaN) goes. Without it a missing value is an error.
    pub missing: Option<MissingBin>,
    /// Most decimals of a value, where the split points rely on it: more are an error.
    pub decimals: Option<u32>,
}

/// Bin of missing values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingBin {
    /// Index 0; every other bin moves up by one.
    First,
    /// One past the last ordinary bin.
    Last,
}

/// One encrypted bit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Index into `quantisers`.
    pub quantiser: u32,
    /// Which bit of it.
    pub predicate: Predicate,
}

/// A boolean function of a bin index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// Bit `i` (0 is the least significant) of the bin index.
    Bit(u32),
    /// True for bins in one of the half-open ranges, sorted and disjoint.
    Within(Vec<(u32, u32)>),
}

/// Where features and results stand in ciphertexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FeatureForm {
    /// Feature `i` in coefficient `(i % block) * stride`, results side by side: few results, which are
    /// read as they are.
    #[default]
    Apart,
    /// Feature `i` in coefficient `i % block`, results `stride` apart: of many results, so that those
    /// of several ciphertexts can be packed.
    Together,
}

/// Input of a linear model. Feature `i` enters as `delta * (x_i - centre_i) / half_width_i` on the
/// torus, in ciphertext `i / block`, where its [form](FeatureForm) says.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearEncoding {
    /// Names for errors, one a feature: the first entries of the feature vector.
    pub names: Vec<String>,
    /// Middle of each feature's range.
    pub centre: Vec<f64>,
    /// Half of each feature's range; a value outside `centre ± half_width` is an error.
    pub half_width: Vec<f64>,
    /// Torus amplitude of a feature at the end of its range.
    pub delta: TorusFraction,
    /// Features in one ciphertext.
    pub block: u32,
    /// Distance in coefficients of features, or of results: at least the number of the others.
    pub stride: u32,
    /// Which of them stand apart.
    pub form: FeatureForm,
    /// Bits of a body coefficient that travel.
    pub body_bits: Bits,
}

/// Features as integers of a few bits, each bit a selector: those of the first feature first, the
/// least significant bit of a feature first.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerEncoding {
    /// In order.
    pub features: Vec<IntegerFeature>,
    /// Gadget of the selectors' GGSW ciphertexts.
    pub gadget: Gadget,
    /// How they travel.
    pub transport: Transport,
}

/// A feature on a grid: integer `i` stands for `low + i * step`.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerFeature {
    /// Index into the feature vector.
    pub feature: u32,
    /// Name for errors and reports.
    pub name: String,
    /// What 0 stands for.
    pub low: f64,
    /// Distance of neighbouring values.
    pub step: f64,
    /// Bits of the integer; with none it is always 0.
    pub bits: u32,
    /// How far a value may lie from what the nearest integer stands for, where the values that the
    /// model was compiled for are these alone; `None`: any value between two steps is as good.
    pub tolerance: Option<f64>,
}
