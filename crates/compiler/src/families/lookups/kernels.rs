//! Kernels that fall off before rows can be told from their points.
//!
//! A function of a squared distance is one number at its point. How near a row may be for the function
//! to be another one there is bounded twice: by the 32 bits in which the client sends the squared norm,
//! beside which the distance is what two large numbers leave, and by the steps of its table, a
//! two-thousandth of the range that the calibration rows have. A kernel of a much shorter length gives
//! what rounding decides. Calibration rows that are far away from all points do not show it.

use super::curve::Curve;
use super::fidelity::range;
use super::rows::MAX_ROWS;
use crate::error::CompileError;
use crate::model::reference::functions_of;
use crate::model::{LinearForm, LookupModel, Model, PointDistance};
use cipherfn_program::Tensor;

/// Part of a score's range by which a kernel may fall off where nothing tells rows from its point.
const MOST_FALL: f64 = 0.25;
/// What rounding to 32 bits adds to a number, in parts of it.
const ROUNDED: f64 = 1.0 / (1_u64 << 24) as f64;

/// Refuses kernels that 32-bit features cannot tell from steps; `rows` are the inputs of the model's
/// pre-processing. Such a model is another one than the library's before it is compiled.
pub(super) fn check_rounding(
    own: &LookupModel,
    model: &Model,
    rows: &[Vec<Tensor>],
) -> Result<(), CompileError> {
    if own.distances.iter().all(Option::is_none) {
        return Ok(());
    }
    let rows = rows.iter().take(MAX_ROWS);
    let rows = rows.filter_map(|row| model.features_of(row.clone()).ok());
    let is_finite = |row: &Vec<f32>| row.iter().all(|value| value.is_finite());
    let rows: Vec<Vec<f32>> = rows.filter(is_finite).collect();
    let scores: Vec<Vec<f64>> = rows.iter().map(|row| own.raw_scores(row)).collect();
    check(own, &scores, |unit, _| {
        let sizes = rows.iter().map(|row| size(&own.forms[unit], row));
        Some(ROUNDED * sizes.fold(0.0, f64::max))
    })
}

/// Refuses kernels that their tables cannot tell from steps; `scores` are those of the calibration rows.
pub(super) fn check_tables(
    model: &LookupModel,
    curves: &[Curve],
    scores: &[Vec<f64>],
) -> Result<(), CompileError> {
    check(model, scores, |unit, distance| {
        let curve = &curves[unit];
        (!curve.is_line() && curve.reaches(distance.zero)).then_some(curve.step)
    })
}

/// The largest term of a form.
fn size(form: &LinearForm, row: &[f32]) -> f64 {
    let terms = form.weights.iter();
    let terms = terms.map(|(feature, weight)| (weight * f64::from(row[*feature as usize])).abs());
    terms.fold(0.0, f64::max)
}

/// Refuses functions of distances that fall off within what `undecided` gives of their forms.
fn check(
    model: &LookupModel,
    scores: &[Vec<f64>],
    undecided: impl Fn(usize, PointDistance) -> Option<f64>,
) -> Result<(), CompileError> {
    let distances = model.distances.iter().enumerate();
    let places: Vec<Option<(PointDistance, f64)>> = distances
        .map(|(unit, distance)| Some(((*distance)?, undecided(unit, (*distance)?)?)))
        .collect();
    if places.iter().all(Option::is_none) {
        return Ok(());
    }
    let values = |away: f64| {
        let form = |place: &Option<(PointDistance, f64)>| {
            place.map_or(0.0, |(own, step)| {
                own.zero + away * step.copysign(own.factor)
            })
        };
        functions_of(&model.functions, places.iter().map(form).collect())
    };
    let (at, away) = (values(0.0), values(1.0));
    for (score, weights) in model.weights.iter().enumerate() {
        let range = range(scores, score);
        for (unit, (weight, place)) in weights.iter().zip(&places).enumerate() {
            let fall = (weight * (at[unit] - away[unit])).abs();
            if let Some((distance, step)) = place
                && fall > MOST_FALL * range
            {
                return Err(CompileError::NarrowKernel {
                    node: model.node().to_owned(),
                    distance: (step / distance.factor).abs().sqrt(),
                    fall,
                    range,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::curve::{Curve, Functions};
    use super::check_tables;
    use crate::error::CompileError;
    use crate::model::{LinearForm, LookupModel, PointDistance};
    use cipherfn_program::{
        BinaryFunction, EntryKind, Op, ProgramBuilder, Tensor, TensorType, UnaryFunction,
    };

    /// `exp(-steepness d)`, with d the only feature, from 0 to 10 over the calibration rows.
    fn checked(steepness: f64) -> Result<(), CompileError> {
        let kind = EntryKind::F64;
        let mut builder = ProgramBuilder::new(vec![TensorType { kind, len: 1 }]).unwrap();
        let right = builder.constant("kernel", Tensor::F64(vec![-steepness]));
        let exponent = Op::Binary {
            function: BinaryFunction::Mul,
            left: builder.input(0),
            right: right.unwrap(),
        };
        let argument = builder.push("kernel", exponent).unwrap();
        let function = UnaryFunction::Exp;
        let value = builder.push("kernel", Op::Unary { function, argument });
        let model = LookupModel {
            nodes: vec!["kernel".into()],
            forms: vec![LinearForm {
                weights: vec![(0, 1.0)],
                bias: 0.0,
            }],
            distances: vec![Some(PointDistance {
                zero: 0.0,
                factor: 1.0,
            })],
            functions: builder.finish(&[value.unwrap()]).unwrap(),
            weights: vec![vec![2.0]],
            bias: vec![0.0],
        };
        let functions = Functions {
            node: "kernel",
            program: &model.functions,
        };
        let forms = [vec![0.0], vec![10.0]];
        let curves = Curve::of(functions, &forms, &[(0.0, 10.5)], 2048)?;
        check_tables(&model, &curves, &[vec![0.0], vec![2.0]])
    }

    #[test]
    fn kernels_that_fall_off_within_an_entry_are_refused() {
        // An entry is for some 0.005.
        checked(1.0).unwrap();
        checked(20.0).unwrap();
        let error = checked(1e3).unwrap_err();
        assert!(
            matches!(error, CompileError::NarrowKernel { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("node \"kernel\""), "{error}");
    }
}
