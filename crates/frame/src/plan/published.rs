//! Linear models that whoever evaluates keeps to itself, as scores of plans: what their client specs say.
//!
//! `score = offset + unit * sum of w (F(x) - centre) / half width`, over features F that are sums of the
//! columns: all of it is in the specs, which every client of the model has, but the integers w. Of these the
//! range of the score bounds the sum of sizes.

use super::score::{LinearScore, ScoreError};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::Node;
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::specs::{
    ClientSpecs, Encoding, LinearEncoding, SpecsDocument, speaks_for_first,
};
use std::fmt;

/// What rounding of floats may add to the sizes of weights.
const ROUNDING: f64 = 1e-9;

/// A published linear model, with its weights where they are at hand.
#[derive(Clone, PartialEq)]
pub struct PublishedScore {
    name: String,
    specs: SpecsHash,
    circuit: Hash,
    columns: Vec<String>,
    features: Vec<ScoreFeature>,
    /// What a weight of 1 adds to the score where its feature is at the end of its range.
    unit: f64,
    /// The score where all features are in the middle of their ranges.
    offset: f64,
    /// Most that all weights together add where the features are at the ends of their ranges.
    reach: f64,
    /// Largest error of the score that `predict` guarantees.
    precision: f64,
    weights: Option<Vec<i64>>,
}

/// A feature: `constant + sum of weight * entry`, and its range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScoreFeature {
    pub(crate) constant: f64,
    pub(crate) terms: Vec<(usize, f64)>,
    pub(crate) centre: f64,
    pub(crate) half_width: f64,
}

impl PublishedScore {
    /// The raw score of the model, of two classes the decision for the second one, that is published under this name with these specs.
    ///
    /// # Errors
    /// A model that is not linear, has several scores, or whose features are no sums of its columns.
    pub fn new(name: impl Into<String>, document: &SpecsDocument) -> Result<Self, ScoreError> {
        let name = name.into();
        let specs = document.specs();
        let read = read(&name, document.hash(), specs);
        read.map_err(|problem| {
            ScoreError::new(format!(
                "model {name:?} {problem}, so that its score is no column of a plan; predict the decrypted rows (`cipherfn predict`)"
            ))
        })
    }

    /// The same with the weights of its circuit, for whoever evaluates.
    ///
    /// # Errors
    /// The circuit of another model, or weights beyond what its specs say.
    pub fn with_weights(&self, circuit: &Circuit) -> Result<Self, ScoreError> {
        let weights = self.read_weights(circuit).map_err(|problem| {
            ScoreError::new(format!(
                "the bundle of model {:?} {problem}; compile it again and publish that",
                self.name
            ))
        })?;
        Ok(Self {
            weights: Some(weights),
            ..self.clone()
        })
    }

    /// The same as everybody knows it.
    #[must_use]
    pub fn without_weights(&self) -> Self {
        Self {
            weights: None,
            ..self.clone()
        }
    }

    fn read_weights(&self, circuit: &Circuit) -> Result<Vec<i64>, String> {
        if circuit.hash().map_err(|error| error.to_string())? != self.circuit {
            return Err("has another circuit than its specs are of".into());
        }
        let [Node::Product(product)] = &circuit.nodes[..] else {
            return Err("has a circuit that is no weighted sum".into());
        };
        let ([weights], None) = (&product.weights[..], product.constant) else {
            return Err("has a circuit with more than the weights of a score".into());
        };
        if weights.len() != self.features.len() {
            return Err("has weights of other features than its specs".into());
        }
        let sizes = weights.iter().map(|weight| weight.unsigned_abs() as f64);
        if sizes.sum::<f64>() * self.unit.abs() > self.reach {
            return Err("has larger weights than the range of its score allows".into());
        }
        Ok(weights.clone())
    }

    /// Under which name it is published, and plans know it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hash of its specs, which names the version.
    pub const fn specs(&self) -> SpecsHash {
        self.specs
    }

    /// Names of the columns that it takes of a row, each an entry.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many numbers it takes of a row.
    pub const fn entries(&self) -> usize {
        self.columns.len()
    }

    /// Largest error of the score that `predict` guarantees, in its own units.
    pub const fn precision(&self) -> f64 {
        self.precision
    }

    /// Whether its weights are at hand.
    pub const fn has_weights(&self) -> bool {
        self.weights.is_some()
    }

    /// The model with its weights as numbers of the plan, which whoever has them may show.
    ///
    /// # Errors
    /// Weights that are not at hand, or have no room in a plan.
    pub fn to_linear(&self) -> Result<LinearScore, ScoreError> {
        let Some(weights) = &self.weights else {
            return Err(ScoreError::new(format!(
                "the weights of model {:?} are not at hand",
                self.name
            )));
        };
        let (mut constant, mut of_entries) = (self.offset, vec![0.0; self.entries()]);
        for (feature, weight) in self.features.iter().zip(weights) {
            let factor = self.unit * *weight as f64 / feature.half_width;
            constant += factor * (feature.constant - feature.centre);
            for (entry, own) in &feature.terms {
                of_entries[*entry] += factor * own;
            }
        }
        LinearScore::new(constant, &of_entries, self.columns.clone())
    }

    pub(crate) fn features(&self) -> &[ScoreFeature] {
        &self.features
    }

    pub(crate) const fn unit(&self) -> f64 {
        self.unit
    }

    pub(crate) const fn offset(&self) -> f64 {
        self.offset
    }

    pub(crate) const fn reach(&self) -> f64 {
        self.reach
    }

    pub(crate) fn weights(&self) -> Option<&[i64]> {
        self.weights.as_deref()
    }
}

/// Name and version: whether weights are at hand makes it no other model, and they are nobody's business.
impl fmt::Debug for PublishedScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishedScore({:?}, {})", self.name, self.specs)
    }
}

/// What specs say, or what is no score of a plan.
fn read(name: &str, hash: SpecsHash, specs: &ClientSpecs) -> Result<PublishedScore, String> {
    let [Encoding::Linear(encoding)] = &specs.inputs[..] else {
        return Err(format!("is no linear model ({})", specs.model.family));
    };
    let [decoding] = &specs.decoding.scores[..] else {
        let scores = specs.decoding.scores.len();
        return Err(format!("has {scores} scores"));
    };
    let features = features(specs, encoding)?;
    let unit = decoding.scale.get() * encoding.delta.get();
    let offset = decoding.offset.get();
    let (low, high) = (decoding.range.0.get(), decoding.range.1.get());
    let rounded = features.len() as f64 * unit.abs() / 2.0;
    let reach = ((high - offset).max(offset - low) + rounded) * (1.0 + ROUNDING);
    let precision = decoding.precision.get();
    let numbers = [unit, offset, reach, precision];
    if !numbers.iter().all(|number| number.is_finite()) || reach <= 0.0 || precision <= 0.0 {
        return Err("has the same score for every row".into());
    }
    // Of two classes the decision for the second one, whichever the exporter's score speaks for.
    let sign = if speaks_for_first(&specs.postprocess, &specs.outputs) {
        -1.0
    } else {
        1.0
    };
    // Each input of the program takes as many columns as it is long.
    let columns = specs.columns.iter();
    Ok(PublishedScore {
        name: name.to_owned(),
        specs: hash,
        circuit: specs.circuit,
        columns: columns.map(|column| column.name.clone()).collect(),
        features,
        unit: sign * unit,
        offset: sign * offset,
        reach,
        precision,
        weights: None,
    })
}

fn features(specs: &ClientSpecs, encoding: &LinearEncoding) -> Result<Vec<ScoreFeature>, String> {
    let sums = specs.preprocess.entry_sums();
    let sums = sums.map_err(|error| format!("takes what a plan does not do: {error}"))?;
    let ranges = encoding.centre.iter().zip(&encoding.half_width);
    let features = sums.into_iter().zip(ranges);
    let features = features.map(|(sum, (centre, half_width))| ScoreFeature {
        constant: sum.constant,
        terms: sum.terms.into_iter().collect(),
        centre: *centre,
        half_width: *half_width,
    });
    let features: Vec<ScoreFeature> = features.collect();
    let is_finite = |own: &ScoreFeature| {
        let mut weights = own.terms.iter().map(|term| term.1);
        own.constant.is_finite() && weights.all(f64::is_finite)
    };
    if features.len() != encoding.names.len() || !features.iter().all(is_finite) {
        return Err("has features that its specs do not tell".into());
    }
    Ok(features)
}
