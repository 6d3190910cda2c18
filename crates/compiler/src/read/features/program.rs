//! The program from the columns to the feature vector.

use super::vector::Keys;
use super::{Cells, Codes, FeatureCollector, FeatureView, Members, Names, ZERO};
use crate::error::CompileError;
use crate::model::Column;
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, ReduceFunction, Tensor, TensorType,
    UnaryFunction, ValueId, round_down,
};
use cipherfn_protocol::specs::ColumnKind;
use std::collections::HashMap;

/// Emits the program.
pub(super) struct FeatureProgram<'a> {
    features: &'a FeatureCollector,
    pub(super) builder: ProgramBuilder,
    /// Input of each column, and its entry there.
    pub(super) inputs: Vec<(ValueId, u32)>,
    codes: HashMap<u32, ValueId>,
}

/// Name of the steps, for errors.
fn step(features: &FeatureCollector, column: u32) -> String {
    features.names.show(column as usize)
}

impl<'a> FeatureProgram<'a> {
    pub(super) fn new(
        features: &'a FeatureCollector,
        columns: &[Column],
    ) -> Result<Self, CompileError> {
        let kind = |column: &Column| match column.kind {
            ColumnKind::Float32 => EntryKind::F32,
            ColumnKind::Float64 => EntryKind::F64,
            ColumnKind::Int64 => EntryKind::I64,
            ColumnKind::Text => EntryKind::Text,
        };
        let types = columns
            .iter()
            .map(|column| TensorType {
                kind: kind(column),
                len: column.width,
            })
            .collect();
        let builder = ProgramBuilder::new(types)?;
        let inputs = match features.names {
            Names::Own(_) => (0..columns.len())
                .map(|at| (builder.input(at), 0))
                .collect(),
            Names::Position(count) => (0..count as u32).map(|at| (builder.input(0), at)).collect(),
        };
        Ok(Self {
            features,
            builder,
            inputs,
            codes: HashMap::new(),
        })
    }

    /// The 32-bit value of a feature, and what its thresholds become.
    pub(super) fn feature(
        &mut self,
        feature: usize,
    ) -> Result<((ValueId, u32), Keys), CompileError> {
        let (column, view) = self.features.list[feature];
        let thresholds = &self.features.thresholds[feature];
        let name = step(self.features, column);
        if let FeatureView::Member(set) = view {
            return Ok(((self.membership(column, set)?, 0), Keys::Rounded));
        }
        let (input, entry) = self.inputs[column as usize];
        let kind = self.builder.tensor_type(input).kind;
        if kind == EntryKind::F32 && view == FeatureView::Plain {
            return Ok(((input, entry), Keys::Rounded));
        }
        if kind == EntryKind::Text {
            let library = self.features.library;
            return Err(library.invalid(name, "texts are compared with a number"));
        }
        let mut value = self.entry(column)?;
        if view == FeatureView::IsMissing {
            let missing = self.unary(&name, UnaryFunction::IsNan, value)?;
            return Ok((
                (self.cast(&name, missing, EntryKind::F32)?, 0),
                Keys::Rounded,
            ));
        }
        if view == FeatureView::Amount {
            return Ok(((self.amount(&name, column, value)?, 0), Keys::Rounded));
        }
        value = match view {
            FeatureView::MissingIsZero => {
                let missing = self.unary(&name, UnaryFunction::IsNan, value)?;
                self.replace(&name, missing, 0.0, value)?
            }
            FeatureView::ZeroIsMissing => {
                let size = self.unary(&name, UnaryFunction::Abs, value)?;
                let zero = self.number(&name, kind, ZERO)?;
                let is_zero = self.binary(&name, BinaryFunction::LessOrEqual, size, zero)?;
                self.replace(&name, is_zero, f64::NAN, value)?
            }
            FeatureView::Plain
            | FeatureView::Amount
            | FeatureView::IsMissing
            | FeatureView::Member(_) => value,
        };
        if kind == EntryKind::F32 {
            return Ok(((value, 0), Keys::Rounded));
        }
        let rounded: Vec<f32> = thresholds.iter().map(|&t| round_down(t)).collect();
        let distinct = rounded.iter().all(|key| key.is_finite())
            && rounded.windows(2).all(|pair| pair[0] < pair[1]);
        if distinct {
            let narrow = Op::Narrow {
                argument: value,
                splits: vec![thresholds.clone()],
            };
            return Ok(((self.builder.push(&name, narrow)?, 0), Keys::Rounded));
        }
        let rank = self.rank(&name, value, thresholds)?;
        Ok(((rank, 0), Keys::Ranks(thresholds.clone())))
    }

    /// A number less its column's middle, in 64 bits and then in 32; 0 stands for NaN.
    fn amount(&mut self, name: &str, column: u32, value: ValueId) -> Result<ValueId, CompileError> {
        let kind = self.builder.tensor_type(value).kind;
        let missing = self.unary(name, UnaryFunction::IsNan, value)?;
        let value = self.replace(name, missing, 0.0, value)?;
        let middle = self.number(name, kind, self.features.middles[&column])?;
        let value = self.binary(name, BinaryFunction::Sub, value, middle)?;
        self.cast(name, value, EntryKind::F32)
    }

    /// Number of thresholds that a 64-bit value exceeds, as a 32-bit float; NaN stays NaN.
    fn rank(
        &mut self,
        name: &str,
        value: ValueId,
        thresholds: &[f64],
    ) -> Result<ValueId, CompileError> {
        let all = self
            .builder
            .constant(name, Tensor::F64(thresholds.to_vec()))?;
        let exceeded = self.binary(name, BinaryFunction::Greater, value, all)?;
        let count = Op::Reduce {
            function: ReduceFunction::Sum,
            argument: exceeded,
            group: thresholds.len(),
        };
        let count = self.builder.push(name, count)?;
        let count = self.cast(name, count, EntryKind::F32)?;
        let missing = self.unary(name, UnaryFunction::IsNan, value)?;
        self.replace(name, missing, f64::NAN, count)
    }

    /// 1 where the column's category is in the set, else 0.
    fn membership(&mut self, column: u32, set: u32) -> Result<ValueId, CompileError> {
        let name = step(self.features, column);
        let (argument, keys, mut values) = match &self.features.members[set as usize] {
            Members::Texts(texts) => (
                self.inputs[column as usize].0,
                Tensor::Text(texts.clone()),
                vec![1.0; texts.len()],
            ),
            Members::Codes(codes) => (
                self.codes(column)?,
                Tensor::F32(codes.iter().map(|&code| code as f32).collect()),
                vec![1.0; codes.len()],
            ),
        };
        let keys = match keys {
            Tensor::F32(mut keys) if self.features.codes == Codes::Floor => {
                keys.push(f32::NAN);
                values.push(f32::NAN);
                Tensor::F32(keys)
            }
            keys => keys,
        };
        let encode = Op::Encode {
            argument,
            keys,
            values: Tensor::F32(values),
            default: Some(Tensor::F32(vec![0.0])),
        };
        Ok(self.builder.push(&name, encode)?)
    }

    /// Codes of a column's categories as 32-bit floats; a missing one is NaN.
    fn codes(&mut self, column: u32) -> Result<ValueId, CompileError> {
        if let Some(&codes) = self.codes.get(&column) {
            return Ok(codes);
        }
        let name = step(self.features, column);
        let places = |count: usize| (0..count).map(|place| place as f32);
        let with_missing = |count| Tensor::F32(places(count).chain([f32::NAN]).collect());
        // A category that the file does not list: an error, or a member of nothing.
        let default = (self.features.codes == Codes::Truncate).then(|| Tensor::F32(vec![f32::NAN]));
        let value = match &self.features.cells[column as usize] {
            Cells::Texts(texts) => {
                let mut keys = texts.clone();
                keys.push(String::new());
                let encode = Op::Encode {
                    argument: self.inputs[column as usize].0,
                    keys: Tensor::Text(keys),
                    values: with_missing(texts.len()),
                    default,
                };
                self.builder.push(&name, encode)?
            }
            Cells::Listed(numbers) => {
                let encode = Op::Encode {
                    argument: self.entry(column)?,
                    keys: Tensor::F64(numbers.iter().copied().chain([f64::NAN]).collect()),
                    values: with_missing(numbers.len()),
                    default,
                };
                self.builder.push(&name, encode)?
            }
            Cells::Numbers | Cells::Hashed => {
                let value = self.entry(column)?;
                match self.features.codes {
                    Codes::Floor => self.unary(&name, UnaryFunction::Floor, value)?,
                    Codes::Truncate => {
                        // NaN has no integer; -1 is the code of no category.
                        let missing = self.unary(&name, UnaryFunction::IsNan, value)?;
                        let value = self.replace(&name, missing, -1.0, value)?;
                        let integer = self.cast(&name, value, EntryKind::I64)?;
                        self.cast(&name, integer, EntryKind::F32)?
                    }
                }
            }
        };
        self.codes.insert(column, value);
        Ok(value)
    }

    /// One entry of a column's input as a value of its own.
    fn entry(&mut self, column: u32) -> Result<ValueId, CompileError> {
        let (source, entry) = self.inputs[column as usize];
        if self.builder.tensor_type(source).len == 1 {
            return Ok(source);
        }
        let entries = vec![entry];
        let name = step(self.features, column);
        Ok(self.builder.push(&name, Op::Select { source, entries })?)
    }

    /// Entries of values one after the other. Runs of entries of one value are taken at once.
    pub(super) fn concat(&mut self, entries: &[(ValueId, u32)]) -> Result<ValueId, CompileError> {
        const NAME: &str = "the feature vector";
        let mut parts = Vec::new();
        for run in entries.chunk_by(|(left, _), (right, _)| left == right) {
            let source = run[0].0;
            let entries: Vec<u32> = run.iter().map(|&(_, entry)| entry).collect();
            let len = self.builder.tensor_type(source).len;
            let whole = entries.iter().copied().eq(0..len as u32);
            parts.push(if whole {
                source
            } else {
                self.builder.push(NAME, Op::Select { source, entries })?
            });
        }
        Ok(match parts.as_slice() {
            [] => self.builder.constant(NAME, Tensor::F32(Vec::new()))?,
            [only] => *only,
            _ => self.builder.push(NAME, Op::Concat(parts))?,
        })
    }

    fn number(&mut self, name: &str, kind: EntryKind, value: f64) -> Result<ValueId, CompileError> {
        let value = if kind == EntryKind::F32 {
            Tensor::F32(vec![value as f32])
        } else {
            Tensor::F64(vec![value])
        };
        Ok(self.builder.constant(name, value)?)
    }

    /// `yes` where the condition holds, else the value.
    fn replace(
        &mut self,
        name: &str,
        condition: ValueId,
        yes: f64,
        value: ValueId,
    ) -> Result<ValueId, CompileError> {
        let kind = self.builder.tensor_type(value).kind;
        let choose = Op::Where {
            condition,
            yes: self.number(name, kind, yes)?,
            no: value,
        };
        Ok(self.builder.push(name, choose)?)
    }

    pub(super) fn unary(
        &mut self,
        name: &str,
        function: UnaryFunction,
        argument: ValueId,
    ) -> Result<ValueId, CompileError> {
        let unary = Op::Unary { function, argument };
        Ok(self.builder.push(name, unary)?)
    }

    fn binary(
        &mut self,
        name: &str,
        function: BinaryFunction,
        left: ValueId,
        right: ValueId,
    ) -> Result<ValueId, CompileError> {
        let binary = Op::Binary {
            function,
            left,
            right,
        };
        Ok(self.builder.push(name, binary)?)
    }

    fn cast(
        &mut self,
        name: &str,
        source: ValueId,
        kind: EntryKind,
    ) -> Result<ValueId, CompileError> {
        Ok(self.builder.push(name, Op::Cast { source, kind })?)
    }
}
