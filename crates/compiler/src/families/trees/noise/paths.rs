//! The worst path: how much error the CMUXes between ciphertexts add on it, and how few selectors
//! it may come from.

use super::{combine, operands};
use crate::families::trees::graph::Graph;
use cipherfn_circuit::circuit::{Node, Operand};

/// What holds for every path through a graph, from the constants to the result. A path takes one
/// branch of every CMUX and all addends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paths {
    /// Variance that CMUXes between ciphertexts add, in units of one CMUX's. One that a path
    /// reaches k times counts k^2 times: it carries the same error every time.
    pub cmuxes: f64,
    /// Selectors that this variance comes from, if each of them gives as much as any may give;
    /// infinite where there is no variance.
    pub selectors: f64,
}

/// What holds for every path from the constants to one node. Lists are sorted by their first entry.
#[derive(Clone, Default)]
struct Reach {
    /// CMUXes between ciphertexts, each time they are reached.
    visits: f64,
    /// The same by selector.
    selectors: Vec<(u32, f64)>,
    /// How often nodes with several uses are reached.
    shared: Vec<(u32, f64)>,
}

impl Paths {
    pub(crate) fn of(graph: &Graph) -> Self {
        let nodes = &graph.nodes;
        let (mut uses, mut last_use) = (vec![0_u32; nodes.len()], vec![0; nodes.len()]);
        for (index, node) in nodes.iter().enumerate() {
            for operand in operands(node) {
                uses[operand] += 1;
                last_use[operand] = index;
            }
        }
        let mut known: Vec<Reach> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let mut reach = reach(node, &known);
            if uses[index] > 1 && reach.visits > 0.0 {
                reach.shared = combine(&reach.shared, &[(index as u32, 1.0)], |a, b| a + b);
            }
            known.push(reach);
            for operand in operands(node).filter(|operand| last_use[*operand] == index) {
                known[operand] = Reach::default();
            }
        }
        let Some(result) = known.pop() else {
            return Self {
                cmuxes: 0.0,
                selectors: f64::INFINITY,
            };
        };
        let repeated = repeated(nodes, &uses, &result.shared);
        let own = combine(&result.selectors, &repeated, |a, b| a + b);
        let cmuxes = result.visits + repeated.iter().map(|(_, more)| more).sum::<f64>();
        let most = own
            .iter()
            .map(|(_, variance)| *variance)
            .fold(0.0, f64::max);
        Self {
            cmuxes,
            selectors: if most > 0.0 {
                cmuxes / most
            } else {
                f64::INFINITY
            },
        }
    }
}

fn reach(node: &Node, known: &[Reach]) -> Reach {
    let mut total = Reach::default();
    let Some(node) = node.as_sum() else {
        return total;
    };
    let mut add = |other: &Reach| {
        total.visits += other.visits;
        total.selectors = combine(&total.selectors, &other.selectors, |a, b| a + b);
        total.shared = combine(&total.shared, &other.shared, |a, b| a + b);
    };
    for addend in &node.addends {
        add(&known[addend.node.index()]);
    }
    for select in &node.selects {
        let of = |operand: Operand| {
            if let Operand::Node(rotated) = operand {
                Some(&known[rotated.node.index()])
            } else {
                None
            }
        };
        let nothing = Reach::default();
        let (clear, set) = match (of(select.clear), of(select.set)) {
            (None, None) => continue,
            (clear, set) => (clear.unwrap_or(&nothing), set.unwrap_or(&nothing)),
        };
        add(&Reach {
            visits: 1.0 + clear.visits.max(set.visits),
            selectors: combine(
                &combine(&clear.selectors, &set.selectors, f64::max),
                &[(select.selector.index, 1.0)],
                |a, b| a + b,
            ),
            shared: combine(&clear.shared, &set.shared, f64::max),
        });
    }
    total
}

/// For each selector, by how much its CMUXes' variance exceeds their visits: k^2 - k for one that
/// some path reaches k times.
fn repeated(nodes: &[Node], uses: &[u32], shared: &[(u32, f64)]) -> Vec<(u32, f64)> {
    let mut times = vec![1.0_f64; nodes.len()];
    for (node, reached) in shared {
        times[*node as usize] = *reached;
    }
    let mut more: std::collections::BTreeMap<u32, f64> = std::collections::BTreeMap::new();
    // Users come after what they use.
    for (index, node) in nodes.iter().enumerate().rev() {
        let reached = times[index];
        for operand in operands(node).filter(|operand| uses[*operand] == 1) {
            times[operand] = reached;
        }
        let between_ciphertexts = |operand: Operand| matches!(operand, Operand::Node(_));
        for select in node.as_sum().map_or(&[][..], |sum| &sum.selects) {
            if reached > 1.0
                && (between_ciphertexts(select.clear) || between_ciphertexts(select.set))
            {
                *more.entry(select.selector.index).or_default() += reached * reached - reached;
            }
        }
    }
    more.into_iter().collect()
}
