use super::{v1, v2, v3, v4, v5, v6};
use crate::circuit::{Circuit, Constant, Node, NodeId, Operand, Output, Rotated, Sum};
use crate::codec;
use crate::samples::{
    SET, bootstraps, carriers, choices, levelled, linear, lookups, mixture, packed_scores,
};

const LIMIT: u64 = 1 << 20;

fn head(bytes: &mut Vec<u8>) {
    bytes.push(SET.len() as u8);
    bytes.extend_from_slice(SET.as_bytes());
}

/// One constant and a node that is it.
fn constant() -> Circuit {
    let mut circuit = levelled();
    circuit.constants = vec![Constant(vec![(3, 300)])];
    circuit.nodes = vec![Node::Sum(Sum {
        constant: Some(crate::circuit::ConstantId(0)),
        ..Sum::default()
    })];
    circuit.outputs[0].node = NodeId(0);
    circuit
}

/// The layouts are fixed: a file written today is read by every later build of its version.
#[test]
fn version_1_has_these_bytes() {
    let mut expected = vec![0]; // levelled
    head(&mut expected);
    expected.extend_from_slice(&[
        3, // selectors
        12, 2, // gadget
        1, // transport: GGSW
        1, 1, 3, 251, 44, 1, // one constant with one coefficient: position 3, value 300
        1, // one node
        1, 0, // constant 0
        0, // no addends
        0, // no selects
        2, 7, 24, // coefficients, stride, reply bits
    ]);
    let wire = v1::CircuitV1::from_circuit(&constant()).unwrap();
    assert_eq!(codec::encode(&wire, LIMIT).unwrap(), expected);
    let mut expected = vec![1]; // linear
    head(&mut expected);
    expected.extend_from_slice(&[
        2, 3, 2, 3, 6, // two rows of three weights, zigzag
        3, 7, 10, 12, //
        2, 7, 8, // bias
        2, 2, 48, 24, // block, stride, body bits, reply bits
    ]);
    let wire = v1::CircuitV1::from_circuit(&linear()).unwrap();
    assert_eq!(codec::encode(&wire, LIMIT).unwrap(), expected);
}

#[test]
fn version_2_has_these_bytes() {
    let mut expected = Vec::new();
    head(&mut expected);
    expected.extend_from_slice(&[
        3, // inputs
        0, 3, 12, 2, 1, // bits: count, gadget, transport
        1, 2, 2, 3, 40, // features: count, block, stride, body bits
        2, 5, 6, 4, 0, 3, // digits: count, gadget, transport, values
        0, // no constants
        2, // nodes
        0, 0, 1, 0, 251, 255, 3, 0, // sum: no constant, one addend (node 0, rotation 1023)
        1, 1, 2, 2, 2, 3, 2, 0, 10, 0, // product: input, two rows of weights, no constant
        2, // outputs
        4, 2, 1, 24, //
        2, 1, 1, 24, //
    ]);
    let mut circuit = mixture();
    circuit.constants.clear();
    circuit.nodes = vec![
        Node::Sum(Sum {
            addends: vec![crate::circuit::Rotated {
                node: NodeId(0),
                rotation: 1023,
            }],
            ..Sum::default()
        }),
        circuit.nodes[3].clone(),
    ];
    let bytes = codec::encode(&v2::CircuitV2::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
    assert_eq!(bytes, expected);
}

#[test]
fn version_3_has_these_bytes() {
    let mut expected = Vec::new();
    head(&mut expected);
    expected.extend_from_slice(&[
        1, 0, 3, 12, 2, 1, // one input: bits
        0, // no constants
        5, // nodes
        1, 1, 5, 2, 0, 0, 9, 0, 2, 251, 255, 3, // look-up: table, rotation, two turns
        1, 1, 0, 1, 0, 1, 1, // look-up of one turn
        2, 1, 0, 2, 0, 0, 6, 1, 7, 3, // combination: constant 0, two terms, zigzag weights
        3, 3, 2, 0, 1, 0, 0, 251, 0, 2, // packed: three items
        0, 0, 0, 1, 3, 0, 0, // of version 2: a sum of node 3
        1, 3, 3, 128, 24, // one output
    ]);
    let mut circuit = lookups();
    circuit.constants.clear();
    circuit.nodes.push(Node::Sum(Sum {
        addends: vec![crate::circuit::Rotated {
            node: NodeId(3),
            rotation: 0,
        }],
        ..Sum::default()
    }));
    let bytes = codec::encode(&v3::CircuitV3::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
    assert_eq!(bytes, expected);
}

#[test]
fn version_4_has_these_bytes() {
    let mut expected = vec![0]; // no key part
    head(&mut expected);
    expected.extend_from_slice(&[
        3, // inputs
        0, 0, 3, 12, 2, 1, // of version 2: bits
        1, 5, // values
        2, 2, // tables
        0, // no constants
        4, // nodes
        2, 1, 4, // a value
        2, 2, 1, // a table
        1, 0, 0, 1, 0, 1, 2, // node 0, rotation, one turn
        0, 0, 0, 0, 2, 1, 0, 2, 0, 0, // of version 3, of version 2: a sum of two nodes
        1, 3, 3, 128, 24, // one output
    ]);
    let mut circuit = carriers();
    circuit.constants.clear();
    let bytes = codec::encode(&v4::CircuitV4::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
    assert_eq!(bytes, expected);

    let mut expected = vec![1, 9]; // a key part
    expected.extend_from_slice(b"bootstrap");
    head(&mut expected);
    expected.extend_from_slice(&[
        1, 0, 0, 3, 12, 2, 1, // one input: bits
        0, // no constants
        6, // nodes
        0, 1, 1, 5, 2, 0, 0, 9, 0, 2, 251, 255, 3, // of version 3: look-ups
        0, 1, 1, 0, 1, 0, 1, 1, //
        0, 2, 1, 0, 2, 0, 0, 6, 1, 7, 3, // and a combination
        3, 2, 0, 1, // bootstrap: node, rotation, table
        0, 2, 0, 2, 3, 0, 10, 2, 0, 10, // a combination
        3, 4, 251, 255, 3, 1, // bootstrap
        1, 5, 1, 1, 24, // one output
    ]);
    let mut circuit = bootstraps();
    circuit.constants.clear();
    let bytes = codec::encode(&v4::CircuitV4::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
    assert_eq!(bytes, expected);
}

/// Features that stand together, and several coefficients of each packed item.
#[test]
fn version_5_has_these_bytes() {
    let mut expected = vec![0]; // no bootstrap
    head(&mut expected);
    expected.extend_from_slice(&[
        1, // one input
        1, 3, 2, 251, 0, 1, 48, // three features together, two a ciphertext by 256, 48 bits
        0,  // no constants
        3,  // nodes
        0, 0, 0, 1, 0, 2, 3, 2, 3, 6, 3, 7, 10, 12, 0, // a product, as version 2 has it
        0, 0, 0, 1, 0, 2, 3, 14, 16, 18, 3, 1, 0, 2, 0, // another
        1, 2, 0, 0, 1, 0, 2, // two items, two coefficients of each
        1, 2, 4, 128, 24, // one output
    ]);
    let bytes = codec::encode(
        &v5::CircuitV5::from_circuit(&packed_scores()).unwrap(),
        LIMIT,
    )
    .unwrap();
    assert_eq!(bytes, expected);
}

/// Choices by numbers.
#[test]
fn version_6_has_these_bytes() {
    let mut expected = vec![1, 9]; // a key part
    expected.extend_from_slice(b"bootstrap");
    head(&mut expected);
    expected.extend_from_slice(&[
        1, 0, 0, 0, 3, 12, 2, 1, // one input, of version 4, of version 2: bits
        0, // no constants
        2, // nodes
        0, 0, 0, 1, 1, 5, 2, 0, 0, 9, 0, 2, 251, 255, 3, // of version 5: a look-up
        1, 0, 7, 8, 2, 0, 2, 0, 1, // a choice: node, rotation, gadget, nothing, or a node
        1, 1, 2, 1, 24, // one output
    ]);
    let mut circuit = choices();
    circuit.constants.clear();
    circuit.nodes.drain(1..4);
    if let Node::Choice(choice) = &mut circuit.nodes[1] {
        choice.of.node = NodeId(0);
        choice.set = Operand::Node(Rotated {
            node: NodeId(0),
            rotation: 1,
        });
    }
    circuit.outputs[0].node = NodeId(1);
    let bytes = codec::encode(&v6::CircuitV6::from(&circuit), LIMIT).unwrap();
    assert_eq!(bytes, expected);
}

#[test]
fn circuits_come_back_from_every_version_that_can_say_them() {
    for circuit in [levelled(), linear(), mixture()] {
        let bytes = codec::encode(&v2::CircuitV2::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
        let wire: v2::CircuitV2 = codec::decode(&bytes, LIMIT).unwrap();
        assert_eq!(Circuit::from(wire), circuit);
    }
    for circuit in [levelled(), linear(), mixture(), lookups()] {
        let bytes = codec::encode(&v3::CircuitV3::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
        let wire: v3::CircuitV3 = codec::decode(&bytes, LIMIT).unwrap();
        assert_eq!(Circuit::from(wire), circuit);
    }
    for circuit in [
        levelled(),
        linear(),
        mixture(),
        lookups(),
        carriers(),
        bootstraps(),
    ] {
        let bytes = codec::encode(&v4::CircuitV4::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
        let wire: v4::CircuitV4 = codec::decode(&bytes, LIMIT).unwrap();
        assert_eq!(Circuit::from(wire), circuit);
    }
    for circuit in [linear(), carriers(), bootstraps(), packed_scores()] {
        let bytes = codec::encode(&v5::CircuitV5::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
        let wire: v5::CircuitV5 = codec::decode(&bytes, LIMIT).unwrap();
        assert_eq!(Circuit::from(wire), circuit);
    }
    for circuit in [linear(), bootstraps(), packed_scores(), choices()] {
        let bytes = codec::encode(&v6::CircuitV6::from(&circuit), LIMIT).unwrap();
        let wire: v6::CircuitV6 = codec::decode(&bytes, LIMIT).unwrap();
        assert_eq!(Circuit::from(wire), circuit);
    }
    for circuit in [levelled(), linear()] {
        let wire = v1::CircuitV1::from_circuit(&circuit).unwrap();
        assert_eq!(Circuit::try_from(wire).unwrap(), circuit);
    }
    let mut unbiased = linear();
    unbiased.constants.clear();
    if let Node::Product(product) = &mut unbiased.nodes[0] {
        product.constant = None;
    }
    let wire = v1::CircuitV1::from_circuit(&unbiased).unwrap();
    assert_eq!(Circuit::try_from(wire).unwrap(), unbiased);
}

#[test]
fn what_a_version_cannot_say_has_no_bytes_of_it() {
    assert!(v5::CircuitV5::from_circuit(&choices()).is_none());
    assert!(v4::CircuitV4::from_circuit(&packed_scores()).is_none());
    let mut together = packed_scores();
    together.nodes.truncate(1);
    assert!(v2::CircuitV2::from_circuit(&together).is_none());
    assert!(v1::CircuitV1::from_circuit(&together).is_none());
    assert!(v3::CircuitV3::from_circuit(&carriers()).is_none());
    let mut unread = lookups();
    unread.inputs.push(carriers().inputs[1].clone());
    assert!(v3::CircuitV3::from_circuit(&unread).is_none());
    assert!(v3::CircuitV3::from_circuit(&bootstraps()).is_none());
    assert!(v2::CircuitV2::from_circuit(&bootstraps()).is_none());
    assert!(v1::CircuitV1::from_circuit(&bootstraps()).is_none());
    assert!(v2::CircuitV2::from_circuit(&lookups()).is_none());
    assert!(v1::CircuitV1::from_circuit(&lookups()).is_none());
    assert!(v1::CircuitV1::from_circuit(&mixture()).is_none());
    let change = |circuit: Circuit, change: fn(&mut Circuit)| {
        let mut circuit = circuit;
        change(&mut circuit);
        v1::CircuitV1::from_circuit(&circuit)
    };
    let further: fn(&mut Circuit) = |circuit| {
        let output: Output = circuit.outputs[0];
        circuit.outputs.push(output);
    };
    assert!(change(levelled(), further).is_none());
    assert!(change(levelled(), |circuit| circuit.outputs[0].node = NodeId(1)).is_none());
    assert!(change(linear(), |circuit| circuit.outputs[0].coefficients = 1).is_none());
    assert!(change(linear(), |circuit| circuit.constants[0].0[1].0 = 2).is_none());
}

#[test]
fn a_circuits_hash_is_that_of_the_oldest_version_that_can_say_it() {
    let wire = v1::CircuitV1::from_circuit(&levelled()).unwrap();
    let bytes = codec::encode(&wire, LIMIT).unwrap();
    assert_eq!(
        levelled().hash().unwrap(),
        cipherfn_protocol::hash::Hash::of(&bytes)
    );
    let bytes = codec::encode(&v2::CircuitV2::from_circuit(&mixture()).unwrap(), LIMIT).unwrap();
    assert_eq!(
        mixture().hash().unwrap(),
        cipherfn_protocol::hash::Hash::of(&bytes)
    );
    let wire = v3::CircuitV3::from_circuit(&lookups()).unwrap();
    let bytes = codec::encode(&wire, LIMIT).unwrap();
    assert_eq!(
        lookups().hash().unwrap(),
        cipherfn_protocol::hash::Hash::of(&bytes)
    );
    for circuit in [carriers(), bootstraps()] {
        let bytes = codec::encode(&v4::CircuitV4::from_circuit(&circuit).unwrap(), LIMIT).unwrap();
        assert_eq!(
            circuit.hash().unwrap(),
            cipherfn_protocol::hash::Hash::of(&bytes)
        );
    }
    let bytes = codec::encode(&v6::CircuitV6::from(&choices()), LIMIT).unwrap();
    assert_eq!(
        choices().hash().unwrap(),
        cipherfn_protocol::hash::Hash::of(&bytes)
    );
}

#[test]
fn version_1_products_keep_version_1s_rules() {
    let v1::CircuitV1::Linear(wire) = v1::CircuitV1::from_circuit(&linear()).unwrap() else {
        panic!("a linear circuit")
    };
    let refused = |change: fn(&mut v1::LinearCircuit)| {
        let mut wire = wire.clone();
        change(&mut wire);
        Circuit::try_from(v1::CircuitV1::Linear(wire))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(|wire| wire.bias.push(0)),
        "bias count is 3, it must be 2"
    );
    assert_eq!(refused(|wire| wire.stride = 3), "stride is 3, it must be 2");
}
