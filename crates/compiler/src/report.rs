//! The compile report: what was compiled, what it reveals, how precise it is, what it costs.

use crate::cost::Work;
use crate::fit::{Demand, Limit};
use crate::options::{Limits, Prefer, Profile};
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::Gadget;
use serde::{Deserialize, Serialize};

mod fit;
mod text;
mod vcpus;

pub use vcpus::VcpuTime;
use vcpus::on_vcpus;

/// Everything about a compiled model that people ask for. Serialised into the bundle; `Display` is
/// the text form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The model.
    pub model: ModelReport,
    /// How features are encoded and what the client specs show.
    pub features: FeatureReport,
    /// Keys and ciphertexts.
    pub security: SecurityReport,
    /// Guaranteed precision.
    pub precision: PrecisionReport,
    /// The circuit's work for one row.
    pub work: WorkReport,
    /// Bytes.
    pub sizes: SizeReport,
    /// Layers of functions that are looked up, one entry a layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerReport>,
    /// The compiled model on the calibration rows.
    pub agreement: Agreement,
    /// How well the model predicts the targets of the calibration rows.
    #[serde(default)]
    pub targets: Vec<TargetReport>,
    /// Rows on which the model gives the library's own predictions, if there were any to compare
    /// with.
    #[serde(default)]
    pub expected_rows: Option<u64>,
    /// What was tried to make it fit, if it was to fit anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<FitReport>,
    /// What to know: how columns were matched, what the specs show.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What to look at before deploying.
    pub warnings: Vec<String>,
}

/// The model as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Name given at compile time.
    pub name: String,
    /// `tree ensemble`, `linear` or `sums of functions`.
    pub family: String,
    /// `classification` or `regression`.
    pub task: String,
    /// Exporter and version.
    pub producer: String,
    /// Operators of the ONNX graph, or what a library's file boosts.
    pub operators: Vec<String>,
    /// Length of the feature vector.
    pub features: usize,
    /// Raw scores.
    pub scores: usize,
    /// Trees, inner nodes, leaves and depth; none for linear models.
    pub trees: Option<TreeCounts>,
}

/// Size of an ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeCounts {
    /// Trees.
    pub trees: usize,
    /// Inner nodes.
    pub nodes: usize,
    /// Leaves.
    pub leaves: usize,
    /// Longest path, in inner nodes.
    pub depth: usize,
    /// Distinct questions, (feature, answer set) pairs.
    pub predicates: usize,
}

/// A layer of functions of linear forms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// The nodes whose functions these are.
    pub nodes: Vec<String>,
    /// Functions, one look-up each.
    pub lookups: usize,
    /// Those that have the whole torus, and a line beside them, in place of half of it.
    pub on_whole_torus: usize,
    /// Encrypted bits.
    pub selectors: u32,
    /// CMUXes of all look-ups.
    pub cmuxes: u32,
    /// How many times as far from its middle as on the calibration rows a form may be.
    pub margin: f64,
    /// Forms of calibration rows that are outside their tables nevertheless.
    pub wrapped: u64,
    /// Calibration rows that it was fitted on.
    pub rows: u64,
    /// Part of the simulated rows with the model's label, or largest score; none for one score
    /// without labels.
    pub labels: Option<f64>,
    /// Error of the worst score, root mean square in parts of its range.
    pub error: f64,
    /// The same without noise.
    pub error_without_noise: f64,
    /// What most of the error comes from, and what to try.
    pub limit: String,
    /// Its numbers, and what they take; none in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep: Option<DeepReport>,
}

impl LayerReport {
    /// Functions that are looked up by bits or by numbers.
    pub fn functions(&self) -> usize {
        self.lookups + self.deep.map_or(0, |deep| deep.bootstraps)
    }
}

/// Numbers of a layer, whose functions are looked up or bootstrapped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeepReport {
    /// Functions that are bootstrapped.
    pub bootstraps: usize,
    /// CMUXes by selectors that are made of numbers, of trees.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub choices: usize,
    /// What their tables reach from and to.
    pub range: (f64, f64),
    /// Bits of its range that the least exact number has when its table is read.
    pub bits: f64,
    /// Part of the scores' square error that its noise makes: behind bootstraps of the row that noise
    /// moves most, else over all rows.
    pub share: f64,
    /// Predicted time on one thread.
    pub microseconds: Microseconds,
    /// Bytes of its values.
    pub memory: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Encoding of features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureReport {
    /// `exact`, `exact with N decoys a feature`, `grid:BITS`, `integers` or `ranges`.
    pub mode: String,
    /// What everyone who has the client specs learns.
    pub revealed: String,
    /// One entry a feature that is encrypted.
    pub encoded: Vec<EncodedFeature>,
    /// Split points, and how many there were if the decimals of the calibration rows were declared,
    /// where these are fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_decimals: Option<(usize, usize)>,
}

/// Encoding of one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodedFeature {
    /// Its name.
    pub name: String,
    /// `index`, `thermometer`, `blocks`, `integer` or `coefficient`.
    pub form: String,
    /// Bins, the one of missing values included; none for linear models.
    pub bins: Option<u32>,
    /// Encrypted bits.
    pub bits: u32,
    /// Most decimals of its values, where the split points rely on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u32>,
}

/// Parameter set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityReport {
    /// Its name.
    pub parameter_set: String,
    /// Estimated security in bits.
    pub bits: f64,
    /// Where the estimate comes from.
    pub source: String,
    /// `balanced`, `compact` or `keyless`.
    pub profile: String,
    /// Whether the server needs an evaluation key.
    pub needs_evaluation_key: bool,
}

/// Precision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionReport {
    /// Bits asked for.
    pub target_bits: f64,
    /// log2 of range / largest error, of the worst score.
    pub guaranteed_bits: f64,
    /// Of which range: `every possible row` or `the calibration rows`.
    pub range_of: String,
    /// log2 of the probability that some score of a row is off by more.
    pub failure_log2: f64,
    /// What that is said of.
    #[serde(default)]
    pub bound: Bound,
    /// Largest error of each score, in score units.
    pub scores: Vec<f64>,
    /// Standard deviation of the encrypted result, as a fraction of the torus.
    pub noise_deviation: f64,
}

/// What a stated precision holds for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Every row.
    #[default]
    EveryRow,
    /// Noise, of every row; what features, tables and weights lose by rounding is the largest error of
    /// the calibration rows.
    Noise,
    /// Nothing: noise passes through functions, and is estimated from the calibration rows, as well as
    /// what rounding loses.
    Estimate,
    /// Nothing: votes of points that are about as far away as others may be others', on calibration
    /// rows as many as stated.
    Votes,
    /// Nothing: a number next to a threshold may be taken for one on its other side, and a score is
    /// another leaf's then.
    Comparisons,
}

impl Bound {
    /// A line for people, behind the bits; `failure`: log2 of its probability.
    pub fn text(self, failure: f64) -> String {
        match self {
            Self::EveryRow => format!("failure below 2^{failure:.0} a row"),
            Self::Noise => format!(
                "noise exceeds it below 2^{failure:.0} a row; the rest is the largest error of the \
                 calibration rows, and no bound for others"
            ),
            Self::Estimate => {
                "an estimate, no bound: the noise of the calibration row that it moves \
                               most, every function as steep as it is anywhere, and the largest \
                               error of rounding"
                    .to_owned()
            }
            Self::Votes => {
                "no bound: the largest error of a calibration row, one of whose nearest \
                            points had a vote too many or none"
                    .to_owned()
            }
            Self::Comparisons => {
                "no bound: the largest error of a simulated calibration row; a number \
                                  next to a threshold may be taken for one on its other side"
                    .to_owned()
            }
        }
    }
}

/// What was tried to make a model fit a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// What it was to fit.
    pub limits: Limits,
    /// The tries; the last one was taken, if any fits.
    pub tries: Vec<Try>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// Quantisation of the features.
    pub features: String,
    /// Bits asked for; none for the default.
    pub precision: Option<f64>,
    /// Profile.
    pub profile: Profile,
    /// Preference.
    pub prefer: Option<Prefer>,
    /// What became of it; none where it could not be compiled.
    pub facts: Option<TryFacts>,
    /// Why it could not be compiled.
    pub problem: Option<String>,
}

impl Try {
    /// Whether it keeps to all limits.
    pub fn fits(&self) -> bool {
        let facts = self.facts.as_ref();
        facts.is_some_and(|facts| facts.missed.is_empty())
    }
}

/// Fidelity and cost of a try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TryFacts {
    /// Guaranteed bits of the scores.
    pub guaranteed_bits: f64,
    /// On the calibration rows.
    pub agreement: Agreement,
    /// What a row takes of the function.
    pub demand: Demand,
    /// Limits that it misses.
    pub missed: Vec<Limit>,
}

/// How well one target is predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// The column.
    pub target: String,
    /// Rows compared.
    pub rows: u64,
    /// Of the model.
    pub clear: Quality,
    /// Of the compiled model, with noise.
    pub simulated: Quality,
}

/// Measures of predictions; those that make no sense for a model are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Part of the rows with the right label.
    pub accuracy: Option<f64>,
    /// Area under the receiver's curve, of two classes.
    pub auc: Option<f64>,
    /// Explained part of the variance.
    pub r2: Option<f64>,
}

/// Work for one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkReport {
    /// Gadget of the selectors; none for linear models.
    pub gadget: Option<Gadget>,
    /// Counts; none for linear models.
    pub counts: Option<Work>,
    /// Predicted time on one thread.
    pub predicted_microseconds: Microseconds,
    /// The same on a function's vCPUs; none of rows that are too short to share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_vcpus: Vec<VcpuTime>,
    /// What they are spent on.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// The same circuit with other gadgets: fewer levels are faster, smaller and less precise.
    #[serde(default)]
    pub alternatives: Vec<Alternative>,
}

/// Part of a row's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What is done.
    pub name: String,
    /// Predicted time on one thread.
    pub microseconds: Microseconds,
}

/// What another gadget would give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The gadget.
    pub gadget: Gadget,
    /// Bits that it would guarantee, about.
    pub bits: f64,
    /// Predicted time on one thread.
    pub microseconds: Microseconds,
    /// Bytes of a query row.
    pub query_row: usize,
}

impl WorkReport {
    /// Of a circuit whose time is spent on `stages`.
    pub(crate) fn of(
        gadget: Option<Gadget>,
        counts: Option<Work>,
        stages: &[(&str, Microseconds)],
        alternatives: Vec<Alternative>,
    ) -> Self {
        let stages = stages.iter().filter(|stage| stage.1.get() > 0.0);
        let stages: Vec<Stage> = stages
            .map(|(name, microseconds)| Stage {
                name: (*name).to_owned(),
                microseconds: *microseconds,
            })
            .collect();
        let predicted_microseconds = stages.iter().map(|stage| stage.microseconds).sum();
        Self {
            gadget,
            counts,
            predicted_microseconds,
            on_vcpus: on_vcpus(predicted_microseconds),
            stages,
            alternatives,
        }
    }

    /// Of two circuits that a row is evaluated with.
    pub(crate) fn join(&self, other: &Self) -> Self {
        let mut stages = self.stages.clone();
        for stage in &other.stages {
            match stages.iter_mut().find(|own| own.name == stage.name) {
                Some(own) => own.microseconds = own.microseconds + stage.microseconds,
                None => stages.push(stage.clone()),
            }
        }
        let predicted_microseconds = self.predicted_microseconds + other.predicted_microseconds;
        Self {
            gadget: self.gadget.or(other.gadget),
            counts: self.counts.or(other.counts),
            predicted_microseconds,
            on_vcpus: on_vcpus(predicted_microseconds),
            stages,
            // What they say holds for one circuit alone.
            alternatives: Vec::new(),
        }
    }
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeReport {
    /// Evaluation key, 0 if none is needed.
    pub evaluation_key: usize,
    /// One query row.
    pub query_row: usize,
    /// One reply row.
    pub reply_row: usize,
    /// A row in a request of many, where rows share ciphertexts.
    #[serde(default)]
    pub shared: Option<SharedSizes>,
}

/// Sizes of a row among as many as ciphertexts have room for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedSizes {
    /// Its share of the query.
    pub query_row: usize,
    /// Its share of the reply.
    pub reply_row: usize,
}

/// Comparison with the float model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Rows compared.
    pub rows: u64,
    /// Rows that the client would refuse (missing or infinite values).
    pub skipped: u64,
    /// Largest difference of a raw score.
    pub largest_error: f64,
    /// Rows all of whose scores are within the stated precision.
    pub within_precision: u64,
    /// Whether the model gives labels.
    pub has_labels: bool,
    /// Rows with the same label.
    pub labels_equal: u64,
    /// Rows whose label an error within the precision can change.
    pub margin_cases: u64,
}
