//! What the decrypted total says of all rows.

use crate::error::TrainingError;
use crate::layout::Layout;
use crate::matrix::Symmetric;
use crate::rounding;
use crate::spec::{StatisticsSpec, Target};

/// Counts, sums and products over the rows of all owners, numbers scaled to [-1, 1].
#[derive(Clone, Debug)]
pub struct Moments {
    layout: Layout,
    /// In the order of the layout.
    values: Vec<f64>,
    /// How far each value is off at most, at 2^-40, rounding included.
    error: f64,
}

impl Moments {
    /// Number of words that a contribution to `spec` has.
    pub fn words(spec: &StatisticsSpec) -> usize {
        Layout::of(spec).len()
    }

    /// Reads the words of a total. `error` bounds the error of each, as a fraction of the torus. Sums are
    /// rounded to a step as large as that before anything is made of them: owners know their own sums, and
    /// those of all owners who work together would show the errors, which are linear in the key.
    ///
    /// # Errors
    /// More rows than the spec has room for, and sums that no rows have.
    pub fn decode(spec: &StatisticsSpec, error: f64, words: &[u64]) -> Result<Self, TrainingError> {
        let layout = Layout::of(spec);
        if words.len() != layout.len() {
            return Err(TrainingError::Malformed {
                problem: format!("it has {} words instead of {}", words.len(), layout.len()),
            });
        }
        let fraction = |word: u64| word as i64 as f64 * 2f64.powi(-64);
        let guard_error = error / layout.guard_unit();
        let step = rounding::step(guard_error).max(1.0);
        let guard = rounding::to_step(fraction(words[0]) / layout.guard_unit(), step);
        let guard_error = guard_error + step / 2.0;
        if guard > spec.rows() as f64 + guard_error {
            return Err(TrainingError::TooManyRowsTogether { limit: spec.rows() });
        }
        let (unit, error) = (layout.unit(), error / layout.unit());
        let step = rounding::step(error);
        let values = words.iter().map(|word| fraction(*word) / unit);
        let mut own = Self {
            values: values.map(|value| rounding::to_step(value, step)).collect(),
            error: error + step / 2.0,
            layout,
        };
        own.values[0] = guard;
        own.round_counts();
        own.check(spec, guard_error)?;
        Ok(own)
    }

    /// Counts are integers: where the error is below one half they are exact.
    fn round_counts(&mut self) {
        if self.error >= 0.5 {
            return;
        }
        for class in 0..self.layout.classes {
            let mut counts = vec![self.layout.count(class)];
            for (column, count) in self.layout.categories.iter().enumerate() {
                let places = 0..*count;
                counts.extend(places.map(|place| self.layout.category(class, column, place)));
            }
            for place in counts {
                self.values[place] = self.values[place].round();
            }
        }
    }

    fn check(&self, spec: &StatisticsSpec, guard_error: f64) -> Result<(), TrainingError> {
        let layout = &self.layout;
        let impossible = |problem: String| Err(TrainingError::Impossible { problem });
        let far = |one: f64, other: f64, error: f64| (one - other).abs() > error;
        let rows = self.count();
        let errors = layout.classes as f64 * self.error;
        if far(rows, self.values[0], errors + guard_error) {
            return impossible("two counts of them differ".into());
        }
        if rows < 0.5 {
            return impossible("there are none".into());
        }
        for class in 0..layout.classes {
            let count = self.class_count(class);
            if count < -self.error {
                return impossible(format!("class {} has fewer than none of them", class + 1));
            }
            // Rounded to words and added, sums may pass the count by the rounding.
            let most = count + 2.0 * self.error;
            for (index, column) in spec.summed().enumerate() {
                let sum = self.values[layout.sum(class, index)];
                let square = self.values[layout.square(class, index)];
                if sum.abs() > most || !(-2.0 * self.error..=most).contains(&square) {
                    return impossible(format!(
                        "column {:?} has a mean or a variance outside of its range",
                        column.name
                    ));
                }
            }
            for (index, column) in spec.categories().iter().enumerate() {
                let total: f64 = self.class_categories(class, index).iter().sum();
                let errors = (column.categories.len() + 1) as f64 * self.error;
                if far(total, count, errors) {
                    return impossible(format!(
                        "column {:?} has another number of values than there are of them",
                        column.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// Number of rows.
    pub fn count(&self) -> f64 {
        (0..self.layout.classes)
            .map(|class| self.class_count(class))
            .sum()
    }

    /// Number of rows of a class.
    pub fn class_count(&self, class: usize) -> f64 {
        self.values[self.layout.count(class)]
    }

    /// How far each sum is off at most, in rows: by its error, and by being rounded.
    pub const fn error(&self) -> f64 {
        self.error
    }

    /// The mean of a scaled column in a class.
    pub(crate) fn class_mean(&self, class: usize, column: usize) -> f64 {
        self.values[self.layout.sum(class, column)] / self.class_count(class)
    }

    /// The variance of a scaled column in a class, by the number of rows.
    pub(crate) fn class_variance(&self, class: usize, column: usize) -> f64 {
        let square = self.values[self.layout.square(class, column)];
        let mean = self.class_mean(class, column);
        (square / self.class_count(class) - mean * mean).max(0.0)
    }

    /// Numbers of rows of a class with each category of a column.
    pub(crate) fn class_categories(&self, class: usize, column: usize) -> &[f64] {
        let first = self.layout.category(class, column, 0);
        &self.values[first..first + self.layout.categories[column]]
    }

    fn total(&self, place: impl Fn(usize) -> usize) -> f64 {
        (0..self.layout.classes)
            .map(|class| self.values[place(class)])
            .sum()
    }

    /// The mean of a scaled column.
    pub(crate) fn mean(&self, column: usize) -> f64 {
        self.total(|class| self.layout.sum(class, column)) / self.count()
    }

    /// Sums of products of two scaled columns.
    fn raw(&self, one: usize, other: usize) -> f64 {
        if one == other {
            return self.total(|class| self.layout.square(class, one));
        }
        self.values[self.layout.product(one.min(other), one.max(other))]
    }

    /// Sums of products of two scaled columns less their means.
    pub(crate) fn scatter(&self) -> Symmetric {
        let means: Vec<f64> = (0..self.layout.numbers)
            .map(|column| self.mean(column))
            .collect();
        Symmetric::from_fn(self.layout.numbers, |one, other| {
            self.raw(one, other) - self.count() * means[one] * means[other]
        })
    }

    /// The same less the means in each row's class, over classes that have rows.
    pub(crate) fn scatter_within(&self) -> Symmetric {
        Symmetric::from_fn(self.layout.numbers, |one, other| {
            let between = (0..self.layout.classes)
                .filter(|class| self.class_count(*class) > 0.5)
                .map(|class| {
                    let mean = self.class_mean(class, one);
                    mean * self.values[self.layout.sum(class, other)]
                });
            self.raw(one, other) - between.sum::<f64>()
        })
    }

    /// Means and standard deviations (by the number of rows) of the numeric columns, a numeric target
    /// last.
    pub fn columns(&self, spec: &StatisticsSpec) -> Vec<(f64, f64)> {
        let scatter = self.scatter();
        let columns = spec.summed().enumerate();
        columns
            .map(|(index, column)| {
                let variance = (scatter.get(index, index) / self.count()).max(0.0);
                let mean = column.middle() + column.half() * self.mean(index);
                (mean, column.half() * variance.sqrt())
            })
            .collect()
    }

    /// Correlations of the numeric columns, a numeric target last, row by row; NaN with a column that
    /// is constant as far as the sums tell, as pandas' `DataFrame.corr` has it.
    pub fn correlations(&self, spec: &StatisticsSpec) -> Vec<Vec<f64>> {
        let scatter = self.scatter();
        let all = 0..spec.summed().len();
        let correlation = |one: usize, other: usize| {
            if [one, other].map(|index| self.is_constant(&scatter, index)) != [false; 2] {
                return f64::NAN;
            }
            if one == other {
                return 1.0;
            }
            let both = scatter.get(one, one) * scatter.get(other, other);
            (scatter.get(one, other) / both.sqrt()).clamp(-1.0, 1.0)
        };
        let row = |one| all.clone().map(|other| correlation(one, other)).collect();
        all.clone().map(row).collect()
    }

    /// Numeric columns must not be constant, as far as the sums tell.
    pub(crate) fn require_spread(
        &self,
        fit: &'static str,
        spec: &StatisticsSpec,
        scatter: &Symmetric,
        mut columns: impl Iterator<Item = usize>,
    ) -> Result<(), TrainingError> {
        let Some(index) = columns.find(|index| self.is_constant(scatter, *index)) else {
            return Ok(());
        };
        let name = spec.summed().nth(index).map_or("", |column| &column.name);
        Err(TrainingError::fit(
            fit,
            format!(
                "column {name:?} is constant, or nearly so for its declared range; leave it out or narrow the range"
            ),
        ))
    }

    fn is_constant(&self, scatter: &Symmetric, column: usize) -> bool {
        scatter.get(column, column) <= self.tolerance()
    }

    /// Sums of squares that cannot be told from zero: the error of the four numbers that they are made
    /// of, and of 64-bit floats.
    pub(crate) fn tolerance(&self) -> f64 {
        4.0 * self.error + 1e-12 * self.count()
    }

    /// Classes that have rows, with their names.
    ///
    /// # Errors
    /// Fewer than two.
    pub(crate) fn classes<'a>(
        &self,
        fit: &'static str,
        spec: &'a StatisticsSpec,
    ) -> Result<Vec<(usize, &'a str)>, TrainingError> {
        let Target::Class(column) = spec.target() else {
            let problem = "the spec's target has no classes";
            return Err(TrainingError::fit(fit, problem));
        };
        let names = column.categories.iter().enumerate();
        let found: Vec<_> = names
            .filter(|(class, _)| self.class_count(*class) > 0.5)
            .map(|(class, name)| (class, name.as_str()))
            .collect();
        if found.len() < 2 {
            let problem = "fewer than two classes have rows; it takes contributions with others";
            return Err(TrainingError::fit(fit, problem));
        }
        Ok(found)
    }
}
