use super::*;
use crate::model::Tree;

/// A stump of one score.
fn stump(base: f64, leaf: f64) -> Estimator {
    Estimator::Trees(TreeEnsemble {
        scores: 1,
        base: vec![base],
        trees: vec![Tree::stump(&[(0, leaf)], &[(0, -leaf)])],
    })
}

fn line(weight: f64, bias: f64) -> Estimator {
    Estimator::Linear(LinearModel {
        weights: vec![vec![weight]],
        bias: vec![bias],
    })
}

#[test]
fn estimators_of_one_family_are_one_region_with_all_their_scores() {
    let estimators = [
        line(2.0, 1.0),
        stump(10.0, 1.0),
        line(-1.0, 3.0),
        stump(20.0, 2.0),
    ];
    let regions = regions(&estimators);
    let scores: Vec<&[usize]> = regions
        .iter()
        .map(|region| region.scores.as_slice())
        .collect();
    assert_eq!(scores, [[0, 2], [1, 3]]);
    for features in [[0.0_f32], [1.0]] {
        let all: Vec<f64> = estimators
            .iter()
            .flat_map(|estimator| estimator.raw_scores(&features))
            .collect();
        for region in &regions {
            let expected: Vec<f64> = region.scores.iter().map(|score| all[*score]).collect();
            assert_eq!(region.estimator.raw_scores(&features), expected);
        }
    }
}
