//! Arithmetic of a row program, generic over the kind of its entries.

use super::{BinaryFunction, Norm, ReduceFunction, SoftmaxKind, Tensor, UnaryFunction};

/// Arithmetic that every numeric kind has; integers wrap.
pub(super) trait Number: Copy + PartialOrd {
    const ZERO: Self;
    const ONE: Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `None` for an integer division by zero.
    fn div(self, other: Self) -> Option<Self>;
    fn modulo(self, other: Self) -> Option<Self>;
    fn pow(self, other: Self) -> Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn is_nan(self) -> bool;
    fn of_len(len: usize) -> Self;
}

macro_rules! float_number {
    ($float:ident) => {
        impl Number for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn add(self, other: Self) -> Self {
                self + other
            }
            fn sub(self, other: Self) -> Self {
                self - other
            }
            fn mul(self, other: Self) -> Self {
                self * other
            }
            fn div(self, other: Self) -> Option<Self> {
                Some(self / other)
            }
            fn modulo(self, other: Self) -> Option<Self> {
                Some(self % other)
            }
            fn pow(self, other: Self) -> Self {
                self.powf(other)
            }
            fn neg(self) -> Self {
                -self
            }
            fn abs(self) -> Self {
                self.abs()
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn exp(self) -> Self {
                self.exp()
            }
            fn ln(self) -> Self {
                self.ln()
            }
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            fn of_len(len: usize) -> Self {
                len as $float
            }
        }
    };
}
float_number!(f32);
float_number!(f64);

impl Number for i64 {
    const ZERO: Self = 0;
    const ONE: Self = 1;
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn sub(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    fn mul(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    fn div(self, other: Self) -> Option<Self> {
        (other != 0).then(|| self.wrapping_div(other))
    }
    fn modulo(self, other: Self) -> Option<Self> {
        // ONNX `Mod` of integers takes the divisor's sign.
        (other != 0).then(|| self.wrapping_rem(other)).map(|r| {
            if r != 0 && (r < 0) != (other < 0) {
                r + other
            } else {
                r
            }
        })
    }
    fn pow(self, other: Self) -> Self {
        (self as f64).powf(other as f64) as i64
    }
    fn neg(self) -> Self {
        self.wrapping_neg()
    }
    fn abs(self) -> Self {
        self.wrapping_abs()
    }
    fn sqrt(self) -> Self {
        (self as f64).sqrt() as i64
    }
    fn exp(self) -> Self {
        (self as f64).exp() as i64
    }
    fn ln(self) -> Self {
        (self as f64).ln() as i64
    }
    fn is_nan(self) -> bool {
        false
    }
    fn of_len(len: usize) -> Self {
        len as i64
    }
}

/// Largest 32-bit float that is not above `x`: what [`Op::Narrow`](crate::Op::Narrow) makes of a split
/// point.
pub fn round_down(x: f64) -> f32 {
    let nearest = x as f32;
    if f64::from(nearest) > x {
        nearest.next_down()
    } else {
        nearest
    }
}

pub(super) fn unary(function: UnaryFunction, argument: &Tensor) -> Tensor {
    use UnaryFunction::{Abs, IsInf, IsNan, Neg, Not, Sign};
    match (function, argument) {
        (Not, Tensor::I64(all)) => Tensor::I64(all.iter().map(|&x| i64::from(x == 0)).collect()),
        (Neg, Tensor::I64(all)) => Tensor::I64(all.iter().map(|&x| Number::neg(x)).collect()),
        (Abs, Tensor::I64(all)) => Tensor::I64(all.iter().map(|&x| Number::abs(x)).collect()),
        (Sign, Tensor::I64(all)) => Tensor::I64(all.iter().map(|x| x.signum()).collect()),
        (IsNan, Tensor::F32(all)) => {
            Tensor::I64(all.iter().map(|x| i64::from(x.is_nan())).collect())
        }
        (IsNan, Tensor::F64(all)) => {
            Tensor::I64(all.iter().map(|x| i64::from(x.is_nan())).collect())
        }
        (IsInf, Tensor::F32(all)) => {
            Tensor::I64(all.iter().map(|x| i64::from(x.is_infinite())).collect())
        }
        (IsInf, Tensor::F64(all)) => {
            Tensor::I64(all.iter().map(|x| i64::from(x.is_infinite())).collect())
        }
        (_, Tensor::F32(all)) => Tensor::F32(all.iter().map(|&x| unary_f32(function, x)).collect()),
        (_, Tensor::F64(all)) => Tensor::F64(all.iter().map(|&x| unary_f64(function, x)).collect()),
        _ => argument.clone(),
    }
}

macro_rules! unary_float {
    ($name:ident, $float:ident) => {
        fn $name(function: UnaryFunction, x: $float) -> $float {
            match function {
                UnaryFunction::Neg => -x,
                UnaryFunction::Abs => x.abs(),
                UnaryFunction::Sqrt => x.sqrt(),
                UnaryFunction::Exp => x.exp(),
                UnaryFunction::Log => x.ln(),
                UnaryFunction::Floor => x.floor(),
                UnaryFunction::Ceil => x.ceil(),
                UnaryFunction::Round => x.round_ties_even(),
                UnaryFunction::Sign if x > 0.0 => 1.0,
                UnaryFunction::Sign if x < 0.0 => -1.0,
                UnaryFunction::Sign => x * 0.0,
                UnaryFunction::Reciprocal => 1.0 / x,
                UnaryFunction::Sigmoid => {
                    // The exponential of a negative number never overflows.
                    let positive = 1.0 / (1.0 + (-x.abs()).exp());
                    if x < 0.0 {
                        (x.exp() * positive)
                    } else {
                        positive
                    }
                }
                UnaryFunction::Tanh => x.tanh(),
                UnaryFunction::Sin => x.sin(),
                UnaryFunction::Cos => x.cos(),
                UnaryFunction::Erf => erf(f64::from(x)) as $float,
                UnaryFunction::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
                UnaryFunction::Probit => probit(x as f32).into(),
                // Predicates are carried out before.
                UnaryFunction::Not | UnaryFunction::IsNan | UnaryFunction::IsInf => x,
            }
        }
    };
}
unary_float!(unary_f32, f32);
unary_float!(unary_f64, f64);

/// Winitzki's approximation of the inverse error function, with the constants of ONNX Runtime's
/// `PROBIT` post-transform.
#[expect(
    clippy::approx_constant,
    reason = "the constant of ONNX Runtime, to give its answers"
)]
fn probit(probability: f32) -> f32 {
    let y = 2.0 * probability - 1.0;
    let log = ((1.0 - y) * (1.0 + y)).ln();
    let half = 2.0 / (3.14159_f32 * 0.147) + 0.5 * log;
    let root = (-half + (half * half - log / 0.147).sqrt()).sqrt();
    std::f32::consts::SQRT_2 * if y < 0.0 { -root } else { root }
}

/// Error function: Maclaurin series for small, continued fraction of the complement for large
/// arguments (Abramowitz and Stegun 7.1.5 and 7.1.14).
fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 2.5 {
        let mut term = a;
        let mut sum = a;
        for n in 1..80 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..=60)
            .rev()
            .fold(0.0, |tail, n| f64::from(n) / 2.0 / (a + tail));
        1.0 - (-a * a).exp() / (a + fraction) / std::f64::consts::PI.sqrt()
    };
    if x.is_nan() { x } else { value.copysign(x) }
}

/// `None` for an integer division by zero.
pub(super) fn binary(function: BinaryFunction, left: &Tensor, right: &Tensor) -> Option<Tensor> {
    if let Some(holds) = predicate(function, left, right) {
        return Some(Tensor::I64(holds));
    }
    Some(match (left, right) {
        (Tensor::F32(left), Tensor::F32(right)) => Tensor::F32(arithmetic(function, left, right)?),
        (Tensor::F64(left), Tensor::F64(right)) => Tensor::F64(arithmetic(function, left, right)?),
        (Tensor::I64(left), Tensor::I64(right)) => Tensor::I64(arithmetic(function, left, right)?),
        _ => left.clone(),
    })
}

/// Entries of both operands side by side, the shorter one repeated.
fn pairs<'a, T>(left: &'a [T], right: &'a [T]) -> impl Iterator<Item = (&'a T, &'a T)> {
    let len = if left.len() == 1 {
        right.len()
    } else {
        left.len()
    };
    left.iter().cycle().zip(right.iter().cycle()).take(len)
}

fn predicate(function: BinaryFunction, left: &Tensor, right: &Tensor) -> Option<Vec<i64>> {
    fn compare<T: PartialOrd>(left: &[T], right: &[T], holds: impl Fn(&T, &T) -> bool) -> Vec<i64> {
        pairs(left, right)
            .map(|(x, y)| i64::from(holds(x, y)))
            .collect()
    }
    fn all<T: PartialOrd>(function: BinaryFunction, left: &[T], right: &[T]) -> Option<Vec<i64>> {
        Some(match function {
            BinaryFunction::Equal => compare(left, right, |x, y| x == y),
            BinaryFunction::NotEqual => compare(left, right, |x, y| x != y),
            BinaryFunction::Less => compare(left, right, |x, y| x < y),
            BinaryFunction::LessOrEqual => compare(left, right, |x, y| x <= y),
            BinaryFunction::Greater => compare(left, right, |x, y| x > y),
            BinaryFunction::GreaterOrEqual => compare(left, right, |x, y| x >= y),
            _ => return None,
        })
    }
    match (left, right) {
        (Tensor::I64(left), Tensor::I64(right)) => match function {
            BinaryFunction::And => Some(compare(left, right, |&x, &y| x != 0 && y != 0)),
            BinaryFunction::Or => Some(compare(left, right, |&x, &y| x != 0 || y != 0)),
            BinaryFunction::Xor => Some(compare(left, right, |&x, &y| (x != 0) != (y != 0))),
            _ => all(function, left, right),
        },
        (Tensor::F32(left), Tensor::F32(right)) => all(function, left, right),
        (Tensor::F64(left), Tensor::F64(right)) => all(function, left, right),
        (Tensor::Text(left), Tensor::Text(right)) => all(function, left, right),
        _ => None,
    }
}

fn arithmetic<T: Number>(function: BinaryFunction, left: &[T], right: &[T]) -> Option<Vec<T>> {
    pairs(left, right)
        .map(|(&x, &y)| match function {
            BinaryFunction::Add => Some(x.add(y)),
            BinaryFunction::Sub => Some(x.sub(y)),
            BinaryFunction::Mul => Some(x.mul(y)),
            BinaryFunction::Div => x.div(y),
            BinaryFunction::Mod => x.modulo(y),
            BinaryFunction::Pow => Some(x.pow(y)),
            BinaryFunction::Min => Some(if x.is_nan() || x < y { x } else { y }),
            BinaryFunction::Max => Some(if x.is_nan() || x > y { x } else { y }),
            // Predicates are carried out before.
            _ => Some(x),
        })
        .collect()
}

pub(super) fn reduce<T: Number>(function: ReduceFunction, group: &[T]) -> T {
    let sum = |f: &dyn Fn(T) -> T| group.iter().fold(T::ZERO, |sum, &x| sum.add(f(x)));
    let best = |better: &dyn Fn(&T, &T) -> bool| {
        let first = group.first().copied().unwrap_or(T::ZERO);
        group
            .iter()
            .fold(first, |best, x| if better(x, &best) { *x } else { best })
    };
    match function {
        ReduceFunction::Sum => sum(&|x| x),
        ReduceFunction::Mean => sum(&|x| x).div(T::of_len(group.len())).unwrap_or(T::ZERO),
        ReduceFunction::Product => group.iter().fold(T::ONE, |product, &x| product.mul(x)),
        ReduceFunction::Max => best(&|x, best| x > best),
        ReduceFunction::Min => best(&|x, best| x < best),
        ReduceFunction::L1 => sum(&Number::abs),
        ReduceFunction::L2 => sum(&|x| x.mul(x)).sqrt(),
        ReduceFunction::SumSquare => sum(&|x| x.mul(x)),
        ReduceFunction::LogSumExp => {
            let max = best(&|x, best| x > best);
            sum(&|x| x.sub(max).exp()).ln().add(max)
        }
    }
}

pub(super) fn softmax(variant: SoftmaxKind, argument: &Tensor, group: usize) -> Tensor {
    match argument {
        Tensor::F32(all) => Tensor::F32(
            all.chunks(group)
                .flat_map(|group| softmax_group(variant, group, 1e-7))
                .collect(),
        ),
        Tensor::F64(all) => Tensor::F64(
            all.chunks(group)
                .flat_map(|group| softmax_group(variant, group, 1e-7))
                .collect(),
        ),
        _ => argument.clone(),
    }
}

fn softmax_group<T: Number>(variant: SoftmaxKind, group: &[T], near_zero: T) -> Vec<T> {
    let max = reduce(ReduceFunction::Max, group);
    let exps: Vec<T> = group.iter().map(|&x| x.sub(max).exp()).collect();
    match variant {
        SoftmaxKind::Softmax => {
            let sum = reduce(ReduceFunction::Sum, &exps);
            exps.iter().map(|&e| e.div(sum).unwrap_or(e)).collect()
        }
        SoftmaxKind::LogSoftmax => {
            let log = reduce(ReduceFunction::Sum, &exps).ln();
            group.iter().map(|&x| x.sub(max).sub(log)).collect()
        }
        SoftmaxKind::SkipZero => {
            let counts = |x: T| x > near_zero || x < near_zero.neg();
            let scale = max.neg().exp();
            let terms = group
                .iter()
                .zip(&exps)
                .map(|(&x, &e)| if counts(x) { e } else { x.mul(scale) });
            let sum = group
                .iter()
                .zip(&exps)
                .filter(|(x, _)| counts(**x))
                .fold(T::ZERO, |sum, (_, &e)| sum.add(e));
            terms.map(|term| term.div(sum).unwrap_or(term)).collect()
        }
    }
}

pub(super) fn normalize(norm: Norm, argument: &Tensor, group: usize) -> Tensor {
    match argument {
        Tensor::F32(all) => Tensor::F32(
            all.chunks(group)
                .flat_map(|group| normalize_group(norm, group))
                .collect(),
        ),
        Tensor::F64(all) => Tensor::F64(
            all.chunks(group)
                .flat_map(|group| normalize_group(norm, group))
                .collect(),
        ),
        _ => argument.clone(),
    }
}

fn normalize_group<T: Number>(norm: Norm, group: &[T]) -> Vec<T> {
    let size = match norm {
        Norm::Max => reduce(ReduceFunction::Max, group),
        Norm::L1 => reduce(ReduceFunction::L1, group),
        Norm::L2 => reduce(ReduceFunction::L2, group),
    };
    if size == T::ZERO {
        return group.to_vec();
    }
    group.iter().map(|&x| x.div(size).unwrap_or(x)).collect()
}
