//! Bundles from strangers: whatever they say, preparing them ends soon and in little memory.

use super::{Builder, Set, operand};
use crate::{EngineError, PreparedCircuit, bundle};
use cipherfn_circuit::Bundle;
use cipherfn_circuit::CircuitError;
use cipherfn_circuit::circuit::{
    Circuit, Constant, ConstantId, Input, Node, NodeId, Operand, Output, Rotated, Select,
    SelectorForm, SelectorId, Sum,
};
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels, Transport};
use std::time::{Duration, Instant};

const SET: Set = (
    "cipherfn-128-n512k4-v1",
    Transport::Ggsw,
    Gadget::new(BaseLog::new(12), Levels::new(2)),
);

/// Two nodes and a rotation.
fn small() -> Circuit {
    let mut builder = Builder::new(SET, 3);
    let [low, high] = [(0, 1 << 60), (7, u64::MAX)].map(|value| builder.constant(&[value]));
    let bottom = builder.select(0, Operand::Zero, Operand::Constant(low));
    let node = builder.node(1, bottom, Operand::Constant(high));
    let rotation = 1023;
    builder.finish(Operand::Node(Rotated { node, rotation }), 2, 7)
}

fn with(circuit: Circuit) -> Bundle {
    Bundle {
        circuit,
        specs: b"{}".to_vec(),
        specs_v1: None,
        report: b"{}".to_vec(),
    }
}

#[test]
fn altered_payloads_are_prepared_or_refused() {
    let file = bundle::write(&with(small())).unwrap();
    let frame = frame::decode(&file, FrameKind::Bundle, &[2], u64::MAX).unwrap();
    for index in 0..frame.payload.len() {
        for value in [0, 1, 0x7f, 0xfb, 0xfd, 0xff] {
            let mut altered = frame.payload.clone();
            altered[index] = value;
            // Some changes give another valid bundle; none may panic, hang or take much memory.
            if let Ok(bundle) = bundle::read(&frame::encode(
                FrameKind::Bundle,
                frame.version,
                frame.parameter_set,
                &altered,
            )) {
                PreparedCircuit::new(&bundle.circuit).ok();
            }
        }
    }
}

#[test]
fn unknown_sets_and_invalid_circuits_are_refused() {
    let mut unknown = small();
    unknown.parameter_set = "nonesuch".into();
    let error = bundle::write(&with(unknown)).unwrap_err();
    assert!(error.to_string().contains("nonesuch"), "{error}");
    let mut invalid = small();
    invalid.outputs[0].stride = 0;
    assert!(matches!(
        PreparedCircuit::new(&invalid),
        Err(EngineError::Circuit(CircuitError::OutOfRange { .. }))
    ));
}

/// The format has digits, no node reads them yet.
#[test]
fn digits_are_refused_by_name() {
    let mut circuit = small();
    let mut digits = circuit.inputs[0].clone();
    if let Input::Selectors(group) = &mut digits {
        group.form = SelectorForm::Digits { log2_values: 3 };
    }
    circuit.inputs.push(digits);
    let error = PreparedCircuit::new(&circuit).unwrap_err();
    assert!(matches!(error, EngineError::Digits { input: 1 }), "{error}");
}

/// The circuit, which must be refused as too large, within seconds.
fn refused(circuit: &Circuit) {
    let start = Instant::now();
    let prepared = PreparedCircuit::new(circuit);
    assert!(
        matches!(
            prepared,
            Err(EngineError::Circuit(CircuitError::TooLarge { .. }))
        ),
        "{prepared:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(30));
}

fn select(selector: u32, clear: Operand, set: Operand) -> Select {
    Select {
        selector: SelectorId::first(selector),
        clear,
        set,
    }
}

/// A circuit of these constants and sums over 2^15 bits of a small gadget; the last one is the
/// result.
fn over_bits(constants: Vec<Constant>, sums: Vec<Sum>) -> Circuit {
    let mut circuit = small();
    if let Input::Selectors(group) = &mut circuit.inputs[0] {
        group.count = 1 << 15;
        group.gadget.levels = Levels::new(1);
    }
    circuit.constants = constants;
    circuit.outputs = vec![Output {
        node: NodeId(sums.len() as u32 - 1),
        coefficients: 1,
        stride: 1,
        reply_bits: Bits::new(24),
    }];
    circuit.nodes = sums.into_iter().map(Node::Sum).collect();
    circuit
}

fn dense() -> Constant {
    Constant((0..512).map(|position| (position, 1)).collect())
}

fn turned(node: u32, rotation: u32) -> Rotated {
    Rotated {
        node: NodeId(node),
        rotation,
    }
}

#[test]
fn selectors_and_weights_are_sized_before_they_are_made() {
    // 400 KB each, and all of them read.
    let constant = Operand::Constant(ConstantId(0));
    let selects = (0..1 << 18).map(|selector| select(selector, Operand::Zero, constant));
    let sum = Sum {
        selects: selects.collect(),
        ..Sum::default()
    };
    let mut wide = over_bits(vec![Constant(vec![(0, 1)])], vec![sum]);
    if let Input::Selectors(group) = &mut wide.inputs[0] {
        group.count = 1 << 18;
        group.gadget.levels = Levels::new(2);
    }
    refused(&wide);
    // A ciphertext a feature.
    let mut builder = Builder::new(SET, 0);
    let input = builder.features(1 << 18, 1, 1);
    let node = builder.product(input, vec![vec![1; 1 << 18]], &[]);
    refused(&builder.finish(operand(node), 1, 1));
}

#[test]
fn doubling_sums_share_their_terms() {
    // 2^200 terms if they were all written out.
    let constant = Operand::Constant(ConstantId(0));
    let first = Sum {
        selects: [0, 1]
            .map(|bit| select(bit, Operand::Zero, constant))
            .to_vec(),
        ..Sum::default()
    };
    let doubled = (0..200).map(|node| Sum {
        addends: vec![turned(node, 1), turned(node, 0)],
        ..Sum::default()
    });
    let sums = std::iter::once(first).chain(doubled).collect();
    PreparedCircuit::new(&over_bits(vec![dense()], sums)).unwrap();
}

#[test]
fn dense_plaintexts_are_counted_as_they_are_copied() {
    let constant = Operand::Constant(ConstantId(0));
    let plain = Sum {
        constant: Some(ConstantId(0)),
        ..Sum::default()
    };
    // In a chain of nodes, each with a copy.
    let chain = (0..100_000_u32).map(|node| Sum {
        addends: node
            .checked_sub(1)
            .map(|before| turned(before, 3))
            .into_iter()
            .collect(),
        selects: [0, 1]
            .map(|bit| select(bit, Operand::Zero, constant))
            .to_vec(),
        ..plain.clone()
    });
    refused(&over_bits(vec![dense()], chain.collect()));
    // In the CMUXes of one node, each of which holds a difference.
    let wide = Sum {
        selects: (0..1 << 15)
            .map(|bit| select(bit, constant, Operand::Node(turned(0, bit % 1024))))
            .collect(),
        ..Sum::default()
    };
    refused(&over_bits(vec![dense()], vec![plain.clone(), wide]));
    // In one sum, over and over: nothing grows, and it takes long.
    let long = Sum {
        addends: (0..1_000_000).map(|turn| turned(0, turn % 1024)).collect(),
        ..Sum::default()
    };
    refused(&over_bits(vec![dense()], vec![plain, long]));
}

#[test]
fn many_selectors_are_put_in_order_quickly() {
    // Steps that all wait for nothing, each with a selector of its own.
    let constant = Operand::Constant(ConstantId(0));
    let count = 1 << 15;
    let mut sums: Vec<Sum> = (0..count)
        .map(|bit| Sum {
            selects: [bit, (bit + 1) % count]
                .map(|bit| select(bit, Operand::Zero, constant))
                .to_vec(),
            ..Sum::default()
        })
        .collect();
    let uses = (0..count).flat_map(|node| [turned(node, 1), turned(node, 0)]);
    sums.push(Sum {
        addends: uses.collect(),
        ..Sum::default()
    });
    let scalar = Constant(vec![(0, 1)]);
    let start = Instant::now();
    PreparedCircuit::new(&over_bits(vec![scalar], sums)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
}
