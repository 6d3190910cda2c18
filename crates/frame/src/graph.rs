//! A circuit under construction: equal nodes are one.

use crate::pass::{CircuitForm, POLYNOMIAL_SIZE, TableSource};
use crate::schema::{RowInput, Schema};
use cipherfn_circuit::circuit::{
    Carrier, Circuit, Combination, Constant, ConstantId, Input, InputId, Lookup, Node, NodeId,
    Operand, Output, Pack, Rotated, Select, SelectorForm, SelectorGroup, SelectorId, Sum, Table,
    TableInput, Turn, ValueInput, Weighted,
};
use cipherfn_protocol::specs::Transport;
use std::collections::HashMap;
use std::hash::Hash;

/// Stands for the input of tables until the number of inputs before it is known.
const TABLES: InputId = InputId(u32::MAX);

/// A circuit over the rows of a frame.
pub(crate) struct Graph<'a> {
    schema: &'a Schema,
    inputs: Listed<RowInput>,
    tables: Listed<TableSource>,
    constants: Listed<Constant>,
    nodes: Listed<Node>,
}

/// A list without repetitions.
struct Listed<T> {
    items: Vec<T>,
    places: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Listed<T> {
    fn new() -> Self {
        Self {
            items: Vec::new(),
            places: HashMap::new(),
        }
    }

    fn place(&mut self, item: T) -> u32 {
        if let Some(place) = self.places.get(&item) {
            return *place;
        }
        let place = self.items.len() as u32;
        self.items.push(item.clone());
        self.places.insert(item, place);
        place
    }
}

impl<'a> Graph<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Self {
        Self {
            schema,
            inputs: Listed::new(),
            tables: Listed::new(),
            constants: Listed::new(),
            nodes: Listed::new(),
        }
    }

    pub(crate) fn bit(&mut self, input: RowInput, index: u32) -> SelectorId {
        SelectorId {
            input: InputId(self.inputs.place(input)),
            index,
        }
    }

    /// Limb `index` of a column's values.
    pub(crate) fn limb(&mut self, column: usize, index: u32) -> NodeId {
        let input = InputId(self.inputs.place(RowInput::Limbs(column)));
        self.node(Node::Carrier(Carrier { input, index }))
    }

    pub(crate) fn table(&mut self, source: TableSource) -> NodeId {
        let index = self.tables.place(source);
        self.node(Node::Carrier(Carrier {
            input: TABLES,
            index,
        }))
    }

    /// A polynomial of one coefficient.
    pub(crate) fn constant(&mut self, position: u32, word: u64) -> ConstantId {
        self.polynomial(vec![(position, word)])
    }

    /// A polynomial, by positions that increase.
    pub(crate) fn polynomial(&mut self, coefficients: Vec<(u32, u64)>) -> ConstantId {
        ConstantId(self.constants.place(Constant(coefficients)))
    }

    pub(crate) fn node(&mut self, node: Node) -> NodeId {
        NodeId(self.nodes.place(node))
    }

    /// `bit ? set : clear`.
    pub(crate) fn choice(&mut self, selector: SelectorId, clear: Operand, set: Operand) -> Operand {
        if clear == set {
            return clear;
        }
        let selects = vec![Select {
            selector,
            clear,
            set,
        }];
        node_operand(self.node(Node::Sum(Sum {
            selects,
            ..Sum::default()
        })))
    }

    /// A node that is an operand.
    pub(crate) fn operand(&mut self, operand: Operand) -> NodeId {
        match operand {
            Operand::Node(Rotated { node, rotation: 0 }) => node,
            Operand::Node(rotated) => self.node(Node::Sum(Sum {
                addends: vec![rotated],
                ..Sum::default()
            })),
            Operand::Constant(constant) => self.node(Node::Sum(Sum {
                constant: Some(constant),
                ..Sum::default()
            })),
            Operand::Zero => self.node(Node::Sum(Sum::default())),
        }
    }

    /// `X^rotation * operand`.
    pub(crate) fn rotated(&mut self, operand: Operand, rotation: u32) -> Operand {
        if operand == Operand::Zero {
            return Operand::Zero;
        }
        match operand {
            Operand::Node(rotated) => Operand::Node(Rotated {
                node: rotated.node,
                rotation: (rotated.rotation + rotation) % (2 * POLYNOMIAL_SIZE),
            }),
            constant => {
                let node = self.operand(constant);
                Operand::Node(Rotated { node, rotation })
            }
        }
    }

    /// `constant + sum of weight X^rotation node`.
    pub(crate) fn combined(
        &mut self,
        constant: Option<ConstantId>,
        terms: Vec<Weighted>,
    ) -> NodeId {
        if constant.is_none()
            && let [Weighted { node, weight: 1 }] = terms[..]
            && node.rotation == 0
        {
            return node.node;
        }
        if terms.iter().all(|term| term.weight == 1) {
            return self.node(Node::Sum(Sum {
                constant,
                addends: terms.into_iter().map(|term| term.node).collect(),
                selects: Vec::new(),
            }));
        }
        self.node(Node::Combination(Combination { constant, terms }))
    }

    pub(crate) fn turned(&mut self, table: NodeId, rotation: u32, form: Vec<Turn>) -> NodeId {
        if form.is_empty() && rotation == 0 {
            return table;
        }
        self.node(Node::Lookup(Lookup {
            table: Table::Node(table),
            rotation,
            form,
        }))
    }

    /// A coefficient alone, as coefficient 0.
    pub(crate) fn isolated(&mut self, node: NodeId, coefficient: u32) -> NodeId {
        let turn = 2 * POLYNOMIAL_SIZE;
        self.node(Node::Pack(Pack::of_constants(vec![Rotated {
            node,
            rotation: (turn - coefficient) % turn,
        }])))
    }

    /// Choices one behind the other, up to an operand.
    pub(crate) fn depth(&self, operand: Operand) -> usize {
        let Operand::Node(Rotated { node, .. }) = operand else {
            return 0;
        };
        let mut depths: Vec<usize> = Vec::with_capacity(node.index() + 1);
        for own in &self.nodes.items[..=node.index()] {
            let of = |node: NodeId| depths[node.index()];
            let of_operand = |operand: &Operand| match operand {
                Operand::Node(rotated) => of(rotated.node),
                Operand::Zero | Operand::Constant(_) => 0,
            };
            let depth = match own {
                Node::Sum(sum) => {
                    let chosen = sum.selects.iter();
                    let chosen =
                        chosen.map(|own| 1 + of_operand(&own.clear).max(of_operand(&own.set)));
                    let added = sum.addends.iter().map(|own| of(own.node));
                    chosen.chain(added).max().unwrap_or(0)
                }
                Node::Combination(own) => {
                    let terms = own.terms.iter().map(|term| of(term.node.node));
                    terms.max().unwrap_or(0)
                }
                Node::Lookup(own) => match own.table {
                    Table::Node(table) => own.form.len() + of(table),
                    Table::Constant(_) => own.form.len(),
                },
                Node::Pack(own) => own.items.iter().map(|own| of(own.node)).max().unwrap_or(0),
                _ => 0,
            };
            depths.push(depth);
        }
        depths.last().copied().unwrap_or(0)
    }

    /// The circuit of these outputs: nodes and how many of their coefficients count.
    pub(crate) fn finish(
        mut self,
        outputs: &[(NodeId, u32)],
        form: &CircuitForm,
    ) -> (Vec<RowInput>, Vec<TableSource>, Circuit) {
        if self.inputs.items.is_empty() {
            // The same for every row, such as their number: a circuit has an input all the same.
            let first = self.schema.row_inputs().first().copied();
            first.map(|input| self.inputs.place(input));
        }
        let tables = InputId(self.inputs.items.len() as u32);
        for node in &mut self.nodes.items {
            if let Node::Carrier(carrier) = node
                && carrier.input == TABLES
            {
                carrier.input = tables;
            }
        }
        let mut inputs: Vec<Input> = Vec::with_capacity(self.inputs.items.len() + 1);
        for input in &self.inputs.items {
            inputs.push(match self.schema.limb_count(*input) {
                Some(count) => Input::Values(ValueInput { count }),
                None => Input::Selectors(SelectorGroup {
                    count: self.schema.bit_count(*input),
                    gadget: form.gadget,
                    transport: Transport::Packed,
                    form: SelectorForm::Bits,
                }),
            });
        }
        if !self.tables.items.is_empty() {
            inputs.push(Input::Tables(TableInput {
                count: self.tables.items.len() as u32,
            }));
        }
        let output = |(node, coefficients): &(NodeId, u32)| Output {
            node: *node,
            coefficients: *coefficients,
            stride: 1,
            reply_bits: form.reply_bits,
        };
        let circuit = Circuit {
            parameter_set: form.parameter_set.clone(),
            inputs,
            constants: self.constants.items,
            nodes: self.nodes.items,
            outputs: outputs.iter().map(output).collect(),
            bootstrap: None,
        };
        (self.inputs.items, self.tables.items, circuit)
    }
}

/// A node as an operand.
pub(crate) const fn node_operand(node: NodeId) -> Operand {
    Operand::Node(Rotated { node, rotation: 0 })
}

/// `weight * node`.
pub(crate) const fn weighted(node: NodeId, rotation: u32, weight: i64) -> Weighted {
    Weighted {
        node: Rotated { node, rotation },
        weight,
    }
}
