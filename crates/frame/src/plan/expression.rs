//! Expressions over the columns of a table.

use super::PublishedScore;
use crate::number::{Number, Written};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// An expression: a column of the table that it makes of one. Missing cells make missing cells, as
/// in SQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expression {
    /// A column.
    Col(String),
    /// The same in every row.
    Lit(Literal),
    /// The sum.
    Add(Vec<Expression>),
    /// The first without the second.
    Sub(Box<[Expression; 2]>),
    /// The product.
    Mul(Box<[Expression; 2]>),
    /// Equal.
    Eq(Box<[Expression; 2]>),
    /// Different.
    Ne(Box<[Expression; 2]>),
    /// Below.
    Lt(Box<[Expression; 2]>),
    /// Not above.
    Le(Box<[Expression; 2]>),
    /// Above.
    Gt(Box<[Expression; 2]>),
    /// Not below.
    Ge(Box<[Expression; 2]>),
    /// All are true.
    And(Vec<Expression>),
    /// One is true at least.
    Or(Vec<Expression>),
    /// It is false.
    Not(Box<Expression>),
    /// It is missing.
    IsNull(Box<Expression>),
    /// It is one of these.
    IsIn(Box<Expression>, Vec<Literal>),
    /// The second where the first is missing.
    FillNull(Box<Expression>, Literal),
    /// The number of the interval that a key column lies in: interval i ends before break i.
    Cut(Box<Expression>, Vec<Literal>),
    /// A number for each of these cells of a key column, nothing for others.
    Replace(Box<Expression>, Vec<(Literal, Number)>),
    /// The natural logarithm of a key column to so many decimals, nothing of what is not positive.
    Log(Box<Expression>, u8),
    /// The score of a linear model by its name, of these features, or of the columns that it names:
    /// [`Plan::with_scores`](super::Plan::with_scores) says which model that is.
    Model(NamedModel, Vec<Expression>),
}

/// A linear model that a plan names, and what is known of it where it is a published one. Documents have
/// the name: the version stands beside the plan.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct NamedModel {
    name: String,
    score: Option<Arc<PublishedScore>>,
}

impl NamedModel {
    /// One that is published.
    pub(super) fn published(score: Arc<PublishedScore>) -> Self {
        Self {
            name: score.name().to_owned(),
            score: Some(score),
        }
    }

    /// Its name in the plan.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The published model.
    pub const fn score(&self) -> Option<&Arc<PublishedScore>> {
        self.score.as_ref()
    }
}

impl From<String> for NamedModel {
    fn from(name: String) -> Self {
        Self { name, score: None }
    }
}

impl From<NamedModel> for String {
    fn from(model: NamedModel) -> Self {
        model.name
    }
}

/// Queries are named by this, too: of a published model it has the version.
impl fmt::Debug for NamedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.score {
            Some(score) => score.fmt(f),
            None => self.name.fmt(f),
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Different.
    Ne,
    /// Below.
    Lt,
    /// Not above.
    Le,
    /// Above.
    Gt,
    /// Not below.
    Ge,
}

impl Comparison {
    /// Whether it is true of two numbers.
    pub(crate) const fn holds(self, one: i64, other: i64) -> bool {
        match self {
            Self::Eq => one == other,
            Self::Ne => one != other,
            Self::Lt => one < other,
            Self::Le => one <= other,
            Self::Gt => one > other,
            Self::Ge => one >= other,
        }
    }
}

/// A value that a plan writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "WrittenLiteral")]
pub enum Literal {
    /// A missing one.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// A text, or a date as one; never a number.
    Text(String),
}

/// A literal in documents, whose number may be none.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenLiteral {
    Null,
    Boolean(bool),
    Number(Written),
    Text(String),
}

impl TryFrom<WrittenLiteral> for Literal {
    type Error = String;

    fn try_from(written: WrittenLiteral) -> Result<Self, String> {
        Ok(match written {
            WrittenLiteral::Null => Self::Null,
            WrittenLiteral::Boolean(truth) => Self::Boolean(truth),
            WrittenLiteral::Number(number) => Self::Number(number.try_into()?),
            WrittenLiteral::Text(text) => Self::Text(text),
        })
    }
}

impl Expression {
    /// A comparison with its two sides.
    pub fn as_comparison(&self) -> Option<(Comparison, &[Expression; 2])> {
        match self {
            Self::Eq(sides) => Some((Comparison::Eq, sides)),
            Self::Ne(sides) => Some((Comparison::Ne, sides)),
            Self::Lt(sides) => Some((Comparison::Lt, sides)),
            Self::Le(sides) => Some((Comparison::Le, sides)),
            Self::Gt(sides) => Some((Comparison::Gt, sides)),
            Self::Ge(sides) => Some((Comparison::Ge, sides)),
            _ => None,
        }
    }

    /// The same with `change` of the expressions that it is made of.
    #[must_use]
    pub(crate) fn map_parts(self, mut change: impl FnMut(Self) -> Self) -> Self {
        match self {
            Self::Col(_) | Self::Lit(_) => self,
            Self::Add(parts) => Self::Add(parts.into_iter().map(change).collect()),
            Self::And(parts) => Self::And(parts.into_iter().map(change).collect()),
            Self::Or(parts) => Self::Or(parts.into_iter().map(change).collect()),
            Self::Sub(sides) => Self::Sub(Box::new(sides.map(change))),
            Self::Mul(sides) => Self::Mul(Box::new(sides.map(change))),
            Self::Eq(sides) => Self::Eq(Box::new(sides.map(change))),
            Self::Ne(sides) => Self::Ne(Box::new(sides.map(change))),
            Self::Lt(sides) => Self::Lt(Box::new(sides.map(change))),
            Self::Le(sides) => Self::Le(Box::new(sides.map(change))),
            Self::Gt(sides) => Self::Gt(Box::new(sides.map(change))),
            Self::Ge(sides) => Self::Ge(Box::new(sides.map(change))),
            Self::Not(part) => Self::Not(Box::new(change(*part))),
            Self::IsNull(part) => Self::IsNull(Box::new(change(*part))),
            Self::IsIn(part, list) => Self::IsIn(Box::new(change(*part)), list),
            Self::FillNull(part, literal) => Self::FillNull(Box::new(change(*part)), literal),
            Self::Cut(part, breaks) => Self::Cut(Box::new(change(*part)), breaks),
            Self::Replace(part, pairs) => Self::Replace(Box::new(change(*part)), pairs),
            Self::Log(part, places) => Self::Log(Box::new(change(*part)), places),
            Self::Model(name, parts) => Self::Model(name, parts.into_iter().map(change).collect()),
        }
    }

    /// The expressions that it is made of.
    pub fn parts(&self) -> &[Expression] {
        match self {
            Self::Col(_) | Self::Lit(_) => &[],
            Self::Add(parts) | Self::And(parts) | Self::Or(parts) | Self::Model(_, parts) => parts,
            Self::Sub(sides)
            | Self::Mul(sides)
            | Self::Eq(sides)
            | Self::Ne(sides)
            | Self::Lt(sides)
            | Self::Le(sides)
            | Self::Gt(sides)
            | Self::Ge(sides) => sides.as_slice(),
            Self::Not(part)
            | Self::IsNull(part)
            | Self::IsIn(part, _)
            | Self::FillNull(part, _)
            | Self::Cut(part, _)
            | Self::Replace(part, _)
            | Self::Log(part, _) => std::slice::from_ref(part),
        }
    }
}
