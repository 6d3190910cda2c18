//! Expressions and aggregates.

use super::names::{Names, Scope};
use super::refused;
use crate::number::Number;
use crate::plan::{Aggregate, Expression, Literal, Named, PlanError};
use sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, UnaryOperator, Value,
};

pub(super) fn read(expr: &Expr, scope: &dyn Names) -> Result<Expression, PlanError> {
    let pair = |left: &Expr, right: &Expr| Ok(Box::new([read(left, scope)?, read(right, scope)?]));
    let negated = |is_negated: bool, own: Expression| {
        if is_negated { own.negated() } else { own }
    };
    match expr {
        Expr::Nested(inner) => read(inner, scope),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
            scope.column(expr).map(Expression::Col)
        }
        Expr::Value(_)
        | Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            ..
        } => literal(expr).map(Expression::Lit),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => Ok(read(expr, scope)?.negated()),
        Expr::IsNull(inner) => Ok(read(inner, scope)?.is_null()),
        Expr::IsNotNull(inner) => Ok(read(inner, scope)?.is_null().negated()),
        Expr::InList {
            expr,
            list,
            negated: is_negated,
        } => {
            let list: Result<Vec<Literal>, _> = list.iter().map(literal).collect();
            Ok(negated(*is_negated, read(expr, scope)?.is_in(list?)))
        }
        Expr::Between {
            expr,
            negated: is_negated,
            low,
            high,
        } => {
            let own = read(expr, scope)?;
            let above = own.clone().ge(read(low, scope)?);
            Ok(negated(*is_negated, above.and(own.le(read(high, scope)?))))
        }
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And => chain(expr, op, scope).map(Expression::And),
            BinaryOperator::Or => chain(expr, op, scope).map(Expression::Or),
            BinaryOperator::Plus => chain(expr, op, scope).map(Expression::Add),
            BinaryOperator::Minus => pair(left, right).map(Expression::Sub),
            BinaryOperator::Multiply => pair(left, right).map(Expression::Mul),
            BinaryOperator::Eq => pair(left, right).map(Expression::Eq),
            BinaryOperator::NotEq => pair(left, right).map(Expression::Ne),
            BinaryOperator::Lt => pair(left, right).map(Expression::Lt),
            BinaryOperator::LtEq => pair(left, right).map(Expression::Le),
            BinaryOperator::Gt => pair(left, right).map(Expression::Gt),
            BinaryOperator::GtEq => pair(left, right).map(Expression::Ge),
            _ => Err(refused(expr, "has an operator that is not supported")),
        },
        Expr::Function(function) if is_coalesce(function) => match arguments(function, expr)?[..] {
            [first, second] => Ok(read(first, scope)?.fill_null(literal(second)?)),
            _ => Err(refused(expr, "has not two arguments")),
        },
        Expr::Function(function) if is_model(function) => match arguments(function, expr)?[..] {
            [name, ref features @ ..] => {
                let features = features.iter().map(|own| read(own, scope));
                let features = features.collect::<Result<_, _>>()?;
                Ok(Expression::Model(model_name(name)?.into(), features))
            }
            [] => Err(refused(expr, "names no model")),
        },
        _ => match scope.aggregate(expr)? {
            Some(name) => Ok(Expression::Col(name)),
            None => Err(refused(expr, "is not supported in an expression")),
        },
    }
}

/// The parts of a chain of one operator, which the parser nests to the left.
fn chain(
    mut expr: &Expr,
    operator: &BinaryOperator,
    scope: &dyn Names,
) -> Result<Vec<Expression>, PlanError> {
    let mut parts = Vec::new();
    while let Expr::BinaryOp { left, op, right } = expr
        && op == operator
    {
        parts.push(read(right, scope)?);
        expr = left;
    }
    parts.push(read(expr, scope)?);
    parts.reverse();
    Ok(parts)
}

/// Whether a projected expression is an aggregate, supported or not.
pub(super) fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if !is_scalar(function))
}

/// Whether it is a function of a row.
fn is_scalar(function: &Function) -> bool {
    is_coalesce(function) || is_model(function)
}

fn is_model(function: &Function) -> bool {
    name(function) == "model"
}

/// A model's name: a word, or a text.
fn model_name(expr: &Expr) -> Result<String, PlanError> {
    match (expr, literal(expr)) {
        (Expr::Identifier(name), _) => Ok(name.value.clone()),
        (_, Ok(Literal::Text(name))) => Ok(name),
        _ => Err(refused(expr, "is no name of a model")),
    }
}

fn is_coalesce(function: &Function) -> bool {
    name(function) == "coalesce"
}

/// An aggregate, and the column that it is of if that is computed; `None` of what is none.
pub(super) fn aggregate(
    expr: &Expr,
    scope: &Scope<'_>,
) -> Result<Option<(Aggregate, Option<Named>)>, PlanError> {
    let Expr::Function(function) = expr else {
        return Ok(None);
    };
    if is_scalar(function) {
        return Ok(None);
    }
    let make = match name(function).as_str() {
        "count" => return count(function, expr, scope).map(Some),
        "sum" => Aggregate::Sum,
        "avg" | "mean" => Aggregate::Mean,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "median" => Aggregate::Median,
        _ => {
            return Err(refused(
                expr,
                "is no aggregate that is supported: count, sum, avg, min, max and median are",
            ));
        }
    };
    let [argument] = arguments(function, expr)?[..] else {
        return Err(refused(expr, "has not one argument"));
    };
    Ok(Some(match read(argument, scope)? {
        Expression::Col(name) => (make(name), None),
        of => {
            let name = argument.to_string();
            (make(name.clone()), Some(Named { name, of }))
        }
    }))
}

fn count(
    function: &Function,
    expr: &Expr,
    scope: &Scope<'_>,
) -> Result<(Aggregate, Option<Named>), PlanError> {
    if expr.to_string().to_lowercase() == "count(*)" {
        return Ok((Aggregate::Len, None));
    }
    let FunctionArguments::List(list) = &function.args else {
        return Err(refused(expr, "has no argument"));
    };
    let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let mut plain = function.clone();
    if let FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment,
        ..
    }) = &mut plain.args
    {
        *duplicate_treatment = None;
    }
    let [argument] = arguments(&plain, expr)?[..] else {
        return Err(refused(expr, "has not one argument"));
    };
    let column = scope.column(argument)?;
    Ok((
        if is_distinct {
            Aggregate::NUnique(column)
        } else {
            Aggregate::Count(column)
        },
        None,
    ))
}

fn name(function: &Function) -> String {
    function.name.to_string().to_lowercase()
}

/// The arguments of a function that has nothing else.
fn arguments<'f>(function: &'f Function, expr: &Expr) -> Result<Vec<&'f Expr>, PlanError> {
    let mut arguments = Vec::new();
    if let FunctionArguments::List(list) = &function.args {
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => arguments.push(argument),
                _ => return Err(refused(expr, "has an argument that is no expression")),
            }
        }
    }
    let texts: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    if function.to_string() != format!("{}({})", function.name, texts.join(", ")) {
        return Err(refused(expr, "has more than arguments"));
    }
    Ok(arguments)
}

fn literal(expr: &Expr) -> Result<Literal, PlanError> {
    match expr {
        Expr::Nested(inner) => literal(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => literal(expr),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: inner,
        } => match inner.as_ref() {
            Expr::Value(value) => match &value.value {
                Value::Number(text, false) => number(&format!("-{text}"), expr),
                _ => Err(refused(expr, "is no number")),
            },
            _ => Err(refused(expr, "is no number")),
        },
        Expr::Value(value) => match &value.value {
            Value::Number(text, false) => number(text, expr),
            Value::SingleQuotedString(text) => Ok(Literal::Text(text.clone())),
            Value::Boolean(truth) => Ok(Literal::Boolean(*truth)),
            Value::Null => Ok(Literal::Null),
            _ => Err(refused(expr, "is a value of a kind that is not supported")),
        },
        _ => Err(refused(expr, "is no value")),
    }
}

fn number(text: &str, expr: &Expr) -> Result<Literal, PlanError> {
    let number: Result<Number, _> = text.parse();
    number
        .map(Literal::Number)
        .map_err(|_| refused(expr, "is no number of at most 18 digits"))
}
