//! What a circuit's nodes mean, whatever stands for a value.

use cipherfn_circuit::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, Lookup, Node, NodeId, Output, Pack, Product,
    Sum,
};

/// A way to compute with GLWE values: one method a kind of node, and one for what travels.
///
/// [`ClearCircuit`](crate::ClearCircuit) computes with plaintext polynomials, for a few rows at
/// a time.
/// [`PreparedCircuit`](crate::PreparedCircuit) computes with expressions, once a circuit: what it
/// makes of them are the steps that run on the ciphertexts of every row. Both follow
/// `evaluate`, so a further kind of node is one more method that neither can forget.
pub trait Evaluator {
    /// A GLWE value; the default stands for one that nothing needs.
    type Glwe: Default;
    /// What travels of a value.
    type Output;
    /// Why a value cannot be computed.
    type Error;

    /// Names the nodes whose values will be read for a node. Called for what is needed only, users
    /// before what they use.
    fn reads(&mut self, _: NodeId, node: &Node, read: &mut dyn FnMut(NodeId)) {
        node.reads().for_each(|rotated| read(rotated.node));
    }

    /// `constant + addends + CMUXes`; `values` are those of the nodes before.
    fn sum(
        &mut self,
        node: NodeId,
        sum: &Sum,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Self::Error>;

    /// Weights times a feature vector.
    fn product(&mut self, node: NodeId, product: &Product) -> Result<Self::Glwe, Self::Error>;

    /// A table, turned by a linear form of selectors; `values` are those of the nodes before.
    fn lookup(
        &mut self,
        node: NodeId,
        lookup: &Lookup,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Self::Error>;

    /// An integer combination; `values` are those of the nodes before.
    fn combination(
        &mut self,
        node: NodeId,
        combination: &Combination,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Self::Error>;

    /// One coefficient of each item; `values` are those of the nodes before.
    fn pack(
        &mut self,
        node: NodeId,
        pack: &Pack,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Self::Error>;

    /// A table at one coefficient; `values` are those of the nodes before.
    fn bootstrap(
        &mut self,
        node: NodeId,
        bootstrap: &Bootstrap,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Self::Error>;

    /// One of two values, as a number is negative or not; `values` are those of the nodes before.
    fn choice(
        &mut self,
        node: NodeId,
        choice: &Choice,
        values: &[Self::Glwe],
    ) -> Result<Self::Glwe, Self::Error>;

    /// A ciphertext of an input.
    fn carrier(&mut self, node: NodeId, carrier: Carrier) -> Result<Self::Glwe, Self::Error>;

    /// The coefficients of a value that travel.
    fn output(&mut self, output: &Output, value: &Self::Glwe) -> Result<Self::Output, Self::Error>;
}

/// Follows a checked circuit from its inputs to its outputs. Nodes that no output needs are left
/// out.
pub(crate) fn evaluate<E: Evaluator>(
    circuit: &Circuit,
    evaluator: &mut E,
) -> Result<Vec<E::Output>, E::Error> {
    let mut needed = vec![false; circuit.nodes.len()];
    for output in &circuit.outputs {
        needed[output.node.index()] = true;
    }
    for index in (0..circuit.nodes.len()).rev() {
        if needed[index] {
            let id = NodeId(index as u32);
            evaluator.reads(id, &circuit.nodes[index], &mut |node| {
                needed[node.index()] = true;
            });
        }
    }
    let mut values = Vec::with_capacity(circuit.nodes.len());
    for (index, (node, needed)) in circuit.nodes.iter().zip(needed).enumerate() {
        let id = NodeId(index as u32);
        values.push(match node {
            _ if !needed => E::Glwe::default(),
            Node::Sum(sum) => evaluator.sum(id, sum, &values)?,
            Node::Product(product) => evaluator.product(id, product)?,
            Node::Lookup(lookup) => evaluator.lookup(id, lookup, &values)?,
            Node::Combination(combination) => evaluator.combination(id, combination, &values)?,
            Node::Pack(pack) => evaluator.pack(id, pack, &values)?,
            Node::Bootstrap(bootstrap) => evaluator.bootstrap(id, bootstrap, &values)?,
            Node::Choice(choice) => evaluator.choice(id, choice, &values)?,
            Node::Carrier(carrier) => evaluator.carrier(id, *carrier)?,
        });
    }
    circuit
        .outputs
        .iter()
        .map(|output| evaluator.output(output, &values[output.node.index()]))
        .collect()
}
