use super::{Tree, TreeEnsemble};

#[test]
fn a_leaf_that_names_no_score_adds_zero_to_it() {
    let ensemble = TreeEnsemble {
        scores: 2,
        base: vec![0.0, 0.0],
        trees: vec![
            Tree::stump(&[(0, 3.0), (1, 2.0)], &[(0, 5.0)]),
            Tree::stump(&[(1, -1.0)], &[(1, -4.0)]),
        ],
    };
    assert_eq!(ensemble.ranges(), [2.0, 5.0]);
}
