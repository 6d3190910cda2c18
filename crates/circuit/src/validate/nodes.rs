//! Nodes and what they refer to.

use super::{CircuitError, within};
use crate::circuit::{
    Circuit, ConstantId, FeatureInput, Input, Node, NodeId, Operand, Product, Rotated, Select,
    SelectorForm, SelectorId, Sum,
};
use std::collections::HashSet;

/// Most nodes of a circuit.
const MAX_NODES: u64 = 1 << 22;
/// Largest magnitude of a weight: exact as a float with room for the sum.
const MAX_WEIGHT: u64 = 1 << 40;

pub(super) fn check(circuit: &Circuit, polynomial_size: usize) -> Result<(), CircuitError> {
    within("node count", circuit.nodes.len(), 1..=MAX_NODES)?;
    let mut seen = HashSet::new();
    for (index, node) in circuit.nodes.iter().enumerate() {
        let place = Place {
            circuit,
            node: NodeId(index as u32),
            polynomial_size,
        };
        match node {
            Node::Sum(sum) => place.sum(sum, &mut seen)?,
            Node::Product(product) => place.product(product)?,
        }
    }
    Ok(())
}

/// A node under inspection.
struct Place<'a> {
    circuit: &'a Circuit,
    node: NodeId,
    polynomial_size: usize,
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
            if !seen.insert(select.selector) {
                return Err(CircuitError::RepeatedSelector {
                    node: self.node,
                    selector: select.selector,
                });
            }
        }
        Ok(())
    }

    fn product(&self, product: &Product) -> Result<(), CircuitError> {
        let input = self.features(product)?;
        within(
            "score count",
            product.weights.len(),
            1..=u64::from(input.stride),
        )?;
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
        let SelectorId { input, index } = select.selector;
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
        if index >= group.count {
            return Err(CircuitError::NoSelector {
                node: self.node,
                selector: select.selector,
                count: group.count,
            });
        }
        [select.clear, select.set]
            .into_iter()
            .try_for_each(|operand| match operand {
                Operand::Zero => Ok(()),
                Operand::Constant(constant) => self.constant(constant),
                Operand::Node(rotated) => self.rotated(rotated),
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

    fn rotated(&self, rotated: Rotated) -> Result<(), CircuitError> {
        if rotated.node >= self.node {
            return Err(CircuitError::NotTopological {
                node: self.node,
                operand: rotated.node,
            });
        }
        let limit = 2 * self.polynomial_size;
        if rotated.rotation as usize >= limit {
            return Err(CircuitError::Rotation {
                node: self.node,
                rotation: rotated.rotation,
                limit,
            });
        }
        Ok(())
    }
}
