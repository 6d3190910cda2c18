//! Steps and expressions for people.

use super::{Aggregate, Expression, JoinType, Literal, PlanStep};
use std::fmt::{self, Display, Formatter};

impl Display for PlanStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Merge(merge) => {
                let how = match merge.how {
                    JoinType::Left => "left",
                    JoinType::Inner => "inner",
                    JoinType::Right => "right",
                };
                let on = merge.on.iter().map(|pair| {
                    if pair.left == pair.right {
                        pair.left.clone()
                    } else {
                        format!("{} = {}", pair.left, pair.right)
                    }
                });
                write!(
                    f,
                    "{how} {} on {}",
                    merge.right,
                    on.collect::<Vec<_>>().join(", ")
                )
            }
            Self::Filter(condition) => write!(f, "{condition}"),
            Self::Select(names) => f.write_str(&names.join(", ")),
            Self::Rename(names) => {
                let names = names
                    .iter()
                    .map(|own| format!("{} to {}", own.from, own.to));
                f.write_str(&names.collect::<Vec<_>>().join(", "))
            }
            Self::Sort(keys) => {
                let keys = keys.iter().map(|key| {
                    let order = if key.descending { " descending" } else { "" };
                    format!("{}{order}", key.column)
                });
                f.write_str(&keys.collect::<Vec<_>>().join(", "))
            }
            Self::Distinct => f.write_str("each row once"),
            Self::Slice(slice) => match (slice.length, slice.offset) {
                (Some(length), 0) => write!(f, "the first {length} rows"),
                (Some(length), offset) => write!(f, "{length} rows behind {offset}"),
                (None, offset) => write!(f, "rows behind {offset}"),
            },
            Self::WithColumn(named) => write!(f, "{} = {}", named.name, named.of),
            Self::GroupBy(group) => {
                let of = group.aggregates.iter().map(|own| own.of.to_string());
                let of = of.collect::<Vec<_>>().join(", ");
                if group.keys.is_empty() {
                    f.write_str(&of)
                } else {
                    write!(f, "{}: {of}", group.keys.join(", "))
                }
            }
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Len => f.write_str("len"),
            Self::Count(name) => write!(f, "count({name})"),
            Self::Sum(name) => write!(f, "sum({name})"),
            Self::Mean(name) => write!(f, "mean({name})"),
            Self::Min(name) => write!(f, "min({name})"),
            Self::Max(name) => write!(f, "max({name})"),
            Self::Median(name) => write!(f, "median({name})"),
            Self::Quantile(own) => write!(f, "quantile({}, {})", own.column, own.at),
            Self::NUnique(name) => write!(f, "n_unique({name})"),
        }
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let join = |f: &mut Formatter<'_>, parts: &[Self], sign: &str| {
            f.write_str("(")?;
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {sign} ")?;
                }
                write!(f, "{part}")?;
            }
            f.write_str(")")
        };
        match self {
            Self::Col(name) => f.write_str(name),
            Self::Lit(literal) => write!(f, "{literal}"),
            Self::Add(parts) => join(f, parts, "+"),
            Self::Sub(sides) => join(f, sides.as_slice(), "-"),
            Self::Mul(sides) => join(f, sides.as_slice(), "*"),
            Self::Eq(sides) => join(f, sides.as_slice(), "="),
            Self::Ne(sides) => join(f, sides.as_slice(), "<>"),
            Self::Lt(sides) => join(f, sides.as_slice(), "<"),
            Self::Le(sides) => join(f, sides.as_slice(), "<="),
            Self::Gt(sides) => join(f, sides.as_slice(), ">"),
            Self::Ge(sides) => join(f, sides.as_slice(), ">="),
            Self::And(parts) => join(f, parts, "and"),
            Self::Or(parts) => join(f, parts, "or"),
            Self::Not(part) => write!(f, "not {part}"),
            Self::IsNull(part) => write!(f, "{part} is null"),
            Self::IsIn(part, list) => write!(f, "{part} in ({})", listed(list)),
            Self::FillNull(part, literal) => write!(f, "fill_null({part}, {literal})"),
            Self::Cut(part, breaks) => write!(f, "cut({part}, [{}])", listed(breaks)),
            Self::Replace(part, pairs) => write!(f, "replace({part}, {} values)", pairs.len()),
            Self::Log(part, places) => write!(f, "log({part}, {places})"),
            Self::Model(model, parts) => {
                write!(f, "model {}", model.name())?;
                if parts.is_empty() {
                    return Ok(());
                }
                join(f, parts, ",")
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

fn listed(literals: &[Literal]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = literals
        .iter()
        .take(SHOWN)
        .map(Literal::to_string)
        .collect();
    match literals.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
