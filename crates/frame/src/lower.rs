//! A resolved plan to passes.

mod atoms;
mod groups;
mod lookups;
mod pushed;
mod rows;

use crate::answer::Answer;
use crate::diagram::{Diagram, RowBit, Variable};
use crate::graph::Graph;
use crate::pass::{CircuitForm, Collect, Pass};
use crate::plan::{PlanError, StepName};
use crate::resolve::Resolved;
use crate::schema::RowInput;
use cipherfn_circuit::MAX_OUTPUTS;
use cipherfn_circuit::circuit::{NodeId, Operand, SelectorId};
use std::collections::HashMap;

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
            Some(grouped) => {
                let is_pushed = pushed::is_needed(self, grouped);
                if is_pushed {
                    pushed::lower(self, grouped, form)?
                } else {
                    match groups::lower(self, grouped, form) {
                        // A join that keeps the rows with a partner, seen from the other side.
                        Err(PlanError::NotLevelled { .. })
                            if pushed::is_possible(self, grouped) =>
                        {
                            pushed::lower(self, grouped, form)?
                        }
                        lowered => lowered?,
                    }
                }
            }
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
}

impl<'r> RowGraph<'r> {
    fn new(resolved: &'r Resolved<'r>, side: usize) -> Self {
        Self {
            resolved,
            side,
            graph: Graph::new(resolved.frames[side]),
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
