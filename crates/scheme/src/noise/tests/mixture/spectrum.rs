//! Large eigenvalues of a symmetric operator.

/// Steps of each run of the Lanczos iteration.
const STEPS: usize = 40;

/// The `count` largest eigenvalues of a positive operator on vectors of `size`, largest first, or
/// slightly less: by two runs of the Lanczos iteration, the second one orthogonal to the first, as
/// one run finds each multiple eigenvalue once, and here most of them are double.
pub(super) fn largest_eigenvalues(
    size: usize,
    count: usize,
    apply: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut values = Vec::new();
    for run in 0..2u64 {
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        let mut next: Vec<f64> = (1..=size as u64)
            .map(|i| {
                let mixed = (i + run * size as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) as i64 as f64
            })
            .collect();
        for _ in 0..STEPS {
            orthogonalise(&mut next, &basis);
            let norm = dot(&next, &next).sqrt();
            for value in &mut next {
                *value /= norm;
            }
            if !diagonal.is_empty() {
                beside.push(norm);
            }
            let image = apply(&next);
            diagonal.push(dot(&next, &image));
            basis.push(std::mem::replace(&mut next, image));
        }
        values.extend(tridiagonal_eigenvalues(&diagonal, &beside));
    }
    values.sort_by(|a, b| b.total_cmp(a));
    values.truncate(count);
    values
}

/// Twice, as once leaves what rounding makes.
fn orthogonalise(vector: &mut [f64], basis: &[Vec<f64>]) {
    for other in basis.iter().chain(basis) {
        let part = dot(vector, other);
        for (value, other) in vector.iter_mut().zip(other) {
            *value -= part * other;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// All eigenvalues of a positive symmetric tridiagonal matrix, by bisection: the number of negative
/// pivots of `T - x` is that of eigenvalues below x.
fn tridiagonal_eigenvalues(diagonal: &[f64], beside: &[f64]) -> Vec<f64> {
    let below = |x: f64| {
        let (mut pivot, mut count) = (1.0, 0);
        for (row, value) in diagonal.iter().enumerate() {
            let coupling = row
                .checked_sub(1)
                .map_or(0.0, |above| beside[above].powi(2));
            pivot = value - x - coupling / pivot;
            count += usize::from(pivot < 0.0);
        }
        count
    };
    let bound: f64 =
        diagonal.iter().sum::<f64>() + beside.iter().map(|value| value.abs()).sum::<f64>();
    (0..diagonal.len())
        .map(|index| {
            let (mut low, mut high) = (0.0, bound);
            for _ in 0..60 {
                let middle = f64::midpoint(low, high);
                *(if below(middle) > index {
                    &mut high
                } else {
                    &mut low
                }) = middle;
            }
            low
        })
        .collect()
}

/// The matrix with 2 on the diagonal and -1 beside it: 2 - 2 cos(pi k / (n + 1)).
#[test]
fn eigenvalues_of_a_known_matrix() {
    let found = tridiagonal_eigenvalues(&[2.0; 6], &[-1.0; 5]);
    for (index, found) in found.iter().enumerate() {
        let angle = std::f64::consts::PI * (index + 1) as f64 / 7.0;
        assert!((found - (2.0 - 2.0 * angle.cos())).abs() < 1e-9);
    }
    // A diagonal operator with a double largest eigenvalue.
    let found = largest_eigenvalues(300, 3, |input| {
        let scaled = input.iter().enumerate();
        scaled
            .map(|(index, value)| value * if index < 2 { 5.0 } else { 1.0 / index as f64 })
            .collect()
    });
    let expected = [5.0, 5.0, 0.5];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found}");
    }
}
