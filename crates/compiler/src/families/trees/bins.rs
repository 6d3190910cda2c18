//! Sets of bins of one quantised feature.

/// Bin indices as sorted half-open ranges with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BinSet(Vec<(u32, u32)>);

impl BinSet {
    /// `start .. end`.
    pub(crate) fn range(start: u32, end: u32) -> Self {
        Self(if start < end {
            vec![(start, end)]
        } else {
            Vec::new()
        })
    }

    /// The union of ranges that are not empty, sorted, and apart by at least a bin.
    pub(crate) fn of(ranges: impl Iterator<Item = (u32, u32)>) -> Self {
        let ranges: Vec<(u32, u32)> = ranges.collect();
        debug_assert!(ranges.iter().all(|range| range.0 < range.1));
        debug_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        Self(ranges)
    }

    /// The ranges.
    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// Whether there is no bin in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `bin` is in it.
    pub(crate) fn contains(&self, bin: u32) -> bool {
        let next = self.0.partition_point(|range| range.1 <= bin);
        self.0.get(next).is_some_and(|range| range.0 <= bin)
    }

    /// The other ones of `bins` bins.
    pub(crate) fn complement(&self, bins: u32) -> Self {
        let mut ranges = Vec::with_capacity(self.0.len() + 1);
        let mut start = 0;
        for &(from, to) in &self.0 {
            if start < from {
                ranges.push((start, from));
            }
            start = to;
        }
        if start < bins {
            ranges.push((start, bins));
        }
        Self(ranges)
    }

    /// Bins in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut ranges = Vec::new();
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start < end {
                ranges.push((start, end));
            }
            if a.1 < b.1 {
                left.next()
            } else {
                right.next()
            };
        }
        Self(ranges)
    }

    /// Bins in either.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all: Vec<(u32, u32)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match ranges.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => ranges.push((start, end)),
            }
        }
        Self(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BINS: u32 = 12;

    fn set(mask: u32) -> BinSet {
        (0..BINS)
            .filter(|bin| mask >> bin & 1 == 1)
            .fold(BinSet::default(), |set, bin| {
                set.union(&BinSet::range(bin, bin + 1))
            })
    }

    fn mask(set: &BinSet) -> u32 {
        (0..32)
            .filter(|bin| set.contains(*bin))
            .map(|bin| 1 << bin)
            .sum()
    }

    proptest! {
        #[test]
        fn operations_are_those_of_sets(a in 0_u32..1 << BINS, b in 0_u32..1 << BINS) {
            prop_assert_eq!(mask(&set(a)), a);
            prop_assert_eq!(set(a).union(&set(b)), set(a | b));
            prop_assert_eq!(set(a).intersection(&set(b)), set(a & b));
            prop_assert_eq!(set(a).complement(BINS), set(!a & ((1 << BINS) - 1)));
            prop_assert!(set(a).ranges().windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
