use super::*;
use crate::model::{Test, Tree, TreeEnsemble, TreeNode};
use std::collections::{BTreeMap, HashMap};

/// `x > 1 ? 2 + 3 x - y : 100 x`, where the split that bounds the leaves is on another feature.
fn trees() -> LinearTrees {
    let slope = |feature, weight, range| Slope {
        score: 0,
        feature,
        weight,
        range,
    };
    let all = (f64::NEG_INFINITY, f64::INFINITY);
    let tree = Tree {
        nodes: vec![
            TreeNode::Split {
                feature: 2,
                test: Test::Greater(1.0),
                missing_goes_yes: false,
                yes: 1,
                no: 2,
            },
            TreeNode::Leaf(vec![(0, 2.0)]),
            TreeNode::Leaf(Vec::new()),
        ],
    };
    LinearTrees {
        constants: TreeEnsemble {
            scores: 1,
            base: vec![0.5],
            trees: vec![tree],
        },
        slopes: vec![BTreeMap::from([
            (
                1,
                vec![slope(0, 3.0, (1.0, f64::INFINITY)), slope(1, -1.0, all)],
            ),
            (2, vec![slope(0, 100.0, (f64::NEG_INFINITY, 1.0))]),
        ])],
        inputs: 2,
    }
}

fn features(rows: &[[f32; 3]]) -> Features {
    Features {
        names: ["x", "y", "x (split)"].map(str::to_owned).to_vec(),
        missing: vec![false; 3],
        spared: Vec::new(),
        decimals: vec![None; 3],
        rows: rows.iter().map(|row| row.to_vec()).collect(),
        numbers: Vec::new(),
        mixtures: crate::mixtures::Mixtures::default(),
        fills: crate::fills::Fills::default(),
        mixed: HashMap::new(),
        sets: HashMap::new(),
    }
}

fn inputs(trees: &LinearTrees, exact: bool) -> Inputs<'_> {
    Inputs {
        trees,
        ranges: vec![(5.0, 5.0), (0.0, 2.0)],
        exact,
    }
}

#[test]
fn leaves_are_functions_of_numbers_between_minus_one_and_one() {
    let trees = trees();
    // Value, two weights, least and largest value: 2 + 3 (5 + 5 r) - 2 s.
    let leaf = |exact, node, value| inputs(&trees, exact).leaf(0, node, &[0], vec![value]);
    assert_eq!(leaf(true, 1, 2.0), [17.0, 15.0, -2.0, 3.0, 34.0]);
    assert_eq!(leaf(true, 2, 0.0), [500.0, 500.0, 0.0, 0.0, 100.0]);
    // In a grid the split may lie elsewhere.
    assert_eq!(leaf(false, 1, 2.0), [17.0, 15.0, -2.0, 0.0, 34.0]);
    assert_eq!(leaf(false, 2, 0.0), [500.0, 500.0, 0.0, 0.0, 1000.0]);
}

#[test]
fn inputs_are_widened_where_that_costs_little() {
    let trees = trees();
    let rows = features(&[[0.0, -1.0, 0.0], [10.0, 1.0, 10.0]]);
    let mut inputs = Inputs {
        trees: &trees,
        ranges: ranges_of(&rows, 2, 0.0),
        exact: true,
    };
    let narrow = inputs.extents();
    // 3 * 10 + 2 + 1 above, the steep leaf's 100 and 0.
    assert_eq!(narrow, [100.0]);
    inputs.widen(&rows);
    // A span of x below 0 would cost 100 for each of its ten; y is in no steep leaf.
    assert_eq!(inputs.ranges, [(5.0, 5.0), (0.0, 5.0)]);
    assert!(inputs.extents()[0] <= 2.0 * narrow[0]);
}
