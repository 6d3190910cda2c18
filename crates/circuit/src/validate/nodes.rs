//! Nodes and what they refer to.

use super::inputs::gadget;
use super::{CircuitError, Dimensions, within};
use crate::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, Constant, ConstantId, FeatureInput, Input,
    Lookup, Node, NodeId, Operand, Pack, Product, Rotated, Select, SelectorForm, SelectorId, Sum,
    Table, TableInput, ValueInput,
};
use cipherfn_protocol::specs::FeatureForm;
use std::collections::HashSet;

/// Most nodes of a circuit.
const MAX_NODES: u64 = 1 << 22;
/// Largest magnitude of a weight: exact as a float with room for the sum.
const MAX_WEIGHT: u64 = 1 << 40;
/// Most of a combination's weights together: the noise of what they weigh is above 2^-32.
const MAX_WEIGHTS: u64 = 1 << 32;
/// Most turns of all look-ups, and most terms of all combinations: a minute and more of them.
const MAX_TERMS: u64 = 1 << 22;
/// Most items of all packed nodes: seconds of key switching.
const MAX_ITEMS: u64 = 1 << 16;
/// Most bootstraps: a few minutes of them.
const MAX_BOOTSTRAPS: u64 = 1 << 16;

pub(super) fn check(circuit: &Circuit, dimensions: Dimensions) -> Result<(), CircuitError> {
    within("node count", circuit.nodes.len(), 1..=MAX_NODES)?;
    let bootstraps = check_totals(circuit)?;
    match &circuit.bootstrap {
        Some(part) if dimensions.bootstrap_table.is_none() => {
            return Err(CircuitError::NoBootstrapPart {
                part: part.clone(),
                set: circuit.parameter_set.clone(),
            });
        }
        Some(part) if bootstraps == 0 => {
            return Err(CircuitError::UnusedBootstrapPart { part: part.clone() });
        }
        _ => {}
    }
    let mut seen = HashSet::new();
    for (index, node) in circuit.nodes.iter().enumerate() {
        let place = Place {
            circuit,
            node: NodeId(index as u32),
            dimensions,
        };
        match node {
            Node::Sum(sum) => place.sum(sum, &mut seen)?,
            Node::Product(product) => place.product(product)?,
            Node::Lookup(lookup) => place.lookup(lookup, &mut seen)?,
            Node::Combination(combination) => place.combination(combination)?,
            Node::Pack(pack) => place.pack(pack)?,
            Node::Carrier(carrier) => place.carrier(*carrier)?,
            Node::Bootstrap(bootstrap) => place.bootstrap(bootstrap)?,
            Node::Choice(choice) => place.choice(choice)?,
        }
    }
    Ok(())
}

/// What bounds the time that a circuit takes to evaluate. Gives the number of bootstraps.
fn check_totals(circuit: &Circuit) -> Result<usize, CircuitError> {
    let (mut turns, mut terms, mut items, mut bootstraps) = (0, 0, 0, 0);
    for node in &circuit.nodes {
        match node {
            Node::Lookup(lookup) => turns += lookup.form.len(),
            Node::Combination(combination) => terms += combination.terms.len(),
            Node::Pack(pack) => items += pack.items.len(),
            Node::Bootstrap(_) | Node::Choice(_) => bootstraps += 1,
            Node::Sum(_) | Node::Product(_) | Node::Carrier(_) => {}
        }
    }
    within("look-up turn count", turns, 0..=MAX_TERMS)?;
    within("weighted term count", terms, 0..=MAX_TERMS)?;
    within("packed item count", items, 0..=MAX_ITEMS)?;
    within("bootstrap count", bootstraps, 0..=MAX_BOOTSTRAPS)?;
    Ok(bootstraps)
}

/// A node under inspection.
struct Place<'a> {
    circuit: &'a Circuit,
    node: NodeId,
    dimensions: Dimensions,
}

impl Place<'_> {
    fn sum(&self, sum: &Sum, seen: &mut HashSet<SelectorId>) -> Result<(), CircuitError> {
        sum.constant.map_or(Ok(()), |id| self.constant(id))?;
        sum.addends
            .iter()
            .try_for_each(|node| self.rotated(*node))?;
        seen.clear();
        for select in &sum.selects {
            self.select(select)?;
            self.once(select.selector, seen)?;
        }
        Ok(())
    }

    fn lookup(&self, lookup: &Lookup, seen: &mut HashSet<SelectorId>) -> Result<(), CircuitError> {
        match lookup.table {
            Table::Constant(id) => self.constant(id)?,
            Table::Node(node) => self.earlier(node)?,
        }
        self.rotation(lookup.rotation)?;
        seen.clear();
        for turn in &lookup.form {
            self.bit(turn.selector)?;
            self.rotation(turn.rotation)?;
            self.once(turn.selector, seen)?;
        }
        Ok(())
    }

    fn combination(&self, combination: &Combination) -> Result<(), CircuitError> {
        combination
            .constant
            .map_or(Ok(()), |id| self.constant(id))?;
        let weights = combination.terms.iter();
        let weights = weights.map(|term| term.weight.unsigned_abs());
        let sum = weights.fold(0, u64::saturating_add);
        within("sum of absolute weights", sum, 0..=MAX_WEIGHTS)?;
        combination
            .terms
            .iter()
            .try_for_each(|term| self.rotated(term.node))
    }

    fn pack(&self, pack: &Pack) -> Result<(), CircuitError> {
        let size = self.dimensions.polynomial_size as u64;
        within("packed coefficient count", pack.coefficients, 1..=size)?;
        if !pack.coefficients.is_power_of_two() {
            return Err(CircuitError::PackedCoefficients {
                node: self.node,
                coefficients: pack.coefficients,
            });
        }
        let most = size / u64::from(pack.coefficients);
        within("packed item count of a node", pack.items.len(), 1..=most)?;
        pack.items.iter().try_for_each(|item| self.rotated(*item))
    }

    fn bootstrap(&self, bootstrap: &Bootstrap) -> Result<(), CircuitError> {
        self.number(bootstrap.of)?;
        self.constant(bootstrap.table)?;
        let Constant(table) = &self.circuit.constants[bootstrap.table.index()];
        let entries = self.dimensions.bootstrap_table.unwrap_or_default();
        match table.last() {
            Some((position, _)) if *position as usize >= entries => Err(CircuitError::TableEntry {
                node: self.node,
                constant: bootstrap.table,
                position: *position,
                entries,
            }),
            _ => Ok(()),
        }
    }

    fn choice(&self, choice: &Choice) -> Result<(), CircuitError> {
        self.number(choice.of)?;
        gadget(choice.gadget)?;
        let levels = choice.gadget.levels.get() as usize;
        let entries = self.dimensions.bootstrap_table.unwrap_or_default();
        within("levels of a choice", levels, 1..=entries as u64)?;
        choice
            .sides()
            .into_iter()
            .try_for_each(|side| self.operand(side))
    }

    /// What a bootstrap is of.
    fn number(&self, of: Rotated) -> Result<(), CircuitError> {
        if self.circuit.bootstrap.is_none() {
            return Err(CircuitError::NoBootstrap { node: self.node });
        }
        self.rotated(of)
    }

    /// A node names a selector once at most.
    fn once(
        &self,
        selector: SelectorId,
        seen: &mut HashSet<SelectorId>,
    ) -> Result<(), CircuitError> {
        if seen.insert(selector) {
            return Ok(());
        }
        Err(CircuitError::RepeatedSelector {
            node: self.node,
            selector,
        })
    }

    fn product(&self, product: &Product) -> Result<(), CircuitError> {
        let input = self.features(product)?;
        let room = match input.form {
            FeatureForm::Apart => u64::from(input.stride),
            FeatureForm::Together => {
                self.dimensions.polynomial_size as u64 / u64::from(input.stride)
            }
        };
        within("score count", product.weights.len(), 1..=room)?;
        for (score, weights) in product.weights.iter().enumerate() {
            if weights.len() != input.features as usize {
                return Err(CircuitError::Ragged {
                    node: self.node,
                    score,
                    found: weights.len(),
                    expected: input.features,
                });
            }
            let largest = weights.iter().map(|weight| weight.unsigned_abs()).max();
            within("largest weight", largest.unwrap_or(0), 0..=MAX_WEIGHT)?;
        }
        product.constant.map_or(Ok(()), |id| self.constant(id))
    }

    fn features(&self, product: &Product) -> Result<&FeatureInput, CircuitError> {
        match self.circuit.inputs.get(product.input.index()) {
            Some(Input::Features(input)) => Ok(input),
            _ => Err(CircuitError::WrongInput {
                node: self.node,
                input: product.input,
                wanted: "feature vector",
            }),
        }
    }

    fn select(&self, select: &Select) -> Result<(), CircuitError> {
        self.bit(select.selector)?;
        [select.clear, select.set]
            .into_iter()
            .try_for_each(|operand| self.operand(operand))
    }

    fn operand(&self, operand: Operand) -> Result<(), CircuitError> {
        match operand {
            Operand::Zero => Ok(()),
            Operand::Constant(constant) => self.constant(constant),
            Operand::Node(rotated) => self.rotated(rotated),
        }
    }

    fn bit(&self, selector: SelectorId) -> Result<(), CircuitError> {
        let SelectorId { input, index } = selector;
        let group = match self.circuit.inputs.get(input.index()) {
            Some(Input::Selectors(group)) if group.form == SelectorForm::Bits => group,
            _ => {
                return Err(CircuitError::WrongInput {
                    node: self.node,
                    input,
                    wanted: "group of bits",
                });
            }
        };
        if index < group.count {
            return Ok(());
        }
        Err(CircuitError::NoSelector {
            node: self.node,
            selector,
            count: group.count,
        })
    }

    fn constant(&self, constant: ConstantId) -> Result<(), CircuitError> {
        let count = self.circuit.constants.len();
        if constant.index() < count {
            return Ok(());
        }
        Err(CircuitError::NoConstant {
            node: self.node,
            constant,
            count,
        })
    }

    fn carrier(&self, carrier: Carrier) -> Result<(), CircuitError> {
        let Carrier { input, index } = carrier;
        match self.circuit.inputs.get(input.index()) {
            Some(Input::Values(ValueInput { count }) | Input::Tables(TableInput { count }))
                if index < *count =>
            {
                Ok(())
            }
            Some(Input::Values(ValueInput { count }) | Input::Tables(TableInput { count })) => {
                Err(CircuitError::NoCarrier {
                    node: self.node,
                    carrier,
                    count: *count,
                })
            }
            _ => Err(CircuitError::WrongInput {
                node: self.node,
                input,
                wanted: "group of values or tables",
            }),
        }
    }

    fn rotated(&self, rotated: Rotated) -> Result<(), CircuitError> {
        self.earlier(rotated.node)?;
        self.rotation(rotated.rotation)
    }

    fn earlier(&self, operand: NodeId) -> Result<(), CircuitError> {
        if operand < self.node {
            return Ok(());
        }
        Err(CircuitError::NotTopological {
            node: self.node,
            operand,
        })
    }

    fn rotation(&self, rotation: u32) -> Result<(), CircuitError> {
        let limit = 2 * self.dimensions.polynomial_size;
        if (rotation as usize) < limit {
            return Ok(());
        }
        Err(CircuitError::Rotation {
            node: self.node,
            rotation,
            limit,
        })
    }
}
