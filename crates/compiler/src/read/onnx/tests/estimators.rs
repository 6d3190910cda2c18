//! Estimators as nodes describe them, and what may stand behind them.

use super::{floats, int, ints, model, node, predict, read, refused, strings, tensor, tree, with};
use crate::model::{Estimator, Test, TreeNode};
use crate::options::Combiner;
use crate::read::onnx::proto::attribute_type;
use crate::read::read_model_for;
use crate::write::proto::{AttributeProto, ModelProto, NodeProto};
use prost::Message;

#[test]
fn malformed_trees_are_refused() {
    let refused = |attribute: AttributeProto, parts: &[&str]| {
        let model = model(vec![with(tree(), attribute)], Vec::new());
        refused(&model, &[&["the TreeEnsembleRegressor"], parts].concat());
    };
    refused(ints("nodes_truenodeids", &[0, 0, 0]), &["cycle"]);
    refused(
        ints("nodes_truenodeids", &[9, 0, 0]),
        &["leads to node 9, which it has not"],
    );
    refused(
        ints("nodes_truenodeids", &[-1, 0, 0]),
        &["leads to node -1"],
    );
    refused(ints("nodes_truenodeids", &[1, 0]), &["different lengths"]);
    refused(
        ints("nodes_missing_value_tracks_true", &[1]),
        &["different lengths"],
    );
    refused(
        ints("nodes_nodeids", &[0, 1, 1]),
        &["node 1 of tree 0 is given twice"],
    );
    refused(
        ints("nodes_featureids", &[2, 0, 0]),
        &["asks for feature 2 of 2"],
    );
    refused(
        ints("nodes_featureids", &[-1, 0, 0]),
        &["asks for feature -1"],
    );
    refused(
        strings("nodes_modes", &["BRANCH_MAYBE", "LEAF", "LEAF"]),
        &["node mode \"BRANCH_MAYBE\"", "BRANCH_LEQ"],
    );
    refused(
        floats("target_weights", &[f32::NEG_INFINITY, 0.0]),
        &["target_weights", "-inf"],
    );
    refused(
        floats("target_weights", &[1.0]),
        &["\"target_*\" attributes have different lengths"],
    );
    refused(ints("target_ids", &[0, 5]), &["adds to target 5 of 1"]);
    refused(int("n_targets", 1 << 60), &["n_targets"]);
    let text = |name: &str, s: &str| AttributeProto {
        name: name.into(),
        s: s.into(),
        kind: attribute_type::STRING,
        ..AttributeProto::default()
    };
    refused(
        text("aggregate_function", "MIN"),
        &["combined by MIN", "SUM and AVERAGE"],
    );
    refused(
        text("post_transform", "SQUARE"),
        &["post_transform \"SQUARE\""],
    );
    refused(
        ints("post_transform", &[1]),
        &["attribute \"post_transform\" has type"],
    );
}

/// Trees whose every level has one node that both branches of the level above lead to: `2^levels`
/// paths.
#[test]
fn shared_subtrees_are_copied_within_bounds() {
    let levels = |levels: i64| {
        let ids: Vec<i64> = (0..=levels).collect();
        let next: Vec<i64> = ids.iter().map(|id| (id + 1).min(levels)).collect();
        let modes: Vec<&str> = ids
            .iter()
            .map(|&id| if id == levels { "LEAF" } else { "BRANCH_LEQ" })
            .collect();
        let attributes = [
            ints("nodes_treeids", &vec![0; ids.len()]),
            ints("nodes_nodeids", &ids),
            ints("nodes_featureids", &vec![0; ids.len()]),
            ints("nodes_truenodeids", &next),
            ints("nodes_falsenodeids", &next),
            strings("nodes_modes", &modes),
            floats("nodes_values", &vec![0.5; ids.len()]),
            ints("target_ids", &[0]),
            ints("target_nodeids", &[levels]),
            ints("target_treeids", &[0]),
            floats("target_weights", &[3.0]),
        ];
        model(vec![attributes.into_iter().fold(tree(), with)], Vec::new())
    };
    let small = read(&levels(4)).unwrap();
    let [Estimator::Trees(ensemble)] = small.estimators.as_slice() else {
        panic!("no trees")
    };
    assert_eq!(ensemble.trees[0].nodes.len(), 31);
    assert_eq!(predict(&small, [0.0, 0.0]), [3.0]);
    refused(&levels(60), &["the TreeEnsembleRegressor", "nodes"]);
    refused(&levels(100_000), &["the TreeEnsembleRegressor"]);
}

#[test]
fn thresholds_move_to_the_adjacent_float() {
    let test = |mode: &str, threshold: f32| {
        let node = with(
            with(tree(), strings("nodes_modes", &[mode, "LEAF", "LEAF"])),
            floats("nodes_values", &[threshold, 0.0, 0.0]),
        );
        let model = read(&model(vec![node], Vec::new())).unwrap();
        let [Estimator::Trees(ensemble)] = model.estimators.as_slice() else {
            panic!("no trees")
        };
        match ensemble.trees[0].nodes[0] {
            TreeNode::Split { test, .. } => test,
            TreeNode::Leaf(_) => panic!("no split"),
        }
    };
    assert_eq!(test("BRANCH_LEQ", 0.5), Test::Greater(0.5));
    assert_eq!(test("BRANCH_LT", 0.5), Test::Greater(0.5_f32.next_down()));
    assert_eq!(test("BRANCH_GTE", 0.0), Test::Greater(0.0_f32.next_down()));
    assert_eq!(test("BRANCH_GT", -1.0), Test::Greater(-1.0));
    assert_eq!(test("BRANCH_NEQ", 2.0), Test::Equal(2.0));
}

#[test]
fn layers_are_counted_by_the_functions_between() {
    let network = |last: &str| {
        let nodes = vec![
            node("", "MatMul", &["X", "W"], &["A"], Vec::new()),
            node("", "Relu", &["A"], &["B"], Vec::new()),
            node("", "MatMul", &["B", "V"], &["C"], Vec::new()),
            node("", last, &["C"], &["D"], Vec::new()),
            node("", "Identity", &["D"], &["E"], Vec::new()),
            node("", "MatMul", &["E", "V"], &["Y"], Vec::new()),
        ];
        let constants = vec![
            tensor("W", &[2, 1], &[1.0, 1.0]),
            tensor("V", &[1, 1], &[1.0]),
        ];
        model(nodes, constants)
    };
    let layers = |last| match &read(&network(last)).unwrap().estimators[..] {
        [Estimator::Layers(model)] => model.layers.len(),
        [Estimator::Lookups(_)] => 1,
        other => panic!("{other:?}"),
    };
    assert_eq!(layers("Tanh"), 2);
    // Without a function between them two layers are one.
    assert_eq!(layers("Identity"), 1);
    // A function of several numbers is no look-up.
    let gate = vec![
        node("", "MatMul", &["X", "W"], &["A"], Vec::new()),
        node("", "MatMul", &["X", "U"], &["B"], Vec::new()),
        node("", "Mul", &["A", "B"], &["C"], Vec::new()),
        node("", "MatMul", &["C", "V"], &["Y"], Vec::new()),
    ];
    let constants = vec![
        tensor("W", &[2, 1], &[1.0, 1.0]),
        tensor("U", &[2, 1], &[1.0, 2.0]),
        tensor("V", &[1, 1], &[1.0]),
    ];
    let parts = [
        "the Mul",
        "nonlinear function between two layers",
        "supported: tree ensembles",
    ];
    refused(&model(gate, constants), &parts);
    let mixed = model(
        vec![
            node("", "MatMul", &["X", "W"], &["A"], Vec::new()),
            node("", "Mul", &["A", "X"], &["Y"], Vec::new()),
        ],
        vec![tensor("W", &[2, 1], &[1.0, 1.0])],
    );
    refused(&mixed, &["the Mul", "joins the row's own values"]);
}

/// A tree, a function of it, and a tree or a linear model over that.
#[test]
fn estimators_over_others_are_evaluated_behind_them() {
    let stacked = |second: NodeProto| {
        let mut first = tree();
        first.output = vec!["T".into()];
        let between = node("", "Sigmoid", &["T"], &["S"], Vec::new());
        let second = NodeProto {
            input: vec!["S".into()],
            name: "second".into(),
            ..second
        };
        model(vec![first, between, second], Vec::new())
    };
    let first = |x: f32| if x <= 0.5 { -1.0_f64 } else { 2.0 };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let linear = vec![
        floats("coefficients", &[3.0]),
        floats("intercepts", &[-0.5]),
    ];
    let linear = node("ai.onnx.ml", "LinearRegressor", &["S"], &["Y"], linear);
    let of_trees = read(&stacked(tree())).unwrap();
    let of_linear = read(&stacked(linear)).unwrap();
    for x in [0.0, 1.0] {
        let between = sigmoid(first(x));
        let of_tree = if between <= 0.5 { -1.0 } else { 2.0 };
        assert_eq!(predict(&of_trees, [x, 0.0]), [of_tree]);
        let found = predict(&of_linear, [x, 0.0])[0];
        assert!((found - (3.0 * between - 0.5)).abs() < 1e-6, "{found}");
    }
    // Four hundred stumps are more than the client evaluates, and sums of trees are nothing that the
    // server compares.
    let parts = [
        "\"second\"",
        "cannot compare what it takes of other estimators through node \"the Sigmoid\"",
        "trees over the row's own values, over sums of these or of functions of the row",
    ];
    let bushes = (0..400_i64).flat_map(|id| [id; 3]).collect::<Vec<_>>();
    let of_each = |own: [i64; 3]| own.repeat(400);
    let pairs = (0..400_i64).flat_map(|id| [id; 2]).collect::<Vec<_>>();
    let attributes = [
        ints("nodes_treeids", &bushes),
        ints("nodes_nodeids", &of_each([0, 1, 2])),
        ints("nodes_featureids", &of_each([0; 3])),
        ints("nodes_truenodeids", &of_each([1, 0, 0])),
        ints("nodes_falsenodeids", &of_each([2, 0, 0])),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"].repeat(400)),
        floats("nodes_values", &[0.5; 1200]),
        ints("target_ids", &[0; 800]),
        ints("target_nodeids", &[1, 2].repeat(400)),
        ints("target_treeids", &pairs),
        floats("target_weights", &[1.0; 800]),
    ];
    let many = attributes.into_iter().fold(tree(), with);
    refused(&stacked(many.clone()), &parts);
    let at = |model: &ModelProto, combiner| {
        read_model_for(&model.encode_to_vec(), combiner).map_err(|error| error.to_string())
    };
    let error = at(&stacked(many), Combiner::Client).unwrap_err();
    assert!(error.contains("its trees are large"), "{error}");
    assert!(error.contains("through node \"the Sigmoid\""), "{error}");
    let error = at(&stacked(tree()), Combiner::Server).unwrap_err();
    assert!(error.contains(parts[1]), "{error}");
}

#[test]
fn infinite_thresholds_part_missing_values_from_others() {
    let threshold = |mode: &str, value: f32| {
        let tree = with(tree(), floats("nodes_values", &[value, 0.0, 0.0]));
        let tree = with(tree, strings("nodes_modes", &[mode, "LEAF", "LEAF"]));
        model(
            vec![with(
                tree,
                ints("nodes_missing_value_tracks_true", &[0, 0, 0]),
            )],
            Vec::new(),
        )
    };
    let (on_true, on_false) = (-1.0, 2.0);
    for (mode, value, finite) in [
        ("BRANCH_LEQ", f32::INFINITY, on_true),
        ("BRANCH_LT", f32::INFINITY, on_true),
        ("BRANCH_GT", f32::INFINITY, on_false),
        ("BRANCH_GTE", f32::INFINITY, on_false),
        ("BRANCH_LEQ", f32::NEG_INFINITY, on_false),
        ("BRANCH_LT", f32::NEG_INFINITY, on_false),
        ("BRANCH_GT", f32::NEG_INFINITY, on_true),
        ("BRANCH_GTE", f32::NEG_INFINITY, on_true),
    ] {
        let read = read(&threshold(mode, value)).unwrap();
        for x in [f32::MIN, 0.0, f32::MAX] {
            assert_eq!(predict(&read, [x, 0.0]), [finite], "{mode} {value} of {x}");
        }
        assert_eq!(
            predict(&read, [f32::NAN, 0.0]),
            [on_false],
            "{mode} {value}"
        );
    }
    refused(
        &threshold("BRANCH_LEQ", f32::NAN),
        &["TreeEnsembleRegressor", "feature 0 is NaN, not a number"],
    );
    refused(
        &threshold("BRANCH_EQ", f32::INFINITY),
        &["feature 0 is inf in a comparison for equality"],
    );
}

#[test]
fn look_ups_by_a_rounded_score_are_refused() {
    let mut tree = tree();
    tree.output = vec!["S".into()];
    let encoder = |keys: AttributeProto| {
        let attributes = vec![keys, floats("values_floats", &[3.0, 4.0])];
        node("ai.onnx.ml", "LabelEncoder", &["K"], &["Y"], attributes)
    };
    let cast = node("", "Cast", &["S"], &["K"], vec![int("to", 7)]);
    let by_score = model(
        vec![tree.clone(), cast, encoder(ints("keys_int64s", &[-1, 2]))],
        Vec::new(),
    );
    refused(
        &by_score,
        &[
            "the LabelEncoder",
            "domain ai.onnx.ml",
            "encrypted scores are approximate",
        ],
    );
    // What a comparison decides is exact.
    let compare = node("", "Greater", &["S", "zero"], &["G"], Vec::new());
    let cast = node("", "Cast", &["G"], &["K"], vec![int("to", 7)]);
    let by_label = model(
        vec![tree, compare, cast, encoder(ints("keys_int64s", &[0, 1]))],
        vec![tensor("zero", &[1], &[0.0])],
    );
    assert_eq!(predict(&read(&by_label).unwrap(), [0.6, 0.0]), [4.0]);
}

/// As exporters write it where all columns have one type.
#[test]
fn values_take_the_type_of_another_one() {
    let mut tree = tree();
    tree.input = vec!["L".into()];
    let codes = node("", "Cast", &["X"], &["K"], vec![int("to", 7)]);
    let half = node("", "Mul", &["X", "half"], &["H"], Vec::new());
    let of_integers = node("", "CastLike", &["H", "K"], &["I"], Vec::new());
    let of_floats = node("", "CastLike", &["I", "half"], &["L"], Vec::new());
    let cut = model(
        vec![codes, half, of_integers, of_floats, tree],
        vec![tensor("half", &[1], &[0.5])],
    );
    let cut = read(&cut).unwrap();
    // 0.7 and -0.7 are 0 as integers, 1.2 is 1.
    let plain = read(&model(vec![super::tree()], Vec::new())).unwrap();
    for (given, seen) in [(1.4, 0.0), (2.4, 1.0), (-1.4, 0.0)] {
        assert_eq!(predict(&cut, [given, given]), predict(&plain, [seen, seen]));
    }
}

#[test]
fn outputs_without_an_estimator_name_their_node() {
    let copied = model(
        vec![node("", "Neg", &["X"], &["Y"], Vec::new())],
        Vec::new(),
    );
    refused(
        &copied,
        &[
            "the Neg",
            "operator Neg",
            "output \"Y\" does not depend on an estimator",
        ],
    );
}

#[test]
fn sums_of_trees_and_linear_functions_are_two_estimators() {
    let mut tree = tree();
    tree.output = vec!["T".into()];
    let product = node("", "MatMul", &["X", "W"], &["P"], Vec::new());
    let sum = node("", "Sub", &["T", "P"], &["Y"], Vec::new());
    let mixed = model(
        vec![tree, product, sum],
        vec![tensor("W", &[2, 1], &[2.0, -1.0])],
    );
    let mixed = read(&mixed).unwrap();
    let [Estimator::Trees(_), Estimator::Linear(_)] = mixed.estimators.as_slice() else {
        panic!("{:?}", mixed.estimators)
    };
    assert_eq!(predict(&mixed, [0.5, 3.0]), [-1.0 - (1.0 - 3.0)]);
    assert_eq!(predict(&mixed, [1.0, 0.0]), [2.0 - 2.0]);
}
