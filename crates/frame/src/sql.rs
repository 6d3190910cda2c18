//! A subset of SQL as plans: one SELECT, joins on equal keys, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT.
//! Everything else is refused by what it is and where.

mod expression;
mod groups;
mod names;
mod order;

use crate::plan::{Expression, JoinType, Merge, Named, Plan, PlanError, PlanStep, Renaming};
use crate::schema::Schema;
use names::Scope;
use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, Query, Select, SelectItem,
    SetExpr, Spanned, Statement, TableFactor,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, Tokenizer};

/// Most operators of a query: the parser's expressions are as deep as a chain of them is long, and are
/// copied and dropped by recursion.
const MAX_OPERATORS: usize = 256;
/// Longest query, in bytes.
const MAX_SQL: usize = 64 << 10;
/// Deepest expression that is read.
const MAX_DEPTH: usize = 50;

impl Plan {
    /// Reads `SELECT [DISTINCT] ... FROM a [LEFT | INNER] JOIN b ON ... WHERE ... GROUP BY ... HAVING ...
    /// ORDER BY ... LIMIT ...`. Schemas tell whose a column is.
    pub fn from_sql(sql: &str, schemas: &[Schema]) -> Result<Self, PlanError> {
        if sql.len() > MAX_SQL {
            return Err(PlanError::TooLarge {
                what: "bytes",
                found: sql.len(),
                limit: MAX_SQL,
            });
        }
        let dialect = GenericDialect {};
        let tokens = Tokenizer::new(&dialect, sql).tokenize();
        let found = tokens.iter().flatten().filter(|token| is_operator(token));
        let found = found.count();
        if found > MAX_OPERATORS {
            return Err(PlanError::TooLarge {
                what: "operators",
                found,
                limit: MAX_OPERATORS,
            });
        }
        let parser = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH);
        let parsed = parser
            .try_with_sql(sql)
            .and_then(|mut parser| parser.parse_statements());
        let statements = parsed.map_err(|error| PlanError::Sql {
            position: String::new(),
            problem: error.to_string(),
        })?;
        match statements.as_slice() {
            [Statement::Query(query)] => {
                let plan = select(query, schemas)?;
                plan.check_size()?;
                Ok(plan)
            }
            [other, ..] => Err(refused(other, "is no SELECT alone")),
            [] => Err(PlanError::Sql {
                position: String::new(),
                problem: "there is no query; write SELECT ... FROM ...".into(),
            }),
        }
    }
}

/// Whether it may make an expression a level deeper without a parenthesis.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::XOR | Keyword::DIV | Keyword::IS
        ),
        Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::LParen
        | Token::RParen => false,
        _ => true,
    }
}

fn select(query: &Query, schemas: &[Schema]) -> Result<Plan, PlanError> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Err(refused(query, "is no SELECT alone"));
    };
    let bare = Query {
        order_by: None,
        limit_clause: None,
        ..query.clone()
    };
    if bare.to_string() != select.to_string() {
        return Err(refused(
            query,
            "has more than SELECT, FROM, JOIN, WHERE, GROUP BY, HAVING, ORDER BY and LIMIT",
        ));
    }
    check_clauses(select)?;
    let [from] = select.from.as_slice() else {
        return Err(refused(select.as_ref(), "names several tables; join them"));
    };
    let (name, alias) = table(&from.relation)?;
    let mut scope = Scope::scan(schemas, name, alias)?;
    let mut steps = Vec::new();
    for join in &from.joins {
        steps.push(PlanStep::Merge(merge(join, &mut scope)?));
    }
    if let Some(condition) = &select.selection {
        steps.push(PlanStep::Filter(expression::read(condition, &scope)?));
    }
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, more) if more.is_empty() => keys,
        other => return Err(refused(other, "is not a list of columns")),
    };
    let is_aggregate =
        |item| matches!(projected(item), Ok((expr, _)) if expression::is_aggregate(expr));
    let is_grouped =
        !keys.is_empty() || select.having.is_some() || select.projection.iter().any(is_aggregate);
    if is_grouped {
        groups::grouped(select, keys, &scope, &mut steps)?;
    } else {
        listed(select, &scope, &mut steps)?;
    }
    if matches!(select.distinct, Some(Distinct::Distinct)) {
        steps.push(PlanStep::Distinct);
    }
    if let Some(order) = &query.order_by {
        steps.push(PlanStep::Sort(order::sorted(order)?));
    }
    if let Some(limit) = &query.limit_clause {
        steps.extend(order::limited(limit)?.map(PlanStep::Slice));
    }
    Ok(Plan {
        scan: scope.base().into(),
        steps,
    })
}

/// That nothing is asked for but what is read: all else of the statement, written, is nothing.
fn check_clauses(select: &Select) -> Result<(), PlanError> {
    let mut rest = select.clone();
    rest.projection.clear();
    if matches!(rest.distinct, Some(Distinct::Distinct)) {
        rest.distinct = None;
    }
    rest.from.clear();
    rest.selection = None;
    rest.having = None;
    rest.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    let left = rest.to_string();
    let left = left.strip_prefix("SELECT").unwrap_or(&left).trim();
    if left.is_empty() {
        return Ok(());
    }
    Err(PlanError::Sql {
        position: position(select.span()),
        problem: format!(
            "{left} is not supported; SELECT, FROM, JOIN, WHERE, GROUP BY, HAVING, ORDER BY and LIMIT are"
        ),
    })
}

/// Name and alias of a table.
fn table(factor: &TableFactor) -> Result<(String, Option<String>), PlanError> {
    let TableFactor::Table { name, alias, .. } = factor else {
        return Err(refused(factor, "is no table"));
    };
    let alias = alias.as_ref().map(|alias| alias.name.clone());
    let is_plain = match &alias {
        None => factor.to_string() == name.to_string(),
        Some(alias) => {
            [format!("{name} AS {alias}"), format!("{name} {alias}")].contains(&factor.to_string())
        }
    };
    match (name.0.as_slice(), is_plain) {
        ([part], true) if part.as_ident().is_some() => {
            let name = part.as_ident().map(|ident| ident.value.clone());
            Ok((name.unwrap_or_default(), alias.map(|alias| alias.value)))
        }
        _ => Err(refused(factor, "is no table's name")),
    }
}

fn merge(join: &Join, scope: &mut Scope<'_>) -> Result<Merge, PlanError> {
    let (how, constraint) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
            (JoinType::Inner, constraint)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
            (JoinType::Left, constraint)
        }
        _ => return Err(refused(join, "is neither a LEFT nor an INNER JOIN")),
    };
    if join.global {
        return Err(refused(join, "is global"));
    }
    let (name, alias) = table(&join.relation)?;
    let mut pairs = Vec::new();
    match constraint {
        JoinConstraint::On(condition) => equalities(condition, &mut pairs)?,
        JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => {
            return Err(refused(join, "has no ON; write ON a.key = b.key"));
        }
    }
    scope.join(name, alias, how, &pairs)
}

/// The sides of equalities that are joined by AND.
fn equalities<'e>(
    condition: &'e Expr,
    pairs: &mut Vec<(&'e Expr, &'e Expr)>,
) -> Result<(), PlanError> {
    use sqlparser::ast::BinaryOperator;
    match condition {
        Expr::Nested(inner) => equalities(inner, pairs),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            equalities(left, pairs)?;
            equalities(right, pairs)
        }
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } => {
            pairs.push((left, right));
            Ok(())
        }
        _ => Err(refused(condition, "is no equality of key columns")),
    }
}

fn listed(select: &Select, scope: &Scope<'_>, steps: &mut Vec<PlanStep>) -> Result<(), PlanError> {
    if let [SelectItem::Wildcard(options)] = select.projection.as_slice() {
        return if select.projection[0].to_string() == "*" {
            Ok(())
        } else {
            Err(refused(options, "is more than *"))
        };
    }
    let (mut names, mut renamed) = (Vec::new(), Vec::new());
    for item in &select.projection {
        let (expr, alias) = projected(item)?;
        let shown = alias.unwrap_or_else(|| own_name(expr));
        match expression::read(expr, scope)? {
            Expression::Col(name) if !names.contains(&name) => {
                note(&mut renamed, &name, shown);
                names.push(name);
            }
            Expression::Col(name) if name == shown => {
                return Err(refused(
                    item,
                    "is selected twice; leave one out, or give it a new name by AS",
                ));
            }
            _ if scope.has(&shown) => {
                return Err(refused(
                    item,
                    "gives what is computed the name of a column; choose a new name",
                ));
            }
            of => {
                steps.push(PlanStep::WithColumn(Named {
                    name: shown.clone(),
                    of,
                }));
                names.push(shown);
            }
        }
    }
    steps.push(PlanStep::Select(names));
    if !renamed.is_empty() {
        steps.push(PlanStep::Rename(renamed));
    }
    Ok(())
}

/// Notes that a column gets another name, if it does.
fn note(renamed: &mut Vec<Renaming>, name: &str, shown: String) {
    if shown != name {
        renamed.push(Renaming {
            from: name.into(),
            to: shown,
        });
    }
}

/// The name of a result without alias: that of a column, or what was written.
fn own_name(expr: &Expr) -> String {
    match names::parts(expr) {
        Some((_, column)) => column.value.clone(),
        None => expr.to_string(),
    }
}

fn projected(item: &SelectItem) -> Result<(&Expr, Option<String>), PlanError> {
    match item {
        SelectItem::UnnamedExpr(expr) => Ok((expr, None)),
        SelectItem::ExprWithAlias { expr, alias } => Ok((expr, Some(alias.value.clone()))),
        _ => Err(refused(
            item,
            "is not a column, an expression or an aggregate",
        )),
    }
}

/// That something is outside the subset.
fn refused<T: Spanned + ToString>(what: &T, problem: &str) -> PlanError {
    const SHOWN: usize = 60;
    let text = what.to_string();
    let text = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    };
    PlanError::Sql {
        position: position(what.span()),
        problem: format!("{text} {problem}"),
    }
}

fn position(span: Span) -> String {
    match (span.start.line, span.start.column) {
        (0, _) => String::new(),
        (line, column) => format!(", line {line}, column {column}"),
    }
}
