use super::*;
use crate::families::scores::ScoreMap;
use crate::families::trees::forms::Blocks;
use crate::families::trees::graph::Polynomial;
use crate::families::trees::quantisation::{FeatureInfo, Quantisation};
use crate::model::{Test, Tree, TreeEnsemble, TreeNode};
use crate::options::FeatureMode;
use cipherfn_circuit::circuit::{
    Circuit, Constant, Input, Node, NodeId, Output, SelectorForm, SelectorGroup,
};
use cipherfn_engine::ClearCircuit;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{
    BaseLog, Bits, Gadget, Levels, Quantiser, SelectorEncoding, Transport,
};
use cipherfn_scheme::query::InputValues;
use proptest::prelude::*;

const FEATURES: u32 = 3;
const VALUES: [f32; 6] = [-1.0, 0.0, 1.0, 2.0, 3.0, f32::NAN];
const POLYNOMIAL_SIZE: u32 = 2048;
/// 2^-20 of the torus is one unit of score: all values are integers and results are exact.
const SHIFT: u32 = 44;

fn test() -> impl Strategy<Value = Test> {
    let threshold =
        (0_usize..5).prop_map(|index| VALUES[index] + if index % 2 == 0 { 0.0 } else { 0.5 });
    prop_oneof![3 => threshold.prop_map(Test::Greater), 1 => (0_usize..5).prop_map(|index| Test::Equal(VALUES[index]))]
}

fn leaf(scores: u32) -> impl Strategy<Value = Vec<(u32, f64)>> {
    proptest::collection::btree_map(0..scores, -4_i32..5, 0..=scores as usize).prop_map(|values| {
        values
            .into_iter()
            .map(|(score, value)| (score, f64::from(value)))
            .collect()
    })
}

#[derive(Clone, Debug)]
enum Sketch {
    Leaf(Vec<(u32, f64)>),
    Split(u32, Test, bool, Box<Sketch>, Box<Sketch>),
}

fn flatten(shape: &Sketch, nodes: &mut Vec<TreeNode>) -> u32 {
    let index = nodes.len();
    match shape {
        Sketch::Leaf(values) => nodes.push(TreeNode::Leaf(values.clone())),
        Sketch::Split(feature, test, missing_goes_yes, yes, no) => {
            nodes.push(TreeNode::Leaf(Vec::new()));
            let (yes, no) = (flatten(yes, nodes), flatten(no, nodes));
            nodes[index] = TreeNode::Split {
                feature: *feature,
                test: *test,
                missing_goes_yes: *missing_goes_yes,
                yes,
                no,
            };
        }
    }
    index as u32
}

fn tree(scores: u32) -> impl Strategy<Value = Tree> {
    let shape = leaf(scores)
        .prop_map(Sketch::Leaf)
        .prop_recursive(5, 32, 2, |inner| {
            (0..FEATURES, test(), any::<bool>(), inner.clone(), inner).prop_map(
                |(feature, test, missing, yes, no)| {
                    Sketch::Split(feature, test, missing, Box::new(yes), Box::new(no))
                },
            )
        });
    shape.prop_map(|shape| {
        let mut nodes = Vec::new();
        flatten(&shape, &mut nodes);
        Tree { nodes }
    })
}

/// All nodes of a level ask the same.
fn symmetric_tree(scores: u32) -> impl Strategy<Value = Tree> {
    let levels = proptest::collection::vec((0..FEATURES, test(), any::<bool>()), 3..5);
    (levels, proptest::collection::vec(leaf(scores), 16)).prop_map(|(levels, leaves)| {
        let inner = (1_u32 << levels.len()) - 1;
        let split = |index: u32| {
            let (feature, test, missing_goes_yes) = levels[(index + 1).ilog2() as usize];
            TreeNode::Split {
                feature,
                test,
                missing_goes_yes,
                yes: 2 * index + 1,
                no: 2 * index + 2,
            }
        };
        let leaves = leaves
            .into_iter()
            .take(1 << levels.len())
            .map(TreeNode::Leaf);
        Tree {
            nodes: (0..inner).map(split).chain(leaves).collect(),
        }
    })
}

/// Asks about one feature again and again.
fn tree_of_one_feature(scores: u32) -> impl Strategy<Value = Tree> {
    (0..FEATURES, tree(scores)).prop_map(|(only, mut tree)| {
        for node in &mut tree.nodes {
            if let TreeNode::Split { feature, .. } = node {
                *feature = only;
            }
        }
        tree
    })
}

/// Asks for every bin of two features: more leaves than their indices have bits.
fn dense_tree(scores: u32) -> impl Strategy<Value = Tree> {
    let features =
        (0..FEATURES, 1..FEATURES).prop_map(|(first, to)| [first, (first + to) % FEATURES]);
    let leaves = proptest::collection::vec(leaf(scores), 25);
    let missing = proptest::collection::vec(any::<bool>(), 2);
    (features, leaves, missing).prop_map(|(features, leaves, missing)| {
        let mut leaves = leaves.into_iter();
        let chain = |feature: usize, ends: Vec<Sketch>| {
            let thresholds = VALUES.into_iter().zip(ends);
            let asked = thresholds.map(|(threshold, end)| (Test::Greater(threshold), end));
            let split = |rest: Option<Sketch>, (test, end): (Test, Sketch)| {
                Some(match rest {
                    None => end,
                    Some(rest) => {
                        let (feature, missing) = (features[feature], missing[feature]);
                        Sketch::Split(feature, test, missing, Box::new(end), Box::new(rest))
                    }
                })
            };
            asked.fold(None, split).expect("there are bins")
        };
        let rows = (0..5).map(|_| {
            let row = leaves.by_ref().take(5);
            chain(1, row.map(Sketch::Leaf).collect())
        });
        let rows: Vec<Sketch> = rows.collect();
        let mut nodes = Vec::new();
        flatten(&chain(0, rows), &mut nodes);
        Tree { nodes }
    })
}

fn ensemble() -> impl Strategy<Value = TreeEnsemble> {
    (1_u32..4).prop_flat_map(|scores| {
        let trees = proptest::collection::vec(
            prop_oneof![2 => tree(scores), 1 => tree_of_one_feature(scores), 1 => symmetric_tree(scores), 1 => dense_tree(scores)],
            1..6,
        );
        (trees, proptest::collection::vec(-3_i32..4, scores as usize)).prop_map(
            move |(trees, base)| TreeEnsemble {
                scores: scores as usize,
                base: base.into_iter().map(f64::from).collect(),
                trees,
            },
        )
    })
}

/// A form of any number of bins.
#[derive(Clone, Debug)]
enum FormKind {
    Index,
    Thermometer,
    Uniform(u32),
    Weighted(u32, Vec<f64>),
}

impl FormKind {
    fn form(self, quantiser: &Quantiser) -> Form {
        let bins = quantiser.bins();
        match self {
            Self::Index => Form::Index,
            Self::Thermometer => Form::Thermometer,
            Self::Uniform(length) => {
                Form::Blocks(Blocks::uniform(bins, length, quantiser.missing_bin()))
            }
            Self::Weighted(longest, saved) => {
                let saved = saved.iter().cycle().take(bins as usize + 1);
                let saved: Vec<f64> = saved.copied().collect();
                Form::Blocks(Blocks::weighted(bins, longest, &saved, 1.0))
            }
        }
    }
}

fn kind() -> impl Strategy<Value = FormKind> {
    let saved = proptest::collection::vec(0.0..2.0, 8);
    prop_oneof![
        Just(FormKind::Index),
        Just(FormKind::Thermometer),
        (1_u32..5).prop_map(FormKind::Uniform),
        (2_u32..5, saved).prop_map(|(longest, saved)| FormKind::Weighted(longest, saved)),
    ]
}

fn features(missing: bool) -> Vec<FeatureInfo> {
    let values: Vec<f32> = VALUES.into_iter().filter(|value| !value.is_nan()).collect();
    (0..FEATURES)
        .map(|index| FeatureInfo {
            name: format!("f{index}"),
            missing,
            decimals: None,
            values: values.clone(),
            mixed: None,
            set: None,
        })
        .collect()
}

fn constant(polynomial: &Polynomial) -> Constant {
    Constant(
        polynomial
            .iter()
            .map(|(position, value)| (*position, (*value as u64) << SHIFT))
            .collect(),
    )
}

/// Whether the lowered ensemble gives the float model's scores on every combination of feature
/// values.
fn agrees(
    trees: &TreeEnsemble,
    quantisation: &Quantisation,
    shape: &Shape,
    missing: bool,
) -> Result<(), TestCaseError> {
    let scores = ScoreMap::of_trees(trees);
    let binned = BinnedEnsemble::new(trees, quantisation, &scores, None);
    let units = vec![1.0; scores.carried.len()];
    let lowered = lower(
        &binned,
        shape,
        quantisation.hides_use,
        POLYNOMIAL_SIZE,
        &units,
    );
    prop_assert!(lowered.rounding.iter().all(|rounding| *rounding == 0.0));
    let gadget = Gadget::new(BaseLog::new(5), Levels::new(4));
    let nodes = lowered.graph.nodes.iter().cloned();
    let circuit = Circuit {
        parameter_set: "cipherfn-128-n2048-m8-v1".into(),
        bootstrap: None,
        inputs: vec![Input::Selectors(SelectorGroup {
            count: lowered.selectors.len() as u32,
            gadget,
            transport: Transport::Packed,
            form: SelectorForm::Bits,
        })],
        constants: lowered.graph.constants.iter().map(constant).collect(),
        outputs: vec![Output {
            node: NodeId(nodes.len() as u32 - 1),
            coefficients: units.len().max(1) as u32,
            stride: 1,
            reply_bits: Bits::new(32),
        }],
        nodes: nodes.collect(),
    };
    let circuit =
        ClearCircuit::new(circuit).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let encoding = SelectorEncoding {
        quantisers: quantisation.quantisers.clone(),
        selectors: lowered.selectors.clone(),
        gadget,
        transport: Transport::Packed,
    };
    let count = VALUES.len() - usize::from(!missing);
    for row in 0..count.pow(FEATURES) {
        let row: Vec<f32> = (0..FEATURES)
            .map(|feature| VALUES[row / count.pow(feature) % count])
            .collect();
        let result = circuit
            .evaluate(&[InputValues::Bits(encoding.bits(&row).unwrap())])
            .unwrap();
        let values: Vec<f64> = result
            .iter()
            .zip(&lowered.graph.ranges)
            .zip(&lowered.graph.centre)
            .map(|((value, range), centre)| {
                let units = (*value as i64) >> SHIFT;
                assert!(
                    (range.0..=range.1).contains(&units),
                    "{units} outside {range:?}"
                );
                (units + centre) as f64
            })
            .collect();
        for (found, affine) in trees.raw_scores(&row).iter().zip(&scores.scores) {
            let value = affine.offset
                + affine.factor
                    * values
                        .get(affine.coefficient as usize)
                        .copied()
                        .unwrap_or(0.0);
            prop_assert!(
                (value - found).abs() <= affine.deviation + 1e-9,
                "{} instead of {} at {:?}",
                value,
                found,
                row
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn circuits_equal_the_trees(
        trees in ensemble(),
        kinds in proptest::collection::vec(kind(), FEATURES as usize),
        tables: bool,
        missing: bool,
        decoys in prop_oneof![Just(0_u32), 1_u32..4],
    ) {
        let quantisation = Quantisation::fit(&trees, &features(missing), FeatureMode::Exact { decoys }, Hash::of(b"model"));
        let forms = quantisation.quantisers.iter().zip(kinds);
        let forms = forms.map(|(quantiser, kind)| kind.form(quantiser)).collect();
        agrees(&trees, &quantisation, &Shape { forms, tables }, missing)?;
    }

    #[test]
    fn a_grid_between_all_values_is_exact(trees in ensemble(), kind in kind(), tables: bool) {
        // Thresholds lie on values or in the middle between two: snapping to the middles can move
        // the former, and the grid has no edge outside the values, so all become edges of it.
        let mut trees = trees;
        for node in trees.trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
            if let TreeNode::Split { test: Test::Greater(threshold), .. } = node {
                *threshold = (threshold.floor() + 0.5).clamp(-0.5, 2.5);
            }
        }
        let quantisation = Quantisation::fit(&trees, &features(false), FeatureMode::Grid { bits: 3 }, Hash::of(b"model"));
        for quantiser in &quantisation.quantisers {
            prop_assert_eq!(&quantiser.splits, &[-0.5, 0.5, 1.5, 2.5]);
        }
        let forms = quantisation.quantisers.iter();
        let forms = forms.map(|quantiser| kind.clone().form(quantiser)).collect();
        agrees(&trees, &quantisation, &Shape { forms, tables }, false)?;
    }
}

/// `x0 > 0 ? 1 : 0` and the like.
fn stump(feature: u32, threshold: f32) -> Tree {
    let test = Test::Greater(threshold);
    let split = TreeNode::Split {
        feature,
        test,
        missing_goes_yes: false,
        yes: 1,
        no: 2,
    };
    Tree {
        nodes: vec![
            split,
            TreeNode::Leaf(vec![(0, 1.0)]),
            TreeNode::Leaf(vec![(0, 0.0)]),
        ],
    }
}

fn lowered(trees: Vec<Tree>, form: Form, tables: bool) -> Lowered {
    let trees = TreeEnsemble {
        scores: 1,
        base: vec![0.0],
        trees,
    };
    let quantisation = Quantisation::fit(
        &trees,
        &features(false),
        FeatureMode::Exact { decoys: 0 },
        Hash::of(b"model"),
    );
    let scores = ScoreMap::of_trees(&trees);
    let binned = BinnedEnsemble::new(&trees, &quantisation, &scores, None);
    let shape = Shape {
        forms: vec![form; quantisation.quantisers.len()],
        tables,
    };
    lower(&binned, &shape, false, POLYNOMIAL_SIZE, &[1.0])
}

fn selects(lowered: &Lowered) -> usize {
    let sums = lowered.graph.nodes.iter().filter_map(Node::as_sum);
    sums.map(|sum| sum.selects.len()).sum()
}

#[test]
fn stumps_of_one_predicate_are_one_choice() {
    let lowered = lowered(
        vec![stump(0, 1.0), stump(0, 1.0), stump(1, 1.0)],
        Form::Thermometer,
        false,
    );
    assert_eq!(lowered.graph.nodes.len(), 1);
    assert_eq!(selects(&lowered), 2);
    assert_eq!(lowered.graph.ranges, [(-1, 2)]);
}

#[test]
fn nodes_that_ancestors_decide_are_gone() {
    // x > 1, then x > 0 on the yes side.
    let split = |threshold, yes, no| TreeNode::Split {
        feature: 0,
        test: Test::Greater(threshold),
        missing_goes_yes: false,
        yes,
        no,
    };
    let leaf = |value| TreeNode::Leaf(vec![(0, value)]);
    let tree = Tree {
        nodes: vec![
            split(1.0, 1, 2),
            split(0.0, 3, 4),
            leaf(0.0),
            leaf(5.0),
            leaf(9.0),
        ],
    };
    let lowered = lowered(vec![tree], Form::Thermometer, false);
    assert_eq!(lowered.selectors.len(), 1);
    assert_eq!(lowered.graph.ranges, [(-2, 3)]);
}

#[test]
fn a_symmetric_tree_takes_one_multiplexer_a_level() {
    let levels: [(u32, f32); 4] = [(0, 0.0), (1, 1.0), (2, 2.0), (0, 2.0)];
    let split = |index: u32| {
        let (feature, threshold) = levels[(index + 1).ilog2() as usize];
        TreeNode::Split {
            feature,
            test: Test::Greater(threshold),
            missing_goes_yes: false,
            yes: 2 * index + 1,
            no: 2 * index + 2,
        }
    };
    let tree = |seed: u32| {
        let leaves = (0..16)
            .map(|leaf: u32| TreeNode::Leaf(vec![(0, f64::from(leaf.wrapping_mul(seed) % 13))]));
        Tree {
            nodes: (0..15).map(split).chain(leaves).collect(),
        }
    };
    let selects = |trees| selects(&lowered(trees, Form::Thermometer, true));
    assert_eq!(selects(vec![tree(5)]), 4);
    // Trees with the same questions share them.
    assert_eq!(selects(vec![tree(5), tree(7), tree(11)]), 4);
}

#[test]
fn trees_of_one_feature_take_one_multiplexer_a_bit_of_its_bin() {
    // Four split points a feature, so five bins and three bits.
    let trees = || {
        let stumps = |feature| [0.0, 1.0, 2.0, 3.0].map(|threshold| stump(feature, threshold));
        [stumps(0), stumps(1)].concat()
    };
    let table = lowered(trees(), Form::Index, true);
    assert_eq!(table.selectors.len(), 6);
    assert_eq!(selects(&table), 6);
    assert_eq!(table.graph.ranges, [(-4, 4)]);
    // More trees with the same split points change its entries alone.
    assert_eq!(
        selects(&lowered([trees(), trees()].concat(), Form::Index, true)),
        6
    );
}

#[test]
fn tables_of_two_features_share_the_multiplexers_of_a_hub() {
    // Every feature is cut at 64 values: a table of two has room in two polynomials.
    let cut = |feature: u32, seed: u32| {
        let mut nodes = Vec::new();
        let mut open = vec![((0_u32, 64_u32), (0_u32, 64_u32), None::<(usize, bool)>)];
        while let Some((first, second, parent)) = open.pop() {
            let at = nodes.len();
            if let Some((parent, is_yes)) = parent
                && let TreeNode::Split { yes, no, .. } = &mut nodes[parent]
            {
                *(if is_yes { yes } else { no }) = at as u32;
            }
            let (asked, range) = match (first.1 - first.0, second.1 - second.0) {
                (1, 1) => {
                    // One tree has values where the other one has none.
                    let is_own = (first.0 < 32) == (seed == 5);
                    let value = (first.0 + second.0 * seed) % 31 * u32::from(is_own);
                    nodes.push(TreeNode::Leaf(vec![(0, f64::from(value))]));
                    continue;
                }
                (1, _) => (feature, second),
                _ => (0, first),
            };
            let middle = range.0.midpoint(range.1);
            nodes.push(TreeNode::Split {
                feature: asked,
                test: Test::Greater(middle as f32 - 0.5),
                missing_goes_yes: false,
                yes: 0,
                no: 0,
            });
            for (is_yes, part) in [(true, (middle, range.1)), (false, (range.0, middle))] {
                let (first, second) = if asked == 0 {
                    (part, second)
                } else {
                    (first, part)
                };
                open.push((first, second, Some((at, is_yes))));
            }
        }
        Tree { nodes }
    };
    let one = lowered(vec![cut(1, 5)], Form::Index, true);
    // A choice between two polynomials, five bits of one feature, six of the other.
    assert_eq!((one.selectors.len(), selects(&one)), (12, 12));
    let two = lowered(vec![cut(1, 5), cut(2, 7)], Form::Index, true);
    assert_eq!((two.selectors.len(), selects(&two)), (18, 18));
    // The hub's bin is the same for both, so that ranges do not add.
    assert_eq!(two.graph.ranges[0].1 - two.graph.ranges[0].0, 30);
}
