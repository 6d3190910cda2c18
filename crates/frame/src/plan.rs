//! What is asked of frames: a sequence of steps, in its own words.

mod display;
mod document;
mod error;
mod expression;
mod published;
mod score;

pub use document::MAX_PLAN_BYTES;
pub use error::{PlanError, StepName};
pub use expression::{Comparison, Expression, Literal, NamedModel};
pub use published::PublishedScore;
pub use score::{LinearScore, ModelScore, ScoreError};
pub(crate) use score::{check_features, not_given};

use serde::{Deserialize, Serialize};

/// What is asked of frames: each step makes a table of the one before.
///
/// It names frames and columns; whether they exist and what they are is another's question.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The frame whose rows the first step takes.
    pub scan: String,
    /// The steps.
    pub steps: Vec<PlanStep>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanStep {
    /// Columns of another frame, beside each row.
    Merge(Merge),
    /// The rows for which something is true.
    Filter(Expression),
    /// These columns, in this order.
    Select(Vec<String>),
    /// Other names.
    Rename(Vec<Renaming>),
    /// One column more, or another in place of one.
    WithColumn(Named),
    /// One row a group, or one row of all.
    GroupBy(GroupBy),
    /// Rows in order of these columns, the first one foremost; equal ones stay as they were.
    Sort(Vec<SortKey>),
    /// Each row once, where it first stands.
    Distinct,
    /// Some rows, by their numbers.
    Slice(Slice),
}

/// Columns of another frame, beside each row: those of the row with equal keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The other frame.
    pub right: String,
    /// The key columns: one or two.
    pub on: Vec<KeyPair>,
    /// Which rows remain.
    pub how: JoinType,
    /// Whether keys of the other frame have to be unique.
    #[serde(default)]
    pub validate: Cardinality,
    /// A column that says of each row whether the other frame has its key: pandas' `_merge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator: Option<String>,
    /// What is added to names of the other frame that are taken.
    #[serde(default = "suffix")]
    pub suffix: String,
}

/// A key column of either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// Its name in the table so far.
    pub left: String,
    /// Its name in the other frame.
    pub right: String,
}

/// Which rows of a merge remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinType {
    /// All of the table so far.
    Left,
    /// Those whose key the other frame has.
    Inner,
    /// All of the other frame.
    Right,
}

/// Whether keys of the other frame have to be unique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cardinality {
    /// They have to be: a frame whose duplicates are added is refused.
    #[default]
    #[serde(rename = "m:1")]
    ManyToOne,
    /// Values of equal keys may have been added.
    #[serde(rename = "m:m")]
    ManyToMany,
}

/// A column's other name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renaming {
    /// Its name so far.
    pub from: String,
    /// Its name from here on.
    pub to: String,
}

/// An expression with the name of the column that it becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The expression.
    pub of: Expression,
}

/// A column that rows are sorted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SortKey {
    /// Its name.
    pub column: String,
    /// The greatest first.
    #[serde(default)]
    pub descending: bool,
    /// Missing cells last; first otherwise, as polars has them.
    #[serde(default)]
    pub nulls_last: bool,
}

/// Rows by their numbers: as polars' `slice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// How many rows before them are left out.
    #[serde(default)]
    pub offset: u64,
    /// How many they are at most; all that follow, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

/// One row a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupBy {
    /// Columns whose values make groups: none, for one row of all, to two.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What each group's row has beside them.
    pub aggregates: Vec<NamedAggregate>,
}

/// An aggregate with the name of the column that it becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedAggregate {
    /// The name.
    pub name: String,
    /// What it is.
    pub of: Aggregate,
}

/// A number of a group. Missing cells are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Aggregate {
    /// Rows, whatever their cells.
    Len,
    /// Cells of a column that are there.
    Count(String),
    /// Their sum.
    Sum(String),
    /// Their sum divided by their number.
    Mean(String),
    /// The least of a key column.
    Min(String),
    /// The greatest of a key column.
    Max(String),
    /// The median of a key column.
    Median(String),
    /// A quantile of a key column, linear between two cells.
    Quantile(Quantile),
    /// The number of values of a key column that occur.
    NUnique(String),
}

/// A quantile of a key column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// The column.
    pub column: String,
    /// Which one: 0 to 1.
    pub at: f64,
}

impl PlanStep {
    /// What it is, for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Merge(_) => "merge",
            Self::Filter(_) => "filter",
            Self::Select(_) => "select",
            Self::Rename(_) => "rename",
            Self::WithColumn(_) => "with_column",
            Self::GroupBy(_) => "group_by",
            Self::Sort(_) => "sort",
            Self::Distinct => "distinct",
            Self::Slice(_) => "slice",
        }
    }
}

fn suffix() -> String {
    "_right".into()
}
