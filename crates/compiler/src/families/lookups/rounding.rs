//! Rounding that knows the weights before it (OPTQ, Frantar et al.,
//! <https://arxiv.org/abs/2210.17323>): what a weight loses is made up for by those that are not
//! rounded yet, as far as the calibration rows say that they move together.

/// Weights that are rounded together: the time grows with the cube.
const BLOCK: usize = 256;
/// Damping, as a part of the mean of the diagonal.
const DAMPING: f64 = 0.25;

/// How inputs move together over the calibration rows.
pub(super) struct Moments {
    blocks: Vec<WeightBlock>,
}

struct WeightBlock {
    first: usize,
    /// Inputs of the block, those that move most first.
    order: Vec<usize>,
    /// Upper factor of the inverse of their covariance in that order, row by row.
    factor: Vec<f64>,
}

impl Moments {
    /// Of inputs, one list a row.
    pub(super) fn of(rows: &[Vec<f64>]) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        let starts = (0..width).step_by(BLOCK);
        let block = |first: usize| WeightBlock::of(rows, first, BLOCK.min(width - first));
        Self {
            blocks: starts.map(block).collect(),
        }
    }

    /// Integers near the weights, one an input.
    pub(super) fn round(&self, weights: &[f64]) -> Vec<i64> {
        let mut rounded = vec![0; weights.len()];
        for block in &self.blocks {
            block.round(weights, &mut rounded);
        }
        rounded
    }
}

impl WeightBlock {
    fn of(rows: &[Vec<f64>], first: usize, size: usize) -> Self {
        let count = rows.len().max(1) as f64;
        let mean = |input: usize| rows.iter().map(|row| row[first + input]).sum::<f64>() / count;
        let means: Vec<f64> = (0..size).map(mean).collect();
        let mut covariance = vec![0.0; size * size];
        let mut centred = vec![0.0; size];
        for row in rows {
            for (centred, (value, mean)) in centred.iter_mut().zip(row[first..].iter().zip(&means))
            {
                *centred = value - mean;
            }
            for (line, own) in covariance.chunks_exact_mut(size).zip(&centred) {
                if *own != 0.0 {
                    line.iter_mut()
                        .zip(&centred)
                        .for_each(|(sum, other)| *sum += own * other);
                }
            }
        }
        let diagonal: Vec<f64> = (0..size)
            .map(|input| covariance[input * size + input])
            .collect();
        let damping = DAMPING * diagonal.iter().sum::<f64>() / size as f64 + f64::MIN_POSITIVE;
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| diagonal[b].total_cmp(&diagonal[a]));
        let entry = |row: usize, column: usize| {
            let own = covariance[order[row] * size + order[column]];
            own + if row == column { damping } else { 0.0 }
        };
        let places = (0..size).flat_map(|row| (0..size).map(move |column| (row, column)));
        let ordered: Vec<f64> = places.map(|(row, column)| entry(row, column)).collect();
        Self {
            first,
            factor: upper_factor_of_inverse(&ordered, size),
            order,
        }
    }

    fn round(&self, weights: &[f64], rounded: &mut [i64]) {
        let size = self.order.len();
        let own = self.order.iter().map(|input| weights[self.first + input]);
        let mut left: Vec<f64> = own.collect();
        for place in 0..size {
            let line = &self.factor[place * size..(place + 1) * size];
            let whole = left[place].round();
            rounded[self.first + self.order[place]] = whole as i64;
            let error = (left[place] - whole) / line[place];
            for (other, factor) in left[place + 1..].iter_mut().zip(&line[place + 1..]) {
                *other -= error * factor;
            }
        }
    }
}

/// `U` with `U^T U` the inverse of a positive definite matrix. With `J` the reversal of the order,
/// `J M J = L L^T` gives `U = J L^-1 J`.
fn upper_factor_of_inverse(matrix: &[f64], size: usize) -> Vec<f64> {
    let at = |row: usize, column: usize| matrix[(size - 1 - row) * size + (size - 1 - column)];
    let mut lower = vec![0.0; size * size];
    for row in 0..size {
        for column in 0..=row {
            let (own, other) = (
                &lower[row * size..][..column],
                &lower[column * size..][..column],
            );
            let products = own.iter().zip(other).map(|(a, b)| a * b);
            let rest = at(row, column) - products.sum::<f64>();
            lower[row * size + column] = if row == column {
                rest.max(f64::MIN_POSITIVE).sqrt()
            } else {
                rest / lower[column * size + column]
            };
        }
    }
    // Columns of the inverse, by forward substitution.
    let mut upper = vec![0.0; size * size];
    for column in 0..size {
        let mut own = vec![0.0; size];
        own[column] = 1.0 / lower[column * size + column];
        for row in column + 1..size {
            let line = &lower[row * size + column..row * size + row];
            let products = line.iter().zip(&own[column..row]).map(|(a, b)| a * b);
            own[row] = -products.sum::<f64>() / lower[row * size + row];
        }
        for row in column..size {
            upper[(size - 1 - row) * size + (size - 1 - column)] = own[row];
        }
    }
    upper
}

#[cfg(test)]
mod tests {
    use super::{Moments, upper_factor_of_inverse};

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        let matrix = [4.0, 1.0, 0.5, 1.0, 3.0, -0.25, 0.5, -0.25, 2.0];
        let upper = upper_factor_of_inverse(&matrix, 3);
        let inverse = |row: usize, column: usize| -> f64 {
            (0..3)
                .map(|k| upper[k * 3 + row] * upper[k * 3 + column])
                .sum()
        };
        for row in 0..3 {
            for column in 0..3 {
                let product: f64 = (0..3)
                    .map(|k| matrix[row * 3 + k] * inverse(k, column))
                    .sum();
                let wanted = if row == column { 1.0 } else { 0.0 };
                assert!((product - wanted).abs() < 1e-12);
                assert!(row <= column || upper[row * 3 + column] == 0.0);
            }
        }
    }

    /// Inputs that move together make up for each other.
    #[test]
    fn errors_are_smaller_than_those_of_plain_rounding() {
        // Sums of a few hidden numbers, by a fixed sequence.
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let hidden: Vec<[f64; 3]> = (0..200).map(|_| [next(), next(), next()]).collect();
        let mix: Vec<[f64; 3]> = (0..24).map(|_| [next(), next(), next()]).collect();
        let input = |row: &[f64; 3], own: &[f64; 3]| row.iter().zip(own).map(|(a, b)| a * b).sum();
        let rows = hidden
            .iter()
            .map(|row| mix.iter().map(|own| input(row, own)).collect());
        let rows: Vec<Vec<f64>> = rows.collect();
        let weights: Vec<f64> = (0..24).map(|_| 8.0 * next()).collect();
        let error = |rounded: &[i64]| -> f64 {
            let of_row = |row: &Vec<f64>| -> f64 {
                let parts = row.iter().zip(weights.iter().zip(rounded));
                parts.map(|(x, (w, r))| x * (w - *r as f64)).sum()
            };
            rows.iter().map(|row| of_row(row).powi(2)).sum()
        };
        let plain: Vec<i64> = weights.iter().map(|weight| weight.round() as i64).collect();
        let knowing = Moments::of(&rows).round(&weights);
        assert!(error(&knowing) < 0.5 * error(&plain));
        assert!(
            weights
                .iter()
                .zip(&knowing)
                .all(|(w, r)| (w - *r as f64).abs() < 3.0)
        );
    }
}
