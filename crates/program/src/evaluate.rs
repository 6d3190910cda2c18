//! Running a row program.

use super::functions::{self, Number};
use super::{EntryKind, Op, ProgramError, ProgramParts, ReduceFunction, Tensor};
use std::borrow::Cow;

/// Runs checked parts on one row.
pub(super) fn run(parts: &ProgramParts, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, ProgramError> {
    if inputs.len() != parts.inputs.len() {
        return Err(ProgramError::InputCount {
            expected: parts.inputs.len(),
            found: inputs.len(),
        });
    }
    for (index, (input, &expected)) in inputs.iter().zip(&parts.inputs).enumerate() {
        if input.tensor_type() != expected {
            return Err(ProgramError::InputType {
                index,
                expected,
                found: input.tensor_type(),
            });
        }
    }
    let mut values: Vec<Cow<'_, Tensor>> = Vec::with_capacity(inputs.len() + parts.steps.len());
    values.extend(inputs.into_iter().map(Cow::Owned));
    for step in &parts.steps {
        let value = match &step.op {
            Op::Constant(value) => Cow::Borrowed(value),
            op => {
                let arguments: Vec<&Tensor> = op
                    .arguments()
                    .iter()
                    .map(|id| values[id.index()].as_ref())
                    .collect();
                Cow::Owned(apply(&step.node, op, &arguments)?)
            }
        };
        values.push(value);
    }
    Ok(parts
        .outputs
        .iter()
        .map(|id| values[id.index()].clone().into_owned())
        .collect())
}

/// Carries out one operation on arguments of the kinds and lengths that it takes.
///
/// # Errors
/// What only a row's content shows: a division of integers by zero, an unknown entry.
pub fn apply(node: &str, op: &Op, arguments: &[&Tensor]) -> Result<Tensor, ProgramError> {
    Ok(match (op, arguments) {
        (Op::Constant(value), _) => value.clone(),
        (Op::Concat(_), parts) => concat(parts),
        (Op::Select { entries, .. }, [source]) => select(source, entries),
        (Op::Pick { inner, .. }, [table, Tensor::I64(index)]) => pick(node, table, index, *inner)?,
        (Op::Cast { kind, .. }, [source]) => cast(node, source, *kind)?,
        (Op::Unary { function, .. }, [argument]) => functions::unary(*function, argument),
        (Op::Binary { function, .. }, [left, right]) => functions::binary(*function, left, right)
            .ok_or_else(|| {
            ProgramError::DivisionByZero {
                node: node.to_owned(),
            }
        })?,
        (Op::Where { .. }, [Tensor::I64(condition), yes, no]) => choose(condition, yes, no),
        (Op::MatMul { inner, columns, .. }, [left, right]) => {
            mat_mul(left, right, *inner, *columns)
        }
        (
            Op::Reduce {
                function, group, ..
            },
            [argument],
        ) => reduce(*function, argument, *group),
        (Op::ArgMax { group, last, .. }, [argument]) => arg_max(argument, *group, *last),
        (Op::Softmax { variant, group, .. }, [argument]) => {
            functions::softmax(*variant, argument, *group)
        }
        (Op::Normalize { norm, group, .. }, [argument]) => {
            functions::normalize(*norm, argument, *group)
        }
        (
            Op::Encode {
                keys,
                values,
                default,
                ..
            },
            [argument],
        ) => encode(node, argument, keys, values, default.as_ref())?,
        (
            Op::OneHot {
                categories,
                unknown,
                ..
            },
            [argument],
        ) => one_hot(node, argument, categories, *unknown)?,
        (Op::Narrow { splits, .. }, [Tensor::F64(argument)]) => Tensor::F32(
            argument
                .iter()
                .zip(splits)
                .map(|(&x, splits)| narrow(x, splits))
                .collect(),
        ),
        _ => {
            return Err(ProgramError::invalid(
                node,
                "its arguments do not fit its operation",
            ));
        }
    })
}

/// Applies an expression to the entries of a tensor of any kind and wraps the result in the same
/// kind.
macro_rules! each_kind {
    ($tensor:expr, $entries:ident => $result:expr) => {
        match $tensor {
            Tensor::F32($entries) => Tensor::F32($result),
            Tensor::F64($entries) => Tensor::F64($result),
            Tensor::I64($entries) => Tensor::I64($result),
            Tensor::Text($entries) => Tensor::Text($result),
        }
    };
}

fn concat(parts: &[&Tensor]) -> Tensor {
    let mut result = match parts.first() {
        Some(first) => (*first).clone(),
        None => Tensor::F32(Vec::new()),
    };
    for part in parts.iter().skip(1) {
        match (&mut result, part) {
            (Tensor::F32(all), Tensor::F32(more)) => all.extend_from_slice(more),
            (Tensor::F64(all), Tensor::F64(more)) => all.extend_from_slice(more),
            (Tensor::I64(all), Tensor::I64(more)) => all.extend_from_slice(more),
            (Tensor::Text(all), Tensor::Text(more)) => all.extend_from_slice(more),
            _ => {}
        }
    }
    result
}

fn select(source: &Tensor, entries: &[u32]) -> Tensor {
    fn pick<T: Clone>(all: &[T], entries: &[u32]) -> Vec<T> {
        entries
            .iter()
            .map(|&entry| all[entry as usize].clone())
            .collect()
    }
    each_kind!(source, all => pick(all, entries))
}

fn pick(node: &str, table: &Tensor, index: &[i64], inner: usize) -> Result<Tensor, ProgramError> {
    let blocks = table.len() / inner;
    let starts = index
        .iter()
        .map(|&k| {
            let block = usize::try_from(if k < 0 {
                k.saturating_add(blocks as i64)
            } else {
                k
            })
            .ok();
            let outside = || ProgramError::IndexOutOfRange {
                node: node.to_owned(),
                index: k,
                blocks,
            };
            block
                .filter(|&block| block < blocks)
                .map(|block| block * inner)
                .ok_or_else(outside)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(each_kind!(table, all => blocks_at(all, &starts, inner)))
}

fn blocks_at<T: Clone>(all: &[T], starts: &[usize], len: usize) -> Vec<T> {
    starts
        .iter()
        .flat_map(|&start| all[start..start + len].to_vec())
        .collect()
}

fn choose(condition: &[i64], yes: &Tensor, no: &Tensor) -> Tensor {
    fn entries<T: Clone>(condition: &[i64], yes: &[T], no: &[T]) -> Vec<T> {
        condition
            .iter()
            .zip(yes.iter().zip(no))
            .map(|(&c, (yes, no))| if c == 0 { no.clone() } else { yes.clone() })
            .collect()
    }
    match (yes, no) {
        (Tensor::F32(yes), Tensor::F32(no)) => Tensor::F32(entries(condition, yes, no)),
        (Tensor::F64(yes), Tensor::F64(no)) => Tensor::F64(entries(condition, yes, no)),
        (Tensor::I64(yes), Tensor::I64(no)) => Tensor::I64(entries(condition, yes, no)),
        (Tensor::Text(yes), Tensor::Text(no)) => Tensor::Text(entries(condition, yes, no)),
        _ => yes.clone(),
    }
}

fn cast(node: &str, source: &Tensor, kind: EntryKind) -> Result<Tensor, ProgramError> {
    let unparsable = |text: &String| ProgramError::Unparsable {
        node: node.to_owned(),
        value: text.clone(),
        kind,
    };
    Ok(match (source, kind) {
        (Tensor::F32(all), EntryKind::F64) => {
            Tensor::F64(all.iter().map(|&x| f64::from(x)).collect())
        }
        (Tensor::F32(all), EntryKind::I64) => Tensor::I64(all.iter().map(|&x| x as i64).collect()),
        (Tensor::F64(all), EntryKind::F32) => Tensor::F32(all.iter().map(|&x| x as f32).collect()),
        (Tensor::F64(all), EntryKind::I64) => Tensor::I64(all.iter().map(|&x| x as i64).collect()),
        (Tensor::I64(all), EntryKind::F32) => Tensor::F32(all.iter().map(|&x| x as f32).collect()),
        (Tensor::I64(all), EntryKind::F64) => Tensor::F64(all.iter().map(|&x| x as f64).collect()),
        (Tensor::I64(_), EntryKind::Text) => Tensor::Text(source.to_texts()),
        (Tensor::Text(all), EntryKind::F32) => Tensor::F32(
            all.iter()
                .map(|text| text.trim().parse().map_err(|_| unparsable(text)))
                .collect::<Result<_, _>>()?,
        ),
        (Tensor::Text(all), EntryKind::F64) => Tensor::F64(
            all.iter()
                .map(|text| text.trim().parse().map_err(|_| unparsable(text)))
                .collect::<Result<_, _>>()?,
        ),
        (Tensor::Text(all), EntryKind::I64) => Tensor::I64(
            all.iter()
                .map(|text| text.trim().parse().map_err(|_| unparsable(text)))
                .collect::<Result<_, _>>()?,
        ),
        _ => source.clone(),
    })
}

fn mat_mul(left: &Tensor, right: &Tensor, inner: usize, columns: usize) -> Tensor {
    fn product<T: Number>(left: &[T], right: &[T], inner: usize, columns: usize) -> Vec<T> {
        let rows = left.len().checked_div(inner).unwrap_or(0);
        let mut result = vec![T::ZERO; rows * columns];
        for (row, out) in result.chunks_mut(columns.max(1)).enumerate() {
            for k in 0..inner {
                let x = left[row * inner + k];
                out.iter_mut()
                    .zip(&right[k * columns..])
                    .for_each(|(sum, &y)| *sum = sum.add(x.mul(y)));
            }
        }
        result
    }
    match (left, right) {
        (Tensor::F32(left), Tensor::F32(right)) => {
            Tensor::F32(product(left, right, inner, columns))
        }
        (Tensor::F64(left), Tensor::F64(right)) => {
            Tensor::F64(product(left, right, inner, columns))
        }
        (Tensor::I64(left), Tensor::I64(right)) => {
            Tensor::I64(product(left, right, inner, columns))
        }
        _ => left.clone(),
    }
}

fn reduce(function: ReduceFunction, argument: &Tensor, group: usize) -> Tensor {
    match argument {
        Tensor::F32(all) => Tensor::F32(
            all.chunks(group)
                .map(|group| functions::reduce(function, group))
                .collect(),
        ),
        Tensor::F64(all) => Tensor::F64(
            all.chunks(group)
                .map(|group| functions::reduce(function, group))
                .collect(),
        ),
        Tensor::I64(all) => Tensor::I64(
            all.chunks(group)
                .map(|group| functions::reduce(function, group))
                .collect(),
        ),
        Tensor::Text(_) => argument.clone(),
    }
}

fn arg_max(argument: &Tensor, group: usize, last: bool) -> Tensor {
    fn place<T: PartialOrd>(group: &[T], last: bool) -> i64 {
        let better = |x: &T, best: &T| if last { x >= best } else { x > best };
        group.iter().enumerate().fold(
            0,
            |best, (place, x)| if better(x, &group[best]) { place } else { best },
        ) as i64
    }
    match argument {
        Tensor::F32(all) => {
            Tensor::I64(all.chunks(group).map(|group| place(group, last)).collect())
        }
        Tensor::F64(all) => {
            Tensor::I64(all.chunks(group).map(|group| place(group, last)).collect())
        }
        Tensor::I64(all) => {
            Tensor::I64(all.chunks(group).map(|group| place(group, last)).collect())
        }
        Tensor::Text(_) => Tensor::I64(Vec::new()),
    }
}

/// For each entry, its first place among `keys`.
fn places(argument: &Tensor, keys: &Tensor) -> Vec<Option<usize>> {
    #[expect(clippy::float_cmp, reason = "keys are looked up exactly")]
    fn same_f32(x: f32, y: f32) -> bool {
        x == y || (x.is_nan() && y.is_nan())
    }
    #[expect(clippy::float_cmp, reason = "keys are looked up exactly")]
    fn same_f64(x: f64, y: f64) -> bool {
        x == y || (x.is_nan() && y.is_nan())
    }
    match (argument, keys) {
        (Tensor::F32(all), Tensor::F32(keys)) => all
            .iter()
            .map(|&x| keys.iter().position(|&key| same_f32(x, key)))
            .collect(),
        (Tensor::F64(all), Tensor::F64(keys)) => all
            .iter()
            .map(|&x| keys.iter().position(|&key| same_f64(x, key)))
            .collect(),
        (Tensor::I64(all), Tensor::I64(keys)) => all
            .iter()
            .map(|x| keys.iter().position(|key| key == x))
            .collect(),
        (Tensor::Text(all), Tensor::Text(keys)) => all
            .iter()
            .map(|x| keys.iter().position(|key| key == x))
            .collect(),
        _ => vec![None; argument.len()],
    }
}

fn unknown(node: &str, argument: &Tensor, place: usize, known: &Tensor) -> ProgramError {
    const SHOWN: usize = 8;
    let mut names = known.to_texts();
    let more = names.len() > SHOWN;
    names.truncate(SHOWN);
    ProgramError::UnknownValue {
        node: node.to_owned(),
        value: argument.to_texts().swap_remove(place),
        known: names.join(", ") + if more { ", ..." } else { "" },
    }
}

fn encode(
    node: &str,
    argument: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    default: Option<&Tensor>,
) -> Result<Tensor, ProgramError> {
    let table = default.map_or_else(|| values.clone(), |default| concat(&[values, default]));
    let entries = places(argument, keys)
        .into_iter()
        .enumerate()
        .map(|(at, place)| match place {
            Some(place) => Ok(place as u32),
            None if default.is_some() => Ok(values.len() as u32),
            None => Err(unknown(node, argument, at, keys)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(select(&table, &entries))
}

fn one_hot(
    node: &str,
    argument: &Tensor,
    categories: &Tensor,
    allow_unknown: bool,
) -> Result<Tensor, ProgramError> {
    let width = categories.len();
    let mut result = vec![0.0; argument.len() * width];
    for (at, place) in places(argument, categories).into_iter().enumerate() {
        match place {
            Some(place) => result[at * width + place] = 1.0,
            None if allow_unknown => {}
            None => return Err(unknown(node, argument, at, categories)),
        }
    }
    Ok(Tensor::F32(result))
}

/// The 32-bit float nearest to `x` on the right side of the split points around it.
fn narrow(x: f64, splits: &[f64]) -> f32 {
    let nearest = x as f32;
    let below = splits.partition_point(|&split| split < x);
    let exceeded = below
        .checked_sub(1)
        .map(|at| functions::round_down(splits[at]));
    let not_exceeded = splits.get(below).map(|&split| functions::round_down(split));
    match (exceeded, not_exceeded) {
        _ if x.is_nan() => f32::NAN,
        (_, Some(bound)) if nearest > bound => bound,
        (Some(bound), _) if nearest <= bound => bound.next_up(),
        _ => nearest,
    }
}
