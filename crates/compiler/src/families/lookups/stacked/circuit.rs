//! The circuit of trees over numbers: numbers, what is left of them beyond thresholds, choices from the
//! leaves to the root.
//!
//! A CMUX is linear, so trees that ask the same at the root are one: `z ? a : b` plus `z ? c : d` is
//! `z ? a + c : b + d`, and so on down.

use super::super::circuit::{Constants, back, torus};
use super::super::layers::BootstrapPart;
use super::forms::{self, FittedForms};
use super::problem::StackedProblem;
use crate::append::append;
use crate::model::TreeNode;
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Choice, Combination, InputId, Lookup, Node, NodeId, Operand, Output, Rotated, SelectorId,
    Table, Turn, Weighted,
};
use cipherfn_protocol::specs::{Bits, Gadget};
use std::collections::{BTreeMap, HashMap};

/// What a looked up form is, in parts of the torus: plus or minus.
const AMPLITUDE: f64 = 0.25;

/// What a circuit is made of.
pub(super) struct StackedCircuit<'a> {
    pub(super) problem: &'a StackedProblem<'a>,
    pub(super) of: BootstrapPart,
    /// Of the selectors that are made of numbers.
    pub(super) gadget: Gadget,
    pub(super) forms: Option<&'a FittedForms>,
    pub(super) reply_bits: Bits,
}

/// Torus values by coefficient.
type Leaf = BTreeMap<u32, u64>;

/// What is made so far.
struct StackedNodes<'a> {
    problem: &'a StackedProblem<'a>,
    gadget: Gadget,
    all: Vec<Node>,
    constants: Constants,
    /// For each comparison, what is positive where it holds.
    numbers: Vec<Option<NodeId>>,
    known: HashMap<Choice, NodeId>,
}

impl StackedCircuit<'_> {
    /// With the number of choices in it.
    pub(super) fn circuit(&self) -> (Circuit, u32) {
        let (problem, backend) = (self.problem, self.problem.setting.backend);
        let mut circuit = Circuit {
            parameter_set: backend.set.name.to_owned(),
            bootstrap: None,
            inputs: Vec::new(),
            constants: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
        };
        if let Some(forms) = self.forms {
            circuit
                .inputs
                .push(backend.bits(forms.selectors, forms::GADGET));
        }
        let mut results = Vec::new();
        for score in &problem.scored {
            append(&mut circuit, score.plan.circuit.clone());
            // It stays here.
            results.extend(circuit.outputs.pop().map(|output| output.node));
        }
        let mut nodes = StackedNodes {
            problem,
            gadget: self.gadget,
            all: circuit.nodes,
            constants: Constants::default(),
            numbers: Vec::new(),
            known: HashMap::new(),
        };
        nodes.constants.all = circuit.constants;
        for place in 0..problem.model.comparisons.len() {
            let number = match problem.of_score[place] {
                Some(score) => Some(nodes.compared(place, score, results[score])),
                None => self.forms.and_then(|forms| nodes.looked_up(place, forms)),
            };
            nodes.numbers.push(number);
        }
        let root = nodes.root();
        let choices = nodes.known.len() as u32;
        let output = Output {
            node: root,
            coefficients: problem.model.trees.scores as u32,
            stride: 1,
            reply_bits: self.reply_bits,
        };
        let circuit = Circuit {
            // Bootstraps of numbers that another part was planned for take this one as well.
            bootstrap: Some(self.of.part.name.to_owned()),
            constants: nodes.constants.all,
            nodes: nodes.all,
            outputs: vec![output],
            ..circuit
        };
        (circuit, choices)
    }
}

impl StackedNodes<'_> {
    fn push(&mut self, node: Node) -> NodeId {
        self.all.push(node);
        NodeId(self.all.len() as u32 - 1)
    }

    /// A score less the threshold.
    fn compared(&mut self, place: usize, score: usize, result: NodeId) -> NodeId {
        let score = &self.problem.scored[score];
        let threshold = self.problem.model.comparisons[place].threshold;
        let constant = torus(-score.phase(threshold));
        let constant = Some(self.constants.id(vec![(0, constant)]));
        self.push(Node::Combination(Combination {
            constant,
            terms: vec![whole(result)],
        }))
    }

    /// A form of the row: a quarter where it is above the threshold, else minus that.
    fn looked_up(&mut self, place: usize, forms: &FittedForms) -> Option<NodeId> {
        let unit = forms.units[place].as_ref()?;
        let size = self.problem.setting.backend.set.ring.polynomial_size as u32;
        let step = (0..size).map(|entry| (entry, torus(AMPLITUDE))).collect();
        let table = Table::Constant(self.constants.id(step));
        let turn = |(index, turn): &(u32, i64)| Turn {
            selector: SelectorId {
                input: InputId(0),
                index: *index,
            },
            rotation: back(*turn, size),
        };
        Some(self.push(Node::Lookup(Lookup {
            table,
            rotation: back(unit.start, size),
            form: unit.turns.iter().map(turn).collect(),
        })))
    }

    /// The sum of all trees.
    fn root(&mut self) -> NodeId {
        let problem = self.problem;
        let bases = problem.phases(&problem.model.trees.base);
        let mut constant = Leaf::new();
        for (score, base) in (0..).zip(bases) {
            constant.insert(score, torus(base));
        }
        let trees = 0..problem.model.trees.trees.len();
        let roots: Vec<(usize, u32)> = trees.map(|tree| (tree, 0)).collect();
        let (constant, terms) = self.sum(&roots, constant);
        let constant = Some(self.constants.id(constant.into_iter().collect()));
        self.push(Node::Combination(Combination { constant, terms }))
    }

    /// The sum of subtrees, each a tree and its node, as something to choose.
    fn operand(&mut self, subtrees: &[(usize, u32)]) -> Operand {
        let (constant, terms) = self.sum(subtrees, Leaf::new());
        let constant: Vec<(u32, u64)> = constant.into_iter().filter(|own| own.1 != 0).collect();
        match (constant.is_empty(), terms.as_slice()) {
            (true, []) => Operand::Zero,
            (false, []) => Operand::Constant(self.constants.id(constant)),
            (true, [only]) if only.weight == 1 => Operand::Node(only.node),
            (is_zero, _) => {
                let constant = (!is_zero).then(|| self.constants.id(constant));
                let node = self.push(Node::Combination(Combination { constant, terms }));
                Operand::Node(Rotated { node, rotation: 0 })
            }
        }
    }

    fn sum(&mut self, subtrees: &[(usize, u32)], mut constant: Leaf) -> (Leaf, Vec<Weighted>) {
        let problem = self.problem;
        let mut asked: BTreeMap<u32, [Vec<(usize, u32)>; 2]> = BTreeMap::new();
        for &(tree, node) in subtrees {
            match &problem.model.trees.trees[tree].nodes[node as usize] {
                TreeNode::Leaf(values) => {
                    for (score, value) in values {
                        let own = torus(value / problem.sums.scales[*score as usize]);
                        let sum = constant.entry(*score).or_default();
                        *sum = sum.wrapping_add(own);
                    }
                }
                TreeNode::Split {
                    feature, yes, no, ..
                } => {
                    let [clear, set] = asked.entry(*feature).or_default();
                    clear.push((tree, *no));
                    set.push((tree, *yes));
                }
            }
        }
        let mut terms: BTreeMap<NodeId, i64> = BTreeMap::new();
        for (comparison, sides) in asked {
            let [clear, set] = sides.map(|side| self.operand(&side));
            let chosen = match self.numbers[comparison as usize] {
                Some(number) if clear != set => {
                    let node = self.choice(number, clear, set);
                    Operand::Node(Rotated { node, rotation: 0 })
                }
                // Both sides are alike.
                _ => clear,
            };
            match chosen {
                Operand::Zero => {}
                Operand::Constant(id) => {
                    for (score, own) in &self.constants.all[id.index()].0 {
                        let sum = constant.entry(*score).or_default();
                        *sum = sum.wrapping_add(*own);
                    }
                }
                Operand::Node(own) => *terms.entry(own.node).or_default() += 1,
            }
        }
        let terms = terms.into_iter().map(|(node, weight)| Weighted {
            weight,
            ..whole(node)
        });
        (constant, terms.collect())
    }

    fn choice(&mut self, number: NodeId, clear: Operand, set: Operand) -> NodeId {
        let choice = Choice {
            of: Rotated {
                node: number,
                rotation: 0,
            },
            gadget: self.gadget,
            clear,
            set,
        };
        if let Some(known) = self.known.get(&choice) {
            return *known;
        }
        let node = self.push(Node::Choice(choice));
        self.known.insert(choice, node);
        node
    }
}

/// A node as it is.
const fn whole(node: NodeId) -> Weighted {
    Weighted {
        node: Rotated { node, rotation: 0 },
        weight: 1,
    }
}
