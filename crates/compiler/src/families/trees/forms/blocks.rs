//! Two digits of a bin index: blocks of neighbouring bins, and the place within a block.
//!
//! Coarse bits say `block >= k`, fine ones `place >= j`, the same for all blocks. A split point
//! where a block starts takes one test, as in a thermometer; any other is "in a later block, or in
//! this one and far enough", three tests at most. A block that starts at a much-used split point
//! thus saves up to two multiplexers a use, for one bit. With one bin a block there are no fine bits
//! and this is the thermometer of all split points.

use crate::families::trees::bins::BinSet;
use crate::families::trees::diagram::Diagram;

#[cfg(test)]
mod tests;

/// Bins in blocks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Blocks {
    /// First bin of each block, increasing; the first is 0.
    starts: Vec<u32>,
    bins: u32,
}

/// Neighbouring values of a digit with one answer.
struct Run<T> {
    first: u32,
    last: u32,
    value: T,
}

/// What a block answers.
enum Block {
    /// The same for all its bins that occur. `from .. to` are the bins of the whole run.
    Answer { inside: bool, from: u32, to: u32 },
    /// It depends on the place.
    Mixed(Vec<Run<bool>>),
}

impl Blocks {
    /// Blocks of `length` bins; the bin of missing values is one of its own. It shows nothing of
    /// which split points are used.
    pub(crate) fn uniform(bins: u32, length: u32, missing: Option<u32>) -> Self {
        let first = u32::from(missing == Some(0));
        let end = bins - u32::from(missing == Some(bins - 1) && first == 0);
        let mut starts: Vec<u32> = (first..end).step_by(length as usize).collect();
        if first == 1 {
            starts.insert(0, 0);
        }
        if end < bins {
            starts.push(end);
        }
        Self { starts, bins }
    }

    /// Blocks of at most `longest` bins: the cheapest, if a block costs `price` and saves
    /// `saved[bin]` by starting at a bin.
    pub(crate) fn weighted(bins: u32, longest: u32, saved: &[f64], price: f64) -> Self {
        // cheapest[end]: price of the blocks before `end`, and where the last of them starts.
        let mut cheapest = vec![(0.0, 0)];
        for end in 1..=bins {
            let starts = end.saturating_sub(longest)..end;
            let priced = starts.map(|start| {
                let own = if start == 0 {
                    0.0
                } else {
                    price - saved[start as usize]
                };
                (cheapest[start as usize].0 + own, start)
            });
            let best = priced.min_by(|a, b| a.0.total_cmp(&b.0));
            cheapest.push(best.expect("a block has a bin"));
        }
        let mut starts = Vec::new();
        let mut at = bins;
        while at > 0 {
            at = cheapest[at as usize].1;
            starts.push(at);
        }
        starts.reverse();
        Self { starts, bins }
    }

    /// Whether every bin is a block of its own.
    pub(crate) const fn is_thermometer(&self) -> bool {
        self.starts.len() == self.bins as usize
    }

    /// Number of bits.
    pub(crate) fn bits(&self) -> u32 {
        self.starts.len() as u32 - 1 + self.longest() - 1
    }

    /// The bins where each bit is 1: coarse bits, then fine ones.
    pub(crate) fn sets(&self) -> Vec<BinSet> {
        let coarse = self.starts[1..].iter();
        let mut sets: Vec<BinSet> = coarse
            .map(|start| BinSet::range(*start, self.bins))
            .collect();
        let blocks: Vec<(u32, u32)> = (0..self.starts.len() as u32)
            .map(|block| (self.start(block), self.start(block + 1)))
            .collect();
        sets.extend((1..self.longest()).map(|place| {
            BinSet::of(
                blocks
                    .iter()
                    .filter(|(start, end)| start + place < *end)
                    .map(|(start, end)| (start + place, *end)),
            )
        }));
        sets
    }

    /// Whether a bin is in `set`, for bins in `allowed`, by the bits' numbers; other bins may be
    /// answered either way. `at_leaves`: the answers lead to constants, so that a test next to them
    /// costs little.
    pub(crate) fn decision(&self, set: &BinSet, allowed: &BinSet, at_leaves: bool) -> Diagram {
        let changes: Vec<u32> = set
            .ranges()
            .iter()
            .flat_map(|(start, end)| [*start, *end])
            .filter(|change| *change < self.bins)
            .collect();
        let runs = self.runs(set, allowed);
        let starts = bounds(&runs, || {
            let blocks = changes.iter().map(|change| self.block(*change));
            blocks.flat_map(|block| [block, block + 1])
        });
        let values = runs.iter().map(|run| match &run.value {
            Block::Answer { inside, .. } => Diagram::Answer(*inside),
            Block::Mixed(places) => {
                let start = self.start(run.first);
                let preferred = || {
                    changes
                        .iter()
                        .filter_map(|change| change.checked_sub(start))
                };
                let values = places.iter().map(|place| Diagram::Answer(place.value));
                chain(values, &bounds(places, preferred), |place| {
                    self.starts.len() as u32 - 1 + place - 1
                })
            }
        });
        let decision = chain(values, &starts, |block| block - 1);
        if at_leaves {
            decision.inside_out()
        } else {
            decision
        }
    }

    /// Runs of blocks, in order; blocks none of whose bins occur are in no run or inside one.
    fn runs(&self, set: &BinSet, allowed: &BinSet) -> Vec<Run<Block>> {
        let mut runs: Vec<Run<Block>> = Vec::new();
        for (from, to, inside) in pieces(set, allowed) {
            let (mut first, last) = (self.block(from), self.block(to - 1));
            let start = self.start(first);
            let place = Run {
                first: from - start,
                last: to.min(self.start(first + 1)) - 1 - start,
                value: inside,
            };
            match runs.last_mut() {
                Some(Run {
                    last: end,
                    value:
                        Block::Answer {
                            inside: other,
                            to: until,
                            ..
                        },
                    ..
                }) if *other == inside => {
                    (*end, *until) = (last, to);
                    continue;
                }
                Some(Run {
                    last: end,
                    value: Block::Mixed(places),
                    ..
                }) if *end == first => {
                    push(places, place);
                    first += 1;
                }
                Some(Run {
                    first: begin,
                    last: end,
                    value:
                        Block::Answer {
                            inside: other,
                            from,
                            to,
                        },
                }) if *end == first => {
                    let before = Run {
                        first: (*from).max(start) - start,
                        last: *to - 1 - start,
                        value: *other,
                    };
                    if *begin < first {
                        *end = first - 1;
                    } else {
                        runs.pop();
                    }
                    runs.push(Run {
                        first,
                        last: first,
                        value: Block::Mixed(vec![before, place]),
                    });
                    first += 1;
                }
                _ => {}
            }
            if first <= last {
                runs.push(Run {
                    first,
                    last,
                    value: Block::Answer { inside, from, to },
                });
            }
        }
        runs
    }

    /// First bin of a block; the number of bins for the one after the last.
    fn start(&self, block: u32) -> u32 {
        self.starts
            .get(block as usize)
            .copied()
            .unwrap_or(self.bins)
    }

    /// The block of a bin.
    fn block(&self, bin: u32) -> u32 {
        self.starts.partition_point(|start| *start <= bin) as u32 - 1
    }

    fn longest(&self) -> u32 {
        let blocks = 0..self.starts.len() as u32;
        blocks
            .map(|block| self.start(block + 1) - self.start(block))
            .max()
            .unwrap_or(1)
    }
}

/// The parts of `allowed` in order, `from .. to`, each wholly inside or outside of `set`.
fn pieces(set: &BinSet, allowed: &BinSet) -> Vec<(u32, u32, bool)> {
    let mut pieces = Vec::new();
    for &(mut at, end) in allowed.ranges() {
        let next = set.ranges().partition_point(|range| range.1 <= at);
        for &(from, to) in set.ranges()[next..]
            .iter()
            .take_while(|range| range.0 < end)
        {
            if at < from {
                pieces.push((at, from, false));
            }
            let from = from.max(at);
            at = to.min(end);
            pieces.push((from, at, true));
        }
        if at < end {
            pieces.push((at, end, false));
        }
    }
    pieces
}

/// Adds a run to a list, or to its last one where that has the same value.
fn push(runs: &mut Vec<Run<bool>>, run: Run<bool>) {
    match runs.last_mut() {
        Some(last) if last.value == run.value => last.last = run.last,
        _ => runs.push(run),
    }
}

/// Where each run but the first begins: at a preferred value of the digit where the values between
/// two runs do not occur, so that equal questions take equal bits.
fn bounds<T, P: Iterator<Item = u32>>(runs: &[Run<T>], preferred: impl Fn() -> P) -> Vec<u32> {
    let bound = |pair: &[Run<T>]| {
        let between = pair[0].last + 1..=pair[1].first;
        preferred()
            .find(|value| between.contains(value))
            .unwrap_or(pair[1].first)
    };
    runs.windows(2).map(bound).collect()
}

/// Tests a thermometer digit from its lowest bound up; `bit` names the bit `digit >= bound`.
fn chain(
    values: impl DoubleEndedIterator<Item = Diagram>,
    bounds: &[u32],
    bit: impl Fn(u32) -> u32,
) -> Diagram {
    let mut values = values.rev();
    let highest = values.next().unwrap_or(Diagram::Answer(false));
    values
        .zip(bounds.iter().rev())
        .fold(highest, |above, (below, bound)| Diagram::Bit {
            bit: bit(*bound),
            clear: Box::new(below),
            set: Box::new(above),
        })
}
