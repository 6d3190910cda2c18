//! What prepares the row, and what is a layer below another estimator.

use crate::analyse::affine::is_candidate;
use crate::ir::{Function, Ir};
use crate::options::Combiner;
use cipherfn_program::{BinaryFunction, Op, ReduceFunction, ValueId};

/// What the client computes of the row, by id: what stated estimators take, but for distances, and what
/// distances are taken of.
///
/// A matrix product there prepares the row, as principal components do. Not so one of a nonlinear function of
/// another one: that is the layer of a network, or a kernel machine, below the estimator (stacking), and its
/// weights are the server's. Where the server evaluates trees over other estimators, products of anything that is
/// not linear in the columns are.
///
/// What distances are taken of is squared, which the server cannot do. The client squares what it can compute
/// without a layer: products of the row, normalised or multiplied with each other.
pub(super) fn preparation(ir: &Ir) -> Vec<bool> {
    let of = dependences(ir);
    let at_server = ir.combiner == Combiner::Server;
    let left = |op: &Op| match op {
        Op::MatMul { left, .. } => Some(of[left.index()]),
        _ => None,
    };
    let is_layer = |op: &Op| left(op).is_some_and(|left| left.is_activated);
    // What an estimator takes is begun with, or is of distances.
    let is_estimated = |op: &Op| op.arguments().contains(&ir.results());
    let stated = ir.estimators.iter();
    let stated = stated.filter(|own| !matches!(own.function, Function::Nearest(_)));
    let taken = sources(ir, stated.map(|own| own.argument), |op| {
        let is_base = at_server && left(op).is_some_and(|left| !left.is_linear);
        let goes_on = !is_estimated(op) && (!at_server || is_linear(op));
        (!is_layer(op) && !is_base).then_some(goes_on)
    });
    let squared = sources(ir, ir.distances.iter().map(|own| own.row), |op| {
        let goes_on = !is_estimated(op) && is_computed_with_squares(ir, op);
        (!is_layer(op)).then_some(goes_on)
    });
    let both = taken.into_iter().zip(squared);
    both.map(|(taken, squared)| taken || squared).collect()
}

/// What values are computed from, by id: `passes` says of the operation that gives one of these whether it is
/// among them, and if so, whether what it is computed from is, too.
fn sources(
    ir: &Ir,
    of: impl Iterator<Item = ValueId>,
    passes: impl Fn(&Op) -> Option<bool>,
) -> Vec<bool> {
    let mut found = vec![false; ir.first_step() + ir.program.steps().len()];
    let mut open: Vec<ValueId> = of.collect();
    while let Some(id) = open.pop() {
        let goes_on = match ir.step(id) {
            Some(step) => passes(&step.op),
            None => Some(false),
        };
        if let Some(goes_on) = goes_on
            && !std::mem::replace(&mut found[id.index()], true)
            && goes_on
        {
            open.extend(ir.arguments(id));
        }
    }
    found
}

/// Whether what such an operation takes is the client's where its result is squared: not so of a network's
/// activations, whose layers would have to be, too, or of an estimator.
fn is_computed_with_squares(ir: &Ir, op: &Op) -> bool {
    let is_multiple = matches!(
        op,
        Op::Normalize { .. }
            | Op::Reduce {
                function: ReduceFunction::Product,
                ..
            }
    );
    is_multiple || is_affine(ir, op)
}

fn is_linear(op: &Op) -> bool {
    is_candidate(op) || matches!(op, Op::Cast { .. })
}

/// Whether the operation is affine in what follows from the row: products of two such values are affine in
/// neither.
fn is_affine(ir: &Ir, op: &Op) -> bool {
    let is_product = match op {
        Op::MatMul { .. } => true,
        Op::Binary { function, .. } => {
            matches!(function, BinaryFunction::Mul | BinaryFunction::Div)
        }
        _ => false,
    };
    let arguments = op.arguments();
    let of_row = arguments.iter();
    let of_row = of_row.filter(|id| ir.program.constant_value(**id).is_none());
    is_linear(op) && !(is_product && of_row.count() > 1)
}

/// How a value follows from the columns.
#[derive(Clone, Copy)]
struct Dependence {
    /// It is affine in them.
    is_linear: bool,
    /// Matrix products have mixed them.
    is_mixed: bool,
    /// It is a nonlinear function of what was mixed, or an estimator's result.
    is_activated: bool,
}

fn dependences(ir: &Ir) -> Vec<Dependence> {
    let column = Dependence {
        is_linear: true,
        is_mixed: false,
        is_activated: false,
    };
    let mut all = vec![column; ir.first_step()];
    all[ir.results().index()] = Dependence {
        is_linear: false,
        is_mixed: true,
        is_activated: true,
    };
    for step in ir.program.steps() {
        let arguments = step.op.arguments();
        let any = |what: fn(&Dependence) -> bool| arguments.iter().any(|id| what(&all[id.index()]));
        let is_affine = matches!(step.op, Op::Constant(_)) || is_affine(ir, &step.op);
        all.push(Dependence {
            is_linear: is_affine && !any(|own| !own.is_linear),
            is_mixed: any(|own| own.is_mixed) || matches!(step.op, Op::MatMul { .. }),
            is_activated: any(|own| own.is_activated) || (!is_affine && any(|own| own.is_mixed)),
        });
    }
    all
}
