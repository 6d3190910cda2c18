//! Circuits for this crate's tests.

use crate::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, Constant, ConstantId, FeatureInput, Input,
    InputId, Lookup, Node, NodeId, Operand, Output, Pack, Product, Rotated, Select, SelectorForm,
    SelectorGroup, SelectorId, Sum, Table, TableInput, Turn, ValueInput, Weighted,
};
use crate::validate::Dimensions;
use cipherfn_protocol::specs::{BaseLog, Bits, FeatureForm, Gadget, Levels, Transport};

pub(crate) const SET: &str = "cipherfn-128-n512k4-v1";

pub(crate) const DIMENSIONS: Dimensions = Dimensions {
    glwe_dimension: 4,
    polynomial_size: 512,
    bootstrap_table: Some(256),
};

fn operand(node: u32) -> Operand {
    Operand::Node(Rotated {
        node: NodeId(node),
        rotation: 0,
    })
}

fn constant(id: u32) -> Operand {
    Operand::Constant(ConstantId(id))
}

pub(crate) fn select(selector: u32, clear: Operand, set: Operand) -> Select {
    Select {
        selector: SelectorId::first(selector),
        clear,
        set,
    }
}

fn output(node: u32, coefficients: u32, stride: u32) -> Output {
    Output {
        node: NodeId(node),
        coefficients,
        stride,
        reply_bits: Bits::new(24),
    }
}

/// Three sums over three bits.
pub(crate) fn levelled() -> Circuit {
    let sum = |selects: Vec<Select>| {
        Node::Sum(Sum {
            selects,
            ..Sum::default()
        })
    };
    Circuit {
        parameter_set: SET.into(),
        bootstrap: None,
        inputs: vec![Input::Selectors(SelectorGroup {
            count: 3,
            gadget: Gadget::new(BaseLog::new(12), Levels::new(2)),
            transport: Transport::Ggsw,
            form: SelectorForm::Bits,
        })],
        constants: vec![
            Constant(vec![(0, 1 << 60)]),
            Constant(vec![(0, 3), (7, u64::MAX)]),
        ],
        nodes: vec![
            sum(vec![select(0, Operand::Zero, constant(0))]),
            sum(vec![
                select(1, operand(0), constant(1)),
                select(2, Operand::Zero, operand(0)),
            ]),
            Node::Sum(Sum {
                constant: Some(ConstantId(1)),
                addends: vec![Rotated {
                    node: NodeId(1),
                    rotation: 1023,
                }],
                selects: Vec::new(),
            }),
        ],
        outputs: vec![output(2, 2, 7)],
    }
}

/// Two scores of three features.
pub(crate) fn linear() -> Circuit {
    Circuit {
        parameter_set: SET.into(),
        bootstrap: None,
        inputs: vec![Input::Features(FeatureInput {
            features: 3,
            block: 2,
            stride: 2,
            form: FeatureForm::Apart,
            body_bits: Bits::new(48),
        })],
        constants: vec![Constant(vec![(0, 7), (1, 8)])],
        nodes: vec![Node::Product(Product {
            input: InputId(0),
            weights: vec![vec![1, -2, 3], vec![-4, 5, 6]],
            constant: Some(ConstantId(0)),
        })],
        outputs: vec![output(0, 2, 1)],
    }
}

/// A tree and a product, their sum and the tree as outputs, beside digits that nothing reads.
pub(crate) fn mixture() -> Circuit {
    let mut circuit = levelled();
    circuit.inputs.push(Input::Features(FeatureInput {
        features: 2,
        block: 2,
        stride: 3,
        form: FeatureForm::Apart,
        body_bits: Bits::new(40),
    }));
    circuit.inputs.push(Input::Selectors(SelectorGroup {
        count: 5,
        gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
        transport: Transport::Packed,
        form: SelectorForm::Digits { log2_values: 3 },
    }));
    circuit.nodes.push(Node::Product(Product {
        input: InputId(1),
        weights: vec![vec![1, -2], vec![0, 5]],
        constant: None,
    }));
    circuit.nodes.push(Node::Sum(Sum {
        addends: [2, 3]
            .map(|node| Rotated {
                node: NodeId(node),
                rotation: 0,
            })
            .to_vec(),
        ..Sum::default()
    }));
    circuit.outputs = vec![output(4, 2, 1), output(2, 1, 1)];
    circuit
}

/// Two look-ups of three bits, a combination of them, and both packed.
pub(crate) fn lookups() -> Circuit {
    let turn = |index, rotation| Turn {
        selector: SelectorId::first(index),
        rotation,
    };
    let rotated = |node, rotation| Rotated {
        node: NodeId(node),
        rotation,
    };
    let weighted = |node, rotation, weight| Weighted {
        node: rotated(node, rotation),
        weight,
    };
    let mut circuit = levelled();
    circuit.nodes = vec![
        Node::Lookup(Lookup {
            table: Table::Constant(ConstantId(1)),
            rotation: 5,
            form: vec![turn(0, 9), turn(2, 1023)],
        }),
        Node::Lookup(Lookup {
            table: Table::Constant(ConstantId(1)),
            rotation: 0,
            form: vec![turn(1, 1)],
        }),
        Node::Combination(Combination {
            constant: Some(ConstantId(0)),
            terms: vec![weighted(0, 0, 3), weighted(1, 7, -2)],
        }),
        Node::Pack(Pack::of_constants(vec![
            rotated(2, 0),
            rotated(1, 0),
            rotated(0, 512),
        ])),
    ];
    circuit.outputs = vec![output(3, 3, 128)];
    circuit
}

/// Two encrypted values, one of which turns, and an encrypted table.
pub(crate) fn carriers() -> Circuit {
    let carrier = |input, index| {
        Node::Carrier(Carrier {
            input: InputId(input),
            index,
        })
    };
    let mut circuit = lookups();
    circuit.inputs.extend([
        Input::Values(ValueInput { count: 5 }),
        Input::Tables(TableInput { count: 2 }),
    ]);
    circuit.nodes = vec![
        carrier(1, 4),
        carrier(2, 1),
        Node::Lookup(Lookup {
            table: Table::Node(NodeId(0)),
            rotation: 0,
            form: vec![Turn {
                selector: SelectorId::first(1),
                rotation: 2,
            }],
        }),
        Node::Sum(Sum {
            addends: [1, 2]
                .map(|node| Rotated {
                    node: NodeId(node),
                    rotation: 0,
                })
                .into(),
            ..Sum::default()
        }),
    ];
    circuit.outputs = vec![output(3, 3, 128)];
    circuit
}

/// Four scores of three features that stand together, two a product, packed.
pub(crate) fn packed_scores() -> Circuit {
    let product = |weights: [[i64; 3]; 2]| {
        Node::Product(Product {
            input: InputId(0),
            weights: weights.map(Vec::from).to_vec(),
            constant: None,
        })
    };
    let item = |node| Rotated {
        node: NodeId(node),
        rotation: 0,
    };
    Circuit {
        inputs: vec![Input::Features(FeatureInput {
            features: 3,
            block: 2,
            stride: 256,
            form: FeatureForm::Together,
            body_bits: Bits::new(48),
        })],
        constants: Vec::new(),
        nodes: vec![
            product([[1, -2, 3], [-4, 5, 6]]),
            product([[7, 8, 9], [-1, 0, 1]]),
            Node::Pack(Pack {
                items: vec![item(0), item(1)],
                coefficients: 2,
            }),
        ],
        outputs: vec![output(2, 4, 128)],
        ..linear()
    }
}

/// A bootstrap of a sum of look-ups, added to what it is of, and a second layer behind it.
pub(crate) fn bootstraps() -> Circuit {
    let rotated = |node, rotation| Rotated {
        node: NodeId(node),
        rotation,
    };
    let bootstrap = |of| {
        Node::Bootstrap(Bootstrap {
            of,
            table: ConstantId(1),
        })
    };
    let mut circuit = lookups();
    circuit.bootstrap = Some("bootstrap".into());
    circuit.nodes.truncate(3);
    circuit.nodes.extend([
        bootstrap(rotated(2, 0)),
        Node::Combination(Combination {
            constant: None,
            terms: [3, 2]
                .map(|node| Weighted {
                    node: rotated(node, 0),
                    weight: 5,
                })
                .to_vec(),
        }),
        bootstrap(rotated(4, 1023)),
    ]);
    circuit.outputs = vec![output(5, 1, 1)];
    circuit
}

/// Two choices by sums of look-ups: one between plaintexts, one between it and nothing.
pub(crate) fn choices() -> Circuit {
    let rotated = |node, rotation| Rotated {
        node: NodeId(node),
        rotation,
    };
    let choice = |of, clear, set| {
        Node::Choice(Choice {
            of,
            gadget: Gadget::new(BaseLog::new(8), Levels::new(2)),
            clear,
            set,
        })
    };
    let mut circuit = lookups();
    circuit.bootstrap = Some("bootstrap".into());
    circuit.nodes.truncate(3);
    let plain = |id| Operand::Constant(ConstantId(id));
    circuit.nodes.extend([
        choice(rotated(2, 0), plain(0), plain(1)),
        choice(rotated(2, 7), Operand::Zero, Operand::Node(rotated(3, 1))),
    ]);
    circuit.outputs = vec![output(4, 2, 1)];
    circuit
}
