use super::places::nearer;
use super::problem::most_alike;
use super::rounds::{RoundNoise, Rounds};
use crate::model::LinearForm;
use cipherfn_scheme::noise::Variance;

/// Ranks by counting, places far apart and alike.
#[test]
fn a_histogram_counts_what_is_nearer() {
    let size = 64;
    let places = [-20, 3, 3, 17, 40, -20, 8];
    let counts = [1, 1, 0, 1, 1, 1, -1];
    let expected = places.map(|own: i64| {
        let pairs = places.iter().zip(counts);
        let nearer = pairs.filter(|(other, _)| **other < own);
        nearer.map(|(_, count)| count).sum::<i64>()
    });
    assert_eq!(nearer(&places, &counts, size), expected);
    // Twice around, everything is where it was.
    let moved = places.map(|own| own + 4 * size as i64);
    assert_eq!(nearer(&moved, &counts, size), expected);
    // Half around, near is far.
    assert_eq!(nearer(&[0, 70], &[1, 1], size), [1, 0]);
}

/// Points at one place have one rank: there is room for all of their votes.
#[test]
fn points_at_one_place_are_counted() {
    let form = |weight, bias| LinearForm {
        weights: vec![(3, weight)],
        bias,
    };
    let forms = [(1.0, 2.0), (1.0, 2.5), (1.0, 2.0), (2.0, 2.0)];
    let forms = forms.map(|(weight, bias)| form(weight, bias));
    assert_eq!(most_alike(&forms), 2);
    assert_eq!(most_alike(&[]), 0);
    let ties = Rounds::of(112, 3, 20, noise(2f64.powi(-12))).unwrap();
    assert!(ties.most_candidates() >= 3 + 20);
}

fn noise(deviation: f64) -> RoundNoise {
    RoundNoise {
        all: Variance::new(deviation.powi(2)),
        candidates: Variance::new(deviation.powi(2)),
        vote: Variance::new(1e-12),
    }
}

/// Every rank that there is room for has its vote, five deviations of noise or half a step aside.
#[test]
fn thresholds_are_between_ranks() {
    let deviation = 2f64.powi(-9);
    let rounds = Rounds::of(112, 3, 2, noise(deviation)).unwrap();
    assert!(rounds.slack() >= 1 && rounds.most_candidates() <= 20);
    let all = &rounds.all;
    for rank in 0..112 {
        for error in [-5.0, 0.0, 5.0] {
            let vote = all.votes(all.place(f64::from(rank)) + error * deviation);
            // The slack is for ranks that may or may not be candidates.
            if rank < 3 {
                assert_eq!(vote, 1, "{rank}");
            } else if rank as usize > 3 + 2 * rounds.slack() {
                assert_eq!(vote, 0, "{rank}");
            }
        }
    }
    let candidates = &rounds.candidates;
    assert!(rounds.room() > 5.0);
    for rank in 0..candidates.ranks {
        for error in [-0.45, 0.45] {
            let vote = candidates.votes(candidates.place(rank as f64 + error));
            assert_eq!(vote, i64::from(rank < 3), "{rank}");
        }
    }
    // Beyond the half a table begins again with the other sign.
    assert_eq!(candidates.votes(0.5 + candidates.place(0.0)), -1);
}

#[test]
fn noise_that_hides_ranks_is_refused() {
    assert!(Rounds::of(4096, 5, 2, noise(2f64.powi(-8))).is_none());
}
