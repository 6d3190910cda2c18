//! Tree ensembles.

use crate::backend::Backend;
use crate::compile::{Coefficient, Parts, Source, missing_features, score_decodings, target};
use crate::error::CompileError;
use crate::families::scores::ScoreMap;
use crate::families::trees::binned::BinnedEnsemble;
use crate::families::trees::choice::{Plan, Problem, choose};
use crate::families::trees::expression::Form;
use crate::families::trees::quantisation::{FeatureInfo, Quantisation};
use crate::model::{Tree, TreeEnsemble, TreeNode};
use crate::options::FeatureMode;
use crate::report::{EncodedFeature, FeatureReport, TreeCounts, WorkReport};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Constant, Input, Node, NodeId, Output, SelectorForm, SelectorGroup,
};
use cipherfn_protocol::specs::{Encoding, Selector, SelectorEncoding};

/// Most inner nodes on a path.
const MAX_DEPTH: usize = 1024;

pub(crate) fn compile(trees: &TreeEnsemble, source: &Source<'_>) -> Result<Parts, CompileError> {
    let mut counts = count(trees)?;
    let features = feature_infos(source)?;
    let quantisation = Quantisation::fit(trees, &features, source.options.features, source.hash);
    let scores = ScoreMap::of_trees(trees);
    if scores.carried.is_empty() {
        return Err(CompileError::Constant);
    }
    let ensemble = BinnedEnsemble::new(trees, &quantisation, &scores);
    counts.predicates = ensemble.predicates.len();
    let (target, required) = target(source.options);
    let problem = Problem {
        ensemble: &ensemble,
        hides_use: quantisation.hides_use,
        profile: source.options.profile,
        target,
    };
    let plan = choose(&problem, &Backend::for_profile(source.options.profile));
    let mut warnings = Vec::new();
    if plan.bits < target {
        if required {
            return Err(CompileError::Precision {
                wanted: target,
                best: plan.bits,
                profile: source.options.profile.name(),
            });
        }
        warnings.push(format!(
            "{:.1} bits of precision are guaranteed instead of the usual {target}",
            plan.bits
        ));
    }
    if plan.lowered.selectors.is_empty() {
        return Err(CompileError::Constant);
    }
    let coefficients = coefficients(&plan);
    let features = feature_report(source, &quantisation, &plan);
    let encoding = encoding(&quantisation, &plan);
    Ok(Parts {
        scores: score_decodings(&scores, &coefficients),
        coefficients: coefficients.len() as u32,
        reply_bits: plan.budget.reply_bits,
        query_bytes: plan.query_bytes,
        deviation: plan.budget.deviation,
        needs_key: plan.backend.is_packed(),
        target_bits: target,
        bits: plan.bits,
        range_of: "every possible row",
        features,
        work: WorkReport {
            gadget: Some(plan.gadget),
            counts: Some(plan.work),
            predicted_microseconds: plan.microseconds,
        },
        trees: Some(counts),
        warnings,
        backend: plan.backend,
        circuit: circuit(plan),
        encoding: Encoding::Selectors(encoding),
    })
}

fn count(trees: &TreeEnsemble) -> Result<TreeCounts, CompileError> {
    let mut counts = TreeCounts {
        trees: trees.trees.len(),
        ..TreeCounts::default()
    };
    for (index, tree) in trees.trees.iter().enumerate() {
        let depth = depth(tree);
        if depth > MAX_DEPTH {
            return Err(CompileError::TooDeep {
                tree: index,
                depth,
                limit: MAX_DEPTH,
            });
        }
        counts.depth = counts.depth.max(depth);
        let leaves = tree
            .nodes
            .iter()
            .filter(|node| matches!(node, TreeNode::Leaf(_)))
            .count();
        counts.leaves += leaves;
        counts.nodes += tree.nodes.len() - leaves;
    }
    Ok(counts)
}

/// Children come after their parent.
fn depth(tree: &Tree) -> usize {
    let mut depths = vec![0; tree.nodes.len()];
    for (index, node) in tree.nodes.iter().enumerate() {
        if let TreeNode::Split { yes, no, .. } = node {
            depths[*yes as usize] = depths[index] + 1;
            depths[*no as usize] = depths[index] + 1;
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

fn feature_infos(source: &Source<'_>) -> Result<Vec<FeatureInfo>, CompileError> {
    let missing = missing_features(source.model)?;
    let info = |(index, name): (usize, &String)| {
        let mut values: Vec<f32> = source
            .rows
            .iter()
            .map(|row| row[index])
            .filter(|value| value.is_finite())
            .collect();
        values.sort_unstable_by(f32::total_cmp);
        FeatureInfo {
            name: name.clone(),
            missing: missing[index],
            values,
        }
    };
    Ok(source.names.iter().enumerate().map(info).collect())
}

fn coefficients(plan: &Plan) -> Vec<Coefficient> {
    let whole = f64::from(plan.gadget.base_log * plan.gadget.levels).exp2();
    let graph = &plan.lowered.graph;
    let coefficient = |index: usize| {
        let unit = plan.units[index];
        let (low, high) = graph.ranges[index];
        let rounding = plan.lowered.rounding[index] * unit;
        Coefficient {
            scale: unit * whole,
            centre: graph.centre[index] as f64 * unit,
            error: plan.budget.error,
            rounding,
            half: high.max(-low) as f64 * unit + rounding,
        }
    };
    (0..plan.units.len()).map(coefficient).collect()
}

/// Quantisers that the selectors use, in the order of features, and the selectors.
fn encoding(quantisation: &Quantisation, plan: &Plan) -> SelectorEncoding {
    let mut kept = Vec::new();
    let mut moved = vec![0; quantisation.quantisers.len()];
    for (index, quantiser) in quantisation.quantisers.iter().enumerate() {
        if plan
            .lowered
            .selectors
            .iter()
            .any(|selector| selector.quantiser as usize == index)
        {
            moved[index] = kept.len() as u32;
            kept.push(quantiser.clone());
        }
    }
    let selector = |selector: &Selector| Selector {
        quantiser: moved[selector.quantiser as usize],
        predicate: selector.predicate.clone(),
    };
    SelectorEncoding {
        quantisers: kept,
        selectors: plan.lowered.selectors.iter().map(selector).collect(),
        gadget: plan.gadget,
        transport: plan.backend.transport(),
    }
}

fn feature_report(source: &Source<'_>, quantisation: &Quantisation, plan: &Plan) -> FeatureReport {
    let encoded = quantisation
        .quantisers
        .iter()
        .enumerate()
        .filter_map(|(index, quantiser)| {
            let bits = plan
                .lowered
                .selectors
                .iter()
                .filter(|selector| selector.quantiser as usize == index)
                .count() as u32;
            let form = match plan.shape.forms[index] {
                Form::Index => "index",
                Form::Thermometer => "thermometer",
            };
            (bits > 0).then(|| EncodedFeature {
                name: quantiser.name.clone(),
                form: form.into(),
                bins: Some(quantiser.bins()),
                bits,
            })
        });
    let encoded: Vec<EncodedFeature> = encoded.collect();
    let splits: usize = quantisation
        .quantisers
        .iter()
        .map(|quantiser| quantiser.splits.len())
        .sum();
    let revealed = match source.options.features {
        FeatureMode::Exact { decoys: 0 } => {
            format!(
                "which {} features the model uses and its {splits} split points of them, not its trees, paths or leaf values",
                encoded.len()
            )
        }
        FeatureMode::Exact { decoys } => format!(
            "{splits} split points of all {} features, {decoys} a feature of which no tree uses; not which are real, nor trees, paths or leaf values",
            encoded.len()
        ),
        FeatureMode::Grid { .. } => format!(
            "which {} features the model uses and {splits} quantiles of the calibration rows; not the model's thresholds, trees, paths or leaf values",
            encoded.len()
        ),
    };
    FeatureReport {
        mode: source.options.features.to_string(),
        revealed: format!("{revealed}; the range of scores"),
        encoded,
    }
}

fn circuit(plan: Plan) -> Circuit {
    let shift = 64 - plan.gadget.base_log * plan.gadget.levels;
    let constants = plan.lowered.graph.constants.iter().map(|polynomial| {
        Constant(
            polynomial
                .iter()
                .map(|(position, units)| (*position, (*units as u64) << shift))
                .collect(),
        )
    });
    let nodes: Vec<Node> = plan
        .lowered
        .graph
        .nodes
        .into_iter()
        .map(Node::Sum)
        .collect();
    Circuit {
        parameter_set: plan.backend.set.name.to_owned(),
        inputs: vec![Input::Selectors(SelectorGroup {
            count: plan.lowered.selectors.len() as u32,
            gadget: plan.gadget,
            transport: plan.backend.transport(),
            form: SelectorForm::Bits,
        })],
        constants: constants.collect(),
        outputs: vec![Output {
            node: NodeId(nodes.len() as u32 - 1),
            coefficients: plan.units.len() as u32,
            stride: 1,
            reply_bits: plan.budget.reply_bits,
        }],
        nodes,
    }
}
