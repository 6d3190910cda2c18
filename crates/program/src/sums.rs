//! What a program does to a row's entries, where that is sums of them: followed in 64-bit numbers, as
//! differences of 32-bit results would lose the weight of a column that is large before it is centred.

use crate::{
    BinaryFunction, EntryKind, Op, ProgramStep, ReduceFunction, RowProgram, UnaryFunction, ValueId,
};
use std::collections::BTreeMap;

/// Most terms that are added up and copied: specs come from others.
const MAX_TERMS: usize = 1 << 22;

/// `constant + sum of weight * entry`, over entries of the inputs, which are numbered one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntrySum {
    /// The constant.
    pub constant: f64,
    /// Weights by entry; what is not there has none.
    pub terms: BTreeMap<usize, f64>,
}

/// Why what a program gives is no sum of entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntrySumError {
    /// A column of texts.
    #[error("a column of texts has no weight")]
    Texts,
    /// A step that does something else, or takes more terms than are added up.
    #[error("node {node:?}, before its linear part, gives no sums of columns")]
    Node {
        /// ONNX node of the step.
        node: String,
    },
    /// Several outputs, or none.
    #[error("its features are several values")]
    Outputs,
}

impl RowProgram {
    /// What the entries of the only output are of those of the inputs.
    ///
    /// # Errors
    /// A step whose result is no sum of entries.
    pub fn entry_sums(&self) -> Result<Vec<EntrySum>, EntrySumError> {
        let mut next = 0;
        let mut values: Vec<Vec<EntrySum>> = Vec::new();
        for input in self.inputs() {
            if input.kind == EntryKind::Text {
                return Err(EntrySumError::Texts);
            }
            values.push((next..next + input.len).map(EntrySum::entry).collect());
            next += input.len;
        }
        let mut work = 0;
        for step in self.steps() {
            let value = result(step, &values, &mut work).ok_or_else(|| EntrySumError::Node {
                node: step.node.clone(),
            })?;
            values.push(value);
        }
        let [output] = self.output_ids() else {
            return Err(EntrySumError::Outputs);
        };
        Ok(values.swap_remove(output.index()))
    }
}

impl EntrySum {
    /// A constant.
    pub const fn constant(constant: f64) -> Self {
        Self {
            constant,
            terms: BTreeMap::new(),
        }
    }

    fn entry(entry: usize) -> Self {
        Self {
            constant: 0.0,
            terms: BTreeMap::from([(entry, 1.0)]),
        }
    }

    /// Adds `factor` times another one.
    pub fn add(&mut self, other: &Self, factor: f64) {
        self.constant += factor * other.constant;
        for (entry, weight) in &other.terms {
            *self.terms.entry(*entry).or_default() += factor * weight;
        }
    }

    fn scaled(&self, factor: f64) -> Self {
        let mut scaled = Self::default();
        scaled.add(self, factor);
        scaled
    }

    fn as_constant(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }
}

/// What a step gives; `None` where that is no sum of entries, or takes too much work.
fn result(step: &ProgramStep, values: &[Vec<EntrySum>], work: &mut usize) -> Option<Vec<EntrySum>> {
    let value = |id: &ValueId| &values[id.index()];
    let mut charge = |forms: usize| {
        *work += forms;
        (*work <= MAX_TERMS).then_some(())
    };
    match &step.op {
        Op::Constant(tensor) => {
            let numbers = tensor.to_f64()?;
            charge(numbers.len())?;
            Some(numbers.into_iter().map(EntrySum::constant).collect())
        }
        Op::Concat(parts) => {
            let parts = parts.iter().flat_map(value);
            parts
                .map(|own| charge(1 + own.terms.len()).map(|()| own.clone()))
                .collect()
        }
        Op::Select { source, entries } => {
            let source = value(source);
            let entries = entries.iter();
            entries
                .map(|entry| {
                    let own = source.get(*entry as usize)?;
                    charge(1 + own.terms.len())?;
                    Some(own.clone())
                })
                .collect()
        }
        // Whole numbers stay what they are in floats; floats do not in whole numbers.
        Op::Cast { source, kind } => {
            matches!(kind, EntryKind::F32 | EntryKind::F64).then(|| value(source).clone())
        }
        Op::Unary {
            function: UnaryFunction::Neg,
            argument,
        } => Some(value(argument).iter().map(|own| own.scaled(-1.0)).collect()),
        Op::Binary {
            function,
            left,
            right,
        } => {
            let (left, right) = (value(left), value(right));
            let len = left.len().max(right.len());
            let pairs = left.iter().cycle().zip(right.iter().cycle()).take(len);
            pairs
                .map(|(left, right)| {
                    charge(1 + left.terms.len() + right.terms.len())?;
                    binary(*function, left, right)
                })
                .collect()
        }
        Op::MatMul {
            left,
            right,
            rows,
            inner,
            columns,
        } => {
            let (left, right) = (value(left), value(right));
            let mut product = Vec::with_capacity(rows * columns);
            for row in 0..*rows {
                for column in 0..*columns {
                    let mut sum = EntrySum::default();
                    for at in 0..*inner {
                        let (a, b) = (&left[row * inner + at], &right[at * columns + column]);
                        charge(1 + a.terms.len() + b.terms.len())?;
                        sum.add(&binary(BinaryFunction::Mul, a, b)?, 1.0);
                    }
                    product.push(sum);
                }
            }
            Some(product)
        }
        Op::Reduce {
            function,
            argument,
            group,
        } => {
            let factor = match function {
                ReduceFunction::Sum => 1.0,
                ReduceFunction::Mean => 1.0 / *group as f64,
                _ => return None,
            };
            let groups = value(argument).chunks((*group).max(1));
            groups
                .map(|group| {
                    let mut sum = EntrySum::default();
                    for own in group {
                        charge(1 + own.terms.len())?;
                        sum.add(own, factor);
                    }
                    Some(sum)
                })
                .collect()
        }
        _ => None,
    }
}

/// Sums, and products with constants.
fn binary(function: BinaryFunction, left: &EntrySum, right: &EntrySum) -> Option<EntrySum> {
    let sum = |factor: f64| {
        let mut sum = left.clone();
        sum.add(right, factor);
        sum
    };
    match function {
        BinaryFunction::Add => Some(sum(1.0)),
        BinaryFunction::Sub => Some(sum(-1.0)),
        BinaryFunction::Mul => match (left.as_constant(), right.as_constant()) {
            (Some(factor), _) => Some(right.scaled(factor)),
            (_, Some(factor)) => Some(left.scaled(factor)),
            _ => None,
        },
        BinaryFunction::Div => right
            .as_constant()
            .map(|divisor| left.scaled(1.0 / divisor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProgramBuilder, Tensor, TensorType};

    #[test]
    fn steps_that_add_and_multiply_are_followed() {
        let mut builder = ProgramBuilder::new(vec![TensorType {
            kind: EntryKind::F32,
            len: 2,
        }])
        .unwrap();
        let mean = builder
            .constant("scaler", Tensor::F32(vec![1e8, 2.0]))
            .unwrap();
        let centred = Op::Binary {
            function: BinaryFunction::Sub,
            left: builder.input(0),
            right: mean,
        };
        let centred = builder.push("scaler", centred).unwrap();
        let scale = builder
            .constant("scaler", Tensor::F32(vec![0.5, 4.0]))
            .unwrap();
        let scaled = Op::Binary {
            function: BinaryFunction::Mul,
            left: centred,
            right: scale,
        };
        let scaled = builder.push("scaler", scaled).unwrap();
        let swapped = Op::Select {
            source: scaled,
            entries: vec![1, 0],
        };
        let swapped = builder.push("selector", swapped).unwrap();
        let sums = builder.finish(&[swapped]).unwrap().entry_sums();
        let sum = |constant, entry, weight| EntrySum {
            constant,
            terms: BTreeMap::from([(entry, weight)]),
        };
        assert_eq!(sums, Ok(vec![sum(-8.0, 1, 4.0), sum(-5e7, 0, 0.5)]));
        let absolute = Op::Unary {
            function: UnaryFunction::Abs,
            argument: swapped,
        };
        let absolute = builder.push("distance", absolute).unwrap();
        let sums = builder.finish(&[absolute]).unwrap().entry_sums();
        let expected = EntrySumError::Node {
            node: "distance".into(),
        };
        assert_eq!(sums, Err(expected));
    }
}
