use super::{Place, places};
use crate::ir::{Atom, Combination, Function, Ir, LinearMap, NearestPoints, SquaredDistances};
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ReduceFunction, Tensor, UnaryFunction, ValueId,
};

fn product(ir: &mut Ir, left: ValueId, weights: &[f32]) -> ValueId {
    let right = ir.numbers(weights);
    ir.add(Op::MatMul {
        left,
        right,
        rows: 1,
        inner: weights.len(),
        columns: 1,
    })
}

fn sigmoid(ir: &mut Ir, argument: ValueId) -> ValueId {
    let function = UnaryFunction::Sigmoid;
    ir.add(Op::Unary { function, argument })
}

fn linear(ir: &mut Ir, argument: ValueId) -> ValueId {
    let map = LinearMap {
        weights: vec![vec![1.0]],
        intercepts: vec![0.0],
    };
    let map = Function::Linear(map);
    ir.estimate("linear", argument, map).unwrap()
}

#[test]
fn a_product_prepares_a_stated_estimator_or_is_one() {
    let mut ir = Ir::sample();
    let prepared = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let score = linear(&mut ir, prepared);
    let ir = ir.giving(score);
    let found = places(&ir).unwrap().places;
    assert!(matches!(found[prepared.index()], Place::Before));
    assert!(matches!(found[score.index()], Place::Affine(_)));
    let mut ir = Ir::sample();
    let score = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let unused = sigmoid(&mut ir, score);
    let found = places(&ir.giving(score)).unwrap().places;
    assert!(matches!(found[score.index()], Place::Affine(_)));
    assert!(matches!(found[unused.index()], Place::Unused));
}

#[test]
fn an_estimator_over_another_one_lies_behind_it() {
    let mut ir = Ir::sample();
    let tree = ir.stump(&[1.0], &[3.0]);
    let link = sigmoid(&mut ir, tree);
    let of_link = linear(&mut ir, link);
    let of_tree = linear(&mut ir, tree);
    let ir = ir.giving(of_link);
    let found = places(&ir).unwrap().places;
    assert!(matches!(found[of_link.index()], Place::Behind { .. }));
    let found = places(&ir.giving(of_tree)).unwrap().places;
    assert!(matches!(found[of_tree.index()], Place::Affine(_)));
}

#[test]
fn functions_between_two_products_are_look_ups() {
    let mut ir = Ir::sample();
    let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let hidden = sigmoid(&mut ir, first);
    let second = product(&mut ir, hidden, &[3.0]);
    let link = sigmoid(&mut ir, second);
    let ir = ir.giving(link);
    let found = places(&ir).unwrap();
    assert!(matches!(found.places[hidden.index()], Place::Unused));
    assert!(matches!(found.places[link.index()], Place::Behind { .. }));
    let Place::Affine(entries) = &found.places[second.index()] else {
        panic!("it is a sum of look-ups")
    };
    let (estimator, entry) = (0, 0);
    let unit = Combination::of_atom(Atom::LookUp { estimator, entry }, 3.0);
    assert_eq!(entries.to_vec(), [unit]);
    let [made] = found.made.as_slice() else {
        panic!("one estimator")
    };
    let Function::Lookups(lookups) = &made.function else {
        panic!("look-ups")
    };
    assert_eq!(lookups.forms[0].terms.len(), 2);
    let values = lookups.functions.run(vec![Tensor::F64(vec![0.0])]);
    assert_eq!(values.unwrap(), [Tensor::F64(vec![0.5])]);
}

#[test]
fn several_steps_may_make_a_function() {
    let mut ir = Ir::sample();
    let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    // x / (1 + |x|)
    let size = ir.add(Op::Unary {
        function: UnaryFunction::Abs,
        argument: first,
    });
    let one = ir.numbers(&[1.0]);
    let size = ir.binary(BinaryFunction::Add, size, one);
    let hidden = ir.binary(BinaryFunction::Div, first, size);
    let second = product(&mut ir, hidden, &[3.0]);
    let ir = ir.giving(second);
    let found = places(&ir).unwrap();
    let Function::Lookups(lookups) = &found.made[0].function else {
        panic!("look-ups")
    };
    let values = lookups.functions.run(vec![Tensor::F64(vec![-3.0])]);
    assert_eq!(values.unwrap(), [Tensor::F64(vec![-0.75])]);
}

/// A layer over a layer, and what is read of a layer in two ways is one function.
#[test]
fn functions_of_functions_are_layers() {
    let mut ir = Ir::sample();
    let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let hidden = sigmoid(&mut ir, first);
    let second = product(&mut ir, hidden, &[3.0]);
    let deep = sigmoid(&mut ir, second);
    let moved = ir.add(Op::Select {
        source: hidden,
        entries: vec![0],
    });
    let residual = ir.binary(BinaryFunction::Add, deep, moved);
    let third = product(&mut ir, residual, &[5.0]);
    let ir = ir.giving(third);
    let found = places(&ir).unwrap();
    let Place::Affine(entries) = &found.places[third.index()] else {
        panic!("a sum of functions")
    };
    let unit = |estimator| Atom::LookUp {
        estimator,
        entry: 0,
    };
    let sum = Combination::of_terms(0.0, vec![(unit(0), 5.0), (unit(1), 5.0)]);
    assert_eq!(entries.to_vec(), [sum]);
    let Function::Lookups(lookups) = &found.made[1].function else {
        panic!("look-ups")
    };
    assert_eq!(lookups.forms, [Combination::of_atom(unit(0), 3.0)]);
}

#[test]
fn products_with_the_rows_own_values_are_no_layer() {
    let mut ir = Ir::sample();
    let first = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let size = ir.add(Op::Reduce {
        function: ReduceFunction::L2,
        argument: ValueId(0),
        group: 2,
    });
    let hidden = ir.binary(BinaryFunction::Mul, first, size);
    let second = product(&mut ir, hidden, &[3.0]);
    let error = places(&ir.giving(second)).err().unwrap().to_string();
    assert!(error.contains("joins the row's own values"), "{error}");
}

/// Features of a feature-wise sum behind the estimator: a squared distance.
#[test]
fn sums_with_the_rows_own_values_are_affine() {
    let mut ir = Ir::sample();
    let squares = ir.add(Op::Reduce {
        function: ReduceFunction::SumSquare,
        argument: ValueId(0),
        group: 2,
    });
    let first = product(&mut ir, ValueId(0), &[-2.0, -4.0]);
    let distance = ir.binary(BinaryFunction::Add, first, squares);
    let ir = ir.giving(distance);
    let found = places(&ir).unwrap();
    let Place::Affine(entries) = &found.places[distance.index()] else {
        panic!("affine in the row and its square")
    };
    assert_eq!(entries[0].terms.len(), 3);
}

/// Squared distances of a value from a point, as the lowering makes them: `|x|^2 - 2 p x`.
fn distances(ir: &mut Ir, row: ValueId) -> ValueId {
    let squares = ir.add(Op::Reduce {
        function: ReduceFunction::SumSquare,
        argument: row,
        group: 1,
    });
    let products = product(ir, row, &[-2.0]);
    let value = ir.binary(BinaryFunction::Add, products, squares);
    ir.distances.push(SquaredDistances { value, row });
    value
}

fn exponential(ir: &mut Ir, argument: ValueId) -> ValueId {
    let function = UnaryFunction::Exp;
    ir.add(Op::Unary { function, argument })
}

#[test]
fn what_is_squared_is_projected_by_the_client() {
    let mut ir = Ir::sample();
    let projected = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let distances = distances(&mut ir, projected);
    let kernel = exponential(&mut ir, distances);
    let score = product(&mut ir, kernel, &[3.0]);
    let ir = ir.giving(score);
    let found = places(&ir).unwrap().places;
    assert!(matches!(found[projected.index()], Place::Before));
    let Place::Affine(entries) = &found[score.index()] else {
        panic!("a sum of functions")
    };
    assert_eq!(entries[0].terms.len(), 1);
}

/// A linear model over votes (stacking) has nothing to do with how points are ranked.
#[test]
fn a_product_for_a_ranking_prepares_nothing() {
    let mut ir = Ir::sample();
    let distances = product(&mut ir, ValueId(0), &[-2.0, -4.0]);
    let nearest = Function::Nearest(NearestPoints {
        node: "node".into(),
        points: 1,
        kept: 1,
    });
    let votes = ir.estimate("node", distances, nearest).unwrap();
    let link = sigmoid(&mut ir, votes);
    let score = linear(&mut ir, link);
    let found = places(&ir.giving(score)).unwrap().places;
    assert!(matches!(found[distances.index()], Place::Affine(_)));
    assert!(matches!(found[score.index()], Place::Behind { .. }));
}

/// Without distances the server knows the projection alone.
#[test]
fn a_projection_below_a_layer_is_the_servers() {
    let mut ir = Ir::sample();
    let projected = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let line = product(&mut ir, projected, &[4.0]);
    let kernel = exponential(&mut ir, line);
    let score = product(&mut ir, kernel, &[3.0]);
    let found = places(&ir.giving(score)).unwrap().places;
    assert!(matches!(found[projected.index()], Place::Affine(_)));
}

#[test]
fn a_networks_layer_is_not_squared() {
    let mut ir = Ir::sample();
    let layer = product(&mut ir, ValueId(0), &[1.0, 2.0]);
    let hidden = sigmoid(&mut ir, layer);
    let distances = distances(&mut ir, hidden);
    let kernel = exponential(&mut ir, distances);
    let score = product(&mut ir, kernel, &[3.0]);
    let error = places(&ir.giving(score)).err().unwrap().to_string();
    assert!(error.contains("squares no number"), "{error}");
}

#[test]
fn results_of_estimators_are_not_squared() {
    let mut ir = Ir::sample();
    let base = linear(&mut ir, ValueId(0));
    let base = ir.add(Op::Cast {
        source: base,
        kind: EntryKind::F32,
    });
    let distances = distances(&mut ir, base);
    let kernel = exponential(&mut ir, distances);
    let score = product(&mut ir, kernel, &[3.0]);
    let error = places(&ir.giving(score)).err().unwrap().to_string();
    assert!(error.contains("layers or other estimators"), "{error}");
}
