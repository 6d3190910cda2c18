//! The mean square of mask rows varies from row to row; what that does to the tail of a sum.

use super::*;
use crate::noise::{expanded, key_switch, scheme_switch};

/// Shares of the Fourier modes in the product with the all-ones half of a key, the largest first:
/// mode k has 8 / (pi (2k + 1))^2.
fn modes(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(|mode| 8.0 / (std::f64::consts::PI * (2 * mode + 1) as f64).powi(2))
}

/// Share of a mask row's variance that is the body row's error times the key; one half of it comes
/// from the all-ones half of the key.
fn product_share(set: &ParameterSet) -> f64 {
    let packing = set.packing().unwrap();
    1.0 - scheme_switch(set, packing.scheme_switch) / expanded(set, packing, packing.depth()).mask
}

/// The mean square of a sum's rows, over its mean: `fixed + sum of mean * exponential variable`, by
/// (mean, how many).
struct Mixture {
    fixed: f64,
    parts: Vec<(f64, f64)>,
}

impl Mixture {
    /// Of `rows` independent rows of equal weight, under a random key.
    fn of(set: &ParameterSet, rows: f64) -> Self {
        let share = product_share(set) / 2.0;
        let mut mixture = Self {
            fixed: 1.0 - 2.0 * share,
            parts: Vec::new(),
        };
        for mode in modes(8) {
            mixture.parts.push((share * mode / rows, rows));
        }
        mixture.fixed += share * (1.0 - modes(8).sum::<f64>());
        // The other half of the key weighs all modes alike; errors of early levels repeat in many,
        // and leave 16 or more.
        mixture.parts.push((share / rows / 16.0, rows * 16.0));
        // The key: errors of the key switches' own rows in these modes, as many as automorphisms of
        // later levels map to them. Their mean is in the rows' part.
        let packing = set.packing().unwrap();
        let body = expanded(set, packing, packing.depth()).body;
        for (level, gadget) in packing.key_switch.iter().enumerate() {
            let later = 2_f64.powi((packing.key_switch.len() - 1 - level) as i32);
            let count = f64::from(gadget.levels) * later;
            for mode in modes(2) {
                let mean = share * mode * later * key_switch(set, *gadget) / body;
                mixture.parts.push((mean / count, count));
                mixture.fixed -= mean;
            }
        }
        mixture
    }

    /// log2 of the probability that a normal variable of this variance exceeds `bound`, to either
    /// side: by the saddle point `slope` of its moments.
    fn tail(&self, bound: f64) -> f64 {
        let largest = self.parts.iter().map(|(mean, _)| *mean).fold(0.0, f64::max);
        let (mut low, mut high) = (0.0, (2.0 / largest).sqrt());
        let sum = |f: &dyn Fn(f64) -> f64| {
            self.parts
                .iter()
                .map(|(mean, count)| count * f(*mean))
                .sum::<f64>()
        };
        for _ in 0..200 {
            let slope = f64::midpoint(low, high);
            let first = slope * self.fixed + sum(&|v| slope * v / (1.0 - slope * slope * v / 2.0));
            *(if first < bound { &mut low } else { &mut high }) = slope;
        }
        let slope = f64::midpoint(low, high);
        let rest = |v: f64| 1.0 - slope * slope * v / 2.0;
        let moments = slope * slope * self.fixed / 2.0 - sum(&|v| rest(v).ln());
        let curvature = self.fixed + sum(&|v| v / rest(v) + (slope * v / rest(v)).powi(2));
        let density = slope * (std::f64::consts::TAU * curvature).sqrt();
        (2_f64.ln() + moments - slope * bound - density.ln()) / std::f64::consts::LN_2
    }
}

/// A normal variable exceeds it with a probability of 2^-40, to either side.
const DEVIATIONS: f64 = 7.135;

#[test]
fn margins_hold_the_tail_of_the_mixture() {
    let normal = Mixture {
        fixed: 1.0,
        parts: vec![(1e-9, 1.0)],
    };
    assert!(
        (normal.tail(DEVIATIONS) + 40.0).abs() < 0.2,
        "{}",
        normal.tail(DEVIATIONS)
    );
    for set in packed_sets() {
        for rows in [
            2.0, 3.0, 4.0, 6.0, 8.0, 9.0, 12.0, 15.0, 24.0, 48.0, 96.0, 1000.0,
        ] {
            let mixture = Mixture::of(set, rows);
            let [found, plain] = [margin(set, Transport::Packed, rows), KEY_MARGIN]
                .map(|margin| mixture.tail(DEVIATIONS * margin));
            println!(
                "{}: {rows} rows, 2^{found:.1}; with KEY_MARGIN alone 2^{plain:.1}",
                set.name
            );
            assert!(
                found < -40.0,
                "{}: {rows} rows fail with 2^{found:.1}",
                set.name
            );
            assert!(
                rows < 48.0 || found < -45.0,
                "{}: {rows} rows fail with 2^{found:.1}",
                set.name
            );
        }
    }
}

#[test]
fn the_mean_square_of_mask_rows_varies_as_the_mixture_says() {
    for set in packed_sets().filter(|set| set.packing().unwrap().depth() == 8) {
        let predicted = selector(set, Transport::Packed).mask;
        // 128 rows a key.
        let squares = (0..KEYS).flat_map(|_| {
            let keyed = Expanded::new(
                set,
                Gadget {
                    base_log: 6,
                    levels: 4,
                },
                Transport::Packed,
                32,
            );
            let square = move |slot: usize| {
                let errors = keyed.row_errors(slot / 4, slot % 4, 0);
                let sum: f64 = errors
                    .iter()
                    .map(|error| (*error as f64 * 2f64.powi(-64)).powi(2))
                    .sum();
                sum / errors.len() as f64 / predicted
            };
            (0..128).map(square).collect::<Vec<_>>()
        });
        let squares: Vec<f64> = squares.collect();
        let count = squares.len() as f64;
        let mean = squares.iter().sum::<f64>() / count;
        let deviation = (squares.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        let expected =
            product_share(set) / 2.0 * modes(1000).map(|mode| mode * mode).sum::<f64>().sqrt();
        println!(
            "{}: mean square {mean:.2} +- {deviation:.3}, expected +- {expected:.3}",
            set.name
        );
        // 512 samples of a variable of kurtosis 9: 6 % of the deviation, and a few per cent between
        // keys.
        assert!(
            (0.75..1.3).contains(&(deviation / expected)),
            "{deviation} instead of {expected}"
        );
    }
}
