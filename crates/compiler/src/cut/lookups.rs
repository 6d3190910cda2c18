//! Functions of linear forms in terms of the whole model: features of the one vector, raw scores.

use super::features::{FeaturePlaces, MAX_WEIGHTS};
use crate::error::CompileError;
use crate::ir::{Atom, Combination, Function, Ir, Lookups};
use crate::model::{LinearForm, LookupModel};
use cipherfn_program::{EntryKind, Op, ProgramBuilder, RowProgram, TensorType, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// The functions that raw scores are sums of, those of several estimators one after the other.
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

impl UsedLookups {
    pub(super) fn of(ir: &Ir, scores: &[Combination]) -> Self {
        let mut used: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (atom, _) in scores.iter().flat_map(|score| &score.terms) {
            if let &Atom::LookUp { estimator, entry } = atom {
                used.entry(estimator).or_default().insert(entry);
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
            Function::Trees(_) | Function::Linear(_) => None,
        };
        Self {
            parts: used.into_iter().filter_map(part).collect(),
        }
    }

    /// The forms of all functions.
    pub(super) fn forms(&self) -> impl Iterator<Item = &Combination> {
        self.parts.iter().flat_map(|part| {
            let forms = &part.lookups.forms;
            part.used.iter().map(|&entry| &forms[entry as usize])
        })
    }

    /// All of them as one model.
    pub(super) fn placed(
        &self,
        scores: &[Combination],
        places: &FeaturePlaces,
    ) -> Result<LookupModel, CompileError> {
        let units: usize = self.parts.iter().map(|part| part.used.len()).sum();
        let terms: usize = self.forms().map(Combination::size).sum();
        if units.saturating_mul(scores.len()).max(terms) > MAX_WEIGHTS {
            let problem = format!("the network has more than {MAX_WEIGHTS} weights");
            return Err(CompileError::invalid("the graph", problem));
        }
        let mut unit_of: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for part in &self.parts {
            for &entry in &part.used {
                let next = unit_of.len();
                unit_of.insert((part.estimator, entry), next);
            }
        }
        let form = |form: &Combination| {
            let weight = |&(atom, factor): &(Atom, f64)| match atom {
                Atom::Feature { value, entry } => Some((places[&(value, entry)], factor)),
                Atom::Target { .. } | Atom::LookUp { .. } => None,
            };
            LinearForm {
                weights: form.terms.iter().filter_map(weight).collect(),
                bias: form.constant,
            }
        };
        let weights = |score: &Combination| {
            let mut row = vec![0.0; units];
            for (atom, factor) in &score.terms {
                if let &Atom::LookUp { estimator, entry } = atom {
                    row[unit_of[&(estimator, entry)]] = *factor;
                }
            }
            row
        };
        Ok(LookupModel {
            nodes: self
                .parts
                .iter()
                .map(|part| part.lookups.node.clone())
                .collect(),
            forms: self.forms().map(form).collect(),
            functions: self.functions(units)?,
            weights: scores.iter().map(weights).collect(),
            bias: scores.iter().map(|score| score.constant).collect(),
        })
    }

    /// One program of all functions: what is not used of an estimator is a function of a form that
    /// is.
    fn functions(&self, units: usize) -> Result<RowProgram, CompileError> {
        let input = TensorType {
            kind: EntryKind::F64,
            len: units.max(1),
        };
        let mut builder = ProgramBuilder::new(vec![input])?;
        let mut parts = Vec::with_capacity(self.parts.len());
        let mut first = 0;
        for part in &self.parts {
            let program = &part.lookups.functions;
            let node = &part.lookups.node;
            let place = |entry: u32| {
                let own = part.used.partition_point(|&used| used < entry);
                first + own.min(part.used.len() - 1) as u32
            };
            let entries = (0..part.lookups.forms.len() as u32).map(place).collect();
            let source = builder.input(0);
            let mut values: Vec<ValueId> =
                vec![builder.push(node, Op::Select { source, entries })?];
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
}
