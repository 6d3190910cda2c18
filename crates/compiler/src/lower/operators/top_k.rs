//! Sorting and what comes with it: `TopK`, `CumSum`, `GatherElements`. A weighted median is made of
//! them.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use crate::read::onnx::tensor::Element;
use cipherfn_program::{BinaryFunction, Op, ReduceFunction, Tensor, ValueId};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("CumSum", 11, cumulative_sum),
    standard("GatherElements", 11, gather_elements),
    standard("TopK", 10, top_k),
];

/// An operand of rows along its last axis, as `[rows, len]`.
fn by_rows(emitter: &Emitter<'_>, operand: &Operand, axis: i64) -> Result<Operand, CompileError> {
    let rank = operand.shape.len();
    if emitter.axis(axis, rank)? + 1 != rank {
        let problem = format!("axis {axis} of shape {:?}", operand.shape);
        return Err(emitter.node.unsupported(problem, "the last axis"));
    }
    let len = operand.shape[rank - 1];
    let rows = operand.len() / len.max(1);
    Ok(reshaped(operand, vec![rows, len]))
}

/// The shape of an operand with another length of its last axis.
fn with_last(shape: &[usize], len: usize) -> Vec<usize> {
    let head = &shape[..shape.len() - 1];
    [head, &[len]].concat()
}

/// Entries by their places among those of their own row.
fn taken(
    emitter: &mut Emitter<'_>,
    data: &Operand,
    index: &Operand,
) -> Result<Operand, CompileError> {
    let (rows, len) = (data.shape[0], data.shape[1]);
    let mut places = index.clone();
    if rows > 1 {
        let first = (0..rows).map(|row| (row * len) as i64).collect();
        let first = emitter.vector(Tensor::I64(first))?;
        let first = reshaped(&first, vec![rows, 1]);
        places = emitter.binary(BinaryFunction::Add, index, &first)?;
    }
    emitter.pick(data, &places, 1, index.shape.clone())
}

/// Whether an operand follows from the cosines of the row and fixed points: products that are divided by
/// the row's length.
fn ranks_cosines(emitter: &Emitter<'_>, operand: &Operand) -> bool {
    let ir = &emitter.ir;
    let steps = ir.program.steps();
    let ancestors = |id: ValueId| {
        let ancestors = ir.ancestors([id]);
        let steps = steps.iter().enumerate();
        steps.filter(move |(index, _)| ancestors[ir.first_step() + index])
    };
    let is_length = |id: ValueId| {
        ancestors(id).any(|(_, step)| match &step.op {
            Op::Reduce { function, .. } => *function == ReduceFunction::SumSquare,
            _ => false,
        })
    };
    ancestors(operand.id).any(|(index, step)| match &step.op {
        Op::Binary {
            function: BinaryFunction::Div,
            right,
            ..
        } => {
            let own = ValueId((ir.first_step() + index) as u32);
            ir.program.tensor_type(own).len == operand.len() && is_length(*right)
        }
        _ => false,
    })
}

/// An entry's place is the number of entries that come before it: larger ones, and equal ones with a
/// lower index.
fn top_k(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let axis = emitter.node.int("axis", -1)?;
    let rows = by_rows(emitter, &data, axis)?;
    let (count, len) = (rows.shape[0], rows.shape[1]);
    let kept = match emitter.required_integers(1, "k")?.as_slice() {
        &[kept] => usize::try_from(kept).ok().filter(|kept| *kept <= len),
        _ => None,
    };
    let Some(kept) = kept else {
        return Err(emitter
            .node
            .invalid(format!("\"k\" is no number up to {len}")));
    };
    let takes_largest = emitter.node.int("largest", 1)? != 0;
    // Sorted by the client, they would show it how far the row is from each point of the training data.
    if emitter.follows_from_distances(&data) {
        if count != 1 {
            let problem = "it ranks distances of several rows";
            return Err(emitter.node.unsupported(problem, "those of one row"));
        }
        let [values, index] = emitter.nearest_points(&rows, kept, takes_largest)?;
        let shape = with_last(&data.shape, kept);
        return Ok(vec![
            reshaped(&values, shape.clone()),
            reshaped(&index, shape),
        ]);
    }
    if ranks_cosines(emitter, &data) {
        return Err(emitter.node.unsupported(
            "it ranks cosines of the row and fixed points (metric=\"cosine\"), each of which the client \
             would see",
            "the Euclidean metric; behind a Normalizer, which scales rows to length 1, it ranks as \
             cosines do",
        ));
    }
    let before = if takes_largest {
        BinaryFunction::Greater
    } else {
        BinaryFunction::Less
    };
    let own = reshaped(&rows, vec![count, len, 1]);
    let other = reshaped(&rows, vec![count, 1, len]);
    let comes_first = emitter.binary(before, &other, &own)?;
    let is_equal = emitter.binary(BinaryFunction::Equal, &other, &own)?;
    let lower = (0..len).flat_map(|own| (0..len).map(move |other| i64::from(other < own)));
    let lower = emitter.vector(Tensor::I64(lower.collect()))?;
    let lower = reshaped(&lower, vec![len, len]);
    let comes_first_of_equals = emitter.binary(BinaryFunction::And, &is_equal, &lower)?;
    let comes_first = emitter.binary(BinaryFunction::Or, &comes_first, &comes_first_of_equals)?;
    let comes_first = emitter.cast(&comes_first, Element::Int)?;
    let place = emitter.reduce(ReduceFunction::Sum, &comes_first, &[2], false)?;
    // The index of the entry at each place.
    let numbers = |end: usize| Tensor::I64((0..end as i64).collect());
    let places = emitter.vector(numbers(kept))?;
    let places = reshaped(&places, vec![kept, 1]);
    let is_there = emitter.binary(
        BinaryFunction::Equal,
        &reshaped(&place, vec![count, 1, len]),
        &places,
    )?;
    let is_there = emitter.cast(&is_there, Element::Int)?;
    let indices = emitter.vector(numbers(len))?;
    let there = emitter.binary(BinaryFunction::Mul, &is_there, &indices)?;
    let index = emitter.reduce(ReduceFunction::Sum, &there, &[2], false)?;
    let values = taken(emitter, &rows, &index)?;
    // One number is in order.
    if data.len() > 1 && emitter.constant_value(&data).is_none() {
        emitter.ir.notes.push(format!(
            "{}: the client sorts {} numbers: it sees each of them, and the client specs show what \
             becomes of them",
            emitter.node.name,
            data.len()
        ));
    }
    let shape = with_last(&data.shape, kept);
    Ok(vec![
        reshaped(&values, shape.clone()),
        reshaped(&index, shape),
    ])
}

fn cumulative_sum(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let &[axis] = emitter.required_integers(1, "axis")?.as_slice() else {
        return Err(emitter.node.invalid("\"axis\" is no number"));
    };
    let rows = by_rows(emitter, &data, axis)?;
    let len = rows.shape[1];
    let exclusive = emitter.node.int("exclusive", 0)? != 0;
    let reverse = emitter.node.int("reverse", 0)? != 0;
    let counts = |from: usize, to: usize| {
        let (first, second) = if reverse { (to, from) } else { (from, to) };
        f64::from(u8::from(first < second || (first == second && !exclusive)))
    };
    let factors = (0..len).flat_map(|to| (0..len).map(move |from| counts(from, to)));
    let factors = emitter.vector(Tensor::F64(factors.collect()))?;
    let factors = emitter.cast(&reshaped(&factors, vec![len, len]), data.element)?;
    let each = reshaped(&rows, vec![rows.shape[0], 1, len]);
    let parts = emitter.binary(BinaryFunction::Mul, &each, &factors)?;
    let sums = emitter.reduce(ReduceFunction::Sum, &parts, &[2], false)?;
    Ok(vec![reshaped(&sums, data.shape)])
}

fn gather_elements(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (data, index) = (emitter.input(0)?, emitter.input(1)?);
    let axis = emitter.node.int("axis", 0)?;
    let (rows, places) = (
        by_rows(emitter, &data, axis)?,
        by_rows(emitter, &index, axis)?,
    );
    if rows.shape[0] != places.shape[0] || data.shape.len() != index.shape.len() {
        let problem = format!(
            "places of shape {:?} in data of {:?}",
            index.shape, data.shape
        );
        return Err(emitter
            .node
            .unsupported(problem, "as many rows of places as of data"));
    }
    let places = emitter.cast(&places, Element::Int)?;
    let found = taken(emitter, &rows, &places)?;
    Ok(vec![reshaped(&found, index.shape)])
}
