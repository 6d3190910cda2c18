use super::*;
use cipherfn_circuit::circuit::{NodeId, Operand, Rotated, Select, SelectorId, Sum};
use proptest::prelude::*;

const BINS: u32 = 6;
const FEATURES: u32 = 2;

fn node(id: u32) -> Operand {
    Operand::Node(Rotated {
        node: NodeId(id),
        rotation: 0,
    })
}

fn predicate() -> impl Strategy<Value = Predicate> {
    prop_oneof![
        (0_u32..3).prop_map(Predicate::Bit),
        (1..BINS).prop_map(|start| Predicate::Within(vec![(start, BINS)])),
        (0_u32..2, 3..BINS)
            .prop_map(|(end, start)| { Predicate::Within(vec![(0, end + 1), (start, BINS)]) }),
    ]
}

fn selectors() -> impl Strategy<Value = Vec<Selector>> {
    let selector = (0..FEATURES, predicate()).prop_map(|(quantiser, predicate)| Selector {
        quantiser,
        predicate,
    });
    proptest::collection::vec(selector, 1..6)
}

/// Sums of a node before them and a CMUX of two; the first reads none.
fn nodes(selectors: usize) -> impl Strategy<Value = Vec<Node>> {
    let parts = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    );
    let part = (parts, 0..selectors as u32, any::<bool>());
    proptest::collection::vec(part, 1..10).prop_map(|parts| {
        let make = |(index, ((addend, clear, set), selector, adds))| {
            let before: usize = index;
            let pick = |index: prop::sample::Index| index.index(before) as u32;
            Node::Sum(Sum {
                constant: None,
                addends: if before > 0 && adds {
                    vec![Rotated {
                        node: NodeId(pick(addend)),
                        rotation: 0,
                    }]
                } else {
                    Vec::new()
                },
                selects: if before > 0 {
                    vec![Select {
                        selector: SelectorId::first(selector),
                        clear: node(pick(clear)),
                        set: node(pick(set)),
                    }]
                } else {
                    Vec::new()
                },
            })
        };
        parts.into_iter().enumerate().map(make).collect()
    })
}

/// What a row takes.
fn weight(nodes: &[Node], selectors: &[Selector], row: &[u32]) -> f64 {
    let mut weights: Vec<f64> = Vec::new();
    for node in nodes {
        let addends = node
            .addends()
            .iter()
            .map(|addend| weights[addend.node.index()]);
        let selects = node.selects().iter().map(|select| {
            let bit = &selectors[select.selector.index as usize];
            let (clear, set) = branches(select).unwrap();
            let taken = if bit.predicate.holds(row[bit.quantiser as usize]) {
                set
            } else {
                clear
            };
            1.0 + weights[taken.unwrap()]
        });
        let own = addends.sum::<f64>() + selects.sum::<f64>();
        weights.push(own);
    }
    *weights.last().unwrap()
}

proptest! {
    #[test]
    fn no_row_takes_more_than_the_bound(
        (selectors, nodes) in selectors().prop_flat_map(|selectors| {
            let nodes = nodes(selectors.len());
            (Just(selectors), nodes)
        }),
    ) {
        let rows = (0..BINS).flat_map(|one| (0..BINS).map(move |other| [one, other]));
        let most = rows.map(|row| weight(&nodes, &selectors, &row)).fold(0.0, f64::max);
        let bits = Bits { selectors: &selectors, bins: &[BINS; FEATURES as usize] };
        let weights = vec![1.0; nodes.len()];
        let bound = worst(&nodes, &weights, bits);
        prop_assert!(bound >= most, "{} below {}", bound, most);
        let any = *Choices::of(&nodes, &weights).worst(&vec![None; selectors.len()]).last().unwrap();
        prop_assert!(bound <= any, "{} above {}", bound, any);
    }

    #[test]
    fn a_bit_is_known_where_all_bins_agree(predicate in predicate(), start in 0..BINS, len in 1..=BINS) {
        let end = (start + len).min(BINS);
        let mut bits = (start..end).map(|bin| predicate.holds(bin));
        let first = bits.next().unwrap();
        let expected = bits.all(|bit| bit == first).then_some(first);
        prop_assert_eq!(constant(&predicate, (start, end)), expected);
    }
}

#[test]
fn a_row_takes_the_long_branch_of_one_of_two_opposite_trees() {
    let start = |start| Selector {
        quantiser: 0,
        predicate: Predicate::Within(vec![(start, BINS)]),
    };
    let choice = |selector, clear, set| {
        Node::Sum(Sum {
            selects: vec![Select {
                selector: SelectorId::first(selector),
                clear,
                set,
            }],
            ..Sum::default()
        })
    };
    let constant = Node::Sum(Sum::default());
    // Node 1 is a CMUX more than node 0. One tree takes it below bin 2, the other from bin 4 on.
    let nodes = [
        constant.clone(),
        choice(0, node(0), node(0)),
        choice(0, node(1), node(0)),
        choice(1, node(0), node(1)),
        Node::Sum(Sum {
            addends: [2, 3]
                .map(|id| Rotated {
                    node: NodeId(id),
                    rotation: 0,
                })
                .to_vec(),
            ..Sum::default()
        }),
    ];
    let bits = Bits {
        selectors: &[start(2), start(4)],
        bins: &[BINS],
    };
    assert!((worst(&nodes, &[1.0; 5], bits) - 3.0).abs() < 1e-12);
}
