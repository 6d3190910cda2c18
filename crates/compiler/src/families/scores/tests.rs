use super::*;
use crate::model::Tree;

#[test]
fn complementary_probabilities_share_a_coefficient() {
    let trees = vec![
        Tree::stump(&[(0, 0.9), (1, 0.1)], &[(0, 0.3), (1, 0.7)]),
        Tree::stump(&[(0, 0.0), (1, 1.0)], &[(0, 0.5), (1, 0.5)]),
    ];
    let map = ScoreMap::of_trees(&TreeEnsemble {
        scores: 2,
        base: vec![0.0, 0.25],
        trees,
    });
    assert_eq!(map.carried, [0]);
    assert_eq!(
        map.scores[0],
        Affine {
            coefficient: 0,
            factor: 1.0,
            offset: 0.0,
            deviation: 0.0
        }
    );
    let second = map.scores[1];
    assert!(
        (second.factor + 1.0).abs() < 1e-12
            && (second.offset - 2.25).abs() < 1e-12
            && second.deviation < 1e-12,
        "{second:?}"
    );
}

#[test]
fn float32_rounding_is_a_deviation_not_a_coefficient() {
    let third = f64::from(1.0_f32 / 3.0);
    let trees = vec![Tree::stump(
        &[(0, 1.0), (1, 0.0)],
        &[(0, third), (1, f64::from(2.0_f32 / 3.0))],
    )];
    let map = ScoreMap::of_trees(&TreeEnsemble {
        scores: 2,
        base: vec![0.0; 2],
        trees,
    });
    assert_eq!(map.carried, [0]);
    assert!(map.scores[1].deviation > 0.0 && map.scores[1].deviation < 1e-7);
}

#[test]
fn independent_and_constant_scores() {
    let trees = vec![
        Tree::stump(&[(2, 1.0)], &[(0, 1.0)]),
        Tree::stump(&[], &[(0, 2.0), (2, 5.0)]),
    ];
    let map = ScoreMap::of_trees(&TreeEnsemble {
        scores: 3,
        base: vec![0.0, 4.0, 0.0],
        trees,
    });
    assert_eq!(map.carried, [0, 2]);
    assert_eq!((map.scores[1].factor, map.scores[1].offset), (0.0, 4.0));
    assert_eq!(map.scores[2].coefficient, 1);
}

#[test]
fn scaled_rows_of_a_linear_model_share_a_coefficient() {
    let rows = [
        vec![1.0, -2.0, 0.5],
        vec![-1.0, 2.0, -0.5],
        vec![3.0, -6.0, 1.5],
        vec![0.0; 3],
        vec![1.0, 2.0, 0.5],
    ];
    let map = ScoreMap::of_linear(&rows, &[1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(map.carried, [0, 4]);
    let factors: Vec<f64> = map.scores.iter().map(|score| score.factor).collect();
    assert_eq!(factors, [1.0, -1.0, 3.0, 0.0, 1.0]);
    assert_eq!(
        map.scores
            .iter()
            .map(|score| score.offset)
            .collect::<Vec<_>>(),
        [1.0, 2.0, 3.0, 4.0, 5.0]
    );
}
