//! Plans as Rust that reads like polars.

use crate::number::Number;
use crate::plan::{
    Aggregate, Cardinality, Expression, GroupBy, JoinType, KeyPair, Literal, Merge, Named,
    NamedAggregate, Plan, PlanStep, Quantile, Renaming, Slice, SortKey,
};

/// A plan under construction.
///
/// ```
/// use cipherfn_frame::query::{Query, col, sum};
///
/// let plan = Query::scan("sales")
///     .merge("prices").on("sku").left()
///     .filter(col("age").gt(30))
///     .group_by(["region"]).agg([sum("amount")])
///     .plan();
/// assert_eq!(plan.steps.len(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Query(Plan);

/// A merge whose keys are not named yet.
#[derive(Clone, Debug)]
pub struct MergeBuilder {
    plan: Plan,
    merge: Merge,
}

/// Groups without aggregates.
#[derive(Clone, Debug)]
pub struct GroupBuilder {
    plan: Plan,
    keys: Vec<String>,
}

impl Query {
    /// The rows of a frame.
    pub fn scan(frame: impl Into<String>) -> Self {
        Self(Plan {
            scan: frame.into(),
            steps: Vec::new(),
        })
    }

    /// Columns of another frame beside them.
    pub fn merge(self, right: impl Into<String>) -> MergeBuilder {
        MergeBuilder {
            plan: self.0,
            merge: Merge {
                right: right.into(),
                on: Vec::new(),
                how: JoinType::Left,
                validate: Cardinality::ManyToOne,
                indicator: None,
                suffix: "_right".into(),
            },
        }
    }

    /// The rows for which something is true.
    #[must_use]
    pub fn filter(self, condition: Expression) -> Self {
        self.then(PlanStep::Filter(condition))
    }

    /// These columns.
    #[must_use]
    pub fn select<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.then(PlanStep::Select(names.into_iter().map(N::into).collect()))
    }

    /// Another name for a column.
    #[must_use]
    pub fn rename(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.then(PlanStep::Rename(vec![Renaming {
            from: from.into(),
            to: to.into(),
        }]))
    }

    /// One column more.
    #[must_use]
    pub fn with_column(self, name: impl Into<String>, of: Expression) -> Self {
        self.then(PlanStep::WithColumn(Named {
            name: name.into(),
            of,
        }))
    }

    /// A column for each of these cells of a key column, true where it is that: `region_north`.
    #[must_use]
    pub fn one_hot<'c>(self, column: &str, cells: impl IntoIterator<Item = &'c str>) -> Self {
        cells.into_iter().fold(self, |query, cell| {
            query.with_column(format!("{column}_{cell}"), col(column).eq(cell))
        })
    }

    /// Rows in order of a column, missing cells first: a step of the key holder.
    #[must_use]
    pub fn sort(self, column: impl Into<String>, descending: bool) -> Self {
        self.then(PlanStep::Sort(vec![SortKey {
            column: column.into(),
            descending,
            nulls_last: false,
        }]))
    }

    /// Each row once: a step of the key holder.
    #[must_use]
    pub fn distinct(self) -> Self {
        self.then(PlanStep::Distinct)
    }

    /// The first rows: a step of the key holder.
    #[must_use]
    pub fn head(self, rows: u64) -> Self {
        self.slice(0, Some(rows))
    }

    /// So many rows behind the first ones, or all of them: a step of the key holder.
    #[must_use]
    pub fn slice(self, offset: u64, length: Option<u64>) -> Self {
        self.then(PlanStep::Slice(Slice { offset, length }))
    }

    /// Groups by these columns.
    pub fn group_by<N: Into<String>>(self, keys: impl IntoIterator<Item = N>) -> GroupBuilder {
        GroupBuilder {
            plan: self.0,
            keys: keys.into_iter().map(N::into).collect(),
        }
    }

    /// One row of all rows.
    #[must_use]
    pub fn agg(self, aggregates: impl IntoIterator<Item = NamedAggregate>) -> Self {
        self.group_by::<String>([]).agg(aggregates)
    }

    /// How often each value of a column occurs, as column `count`.
    #[must_use]
    pub fn value_counts(self, column: impl Into<String>) -> Self {
        self.group_by([column.into()]).agg([len().alias("count")])
    }

    /// How often each combination of two columns' values occurs, as column `count`.
    #[must_use]
    pub fn crosstab(self, rows: impl Into<String>, columns: impl Into<String>) -> Self {
        self.group_by([rows.into(), columns.into()])
            .agg([len().alias("count")])
    }

    /// The plan.
    pub fn plan(self) -> Plan {
        self.0
    }

    fn then(mut self, step: PlanStep) -> Self {
        self.0.steps.push(step);
        self
    }
}

impl MergeBuilder {
    /// By a column that both have.
    #[must_use]
    pub fn on(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.on_pair(name.clone(), name)
    }

    /// By a column of either.
    #[must_use]
    pub fn on_pair(mut self, left: impl Into<String>, right: impl Into<String>) -> Self {
        self.merge.on.push(KeyPair {
            left: left.into(),
            right: right.into(),
        });
        self
    }

    /// What keys of the other frame have to be.
    #[must_use]
    pub const fn validate(mut self, validate: Cardinality) -> Self {
        self.merge.validate = validate;
        self
    }

    /// A column that says whether the other frame has the key.
    #[must_use]
    pub fn indicator(mut self, name: impl Into<String>) -> Self {
        self.merge.indicator = Some(name.into());
        self
    }

    /// What is added to names that are taken.
    #[must_use]
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.merge.suffix = suffix.into();
        self
    }

    /// All rows so far.
    pub fn left(self) -> Query {
        self.how(JoinType::Left)
    }

    /// All rows of the other frame: only as the first step.
    pub fn right(self) -> Query {
        self.how(JoinType::Right)
    }

    /// Rows whose key the other frame has.
    pub fn inner(self) -> Query {
        self.how(JoinType::Inner)
    }

    fn how(mut self, how: JoinType) -> Query {
        self.merge.how = how;
        Query(self.plan).then(PlanStep::Merge(self.merge))
    }
}

impl GroupBuilder {
    /// What each group has.
    pub fn agg(self, aggregates: impl IntoIterator<Item = NamedAggregate>) -> Query {
        Query(self.plan).then(PlanStep::GroupBy(GroupBy {
            keys: self.keys,
            aggregates: aggregates.into_iter().collect(),
        }))
    }
}

/// A column.
pub fn col(name: impl Into<String>) -> Expression {
    Expression::Col(name.into())
}

/// A value.
pub fn lit(value: impl Into<Literal>) -> Expression {
    Expression::Lit(value.into())
}

/// Rows, named `len`.
pub fn len() -> NamedAggregate {
    NamedAggregate {
        name: "len".into(),
        of: Aggregate::Len,
    }
}

macro_rules! aggregates {
    ($($(#[$doc:meta])* $function:ident($variant:ident),)+) => {
        $(
            $(#[$doc])*
            pub fn $function(column: impl Into<String>) -> NamedAggregate {
                let column = column.into();
                NamedAggregate {
                    name: column.clone(),
                    of: Aggregate::$variant(column),
                }
            }
        )+
    };
}

aggregates! {
    /// Cells of a column that are there, under its name.
    count(Count),
    /// The sum of a column, under its name.
    sum(Sum),
    /// The mean of a column, under its name.
    mean(Mean),
    /// The least of a key column, under its name.
    min(Min),
    /// The greatest of a key column, under its name.
    max(Max),
    /// The median of a key column, under its name.
    median(Median),
    /// How many different values a key column has, under its name.
    n_unique(NUnique),
}

/// A quantile of a key column, under its name.
pub fn quantile(column: impl Into<String>, at: f64) -> NamedAggregate {
    let column = column.into();
    NamedAggregate {
        name: column.clone(),
        of: Aggregate::Quantile(Quantile { column, at }),
    }
}

impl NamedAggregate {
    /// Under another name.
    #[must_use]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

macro_rules! pairs {
    ($($(#[$doc:meta])* $function:ident($variant:ident),)+) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $function(self, other: impl Into<Self>) -> Self {
                Self::$variant(Box::new([self, other.into()]))
            }
        )+
    };
}

impl Expression {
    pairs! {
        /// Equal.
        eq(Eq),
        /// Different.
        ne(Ne),
        /// Below.
        lt(Lt),
        /// Not above.
        le(Le),
        /// Above.
        gt(Gt),
        /// Not below.
        ge(Ge),
        /// The difference.
        minus(Sub),
        /// The product.
        times(Mul),
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: impl Into<Self>) -> Self {
        Self::Add(vec![self, other.into()])
    }

    /// Both are true.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::And(vec![self, other])
    }

    /// One is true at least.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::Or(vec![self, other])
    }

    /// It is false.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// It is missing.
    #[must_use]
    pub fn is_null(self) -> Self {
        Self::IsNull(Box::new(self))
    }

    /// It is one of these.
    #[must_use]
    pub fn is_in<L: Into<Literal>>(self, list: impl IntoIterator<Item = L>) -> Self {
        Self::IsIn(Box::new(self), list.into_iter().map(L::into).collect())
    }

    /// A value where it is missing.
    #[must_use]
    pub fn fill_null(self, value: impl Into<Literal>) -> Self {
        Self::FillNull(Box::new(self), value.into())
    }

    /// The number of the interval that it lies in.
    #[must_use]
    pub fn cut<L: Into<Literal>>(self, breaks: impl IntoIterator<Item = L>) -> Self {
        Self::Cut(Box::new(self), breaks.into_iter().map(L::into).collect())
    }

    /// A number for each of these cells of a key column, as pandas' `map` of a dictionary: nothing for
    /// others.
    #[must_use]
    pub fn replace<L: Into<Literal>>(self, pairs: impl IntoIterator<Item = (L, Number)>) -> Self {
        let pairs = pairs
            .into_iter()
            .map(|(cell, number)| (cell.into(), number));
        Self::Replace(Box::new(self), pairs.collect())
    }

    /// The natural logarithm of a key column to so many decimals, nothing of what is not positive.
    #[must_use]
    pub fn log(self, places: u8) -> Self {
        Self::Log(Box::new(self), places)
    }

    /// The score of a linear model by its name, of these features: see [`Plan::with_scores`].
    #[must_use]
    pub fn model(name: impl Into<String>, features: impl IntoIterator<Item = Self>) -> Self {
        Self::Model(name.into().into(), features.into_iter().collect())
    }

    /// Less a mean, times the inverse of a deviation: standardised by what somebody else has computed,
    /// such as an earlier plan.
    #[must_use]
    pub fn standardised(self, mean: Number, inverse_deviation: Number) -> Self {
        self.minus(mean).times(inverse_deviation)
    }
}

impl<L: Into<Literal>> From<L> for Expression {
    fn from(literal: L) -> Self {
        Self::Lit(literal.into())
    }
}

impl From<i64> for Literal {
    fn from(number: i64) -> Self {
        Self::Number(Number::whole(number))
    }
}

impl From<Number> for Literal {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Literal {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
