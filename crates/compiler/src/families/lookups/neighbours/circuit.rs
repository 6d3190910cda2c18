//! The circuit of nearest neighbours.

use super::super::circuit::{Constants, back, output, torus};
use super::super::layer::Unit;
use super::choice::NeighbourChoice;
use super::places::DistanceSteps;
use super::problem::NeighbourProblem;
use super::rounds::Round;
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Bootstrap, Combination, ConstantId, InputId, Lookup, Node, NodeId, Pack, Rotated, SelectorId,
    Table, Turn, Weighted,
};

/// Nodes so far.
struct NeighbourNodes {
    size: u32,
    /// Entries of a bootstrap's table.
    entries: u32,
    constants: Constants,
    all: Vec<Node>,
}

impl NeighbourChoice {
    pub(super) fn circuit(&self, problem: &NeighbourProblem<'_>) -> Circuit {
        let backend = problem.setting.backend;
        let size = backend.set.ring.polynomial_size as u32;
        let selectors = self.grid.iter().map(|own| own.bits).sum();
        let mut nodes = NeighbourNodes {
            size,
            entries: self.of.bootstrap.output.polynomial_size as u32,
            constants: Constants::default(),
            all: Vec::new(),
        };
        // A candidate's vote is half a step of the second round: a step function has it twice.
        let half = 0.5 * self.rounds.candidates.step();
        let candidates = nodes.candidates(&self.coarse, &self.rounds.all, half);
        let votes = nodes.votes(
            &self.fine,
            &self.rounds.candidates,
            &candidates,
            self.votes.amplitude,
        );
        let scores = self.votes.sums.weights.iter();
        let items: Vec<Rotated> = scores
            .map(|weights| {
                let terms = votes.iter().zip(weights);
                let terms = terms.filter(|(_, weight)| **weight != 0);
                let terms = terms.map(|(vote, weight)| weighted(*vote, 0, *weight));
                plain(nodes.combination(None, terms.collect()))
            })
            .collect();
        let output = output(items, size, self.budget.reply_bits, |node| nodes.push(node));
        Circuit {
            parameter_set: backend.set.name.to_owned(),
            bootstrap: Some(self.of.part.name.to_owned()),
            inputs: vec![backend.bits(selectors, self.gadget)],
            constants: nodes.constants.all,
            nodes: nodes.all,
            outputs: vec![output],
        }
    }
}

impl NeighbourNodes {
    /// One a point: whether it is among somewhat more than the nearest.
    fn candidates(&mut self, places: &DistanceSteps, round: &Round, amplitude: f64) -> Vec<NodeId> {
        let half = torus(0.5 * round.step());
        // Minus a half where nothing is nearer: at the point itself, and at those as far away.
        let steps = (1..self.size).map(|at| (at, half));
        let steps = self.constants.id([(0, half.wrapping_neg())]
            .into_iter()
            .chain(steps)
            .collect());
        let table = Table::Constant(steps);
        let histogram = self.histogram(places.units.iter().map(|unit| (unit, table)));
        // All points are a half below what the constant coefficient says.
        let above = round.place(0.5 * places.units.len() as f64);
        let constant = self.number(above);
        let table = self.threshold(round, amplitude);
        let units = places.units.iter();
        units
            .map(|unit| {
                let rank = self.turned(Table::Node(histogram), unit, Turned::Back);
                let number = self.combination(Some(constant), vec![weighted(rank, 0, 1)]);
                self.bootstrap(number, table)
            })
            .collect()
    }

    /// One a point: whether it is among the nearest of the candidates.
    fn votes(
        &mut self,
        places: &DistanceSteps,
        round: &Round,
        candidates: &[NodeId],
        amplitude: f64,
    ) -> Vec<NodeId> {
        let isolated: Vec<NodeId> = candidates
            .iter()
            .map(|candidate| self.push(Node::Pack(Pack::of_constants(vec![plain(*candidate)]))))
            .collect();
        let steps: Vec<NodeId> = isolated.iter().map(|own| self.steps(*own)).collect();
        let tables = places.units.iter().zip(&steps);
        let histogram = self.histogram(tables.map(|(unit, own)| (unit, Table::Node(*own))));
        let all = isolated.iter().map(|own| weighted(*own, 0, 1)).collect();
        let all = self.combination(None, all);
        // What is no candidate ranks behind all that have a vote; a candidate's vote is half a step.
        let behind = round.below as i64;
        let constant = self.number(round.place(behind as f64));
        let table = self.threshold(round, amplitude);
        let units = places.units.iter().zip(&isolated);
        units
            .map(|(unit, own)| {
                let rank = self.turned(Table::Node(histogram), unit, Turned::Back);
                let terms = vec![
                    weighted(rank, 0, 1),
                    weighted(all, 0, 1),
                    weighted(*own, 0, -2 * behind),
                ];
                let number = self.combination(Some(constant), terms);
                self.bootstrap(number, table)
            })
            .collect()
    }

    /// The sum of tables, each at its point's distance.
    fn histogram<'u>(&mut self, tables: impl Iterator<Item = (&'u Unit, Table)>) -> NodeId {
        let terms =
            tables.map(|(unit, table)| weighted(self.turned(table, unit, Turned::On), 0, 1));
        let terms = terms.collect();
        self.combination(None, terms)
    }

    /// An isolated number c times minus one at place 0 and one at all others: doubled log2 N times
    /// it is c everywhere.
    fn steps(&mut self, number: NodeId) -> NodeId {
        let mut sum = number;
        for level in 0..self.size.ilog2() {
            let terms = vec![weighted(sum, 0, 1), weighted(sum, 1 << level, 1)];
            sum = self.combination(None, terms);
        }
        self.combination(None, vec![weighted(sum, 0, 1), weighted(number, 0, -2)])
    }

    fn turned(&mut self, table: Table, unit: &Unit, turned: Turned) -> NodeId {
        let size = self.size;
        let rotation = |places: i64| match turned {
            Turned::On => back(-places, size),
            Turned::Back => back(places, size),
        };
        let turn = |(index, turn): &(u32, i64)| Turn {
            selector: SelectorId {
                input: InputId(0),
                index: *index,
            },
            rotation: rotation(*turn),
        };
        self.push(Node::Lookup(Lookup {
            table,
            rotation: rotation(unit.start),
            form: unit.turns.iter().map(turn).collect(),
        }))
    }

    /// The table of a round's votes.
    fn threshold(&mut self, round: &Round, amplitude: f64) -> ConstantId {
        let entries = self.entries;
        let middle = |entry: u32| (f64::from(entry) + 0.5) / (2.0 * f64::from(entries));
        let votes = (0..entries).filter(|entry| middle(*entry) < round.threshold());
        self.constants
            .id(votes.map(|entry| (entry, torus(amplitude))).collect())
    }

    fn number(&mut self, value: f64) -> ConstantId {
        self.constants.id(vec![(0, torus(value))])
    }

    fn bootstrap(&mut self, of: NodeId, table: ConstantId) -> NodeId {
        let of = plain(of);
        self.push(Node::Bootstrap(Bootstrap { of, table }))
    }

    fn combination(&mut self, constant: Option<ConstantId>, terms: Vec<Weighted>) -> NodeId {
        self.push(Node::Combination(Combination { constant, terms }))
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.all.push(node);
        NodeId(self.all.len() as u32 - 1)
    }
}

/// Which way a point's distance turns.
#[derive(Clone, Copy)]
enum Turned {
    /// A step to where the point is.
    On,
    /// A histogram so that the point's own place is in front.
    Back,
}

const fn plain(node: NodeId) -> Rotated {
    Rotated { node, rotation: 0 }
}

const fn weighted(node: NodeId, rotation: u32, weight: i64) -> Weighted {
    Weighted {
        node: Rotated { node, rotation },
        weight,
    }
}
