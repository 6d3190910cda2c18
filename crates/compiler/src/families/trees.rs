//! Tree ensembles: quantisers, then binned trees, then a circuit of CMUXes with a noise bound and a
//! predicted cost.
//!
//! ```text
//! TreeEnsemble + calibration rows
//!   quantisation   split points of every feature                    (exact, decoys, grid)
//!   scores         which scores need a coefficient of their own     (p0 = 1 - p1 needs none)
//!   binned         trees over sets of bins, undecidable nodes removed
//!   forms          which bits of the bin index are encrypted, and how they answer questions
//!   expression     trees over these bits, shared
//!   graph          sums merged from the root: at most one CMUX a selector and sum
//!   noise, cost    bound on the error, predicted time
//!   choice         form of every feature, gadget: the cheapest that is precise enough
//! ```

mod additive;
mod binned;
mod bins;
mod choice;
mod diagram;
mod expression;
mod facts;
mod forms;
mod graph;
mod inputs;
mod leaves;
mod lower;
mod noise;
mod oblivious;
mod pairs;
mod quantisation;

use super::scores::{Coefficient, ScoreMap};
use super::{Facts, Family, Plan, Reading, Setting};
use crate::error::CompileError;
use crate::model::{LinearTrees, TreeEnsemble};
use crate::options::FeatureMode;
use crate::report::{Bound, WorkReport};
use binned::BinnedEnsemble;
use choice::{Choice, Problem, choose};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{Constant, Input, NodeId, Output};
use cipherfn_protocol::specs::{Encoding, Selector, SelectorEncoding};
use cipherfn_scheme::query::InputShape;
use inputs::Inputs;
use quantisation::{FeatureInfo, Quantisation};

impl Family for TreeEnsemble {
    fn name(&self) -> &'static str {
        "tree ensemble"
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        plan(self, None, setting)
    }
}

impl Family for LinearTrees {
    fn name(&self) -> &'static str {
        "tree ensemble with linear leaves"
    }

    fn plan(&self, setting: &Setting<'_>) -> Result<Plan, CompileError> {
        let exact = matches!(setting.options.features, FeatureMode::Exact { .. });
        let inputs = Inputs::new(self, setting.features, exact);
        plan(&self.constants, Some(&inputs), setting)
    }
}

/// The plan for trees, whose leaves weigh `inputs` if there are any.
fn plan(
    trees: &TreeEnsemble,
    inputs: Option<&Inputs<'_>>,
    setting: &Setting<'_>,
) -> Result<Plan, CompileError> {
    let Setting {
        features,
        options,
        usual_bits,
        seed,
        backend,
        ..
    } = *setting;
    let mut counts = facts::count(trees)?;
    let infos = FeatureInfo::of(features);
    let quantisation = Quantisation::fit(trees, &infos, options.features, seed);
    let scores = match inputs {
        None => ScoreMap::of_trees(trees),
        Some(_) => ScoreMap::separate(&trees.base),
    };
    if scores.carried.is_empty() {
        return Err(CompileError::Constant);
    }
    let ensemble = BinnedEnsemble::new(trees, &quantisation, &scores, inputs);
    counts.predicates = ensemble.predicates.len();
    let target = options.precision.unwrap_or(usual_bits);
    let weighing = inputs.map(|inputs| inputs.weighing(features));
    let choice = choose(&Problem {
        ensemble: &ensemble,
        hides_use: quantisation.hides_use,
        profile: options.profile,
        prefer: options.prefer,
        target,
        backend,
        weighing: weighing.as_ref(),
    });
    if choice.lowered.selectors.is_empty() {
        return Err(CompileError::Constant);
    }
    let coefficients = coefficients(&choice);
    let mut warnings = Vec::new();
    if choice.bits < target {
        warnings.push(format!(
            "{:.1} bits of precision are guaranteed instead of the usual {target}",
            choice.bits
        ));
    }
    let with_decimals = quantisation.with_decimals(trees, features, seed);
    let mut encoded = facts::features(options.features, (&quantisation, with_decimals), &choice);
    let mut encodings = vec![Encoding::Selectors(encoding(
        &quantisation,
        &choice,
        setting,
    ))];
    let selectors = choice.lowered.selectors.len() as u32;
    let mut circuit_inputs = vec![backend.bits(selectors, choice.gadget)];
    if let Some(inputs) = inputs {
        inputs.check_size(choice.work.products, backend)?;
        let encoding = inputs.encoding(choice.delta, features, backend);
        circuit_inputs.push(Input::Features((&encoding).into()));
        inputs::describe(&mut encoded, &encoding);
        encodings.push(Encoding::Linear(encoding));
    }
    let shapes = encodings
        .iter()
        .map(|encoding| InputShape::of(backend.set, encoding));
    let shapes: Vec<InputShape> = shapes.collect();
    Ok(Plan {
        encodings,
        relations: Vec::new(),
        reading: Reading {
            scores: scores.decodings(&coefficients),
            deviation: choice.budget.deviation,
        },
        facts: Facts {
            target_bits: target,
            bits: choice.bits,
            bound: Bound::EveryRow,
            range_of: match inputs {
                None => "every possible row",
                Some(_) => "the calibration rows",
            },
            features: encoded,
            work: WorkReport::of(
                Some(choice.gadget),
                Some(choice.work),
                &choice.stages,
                choice.alternatives.clone(),
            ),
            trees: Some(counts),
            layers: Vec::new(),
            query_bytes: shapes.iter().map(InputShape::row_bytes).sum(),
            reply_bytes: backend.reply_bytes(coefficients.len(), choice.budget.reply_bits),
            shared: backend.shared(&shapes, [coefficients.len()], choice.budget.reply_bits),
            key_parts: backend.expansion().iter().collect(),
            warnings,
        },
        circuit: circuit(choice, circuit_inputs, setting),
    })
}

fn coefficients(choice: &Choice) -> Vec<Coefficient> {
    let whole = f64::from(choice.gadget.bits()).exp2();
    let graph = &choice.lowered.graph;
    let coefficient = |index: usize| {
        let unit = choice.units[index];
        let (low, high) = graph.ranges[index];
        let rounding = choice.lowered.rounding[index] * unit;
        Coefficient {
            scale: unit * whole,
            centre: graph.centre[index] as f64 * unit,
            error: choice.budget.error,
            rounding,
            half: high.max(-low) as f64 * unit + rounding,
        }
    };
    (0..choice.units.len()).map(coefficient).collect()
}

/// Quantisers that the selectors use, in the order of features, and the selectors.
fn encoding(
    quantisation: &Quantisation,
    choice: &Choice,
    setting: &Setting<'_>,
) -> SelectorEncoding {
    let selectors = &choice.lowered.selectors;
    let used: Vec<bool> = (0..quantisation.quantisers.len() as u32)
        .map(|index| selectors.iter().any(|selector| selector.quantiser == index))
        .collect();
    let moved = graph::compact(&used);
    let quantisers = quantisation.quantisers.iter().zip(&used);
    let selector = |selector: &Selector| Selector {
        quantiser: moved[selector.quantiser as usize],
        predicate: selector.predicate.clone(),
    };
    SelectorEncoding {
        quantisers: quantisers
            .filter(|(_, used)| **used)
            .map(|(quantiser, _)| quantiser.clone())
            .collect(),
        selectors: selectors.iter().map(selector).collect(),
        gadget: choice.gadget,
        transport: setting.backend.transport(),
    }
}

fn circuit(choice: Choice, inputs: Vec<Input>, setting: &Setting<'_>) -> Circuit {
    let shift = 64 - choice.gadget.bits();
    let graph = choice.lowered.graph;
    let constants = graph.constants.iter().map(|polynomial| {
        let torus = polynomial
            .iter()
            .map(|(position, units)| (*position, (*units as u64) << shift));
        Constant(torus.collect())
    });
    Circuit {
        parameter_set: setting.backend.set.name.to_owned(),
        bootstrap: None,
        inputs,
        constants: constants.collect(),
        outputs: vec![Output {
            node: NodeId(graph.nodes.len() as u32 - 1),
            coefficients: choice.units.len() as u32,
            stride: 1,
            reply_bits: choice.budget.reply_bits,
        }],
        nodes: graph.nodes,
    }
}
