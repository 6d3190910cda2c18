//! Plans whose result has a row a row: one pass, packed.

use super::atoms::recombined;
use super::load::Load;
use super::{RowGraph, no_room};
use crate::answer::{Answer, AnswerColumn, AnswerShape, Content, Lane};
use crate::diagram::Diagram;
use crate::pass::{CircuitForm, Collect, Pass};
use crate::plan::{PlanError, StepName};
use crate::resolve::{Atom, Resolved, TableColumn};
use cipherfn_circuit::circuit::NodeId;

/// Outputs under construction.
struct Outputs<'r> {
    rows: RowGraph<'r>,
    nodes: Vec<(NodeId, u32)>,
}

pub(super) fn lower(
    resolved: &Resolved<'_>,
    form: &CircuitForm,
) -> Result<(Vec<Pass>, Answer), PlanError> {
    for (side, filter) in resolved.filters.iter().enumerate().skip(1) {
        if filter.is_some() {
            return Err(PlanError::NotLevelled {
                step: resolved.joins[side - 1].step.clone(),
                problem: format!("rows are filtered by columns of {:?}, which the server looks up", resolved.frames[side].name()),
                refresh: "filter the decrypted answer, which has these columns; or aggregate, which can be filtered on both sides".into(),
            });
        }
    }
    let mut outputs = Outputs {
        rows: RowGraph::new(resolved, 0),
        nodes: Vec::new(),
    };
    let kept = outputs.kept()?;
    let mut columns = Vec::with_capacity(resolved.columns.len());
    for column in &resolved.columns {
        columns.push(outputs.column(column)?);
    }
    if outputs.nodes.is_empty() {
        return Err(PlanError::Invalid {
            step: StepName { number: 0, what: "scan" },
            problem: "the result is the same for every row and no row is left out; ask for a column of the frame".into(),
        });
    }
    let Outputs { rows, nodes } = outputs;
    let pass = rows.finish(&nodes, Collect::Rows, form);
    Ok((
        vec![pass],
        Answer {
            shape: AnswerShape::Rows { kept },
            columns,
        },
    ))
}

impl Outputs<'_> {
    fn column(&mut self, column: &TableColumn) -> Result<AnswerColumn, PlanError> {
        let step = StepName {
            number: 0,
            what: "scan",
        };
        let Some(linear) = &column.value else {
            return Err(PlanError::Invalid {
                step,
                problem: format!(
                    "column {:?} cannot be returned: it has no role in its frame, or no look-up by the merge's keys has it; select other columns, or add it there",
                    column.name
                ),
            });
        };
        self.check_sides(column, linear.terms.iter().map(|term| &term.0))?;
        let mut parts = Vec::new();
        let loads = Load::split(&self.rows, linear);
        let loads = loads.ok_or_else(|| no_room(&step, &column.name))?;
        let filled = Load::filled(&self.rows, linear, &loads);
        for (shift, load) in loads {
            let lane = self
                .output(&load, None)
                .ok_or_else(|| no_room(&step, &column.name))?;
            parts.push((lane, shift));
        }
        let presence = if column.presence.is_empty() {
            None
        } else {
            let atoms: Vec<Atom> = column
                .presence
                .iter()
                .map(|presence| presence.atom())
                .collect();
            let wanted = atoms.len() as i64;
            conditions_apart(self.rows.resolved, &atoms)?;
            let load = Load::conditions(&self.rows, &atoms);
            let lane = self
                .output(&load, None)
                .ok_or_else(|| no_room(&step, &column.name))?;
            Some((lane, wanted))
        };
        Ok(AnswerColumn {
            name: column.name.clone(),
            kind: column.kind.clone(),
            content: Content::Value {
                value: recombined(linear, parts, filled),
                presence,
            },
        })
    }

    /// What is made of bits of another frame's rows is not at hand.
    fn check_sides<'a>(
        &self,
        column: &TableColumn,
        mut atoms: impl Iterator<Item = &'a Atom>,
    ) -> Result<(), PlanError> {
        let resolved = self.rows.resolved;
        let is_other = |atom: &Atom| match atom {
            Atom::Function(diagram) => resolved.sides(*diagram).iter().any(|side| *side > 0),
            _ => false,
        };
        if !atoms.any(is_other) {
            return Ok(());
        }
        Err(PlanError::NotLevelled {
            step: StepName {
                number: 0,
                what: "select",
            },
            problem: format!(
                "column {:?} is a function of a column that the server looks up",
                column.name
            ),
            refresh: "select the looked-up column and compute the function of the decrypted answer"
                .into(),
        })
    }

    /// Whether a row remains.
    fn kept(&mut self) -> Result<Option<(Lane, i64)>, PlanError> {
        let resolved = self.rows.resolved;
        let joins = resolved.joins.iter().enumerate();
        let atoms: Vec<Atom> = joins
            .filter(|(_, join)| join.inner)
            .map(|(join, _)| Atom::Matched(join))
            .collect();
        let filter = resolved.filters[0];
        if atoms.is_empty() && filter.is_none() {
            return Ok(None);
        }
        for (index, join) in resolved.joins.iter().enumerate() {
            if join.inner && join.lookup.is_none() {
                return Err(no_lookup(resolved, index));
            }
        }
        let wanted = atoms.len().max(1) as i64;
        conditions_apart(resolved, &atoms)?;
        let load = if atoms.is_empty() {
            Load::one()
        } else {
            Load::conditions(&self.rows, &atoms)
        };
        let step = StepName {
            number: 0,
            what: "scan",
        };
        let lane = self
            .output(&load, filter)
            .ok_or_else(|| no_room(&step, "kept"))?;
        Ok(Some((lane, wanted)))
    }

    /// A number of every row, where a condition holds.
    fn output(&mut self, load: &Load, filter: Option<Diagram>) -> Option<Lane> {
        let lane = load.lane(self.nodes.len(), 0, 1)?;
        let mut node = self.rows.load(load, lane.unit, false);
        if let Some(filter) = filter {
            node = self.rows.masked(node, filter);
        }
        self.nodes.push((node, 1));
        Some(lane)
    }
}

/// That a merge has nothing to look up.
pub(super) fn no_lookup(resolved: &Resolved<'_>, join: usize) -> PlanError {
    let names = resolved.joins[join].right_keys.iter();
    let names: Vec<&str> = names
        .map(|key| resolved.frames[join + 1].columns()[*key].name.as_str())
        .collect();
    PlanError::Invalid {
        step: resolved.joins[join].step.clone(),
        problem: format!(
            "frame {:?} has no look-up by {names:?}; add one to its schema and encrypt it again",
            resolved.frames[join + 1].name()
        ),
    }
}

/// Refuses several conditions in one number where one of them is a number of rows: that could not be
/// told from others that hold.
fn conditions_apart(resolved: &Resolved<'_>, atoms: &[Atom]) -> Result<(), PlanError> {
    let joins = atoms.iter().filter_map(|atom| match atom {
        Atom::Matched(join) | Atom::Present { join, .. } => Some(*join),
        _ => None,
    });
    let mut adding = joins.filter(|join| resolved.adds_rows(*join));
    match adding.next() {
        Some(join) if atoms.len() > 1 => Err(PlanError::Invalid {
            step: resolved.joins[join].step.clone(),
            problem: format!(
                "{:?} adds rows of equal keys, and whether there are some is asked together with other conditions: aggregate, or have equal keys refused (duplicates = \"refuse\") when it is encrypted",
                resolved.frames[join + 1].name()
            ),
        }),
        _ => Ok(()),
    }
}
