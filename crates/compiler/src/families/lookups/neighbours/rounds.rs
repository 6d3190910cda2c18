//! Ranks as parts of the torus.
//!
//! Rank r is looked up at `(r + 1/2 + margin) step` of half the torus, and has a vote where that is
//! below `(below + margin) step`. The margins keep the nearest point off zero, and the farthest off a
//! half, where a table begins again with the other sign.

use cipherfn_scheme::noise::Variance;

/// Deviations of noise that a rank is kept from the wrong side of a threshold by.
const DEVIATIONS: f64 = 5.0;
/// Margin of the second round, in ranks.
const MARGIN: f64 = 1.0;
/// Most points in addition to the k nearest that become candidates.
const MOST_SLACK: usize = 64;

/// Votes by rank.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Ranks that there is room for.
    pub(super) ranks: usize,
    /// Room at both ends, in ranks.
    pub(super) margin: f64,
    /// Ranks below this one have a vote.
    pub(super) below: usize,
    /// Variance with which every rank is looked up.
    pub(super) fixed: Variance,
    /// What each nearer point adds to it.
    pub(super) nearer: Variance,
}

/// Both rounds.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    /// Among all points.
    pub(super) all: Round,
    /// Among the candidates; what is no candidate is as many ranks farther as there are votes.
    pub(super) candidates: Round,
}

/// Noise of what rounds are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundNoise {
    /// Of histogram and turning it back, and of the switch to the table's steps: coarse places.
    pub(super) all: Variance,
    /// The same of fine places.
    pub(super) candidates: Variance,
    /// Of a candidate's vote.
    pub(super) vote: Variance,
}

impl Round {
    /// A step of rank, in parts of the torus.
    pub(super) fn step(&self) -> f64 {
        0.5 / (self.ranks as f64 + 2.0 * self.margin)
    }

    /// Where a rank is looked up.
    pub(super) fn place(&self, rank: f64) -> f64 {
        (rank + 0.5 + self.margin) * self.step()
    }

    /// Where votes end.
    pub(super) fn threshold(&self) -> f64 {
        (self.below as f64 + self.margin) * self.step()
    }

    /// The votes of a number, in parts of the torus: 1, 0, or -1 beyond the half.
    pub(super) fn votes(&self, number: f64) -> i64 {
        let number = number.rem_euclid(1.0);
        let (half, sign) = if number < 0.5 {
            (number, 1)
        } else {
            (number - 0.5, -1)
        };
        if half < self.threshold() { sign } else { 0 }
    }

    /// Deviation of a rank's number, of a point that so many are nearer than.
    pub(super) fn deviation(&self, nearer: f64) -> f64 {
        (self.fixed + nearer * self.nearer).deviation().get()
    }

    /// Half a step in deviations of the rank at the threshold, among so many points.
    fn room(&self, points: usize) -> f64 {
        let noisy = f64::midpoint(self.below as f64, points as f64);
        0.5 * self.step() / self.deviation(noisy)
    }
}

impl Rounds {
    /// For the `kept` nearest of so many points, where up to `ties` have a rank of a candidate that
    /// they would not have if distances were exact; `None` where noise takes more candidates than a
    /// second round can rank.
    pub(super) fn of(points: usize, kept: usize, ties: usize, noise: RoundNoise) -> Option<Self> {
        let deviation = noise.all.deviation().get();
        let with_slack = |slack: usize| Round {
            ranks: points,
            margin: slack as f64 + 0.5,
            below: kept + slack,
            fixed: noise.all,
            nearer: Variance::default(),
        };
        let is_enough = |round: &Round, slack: usize| {
            (slack as f64 + 0.5) * round.step() >= DEVIATIONS * deviation
        };
        let slack = (1..=MOST_SLACK).find(|slack| is_enough(&with_slack(*slack), *slack))?;
        let all = with_slack(slack);
        // The threshold may be passed by as many as it is kept away, and what ties.
        let most = (kept + 2 * slack + 1 + ties).min(points);
        let ranks = most + kept;
        Some(Self {
            all,
            candidates: Round {
                ranks,
                margin: MARGIN,
                below: kept,
                fixed: noise.candidates,
                // Twice: half a step from the histogram, half from the sum of all candidates.
                nearer: 4.0 * noise.vote,
            },
        })
    }

    /// The rounds' parts of the errors by noise, by how far a rank is from the wrong side: as far as
    /// the slack in the first round, half a step in the second.
    pub(super) fn shares(&self) -> [f64; 2] {
        let slack = self.all.room(self.all.ranks) * (1.0 + 2.0 * self.slack() as f64);
        let tails = [slack, self.room()].map(|room| (-room * room / 2.0).exp());
        let sum: f64 = tails.iter().sum();
        tails.map(|own| own / sum.max(f64::MIN_POSITIVE))
    }

    /// Half a step of the second round in deviations of the rank at the threshold.
    pub(super) fn room(&self) -> f64 {
        self.candidates.room(self.all.ranks)
    }

    /// Candidates in addition to the nearest.
    pub(super) fn slack(&self) -> usize {
        self.all.below - self.candidates.below
    }

    /// Candidates that there is room for.
    pub(super) fn most_candidates(&self) -> usize {
        self.candidates.ranks - self.candidates.below
    }
}
