//! Sums of multiplexers, merged from the root.
//!
//! A score is the sum of all trees, and a CMUX is linear: the sum of CMUXes of one selector is one
//! CMUX of sums. Applied from the root down this leaves at most one CMUX a selector in every sum. A
//! sub-expression with several users is evaluated once, by itself.

use crate::families::trees::expression::{Expression, ExpressionId, Expressions};
use crate::families::trees::leaves::{Layout, WEIGHTS};
use cipherfn_circuit::circuit::{
    ConstantId, InputId, Node, NodeId, Operand, Product, Rotated, Select, SelectorId,
    Sum as Selects, Table,
};
use std::collections::{BTreeMap, HashMap};

/// The circuit's input that products weigh.
const INPUTS: InputId = InputId(1);

/// A sparse polynomial: value at each position, in units that the caller chose. Behind the
/// coefficients, from [`WEIGHTS`] on, it may have weights of inputs, whose sum it then is as well.
pub(crate) type Polynomial = BTreeMap<u32, i64>;

/// Smallest and largest value of each result coefficient.
pub(crate) type Ranges = Vec<(i64, i64)>;

/// A circuit whose constants are still in units of the caller's choice.
#[derive(Clone, Debug)]
pub(crate) struct CmuxGraph {
    /// Distinct constants.
    pub constants: Vec<Polynomial>,
    /// Nodes in topological order, the result last.
    pub nodes: Vec<Node>,
    /// Range of each result coefficient; its middle, rounded down, is zero.
    pub ranges: Ranges,
    /// What was taken off each result coefficient to that end.
    pub centre: Vec<i64>,
}

/// An addend of a graph's result.
pub(crate) struct Addend {
    /// Where the value is.
    pub value: Value,
    /// Its range.
    pub ranges: Ranges,
}

/// A polynomial, known or to be computed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Known.
    Constant(Polynomial),
    /// A node, times a monomial.
    Node(Rotated),
}

/// Builds a graph from the nodes up.
pub(crate) struct GraphBuilder {
    polynomial_size: u32,
    layout: Layout,
    constants: Vec<Polynomial>,
    constant_ids: HashMap<Polynomial, ConstantId>,
    nodes: Vec<Node>,
    node_ids: HashMap<Node, NodeId>,
}

/// A sum under construction.
#[derive(Default)]
pub(crate) struct Sum {
    constant: Polynomial,
    addends: Vec<Rotated>,
    selects: BTreeMap<u32, Select>,
}

impl GraphBuilder {
    /// For polynomials of `polynomial_size` coefficients.
    pub(crate) fn new(polynomial_size: u32, layout: Layout) -> Self {
        Self {
            polynomial_size,
            layout,
            constants: Vec::new(),
            constant_ids: HashMap::new(),
            nodes: Vec::new(),
            node_ids: HashMap::new(),
        }
    }

    /// `X^rotation * value`, with a rotation in `0 .. 2N`; the value weighs no inputs.
    pub(crate) fn rotate(&self, value: &Value, rotation: u32) -> Value {
        let n = self.polynomial_size;
        match value {
            Value::Constant(polynomial) => Value::Constant(
                polynomial
                    .iter()
                    .map(|(position, value)| match (position + rotation) % (2 * n) {
                        moved if moved < n => (moved, *value),
                        moved => (moved - n, -value),
                    })
                    .collect(),
            ),
            Value::Node(rotated) => Value::Node(Rotated {
                node: rotated.node,
                rotation: (rotated.rotation + rotation) % (2 * n),
            }),
        }
    }

    /// Adds a value to a sum.
    pub(crate) fn add(sum: &mut Sum, value: &Value) {
        match value {
            Value::Constant(polynomial) => add_polynomial(&mut sum.constant, polynomial, 1),
            Value::Node(rotated) => sum.addends.push(*rotated),
        }
    }

    /// Adds `selector ? set : clear` to a sum, in a node of its own if the sum has a CMUX of that
    /// selector already.
    pub(crate) fn add_select(&mut self, sum: &mut Sum, selector: u32, clear: &Value, set: &Value) {
        if clear == set {
            return Self::add(sum, clear);
        }
        if sum.selects.contains_key(&selector) {
            let mut own = Sum::default();
            self.add_select(&mut own, selector, clear, set);
            let value = self.value(own);
            return Self::add(sum, &value);
        }
        let select = match (clear, set) {
            (Value::Constant(clear), Value::Constant(set)) => {
                // clear + s * (set - clear): the first part needs no multiplexer.
                add_polynomial(&mut sum.constant, clear, 1);
                let mut difference = set.clone();
                add_polynomial(&mut difference, clear, -1);
                Select {
                    selector: SelectorId::first(selector),
                    clear: Operand::Zero,
                    set: self.operand(&Value::Constant(difference)),
                }
            }
            _ => Select {
                selector: SelectorId::first(selector),
                clear: self.operand(clear),
                set: self.operand(set),
            },
        };
        sum.selects.insert(selector, select);
    }

    /// The value of a sum.
    pub(crate) fn value(&mut self, sum: Sum) -> Value {
        match (
            sum.selects.is_empty(),
            sum.addends.as_slice(),
            sum.constant.is_empty(),
        ) {
            (true, [], _) => Value::Constant(sum.constant),
            (true, [only], true) => Value::Node(*only),
            _ => {
                let selects = self.selects(sum);
                Value::Node(self.push(Node::Sum(selects)))
            }
        }
    }

    /// The graph whose result is the sum of `addends`.
    pub(crate) fn finish(mut self, addends: &[Addend], coefficients: usize) -> CmuxGraph {
        let mut sum = Sum::default();
        let mut ranges = vec![(0, 0); coefficients];
        for addend in addends {
            Self::add(&mut sum, &addend.value);
            add_ranges(&mut ranges, &addend.ranges);
        }
        // A single node without other users is the result itself.
        if let ([only], true) = (sum.addends.as_slice(), sum.constant.is_empty())
            && only.rotation == 0
            && only.node.index() + 1 == self.nodes.len()
            && let Some(Node::Sum(node)) = self.nodes.pop_if(|node| node.as_sum().is_some())
        {
            sum = Sum {
                constant: node
                    .constant
                    .map_or_else(Polynomial::new, |id| self.constants[id.index()].clone()),
                addends: node.addends,
                selects: node
                    .selects
                    .into_iter()
                    .map(|select| (select.selector.index, select))
                    .collect(),
            };
        }
        let centre: Vec<i64> = ranges
            .iter()
            .map(|(low, high)| low + (high - low) / 2)
            .collect();
        let shift = centre
            .iter()
            .enumerate()
            .map(|(coefficient, middle)| (coefficient as u32, *middle))
            .collect();
        add_polynomial(&mut sum.constant, &shift, -1);
        for ((low, high), middle) in ranges.iter_mut().zip(&centre) {
            (*low, *high) = (*low - middle, *high - middle);
        }
        let root = self.selects(sum);
        self.nodes.push(Node::Sum(root));
        self.drop_unused_constants();
        CmuxGraph {
            constants: self.constants,
            nodes: self.nodes,
            ranges,
            centre,
        }
    }

    /// A node, which is made once.
    fn push(&mut self, node: Node) -> Rotated {
        let node = *self.node_ids.entry(node).or_insert_with_key(|node| {
            self.nodes.push(node.clone());
            NodeId(self.nodes.len() as u32 - 1)
        });
        Rotated { node, rotation: 0 }
    }

    fn selects(&mut self, mut sum: Sum) -> Selects {
        let weights = sum.constant.split_off(&WEIGHTS);
        sum.addends.extend(self.product(&weights, None));
        sum.addends
            .sort_unstable_by_key(|addend| (addend.node, addend.rotation));
        let constant = (!sum.constant.is_empty()).then(|| self.constant(&sum.constant));
        Selects {
            constant,
            addends: sum.addends,
            selects: sum.selects.into_values().collect(),
        }
    }

    fn operand(&mut self, value: &Value) -> Operand {
        match value {
            Value::Constant(polynomial) if polynomial.is_empty() => Operand::Zero,
            Value::Constant(polynomial) => {
                let mut rest = polynomial.clone();
                let weights = rest.split_off(&WEIGHTS);
                let constant = (!rest.is_empty()).then(|| self.constant(&rest));
                match (self.product(&weights, constant), constant) {
                    (Some(product), _) => Operand::Node(product),
                    (None, Some(constant)) => Operand::Constant(constant),
                    (None, None) => Operand::Zero,
                }
            }
            Value::Node(rotated) => Operand::Node(*rotated),
        }
    }

    /// The inputs times weights, if there are any.
    fn product(&mut self, weights: &Polynomial, constant: Option<ConstantId>) -> Option<Rotated> {
        let Layout {
            coefficients,
            inputs,
        } = self.layout;
        if weights.is_empty() {
            return None;
        }
        let mut rows = vec![vec![0; inputs]; coefficients];
        for (position, weight) in weights {
            let index = (position - WEIGHTS) as usize;
            rows[index / inputs][index % inputs] = *weight;
        }
        Some(self.push(Node::Product(Product {
            input: INPUTS,
            weights: rows,
            constant,
        })))
    }

    fn constant(&mut self, polynomial: &Polynomial) -> ConstantId {
        if let Some(id) = self.constant_ids.get(polynomial) {
            return *id;
        }
        let id = ConstantId(self.constants.len() as u32);
        self.constants.push(polynomial.clone());
        self.constant_ids.insert(polynomial.clone(), id);
        id
    }

    /// The result's constant is replaced when it is centred.
    fn drop_unused_constants(&mut self) {
        let mut used = vec![false; self.constants.len()];
        self.nodes
            .iter_mut()
            .flat_map(constant_ids)
            .for_each(|id| used[id.index()] = true);
        let moved = compact(&used);
        self.nodes
            .iter_mut()
            .flat_map(constant_ids)
            .for_each(|id| *id = ConstantId(moved[id.index()]));
        let mut keep = used.into_iter();
        self.constants.retain(|_| keep.next().unwrap_or(false));
    }
}

fn constant_ids(node: &mut Node) -> impl Iterator<Item = &mut ConstantId> {
    let (constants, selects, sides) = match node {
        Node::Sum(sum) => (
            sum.constant.as_mut_slice(),
            sum.selects.as_mut_slice(),
            None,
        ),
        Node::Product(product) => (product.constant.as_mut_slice(), &mut [][..], None),
        Node::Combination(combination) => (combination.constant.as_mut_slice(), &mut [][..], None),
        Node::Lookup(lookup) => match &mut lookup.table {
            Table::Constant(id) => (std::slice::from_mut(id), &mut [][..], None),
            Table::Node(_) => (&mut [][..], &mut [][..], None),
        },
        Node::Bootstrap(bootstrap) => (
            std::slice::from_mut(&mut bootstrap.table),
            &mut [][..],
            None,
        ),
        Node::Choice(choice) => (
            &mut [][..],
            &mut [][..],
            Some([&mut choice.clear, &mut choice.set]),
        ),
        Node::Pack(_) | Node::Carrier(_) => (&mut [][..], &mut [][..], None),
    };
    let operands = selects
        .iter_mut()
        .flat_map(|select| [&mut select.clear, &mut select.set])
        .chain(sides.into_iter().flatten());
    let operands = operands.filter_map(|operand| {
        if let Operand::Constant(id) = operand {
            Some(id)
        } else {
            None
        }
    });
    constants.iter_mut().chain(operands)
}

/// New indices of the used ones of a list from which the others are removed.
pub(crate) fn compact(used: &[bool]) -> Vec<u32> {
    let count = |kept: &mut u32, used: &bool| {
        let index = *kept;
        *kept += u32::from(*used);
        Some(index)
    };
    used.iter().scan(0, count).collect()
}

/// Sums expressions into a [`GraphBuilder`].
pub(crate) struct Merger<'a> {
    expressions: &'a Expressions,
    /// Number of users of each expression.
    uses: Vec<u32>,
    memo: HashMap<Vec<ExpressionId>, (Value, Ranges)>,
    /// The same for single expressions: most sums have no other term.
    single: Vec<Option<(Value, Ranges)>>,
    layout: Layout,
}

impl<'a> Merger<'a> {
    /// For sums whose addends are all in `roots`.
    pub(crate) fn new(
        expressions: &'a Expressions,
        roots: &[ExpressionId],
        layout: Layout,
    ) -> Self {
        let mut uses = vec![0; expressions.nodes.len()];
        let mut reached = vec![false; expressions.nodes.len()];
        for root in roots {
            uses[*root as usize] += 1;
            reached[*root as usize] = true;
        }
        for (id, node) in expressions.nodes.iter().enumerate().rev() {
            if let (true, Expression::Select { clear, set, .. }) = (reached[id], node) {
                for operand in [*clear, *set] {
                    uses[operand as usize] += 1;
                    reached[operand as usize] = true;
                }
            }
        }
        Self {
            expressions,
            uses,
            memo: HashMap::new(),
            single: vec![None; expressions.nodes.len()],
            layout,
        }
    }

    /// The sum of `terms`.
    pub(crate) fn sum(
        &mut self,
        builder: &mut GraphBuilder,
        mut terms: Vec<ExpressionId>,
    ) -> Addend {
        terms.sort_unstable();
        let known = match terms[..] {
            [only] => self.single[only as usize].as_ref(),
            _ => self.memo.get(&terms),
        };
        if let Some((value, ranges)) = known {
            return Addend {
                value: value.clone(),
                ranges: ranges.clone(),
            };
        }
        let mut sum = Sum::default();
        let mut ranges = vec![(0, 0); self.layout.coefficients];
        let mut groups: BTreeMap<u32, (Vec<ExpressionId>, Vec<ExpressionId>)> = BTreeMap::new();
        for term in &terms {
            match self.expressions.nodes[*term as usize] {
                Expression::Leaf(leaf) => {
                    let values = &self.expressions.leaves[leaf as usize];
                    for (position, value) in self.layout.terms(values) {
                        add_at(&mut sum.constant, position, value);
                    }
                    for (coefficient, range) in ranges.iter_mut().enumerate() {
                        let (low, high) = self.layout.range(values, coefficient);
                        *range = (range.0 + low, range.1 + high);
                    }
                }
                Expression::Select {
                    selector,
                    clear,
                    set,
                } if terms.len() == 1 || self.joins(*term) => {
                    let group = groups.entry(selector).or_default();
                    group.0.push(clear);
                    group.1.push(set);
                }
                Expression::Select { .. } => {
                    let shared = self.sum(builder, vec![*term]);
                    GraphBuilder::add(&mut sum, &shared.value);
                    add_ranges(&mut ranges, &shared.ranges);
                }
            }
        }
        for (selector, (clear, set)) in groups {
            let (clear, set) = (self.sum(builder, clear), self.sum(builder, set));
            builder.add_select(&mut sum, selector, &clear.value, &set.value);
            let either = clear
                .ranges
                .iter()
                .zip(&set.ranges)
                .map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)));
            add_ranges(&mut ranges, &either.collect::<Vec<_>>());
        }
        let value = builder.value(sum);
        let known = (value.clone(), ranges.clone());
        match terms[..] {
            [only] => self.single[only as usize] = Some(known),
            _ => {
                self.memo.insert(terms, known);
            }
        }
        Addend { value, ranges }
    }

    /// Whether a term merges into a sum: if nothing else uses it, or if it is a choice between
    /// constants, which costs little.
    fn joins(&self, term: ExpressionId) -> bool {
        let is_leaf = |id: ExpressionId| self.expressions.is_leaf(id);
        match self.expressions.nodes[term as usize] {
            Expression::Leaf(_) => true,
            Expression::Select { clear, set, .. } => {
                self.uses[term as usize] == 1 || (is_leaf(clear) && is_leaf(set))
            }
        }
    }
}

fn add_at(polynomial: &mut Polynomial, position: u32, value: i64) {
    let entry = polynomial.entry(position).or_insert(0);
    *entry += value;
    if *entry == 0 {
        polynomial.remove(&position);
    }
}

fn add_polynomial(to: &mut Polynomial, from: &Polynomial, sign: i64) {
    for (position, value) in from {
        add_at(to, *position, sign * value);
    }
}

fn add_ranges(to: &mut [(i64, i64)], from: &[(i64, i64)]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = (to.0 + from.0, to.1 + from.1);
    }
}
