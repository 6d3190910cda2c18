//! The columns that a file's model takes, and the feature vector that its trees ask.
//!
//! A tree asks one question of a feature: `x > threshold`. What a library asks beyond that becomes
//! another *view* of a column, made by the row program on the client: zeros that count as missing,
//! missing values that count as zero, membership in a set of categories (1 or 0). 64-bit values
//! become 32-bit ones that lie on the same side of every threshold.

use super::library::{Library, MAX_COLUMNS, MAX_VALUES};
use crate::error::CompileError;
use crate::model::Column;
use cipherfn_program::{
    BinaryFunction, Kind, Op, ProgramBuilder, ReduceFunction, RowProgram, Tensor, TensorType,
    UnaryFunction, ValueId,
};
use cipherfn_protocol::specs::ColumnKind;
use std::collections::HashMap;

#[cfg(test)]
mod tests;

/// Largest magnitude that LightGBM takes for zero (`kZeroThreshold`, a 32-bit constant).
pub(crate) const ZERO: f64 = 1e-35_f32 as f64;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cells {
    /// Numbers, or codes of categories; all such columns of a model have one width of float.
    Numbers,
    /// One of these texts; the code of a category is its place.
    Texts(Vec<String>),
    /// One of these 64-bit numbers; the code of a category is its place.
    Listed(Vec<f64>),
    /// Any text; sets of categories are given by text.
    Hashed,
}

/// How a column's value becomes a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum View {
    /// As it stands; NaN stays NaN.
    Plain,
    /// NaN becomes 0.
    MissingIsZero,
    /// What LightGBM takes for zero becomes NaN.
    ZeroIsMissing,
    /// 1 for NaN, 0 for any number.
    IsMissing,
    /// 1 for a member of this set, 0 for any other value.
    Member(u32),
}

/// A feature before the order of the vector is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeatureId(u32);

/// How codes of categories are read from numbers, and what becomes of missing ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codes {
    /// Rounded down; a missing code gives a missing membership; a category that is not among the
    /// listed ones is an error.
    Floor,
    /// Rounded towards zero; a missing code, or a category that is not among the listed ones, is a
    /// member of no set.
    Truncate,
}

/// Collects columns and views.
#[derive(Debug)]
pub(crate) struct Features {
    library: Library,
    codes: Codes,
    kind: Kind,
    names: Names,
    cells: Vec<Cells>,
    views: HashMap<(u32, View), FeatureId>,
    list: Vec<(u32, View)>,
    /// Thresholds of each feature, in no order.
    thresholds: Vec<Vec<f64>>,
    sets: HashMap<Members, u32>,
    members: Vec<Members>,
    member_count: usize,
}

/// A set of categories.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Members {
    /// By code, increasing.
    Codes(Vec<u32>),
    /// By text, sorted.
    Texts(Vec<String>),
}

impl Members {
    const fn len(&self) -> usize {
        match self {
            Self::Codes(codes) => codes.len(),
            Self::Texts(texts) => texts.len(),
        }
    }
}

/// Names of a file's columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Names {
    /// In the file.
    Own(Vec<String>),
    /// The file has none: the table's columns are taken in order.
    Position(usize),
}

impl Names {
    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(names) => names.len(),
            Self::Position(count) => *count,
        }
    }

    /// A column's name for errors.
    pub(crate) fn show(&self, column: usize) -> String {
        match self {
            Self::Own(names) => names.get(column).cloned(),
            Self::Position(_) => None,
        }
        .unwrap_or_else(|| format!("column {column}"))
    }
}

impl Features {
    /// Columns of numbers of this kind.
    pub(crate) fn new(
        library: Library,
        names: Names,
        kind: Kind,
        codes: Codes,
    ) -> Result<Self, CompileError> {
        let count = library.count("the columns", names.len(), MAX_COLUMNS, "columns")?;
        if let Names::Own(names) = &names {
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort();
            if let Some([name, ..]) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                let problem = format!("two columns have the name {name:?}");
                return Err(library.invalid("the feature names", problem));
            }
            if let Some(at) = names.iter().position(String::is_empty) {
                let problem = format!("column {at} has an empty name, others have names");
                return Err(library.invalid("the feature names", problem));
            }
        }
        Ok(Self {
            library,
            codes,
            kind,
            names,
            cells: vec![Cells::Numbers; count],
            views: HashMap::new(),
            list: Vec::new(),
            thresholds: Vec::new(),
            sets: HashMap::new(),
            members: Vec::new(),
            member_count: 0,
        })
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.cells.len()
    }

    /// Names of the columns.
    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// Says what a column holds, if not numbers.
    pub(crate) fn set_cells(&mut self, column: usize, cells: Cells) -> Result<(), CompileError> {
        if let Names::Position(count) = self.names {
            self.names = Names::Own((0..count).map(|column| format!("f{column}")).collect());
        }
        let Some(own) = self.cells.get_mut(column) else {
            let problem = format!("there is no column {column}");
            return Err(self.library.invalid("the categories", problem));
        };
        *own = cells;
        Ok(())
    }

    /// The feature of a column in a view, made when it is first asked for.
    pub(crate) fn feature(&mut self, column: u32, view: View) -> FeatureId {
        *self.views.entry((column, view)).or_insert_with(|| {
            self.list.push((column, view));
            self.thresholds.push(Vec::new());
            FeatureId(self.list.len() as u32 - 1)
        })
    }

    /// The feature that is 1 for members of a set.
    pub(crate) fn member(
        &mut self,
        place: impl std::fmt::Display,
        column: u32,
        members: Members,
    ) -> Result<FeatureId, CompileError> {
        let set = if let Some(&set) = self.sets.get(&members) {
            set
        } else {
            self.member_count += members.len();
            self.library.count(
                place,
                self.member_count,
                MAX_VALUES,
                "categories of all sets up to here",
            )?;
            let set = self.members.len() as u32;
            self.members.push(members.clone());
            self.sets.insert(members, set);
            set
        };
        Ok(self.feature(column, View::Member(set)))
    }

    /// Notes a threshold of a feature.
    pub(super) fn compare(&mut self, feature: FeatureId, threshold: f64) {
        self.thresholds[feature.0 as usize].push(threshold);
    }

    /// The columns, the program from them to the feature vector, and where features and thresholds
    /// lie in it.
    pub(crate) fn finish(mut self) -> Result<(Vec<Column>, RowProgram, Vector), CompileError> {
        for thresholds in &mut self.thresholds {
            thresholds.sort_by(f64::total_cmp);
            // The sum makes both zeros one threshold.
            thresholds.dedup_by_key(|threshold| (*threshold + 0.0).to_bits());
        }
        let mut order: Vec<u32> = (0..self.list.len() as u32).collect();
        order.sort_by_key(|&feature| self.list[feature as usize]);
        let columns = self.input_columns();
        let mut program = Program::new(&self, &columns)?;
        let mut values = Vec::with_capacity(order.len());
        let mut keys = Vec::with_capacity(order.len());
        for &feature in &order {
            let (value, key) = program.feature(feature as usize)?;
            values.push(value);
            keys.push(key);
        }
        let vector = program.concat(&values)?;
        let preprocess = program.builder.finish(&[vector])?;
        let mut places = vec![0; order.len()];
        for (place, &feature) in order.iter().enumerate() {
            places[feature as usize] = place as u32;
        }
        Ok((columns, preprocess, Vector { places, keys }))
    }

    /// The columns, and a program that gives all their numbers with 0 for missing ones.
    pub(crate) fn all_without_missing(&self) -> Result<(Vec<Column>, RowProgram), CompileError> {
        let columns = self.input_columns();
        let mut program = Program::new(self, &columns)?;
        let all = program.concat(&program.inputs.clone())?;
        let len = program.builder.tensor_type(all).len;
        let name = "missing values";
        let missing = program.unary(name, UnaryFunction::IsNan, all)?;
        let zeros = program
            .builder
            .constant(name, Tensor::F32(vec![0.0; len]))?;
        let choose = Op::Where {
            condition: missing,
            yes: zeros,
            no: all,
        };
        let row = program.builder.push(name, choose)?;
        Ok((columns, program.builder.finish(&[row])?))
    }

    fn input_columns(&self) -> Vec<Column> {
        let numbers = if self.kind == Kind::F32 {
            ColumnKind::Float32
        } else {
            ColumnKind::Float64
        };
        let names = match &self.names {
            Names::Own(names) => names,
            Names::Position(count) => {
                return vec![Column {
                    name: "features".into(),
                    kind: numbers,
                    width: *count,
                    missing: true,
                }];
            }
        };
        names
            .iter()
            .zip(&self.cells)
            .map(|(name, cells)| Column {
                name: name.clone(),
                kind: match cells {
                    Cells::Numbers => numbers,
                    Cells::Texts(_) | Cells::Hashed => ColumnKind::Text,
                    Cells::Listed(_) => ColumnKind::Float64,
                },
                width: 1,
                // No text is hashed where there is none.
                missing: *cells != Cells::Hashed,
            })
            .collect()
    }
}

/// The finished vector: where features lie, and what thresholds become.
#[derive(Debug)]
pub(crate) struct Vector {
    /// Place of each feature.
    places: Vec<u32>,
    /// One a place.
    keys: Vec<Keys>,
}

impl Vector {
    /// Number of features.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Place of a feature, and the 32-bit number that stands for a threshold of it.
    pub(super) fn place(&self, feature: FeatureId, threshold: f64) -> (u32, f32) {
        let place = self.places[feature.0 as usize];
        (place, self.keys[place as usize].of(threshold))
    }
}

/// How 64-bit thresholds of a feature become 32-bit ones.
#[derive(Debug, PartialEq)]
enum Keys {
    /// Rounded down, as [`Op::Narrow`] does.
    Rounded,
    /// The value is the number of these that it exceeds, a threshold its place among them: for
    /// thresholds that 32 bits cannot tell apart or hold.
    Ranks(Vec<f64>),
}

impl Keys {
    fn of(&self, threshold: f64) -> f32 {
        match self {
            Self::Rounded => round_down(threshold),
            Self::Ranks(all) => all.partition_point(|&own| own < threshold) as f32,
        }
    }
}

/// Largest 32-bit float that is not above `x`.
fn round_down(x: f64) -> f32 {
    let nearest = x as f32;
    if f64::from(nearest) > x {
        nearest.next_down()
    } else {
        nearest
    }
}

/// Emits the program.
struct Program<'a> {
    features: &'a Features,
    builder: ProgramBuilder,
    /// Input of each column, and its entry there.
    inputs: Vec<(ValueId, u32)>,
    codes: HashMap<u32, ValueId>,
}

/// Name of the steps, for errors.
fn step(features: &Features, column: u32) -> String {
    features.names.show(column as usize)
}

impl<'a> Program<'a> {
    fn new(features: &'a Features, columns: &[Column]) -> Result<Self, CompileError> {
        let kind = |column: &Column| match column.kind {
            ColumnKind::Float32 => Kind::F32,
            ColumnKind::Float64 => Kind::F64,
            ColumnKind::Int64 => Kind::I64,
            ColumnKind::Text => Kind::Text,
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
    fn feature(&mut self, feature: usize) -> Result<((ValueId, u32), Keys), CompileError> {
        let (column, view) = self.features.list[feature];
        let thresholds = &self.features.thresholds[feature];
        let name = step(self.features, column);
        if let View::Member(set) = view {
            return Ok(((self.membership(column, set)?, 0), Keys::Rounded));
        }
        let (input, entry) = self.inputs[column as usize];
        let kind = self.builder.tensor_type(input).kind;
        if kind == Kind::F32 && view == View::Plain {
            return Ok(((input, entry), Keys::Rounded));
        }
        if kind == Kind::Text {
            let library = self.features.library;
            return Err(library.invalid(name, "texts are compared with a number"));
        }
        let mut value = self.entry(column)?;
        if view == View::IsMissing {
            let missing = self.unary(&name, UnaryFunction::IsNan, value)?;
            return Ok(((self.cast(&name, missing, Kind::F32)?, 0), Keys::Rounded));
        }
        value = match view {
            View::MissingIsZero => {
                let missing = self.unary(&name, UnaryFunction::IsNan, value)?;
                self.replace(&name, missing, 0.0, value)?
            }
            View::ZeroIsMissing => {
                let size = self.unary(&name, UnaryFunction::Abs, value)?;
                let zero = self.number(&name, kind, ZERO)?;
                let is_zero = self.binary(&name, BinaryFunction::LessOrEqual, size, zero)?;
                self.replace(&name, is_zero, f64::NAN, value)?
            }
            View::Plain | View::IsMissing | View::Member(_) => value,
        };
        if kind == Kind::F32 {
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
        let count = self.cast(name, count, Kind::F32)?;
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
                        let integer = self.cast(&name, value, Kind::I64)?;
                        self.cast(&name, integer, Kind::F32)?
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
    fn concat(&mut self, entries: &[(ValueId, u32)]) -> Result<ValueId, CompileError> {
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

    fn number(&mut self, name: &str, kind: Kind, value: f64) -> Result<ValueId, CompileError> {
        let value = if kind == Kind::F32 {
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

    fn unary(
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

    fn cast(&mut self, name: &str, source: ValueId, kind: Kind) -> Result<ValueId, CompileError> {
        Ok(self.builder.push(name, Op::Cast { source, kind })?)
    }
}
