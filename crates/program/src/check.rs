//! Types of values: every rule that a step must keep, so that running it can only fail on a row's
//! content.

use super::{
    BinaryFunction, EntryKind, MAX_LEN, MAX_WORK, Op, ProgramError, ProgramStep, Tensor,
    TensorType, UnaryFunction, ValueId,
};

/// What a program has spent of [`MAX_WORK`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    work: usize,
}

impl Budget {
    fn spend(&mut self, node: &str, work: Option<usize>) -> Result<(), ProgramError> {
        self.work = self.work.saturating_add(work.unwrap_or(usize::MAX));
        within(node, self.work, MAX_WORK)
    }
}

/// Types of all values of a program, inputs first.
pub(super) fn types(
    inputs: &[TensorType],
    steps: &[ProgramStep],
) -> Result<Vec<TensorType>, ProgramError> {
    let mut budget = Budget::default();
    let mut types = Vec::with_capacity(inputs.len() + steps.len());
    for input in inputs {
        within("input", input.len, MAX_LEN)?;
        budget.spend("input", Some(input.len))?;
        types.push(*input);
    }
    for step in steps {
        types.push(result_type(&step.node, &step.op, &types, &mut budget)?);
    }
    Ok(types)
}

/// Type of a step's result, given the types of the values before it.
pub(super) fn result_type(
    node: &str,
    op: &Op,
    types: &[TensorType],
    budget: &mut Budget,
) -> Result<TensorType, ProgramError> {
    let rules = Rules { node, types };
    let (result, work) = rules.apply(op)?;
    within(node, result.len, MAX_LEN)?;
    budget.spend(node, work.checked_add(result.len))?;
    Ok(result)
}

fn within(node: &str, amount: usize, limit: usize) -> Result<(), ProgramError> {
    if amount > limit {
        Err(ProgramError::TooLarge {
            node: node.to_owned(),
            amount,
            limit,
        })
    } else {
        Ok(())
    }
}

struct Rules<'a> {
    node: &'a str,
    types: &'a [TensorType],
}

impl Rules<'_> {
    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, ProgramError> {
        Err(ProgramError::invalid(self.node, problem))
    }

    fn of(&self, id: ValueId) -> Result<TensorType, ProgramError> {
        self.types
            .get(id.index())
            .copied()
            .ok_or_else(|| ProgramError::undefined(self.node, id))
    }

    fn number(&self, id: ValueId) -> Result<TensorType, ProgramError> {
        let found = self.of(id)?;
        if found.kind == EntryKind::Text {
            self.fail("takes numbers, not text")
        } else {
            Ok(found)
        }
    }

    fn float(&self, id: ValueId) -> Result<TensorType, ProgramError> {
        let found = self.of(id)?;
        if matches!(found.kind, EntryKind::F32 | EntryKind::F64) {
            Ok(found)
        } else {
            self.fail(format!("takes floats, not {found}"))
        }
    }

    fn integer(&self, id: ValueId) -> Result<TensorType, ProgramError> {
        let found = self.of(id)?;
        if found.kind == EntryKind::I64 {
            Ok(found)
        } else {
            self.fail(format!("takes integers, not {found}"))
        }
    }

    fn groups(&self, argument: TensorType, group: usize) -> Result<usize, ProgramError> {
        if group == 0 || !argument.len.is_multiple_of(group) {
            return self.fail(format!("{} entries are no groups of {group}", argument.len));
        }
        Ok(argument.len / group)
    }

    /// Result type, and work beyond one operation an entry of it.
    fn apply(&self, op: &Op) -> Result<(TensorType, usize), ProgramError> {
        let plain = |result| Ok((result, 0));
        match op {
            Op::Constant(value) => plain(value.tensor_type()),
            Op::Concat(parts) => plain(self.concat(parts)?),
            Op::Cast { source, kind } => plain(TensorType::new(*kind, self.cast(*source, *kind)?)),
            Op::Unary { function, argument } => plain(self.unary(*function, *argument)?),
            Op::Binary {
                function,
                left,
                right,
            } => plain(self.binary(*function, *left, *right)?),
            Op::Where { condition, yes, no } => {
                let (condition, yes, no) =
                    (self.integer(*condition)?, self.of(*yes)?, self.of(*no)?);
                if yes != no || condition.len != yes.len {
                    return self.fail(format!(
                        "chooses between {yes} and {no} by {} conditions",
                        condition.len
                    ));
                }
                plain(yes)
            }
            Op::MatMul {
                left,
                right,
                rows,
                inner,
                columns,
            } => {
                let (left, right) = (self.number(*left)?, self.number(*right)?);
                let fits = left.kind == right.kind
                    && rows.checked_mul(*inner) == Some(left.len)
                    && inner.checked_mul(*columns) == Some(right.len);
                if !fits {
                    return self.fail(format!(
                        "multiplies {left} and {right} as {rows} x {inner} and {inner} x {columns}"
                    ));
                }
                let len = rows.saturating_mul(*columns);
                Ok((
                    TensorType {
                        kind: left.kind,
                        len,
                    },
                    len.saturating_mul(*inner),
                ))
            }
            Op::Reduce {
                argument, group, ..
            } => {
                let argument = self.number(*argument)?;
                Ok((
                    TensorType::new(argument.kind, self.groups(argument, *group)?),
                    argument.len,
                ))
            }
            Op::ArgMax {
                argument, group, ..
            } => {
                let argument = self.number(*argument)?;
                Ok((
                    TensorType::new(EntryKind::I64, self.groups(argument, *group)?),
                    argument.len,
                ))
            }
            Op::Softmax {
                argument, group, ..
            }
            | Op::Normalize {
                argument, group, ..
            } => {
                let argument = self.float(*argument)?;
                self.groups(argument, *group)?;
                plain(argument)
            }
            Op::Select { .. }
            | Op::Pick { .. }
            | Op::Encode { .. }
            | Op::OneHot { .. }
            | Op::Narrow { .. } => self.look_up(op),
        }
    }

    /// Result type and work of an operation that looks entries up.
    fn look_up(&self, op: &Op) -> Result<(TensorType, usize), ProgramError> {
        match op {
            Op::Select { source, entries } => {
                let source = self.of(*source)?;
                if let Some(entry) = entries.iter().find(|&&entry| entry as usize >= source.len) {
                    return self.fail(format!("selects entry {entry} of {}", source.len));
                }
                Ok((TensorType::new(source.kind, entries.len()), 0))
            }
            Op::Pick {
                table,
                index,
                inner,
            } => {
                let (table, index) = (self.of(*table)?, self.integer(*index)?);
                self.groups(table, *inner)?;
                Ok((
                    TensorType::new(table.kind, index.len.saturating_mul(*inner)),
                    0,
                ))
            }
            Op::Encode {
                argument,
                keys,
                values,
                default,
            } => {
                let argument = self.of(*argument)?;
                let default_fits =
                    |default: &Tensor| default.len() == 1 && default.kind() == values.kind();
                if argument.kind != keys.kind()
                    || keys.len() != values.len()
                    || !default.as_ref().is_none_or(default_fits)
                {
                    return self.fail(format!(
                        "maps {argument} by {} keys and {} values",
                        keys.tensor_type(),
                        values.tensor_type()
                    ));
                }
                within(self.node, keys.len(), MAX_LEN)?;
                Ok((
                    TensorType::new(values.kind(), argument.len),
                    argument.len.saturating_mul(keys.len()),
                ))
            }
            Op::OneHot {
                argument,
                categories,
                ..
            } => {
                let argument = self.of(*argument)?;
                if argument.kind != categories.kind() {
                    return self.fail(format!(
                        "encodes {argument} with {} categories",
                        categories.tensor_type()
                    ));
                }
                Ok((
                    TensorType::new(
                        EntryKind::F32,
                        argument.len.saturating_mul(categories.len()),
                    ),
                    0,
                ))
            }
            Op::Narrow { argument, splits } => {
                let argument = self.float(*argument)?;
                let increasing = |splits: &Vec<f64>| {
                    splits.iter().all(|x| x.is_finite())
                        && splits.windows(2).all(|pair| pair[0] < pair[1])
                };
                if argument.kind != EntryKind::F64
                    || splits.len() != argument.len
                    || !splits.iter().all(increasing)
                {
                    return self.fail(
                        "takes 64-bit floats and increasing finite split points of each entry",
                    );
                }
                Ok((
                    TensorType::new(EntryKind::F32, argument.len),
                    splits.iter().map(Vec::len).sum(),
                ))
            }
            _ => self.fail("looks nothing up"),
        }
    }

    fn concat(&self, parts: &[ValueId]) -> Result<TensorType, ProgramError> {
        let types = parts
            .iter()
            .map(|&id| self.of(id))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(first) = types.first() else {
            return self.fail("joins no values");
        };
        if types.iter().any(|part| part.kind != first.kind) {
            return self.fail("joins values of different kinds");
        }
        Ok(TensorType::new(
            first.kind,
            types
                .iter()
                .fold(0, |sum, part| sum.saturating_add(part.len)),
        ))
    }

    fn cast(&self, source: ValueId, kind: EntryKind) -> Result<usize, ProgramError> {
        let source = self.of(source)?;
        if kind == EntryKind::Text && matches!(source.kind, EntryKind::F32 | EntryKind::F64) {
            return self.fail("floats cannot be converted to text");
        }
        Ok(source.len)
    }

    fn unary(
        &self,
        function: UnaryFunction,
        argument: ValueId,
    ) -> Result<TensorType, ProgramError> {
        use UnaryFunction::{Abs, IsInf, IsNan, Neg, Not, Sign};
        Ok(match function {
            Not => self.integer(argument)?,
            IsNan | IsInf => TensorType::new(EntryKind::I64, self.float(argument)?.len),
            Abs | Neg | Sign => self.number(argument)?,
            _ => self.float(argument)?,
        })
    }

    fn binary(
        &self,
        function: BinaryFunction,
        left: ValueId,
        right: ValueId,
    ) -> Result<TensorType, ProgramError> {
        use BinaryFunction::{
            And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, Or, Xor,
        };
        let (left, right) = match function {
            Equal | NotEqual => (self.of(left)?, self.of(right)?),
            And | Or | Xor => (self.integer(left)?, self.integer(right)?),
            _ => (self.number(left)?, self.number(right)?),
        };
        if left.kind != right.kind || (left.len != right.len && left.len != 1 && right.len != 1) {
            return self.fail(format!("combines {left} with {right}"));
        }
        let len = if left.len == 1 { right.len } else { left.len };
        let predicate = matches!(
            function,
            Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual | And | Or | Xor
        );
        Ok(TensorType {
            kind: if predicate { EntryKind::I64 } else { left.kind },
            len,
        })
    }
}
