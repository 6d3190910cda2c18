//! A weight of the worst path that a row can take.
//!
//! Bits of one feature are not independent: whoever exceeds the larger of two split points exceeds
//! the smaller one. The worst of all paths takes the longest branch of every tree, which no row
//! does: with 500 trees of 63 leaves it is twice as long as that of any row. So the bins of all
//! features are cut into boxes; in a box some bits are known, and the worst path through the rest
//! bounds what its rows take. The box with the largest bound is cut again and again where that
//! lowers it most.

use super::branches;
use cipherfn_circuit::circuit::Node;
use cipherfn_protocol::specs::{Predicate, Selector};
use std::collections::BinaryHeap;

#[cfg(test)]
mod tests;

/// Boxes that are looked at: few for small circuits, which are lowered hundreds of times.
const BOXES: std::ops::RangeInclusive<usize> = 48..=400;
/// Choices of a circuit for one more box.
const CHOICES_A_BOX: usize = 16;
/// Choices that are looked at in all: a bound on the time for large circuits.
const MOST_CHOICES: usize = 40_000_000;
/// Places to cut a feature at that are compared.
const PLACES: u32 = 16;

/// What the encrypted bits are: functions of the features' bins.
#[derive(Clone, Copy)]
pub(crate) struct Bits<'a> {
    /// The bits.
    pub selectors: &'a [Selector],
    /// Bins of each quantiser.
    pub bins: &'a [u32],
}

/// The largest sum of weights on a path that a row can take, or more. `weights` are those of each
/// CMUX of a node.
pub(super) fn worst(nodes: &[Node], weights: &[f64], bits: Bits<'_>) -> f64 {
    let choices = Choices::of(nodes, weights);
    let each = choices.count() + bits.selectors.len() * PLACES as usize;
    let boxes = (choices.count() / CHOICES_A_BOX).clamp(*BOXES.start(), *BOXES.end());
    let most = boxes.min(MOST_CHOICES / each.max(1));
    let all = bits.bins.iter().map(|bins| (0, *bins)).collect();
    let mut open = BinaryHeap::from([BinBox::new(all, f64::INFINITY, &choices, bits)]);
    for _ in 0..most / 2 {
        let Some(region) = open.pop() else { break };
        let Some((feature, place)) = region.cut else {
            return region.bound;
        };
        let (start, end) = region.ranges[feature];
        for part in [(start, place), (place, end)] {
            let mut ranges = region.ranges.clone();
            ranges[feature] = part;
            open.push(BinBox::new(ranges, region.bound, &choices, bits));
        }
    }
    open.peek().map_or(0.0, |region| region.bound)
}

/// The CMUXes between ciphertexts of a graph and what they choose from, flat.
struct Choices {
    nodes: Vec<Choosing>,
    /// The others' operands.
    addends: Vec<usize>,
    selects: Vec<BoxChoice>,
}

/// Ends of a node's own addends and choices; they begin where those of the node before it end.
struct Choosing {
    weight: f64,
    addends: usize,
    choices: usize,
}

struct BoxChoice {
    selector: usize,
    clear: Option<usize>,
    set: Option<usize>,
}

impl Choices {
    fn of(nodes: &[Node], weights: &[f64]) -> Self {
        let mut flat = Self {
            nodes: Vec::with_capacity(nodes.len()),
            addends: Vec::new(),
            selects: Vec::new(),
        };
        for (node, weight) in nodes.iter().zip(weights) {
            let addends = node.addends().iter().map(|addend| addend.node.index());
            flat.addends.extend(addends);
            for select in node.selects() {
                if let Some((clear, set)) = branches(select) {
                    flat.selects.push(BoxChoice {
                        selector: select.selector.index as usize,
                        clear,
                        set,
                    });
                }
            }
            flat.nodes.push(Choosing {
                weight: *weight,
                addends: flat.addends.len(),
                choices: flat.selects.len(),
            });
        }
        flat
    }

    fn count(&self) -> usize {
        self.addends.len() + self.selects.len()
    }

    /// Each node with its addends and choices.
    fn each(&self) -> impl DoubleEndedIterator<Item = (usize, f64, &[usize], &[BoxChoice])> {
        (0..self.nodes.len()).map(|index| {
            let node = &self.nodes[index];
            let (addends, choices) = match index.checked_sub(1) {
                Some(before) => (self.nodes[before].addends, self.nodes[before].choices),
                None => (0, 0),
            };
            let addends = &self.addends[addends..node.addends];
            (
                index,
                node.weight,
                addends,
                &self.selects[choices..node.choices],
            )
        })
    }

    /// The worst path's weight from each node on, where some bits are known.
    fn worst(&self, known: &[Option<bool>]) -> Vec<f64> {
        let mut worst: Vec<f64> = Vec::with_capacity(self.nodes.len());
        for (_, weight, addends, choices) in self.each() {
            let addends = addends.iter().map(|addend| worst[*addend]);
            let chosen = choices.iter().map(|choice| {
                let (clear, set) = choice.values(&worst);
                weight
                    + match known[choice.selector] {
                        Some(false) => clear,
                        Some(true) => set,
                        None => clear.max(set),
                    }
            });
            let own = addends.sum::<f64>() + chosen.sum::<f64>();
            worst.push(own);
        }
        worst
    }

    /// For each bit, what the worst path loses next to it if the bit is 0, and if it is 1.
    fn losses(&self, known: &[Option<bool>], worst: &[f64]) -> Vec<[f64; 2]> {
        let mut losses = vec![[0.0; 2]; known.len()];
        let mut times = vec![0.0; self.nodes.len()];
        times.last_mut().into_iter().for_each(|root| *root = 1.0);
        for (index, _, addends, choices) in self.each().rev() {
            let reached = times[index];
            if reached == 0.0 {
                continue;
            }
            for addend in addends {
                times[*addend] += reached;
            }
            for choice in choices {
                let (clear, set) = choice.values(worst);
                let known = known[choice.selector];
                let taken = if known.unwrap_or(set > clear) {
                    choice.set
                } else {
                    choice.clear
                };
                if known.is_none() {
                    let loss = &mut losses[choice.selector];
                    loss[usize::from(clear >= set)] += reached * (clear - set).abs();
                }
                if let Some(node) = taken {
                    times[node] += reached;
                }
            }
        }
        losses
    }
}

impl BoxChoice {
    fn values(&self, worst: &[f64]) -> (f64, f64) {
        let of = |node: Option<usize>| node.map_or(0.0, |node| worst[node]);
        (of(self.clear), of(self.set))
    }
}

/// A box of bins.
struct BinBox {
    ranges: Vec<(u32, u32)>,
    bound: f64,
    /// The feature to cut next, and where; none if no cut lowers the bound.
    cut: Option<(usize, u32)>,
}

impl BinBox {
    fn new(ranges: Vec<(u32, u32)>, at_most: f64, choices: &Choices, bits: Bits<'_>) -> Self {
        let known: Vec<Option<bool>> = bits
            .selectors
            .iter()
            .map(|bit| constant(&bit.predicate, ranges[bit.quantiser as usize]))
            .collect();
        let worst = choices.worst(&known);
        let losses = choices.losses(&known, &worst);
        Self {
            bound: worst.last().copied().unwrap_or(0.0).min(at_most),
            cut: cut(&ranges, &losses, bits),
            ranges,
        }
    }
}

impl PartialEq for BinBox {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for BinBox {}

impl PartialOrd for BinBox {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BinBox {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bound.total_cmp(&other.bound)
    }
}

/// Where a cut takes most off both halves.
fn cut(ranges: &[(u32, u32)], losses: &[[f64; 2]], bits: Bits<'_>) -> Option<(usize, u32)> {
    let mut open: Vec<Vec<(&Predicate, [f64; 2])>> = vec![Vec::new(); ranges.len()];
    for (bit, loss) in bits.selectors.iter().zip(losses) {
        if loss[0] + loss[1] > 0.0 {
            open[bit.quantiser as usize].push((&bit.predicate, *loss));
        }
    }
    let mut best: Option<((f64, f64), (usize, u32))> = None;
    for (feature, (open, range)) in open.iter().zip(ranges).enumerate() {
        let (start, end) = *range;
        let steps = (end - start).min(PLACES);
        for place in (1..steps).map(|step| start + (end - start) * step / steps) {
            let lost = |part: (u32, u32)| -> f64 {
                let of = |(predicate, loss): &(&Predicate, [f64; 2])| {
                    constant(predicate, part).map_or(0.0, |bit| loss[usize::from(bit)])
                };
                open.iter().map(of).sum()
            };
            let (low, high) = (lost((start, place)), lost((place, end)));
            let gain = (low.min(high), low + high);
            if gain.1 > 0.0 && best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, (feature, place)));
            }
        }
    }
    best.map(|(_, cut)| cut)
}

/// The bit of all bins of `start .. end`, if it is the same.
fn constant(predicate: &Predicate, (start, end): (u32, u32)) -> Option<bool> {
    match predicate {
        Predicate::Bit(bit) => (start >> bit == (end - 1) >> bit).then(|| start >> bit & 1 == 1),
        Predicate::Within(ranges) => {
            let next = ranges.partition_point(|range| range.1 <= start);
            match ranges.get(next) {
                Some(&(from, to)) if from <= start && end <= to => Some(true),
                Some(&(from, _)) if from < end => None,
                _ => Some(false),
            }
        }
    }
}
