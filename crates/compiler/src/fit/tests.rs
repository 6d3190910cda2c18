use super::{Demand, InParts, Limit, Limits};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Constant, ConstantId, Input, Node, NodeId, Operand, Output, Rotated, Select, SelectorForm,
    SelectorGroup, SelectorId, Sum,
};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels, Transport};

#[test]
fn limits_are_a_default_functions_unless_they_are_given() {
    let parse = |text: &str| text.parse::<Limits>().unwrap();
    assert_eq!(parse("lambda"), Limits::LAMBDA);
    let own = parse("3538MB, 5s, 1MB");
    assert_eq!(
        (own.memory, own.seconds, own.bytes),
        (3538 << 20, 5.0, 1_000_000)
    );
    assert_eq!(
        parse("0.5s"),
        Limits {
            seconds: 0.5,
            ..Limits::LAMBDA
        }
    );
    assert_eq!(
        parse("2s,300KB"),
        Limits {
            seconds: 2.0,
            bytes: 300_000,
            ..Limits::LAMBDA
        }
    );
    for bad in [
        "",
        "lambda,5s",
        "5",
        "1MB",
        "20GB",
        "5s,5s",
        "5s,1769MB",
        "1769MB,1MB,5s",
        "nans",
        "-1s",
        "1769MB,5s,1MB,2s",
        "1769 potatoes",
    ] {
        let error = bad.parse::<Limits>().unwrap_err().to_string();
        assert!(error.contains("1769MB,5s,1MB"), "{bad:?}: {error}");
    }
}

#[test]
fn what_is_missed_is_named() {
    let demand = Demand {
        memory: 1769 << 20,
        seconds: 29.0,
        query_bytes: Limits::LAMBDA.bytes,
        reply_bytes: 10,
    };
    assert_eq!(demand.missed(&Limits::LAMBDA), []);
    let larger = Demand {
        memory: (1769 << 20) + 1,
        seconds: 30.0,
        query_bytes: Limits::LAMBDA.bytes + 1,
        reply_bytes: Limits::LAMBDA.bytes + 1,
    };
    assert_eq!(
        larger.missed(&Limits::LAMBDA),
        [Limit::Memory, Limit::Time, Limit::Query, Limit::Reply]
    );
}

/// A sum of as many CMUX chains as there are `lengths`, each over selectors of its own.
fn chains(lengths: &[u32]) -> Circuit {
    let node = |index: usize| {
        Operand::Node(Rotated {
            node: NodeId(index as u32),
            rotation: 0,
        })
    };
    let (mut nodes, mut result) = (Vec::new(), Sum::default());
    let mut selectors = 0;
    for length in lengths {
        let mut last = Operand::Constant(ConstantId(0));
        for _ in 0..*length {
            let select = Select {
                selector: SelectorId::first(selectors),
                clear: Operand::Zero,
                set: last,
            };
            selectors += 1;
            nodes.push(Node::Sum(Sum {
                selects: vec![select],
                ..Sum::default()
            }));
            last = node(nodes.len() - 1);
        }
        result.addends.push(Rotated {
            node: NodeId(nodes.len() as u32 - 1),
            rotation: 0,
        });
    }
    nodes.push(Node::Sum(result));
    Circuit {
        parameter_set: "cipherfn-128-n512k4-v1".into(),
        bootstrap: None,
        inputs: vec![Input::Selectors(SelectorGroup {
            count: selectors,
            gadget: Gadget::new(BaseLog::new(23), Levels::new(1)),
            transport: Transport::Ggsw,
            form: SelectorForm::Bits,
        })],
        constants: vec![Constant(vec![(0, 1 << 60)])],
        outputs: vec![Output {
            node: NodeId(nodes.len() as u32 - 1),
            coefficients: 1,
            stride: 1,
            reply_bits: Bits::new(24),
        }],
        nodes,
    }
}

#[test]
fn a_row_that_is_too_long_for_one_worker_is_shared_where_it_can_be() {
    let of = |lengths: &[u32], seconds| InParts::of(&chains(lengths), seconds).unwrap();
    let shared = of(&[20; 16], 1600.0).unwrap();
    assert_eq!(shared.parts, 4);
    assert!((shared.seconds - 400.0).abs() < 1.0, "{shared:?}");
    // 16 chains in five parts: four in the longest. In six there are three.
    let shared = of(&[20; 16], 2000.0).unwrap();
    assert_eq!(shared.parts, 6);
    assert!((shared.seconds - 375.0).abs() < 1.0, "{shared:?}");
    assert_eq!(of(&[20; 16], 8000.0), None, "a chain takes 500 s");
    assert_eq!(of(&[320], 1000.0), None, "nothing to cut");
    assert_eq!(of(&[20; 16], 450.0 * 33.0), None);
}
