use super::*;
use crate::model::Tree;

/// A stump a pair of leaves, each adding to one score.
fn trees(base: f64, leaves: &[(f64, f64)]) -> TreeEnsemble {
    let stump = |(yes, no): &(f64, f64)| Tree::stump(&[(0, *yes)], &[(0, *no)]);
    TreeEnsemble {
        scores: 1,
        base: vec![base],
        trees: leaves.iter().map(stump).collect(),
    }
}

fn lattice(base: f64, leaves: &[(f64, f64)]) -> Option<Lattice> {
    let estimator = Estimator::Trees(trees(base, leaves));
    Lattice::of(&estimator)[0]
}

fn score(step: f64, precision: f64) -> ScoreDecoding {
    ScoreDecoding {
        coefficient: 0,
        scale: ScoreUnits::new(2.0),
        offset: ScoreUnits::default(),
        step: ScoreUnits::new(step),
        precision: ScoreUnits::new(precision),
        range: (ScoreUnits::default(), ScoreUnits::new(1.0)),
    }
}

#[test]
#[expect(
    clippy::float_cmp,
    reason = "the number that float32 is next to, and no other"
)]
fn votes_in_float32_are_multiples_of_the_number_that_they_stand_for() {
    let vote = f64::from(0.01_f32);
    let half = f64::from(0.005_f32);
    let votes = lattice(0.0, &[(vote, 0.0); 100]).unwrap();
    assert_eq!(votes.spacing, 0.01);
    assert!(votes.drift > 0.0 && votes.drift < 1e-7, "{votes:?}");
    assert!((votes.range - 1.0).abs() < 1e-7, "{votes:?}");
    // A leaf of two rows, and one of three.
    assert_eq!(lattice(0.5, &[(vote, half)]).unwrap().spacing, 0.005);
    let third = f64::from((0.01_f64 / 3.0) as f32);
    let mixed = lattice(0.0, &[(vote, half), (third, 0.0)]).unwrap();
    assert!((mixed.spacing - 1.0 / 600.0).abs() < 1e-9, "{mixed:?}");
}

#[test]
fn other_leaves_and_bases_are_no_lattice() {
    assert_eq!(lattice(0.0, &[(0.3, 0.7), (0.1234, 0.9)]), None);
    assert_eq!(lattice(0.123_456, &[(0.5, 0.25)]), None);
    assert_eq!(lattice(0.0, &[(0.0, 0.0)]), None);
}

#[test]
#[expect(clippy::float_cmp, reason = "a tie is exact or none")]
fn scores_snap_where_the_error_is_below_half_of_the_spacing() {
    let votes = lattice(0.0, &[(0.01, 0.0); 100]).unwrap();
    let mut near = score(0.0049, 0.0073);
    assert!(votes.snap(&mut near));
    // A tie is a tie again, whatever the noise.
    let half = 1_i64 << 62;
    let noise = (0.0048 / 2.0 * 64_f64.exp2()) as i64;
    assert_eq!(near.score(half + noise), 0.5);
    assert_eq!(near.score(half - noise), 0.5);
    assert!(near.precision < ScoreUnits::new(1e-5));
    // Its error may reach the middle of two votes, or its step was coarser for another reason.
    for (step, precision) in [(0.0051, 0.0077), (0.02, 0.015)] {
        let mut kept = score(step, precision);
        assert!(!votes.snap(&mut kept));
        assert_eq!(kept, score(step, precision));
    }
    // With as many bits as it asks for it does snap.
    let precision = votes.range * (-votes.bits()).exp2();
    assert!(votes.snap(&mut score(precision * 2.0 / 3.0, precision)));
}

#[test]
fn a_tie_of_two_classes_is_the_same_number_twice() {
    let mut two = trees(0.0, &[(0.5, 1.0), (f64::from(1.0_f32 / 46.0), 0.0)]);
    two.scores = 2;
    two.base.push(0.0);
    let TreeNode::Leaf(values) = &mut two.trees[0].nodes[1] else {
        panic!("a leaf");
    };
    values.push((1, 0.5));
    let lattices = Lattice::of(&Estimator::Trees(two));
    let spacings: Vec<f64> = lattices.iter().flatten().map(|one| one.spacing).collect();
    assert_eq!(spacings, [1.0 / 46.0; 2]);
}
