//! The feature vector, and the estimators over it.

use super::scores::RawScores;
use super::{lookups, neighbours, stacked, trees};
use crate::analyse::place::Place;
use crate::error::CompileError;
use crate::ir::{Atom, AtomKind, Combination, Ir};
use crate::model::{Estimator, LinearModel};
use cipherfn_program::{EntryKind, Op, ProgramBuilder, RowProgram, Tensor, TensorType, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most weights of a linear model, or leaf values of an ensemble.
pub(super) const MAX_WEIGHTS: usize = 1 << 23;

/// What the client computes before encryption and what the server evaluates.
pub(super) struct Cut {
    pub(super) preprocess: RowProgram,
    pub(super) features: usize,
    pub(super) estimators: Vec<Estimator>,
}

/// Entries of values before the estimators.
pub(super) type Entries = BTreeSet<(ValueId, u32)>;

/// Split points of 64-bit entries, increasing.
pub(super) type Splits = HashMap<(ValueId, u32), Vec<f64>>;

/// Where entries are in the feature vector.
pub(super) type FeaturePlaces = HashMap<(ValueId, u32), u32>;

/// The estimators that give these raw scores.
pub(super) fn cut(ir: &mut Ir, scores: &RawScores, values: &[Place]) -> Result<Cut, CompileError> {
    let [of_trees, of_lookups, of_votes, of_choices, of_linear] =
        AtomKind::ALL.map(|kind| scores.of_kind(kind));
    let mut used = feature_entries(of_linear);
    let layer = lookups::UsedLookups::of(ir, of_lookups);
    used.extend(feature_entries(layer.forms()));
    let nearest = neighbours::UsedPoints::of(ir, values, of_votes)?;
    used.extend(feature_entries(
        nearest.iter().flat_map(neighbours::UsedPoints::distances),
    ));
    let stacked = stacked::UsedStacks::of(ir, of_choices);
    used.extend(feature_entries(stacked.forms(ir)));
    let ensembles = trees::Uses::of(of_trees);
    let splits = ensembles.entries(ir, &mut used);
    let places: FeaturePlaces = used.iter().copied().zip(0..).collect();
    let mut estimators = Vec::new();
    if !of_trees.is_empty() {
        let trees = ensembles.placed(ir, of_trees, &places)?;
        estimators.push(Estimator::Trees(trees));
    }
    if !of_lookups.is_empty() {
        estimators.push(layer.placed(of_lookups, &places)?);
    }
    for nearest in nearest {
        estimators.push(nearest.placed(&places)?);
    }
    if !of_choices.is_empty() {
        estimators.push(Estimator::Stacked(stacked.placed(ir, of_choices, &places)?));
    }
    if !of_linear.is_empty() {
        estimators.push(Estimator::Linear(linear(of_linear, &places)?));
    }
    // A constant model asks for nothing: its vector is a zero.
    let vector = match used.len() {
        0 => ir.program.constant("features", Tensor::F32(vec![0.0]))?,
        _ => gather(&mut ir.program, &used, &splits)?,
    };
    Ok(Cut {
        preprocess: preprocess(ir, vector)?,
        features: used.len().max(1),
        estimators,
    })
}

/// The entries before the estimators that sums are of.
fn feature_entries<'a>(sums: impl IntoIterator<Item = &'a Combination>) -> Entries {
    let atoms = sums.into_iter().flat_map(|sum| &sum.terms);
    let entry = |&(atom, _): &(Atom, f64)| match atom {
        Atom::Feature { value, entry } => Some((value, entry)),
        Atom::Target { .. } | Atom::LookUp { .. } | Atom::Vote { .. } | Atom::Chosen { .. } => None,
    };
    atoms.filter_map(entry).collect()
}

fn linear(scores: &[Combination], places: &FeaturePlaces) -> Result<LinearModel, CompileError> {
    if places.len().saturating_mul(scores.len()) > MAX_WEIGHTS {
        let problem = format!("the linear model has more than {MAX_WEIGHTS} weights");
        return Err(CompileError::invalid("the graph", problem));
    }
    let weights = |score: &Combination| {
        let mut row = vec![0.0; places.len().max(1)];
        for (atom, factor) in &score.terms {
            if let Atom::Feature { value, entry } = atom {
                row[places[&(*value, *entry)] as usize] = *factor;
            }
        }
        row
    };
    Ok(LinearModel {
        weights: scores.iter().map(weights).collect(),
        bias: scores.iter().map(|score| score.constant).collect(),
    })
}

/// Puts the used entries of all values side by side, as 32-bit floats.
fn gather(
    program: &mut ProgramBuilder,
    used: &Entries,
    splits: &Splits,
) -> Result<ValueId, CompileError> {
    let name = "features";
    let mut by_value: BTreeMap<ValueId, Vec<u32>> = BTreeMap::new();
    for &(value, entry) in used {
        by_value.entry(value).or_default().push(entry);
    }
    let mut parts = Vec::new();
    for (&value, entries) in &by_value {
        let source = program.tensor_type(value);
        let selected = if entries.iter().copied().eq(0..source.len as u32) {
            value
        } else {
            let entries = entries.clone();
            let source = value;
            program.push(name, Op::Select { source, entries })?
        };
        let own = |&entry: &u32| splits.get(&(value, entry)).cloned().unwrap_or_default();
        parts.push(match source.kind {
            EntryKind::F32 => selected,
            EntryKind::F64 => {
                let narrow = Op::Narrow {
                    argument: selected,
                    splits: entries.iter().map(own).collect(),
                };
                program.push(name, narrow)?
            }
            _ => {
                let cast = Op::Cast {
                    source: selected,
                    kind: EntryKind::F32,
                };
                program.push(name, cast)?
            }
        });
    }
    match parts.as_slice() {
        [only] => Ok(*only),
        _ => Ok(program.push(name, Op::Concat(parts))?),
    }
}

/// The program from the columns to the feature vector.
fn preprocess(ir: &Ir, vector: ValueId) -> Result<RowProgram, CompileError> {
    let columns: Vec<TensorType> = (0..ir.columns.len() as u32)
        .map(|column| ir.program.tensor_type(ValueId(column)))
        .collect();
    let mut builder = ProgramBuilder::new(columns)?;
    let mut values: HashMap<ValueId, ValueId> = (0..ir.columns.len())
        .map(|column| (ValueId(column as u32), builder.input(column)))
        .collect();
    let needed = ir.ancestors([vector]);
    for (step, index) in ir.program.steps().iter().zip(ir.first_step()..) {
        if needed[index] {
            let mut op = step.op.clone();
            op.rename(|id| values.get(&id).copied().unwrap_or(id));
            let value = builder.push(&step.node, op)?;
            values.insert(ValueId(index as u32), value);
        }
    }
    let vector = values.get(&vector).copied();
    let vector = vector.ok_or_else(|| CompileError::invalid("the graph", "it has no features"))?;
    Ok(builder.finish(&[vector])?)
}
