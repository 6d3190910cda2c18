//! Files that break the format's rules, and ones that would break a careless reader.

mod estimators;
mod layers;
mod networks;
mod rows;

use super::attribute::Attribute;
use super::proto::{
    DimensionProto, FunctionProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use super::size;
use crate::model::Model;
use crate::read::read_model;
use crate::write::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};
use cipherfn_program::Tensor;
use prost::Message;
use prost::encoding::WireType;
use std::time::{Duration, Instant};

const FLOAT: i32 = 1;

fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&dim: &i64| DimensionProto {
        dim_value: (dim >= 0).then_some(dim),
        dim_param: None,
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    let tensor = TensorTypeProto {
        elem_type: FLOAT,
        shape: Some(shape),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor),
        }),
    }
}

fn node(
    domain: &str,
    operator: &str,
    inputs: &[&str],
    outputs: &[&str],
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    NodeProto {
        input: names(inputs),
        output: names(outputs),
        name: format!("the {operator}"),
        op_type: operator.into(),
        attribute,
        domain: domain.into(),
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: ints.to_vec(),
        kind: attribute_type::INTS,
        ..AttributeProto::default()
    }
}

fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        floats: floats.to_vec(),
        kind: attribute_type::FLOATS,
        ..AttributeProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        kind: attribute_type::INT,
        ..AttributeProto::default()
    }
}

fn strings(name: &str, strings: &[&str]) -> AttributeProto {
    let strings = strings
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    AttributeProto {
        name: name.into(),
        strings,
        kind: attribute_type::STRINGS,
        ..AttributeProto::default()
    }
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: FLOAT,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn model(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let graph = GraphProto {
        node: nodes,
        name: "g".into(),
        initializer,
        input: vec![info("X", &[-1, 2])],
        output: vec![info("Y", &[-1, 1])],
        ..GraphProto::default()
    };
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: domain.into(),
        version,
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![opset("", 17), opset("ai.onnx.ml", 3)],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// A regressor: node 0 compares feature 0 with 0.5, nodes 1 and 2 are leaves.
fn tree() -> NodeProto {
    let attributes = vec![
        int("n_targets", 1),
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        ints("target_ids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_treeids", &[0, 0]),
        floats("target_weights", &[-1.0, 2.0]),
    ];
    node(
        "ai.onnx.ml",
        "TreeEnsembleRegressor",
        &["X"],
        &["Y"],
        attributes,
    )
}

fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.retain(|own| own.name != attribute.name);
    node.attribute.push(attribute);
    node
}

/// `X W -> Y` with two weights.
fn linear() -> ModelProto {
    model(
        vec![node("", "MatMul", &["X", "W"], &["Y"], Vec::new())],
        vec![tensor("W", &[2, 1], &[2.0, -1.0])],
    )
}

fn read(model: &ModelProto) -> Result<Model, String> {
    let start = Instant::now();
    let result = read_model(&model.encode_to_vec()).map_err(|error| error.to_string());
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        start.elapsed()
    );
    result
}

fn refused(model: &ModelProto, parts: &[&str]) {
    let error = read(model).unwrap_err();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

fn predict(model: &Model, row: [f32; 2]) -> Vec<f64> {
    model.predict(vec![Tensor::F32(row.to_vec())]).unwrap()[0]
        .to_f64()
        .unwrap()
}

#[test]
fn the_plain_models_are_read() {
    let tree = read(&model(vec![tree()], Vec::new())).unwrap();
    assert_eq!(
        [predict(&tree, [0.5, 0.0]), predict(&tree, [0.6, 0.0])],
        [[-1.0], [2.0]]
    );
    let linear = read(&linear()).unwrap();
    assert_eq!(predict(&linear, [3.0, 4.0]), [2.0]);
}

#[test]
fn bytes_that_are_no_onnx_model_are_refused() {
    let good = linear().encode_to_vec();
    let text: &[u8] = b"this is a text file, not a model";
    for bytes in [
        &[][..],
        text,
        &[0xff; 100],
        &good[..good.len() - 3],
        &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let error = read_model(bytes).unwrap_err().to_string();
        assert!(error.contains("not an ONNX model"), "{error}");
    }
}

#[test]
fn every_truncation_and_many_corruptions_give_errors_not_panics() {
    let models = [model(vec![tree()], Vec::new()), linear()].map(|model| model.encode_to_vec());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for good in models {
        for len in 0..good.len() {
            let _ = read_model(&good[..len]);
        }
        for _ in 0..4000 {
            let mut bad = good.clone();
            for _ in 0..=random() % 3 {
                let at = random() % bad.len();
                bad[at] = [0, 1, 0x7f, 0x80, 0xff, random() as u8][random() % 6];
            }
            let _ = read_model(&bad);
        }
    }
}

#[test]
fn files_of_tiny_messages_are_refused_before_they_are_decoded() {
    // Empty nodes: two bytes each in the file, some two hundred each in memory.
    let nodes = [0x0a, 0x00].repeat(2 << 20);
    let mut bytes = vec![0x3a];
    prost::encoding::encode_varint(nodes.len() as u64, &mut bytes);
    bytes.extend(nodes);
    assert!(
        size::check(&bytes)
            .unwrap_err()
            .to_string()
            .contains("too many")
    );
    assert!(
        read_model(&vec![0; super::graph::MAX_BYTES + 1])
            .unwrap_err()
            .to_string()
            .contains("more than the limit")
    );
}

#[test]
fn lists_are_the_same_in_a_row_and_one_by_one() {
    let row = |tag: u32, bytes: &[u8]| {
        let mut field = Vec::new();
        prost::encoding::encode_key(tag, WireType::LengthDelimited, &mut field);
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend(bytes);
        field
    };
    let floats = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
    let (mut one_by_one, mut mixed) = (Vec::new(), row(8, &[7]));
    prost::encoding::encode_key(8, WireType::Varint, &mut one_by_one);
    one_by_one.push(7);
    mixed.extend(row(8, &[]));
    for field in [8, 8] {
        prost::encoding::encode_key(field, WireType::Varint, &mut one_by_one);
        prost::encoding::encode_varint(300, &mut one_by_one);
    }
    mixed.extend(&one_by_one[2..5]);
    mixed.extend(row(8, &[0xac, 2]));
    let all = row(8, &[7, 0xac, 2, 0xac, 2]);
    for message in [&one_by_one, &mixed, &all] {
        let (_, attribute) = Attribute::read(message).unwrap();
        let found: Result<Vec<i64>, _> = attribute.each_int().collect();
        assert_eq!(found.unwrap(), [7, 300, 300]);
    }
    let message = row(7, &floats);
    let (_, attribute) = Attribute::read(&message).unwrap();
    let found: Result<Vec<f32>, _> = attribute.each_float().collect();
    assert_eq!(found.unwrap(), [1.5, -2.0]);
    // Cut off within an entry.
    for message in [row(7, &floats[..5]), row(8, &[7, 0xac])] {
        let (_, attribute) = Attribute::read(&message).unwrap();
        let entries = (attribute.each_float().last(), attribute.each_int().last());
        assert!(
            matches!(entries, (Some(Err(_)), None) | (None, Some(Err(_)))),
            "{entries:?}"
        );
    }
}

#[test]
fn large_lists_may_be_there_and_large_tensors_not() {
    let zeros = vec![0; (128 << 20) + 1];
    let field = |tag: u8, bytes: &[u8]| {
        let mut field = vec![tag << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend(bytes);
        field
    };
    // A node's attribute, and an initializer.
    let list = field(7, &field(1, &field(5, &field(8, &zeros))));
    size::check(&list).unwrap();
    let tensor = field(7, &field(5, &field(9, &zeros)));
    let refused = size::check(&tensor).unwrap_err().to_string();
    assert!(refused.contains("beside the lists"), "{refused}");
}

#[test]
fn dimensions_beyond_memory_are_refused() {
    let mut wide = linear();
    wide.graph.as_mut().unwrap().input = vec![info("X", &[-1, 1 << 60])];
    refused(&wide, &["input \"X\"", "more than"]);
    let mut product = linear();
    product.graph.as_mut().unwrap().input = vec![info("X", &[-1, 1 << 32, 1 << 32])];
    refused(&product, &["input \"X\"", "more than"]);
    let mut weight = linear();
    weight.graph.as_mut().unwrap().initializer = vec![tensor("W", &[1 << 60, 1], &[1.0])];
    refused(&weight, &["initializer \"W\"", "more than"]);
    let mut negative = linear();
    negative.graph.as_mut().unwrap().initializer = vec![tensor("W", &[2, -1], &[1.0, 2.0])];
    refused(&negative, &["initializer \"W\"", "negative dimension -1"]);
    let shape = TensorProto {
        name: "S".into(),
        dims: vec![2],
        data_type: 7,
        int64_data: vec![1 << 60, 2],
        ..TensorProto::default()
    };
    for (operator, part) in [
        ("Expand", "cannot be repeated"),
        ("Reshape", "cannot become"),
        ("Tile", "cannot be repeated"),
    ] {
        let grown = model(
            vec![node("", operator, &["X", "S"], &["Y"], Vec::new())],
            vec![shape.clone()],
        );
        refused(&grown, &[operator, part]);
    }
    let filled = model(
        vec![node("", "ConstantOfShape", &["S"], &["Y"], Vec::new())],
        vec![shape],
    );
    refused(&filled, &["ConstantOfShape", "too large"]);
}

#[test]
fn inputs_must_have_a_known_width_and_free_rows() {
    for (dims, part) in [
        (&[-1, -1][..], "how many columns"),
        (&[7, 2], "exactly 7 rows"),
    ] {
        let mut bad = linear();
        bad.graph.as_mut().unwrap().input = vec![info("X", dims)];
        refused(&bad, &["input \"X\"", part]);
    }
    let mut untyped = linear();
    untyped.graph.as_mut().unwrap().input[0].r#type = None;
    refused(&untyped, &["input \"X\" is no tensor"]);
}

#[test]
fn tensors_must_hold_what_they_say() {
    let weight = |weight: TensorProto| {
        let mut model = linear();
        model.graph.as_mut().unwrap().initializer = vec![weight];
        model
    };
    refused(
        &weight(tensor("W", &[2, 1], &[1.0])),
        &["initializer \"W\"", "has 2 entries but its data 1"],
    );
    let raw = TensorProto {
        raw_data: vec![0; 7],
        float_data: Vec::new(),
        ..tensor("W", &[2, 1], &[])
    };
    refused(&weight(raw), &["initializer \"W\"", "7 bytes of raw data"]);
    let half = TensorProto {
        data_type: 10,
        ..tensor("W", &[2, 1], &[1.0, 2.0])
    };
    refused(&weight(half), &["initializer \"W\"", "element type 10"]);
    let mut external = tensor("W", &[2, 1], &[]);
    external.data_location = 1;
    external.external_data = vec![StringStringEntryProto {
        key: "location".into(),
        value: "../../etc/passwd".into(),
    }];
    refused(&weight(external), &["initializer \"W\"", "another file"]);
    refused(
        &weight(tensor("W", &[2, 1], &[f32::NAN, 1.0])),
        &["MatMul", "NaN, not a finite number"],
    );
    refused(
        &weight(tensor("W", &[2, 1], &[1.0, f32::INFINITY])),
        &["MatMul", "inf, not a finite number"],
    );
}

#[test]
fn graphs_must_be_well_formed() {
    let identity = |from: &str, to: &str| node("", "Identity", &[from], &[to], Vec::new());
    let cycle = model(
        vec![
            node("", "Add", &["X", "B"], &["A"], Vec::new()),
            identity("A", "B"),
            identity("B", "Y"),
        ],
        Vec::new(),
    );
    refused(&cycle, &["the Add", "cycle"]);
    refused(
        &model(vec![identity("nowhere", "Y")], Vec::new()),
        &["the Identity", "\"nowhere\" is not defined"],
    );
    refused(
        &model(vec![identity("X", "Z")], Vec::new()),
        &["output \"Y\"", "no node defines it"],
    );
    refused(
        &model(vec![identity("X", "Y"), identity("X", "Y")], Vec::new()),
        &["\"Y\" is already defined"],
    );
    let mut twice = linear();
    twice
        .graph
        .as_mut()
        .unwrap()
        .initializer
        .push(tensor("W", &[2, 1], &[1.0, 1.0]));
    refused(&twice, &["initializer \"W\"", "defined twice"]);
    let mut inputs = linear();
    inputs
        .graph
        .as_mut()
        .unwrap()
        .input
        .push(info("X", &[-1, 2]));
    refused(&inputs, &["input \"X\"", "defined twice"]);
    let mut functions = linear();
    functions.functions.push(FunctionProto { name: "f".into() });
    refused(&functions, &["function \"f\"", "inline"]);
    let subgraph = AttributeProto {
        name: "body".into(),
        kind: attribute_type::GRAPH,
        ..AttributeProto::default()
    };
    refused(
        &model(
            vec![node("", "Loop", &["X"], &["Y"], vec![subgraph])],
            Vec::new(),
        ),
        &["the Loop", "subgraph"],
    );
    refused(
        &model(vec![identity("X", "Y")], Vec::new()),
        &["output \"Y\" does not depend on an estimator"],
    );
    refused(
        &model(
            vec![node("com.example", "Magic", &["X"], &["Y"], Vec::new())],
            Vec::new(),
        ),
        &["the Magic", "com.example", "supported"],
    );
    // Listed backwards, which is merely unusual.
    let mut backwards = model(vec![identity("T", "Y"), tree()], Vec::new());
    backwards.graph.as_mut().unwrap().node[1].output = vec!["T".into()];
    assert_eq!(predict(&read(&backwards).unwrap(), [0.0, 0.0]), [-1.0]);
}

#[test]
fn a_long_chain_of_nodes_is_read_in_bounded_time() {
    let mut nodes: Vec<NodeProto> = (0..20_000)
        .map(|k| {
            node(
                "",
                "Identity",
                &[&if k == 0 { "X".into() } else { format!("v{k}") }],
                &[&format!("v{}", k + 1)],
                Vec::new(),
            )
        })
        .collect();
    nodes.push(NodeProto {
        input: vec!["v20000".into()],
        ..tree()
    });
    nodes.reverse();
    assert!(read(&model(nodes, Vec::new())).is_ok());
}

#[test]
fn operator_sets_that_are_not_known_are_refused() {
    for (domain, version, parts) in [
        (
            "",
            99,
            [
                "the MatMul",
                "version 99 of the operator set ai.onnx",
                "versions 1 to",
            ],
        ),
        (
            "",
            0,
            [
                "the MatMul",
                "version 0 of the operator set ai.onnx",
                "target opset",
            ],
        ),
    ] {
        let mut model = linear();
        model.opset_import = vec![OperatorSetIdProto {
            domain: domain.into(),
            version,
        }];
        refused(&model, &parts);
    }
    let mut trees = model(vec![tree()], Vec::new());
    trees.opset_import[1].version = 6;
    refused(
        &trees,
        &["the TreeEnsembleRegressor", "version 6", "1 to 5"],
    );
    // A set that is not named is the newest known one.
    trees.opset_import.clear();
    assert!(read(&trees).is_ok());
}
