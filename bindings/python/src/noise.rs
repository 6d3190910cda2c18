//! Noise for simulations.

use std::f64::consts::TAU;

/// Normal deviates of a standard deviation, from a seed.
pub(crate) struct Noise {
    /// In units of 2^-64 of the torus.
    deviation: f64,
    state: u64,
}

impl Noise {
    /// `deviation` is a fraction of the torus.
    pub(crate) fn new(deviation: f64, seed: u64) -> Self {
        Self {
            deviation: deviation * 64_f64.exp2(),
            state: seed,
        }
    }

    /// A phase with noise.
    pub(crate) fn on(&mut self, phase: u64) -> i64 {
        let error = if self.deviation > 0.0 {
            // Box and Muller; above 0, so that the logarithm is finite.
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            (radius * (TAU * self.uniform()).cos() * self.deviation) as i64
        } else {
            0
        };
        (phase as i64).wrapping_add(error)
    }

    /// A number from 0 to below 1, by splitmix64: good enough for a simulation, and for nothing secret.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) >> 11) as f64 / 53_f64.exp2()
    }
}
