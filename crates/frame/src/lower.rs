//! A resolved plan to passes.

mod atoms;
mod collect;
mod groups;
mod hidden;
mod load;
mod lookups;
mod pairs;
mod partner;
mod pushed;
mod rows;

use crate::answer::Answer;
use crate::diagram::{Diagram, RowBit, Variable};
use crate::graph::Graph;
use crate::pass::{CircuitForm, Collect, Pass};
use crate::plan::{PlanError, StepName};
use crate::resolve::{Grouped, Resolved};
use crate::schema::RowInput;
use cipherfn_circuit::MAX_OUTPUTS;
use cipherfn_circuit::circuit::{NodeId, Operand, SelectorId};
use std::collections::{BTreeSet, HashMap};

/// What a plan becomes: passes in order, the last of which has the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Passes {
    /// Names of the frames that passes go over and read tables of.
    pub frames: Vec<String>,
    /// The passes.
    pub passes: Vec<Pass>,
    /// How the last one's results become columns.
    pub answer: Answer,
}

impl Resolved<'_> {
    /// Makes circuits of it.
    pub fn lower(&self, form: &CircuitForm) -> Result<Passes, PlanError> {
        let (passes, answer) = match &self.grouped {
            None => rows::lower(self, form)?,
            Some(grouped) => match self.groups(grouped, form) {
                Err(error @ PlanError::NotLevelled { .. }) => match self.with_chosen_partners() {
                    Some(chosen) => chosen.groups(grouped, form)?,
                    None => return Err(error),
                },
                lowered => lowered?,
            },
        };
        let outputs = passes.iter().map(|pass| pass.circuit.outputs.len());
        let outputs = outputs.max().unwrap_or_default();
        if outputs as u64 > MAX_OUTPUTS {
            return Err(self.too_many(outputs));
        }
        Ok(Passes {
            frames: self
                .frames
                .iter()
                .map(|frame| frame.name().to_owned())
                .collect(),
            passes,
            answer,
        })
    }

    fn groups(
        &self,
        grouped: &Grouped,
        form: &CircuitForm,
    ) -> Result<(Vec<Pass>, Answer), PlanError> {
        if pushed::is_needed(self, grouped) {
            return pushed::lower(self, grouped, form);
        }
        match groups::lower(self, grouped, form) {
            // A join that keeps the rows with a partner, seen from the other side.
            Err(PlanError::NotLevelled { .. }) if pushed::is_possible(self, grouped) => {
                pushed::lower(self, grouped, form)
            }
            lowered => lowered,
        }
    }

    /// The same where rows without partner in a table in the clear are left out by their keys, and not
    /// by a number that is looked up; nothing where no such row is left out.
    fn with_chosen_partners(&self) -> Option<Self> {
        let mut chosen = self.clone();
        let inner = 0..self.joins.len();
        let inner = inner.filter(|join| self.joins[*join].inner && self.is_clear(join + 1));
        let inner: Vec<usize> = inner.collect();
        for join in &inner {
            let so_far = chosen.filters[0].unwrap_or(Diagram::Terminal(1));
            let there = chosen.diagrams.bit(join + 1, RowBit::Live).ok()?;
            let both = chosen.diagrams.both(so_far, there, |one, other| {
                i64::from(one == 1 && other == 1)
            });
            chosen.filters[0] = Some(both.ok()?);
            chosen.joins[*join].inner = false;
        }
        (!inner.is_empty()).then_some(chosen)
    }

    /// That a circuit would have so many outputs, by the step that asks for them.
    fn too_many(&self, outputs: usize) -> PlanError {
        let mut steps = self.outline.iter().map(|outline| &outline.step);
        let step = match &self.grouped {
            Some(grouped) => Some(&grouped.step),
            None => steps.rfind(|step| step.what == "select"),
        };
        let scan = StepName {
            number: 0,
            what: "scan",
        };
        PlanError::Invalid {
            step: step.cloned().unwrap_or(scan),
            problem: format!(
                "its result takes {outputs} outputs of a circuit (one a column's limb, and one for its missing cells), at most {MAX_OUTPUTS} are possible; select fewer columns, and have the others by a query of their own"
            ),
        }
    }
}

/// A pass under construction, over the rows of one of the frames.
struct RowGraph<'r> {
    resolved: &'r Resolved<'r>,
    /// Whose rows.
    side: usize,
    graph: Graph<'r>,
    /// Tables in the clear of which cells were made up.
    assumed: BTreeSet<usize>,
    /// Whether weights of a model were.
    assumed_weights: bool,
}

impl<'r> RowGraph<'r> {
    fn new(resolved: &'r Resolved<'r>, side: usize) -> Self {
        Self {
            resolved,
            side,
            graph: Graph::new(resolved.frames[side]),
            assumed: BTreeSet::new(),
            assumed_weights: false,
        }
    }

    /// The value that a function of bits has among those that `leaf` makes of its values.
    fn choose(
        &mut self,
        diagram: Diagram,
        leaf: &mut impl FnMut(&mut Self, i64) -> Operand,
    ) -> Operand {
        self.choose_known(diagram, leaf, &mut HashMap::new())
    }

    fn choose_known(
        &mut self,
        diagram: Diagram,
        leaf: &mut impl FnMut(&mut Self, i64) -> Operand,
        known: &mut HashMap<u32, Operand>,
    ) -> Operand {
        let node = match diagram {
            Diagram::Terminal(value) => return leaf(self, value),
            Diagram::Node(node) => node,
        };
        if let Some(operand) = known.get(&node) {
            return *operand;
        }
        let question = self.resolved.diagrams.question(node);
        if self.resolved.is_clear(question.variable.side) {
            let operand = self.choose_by_partner(node, leaf, known);
            known.insert(node, operand);
            return operand;
        }
        let clear = self.choose_known(question.clear, leaf, known);
        let set = self.choose_known(question.set, leaf, known);
        let selector = self.selector(question.variable);
        let operand = self.graph.choice(selector, clear, set);
        known.insert(node, operand);
        operand
    }

    /// `node` where a function of bits is 1, zero elsewhere.
    fn masked(&mut self, node: NodeId, condition: Diagram) -> NodeId {
        let chosen = self.choose(condition, &mut |_, value| {
            if value == 1 {
                crate::graph::node_operand(node)
            } else {
                Operand::Zero
            }
        });
        self.graph.operand(chosen)
    }

    fn selector(&mut self, variable: Variable) -> SelectorId {
        match variable.of {
            RowBit::Live => self.graph.bit(RowInput::Live, 0),
            RowBit::Presence(column) => self.graph.bit(RowInput::Presence(column), 0),
            RowBit::Code { column, down } => {
                self.graph.bit(RowInput::Code(column), RowBit::bit(down))
            }
        }
    }

    fn finish(self, outputs: &[(NodeId, u32)], collect: Collect, form: &CircuitForm) -> Pass {
        let (inputs, tables, circuit) = self.graph.finish(outputs, form);
        Pass {
            over: self.side,
            inputs,
            tables,
            circuit,
            collect,
            assumed: self.assumed.into_iter().collect(),
            assumed_weights: self.assumed_weights,
        }
    }
}

/// That integers have no room in a coefficient.
fn no_room(step: &StepName, name: &str) -> PlanError {
    PlanError::Invalid {
        step: step.clone(),
        problem: format!(
            "the numbers of column {name:?} become too large for a coefficient; encrypt it with smaller limbs (limb-bits), or multiply by a smaller factor"
        ),
    }
}
