//! Small graphs as exporters of explainable boosting machines write them.

use super::extract;
use crate::analyse::places::places;
use crate::ir::{Ensemble, Function, Ir, Output};
use crate::model::{Column, Test, TreeNode};
use cipherfn_program::{BinaryFunction, EntryKind, Op, ReduceFunction, Tensor, ValueId, evaluate};
use cipherfn_protocol::specs::ColumnKind;

const NAN: f64 = f64::NAN;

/// Columns of one 64-bit float each, and one of text.
fn columns(floats: usize) -> Ir {
    let kinds = [vec![EntryKind::F64; floats], vec![EntryKind::Text]].concat();
    let column = |(index, kind): (usize, &EntryKind)| Column {
        name: format!("x{index}"),
        kind: match kind {
            EntryKind::Text => ColumnKind::Text,
            _ => ColumnKind::Float64,
        },
        width: 1,
        missing: false,
    };
    let columns = kinds.iter().enumerate().map(column).collect();
    Ir::new(columns, kinds.clone()).unwrap()
}

/// The index of the last edge that a number reaches; 0 for a missing one.
fn index(ir: &mut Ir, number: ValueId, edges: &[f64]) -> ValueId {
    let infinite = [f64::NEG_INFINITY; 2];
    let edges = [&infinite[..], edges].concat();
    let count = edges.len();
    let left = ir.add(Op::Constant(Tensor::F64(edges)));
    let reached = ir.binary(BinaryFunction::LessOrEqual, left, number);
    let kind = EntryKind::F32;
    let reached = ir.add(Op::Cast {
        source: reached,
        kind,
    });
    let places: Vec<f32> = (0..count).map(|place| place as f32).collect();
    let places = ir.numbers(&places);
    let argument = ir.binary(BinaryFunction::Mul, reached, places);
    ir.add(Op::ArgMax {
        argument,
        group: count,
        last: false,
    })
}

fn pick(ir: &mut Ir, table: ValueId, index: ValueId, inner: usize) -> ValueId {
    ir.add(Op::Pick {
        table,
        index,
        inner,
    })
}

/// The sum of terms.
fn sum(ir: &mut Ir, terms: &[ValueId]) -> ValueId {
    let argument = ir.add(Op::Concat(terms.to_vec()));
    ir.add(Op::Reduce {
        function: ReduceFunction::Sum,
        argument,
        group: terms.len(),
    })
}

fn ensemble(ir: &Ir) -> &Ensemble {
    match &ir.estimators[0].function {
        Function::Trees(ensemble) => ensemble,
        _ => panic!("trees"),
    }
}

/// What the trees give for a row of features.
fn sum_of_trees(ir: &Ir, features: &[f32]) -> f64 {
    let leaf = |nodes: &[TreeNode]| {
        let mut at = 0;
        loop {
            match &nodes[at] {
                TreeNode::Leaf(values) => {
                    return values.iter().map(|(_, value)| value).sum::<f64>();
                }
                TreeNode::Split {
                    feature,
                    test,
                    missing_goes_yes,
                    yes,
                    no,
                } => {
                    let value = features[*feature as usize];
                    let is_yes = match test {
                        _ if value.is_nan() => *missing_goes_yes,
                        Test::Greater(threshold) => value > *threshold,
                        Test::Equal(own) => value.to_bits() == own.to_bits(),
                    };
                    at = if is_yes { *yes } else { *no } as usize;
                }
            }
        }
    };
    let trees = &ensemble(ir).trees;
    trees.iter().map(|tree| leaf(&tree.nodes)).sum()
}

/// All values of a program for a row.
fn values(ir: &Ir, inputs: &[Tensor]) -> Vec<Option<Tensor>> {
    let mut values: Vec<Option<Tensor>> = inputs.iter().cloned().map(Some).collect();
    values.push(None);
    for step in ir.program.steps() {
        let arguments = step.op.arguments();
        let arguments: Option<Vec<&Tensor>> = arguments
            .iter()
            .map(|id| values[id.index()].as_ref())
            .collect();
        let value = arguments.map(|arguments| evaluate("step", &step.op, &arguments).unwrap());
        values.push(value);
    }
    values
}

/// A model of a fine and a coarse table over two numbers and one over a category.
fn machine() -> (Ir, Ir) {
    let make = || {
        let mut ir = columns(2);
        let [x, y, text] = [0, 1, 2].map(ValueId);
        let fine = index(&mut ir, x, &[0.0, 0.1, 0.1_f64.next_up(), 1e9]);
        let table = ir.numbers(&[9.0, -1.0, 2.0, 3.0, 5.0, 7.0]);
        let first = pick(&mut ir, table, fine, 1);
        let (coarse, other) = (index(&mut ir, x, &[0.5]), index(&mut ir, y, &[-3.0, 3.0]));
        let table: Vec<f32> = (0..15).map(|place| (place * place) as f32).collect();
        let table = ir.numbers(&table);
        let row = pick(&mut ir, table, coarse, 5);
        let second = pick(&mut ir, row, other, 1);
        let category = ir.add(Op::Encode {
            argument: text,
            keys: Tensor::Text(vec!["a".into(), "b".into()]),
            values: Tensor::I64(vec![1, 2]),
            default: Some(Tensor::I64(vec![-1])),
        });
        let table = ir.numbers(&[100.0, 200.0, 300.0, 400.0]);
        let third = pick(&mut ir, table, category, 1);
        let total = sum(&mut ir, &[first, second, third]);
        let terms = ir.add(Op::Concat(vec![first, second, third]));
        ir.outputs = [("sum", total), ("terms", terms)]
            .map(|(name, value)| Output {
                name: name.into(),
                value,
                node: None,
            })
            .into();
        ir
    };
    (make(), extract(make()).unwrap())
}

#[test]
fn tables_of_bins_are_trees_with_the_same_sums() {
    let (given, made) = machine();
    assert_eq!(ensemble(&made).trees.len(), 3);
    let argument = made.estimators[0].argument;
    let numbers = [
        NAN,
        -1e300,
        -0.0,
        0.0,
        -1e-310,
        0.1_f64.next_down(),
        0.1,
        0.1_f64.next_up(),
        0.3,
        0.5,
        1e9,
        f64::INFINITY,
    ];
    for x in numbers {
        for y in [NAN, -4.0, -3.0, 0.0, 3.0] {
            for text in ["a", "b", "c"] {
                let row = [
                    Tensor::F64(vec![x]),
                    Tensor::F64(vec![y]),
                    Tensor::Text(vec![text.into()]),
                ];
                let expected = values(&given, &row)[given.outputs[0].value.index()].clone();
                let expected = expected.unwrap().to_f64().unwrap()[0];
                let Some(Tensor::F32(features)) = &values(&made, &row)[argument.index()] else {
                    panic!("features");
                };
                let found = sum_of_trees(&made, features);
                assert!((found - expected).abs() < 1e-9, "{x} {y} {text}");
            }
        }
    }
}

/// The fine table's splits are closer than 32 bits tell: its feature counts them.
#[test]
fn the_same_number_is_a_feature_for_each_set_of_edges() {
    let (_, made) = machine();
    let argument = made.estimators[0].argument;
    assert_eq!(made.program.tensor_type(argument).len, 4);
    assert!(ensemble(&made).missing);
}

#[test]
fn sums_are_affine_and_terms_beside_them_are_left_out() {
    let (_, made) = machine();
    let names: Vec<&str> = made.outputs.iter().map(|own| own.name.as_str()).collect();
    assert_eq!(names, ["sum"]);
    assert!(made.notes.iter().any(|note| note.contains("\"terms\"")));
    let found = places(&made).unwrap();
    let output = made.outputs[0].value;
    assert!(matches!(
        found.places[output.index()],
        crate::analyse::place::Place::Affine(_)
    ));
}

#[test]
fn small_tables_of_single_numbers_stay_what_they_are() {
    let mut ir = columns(1);
    let place = index(&mut ir, ValueId(0), &[1.0, 2.0]);
    let table = ir.numbers(&[0.0, 1.0, 2.0, 3.0]);
    let term = pick(&mut ir, table, place, 1);
    let score = sum(&mut ir, &[term, term]);
    assert!(extract(ir.giving(score)).unwrap().estimators.is_empty());
}

/// A number that a table has a part in is not known before the table is evaluated.
#[test]
fn tables_looked_up_by_what_tables_give_are_left_alone() {
    let mut ir = columns(2);
    let table: Vec<f32> = (0..12).map(|place| place as f32).collect();
    let table = ir.numbers(&table);
    let (first, other) = (
        index(&mut ir, ValueId(0), &[0.0]),
        index(&mut ir, ValueId(1), &[0.0, 1.0]),
    );
    let row = pick(&mut ir, table, first, 4);
    let term = pick(&mut ir, row, other, 1);
    let kind = EntryKind::F64;
    let wide = ir.add(Op::Cast { source: term, kind });
    let moved = ir.binary(BinaryFunction::Add, wide, ValueId(0));
    let place = index(&mut ir, moved, &[1.0]);
    let table = ir.numbers(&[0.0, 1.0, 2.0]);
    let second = pick(&mut ir, table, place, 1);
    let made = extract(ir.giving(second)).unwrap();
    assert_eq!(ensemble(&made).trees.len(), 1);
}

/// A table over three numbers has no tree of its own, and what it is looked up from is none, either.
#[test]
fn tables_of_more_than_two_numbers_are_left_alone() {
    let mut ir = columns(3);
    let table: Vec<f32> = (0..27).map(|place| place as f32).collect();
    let mut block = ir.numbers(&table);
    for (column, inner) in [(0, 9), (1, 3), (2, 1)] {
        let place = index(&mut ir, ValueId(column), &[0.0]);
        block = pick(&mut ir, block, place, inner);
    }
    assert!(extract(ir.giving(block)).unwrap().estimators.is_empty());
}
