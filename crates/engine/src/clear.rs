//! The cleartext evaluator: the same circuits on selector bits and feature vectors in the clear,
//! exactly and without keys.
//!
//! The compiler simulates models with it, and the tests hold the encrypted evaluator to it.

use crate::error::EngineError;
use crate::evaluator::{self, Evaluator};
use crate::polynomial::{Coefficient, Sparse, constant_of_turned, entry, value_at};
use cipherfn_circuit::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, ConstantId, Input, Lookup, Node, NodeId,
    Operand, Output, Pack, Product, Rotated, SelectorId, Sum, Table,
};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::InputValues;
use std::convert::Infallible;
use std::rc::Rc;

/// A checked circuit that evaluates in the clear.
#[derive(Debug)]
pub struct ClearCircuit {
    circuit: Circuit,
    polynomial_size: u32,
    /// Entries of a table of a bootstrap, if there are any.
    bootstrap_table: u32,
}

/// Inputs that do not fit the circuit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit takes {expected}, {found} were given")]
pub struct ClearInputError {
    expected: String,
    found: String,
}

impl ClearCircuit {
    /// Checks a circuit.
    pub fn new(circuit: Circuit) -> Result<Self, EngineError> {
        let set = ParameterSet::by_name(&circuit.parameter_set)?;
        let dimensions = crate::dimensions::dimensions(set, &circuit);
        circuit.validate(dimensions)?;
        Ok(Self {
            bootstrap_table: dimensions.bootstrap_table.unwrap_or_default() as u32,
            circuit,
            polynomial_size: set.ring.polynomial_size as u32,
        })
    }

    /// The result coefficients of all outputs, in units of 2^-64: what decryption gives but for the
    /// noise. `inputs` holds the values of each input.
    pub fn evaluate(&self, inputs: &[InputValues]) -> Result<Vec<u64>, ClearInputError> {
        let mut results = self.evaluate_rows(&[inputs])?;
        Ok(results.pop().unwrap_or_default())
    }

    /// [`Self::evaluate`] for many rows, with less time for each: what takes most is to find the
    /// nodes in memory.
    pub fn evaluate_rows<R: AsRef<[InputValues]>>(
        &self,
        rows: &[R],
    ) -> Result<Vec<Vec<u64>>, ClearInputError> {
        if let Some(row) = rows.iter().find(|row| !self.takes(row.as_ref())) {
            return Err(ClearInputError {
                expected: list(self.circuit.inputs.iter().map(describe)),
                found: list(row.as_ref().iter().map(InputValues::describe)),
            });
        }
        let mut results = vec![Vec::new(); rows.len()];
        for (results, rows) in results.chunks_mut(ROWS).zip(rows.chunks(ROWS)) {
            let rows = rows.iter().map(AsRef::as_ref).collect();
            let Ok(outputs) = evaluator::evaluate(&self.circuit, &mut ClearRows::new(self, rows));
            for output in outputs {
                for (result, output) in results.iter_mut().zip(output) {
                    result.extend(output);
                }
            }
        }
        Ok(results)
    }

    fn takes(&self, inputs: &[InputValues]) -> bool {
        let fits = |(input, values): (&Input, &InputValues)| match (input, values) {
            (Input::Selectors(group), InputValues::Bits(bits)) => {
                bits.len() == group.count as usize
            }
            (Input::Features(input), InputValues::Features(values)) => {
                values.len() == input.features as usize
            }
            (Input::Values(input), InputValues::Values(values)) => {
                values.len() == input.count as usize
            }
            (Input::Tables(input), InputValues::Tables(tables)) => {
                let size = self.polynomial_size as usize;
                tables.len() == input.count as usize
                    && tables.iter().all(|table| table.len() <= size)
            }
            _ => false,
        };
        inputs.len() == self.circuit.inputs.len()
            && self.circuit.inputs.iter().zip(inputs).all(fits)
    }
}

/// Rows that are evaluated together, a bit of a word each.
const ROWS: usize = 64;

/// A few rows. Only what a row's bits make its result depend on is evaluated for it: about one path
/// a tree.
struct ClearRows<'a> {
    circuit: &'a ClearCircuit,
    rows: Vec<&'a [InputValues]>,
    /// For each selector of each input, the rows in which it is 1.
    bits: Vec<Vec<u64>>,
    /// For each node, the rows that need it.
    wanted: Vec<u64>,
    /// Of each node that is wanted, its value in those rows, in their order.
    values: Vec<ClearValue>,
}

/// A row's value of a node. A path hands the value of its leaf up unchanged: what is large is not
/// copied.
#[derive(Clone)]
enum ClearValue {
    Zero,
    Constant(ConstantId),
    Single(Coefficient),
    Several(Rc<Sparse>),
}

impl<'a> ClearRows<'a> {
    fn new(circuit: &'a ClearCircuit, rows: Vec<&'a [InputValues]>) -> Self {
        let inputs = circuit.circuit.inputs.iter().enumerate();
        let bits = inputs.map(|(input, form)| {
            let count = match form {
                Input::Selectors(group) => group.count as usize,
                Input::Features(_) | Input::Values(_) | Input::Tables(_) => 0,
            };
            let mut bits = vec![0; count];
            for (row, values) in rows.iter().enumerate() {
                if let InputValues::Bits(values) = &values[input] {
                    let each = bits.iter_mut().zip(values);
                    each.for_each(|(bits, value)| *bits |= u64::from(*value) << row);
                }
            }
            bits
        });
        let bits = bits.collect();
        let mut wanted = vec![0; circuit.circuit.nodes.len()];
        for output in &circuit.circuit.outputs {
            wanted[output.node.index()] = u64::MAX >> (ROWS - rows.len());
        }
        Self {
            circuit,
            rows,
            bits,
            wanted,
            values: Vec::new(),
        }
    }

    /// The rows in which a selector is 1.
    fn bits(&self, selector: SelectorId) -> u64 {
        self.bits[selector.input.index()][selector.index as usize]
    }

    fn constant(&self, id: ConstantId) -> &[Coefficient] {
        &self.circuit.circuit.constants[id.index()].0
    }

    fn coefficients<'b>(&'b self, value: &'b ClearValue) -> &'b [Coefficient] {
        match value {
            ClearValue::Zero => &[],
            ClearValue::Constant(id) => self.constant(*id),
            ClearValue::Single(coefficient) => std::slice::from_ref(coefficient),
            ClearValue::Several(sparse) => sparse.coefficients(),
        }
    }

    /// A node's value in a row that wants it, with `starts` those of the nodes.
    fn value(&self, node: NodeId, row: u32, starts: &[usize]) -> &ClearValue {
        self.value_from(starts[node.index()], node, row)
    }

    fn value_from(&self, start: usize, node: NodeId, row: u32) -> &ClearValue {
        let before = self.wanted[node.index()] & ((1 << row) - 1);
        &self.values[start + before.count_ones() as usize]
    }

    fn rotated(
        &self,
        rotated: Rotated,
        row: u32,
        starts: &[usize],
    ) -> impl Iterator<Item = Coefficient> {
        Sparse::rotated(
            self.coefficients(self.value(rotated.node, row, starts)),
            rotated.rotation,
            self.circuit.polynomial_size,
        )
    }

    /// A node's values in the rows that want it. Gives where they start.
    fn each(&mut self, node: NodeId, value: impl Fn(&Self, u32) -> ClearValue) -> usize {
        let start = self.values.len();
        for row in ones(self.wanted[node.index()]) {
            let value = value(self, row);
            self.values.push(value);
        }
        start
    }

    fn sum_of(&self, sum: &Sum, row: u32, starts: &[usize]) -> ClearValue {
        let chosen = || {
            let chosen = sum.chosen(|selector| self.bits(selector) >> row & 1 == 1);
            chosen.filter(|operand| !matches!(operand, Operand::Zero))
        };
        let mut first = chosen();
        match (first.next(), first.next()) {
            (None, _) => return ClearValue::Zero,
            (Some(Operand::Constant(id)), None) => return ClearValue::Constant(id),
            (Some(Operand::Node(rotated)), None) if rotated.rotation == 0 => {
                return self.value(rotated.node, row, starts).clone();
            }
            _ => {}
        }
        let mut coefficients = Vec::new();
        for operand in chosen() {
            match operand {
                Operand::Zero => {}
                Operand::Constant(id) => coefficients.extend_from_slice(self.constant(id)),
                Operand::Node(rotated) => {
                    coefficients.extend(self.rotated(rotated, row, starts));
                }
            }
        }
        Sparse::sum(coefficients).into()
    }

    fn product_of(&self, product: &Product, row: u32) -> ClearValue {
        let InputValues::Features(values) = &self.rows[row as usize][product.input.index()] else {
            unreachable!("checked: a product is of a feature vector")
        };
        let score = |weights: &Vec<i64>| {
            let products = weights.iter().zip(values);
            products
                .map(|(weight, value)| value.wrapping_mul(*weight as u64))
                .fold(0, u64::wrapping_add)
        };
        let Input::Features(input) = &self.circuit.circuit.inputs[product.input.index()] else {
            unreachable!("checked: a product is of a feature vector")
        };
        let places = (0..).step_by(input.spacing() as usize);
        let scores = places.zip(product.weights.iter().map(score));
        let constant = product.constant.map_or(&[][..], |id| self.constant(id));
        let coefficients = scores.chain(constant.iter().copied()).collect();
        Sparse::sum(coefficients).into()
    }

    fn carrier_of(&self, carrier: Carrier, row: u32) -> ClearValue {
        let index = carrier.index as usize;
        match &self.rows[row as usize][carrier.input.index()] {
            InputValues::Values(values) => Sparse::sum(vec![(0, values[index])]).into(),
            InputValues::Tables(tables) => {
                let entries = (0..).zip(tables[index].iter().copied());
                Sparse::sum(entries.collect()).into()
            }
            _ => unreachable!("checked: carriers are of values or tables"),
        }
    }

    fn lookup_of(&self, lookup: &Lookup, row: u32, starts: &[usize]) -> ClearValue {
        let is_set = |selector| self.bits(selector) >> row & 1 == 1;
        let chosen = lookup.form.iter().filter(|turn| is_set(turn.selector));
        let turns = chosen.map(|turn| u64::from(turn.rotation)).sum::<u64>();
        let size = self.circuit.polynomial_size;
        let rotation = (u64::from(lookup.rotation) + turns) % u64::from(2 * size);
        let table = match lookup.table {
            Table::Constant(id) => self.constant(id),
            Table::Node(node) => self.coefficients(self.value(node, row, starts)),
        };
        Sparse::sum(table.to_vec())
            .turned(rotation as u32, size)
            .into()
    }

    fn combination_of(&self, combination: &Combination, row: u32, starts: &[usize]) -> ClearValue {
        // Tables are dense: adding them up in place takes no sorting.
        let mut sum = vec![0_u64; self.circuit.polynomial_size as usize];
        let mut add = |(position, value): Coefficient| {
            let sum = &mut sum[position as usize];
            *sum = sum.wrapping_add(value);
        };
        let constant = combination.constant.map_or(&[][..], |id| self.constant(id));
        constant.iter().copied().for_each(&mut add);
        for term in &combination.terms {
            self.rotated(term.node, row, starts)
                .map(|(position, value)| (position, value.wrapping_mul(term.weight as u64)))
                .for_each(&mut add);
        }
        Sparse::sum((0..).zip(sum).collect()).into()
    }

    fn pack_of(&self, pack: &Pack, row: u32, starts: &[usize]) -> ClearValue {
        let size = self.circuit.polynomial_size;
        let wanted = |(item, place): (Rotated, u32)| {
            let value = self.coefficients(self.value(item.node, row, starts));
            (place, constant_of_turned(value, item.rotation, size))
        };
        Sparse::sum(pack.wanted(size).map(wanted).collect()).into()
    }

    fn bootstrap_of(&self, bootstrap: &Bootstrap, row: u32, starts: &[usize]) -> ClearValue {
        let number = self.number(bootstrap.of, row, starts);
        let table = self.constant(bootstrap.table);
        let found = entry(table, self.circuit.bootstrap_table, number);
        Sparse::sum(vec![(0, found)]).into()
    }

    fn choice_of(&self, choice: &Choice, row: u32, starts: &[usize]) -> ClearValue {
        match choice.chosen(self.number(choice.of, row, starts)) {
            Operand::Zero => ClearValue::Zero,
            Operand::Constant(id) => ClearValue::Constant(id),
            Operand::Node(rotated) if rotated.rotation == 0 => {
                self.value(rotated.node, row, starts).clone()
            }
            Operand::Node(rotated) => {
                Sparse::sum(self.rotated(rotated, row, starts).collect()).into()
            }
        }
    }

    fn number(&self, of: Rotated, row: u32, starts: &[usize]) -> u64 {
        let value = self.coefficients(self.value(of.node, row, starts));
        constant_of_turned(value, of.rotation, self.circuit.polynomial_size)
    }
}

impl From<Sparse> for ClearValue {
    fn from(sparse: Sparse) -> Self {
        match sparse.coefficients() {
            [] => Self::Zero,
            [only] => Self::Single(*only),
            _ => Self::Several(Rc::new(sparse)),
        }
    }
}

impl Evaluator for ClearRows<'_> {
    /// Where in `values` those of the node start.
    type Glwe = usize;
    /// One a row.
    type Output = Vec<Vec<u64>>;
    type Error = Infallible;

    fn reads(&mut self, id: NodeId, node: &Node, read: &mut dyn FnMut(NodeId)) {
        let rows = self.wanted[id.index()];
        let mut want = |operand: Operand, wanted: &mut [u64], rows: u64| {
            if let (Operand::Node(rotated), true) = (operand, rows != 0) {
                wanted[rotated.node.index()] |= rows;
                read(rotated.node);
            }
        };
        let Node::Sum(sum) = node else {
            let all = node.reads();
            return all.for_each(|read| want(Operand::Node(read), &mut self.wanted, rows));
        };
        for addend in &sum.addends {
            want(Operand::Node(*addend), &mut self.wanted, rows);
        }
        for select in &sum.selects {
            let bits = self.bits(select.selector);
            want(select.clear, &mut self.wanted, rows & !bits);
            want(select.set, &mut self.wanted, rows & bits);
        }
    }

    fn sum(&mut self, node: NodeId, sum: &Sum, starts: &[usize]) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| own.sum_of(sum, row, starts)))
    }

    fn product(&mut self, node: NodeId, product: &Product) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| own.product_of(product, row)))
    }

    fn lookup(
        &mut self,
        node: NodeId,
        lookup: &Lookup,
        starts: &[usize],
    ) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| own.lookup_of(lookup, row, starts)))
    }

    fn combination(
        &mut self,
        node: NodeId,
        combination: &Combination,
        starts: &[usize],
    ) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| {
            own.combination_of(combination, row, starts)
        }))
    }

    fn pack(&mut self, node: NodeId, pack: &Pack, starts: &[usize]) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| own.pack_of(pack, row, starts)))
    }

    fn bootstrap(
        &mut self,
        node: NodeId,
        bootstrap: &Bootstrap,
        starts: &[usize],
    ) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| own.bootstrap_of(bootstrap, row, starts)))
    }

    fn choice(
        &mut self,
        node: NodeId,
        choice: &Choice,
        starts: &[usize],
    ) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| own.choice_of(choice, row, starts)))
    }

    fn carrier(&mut self, node: NodeId, carrier: Carrier) -> Result<usize, Infallible> {
        Ok(self.each(node, |own, row| own.carrier_of(carrier, row)))
    }

    fn output(&mut self, output: &Output, start: &usize) -> Result<Self::Output, Infallible> {
        let of_row = |row| {
            let value = self.coefficients(self.value_from(*start, output.node, row));
            let positions = (0..output.coefficients).map(|index| index * output.stride);
            positions
                .map(|position| value_at(value, position))
                .collect()
        };
        Ok((0..self.rows.len() as u32).map(of_row).collect())
    }
}

/// The places of a word's ones.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (place < u64::BITS).then_some(place)
    })
}

fn describe(input: &Input) -> String {
    match input {
        Input::Selectors(group) => format!("{} selector bits", group.count),
        Input::Features(input) => format!("{} features", input.features),
        Input::Values(input) => format!("{} values", input.count),
        Input::Tables(input) => format!("{} tables", input.count),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" and ")
}
