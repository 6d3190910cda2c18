use super::{Cut, PartCosts};
use crate::circuit::{
    Circuit, Constant, ConstantId, Node, NodeId, Operand, Rotated, Select, SelectorId, Sum,
};
use crate::samples::{DIMENSIONS, bootstraps, levelled, linear, mixture, select};
use crate::validate::CircuitError;
use std::collections::BTreeSet;

fn costs(circuit: &Circuit) -> PartCosts {
    PartCosts {
        cmux: 10,
        choice: 1,
        product: 10,
        bootstrap: 1000,
        selector: vec![5; circuit.inputs.len()],
    }
}

fn cut(circuit: &Circuit, parts: u32) -> Cut {
    Cut::new(circuit, parts, &costs(circuit)).unwrap()
}

/// A chain of CMUXes over selectors `from .. from + len` a term, as if each were a tree; the last
/// link of all of them is the same node.
fn forest(terms: &[(u32, u32)]) -> Circuit {
    let node = |index: usize| {
        Operand::Node(Rotated {
            node: NodeId(index as u32),
            rotation: 0,
        })
    };
    let mut circuit = levelled();
    if let crate::circuit::Input::Selectors(group) = &mut circuit.inputs[0] {
        group.count = 64;
    }
    circuit.constants = vec![Constant(vec![(0, 1 << 60)])];
    circuit.nodes = vec![Node::Sum(Sum {
        selects: vec![select(63, Operand::Zero, Operand::Constant(ConstantId(0)))],
        ..Sum::default()
    })];
    let mut result = Sum {
        constant: Some(ConstantId(0)),
        ..Sum::default()
    };
    for (from, len) in terms {
        let mut last = node(0);
        for selector in *from + 1..from + len {
            circuit.nodes.push(Node::Sum(Sum {
                selects: vec![select(selector, Operand::Zero, last)],
                ..Sum::default()
            }));
            last = node(circuit.nodes.len() - 1);
        }
        result.selects.push(select(*from, last, Operand::Zero));
    }
    circuit.nodes.push(Node::Sum(result));
    circuit.outputs.truncate(1);
    circuit.outputs[0].node = NodeId(circuit.nodes.len() as u32 - 1);
    circuit
}

fn selectors(circuit: &Circuit) -> BTreeSet<SelectorId> {
    circuit.selects().map(|select| select.selector).collect()
}

fn result(circuit: &Circuit) -> &Sum {
    let node = circuit.outputs[0].node;
    circuit.nodes[node.index()].as_sum().unwrap()
}

#[test]
fn every_term_is_in_one_part() {
    for circuit in [
        levelled(),
        linear(),
        mixture(),
        bootstraps(),
        forest(&[(0, 9), (9, 4), (20, 2)]),
    ] {
        circuit.validate(DIMENSIONS).unwrap();
        for parts in [1, 2, 3, 7] {
            let cut = cut(&circuit, parts);
            assert_eq!((cut.parts(), cut.costs().len()), (parts, parts as usize));
            let all: Vec<Circuit> = (0..parts).map(|part| cut.part(&circuit, part)).collect();
            let (mut constants, mut addends, mut selects) = (0, 0, 0);
            for part in &all {
                part.validate(DIMENSIONS).unwrap();
                assert_eq!(part.inputs, circuit.inputs);
                for (own, whole) in part.outputs.iter().zip(&circuit.outputs) {
                    let places = |output: &crate::circuit::Output| {
                        (output.coefficients, output.stride, output.reply_bits)
                    };
                    assert_eq!(places(own), places(whole));
                    let sum = part.nodes[own.node.index()].as_sum().unwrap();
                    constants += usize::from(sum.constant.is_some());
                    addends += sum.addends.len();
                    selects += sum.selects.len();
                }
            }
            let of = |count: fn(&Node) -> usize| -> usize {
                let outputs = circuit.outputs.iter();
                outputs
                    .map(|output| count(&circuit.nodes[output.node.index()]))
                    .sum()
            };
            let constant =
                |node: &Node| usize::from(node.as_sum().is_some_and(|sum| sum.constant.is_some()));
            assert_eq!(constants, of(constant));
            // A product is a term as it is.
            assert_eq!(
                addends,
                of(|node| node.as_sum().map_or(1, |sum| sum.addends.len()))
            );
            assert_eq!(selects, of(|node| node.selects().len()));
        }
    }
}

#[test]
fn parts_take_about_the_same_and_have_only_what_they_read() {
    let circuit = forest(&[
        (0, 12),
        (12, 6),
        (18, 6),
        (24, 3),
        (27, 3),
        (30, 3),
        (33, 3),
    ]);
    let cut = cut(&circuit, 3);
    let [least, most] = [cut.costs().iter().min(), cut.costs().iter().max()].map(Option::unwrap);
    assert!(most - least <= 15, "{:?}", cut.costs());
    let all: Vec<Circuit> = (0..3).map(|part| cut.part(&circuit, part)).collect();
    let longest = all.iter().find(|part| {
        let selects = &result(part).selects;
        selects.iter().any(|select| select.selector.index == 0)
    });
    let own: BTreeSet<SelectorId> = (0..12).chain([63]).map(SelectorId::first).collect();
    assert_eq!(selectors(longest.unwrap()), own, "the long term is alone");
    let nodes: usize = all.iter().map(|part| part.nodes.len()).sum();
    // The shared node and a result in each.
    assert_eq!(nodes, circuit.nodes.len() - 2 + 3 + 3);
}

/// Two pairs of terms, each with selectors of its own that its terms share.
#[test]
fn terms_that_share_selectors_are_in_one_part() {
    let mut circuit = forest(&[(0, 8), (20, 8), (40, 8), (50, 8)]);
    for node in &mut circuit.nodes {
        if let Node::Sum(sum) = node {
            for Select { selector, .. } in &mut sum.selects {
                // Terms 2 and 3 read what terms 0 and 1 do, but for the first selector.
                match selector.index {
                    41..48 => selector.index -= 40,
                    51..58 => selector.index -= 30,
                    _ => {}
                }
            }
        }
    }
    circuit.validate(DIMENSIONS).unwrap();
    let cut = cut(&circuit, 2);
    for part in 0..2 {
        let part = cut.part(&circuit, part);
        let firsts: Vec<u32> = result(&part)
            .selects
            .iter()
            .map(|select| select.selector.index)
            .collect();
        assert!(firsts == [0, 40] || firsts == [20, 50], "{firsts:?}");
    }
}

#[test]
fn cuts_are_named_by_what_they_are() {
    let circuit = forest(&[(0, 9), (9, 4), (20, 2), (30, 7)]);
    let names: BTreeSet<Vec<u8>> = [1, 2, 3, 4, 5]
        .map(|parts| cut(&circuit, parts).to_bytes())
        .into();
    assert_eq!(names.len(), 5);
    assert_eq!(cut(&circuit, 3), cut(&circuit, 3));
    let one = cut(&forest(&[(0, 9), (9, 9), (20, 2), (30, 2)]), 2);
    let other = cut(&forest(&[(0, 9), (9, 2), (20, 9), (30, 2)]), 2);
    assert_ne!(one.to_bytes(), other.to_bytes());
}

#[test]
fn more_parts_than_terms_are_empty() {
    let circuit = forest(&[(0, 3)]);
    let cut = cut(&circuit, 4);
    let all = (0..4).map(|part| cut.part(&circuit, part));
    let sizes: BTreeSet<usize> = all.map(|part| part.selects().count()).collect();
    assert_eq!(sizes, [0, 4].into());
}

/// A circuit made so that each of many terms reads each of many nodes.
#[test]
fn what_would_take_too_long_is_refused() {
    let mut circuit = forest(&[(0, 2)]);
    let node = |index: u32| Rotated {
        node: NodeId(index),
        rotation: 0,
    };
    circuit.nodes.truncate(1);
    for index in 0..40_000 {
        circuit.nodes.push(Node::Sum(Sum {
            addends: vec![node(index)],
            ..Sum::default()
        }));
    }
    circuit.nodes.push(Node::Sum(Sum {
        addends: vec![node(40_000); 3000],
        ..Sum::default()
    }));
    circuit.outputs[0].node = NodeId(40_001);
    let refused = Cut::new(&circuit, 2, &costs(&circuit));
    assert!(
        matches!(refused, Err(CircuitError::TooLarge { .. })),
        "{refused:?}"
    );
}

#[test]
fn only_parts_that_have_bootstraps_name_their_key() {
    let mut circuit = bootstraps();
    // Beside the bootstrap, what it is of: a term of another part.
    let plain = crate::circuit::Output {
        node: NodeId(2),
        ..circuit.outputs[0]
    };
    circuit.outputs.push(plain);
    let cut = cut(&circuit, 2);
    let named = (0..2).map(|part| cut.part(&circuit, part).bootstrap);
    assert_eq!(named.collect::<Vec<_>>(), [circuit.bootstrap.clone(), None]);
}
