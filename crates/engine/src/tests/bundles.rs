//! Bundles from strangers: whatever they say, preparing them ends soon and in little memory.

use super::Builder;
use crate::{EngineError, PreparedCircuit, bundle};
use cipherfn_circuit::Bundle;
use cipherfn_circuit::circuit::{
    Circuit, CircuitError, Constant, LevelledCircuit, Node, Operand, Rotated, Select,
};
use cipherfn_protocol::frame::{self, Kind};
use cipherfn_protocol::specs::{Gadget, Transport};
use std::time::{Duration, Instant};

const SET: (&str, Transport, Gadget) = (
    "cipherfn-128-n512k4-v1",
    Transport::Ggsw,
    Gadget {
        base_log: 12,
        levels: 2,
    },
);

/// Two nodes, a sum of both CMUXes and a rotation.
fn levelled() -> LevelledCircuit {
    let mut builder = Builder::new(SET, 3);
    let [low, high] = [(0, 1 << 60), (7, u64::MAX)].map(|value| builder.constant(&[value]));
    let bottom = builder.select(0, Operand::Zero, Operand::Constant(low));
    builder.select(1, bottom, Operand::Constant(high));
    let top = Operand::Node(Rotated {
        node: 1,
        rotation: 1023,
    });
    match builder.finish(top, 2, 7) {
        Circuit::Levelled(circuit) => circuit,
        Circuit::Linear(_) => panic!("a levelled circuit"),
    }
}

fn with(circuit: Circuit) -> Bundle {
    Bundle {
        circuit,
        specs: b"{}".to_vec(),
        report: b"{}".to_vec(),
    }
}

#[test]
fn altered_payloads_are_prepared_or_refused() {
    let file = bundle::write(&with(Circuit::Levelled(levelled()))).unwrap();
    let frame = frame::decode(&file, Kind::Bundle, &[1, 2], u64::MAX).unwrap();
    for index in 0..frame.payload.len() {
        for value in [0, 1, 0x7f, 0xfb, 0xfd, 0xff] {
            let mut altered = frame.payload.clone();
            altered[index] = value;
            // Some changes give another valid bundle; none may panic, hang or take much memory.
            if let Ok(bundle) = bundle::read(&frame::encode(
                Kind::Bundle,
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
    let unknown = Circuit::Levelled(LevelledCircuit {
        parameter_set: "nonesuch".into(),
        ..levelled()
    });
    let error = bundle::write(&with(unknown)).unwrap_err();
    assert!(error.to_string().contains("nonesuch"), "{error}");
    let invalid = Circuit::Levelled(LevelledCircuit {
        stride: 0,
        ..levelled()
    });
    assert!(matches!(
        PreparedCircuit::new(&invalid),
        Err(EngineError::Circuit(CircuitError::OutOfRange { .. }))
    ));
}

#[test]
fn what_would_take_too_much_memory_is_refused_quickly() {
    let start = Instant::now();
    let select = |selector| Select {
        selector,
        clear: Operand::Zero,
        set: Operand::Constant(0),
    };
    // 2^18 selectors of 400 KB.
    let wide = LevelledCircuit {
        selectors: 1 << 18,
        ..levelled()
    };
    assert!(matches!(
        PreparedCircuit::new(&Circuit::Levelled(wide)),
        Err(EngineError::Circuit(CircuitError::TooLarge { .. }))
    ));
    // Doubling sums: 2^200 terms if they were all written out.
    let mut nodes = vec![Node {
        constant: None,
        addends: Vec::new(),
        selects: vec![select(0), select(1)],
    }];
    for node in 0..200 {
        let twice = [Rotated { node, rotation: 1 }, Rotated { node, rotation: 0 }];
        nodes.push(Node {
            constant: None,
            addends: twice.to_vec(),
            selects: Vec::new(),
        });
    }
    PreparedCircuit::new(&Circuit::Levelled(LevelledCircuit {
        nodes,
        ..levelled()
    }))
    .unwrap();
    // Dense plaintexts, turned and added again and again.
    let dense = Constant((0..512).map(|position| (position, 1)).collect());
    let nodes = (0..100_000).map(|node: u32| Node {
        constant: Some(0),
        addends: node
            .checked_sub(1)
            .map(|node| Rotated { node, rotation: 3 })
            .into_iter()
            .collect(),
        selects: vec![select(0), select(1)],
    });
    let circuit = LevelledCircuit {
        constants: vec![dense],
        nodes: nodes.collect(),
        ..levelled()
    };
    let error = PreparedCircuit::new(&Circuit::Levelled(circuit));
    assert!(
        matches!(
            error,
            Err(EngineError::Circuit(CircuitError::TooLarge { .. }))
        ),
        "{error:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(30));
}
