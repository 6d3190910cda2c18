//! Values that a step computes and chooses by, as columns of their own before it.

use crate::plan::{Expression, Named, PlanStep};

/// The step with what it computes taken out, if there is anything; `name` makes names of columns.
pub(super) fn hoisted(
    step: &PlanStep,
    mut name: impl FnMut() -> String,
) -> Option<(Vec<Named>, PlanStep)> {
    let mut columns = Vec::new();
    let mut put = |of: Expression| {
        let column = Named { name: name(), of };
        let named = Expression::Col(column.name.clone());
        columns.push(column);
        named
    };
    let step = match step {
        PlanStep::Filter(condition) => PlanStep::Filter(chosen(condition.clone(), &mut put)),
        PlanStep::WithColumn(own) if is_computed(&own.of) => PlanStep::WithColumn(Named {
            name: own.name.clone(),
            of: number(own.of.clone(), &mut put),
        }),
        PlanStep::WithColumn(own) => PlanStep::WithColumn(Named {
            name: own.name.clone(),
            of: chosen(own.of.clone(), &mut put),
        }),
        _ => return None,
    };
    (!columns.is_empty()).then_some((columns, step))
}

/// Sums, differences, products.
pub(super) const fn is_number(expression: &Expression) -> bool {
    matches!(
        expression,
        Expression::Add(_) | Expression::Sub(_) | Expression::Mul(_)
    )
}

/// What the server computes and does not choose by: scores of models, too, which the key holder has not.
const fn is_computed(expression: &Expression) -> bool {
    is_number(expression) || matches!(expression, Expression::Model(..))
}

/// Whether it has a product of two columns, or of what is computed of some.
pub(super) fn multiplies_columns(expression: &Expression) -> bool {
    fn has_column(expression: &Expression) -> bool {
        matches!(expression, Expression::Col(_)) || expression.parts().iter().any(has_column)
    }
    let parts = expression.parts();
    let is_product = matches!(expression, Expression::Mul(_)) && parts.iter().all(has_column);
    is_product || parts.iter().any(multiplies_columns)
}

/// What chooses by columns alone.
fn chosen(expression: Expression, put: &mut dyn FnMut(Expression) -> Expression) -> Expression {
    if is_computed(&expression) {
        return put(expression);
    }
    expression.map_parts(|part| chosen(part, put))
}

/// What adds and multiplies columns and constants alone.
fn number(expression: Expression, put: &mut dyn FnMut(Expression) -> Expression) -> Expression {
    match expression {
        Expression::Col(_) | Expression::Lit(_) => expression,
        of if is_computed(&of) => of.map_parts(|part| number(part, put)),
        of => put(of),
    }
}
