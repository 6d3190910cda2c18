//! Which raw scores need a result coefficient of their own.
//!
//! Many models' scores determine each other: the two probabilities of a binary forest add up to
//! one, a linear classifier's two rows are each other's negative. Such scores share a coefficient,
//! and the client derives each by its own scale and offset.

use crate::model::{TreeEnsemble, TreeNode};
use cipherfn_protocol::specs::{ScoreDecoding, ScoreUnits, TorusFraction};

#[cfg(test)]
mod tests;

/// `score = factor * value of the coefficient + offset`, up to `deviation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    /// Which coefficient.
    pub coefficient: u32,
    /// 0 for a constant score.
    pub factor: f64,
    /// In score units.
    pub offset: f64,
    /// Largest difference, in score units.
    pub deviation: f64,
}

/// How scores come from coefficients.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScoreMap {
    /// For each coefficient, the score that it carries (without the score's base or bias).
    pub carried: Vec<u32>,
    /// For each score, how it comes from a coefficient.
    pub scores: Vec<Affine>,
}

/// A result coefficient in score units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficient {
    /// A whole torus.
    pub scale: f64,
    /// Score at phase zero, without the scores' own offset.
    pub centre: f64,
    /// Bound on the encrypted error.
    pub error: TorusFraction,
    /// Largest error from rounded leaves or weights.
    pub rounding: f64,
    /// Half the range.
    pub half: f64,
}

/// Scores at most that each score is compared with.
const MOST_COMPARED: usize = 256;

/// Largest deviation of a derived score in parts of its range: float32 rounding of leaves and
/// weights, nothing more.
const TOLERANCE: f64 = 1.0 / (1 << 20) as f64;

impl ScoreMap {
    /// For tree ensembles.
    pub(crate) fn of_trees(trees: &TreeEnsemble) -> Self {
        Self::of(&trees.base, |score| Part::of_leaves(trees, score))
    }

    /// A coefficient for each score.
    pub(crate) fn separate(base: &[f64]) -> Self {
        let score = |(coefficient, base): (u32, &f64)| Affine {
            coefficient,
            factor: 1.0,
            offset: *base,
            deviation: 0.0,
        };
        Self {
            carried: (0..base.len() as u32).collect(),
            scores: (0..).zip(base).map(score).collect(),
        }
    }

    /// For linear maps of inputs in [-1, 1]: one row of weights and one constant a score.
    pub(crate) fn of_linear(weights: &[Vec<f64>], constants: &[f64]) -> Self {
        Self::of(constants, |score| {
            weights[score]
                .iter()
                .map(|weight| Part::new(vec![-weight, *weight]))
                .collect()
        })
    }

    /// Decoding of every score from the coefficients.
    pub(crate) fn decodings(&self, coefficients: &[Coefficient]) -> Vec<ScoreDecoding> {
        let decoding = |affine: &Affine| match coefficients.get(affine.coefficient as usize) {
            Some(coefficient) if affine.factor != 0.0 => coefficient.decoding(affine),
            _ => ScoreDecoding {
                coefficient: 0,
                scale: ScoreUnits::default(),
                offset: ScoreUnits::new(affine.offset),
                step: ScoreUnits::default(),
                precision: ScoreUnits::default(),
                range: (
                    ScoreUnits::new(affine.offset),
                    ScoreUnits::new(affine.offset),
                ),
            },
        };
        self.scores.iter().map(decoding).collect()
    }

    fn of(base: &[f64], parts: impl Fn(usize) -> Vec<Part>) -> Self {
        let mut carried: Vec<(u32, Vec<Part>)> = Vec::new();
        let mut scores = Vec::with_capacity(base.len());
        for (score, base) in base.iter().enumerate() {
            let parts = parts(score);
            let constant = relate(&parts, &parts, 0.0)
                .filter(|relation| relation.deviation == 0.0)
                .map(|relation| (0, relation));
            // Among very many the search would take longer than everything else.
            let compared = &carried[..carried.len().min(MOST_COMPARED)];
            let related = || {
                compared
                    .iter()
                    .enumerate()
                    .find_map(|(index, (_, base))| Some((index, relate_best(&parts, base)?)))
            };
            let (coefficient, relation) = constant.or_else(related).unwrap_or_else(|| {
                carried.push((score as u32, parts));
                (
                    carried.len() - 1,
                    Relation {
                        factor: 1.0,
                        offset: 0.0,
                        deviation: 0.0,
                    },
                )
            });
            let Relation {
                factor,
                offset,
                deviation,
            } = relation;
            scores.push(Affine {
                coefficient: coefficient as u32,
                factor,
                offset: offset + base,
                deviation,
            });
        }
        Self {
            carried: carried.into_iter().map(|(score, _)| score).collect(),
            scores,
        }
    }
}

impl Coefficient {
    fn decoding(&self, affine: &Affine) -> ScoreDecoding {
        let factor = affine.factor.abs();
        let offset = affine.offset + affine.factor * self.centre;
        let step = factor * self.error.in_scores(ScoreUnits::new(self.scale)).get();
        let reach = factor * self.half + affine.deviation;
        ScoreDecoding {
            coefficient: affine.coefficient,
            scale: ScoreUnits::new(affine.factor * self.scale),
            offset: ScoreUnits::new(offset),
            step: ScoreUnits::new(step),
            precision: ScoreUnits::new(1.5 * step + factor * self.rounding + affine.deviation),
            range: (
                ScoreUnits::new(offset - reach),
                ScoreUnits::new(offset + reach),
            ),
        }
    }
}

/// What one tree or input can add to a score.
struct Part {
    /// Its leaves' values in order, or the ends of its range.
    values: Vec<f64>,
    /// Their largest difference.
    extent: f64,
}

impl Part {
    fn new(values: Vec<f64>) -> Self {
        let (low, high) = range(values.iter().copied());
        Self {
            values,
            extent: high - low,
        }
    }

    fn of_leaves(trees: &TreeEnsemble, score: usize) -> Vec<Self> {
        let value = |node: &TreeNode| match node {
            TreeNode::Leaf(values) => Some(
                values
                    .iter()
                    .find(|(index, _)| *index as usize == score)
                    .map_or(0.0, |(_, value)| *value),
            ),
            TreeNode::Split { .. } => None,
        };
        trees
            .trees
            .iter()
            .map(|tree| Self::new(tree.nodes.iter().filter_map(value).collect()))
            .collect()
    }
}

struct Relation {
    factor: f64,
    offset: f64,
    deviation: f64,
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// `parts = factor * base + offset`, with an offset for every part.
fn relate(parts: &[Part], base: &[Part], factor: f64) -> Option<Relation> {
    let most = TOLERANCE * parts.iter().map(|part| part.extent).sum::<f64>();
    let (mut offset, mut deviation) = (0.0, 0.0);
    for (part, base) in parts.iter().zip(base) {
        let (low, high) = range(
            part.values
                .iter()
                .zip(&base.values)
                .map(|(value, base)| value - factor * base),
        );
        offset += f64::midpoint(low, high);
        deviation += (high - low) / 2.0;
        // It only grows.
        let may_fit = deviation <= most;
        if !may_fit {
            return None;
        }
    }
    Some(Relation {
        factor,
        offset,
        deviation,
    })
}

/// Tries the factors that the widest part suggests.
fn relate_best(parts: &[Part], base: &[Part]) -> Option<Relation> {
    let by_extent = |a: &usize, b: &usize| base[*a].extent.total_cmp(&base[*b].extent);
    let widest = (0..base.len()).max_by(by_extent)?;
    let at = |pick: fn(&f64, &f64) -> std::cmp::Ordering| {
        base[widest]
            .values
            .iter()
            .enumerate()
            .max_by(|a, b| pick(a.1, b.1))
            .map(|(index, _)| (base[widest].values[index], parts[widest].values[index]))
    };
    let (high, low) = (at(f64::total_cmp)?, at(|a, b| b.total_cmp(a))?);
    let slope = (high.1 - low.1) / (high.0 - low.0);
    [1.0, -1.0, slope]
        .into_iter()
        .filter(|factor| factor.is_finite())
        .find_map(|factor| relate(parts, base, factor))
}
