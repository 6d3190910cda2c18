//! Sums of sparse lists.

use std::cmp::Ordering;

/// Numbers by index, in increasing order.
pub(super) type SparseSums = Vec<(u32, f64)>;

/// A sum of lists on its way. Sums near a graph's result are of hundreds of long lists: merging them
/// one by one takes the square of that.
#[derive(Default)]
pub(super) struct Totals {
    sums: Vec<f64>,
    is_held: Vec<bool>,
    held: Vec<u32>,
}

impl Totals {
    /// Adds a list.
    pub(super) fn add(&mut self, entries: impl Iterator<Item = (u32, f64)>) {
        for (index, value) in entries {
            self.add_at(index, value);
        }
    }

    /// Adds the larger of the two nodes' values at each index.
    pub(super) fn add_larger(
        &mut self,
        (a, b): (Option<usize>, Option<usize>),
        known: &[SparseSums],
    ) {
        let of = |operand: Option<usize>| operand.map_or(&[][..], |index| &known[index]);
        let (mut a, mut b) = (of(a), of(b));
        while let ([first, a_rest @ ..], [second, b_rest @ ..]) = (a, b) {
            match first.0.cmp(&second.0) {
                Ordering::Less => {
                    self.add_at(first.0, first.1);
                    a = a_rest;
                }
                Ordering::Greater => {
                    self.add_at(second.0, second.1);
                    b = b_rest;
                }
                Ordering::Equal => {
                    self.add_at(first.0, first.1.max(second.1));
                    (a, b) = (a_rest, b_rest);
                }
            }
        }
        self.add(a.iter().chain(b).copied());
    }

    /// Adds to one entry.
    pub(super) fn add_at(&mut self, index: u32, value: f64) {
        let at = index as usize;
        if at >= self.sums.len() {
            self.sums.resize(at + 1, 0.0);
            self.is_held.resize(at + 1, false);
        }
        if !std::mem::replace(&mut self.is_held[at], true) {
            self.held.push(index);
        }
        self.sums[at] += value;
    }

    /// The sum, after which there is none.
    pub(super) fn take(&mut self) -> SparseSums {
        self.held.sort_unstable();
        let taken = self.held.iter().map(|index| {
            let at = *index as usize;
            self.is_held[at] = false;
            (*index, std::mem::take(&mut self.sums[at]))
        });
        let entries = taken.collect();
        self.held.clear();
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn lists_add_entry_by_entry() {
        let mut totals = Totals::default();
        let known = [vec![(1, 4.0), (3, 1.0)], vec![(1, 2.0), (2, 5.0), (9, 0.0)]];
        totals.add(known[0].iter().copied());
        totals.add_larger((Some(0), Some(1)), &known);
        totals.add_larger((None, Some(0)), &known);
        totals.add_at(0, 7.0);
        let expected = [(0, 7.0), (1, 12.0), (2, 5.0), (3, 3.0), (9, 0.0)];
        assert_eq!(totals.take(), expected);
        assert_eq!(totals.take(), []);
    }
}
