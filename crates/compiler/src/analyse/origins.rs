//! Which input each feature comes from.

use cipherfn_program::{Op, RowProgram};

/// What an entry depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Nothing,
    One(u32),
    Several,
}

impl Origin {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, own) | (own, Self::Nothing) => own,
            (left, right) if left == right => left,
            _ => Self::Several,
        }
    }

    fn all(origins: impl IntoIterator<Item = Self>) -> Self {
        origins.into_iter().fold(Self::Nothing, Self::and)
    }
}

/// For each entry of the program's first output, the one input entry (counted over all inputs) that
/// it depends on.
pub(crate) fn of(program: &RowProgram) -> Vec<Option<u32>> {
    let mut values: Vec<Vec<Origin>> = Vec::new();
    let mut next = 0;
    for input in program.inputs() {
        values.push((next..next + input.len as u32).map(Origin::One).collect());
        next += input.len as u32;
    }
    for step in program.steps() {
        let value = step_origins(&step.op, &values);
        values.push(value);
    }
    let output = program
        .output_ids()
        .first()
        .map_or(&[][..], |id| &values[id.index()]);
    output
        .iter()
        .map(|origin| {
            if let Origin::One(input) = origin {
                Some(*input)
            } else {
                None
            }
        })
        .collect()
}

fn step_origins(op: &Op, values: &[Vec<Origin>]) -> Vec<Origin> {
    let entries = |id: &cipherfn_program::ValueId| &values[id.index()];
    let groups = |id, group: usize| {
        entries(id)
            .chunks(group.max(1))
            .map(|group| Origin::all(group.iter().copied()))
            .collect::<Vec<_>>()
    };
    match op {
        Op::Constant(value) => vec![Origin::Nothing; value.len()],
        Op::Concat(parts) => parts
            .iter()
            .flat_map(|part| entries(part).clone())
            .collect(),
        Op::Select {
            source,
            entries: places,
        } => places
            .iter()
            .map(|&place| entries(source)[place as usize])
            .collect(),
        Op::Pick {
            table,
            index,
            inner,
        } => {
            let table = Origin::all(entries(table).iter().copied());
            entries(index)
                .iter()
                .flat_map(|&index| std::iter::repeat_n(table.and(index), *inner))
                .collect()
        }
        Op::Cast {
            source: argument, ..
        }
        | Op::Unary { argument, .. }
        | Op::Encode { argument, .. }
        | Op::Narrow { argument, .. } => entries(argument).clone(),
        Op::OneHot {
            argument,
            categories,
            ..
        } => entries(argument)
            .iter()
            .flat_map(|&origin| std::iter::repeat_n(origin, categories.len()))
            .collect(),
        Op::Binary { left, right, .. } => {
            let (left, right) = (entries(left), entries(right));
            let len = if left.len() == 1 {
                right.len()
            } else {
                left.len()
            };
            left.iter()
                .cycle()
                .zip(right.iter().cycle())
                .take(len)
                .map(|(l, r)| l.and(*r))
                .collect()
        }
        Op::Where { condition, yes, no } => entries(condition)
            .iter()
            .zip(entries(yes))
            .zip(entries(no))
            .map(|((c, y), n)| c.and(*y).and(*n))
            .collect(),
        Op::MatMul {
            left,
            right,
            rows,
            columns,
            ..
        } => {
            let all = Origin::all(entries(left).iter().chain(entries(right)).copied());
            vec![all; rows * columns]
        }
        Op::Reduce {
            argument, group, ..
        }
        | Op::ArgMax {
            argument, group, ..
        } => groups(argument, *group),
        Op::Softmax {
            argument, group, ..
        }
        | Op::Normalize {
            argument, group, ..
        } => groups(argument, *group)
            .into_iter()
            .flat_map(|origin| std::iter::repeat_n(origin, *group))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use cipherfn_program::{BinaryFunction, EntryKind, Op, ProgramBuilder, Tensor, TensorType};

    #[test]
    fn features_of_one_input_name_it() {
        let inputs = vec![
            TensorType {
                kind: EntryKind::F32,
                len: 2,
            };
            2
        ];
        let mut builder = ProgramBuilder::new(inputs).unwrap();
        let (first, second) = (builder.input(0), builder.input(1));
        let constant = builder.constant("node", Tensor::F32(vec![2.0])).unwrap();
        let binary = |left, right| Op::Binary {
            function: BinaryFunction::Mul,
            left,
            right,
        };
        let scaled = builder.push("node", binary(second, constant)).unwrap();
        let mixed = builder.push("node", binary(first, second)).unwrap();
        let parts = vec![scaled, mixed, constant];
        let vector = builder.push("node", Op::Concat(parts)).unwrap();
        let program = builder.finish(&[vector]).unwrap();
        assert_eq!(of(&program), [Some(2), Some(3), None, None, None]);
    }
}
