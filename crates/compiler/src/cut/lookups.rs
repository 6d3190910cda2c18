//! Functions of linear forms in terms of the whole model: features of the one vector, raw scores.

use super::features::{FeaturePlaces, MAX_WEIGHTS};
use crate::error::CompileError;
use crate::ir::{Atom, Combination, Function, Ir, Lookups};
use crate::model::{
    Estimator, FunctionLayer, LayeredModel, LinearForm, LookupModel, PointDistance,
};
use cipherfn_program::{EntryKind, Op, ProgramBuilder, RowProgram, TensorType, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// The functions that raw scores are sums of, those of several estimators one after the other, each
/// behind those that its forms are of.
pub(super) struct UsedLookups {
    parts: Vec<UsedEstimator>,
}

/// What is used of one estimator.
struct UsedEstimator {
    estimator: u32,
    lookups: Lookups,
    /// Entries, increasing.
    used: Vec<u32>,
}

/// Where functions are among all, by estimator and entry.
type UnitPlaces = BTreeMap<(u32, u32), usize>;

impl UsedLookups {
    pub(super) fn of(ir: &Ir, scores: &[Combination]) -> Self {
        let mut used: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let mut open: Vec<&Combination> = scores.iter().collect();
        while let Some(sum) = open.pop() {
            for (atom, _) in &sum.terms {
                if let &Atom::LookUp { estimator, entry } = atom
                    && used.entry(estimator).or_default().insert(entry)
                    && let Function::Lookups(own) = &ir.estimators[estimator as usize].function
                {
                    open.push(&own.forms[entry as usize]);
                }
            }
        }
        let part = |(estimator, used): (u32, BTreeSet<u32>)| match &ir.estimators
            [estimator as usize]
            .function
        {
            Function::Lookups(lookups) => Some(UsedEstimator {
                estimator,
                lookups: lookups.clone(),
                used: used.into_iter().collect(),
            }),
            Function::Trees(_)
            | Function::Linear(_)
            | Function::Nearest(_)
            | Function::Stacked(_) => None,
        };
        let mut parts: Vec<UsedEstimator> = used.into_iter().filter_map(part).collect();
        // Those of the row alone first, wherever the graph has them: they can be looked up.
        parts.sort_by_key(|part| part.forms().any(is_of_functions));
        Self { parts }
    }

    /// The forms of all functions.
    pub(super) fn forms(&self) -> impl Iterator<Item = &Combination> {
        self.parts.iter().flat_map(UsedEstimator::forms)
    }

    /// All of them as one model.
    pub(super) fn placed(
        &self,
        scores: &[Combination],
        places: &FeaturePlaces,
    ) -> Result<Estimator, CompileError> {
        let unit_of = self.units();
        let units = unit_of.len();
        let terms: usize = self.forms().map(Combination::size).sum();
        if units.saturating_mul(scores.len()).max(terms) > MAX_WEIGHTS {
            let problem = format!("the network has more than {MAX_WEIGHTS} weights");
            return Err(CompileError::invalid("the graph", problem));
        }
        let weights = |score: &Combination| {
            let mut row = vec![0.0; units];
            for (unit, factor) in inner(score, &unit_of) {
                row[unit as usize] = factor;
            }
            row
        };
        let weights = scores.iter().map(weights).collect();
        let bias = scores.iter().map(|score| score.constant).collect();
        let form = |form: &Combination| linear_form(form, places);
        if self.forms().all(|form| inner(form, &unit_of).is_empty()) {
            return Ok(Estimator::Lookups(LookupModel {
                nodes: self
                    .parts
                    .iter()
                    .map(|part| part.lookups.node.clone())
                    .collect(),
                forms: self.forms().map(form).collect(),
                distances: self
                    .parts
                    .iter()
                    .flat_map(UsedEstimator::distances)
                    .collect(),
                functions: functions(&self.parts)?,
                weights,
                bias,
            }));
        }
        let layer = |part: &UsedEstimator| {
            Ok::<_, CompileError>(FunctionLayer {
                node: part.lookups.node.clone(),
                forms: part.forms().map(form).collect(),
                inner: part.forms().map(|own| inner(own, &unit_of)).collect(),
                functions: functions(std::slice::from_ref(part))?,
            })
        };
        Ok(Estimator::Layers(LayeredModel {
            layers: self.parts.iter().map(layer).collect::<Result<_, _>>()?,
            weights,
            bias,
        }))
    }

    fn units(&self) -> UnitPlaces {
        let all = self.parts.iter();
        let all = all.flat_map(|part| part.used.iter().map(|&entry| (part.estimator, entry)));
        all.zip(0..).collect()
    }
}

impl UsedEstimator {
    fn forms(&self) -> impl Iterator<Item = &Combination> {
        self.used
            .iter()
            .map(|&entry| &self.lookups.forms[entry as usize])
    }

    fn distances(&self) -> impl Iterator<Item = Option<PointDistance>> {
        let used = self.used.iter();
        used.map(|&entry| self.lookups.distances[entry as usize])
    }
}

pub(super) fn is_of_functions(sum: &Combination) -> bool {
    let mut atoms = sum.terms.iter();
    atoms.any(|(atom, _)| matches!(atom, Atom::LookUp { .. }))
}

/// What a sum has of the features.
pub(super) fn linear_form(sum: &Combination, places: &FeaturePlaces) -> LinearForm {
    let weight = |&(atom, factor): &(Atom, f64)| match atom {
        Atom::Feature { value, entry } => Some((places[&(value, entry)], factor)),
        Atom::Target { .. } | Atom::LookUp { .. } | Atom::Vote { .. } | Atom::Chosen { .. } => None,
    };
    LinearForm {
        weights: sum.terms.iter().filter_map(weight).collect(),
        bias: sum.constant,
    }
}

/// What a sum has of functions.
fn inner(sum: &Combination, units: &UnitPlaces) -> Vec<(u32, f64)> {
    let weight = |&(atom, factor): &(Atom, f64)| match atom {
        Atom::LookUp { estimator, entry } => Some((units[&(estimator, entry)] as u32, factor)),
        Atom::Target { .. } | Atom::Vote { .. } | Atom::Chosen { .. } | Atom::Feature { .. } => {
            None
        }
    };
    sum.terms.iter().filter_map(weight).collect()
}

/// One program of all functions of these estimators: what is not used of one is a function of a form
/// that is.
fn functions(all: &[UsedEstimator]) -> Result<RowProgram, CompileError> {
    let units: usize = all.iter().map(|part| part.used.len()).sum();
    let input = TensorType {
        kind: EntryKind::F64,
        len: units.max(1),
    };
    let mut builder = ProgramBuilder::new(vec![input])?;
    let mut parts = Vec::with_capacity(all.len());
    let mut first = 0;
    for part in all {
        let program = &part.lookups.functions;
        let node = &part.lookups.node;
        let place = |entry: u32| {
            let own = part.used.partition_point(|&used| used < entry);
            first + own.min(part.used.len() - 1) as u32
        };
        let entries = (0..part.lookups.forms.len() as u32).map(place).collect();
        let source = builder.input(0);
        let mut values: Vec<ValueId> = vec![builder.push(node, Op::Select { source, entries })?];
        for step in program.steps() {
            let mut op = step.op.clone();
            op.rename(|id| values[id.index()]);
            values.push(builder.push(&step.node, op)?);
        }
        let output = program.output_ids().first().map(|id| values[id.index()]);
        let source =
            output.ok_or_else(|| CompileError::invalid("the graph", "it has no functions"))?;
        let entries = part.used.clone();
        parts.push(builder.push(node, Op::Select { source, entries })?);
        first += part.used.len() as u32;
    }
    let all = match parts.as_slice() {
        [only] => *only,
        _ => builder.push("functions", Op::Concat(parts))?,
    };
    Ok(builder.finish(&[all])?)
}
