//! Nodes that compute along the axis that counts rows.

use super::{info, int, ints, model, node, tensor};
use crate::read::onnx::proto::TensorProto;
use crate::read::read_model;
use crate::write::proto::{AttributeProto, ModelProto, NodeProto};
use prost::Message;

const INT64: i32 = 7;

/// Three columns, a node in the middle of them and one weight each behind it; `rows` is the first dimension
/// that is declared.
fn network(rows: i64, middle: Vec<NodeProto>) -> ModelProto {
    let mut nodes = vec![node("", "Relu", &["X"], &["a"], Vec::new())];
    nodes.extend(middle);
    nodes.push(node("", "MatMul", &["b", "w"], &["Y"], Vec::new()));
    let constants = vec![
        tensor("w", &[3, 1], &[0.5, -1.0, 2.0]),
        integers("first", &[0]),
        integers("last", &[-1]),
        integers("one", &[1]),
        integers("apart", &[-1, 3]),
        integers("above", &[1, 0, 0, 0]),
        integers("twice", &[2, 1]),
    ];
    let mut model = model(nodes, constants);
    let graph = model.graph.as_mut().unwrap();
    graph.input = vec![info("X", &[rows, 3])];
    model
}

fn own(operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Vec<NodeProto> {
    vec![node("", operator, inputs, &["b"], attributes)]
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: INT64,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn problem(rows: i64, middle: Vec<NodeProto>) -> Option<String> {
    let bytes = network(rows, middle).encode_to_vec();
    read_model(&bytes).err().map(|error| error.to_string())
}

/// Each row would have another result beside others; a model that takes exactly one row has none.
#[test]
fn nodes_along_the_rows_are_refused_by_name_and_axis() {
    let transposed = |name: &str, from: &str| node("", "Transpose", &[from], &[name], Vec::new());
    let gram = vec![
        transposed("t", "a"),
        node("", "MatMul", &["a", "t"], &["g"], Vec::new()),
        node("", "MatMul", &["g", "a"], &["b"], Vec::new()),
    ];
    let pairwise = vec![
        node(
            "",
            "ReduceSum",
            &["a", "one"],
            &["s"],
            vec![int("keepdims", 1)],
        ),
        transposed("t", "s"),
        node("", "Sub", &["s", "t"], &["d"], Vec::new()),
        node("", "Mul", &["a", "d"], &["b"], Vec::new()),
    ];
    let behind = vec![
        transposed("t", "a"),
        node("", "ReduceMean", &["t"], &["m"], vec![ints("axes", &[1])]),
        transposed("u", "m"),
        node("", "Sub", &["a", "u"], &["b"], Vec::new()),
    ];
    let along = vec![
        transposed("t", "a"),
        node("", "Softmax", &["t"], &["s"], Vec::new()),
        transposed("b", "s"),
    ];
    let whole = vec![
        node("", "ReduceMax", &["a"], &["m"], vec![int("keepdims", 1)]),
        node("", "Sub", &["a", "m"], &["b"], Vec::new()),
    ];
    let axis = |axis| vec![int("axis", axis)];
    for (operator, place, middle) in [
        ("Softmax", 1, along),
        (
            "ReduceMean",
            0,
            own("ReduceMean", &["a"], vec![ints("axes", &[0])]),
        ),
        (
            "ReduceSum",
            0,
            own("ReduceSum", &["a", "first"], Vec::new()),
        ),
        ("ReduceMax", 0, whole),
        ("Gather", 0, own("Gather", &["a", "first"], axis(0))),
        (
            "Slice",
            0,
            own("Slice", &["a", "first", "one", "first"], Vec::new()),
        ),
        ("Concat", 0, own("Concat", &["a", "a"], axis(0))),
        ("Pad", 0, own("Pad", &["a", "above"], Vec::new())),
        ("Tile", 0, own("Tile", &["a", "twice"], Vec::new())),
        ("MatMul", 1, gram),
        ("Sub", 1, pairwise),
        ("ReduceMean", 1, behind),
    ] {
        let error = problem(-1, middle.clone()).unwrap_or_default();
        let operator_of =
            format!("(operator {operator}, domain ai.onnx): it works along axis {place} of input ");
        assert!(error.contains(&operator_of), "{operator}: {error}");
        assert!(error.contains("which counts the rows"), "{error}");
        let alone = problem(1, middle).unwrap_or_default();
        assert!(!alone.contains("counts the rows"), "{alone}");
    }
}

/// Scores of classes, one column each, put together along the rows, and what is done with them.
fn stacked(behind: &[&str], shape: &[i64]) -> ModelProto {
    let sum = |name: &str| {
        node(
            "",
            "ReduceSum",
            &["a", "one"],
            &[name],
            vec![int("keepdims", 1)],
        )
    };
    let mut middle = vec![
        sum("p"),
        sum("q"),
        sum("r"),
        node("", "Concat", &["p", "q", "r"], &["c"], vec![int("axis", 0)]),
    ];
    let mut last = "c";
    for operator in behind {
        let (inputs, output): (Vec<&str>, _) = match *operator {
            "Reshape" => (vec![last, "shape"], "s"),
            "Transpose" => (vec![last], "t"),
            _ => (vec![last], "u"),
        };
        middle.push(node("", operator, &inputs, &[output], Vec::new()));
        last = output;
    }
    middle.push(node("", "Identity", &[last], &["b"], Vec::new()));
    let mut model = network(-1, middle);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(integers("shape", shape));
    model
}

/// As skl2onnx writes quadratic discriminants: rows that are stacked lie apart again by a reshape.
#[test]
fn stacked_columns_lie_apart_again() {
    let apart = stacked(&["Reshape", "Transpose"], &[3, -1]).encode_to_vec();
    read_model(&apart).unwrap();
    for (behind, shape) in [
        (vec!["Transpose"], vec![3, -1]),
        (vec!["Relu", "Reshape", "Transpose"], vec![3, -1]),
        // Columns of one row lie beside those of another one.
        (vec!["Reshape"], vec![-1, 3]),
    ] {
        let error = read_model(&stacked(&behind, &shape).encode_to_vec()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("operator Concat"), "{behind:?}: {error}");
        assert!(error.contains("counts the rows"), "{error}");
    }
    let mut output = stacked(&["Reshape", "Transpose"], &[3, -1]);
    output.graph.as_mut().unwrap().output = vec![info("c", &[-1, 1])];
    let error = read_model(&output.encode_to_vec()).unwrap_err().to_string();
    assert!(error.contains("counts the rows"), "{error}");
}

/// What exporters write beside: whole slices, axes that are moved and moved back, other axes.
#[test]
fn nodes_along_other_axes_are_followed() {
    let whole = [i64::MAX, i64::from(i32::MAX)];
    for end in whole {
        let mut model = network(
            -1,
            own("Slice", &["a", "first", "end", "first"], Vec::new()),
        );
        let constants = &mut model.graph.as_mut().unwrap().initializer;
        constants.push(integers("end", &[end]));
        read_model(&model.encode_to_vec()).unwrap();
    }
    let transposed = |name: &str, from: &str| node("", "Transpose", &[from], &[name], Vec::new());
    let moved = vec![
        transposed("t", "a"),
        node("", "ReduceMean", &["t"], &["m"], vec![ints("axes", &[0])]),
        node("", "Sub", &["t", "m"], &["d"], Vec::new()),
        transposed("b", "d"),
    ];
    let squeezed = vec![
        node("", "Unsqueeze", &["a", "first"], &["u"], Vec::new()),
        node(
            "",
            "ReduceMean",
            &["u"],
            &["m"],
            vec![ints("axes", &[0]), int("keepdims", 0)],
        ),
        node("", "Reshape", &["m", "apart"], &["b"], Vec::new()),
    ];
    for middle in [
        moved,
        squeezed,
        own("Softmax", &["a"], vec![int("axis", 1)]),
        own("Softmax", &["a"], Vec::new()),
        own("Concat", &["a"], vec![int("axis", 0)]),
    ] {
        assert_eq!(problem(-1, middle), None);
    }
}

/// The client would see how near the row is to each of the points that the model was trained on.
#[test]
fn rankings_of_cosines_are_refused_with_the_way_out() {
    let lengths = |from: &str, to: &str| node("", "MatMul", &[from, "norms"], &[to], Vec::new());
    let middle = vec![
        node(
            "",
            "ReduceSumSquare",
            &["a"],
            &["s"],
            vec![ints("axes", &[1])],
        ),
        node("", "Sqrt", &["s"], &["length"], Vec::new()),
        lengths("length", "lengths"),
        node("", "MatMul", &["a", "points"], &["p"], Vec::new()),
        node("", "Div", &["p", "lengths"], &["c"], Vec::new()),
        node("", "TopK", &["c", "three"], &["b", "places"], Vec::new()),
    ];
    let mut model = network(-1, middle);
    let constants = &mut model.graph.as_mut().unwrap().initializer;
    let points: Vec<f32> = (0..15).map(|at| (at * 7 % 11) as f32 - 5.0).collect();
    constants.push(tensor("points", &[3, 5], &points));
    constants.push(tensor("norms", &[1, 5], &[1.0; 5]));
    constants.push(integers("three", &[3]));
    let error = read_model(&model.encode_to_vec()).unwrap_err().to_string();
    assert!(error.contains("metric=\"cosine\""), "{error}");
    assert!(error.contains("Normalizer"), "{error}");
}
