//! Small symmetric matrices.

/// A symmetric matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetric {
    size: usize,
    /// Row by row, both halves.
    entries: Vec<f64>,
}

/// A column that the columns before it determine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dependent(pub(crate) usize);

impl Symmetric {
    /// From the entries of the lower half.
    pub fn from_fn(size: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let mut entries = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let value = entry(row, column);
                entries[row * size + column] = value;
                entries[column * size + row] = value;
            }
        }
        Self { size, entries }
    }

    /// An entry.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        self.entries[row * self.size + column]
    }

    /// Solves for each right-hand side, by Cholesky's decomposition.
    ///
    /// # Errors
    /// A pivot of at most `tolerance`: what is left of the column, less those before it.
    pub(crate) fn solve(
        &self,
        tolerance: f64,
        sides: &[Vec<f64>],
    ) -> Result<Vec<Vec<f64>>, Dependent> {
        let factor = self.cholesky(tolerance)?;
        let solve = |side: &Vec<f64>| {
            let mut x = side.clone();
            for row in 0..self.size {
                let known: f64 = (0..row).map(|i| factor[row * self.size + i] * x[i]).sum();
                x[row] = (x[row] - known) / factor[row * self.size + row];
            }
            for row in (0..self.size).rev() {
                let known = (row + 1..self.size).map(|i| factor[i * self.size + row] * x[i]);
                x[row] = (x[row] - known.sum::<f64>()) / factor[row * self.size + row];
            }
            x
        };
        Ok(sides.iter().map(solve).collect())
    }

    /// The lower factor, row by row.
    fn cholesky(&self, tolerance: f64) -> Result<Vec<f64>, Dependent> {
        let size = self.size;
        let mut factor = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let rows = (row * size, column * size);
                let known: f64 = (0..column)
                    .map(|i| factor[rows.0 + i] * factor[rows.1 + i])
                    .sum();
                let rest = self.get(row, column) - known;
                factor[rows.0 + column] = if row == column {
                    if rest.is_nan() || rest <= tolerance {
                        return Err(Dependent(row));
                    }
                    rest.sqrt()
                } else {
                    rest / factor[rows.1 + column]
                };
            }
        }
        Ok(factor)
    }

    /// Eigenvalues, largest first, each with its eigenvector of length 1, by Jacobi's rotations.
    pub fn eigen(mut self) -> Vec<(f64, Vec<f64>)> {
        /// Convergence is quadratic: ten sweeps are plenty.
        const SWEEPS: usize = 60;
        let size = self.size;
        let mut vectors = Self::from_fn(size, |row, column| f64::from(u8::from(row == column)));
        let norm: f64 = self.entries.iter().map(|entry| entry * entry).sum();
        for _ in 0..SWEEPS {
            let lower = (0..size).flat_map(|row| (0..row).map(move |column| (row, column)));
            let off: f64 = lower
                .clone()
                .map(|(row, column)| self.get(row, column).powi(2))
                .sum();
            if off <= norm * f64::EPSILON.powi(2) {
                break;
            }
            for (row, column) in lower {
                self.rotate(&mut vectors.entries, row, column);
            }
        }
        let pair = |index: usize| {
            let vector = (0..size).map(|row| vectors.entries[row * size + index]);
            (self.get(index, index), vector.collect())
        };
        let mut pairs: Vec<(f64, Vec<f64>)> = (0..size).map(pair).collect();
        pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
        pairs
    }

    /// Makes an entry zero.
    fn rotate(&mut self, vectors: &mut [f64], p: usize, q: usize) {
        let size = self.size;
        let entry = self.get(p, q);
        if entry == 0.0 {
            return;
        }
        let theta = (self.get(q, q) - self.get(p, p)) / (2.0 * entry);
        let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
        let cosine = 1.0 / tangent.hypot(1.0);
        let sine = tangent * cosine;
        let turn = |entries: &mut [f64], one: usize, other: usize| {
            let (x, y) = (entries[one], entries[other]);
            entries[one] = cosine * x - sine * y;
            entries[other] = sine * x + cosine * y;
        };
        for i in 0..size {
            turn(&mut self.entries, i * size + p, i * size + q);
            turn(vectors, i * size + p, i * size + q);
        }
        for i in 0..size {
            turn(&mut self.entries, p * size + i, q * size + i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dependent, Symmetric};

    fn example(size: usize) -> Symmetric {
        Symmetric::from_fn(size, |row, column| {
            f64::from(u8::from(row == column)) * 3.0 + ((row * column + row + column) as f64).sin()
        })
    }

    #[test]
    fn solutions_solve() {
        let matrix = Symmetric::from_fn(3, |row, column| {
            [[4.0, 0.0, 0.0], [2.0, 5.0, 0.0], [1.0, 3.0, 6.0]][row][column]
        });
        let x = &matrix.solve(0.0, &[vec![1.0, 2.0, 3.0]]).unwrap()[0];
        for row in 0..3 {
            let product: f64 = (0..3)
                .map(|column| matrix.get(row, column) * x[column])
                .sum();
            assert!((product - (row + 1) as f64).abs() < 1e-14);
        }
    }

    #[test]
    fn dependent_columns_are_found() {
        let values = [1.0, 2.0, 4.0];
        let matrix = Symmetric::from_fn(3, |row, column| {
            values[row] * values[column] + f64::from(u8::from(row == column && row == 0))
        });
        assert_eq!(matrix.solve(1e-9, &[]), Err(Dependent(2)));
    }

    #[test]
    fn eigenvectors_are_turned_into_multiples() {
        let matrix = example(9);
        let pairs = matrix.clone().eigen();
        assert!(pairs.is_sorted_by(|one, other| one.0 >= other.0));
        for (value, vector) in &pairs {
            let length: f64 = vector.iter().map(|entry| entry * entry).sum();
            assert!((length - 1.0).abs() < 1e-12);
            for row in 0..9 {
                let product: f64 = (0..9).map(|i| matrix.get(row, i) * vector[i]).sum();
                assert!((product - value * vector[row]).abs() < 1e-12);
            }
        }
    }
}
