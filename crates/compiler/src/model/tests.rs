use super::*;
use crate::model::{Test, Tree};

fn stump(values: [&[(u32, f64)]; 2]) -> Tree {
    let split = TreeNode::Split {
        feature: 0,
        test: Test::Greater(0.0),
        missing_goes_yes: false,
        yes: 1,
        no: 2,
    };
    let [yes, no] = values.map(|values| TreeNode::Leaf(values.to_vec()));
    Tree {
        nodes: vec![split, yes, no],
    }
}

#[test]
fn a_leaf_that_names_no_score_adds_zero_to_it() {
    let ensemble = TreeEnsemble {
        scores: 2,
        base: vec![0.0, 0.0],
        trees: vec![
            stump([&[(0, 3.0), (1, 2.0)], &[(0, 5.0)]]),
            stump([&[(1, -1.0)], &[(1, -4.0)]]),
        ],
    };
    assert_eq!(ranges_of_trees(&ensemble), [2.0, 5.0]);
}
