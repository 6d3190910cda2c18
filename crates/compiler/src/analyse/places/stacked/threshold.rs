//! Questions moved before a link: where a function of one number is above a threshold.

use crate::ir::Lookups;
use crate::model::reference::functions_of;
use std::cmp::Ordering;

/// Where a function is looked at to see whether it rises or falls: powers of `RATIO` to both sides of
/// zero, from `LEAST` to about 10^9.
const LEAST: f64 = 1e-3;
const RATIO: f64 = 1.1;
const POINTS: i32 = 290;
/// Halvings that find a number between two of these to the last bit of a 64-bit float.
const HALVINGS: usize = 80;

/// Functions of one form each, between sums and a tree.
pub(super) struct LinkFunction {
    /// For each entry of the value, its function; none of a constant one.
    pub(super) units: Vec<Option<u32>>,
    /// For each entry, what it is where it is constant.
    pub(super) constants: Vec<f64>,
    pub(super) lookups: Lookups,
    /// Where the functions were looked at, increasing, and what they are there, as the 32-bit floats
    /// that trees take.
    points: Vec<f64>,
    values: Vec<Vec<f32>>,
}

/// Where a function is above a threshold.
pub(super) enum Side {
    /// Everywhere, or nowhere.
    Always(bool),
    /// Where its form is above a number, or, if it does not `rises`, where it is not.
    Of { form: f64, rises: bool },
    /// On no side: the function both rises and falls.
    Neither,
}

impl LinkFunction {
    pub(super) fn of(units: Vec<Option<u32>>, constants: Vec<f64>, lookups: Lookups) -> Self {
        let powers = (0..POINTS).map(|power| LEAST * RATIO.powi(power));
        let above: Vec<f64> = powers.collect();
        let below = above.iter().rev().map(|own| -own);
        let points: Vec<f64> = below.chain([0.0]).chain(above.iter().copied()).collect();
        let mut link = Self {
            units,
            constants,
            lookups,
            points: Vec::new(),
            values: Vec::new(),
        };
        link.values = points.iter().map(|point| link.at(*point)).collect();
        link.points = points;
        link
    }

    /// All functions where all forms are this.
    fn at(&self, form: f64) -> Vec<f32> {
        let forms = vec![form; self.lookups.forms.len()];
        let values = functions_of(&self.lookups.functions, forms);
        values.into_iter().map(|own| own as f32).collect()
    }

    /// Where a function is above a threshold.
    pub(super) fn side(&self, unit: u32, threshold: f32) -> Side {
        let values = || self.values.iter().map(|values| values[unit as usize]);
        if values().any(f32::is_nan) {
            return Side::Neither;
        }
        let steps = values().zip(values().skip(1));
        let (mut rises, mut falls) = (false, false);
        for (one, next) in steps {
            match one.total_cmp(&next) {
                Ordering::Less => rises = true,
                Ordering::Greater => falls = true,
                Ordering::Equal => {}
            }
        }
        if rises && falls {
            return Side::Neither;
        }
        // The first point on the other side of the threshold than the points before.
        let is_above = |value: f32| (value > threshold) == rises;
        let first = values().position(is_above);
        let (mut low, mut high) = match first {
            None => return Side::Always(!rises),
            Some(0) => return Side::Always(rises),
            Some(place) => (self.points[place - 1], self.points[place]),
        };
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if is_above(self.at(middle)[unit as usize]) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Side::Of { form: low, rises }
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkFunction, Side};
    use crate::ir::{Combination, Lookups};
    use cipherfn_program::{EntryKind, Op, ProgramBuilder, TensorType, UnaryFunction};

    fn link(function: UnaryFunction, negates: bool) -> LinkFunction {
        let kind = EntryKind::F64;
        let mut builder = ProgramBuilder::new(vec![TensorType { kind, len: 1 }]).unwrap();
        let mut argument = builder.input(0);
        if negates {
            let function = UnaryFunction::Neg;
            argument = builder
                .push("neg", Op::Unary { function, argument })
                .unwrap();
        }
        let value = builder.push("f", Op::Unary { function, argument }).unwrap();
        let lookups = Lookups {
            node: "f".into(),
            forms: vec![Combination::of_constant(0.0)],
            distances: vec![None],
            functions: builder.finish(&[value]).unwrap(),
        };
        LinkFunction::of(vec![Some(0)], vec![0.0], lookups)
    }

    #[test]
    fn questions_move_before_what_rises_or_falls() {
        for (negates, sign) in [(false, 1.0), (true, -1.0)] {
            let sigmoid = link(UnaryFunction::Sigmoid, negates);
            let Side::Of { form, rises } = sigmoid.side(0, 0.25) else {
                panic!("the sigmoid is on both sides of a quarter");
            };
            assert_eq!(rises, !negates);
            assert!((form + sign * 3.0_f64.ln()).abs() < 1e-6, "{form}");
            for (threshold, above) in [(-0.5, true), (1.5, false)] {
                let Side::Always(holds) = sigmoid.side(0, threshold) else {
                    panic!("the sigmoid is between 0 and 1");
                };
                assert_eq!(holds, above);
            }
        }
        let even = link(UnaryFunction::Abs, false).side(0, 0.5);
        assert!(matches!(even, Side::Neither));
    }
}
