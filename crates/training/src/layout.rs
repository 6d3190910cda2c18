//! Where each number lies among the words of a contribution.
//!
//! Numbers are scaled to [-1, 1] by their column's range, so that every sum is at most the number of
//! rows. A word is a sum times [`Layout::unit`]: with as many rows as the spec has room for the largest
//! sum takes 98 % of the torus. The first word is the number of rows once more, in units so small that
//! it cannot wrap around: it tells whether the others did.

use crate::spec::StatisticsSpec;

/// Most contributions of a sum. None has more rows than the spec has room for, so the first word
/// holds the rows of all of them.
pub const MAX_OWNERS: u32 = 1 << 16;
/// Part of the torus that the largest sum takes, on each side of zero.
const FILLED: f64 = 0.49;

/// Order of the words: the guard; for each class the number of its rows, sums, sums of squares,
/// numbers of rows a category; products of two columns, of all classes together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    /// Numeric columns, a numeric target among them.
    pub(crate) numbers: usize,
    pub(crate) classes: usize,
    /// Number of categories of each categorical column.
    pub(crate) categories: Vec<usize>,
    rows: u64,
}

impl Layout {
    pub(crate) fn of(spec: &StatisticsSpec) -> Self {
        let categories = spec.categories().iter();
        Self {
            numbers: spec.summed().len(),
            classes: spec.classes(),
            categories: categories.map(|column| column.categories.len()).collect(),
            rows: spec.rows(),
        }
    }

    /// Words of one.
    pub(crate) fn len(&self) -> usize {
        self.products() + self.numbers * self.numbers.saturating_sub(1) / 2
    }

    /// Words of a class.
    fn class_len(&self) -> usize {
        1 + 2 * self.numbers + self.categories.iter().sum::<usize>()
    }

    /// The number of rows of a class.
    pub(crate) fn count(&self, class: usize) -> usize {
        1 + class * self.class_len()
    }

    /// The sum of a column in a class.
    pub(crate) fn sum(&self, class: usize, column: usize) -> usize {
        self.count(class) + 1 + column
    }

    /// The sum of a column's squares in a class.
    pub(crate) fn square(&self, class: usize, column: usize) -> usize {
        self.sum(class, self.numbers + column)
    }

    /// The number of rows of a class with a category.
    pub(crate) fn category(&self, class: usize, column: usize, category: usize) -> usize {
        let before = self.categories[..column].iter().sum::<usize>();
        self.sum(class, 2 * self.numbers + before + category)
    }

    /// The first product of two columns.
    fn products(&self) -> usize {
        self.count(self.classes)
    }

    /// The sum of the products of two columns, `one < other`.
    pub(crate) fn product(&self, one: usize, other: usize) -> usize {
        self.products() + other * (other - 1) / 2 + one
    }

    /// Fraction of the torus of 1.
    pub(crate) fn unit(&self) -> f64 {
        FILLED / self.rows as f64
    }

    /// The same of the first word.
    pub(crate) fn guard_unit(&self) -> f64 {
        self.unit() / f64::from(MAX_OWNERS)
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;
    use std::collections::BTreeSet;

    #[test]
    fn every_word_has_one_number() {
        let layout = Layout {
            numbers: 4,
            classes: 3,
            categories: vec![2, 5],
            rows: 10,
        };
        let mut words = BTreeSet::from([0]);
        for class in 0..3 {
            words.insert(layout.count(class));
            for column in 0..4 {
                words.insert(layout.sum(class, column));
                words.insert(layout.square(class, column));
            }
            words.extend((0..2).map(|category| layout.category(class, 0, category)));
            words.extend((0..5).map(|category| layout.category(class, 1, category)));
        }
        for other in 0..4 {
            words.extend((0..other).map(|one| layout.product(one, other)));
        }
        assert!(words.into_iter().eq(0..layout.len()));
    }

    /// Two classes of 60 columns, and a regression on 60, share one ciphertext.
    #[test]
    fn sixty_columns_fit_a_ciphertext() {
        let of = |numbers, classes| Layout {
            numbers,
            classes,
            categories: Vec::new(),
            rows: 1,
        };
        assert_eq!(of(60, 2).len(), 2013);
        assert_eq!(of(61, 1).len(), 1954);
        assert_eq!(of(31, 1).len(), 529);
    }
}
