//! The families of estimators that can be evaluated under encryption: peers behind [`Family`].
//!
//! A model's estimators are gathered into one [`Region`] a family: trees of several ensembles share
//! selectors and one reply, linear maps share a ciphertext. Each region is planned on its own, under
//! one parameter set for all of them.

use crate::backend::Backend;
use crate::cost::{Costs, Takes};
use crate::error::{CompileError, Remedy};
use crate::features::Features;
use crate::model::{Estimator, LinearModel, Model, TreeEnsemble, TreeNode};
use crate::options::{Options, Profile};
use crate::report::{Bound, FeatureReport, LayerReport, SharedSizes, TreeCounts, WorkReport};
use cipherfn_circuit::Circuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{Encoding, Relation, ScoreDecoding};
use cipherfn_scheme::noise::Deviation;
use cipherfn_scheme::parameters::{KeyPart, KeyPartContents};

mod constant;
mod facts;
mod lattice;
mod linear;
mod lookups;
mod scores;
mod trees;

pub(crate) use constant::fold_constants;
pub(crate) use lattice::Lattice;

#[cfg(test)]
mod tests;

/// A kind of estimator.
pub(crate) trait Family {
    /// Word for reports and specs.
    fn name(&self) -> &'static str;

    /// The cheapest circuit that reaches the wanted precision, or the most precise one.
    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError>;

    /// Refuses what the rounding of features to 32 bits makes another model; `rows` are inputs of the
    /// model's pre-processing.
    fn check_rounding(&self, _model: &Model, _rows: &[Vec<Tensor>]) -> Result<(), CompileError> {
        Ok(())
    }
}

/// What a family plans for.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The features.
    pub features: &'a Features,
    /// What the developer asks for.
    pub options: &'a Options,
    /// Bits of the score range that tree ensembles guarantee where nothing else is asked for.
    pub usual_bits: f64,
    /// Hash of the model's bytes: whatever is drawn is drawn from it.
    pub seed: Hash,
    /// The parameter set.
    pub backend: Backend,
    /// The float model.
    pub reference: Reference<'a>,
    /// From and to which value scores are compared with others by the server, where they are.
    pub reach: Option<(f64, f64)>,
    /// The only part of the key that may bootstrap, where another region has chosen it.
    pub bootstrap: Option<&'static KeyPart>,
}

/// The float model that a family keeps to where it is not exact.
#[derive(Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub model: &'a Model,
    /// Its raw scores for the first calibration rows.
    pub scores: &'a [Vec<f64>],
    /// Which of them are the region's.
    pub region: &'a [usize],
}

/// A region, ready to become part of the model's circuit and specs.
pub(crate) struct Plan {
    /// Circuit of this region alone.
    pub circuit: Circuit,
    /// How the client encodes the circuit's inputs, one entry an input.
    pub encodings: Vec<Encoding>,
    /// What rows have to keep to be like the calibration rows.
    pub relations: Vec<Relation>,
    /// How the client reads the circuit's outputs.
    pub reading: Reading,
    /// For the report.
    pub facts: Facts,
}

/// From the coefficients of a region's reply to its scores.
pub(crate) struct Reading {
    /// One entry a score of the region.
    pub scores: Vec<ScoreDecoding>,
    /// Standard deviation of a result coefficient.
    pub deviation: Deviation,
}

/// What the report says of a region.
#[derive(Clone)]
pub(crate) struct Facts {
    /// Guaranteed bits wanted.
    pub target_bits: f64,
    /// Guaranteed bits.
    pub bits: f64,
    /// Of which range.
    pub range_of: &'static str,
    /// What the precision holds for.
    pub bound: Bound,
    /// Encoding of the features.
    pub features: FeatureReport,
    /// Work for one row.
    pub work: WorkReport,
    /// Size of the ensemble.
    pub trees: Option<TreeCounts>,
    /// Layers of functions.
    pub layers: Vec<LayerReport>,
    /// Bytes of a query row.
    pub query_bytes: usize,
    /// Bytes of a reply row.
    pub reply_bytes: usize,
    /// Both in a request of many rows, where they are smaller.
    pub shared: Option<SharedSizes>,
    /// Parts of the evaluation key that the server needs, to expand queries or to pack results.
    pub key_parts: Vec<&'static KeyPart>,
    /// What to look at before deploying.
    pub warnings: Vec<String>,
}

impl Facts {
    /// The part of the key that bootstraps.
    fn bootstrap(&self) -> Option<&'static KeyPart> {
        let mut parts = self.key_parts.iter().copied();
        parts.find(|part| matches!(part.contents, KeyPartContents::Bootstrap(_)))
    }

    /// Sizes of a row among many.
    pub(crate) fn sizes_in_batch(&self) -> SharedSizes {
        self.shared.unwrap_or(SharedSizes {
            query_row: self.query_bytes,
            reply_row: self.reply_bytes,
        })
    }
}

/// The estimators of one family.
pub(crate) struct Region {
    /// All of them as one.
    pub estimator: Estimator,
    /// Which of the model's raw scores are its scores.
    pub scores: Vec<usize>,
}

impl Estimator {
    /// Its family.
    pub(crate) fn family(&self) -> &dyn Family {
        match self {
            Self::Trees(trees) => trees,
            Self::Linear(linear) => linear,
            Self::LinearTrees(trees) => trees,
            Self::Lookups(model) => model,
            Self::Layers(model) => model,
            Self::Neighbours(model) => model,
            Self::Stacked(model) => model,
        }
    }
}

/// Gathers estimators by family, in order of appearance.
pub(crate) fn regions(estimators: &[Estimator]) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    let mut first = 0;
    for estimator in estimators {
        let own = first..first + estimator.scores();
        first = own.end;
        let is_joined = regions.iter_mut().any(|region| {
            let is_joined = join(&mut region.estimator, estimator);
            if is_joined {
                region.scores.extend(own.clone());
            }
            is_joined
        });
        if !is_joined {
            regions.push(Region {
                estimator: estimator.clone(),
                scores: own.collect(),
            });
        }
    }
    regions
}

/// Appends the scores of `other`, if it is of the same family.
fn join(estimator: &mut Estimator, other: &Estimator) -> bool {
    match (estimator, other) {
        (Estimator::Linear(linear), Estimator::Linear(LinearModel { weights, bias })) => {
            linear.weights.extend_from_slice(weights);
            linear.bias.extend_from_slice(bias);
        }
        (
            Estimator::Trees(ensemble),
            Estimator::Trees(TreeEnsemble {
                scores,
                base,
                trees,
            }),
        ) => {
            let shift = ensemble.scores as u32;
            ensemble.scores += scores;
            ensemble.base.extend_from_slice(base);
            for mut tree in trees.iter().cloned() {
                for node in &mut tree.nodes {
                    if let TreeNode::Leaf(values) = node {
                        for (score, _) in values {
                            *score += shift;
                        }
                    }
                }
                ensemble.trees.push(tree);
            }
        }
        _ => return false,
    }
    true
}

/// Plans all regions under the parameter set that suits them best. `exact` is the float model with
/// its raw scores for the first calibration rows.
pub(crate) fn plan(
    regions: &[Region],
    features: &Features,
    exact: (&Model, &[Vec<f64>]),
    options: &Options,
    usual_bits: f64,
    seed: Hash,
) -> Result<(Backend, Vec<Plan>), CompileError> {
    let mut best: Option<(f64, f64, Backend, Vec<Plan>)> = None;
    let looks_up = |region: &Region| region.estimator.looks_up();
    let backends = if regions.iter().any(looks_up) {
        Backend::for_lookups(options.profile, regions.len())?
    } else {
        Backend::for_profile(options.profile, regions.len())
    };
    for backend in backends {
        let plan = |region: &Region, bootstrap: Option<&'static KeyPart>| {
            region.estimator.family().plan(&Setting {
                features,
                options,
                usual_bits,
                seed,
                backend,
                reference: Reference {
                    model: exact.0,
                    scores: exact.1,
                    region: &region.scores,
                },
                reach: None,
                bootstrap,
            })
        };
        let plans = regions.iter().map(|region| plan(region, None));
        let mut plans = plans.collect::<Result<Vec<_>, _>>()?;
        // A circuit bootstraps by one part: the most exact one that a region has chosen.
        let chosen = plans.iter().filter_map(|plan| plan.facts.bootstrap());
        let position = |part: &&KeyPart| {
            backend
                .set
                .parts
                .iter()
                .position(|own| own.name == part.name)
        };
        let chosen = chosen.max_by_key(position);
        for (region, own) in regions.iter().zip(&mut plans) {
            let part = own.facts.bootstrap();
            if part.is_some_and(|part| chosen.is_some_and(|chosen| part.name != chosen.name)) {
                *own = plan(region, chosen)?;
            }
        }
        // Sets that reach the target come first, the cheapest of them; then the most precise one.
        let short = plans
            .iter()
            .map(|plan| plan.facts.target_bits - plan.facts.bits);
        let short = short.fold(0.0, f64::max);
        let facts = || plans.iter().map(|plan| &plan.facts);
        let costs = Costs::of(backend.set);
        let memory = |facts: &Facts| {
            let work = facts.work.counts.zip(facts.work.gadget);
            work.map_or(0.0, |(work, gadget)| costs.memory(&work, gadget))
        };
        let takes = Takes {
            time: facts().map(|facts| facts.work.predicted_microseconds).sum(),
            memory: facts().map(memory).sum(),
            query: facts().map(|facts| facts.query_bytes).sum::<usize>() as f64,
        };
        let price = takes.price(
            (options.profile, options.prefer),
            backend.file_bytes(facts().flat_map(|facts| facts.key_parts.iter().copied())),
        );
        if best
            .as_ref()
            .is_none_or(|(least, cheapest, ..)| (short, price) < (*least, *cheapest))
        {
            best = Some((short, price, backend, plans));
        }
    }
    let (short, _, backend, plans) = best.ok_or(CompileError::Constant)?;
    match (options.precision, short > 0.0) {
        (Some(wanted), true) => {
            let keyless = Options {
                profile: Profile::Keyless,
                ..options.clone()
            };
            // Rounded down, or the next call would fail, too.
            let best = ((wanted - short) * 10.0).floor() / 10.0;
            Err(CompileError::Precision {
                wanted,
                best,
                profile: options.profile.name(),
                remedy: Remedy::LessPrecision {
                    best,
                    keyless: options.profile != Profile::Keyless
                        && plan(regions, features, exact, &keyless, usual_bits, seed).is_ok(),
                },
            })
        }
        _ => Ok((backend, plans)),
    }
}
