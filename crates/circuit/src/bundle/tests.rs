use super::{Bundle, BundleError, MAX_BYTES, SetFacts};
use crate::circuit::{
    Circuit, CircuitError, Constant, Dimensions, LevelledCircuit, LinearCircuit, Node, Operand,
    Rotated, Select,
};
use crate::codec;
use cipherfn_protocol::frame::{self, FrameError, Kind, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{Gadget, Transport};
use std::time::{Duration, Instant};

const SET: &str = "cipherfn-128-n512k4-v1";

fn tag() -> ParameterSetTag {
    Hash::of(SET.as_bytes()).into()
}

/// The only set of these tests.
fn find(name: &str) -> Result<SetFacts, BundleError> {
    let facts = SetFacts {
        dimensions: Dimensions {
            glwe_dimension: 4,
            polynomial_size: 512,
        },
        tag: tag(),
    };
    let unknown = || BundleError::ParameterSetTag {
        circuit: name.to_owned(),
    };
    (name == SET).then_some(facts).ok_or_else(unknown)
}

fn read(bytes: &[u8]) -> Result<Bundle, BundleError> {
    Bundle::from_bytes(bytes, find)
}

fn write(bundle: &Bundle) -> Result<Vec<u8>, BundleError> {
    bundle.to_bytes(find)
}

fn levelled() -> LevelledCircuit {
    let operand = |node| Operand::Node(Rotated { node, rotation: 0 });
    let select = |selector, clear, set| Select {
        selector,
        clear,
        set,
    };
    let node = |selects| Node {
        constant: None,
        addends: Vec::new(),
        selects,
    };
    LevelledCircuit {
        parameter_set: SET.into(),
        selectors: 3,
        gadget: Gadget {
            base_log: 12,
            levels: 2,
        },
        transport: Transport::Ggsw,
        constants: vec![
            Constant(vec![(0, 1 << 60)]),
            Constant(vec![(0, 3), (7, u64::MAX)]),
        ],
        nodes: vec![
            node(vec![select(0, Operand::Zero, Operand::Constant(0))]),
            node(vec![
                select(1, operand(0), Operand::Constant(1)),
                select(2, Operand::Zero, operand(0)),
            ]),
            Node {
                constant: Some(1),
                addends: vec![Rotated {
                    node: 1,
                    rotation: 1023,
                }],
                selects: Vec::new(),
            },
        ],
        coefficients: 2,
        stride: 7,
        reply_bits: 24,
    }
}

fn linear() -> LinearCircuit {
    LinearCircuit {
        parameter_set: SET.into(),
        weights: vec![vec![1, -2, 3], vec![-4, 5, 6]],
        bias: vec![7, 8],
        block: 2,
        stride: 2,
        body_bits: 48,
        reply_bits: 24,
    }
}

fn bundle(circuit: Circuit) -> Bundle {
    Bundle {
        circuit,
        specs: b"{\"specs\":1}".to_vec(),
        report: b"{}".to_vec(),
    }
}

/// A bundle's file, whatever its circuit.
fn unchecked(circuit: Circuit) -> Vec<u8> {
    let payload = codec::encode(&bundle(circuit), MAX_BYTES).unwrap();
    frame::encode(Kind::Bundle, 1, tag(), &payload)
}

fn circuit_error(circuit: Circuit) -> CircuitError {
    assert!(
        matches!(
            write(&bundle(circuit.clone())),
            Err(BundleError::Circuit(_))
        ),
        "written though invalid"
    );
    match read(&unchecked(circuit)) {
        Err(BundleError::Circuit(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn broken(change: impl FnOnce(&mut LevelledCircuit)) -> String {
    let mut circuit = levelled();
    change(&mut circuit);
    circuit_error(Circuit::Levelled(circuit)).to_string()
}

fn broken_linear(change: impl FnOnce(&mut LinearCircuit)) -> String {
    let mut circuit = linear();
    change(&mut circuit);
    circuit_error(Circuit::Linear(circuit)).to_string()
}

#[test]
fn files_come_back_and_are_deterministic() {
    for circuit in [Circuit::Levelled(levelled()), Circuit::Linear(linear())] {
        let bundle = bundle(circuit);
        let bytes = write(&bundle).unwrap();
        assert_eq!(bytes, write(&bundle.clone()).unwrap());
        assert_eq!(read(&bytes).unwrap(), bundle);
    }
}

/// The layout is fixed: a file written today is read by every later build of this format version.
#[test]
fn the_payload_is_these_bytes() {
    let circuit = LevelledCircuit {
        constants: vec![Constant(vec![(3, 300)])],
        nodes: vec![Node {
            constant: Some(0),
            addends: vec![],
            selects: vec![],
        }],
        ..levelled()
    };
    let payload = codec::encode(
        &Bundle {
            circuit: Circuit::Levelled(circuit),
            specs: b"S".to_vec(),
            report: b"R".to_vec(),
        },
        MAX_BYTES,
    )
    .unwrap();
    let mut expected = vec![
        0,  // levelled
        22, // length of the parameter set's name
    ];
    expected.extend_from_slice(SET.as_bytes());
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
        1, b'S', // specs
        1, b'R', // report
    ]);
    assert_eq!(payload, expected);
}

#[test]
fn truncated_and_altered_files_are_named() {
    let bytes = write(&bundle(Circuit::Levelled(levelled()))).unwrap();
    for len in 0..bytes.len() {
        let error = read(&bytes[..len]).unwrap_err();
        assert!(
            matches!(error, BundleError::Frame(FrameError::Truncated { .. })),
            "{len}: {error}"
        );
    }
    for index in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[index] ^= 0x10;
        assert!(read(&altered).is_err(), "byte {index}");
    }
    assert!(matches!(
        read(&[bytes.as_slice(), b"x"].concat()),
        Err(BundleError::Frame(FrameError::Trailing { extra: 1, .. }))
    ));
}

#[test]
fn payloads_with_a_good_checksum_are_still_checked() {
    let payload = codec::encode(&bundle(Circuit::Levelled(levelled())), MAX_BYTES).unwrap();
    let read = |payload: &[u8]| read(&frame::encode(Kind::Bundle, 1, tag(), payload));
    for len in 0..payload.len() {
        assert!(
            matches!(read(&payload[..len]), Err(BundleError::Payload(_))),
            "{len}"
        );
    }
    assert!(matches!(
        read(&[payload.as_slice(), &[0]].concat()),
        Err(BundleError::Payload(_))
    ));
}

#[test]
fn giant_counts_fail_fast() {
    let start = Instant::now();
    let mut payload = vec![0, 22];
    payload.extend_from_slice(SET.as_bytes());
    payload.extend_from_slice(&[3, 12, 2, 1]);
    // 2^62 constants in a file of forty bytes.
    payload.push(253);
    payload.extend_from_slice(&(1u64 << 62).to_le_bytes());
    let bytes = frame::encode(Kind::Bundle, 1, tag(), &payload);
    assert!(matches!(read(&bytes), Err(BundleError::Payload(_))));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_header_of_another_parameter_set_is_refused() {
    let payload = codec::encode(&bundle(Circuit::Levelled(levelled())), MAX_BYTES).unwrap();
    let other = Hash::of(b"another set").into();
    let error = read(&frame::encode(Kind::Bundle, 1, other, &payload)).unwrap_err();
    assert!(
        matches!(error, BundleError::ParameterSetTag { .. }),
        "{error}"
    );
}

#[test]
fn every_rule_of_levelled_circuits_has_its_error() {
    let cycle = |circuit: &mut LevelledCircuit| {
        circuit.nodes[1].selects[0].clear = Operand::Node(Rotated {
            node: 1,
            rotation: 0,
        });
    };
    assert_eq!(
        broken(cycle),
        "node 1 uses node 1, which does not come before it (a cycle)"
    );
    assert!(
        broken(|c| c.nodes[0].addends.push(Rotated {
            node: u32::MAX,
            rotation: 0
        }))
        .starts_with("node 0 uses node 4294967295")
    );
    assert_eq!(
        broken(|c| c.nodes[2].addends[0].rotation = 1024),
        "node 2 rotates by 1024, which is not below 1024"
    );
    assert_eq!(
        broken(|c| c.nodes[0].constant = Some(2)),
        "node 0 uses constant 2 of 2"
    );
    assert_eq!(
        broken(|c| c.nodes[0].selects[0].set = Operand::Constant(9)),
        "node 0 uses constant 9 of 2"
    );
    assert_eq!(
        broken(|c| c.nodes[0].selects[0].selector = 3),
        "node 0 uses selector 3 of 3"
    );
    assert_eq!(
        broken(|c| c.nodes[1].selects[1].selector = 1),
        "node 1 selects twice by selector 1"
    );
    assert!(broken(|c| c.constants[1].0[1].0 = 512).starts_with("constant 1 has position 512"));
    assert!(broken(|c| c.constants[1].0[1].0 = 0).starts_with("constant 1 has position 0"));
    assert_eq!(
        broken(|c| c.nodes.clear()),
        "node count is 0, it must be between 1 and 4194304"
    );
    assert!(broken(|c| c.selectors = u32::MAX).starts_with("selector count is 4294967295"));
    assert!(broken(|c| c.gadget.base_log = 0).starts_with("gadget base"));
    assert!(
        broken(|c| c.gadget = Gadget {
            base_log: 12,
            levels: 5
        })
        .starts_with("gadget levels is 5")
    );
    assert!(broken(|c| c.gadget.levels = u32::MAX).starts_with("gadget levels"));
    assert!(broken(|c| c.coefficients = 0).starts_with("result coefficient count is 0"));
    assert!(broken(|c| c.stride = 0).starts_with("stride is 0"));
    assert!(broken(|c| c.stride = 512).starts_with("last result position is 512"));
    assert!(broken(|c| c.reply_bits = 65).starts_with("reply bits is 65"));
}

#[test]
fn every_rule_of_linear_circuits_has_its_error() {
    assert!(broken_linear(|c| c.weights.clear()).starts_with("output count is 0"));
    assert!(
        broken_linear(|c| c.weights.iter_mut().for_each(Vec::clear))
            .starts_with("feature count is 0")
    );
    assert_eq!(
        broken_linear(|c| c.weights[1].truncate(1)),
        "output 1 has 1 weights, output 0 has 3"
    );
    assert_eq!(
        broken_linear(|c| c.bias.push(0)),
        "bias count is 3, it must be 2"
    );
    assert_eq!(broken_linear(|c| c.stride = 3), "stride is 3, it must be 2");
    assert!(broken_linear(|c| c.block = 0).starts_with("block is 0"));
    assert!(broken_linear(|c| c.block = 257).starts_with("block is 257"));
    assert!(broken_linear(|c| c.weights[0][0] = i64::MIN).starts_with("largest weight"));
    assert!(broken_linear(|c| c.body_bits = 0).starts_with("body bits is 0"));
    assert!(broken_linear(|c| c.reply_bits = 0).starts_with("reply bits is 0"));
}
