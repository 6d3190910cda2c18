use crate::tests::{Builder, Set, operand};
use crate::{PreparedCircuit, Statistics};
use cipherfn_circuit::circuit::{Circuit, NodeId, Operand, Rotated};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels, Transport};

const SET: Set = (
    "cipherfn-128-n512k4-v1",
    Transport::Ggsw,
    Gadget::new(BaseLog::new(12), Levels::new(2)),
);

fn statistics(circuit: &Circuit) -> Statistics {
    PreparedCircuit::new(circuit).unwrap().statistics()
}

fn rotated(node: NodeId, rotation: u32) -> Operand {
    Operand::Node(Rotated { node, rotation })
}

/// A complete tree of depth 2 whose selectors start at `first`.
fn tree(builder: &mut Builder, root: u32, first: u32) -> Operand {
    let [a, b, c, d] = [1, 2, 3, 4].map(|value| builder.scalar(value << 55));
    let low = builder.select(first, a, b);
    let high = builder.select(first + 1, c, d);
    builder.select(root, low, high)
}

#[test]
fn bottom_nodes_are_not_kept() {
    let mut builder = Builder::new(SET, 3);
    let top = tree(&mut builder, 2, 0);
    let statistics = statistics(&builder.finish(top, 1, 1));
    // low + s (high - low): `low` in the sum, both in the difference.
    assert_eq!(
        (
            statistics.cmuxes,
            statistics.scalar_cmuxes,
            statistics.polynomial_cmuxes,
            statistics.values
        ),
        (1, 3, 0, 1)
    );
}

#[test]
fn roots_with_one_selector_join() {
    let mut builder = Builder::new(SET, 6);
    let trees = [
        tree(&mut builder, 5, 0),
        tree(&mut builder, 5, 2),
        tree(&mut builder, 4, 0),
    ];
    let top = builder.sum(&trees);
    let statistics = statistics(&builder.finish(top, 1, 1));
    assert_eq!((statistics.cmuxes, statistics.values), (2, 1));
}

#[test]
fn oblivious_trees_take_a_product_a_level() {
    let mut builder = Builder::new(SET, 5);
    let leaves: Vec<(u32, u64)> = (0..32)
        .map(|leaf| (leaf, u64::from(leaf + 1) << 50))
        .collect();
    let mut value = builder.plain(&leaves);
    for bit in 0..5 {
        value = builder.node(bit, operand(value), rotated(value, 1024 - (1 << bit)));
    }
    let statistics = statistics(&builder.finish(operand(value), 1, 1));
    assert_eq!((statistics.cmuxes, statistics.polynomial_cmuxes), (4, 1));
}

#[test]
fn what_cancels_or_is_not_needed_costs_nothing() {
    let mut builder = Builder::new(SET, 4);
    let unused = tree(&mut builder, 2, 0);
    assert_ne!(unused, Operand::Zero);
    let used = tree(&mut builder, 3, 0);
    // The same on both sides, and X^N times a value added to it.
    let same = builder.select(2, used, used);
    let Operand::Node(Rotated { node, .. }) = used else {
        panic!("a node")
    };
    let top = builder.sum(&[same, used, rotated(node, 512)]);
    let statistics = statistics(&builder.finish(top, 1, 1));
    assert_eq!((statistics.cmuxes, statistics.values), (1, 1));
}

#[test]
fn long_sums_are_cut_for_threads() {
    let mut builder = Builder::new(SET, 64);
    let trees: Vec<Operand> = (0..20)
        .map(|root| tree(&mut builder, root, 20 + 2 * root))
        .collect();
    let top = builder.sum(&trees);
    let statistics = statistics(&builder.finish(top, 1, 1));
    // Parts of 8, 8 and 4 products, and their sum.
    assert_eq!((statistics.cmuxes, statistics.values), (20, 4));
}
