use super::*;
use cipherfn_circuit::circuit::{
    ConstantId, InputId, NodeId, Product, Rotated, Select, SelectorId, Sum,
};
use cipherfn_protocol::specs::{BaseLog, Levels, Predicate, Selector};

const GADGET: Gadget = Gadget::new(BaseLog::new(4), Levels::new(3));
const UNIT: Variances = Variances {
    cmux: Variance::new(1.0),
    body_row: Variance::new(1.0),
};

fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{found} instead of {expected}"
    );
}

fn node(id: u32) -> Operand {
    Operand::Node(Rotated {
        node: NodeId(id),
        rotation: 0,
    })
}

fn select(selector: u32, clear: Operand, set: Operand) -> Select {
    Select {
        selector: SelectorId::first(selector),
        clear,
        set,
    }
}

fn graph(constants: &[i64], nodes: Vec<(Vec<u32>, Vec<Select>)>) -> CmuxGraph {
    let nodes = nodes.into_iter().map(|(addends, selects)| Sum {
        constant: None,
        addends: addends
            .into_iter()
            .map(|node| Rotated {
                node: NodeId(node),
                rotation: 0,
            })
            .collect(),
        selects,
    });
    let constants = constants
        .iter()
        .map(|value| Polynomial::from([(0, *value)]))
        .collect();
    CmuxGraph {
        constants,
        nodes: nodes.map(Node::Sum).collect(),
        ranges: vec![(0, 0)],
        centre: vec![0],
    }
}

/// Of selectors that have nothing to do with each other.
fn paths(graph: &CmuxGraph) -> Paths {
    let selector = |quantiser| Selector {
        quantiser,
        predicate: Predicate::Bit(0),
    };
    let selectors: Vec<Selector> = (0..10).map(selector).collect();
    Paths::of(
        graph,
        Bits {
            selectors: &selectors,
            bins: &[2; 10],
        },
    )
}

fn bound(graph: &CmuxGraph, scale: f64) -> f64 {
    (of_cmuxes(paths(graph), UNIT) + of_constants(graph, GADGET, UNIT, scale)).get()
}

#[test]
fn digits_are_balanced_and_recompose() {
    for value in -2048..2048 {
        let digits: Vec<i64> = balanced_digits(value, GADGET).collect();
        assert!(digits.iter().all(|digit| (-8..8).contains(digit)));
        let sum: i64 = digits.iter().rev().fold(0, |sum, digit| sum * 16 + digit);
        assert_eq!(sum.rem_euclid(4096), value.rem_euclid(4096));
    }
}

#[test]
fn choices_of_one_selector_add_before_they_are_squared() {
    // Both sums hold 3 * row 0 of selector 0: 6 * 6, not 3 * 3 + 3 * 3.
    let choice = |selector| {
        (
            vec![],
            vec![select(
                selector,
                Operand::Zero,
                Operand::Constant(ConstantId(0)),
            )],
        )
    };
    let same = graph(&[3], vec![choice(0), choice(0), (vec![0, 1], vec![])]);
    assert_close(bound(&same, 1.0), 36.0);
    let other = graph(&[3], vec![choice(0), choice(1), (vec![0, 1], vec![])]);
    assert_close(bound(&other, 1.0), 18.0);
}

#[test]
fn a_path_takes_one_branch_and_all_addends() {
    let choice = |constant| {
        (
            vec![],
            vec![select(
                7,
                Operand::Zero,
                Operand::Constant(ConstantId(constant)),
            )],
        )
    };
    let nodes = vec![
        choice(0),
        choice(1),
        (vec![], vec![select(0, node(0), node(1))]),
        (vec![], vec![select(1, node(2), Operand::Zero)]),
        (vec![2, 3], vec![select(2, node(3), node(2))]),
    ];
    // Nodes 2 and 3 have 1 and 2 CMUXes. The last one adds node 2, node 3 and a choice between
    // them: node 2 may be reached three times and node 3 twice, so their CMUXes count 9 and 4,
    // beside the last one. The row of selector 7 is met three times, with 2 at worst.
    assert_close(bound(&graph(&[1, 2], nodes), 1.0), 14.0 + 36.0);
}

#[test]
fn a_shared_part_carries_one_error() {
    let (zero, leaf) = (Operand::Zero, Operand::Constant(ConstantId(0)));
    // Node 1 chooses between node 0 and zero; the result adds it to itself by way of two choices.
    let by_way = |selectors: [u32; 2]| {
        let nodes = vec![
            (vec![], vec![select(9, zero, leaf)]),
            (vec![], vec![select(0, node(0), zero)]),
            (vec![], vec![select(selectors[0], node(1), zero)]),
            (vec![], vec![select(selectors[1], zero, node(1))]),
            (vec![2, 3], vec![]),
        ];
        paths(&graph(&[1], nodes))
    };
    let Paths { cmuxes, selectors } = by_way([1, 2]);
    // The first CMUX twice, by one error: 4. Of 6 in all, selector 0 gives the most.
    assert_close(cmuxes, 6.0);
    assert_close(selectors, 1.5);
    // By one selector only one of the two ways is taken; the bound for each selector knows nothing
    // of that.
    assert_close(by_way([1, 1]).cmuxes, 4.0);
    assert_close(by_way([1, 1]).selectors, 1.0);
    // Below a node that is reached twice, nodes with one use are, too.
    let nodes = vec![
        (vec![], vec![select(9, zero, leaf)]),
        (vec![], vec![select(0, node(0), zero)]),
        (vec![], vec![select(1, node(1), zero)]),
        (vec![2, 2], vec![]),
    ];
    assert_close(paths(&graph(&[1], nodes)).cmuxes, 8.0);
}

#[test]
fn choices_between_constants_concentrate_nothing() {
    let nodes = vec![(
        vec![],
        vec![select(0, Operand::Zero, Operand::Constant(ConstantId(0)))],
    )];
    let paths = paths(&graph(&[8], nodes));
    assert_eq!(
        paths,
        Paths {
            cmuxes: 0.0,
            selectors: f64::INFINITY
        }
    );
}

#[test]
fn scales_apply_to_constants() {
    let nodes = vec![(
        vec![],
        vec![select(0, Operand::Zero, Operand::Constant(ConstantId(0)))],
    )];
    assert_close(bound(&graph(&[8], nodes), 0.25), 4.0);
}

#[test]
fn norms_of_weights_add_along_a_path() {
    let product = |weights: [i64; 2]| {
        Node::Product(Product {
            input: InputId(1),
            weights: vec![vec![weights[0]], vec![weights[1]]],
            constant: None,
        })
    };
    let mut graph = graph(&[7], vec![]);
    graph.nodes = vec![
        product([3, 4]),
        product([0, -13]),
        product([1, 0]),
        // Norms 5 and 13, of which a path takes one, and 1 in any case.
        Node::Sum(Sum {
            constant: Some(ConstantId(0)),
            addends: vec![Rotated {
                node: NodeId(2),
                rotation: 0,
            }],
            selects: vec![select(0, node(0), node(1))],
        }),
    ];
    assert_close(norm(&graph), 14.0);
    // And that twice, beside a constant.
    let sum = Sum {
        selects: vec![
            select(1, node(3), Operand::Constant(ConstantId(0))),
            select(2, Operand::Zero, node(3)),
        ],
        ..Sum::default()
    };
    graph.nodes.push(Node::Sum(sum));
    assert_close(norm(&graph), 28.0);
}
