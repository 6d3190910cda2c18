//! Circuits in parts: smaller circuits over the same inputs whose results add up to the whole's.
//!
//! A result is a sum of terms: CMUXes, other values, a constant. A [`Cut`] gives each term to a part,
//! so a part's result is the sum of its own ones, and all results added, coefficient by coefficient
//! on the torus and *before* anything is rounded to fewer bits, are the whole's: the same products of
//! the same selectors with the same ciphertexts, and so the same bound on the noise. A value that
//! terms of several parts read is computed in each of them, and carries the same error into each, as
//! it does where it is computed once.
//!
//! Trees that begin with the same selector are one term, as merging them saves CMUXes.

use crate::circuit::{
    Circuit, ConstantId, Node, NodeId, Operand, Rotated, Select, SelectorId, Sum, Table,
};
use crate::validate::CircuitError;
use std::cmp::Reverse;
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

/// Most nodes that are visited to cut a circuit, over all terms and parts: a second or so. Terms of
/// forests share few nodes: for 16 parts of the one with 340,000, six million are visited.
const MAX_VISITS: u64 = 1 << 26;

/// Levels of packing: log2 N of the usual ring.
const PACK_LEVELS: u64 = 11;

/// What evaluation takes, in any unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartCosts {
    /// A CMUX between ciphertexts.
    pub cmux: u64,
    /// A CMUX between constants.
    pub choice: u64,
    /// A product of weights and a feature vector.
    pub product: u64,
    /// A bootstrap.
    pub bootstrap: u64,
    /// To expand a selector of each input.
    pub selector: Vec<u64>,
}

/// Which part has which terms of a circuit's results. The same circuit, costs and number of parts
/// give the same cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    parts: u32,
    /// The part of each term, in the order of the terms.
    part_of: Vec<u32>,
    /// What each part takes.
    costs: Vec<u64>,
}

/// A term of the result of an output.
#[derive(Clone, Copy, Debug)]
struct Term {
    output: usize,
    summand: Summand,
}

#[derive(Clone, Copy, Debug)]
enum Summand {
    Constant(ConstantId),
    Value(Rotated),
    Select(Select),
}

impl Cut {
    /// Cuts a checked circuit into `parts` parts that take about the same and share little. The
    /// terms that take most come first, each to the part that is left with the least.
    pub fn new(circuit: &Circuit, parts: u32, costs: &PartCosts) -> Result<Self, CircuitError> {
        let parts = parts.max(1);
        let terms: Vec<Term> = terms(circuit).collect();
        let mut reach = Reach::new(circuit, costs);
        let mut order = Vec::with_capacity(terms.len());
        for (index, term) in terms.iter().enumerate() {
            order.push((Reverse(reach.adds(term, &Part::default())?.cost), index));
        }
        order.sort_unstable();
        let mut groups = vec![Part::default(); parts as usize];
        let mut part_of = vec![0; terms.len()];
        for (_, index) in order {
            let mut best: Option<(u64, usize, Added)> = None;
            for (number, group) in groups.iter().enumerate() {
                let added = reach.adds(&terms[index], group)?;
                let total = group.cost + added.cost;
                if best.as_ref().is_none_or(|(least, ..)| total < *least) {
                    best = Some((total, number, added));
                }
            }
            let Some((total, number, added)) = best else {
                continue;
            };
            part_of[index] = number as u32;
            groups[number].take(total, &added);
        }
        Ok(Self {
            parts,
            part_of,
            costs: groups.iter().map(|group| group.cost).collect(),
        })
    }

    /// Number of parts.
    pub const fn parts(&self) -> u32 {
        self.parts
    }

    /// What each part takes, in the unit of the costs.
    pub fn costs(&self) -> &[u64] {
        &self.costs
    }

    /// Names the cut: number of parts, then the part of every term. Parts of cuts that differ here do
    /// not add up.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = std::iter::once(&self.parts).chain(&self.part_of);
        numbers.flat_map(|number| number.to_le_bytes()).collect()
    }

    /// The part of this number of the circuit that was cut: the terms that it has, and what they
    /// read.
    pub fn part(&self, circuit: &Circuit, number: u32) -> Circuit {
        let mut sums = vec![Sum::default(); circuit.outputs.len()];
        let own = terms(circuit).zip(&self.part_of);
        for (term, _) in own.filter(|(_, part)| **part == number) {
            let sum = &mut sums[term.output];
            match term.summand {
                Summand::Constant(id) => sum.constant = Some(id),
                Summand::Value(rotated) => sum.addends.push(rotated),
                Summand::Select(select) => sum.selects.push(select),
            }
        }
        let mut needed = vec![false; circuit.nodes.len()];
        let mut need = |rotated: Rotated| needed[rotated.node.index()] = true;
        sums.iter().flat_map(Sum::reads).for_each(&mut need);
        for (index, node) in circuit.nodes.iter().enumerate().rev() {
            if needed[index] {
                node.reads()
                    .for_each(|rotated| needed[rotated.node.index()] = true);
            }
        }
        let mut places = vec![NodeId(0); circuit.nodes.len()];
        let mut nodes = Vec::new();
        for (index, node) in circuit.nodes.iter().enumerate() {
            if needed[index] {
                places[index] = NodeId(nodes.len() as u32);
                let mut node = node.clone();
                node.place(&places);
                nodes.push(node);
            }
        }
        let outputs = circuit.outputs.iter().zip(sums).map(|(output, mut sum)| {
            sum.place(&places);
            nodes.push(Node::Sum(sum));
            let node = NodeId(nodes.len() as u32 - 1);
            crate::circuit::Output { node, ..*output }
        });
        let outputs = outputs.collect();
        let bootstraps = nodes.iter().any(Node::is_bootstrapped);
        Circuit {
            parameter_set: circuit.parameter_set.clone(),
            bootstrap: circuit.bootstrap.clone().filter(|_| bootstraps),
            inputs: circuit.inputs.clone(),
            constants: circuit.constants.clone(),
            nodes,
            outputs,
        }
    }
}

/// The terms of all outputs, in order.
fn terms(circuit: &Circuit) -> impl Iterator<Item = Term> {
    let outputs = circuit.outputs.iter().enumerate();
    outputs.flat_map(|(output, of)| {
        let (sum, whole) = match &circuit.nodes[of.node.index()] {
            Node::Sum(sum) => (Some(sum), None),
            // Whatever is no sum is one term.
            _ => (
                None,
                Some(Rotated {
                    node: of.node,
                    rotation: 0,
                }),
            ),
        };
        let constant = sum.and_then(|sum| sum.constant).map(Summand::Constant);
        let addends = sum.map_or(&[][..], |sum| &sum.addends).iter().copied();
        let selects = sum.map_or(&[][..], |sum| &sum.selects).iter().copied();
        let values = whole.into_iter().chain(addends).map(Summand::Value);
        let summands = constant.into_iter().chain(values);
        summands
            .chain(selects.map(Summand::Select))
            .map(move |summand| Term { output, summand })
    })
}

impl Node {
    /// Names nodes by their new places.
    fn place(&mut self, places: &[NodeId]) {
        let place = |rotated: &mut Rotated| rotated.node = places[rotated.node.index()];
        match self {
            Self::Sum(sum) => sum.place(places),
            Self::Combination(combination) => {
                let terms = combination.terms.iter_mut();
                terms.map(|term| &mut term.node).for_each(place);
            }
            Self::Pack(pack) => pack.items.iter_mut().for_each(place),
            Self::Lookup(lookup) => {
                if let Table::Node(node) = &mut lookup.table {
                    *node = places[node.index()];
                }
            }
            Self::Bootstrap(bootstrap) => place(&mut bootstrap.of),
            Self::Choice(choice) => {
                place(&mut choice.of);
                for side in [&mut choice.clear, &mut choice.set] {
                    side.place(places);
                }
            }
            Self::Product(_) | Self::Carrier(_) => {}
        }
    }
}

impl Sum {
    /// Names nodes by their new places.
    fn place(&mut self, places: &[NodeId]) {
        let place = |rotated: &mut Rotated| rotated.node = places[rotated.node.index()];
        self.addends.iter_mut().for_each(place);
        for select in &mut self.selects {
            for side in [&mut select.clear, &mut select.set] {
                side.place(places);
            }
        }
    }
}

impl Operand {
    /// Names its node by its new place.
    fn place(&mut self, places: &[NodeId]) {
        if let Self::Node(rotated) = self {
            rotated.node = places[rotated.node.index()];
        }
    }
}

/// What a part has to compute.
#[derive(Clone, Debug, Default)]
struct Part {
    cost: u64,
    nodes: Bits,
    selectors: BTreeSet<SelectorId>,
}

/// What a term adds to that.
#[derive(Debug, Default)]
struct Added {
    cost: u64,
    nodes: Vec<NodeId>,
    selectors: Vec<SelectorId>,
}

impl Part {
    fn take(&mut self, cost: u64, added: &Added) {
        self.cost = cost;
        added.nodes.iter().for_each(|node| self.nodes.set(*node));
        self.selectors.extend(&added.selectors);
    }
}

/// Nodes.
#[derive(Clone, Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn has(&self, node: NodeId) -> bool {
        let word = self.0.get(node.index() / 64);
        word.is_some_and(|word| word >> (node.index() % 64) & 1 == 1)
    }

    fn set(&mut self, node: NodeId) {
        let word = node.index() / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (node.index() % 64);
    }
}

/// What terms read.
struct Reach<'a> {
    circuit: &'a Circuit,
    costs: &'a PartCosts,
    /// The walk that came by last, of each node.
    seen: Vec<u32>,
    walk: u32,
    visits: u64,
}

impl<'a> Reach<'a> {
    fn new(circuit: &'a Circuit, costs: &'a PartCosts) -> Self {
        Self {
            circuit,
            costs,
            seen: vec![0; circuit.nodes.len()],
            walk: 0,
            visits: 0,
        }
    }

    /// What a part has to compute in addition for this term.
    fn adds(&mut self, term: &Term, part: &Part) -> Result<Added, CircuitError> {
        self.walk += 1;
        let mut added = Added::default();
        let mut selectors = BTreeSet::new();
        let mut stack = Vec::new();
        match term.summand {
            Summand::Constant(_) => {}
            Summand::Value(rotated) => stack.push(rotated.node),
            Summand::Select(select) => {
                added.cost += self.cmux(&select);
                selectors.insert(select.selector);
                stack.extend(operands(&select));
            }
        }
        while let Some(node) = stack.pop() {
            let seen = std::mem::replace(&mut self.seen[node.index()], self.walk);
            if seen == self.walk || part.nodes.has(node) {
                continue;
            }
            self.visits += 1;
            added.nodes.push(node);
            let of = &self.circuit.nodes[node.index()];
            match of {
                Node::Product(_) => added.cost += self.costs.product,
                Node::Lookup(lookup) => {
                    added.cost += self.costs.cmux * lookup.form.len() as u64;
                    selectors.extend(lookup.form.iter().map(|turn| turn.selector));
                }
                // Key switches, an item and a level each, of about the time of a CMUX.
                Node::Pack(pack) => {
                    added.cost += self.costs.cmux * (pack.items.len() as u64 + PACK_LEVELS);
                }
                Node::Bootstrap(_) => added.cost += self.costs.bootstrap,
                Node::Choice(choice) => {
                    let levels = u64::from(choice.gadget.levels.get());
                    let isolated = levels * PACK_LEVELS * self.costs.cmux;
                    added.cost += self.costs.bootstrap + isolated + self.costs.cmux;
                }
                Node::Sum(_) | Node::Combination(_) | Node::Carrier(_) => {}
            }
            for select in of.selects() {
                added.cost += self.cmux(select);
                selectors.insert(select.selector);
            }
            stack.extend(of.reads().map(|rotated| rotated.node));
        }
        if self.visits > MAX_VISITS {
            return Err(CircuitError::TooLarge {
                unit: "node visits of cutting it into parts",
                limit: MAX_VISITS,
            });
        }
        let selectors = selectors.into_iter();
        added.selectors = selectors
            .filter(|selector| !part.selectors.contains(selector))
            .collect();
        let expansion = |selector: &SelectorId| self.costs.selector[selector.input.index()];
        added.cost += added.selectors.iter().map(expansion).sum::<u64>();
        Ok(added)
    }

    fn cmux(&self, select: &Select) -> u64 {
        match operands(select).next() {
            Some(_) => self.costs.cmux,
            None => self.costs.choice,
        }
    }
}

fn operands(select: &Select) -> impl Iterator<Item = NodeId> {
    let nodes = [select.clear, select.set].into_iter();
    nodes.filter_map(|operand| Some(operand.node()?.node))
}
