//! What prepares the row, and what is a layer below another estimator.

use crate::analyse::affine::is_candidate;
use crate::ir::{Function, Ir};
use crate::options::Combiner;
use cipherfn_program::{BinaryFunction, Op, ValueId};

/// What the arguments of estimators are computed from, but for distances: a matrix product there prepares the
/// row, as principal components do. Not so one of a nonlinear function of another one: that is the layer of a
/// network, or a kernel machine, below the estimator (stacking), and its weights are the server's. Where the
/// server evaluates trees over other estimators, products of anything that is not linear in the columns are.
pub(super) fn preparation(ir: &Ir) -> Vec<bool> {
    let stated = ir.estimators.iter();
    let stated = stated.filter(|own| !matches!(own.function, Function::Nearest(_)));
    let mut open: Vec<ValueId> = stated.map(|estimator| estimator.argument).collect();
    let of = dependences(ir);
    let at_server = ir.combiner == Combiner::Server;
    let mut prepares = vec![false; of.len()];
    while let Some(id) = open.pop() {
        let op = ir.step(id).map(|step| &step.op);
        if let Some(Op::MatMul { left, .. }) = op {
            let left = of[left.index()];
            if left.is_activated || (at_server && !left.is_linear) {
                continue;
            }
        }
        let goes_on = op.is_some_and(is_linear) || !at_server;
        if !std::mem::replace(&mut prepares[id.index()], true) && goes_on {
            open.extend(ir.arguments(id));
        }
    }
    prepares
}

fn is_linear(op: &Op) -> bool {
    is_candidate(op) || matches!(op, Op::Cast { .. })
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
        let is_product = match &step.op {
            Op::MatMul { .. } => true,
            Op::Binary { function, .. } => {
                matches!(function, BinaryFunction::Mul | BinaryFunction::Div)
            }
            _ => false,
        };
        // Products of two values of the row are affine in neither.
        let is_known = |id: &&ValueId| ir.program.constant_value(**id).is_some();
        let factors = arguments.len() - arguments.iter().filter(is_known).count();
        let is_affine = match step.op {
            Op::Constant(_) => true,
            _ => is_linear(&step.op) && !(is_product && factors > 1),
        };
        all.push(Dependence {
            is_linear: is_affine && !any(|own| !own.is_linear),
            is_mixed: any(|own| own.is_mixed) || matches!(step.op, Op::MatMul { .. }),
            is_activated: any(|own| own.is_activated) || (!is_affine && any(|own| own.is_mixed)),
        });
    }
    all
}
