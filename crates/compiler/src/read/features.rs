//! The columns that a file's model takes, and the feature vector that its trees ask.
//!
//! A tree asks one question of a feature: `x > threshold`. What a library asks beyond that becomes
//! another *view* of a column, made by the row program on the client: zeros that count as missing,
//! missing values that count as zero, membership in a set of categories (1 or 0). 64-bit values
//! become 32-bit ones that lie on the same side of every threshold.

mod names;
mod program;
mod vector;

pub(crate) use names::Names;
pub(crate) use vector::Vector;

use super::library::{Library, MAX_COLUMNS, MAX_VALUES};
use crate::error::CompileError;
use crate::model::Column;
use cipherfn_program::{EntryKind, Op, RowProgram, Tensor, UnaryFunction};
use cipherfn_protocol::specs::ColumnKind;
use program::FeatureProgram;
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
pub(crate) enum FeatureView {
    /// The number itself with 0 for NaN, less the column's middle: what linear leaves weigh. These
    /// come first in the vector.
    Amount,
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
pub(crate) struct FeatureCollector {
    library: Library,
    codes: Codes,
    kind: EntryKind,
    names: Names,
    cells: Vec<Cells>,
    /// What is taken off a column's numbers before they become 32-bit floats.
    middles: HashMap<u32, f64>,
    views: HashMap<(u32, FeatureView), FeatureId>,
    list: Vec<(u32, FeatureView)>,
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

impl FeatureCollector {
    /// Columns of numbers of this kind.
    pub(crate) fn new(
        library: Library,
        names: Names,
        kind: EntryKind,
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
            middles: HashMap::new(),
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
    pub(crate) fn feature(&mut self, column: u32, view: FeatureView) -> FeatureId {
        *self.views.entry((column, view)).or_insert_with(|| {
            self.list.push((column, view));
            self.thresholds.push(Vec::new());
            FeatureId(self.list.len() as u32 - 1)
        })
    }

    /// The feature that is a column's number less `middle`, which is the same for all uses of the
    /// column.
    pub(crate) fn amount(
        &mut self,
        place: impl std::fmt::Display,
        column: u32,
        middle: f64,
    ) -> Result<FeatureId, CompileError> {
        if self.cells[column as usize] != Cells::Numbers {
            let name = self.names.show(column as usize);
            let problem = format!("it weighs {name}, which holds categories");
            return Err(self.library.invalid(place, problem));
        }
        self.middles.insert(column, middle);
        Ok(self.feature(column, FeatureView::Amount))
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
        Ok(self.feature(column, FeatureView::Member(set)))
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
        order.sort_by_key(|&feature| {
            let (column, view) = self.list[feature as usize];
            (view != FeatureView::Amount, column, view)
        });
        let columns = self.input_columns();
        let mut program = FeatureProgram::new(&self, &columns)?;
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
        let is_amount = |(_, view): &&(u32, FeatureView)| *view == FeatureView::Amount;
        let amounts = self.list.iter().filter(is_amount).count();
        let vector = Vector {
            places,
            keys,
            amounts,
        };
        Ok((columns, preprocess, vector))
    }

    /// The columns, and a program that gives all their numbers with 0 for missing ones.
    pub(crate) fn all_without_missing(&self) -> Result<(Vec<Column>, RowProgram), CompileError> {
        let columns = self.input_columns();
        let mut program = FeatureProgram::new(self, &columns)?;
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
        let numbers = if self.kind == EntryKind::F32 {
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
