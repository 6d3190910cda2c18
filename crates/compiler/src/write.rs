//! Fitted models out, as ONNX files that [`crate::read`] and ONNX Runtime take.

pub(crate) mod proto;
mod trees;

use crate::read::onnx::proto::{
    DimensionProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, attribute_type,
};
use cipherfn_training::{ClassLink, FittedFunction, FittedModel, ScaledColumn};
use prost::Message;
use proto::{AttributeProto, GraphProto, ModelProto, NodeProto};
use std::collections::HashSet;
use trees::TreeValues;

#[cfg(test)]
mod tests;

const IR_VERSION: i64 = 8;
const STANDARD_VERSION: i64 = 18;
const ML_VERSION: i64 = 3;
const STANDARD: &str = "";
const ML: &str = "ai.onnx.ml";

// Values of `TensorProto.DataType`.
const FLOAT: i32 = 1;
const INT64: i32 = 7;
const STRING: i32 = 8;

/// The model as the bytes of an ONNX file: an input of shape [rows, 1] for each column, named as it
/// is; 32-bit floats and texts. Outputs are `variable`, or `label` and `probabilities`, with a `_` behind
/// where a column has that name.
pub fn write_onnx(model: &FittedModel) -> Vec<u8> {
    let mut graph = GraphProto {
        name: model.name.clone(),
        ..GraphProto::default()
    };
    let mut names = ValueNames::of(model);
    let features = write_features(&mut graph, &mut names, model);
    write_function(&mut graph, &mut names, &features, model);
    let set = |domain: &str, version| OperatorSetIdProto {
        domain: domain.into(),
        version,
    };
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "cipherfn".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![set(STANDARD, STANDARD_VERSION), set(ML, ML_VERSION)],
        functions: Vec::new(),
    }
    .encode_to_vec()
}

/// Names of a graph's values: no two may have the same, and inputs have those of columns.
struct ValueNames(HashSet<String>);

impl ValueNames {
    fn of(model: &FittedModel) -> Self {
        let numbers = model.numbers.iter().map(|column| &column.name);
        let categories = model.categories.iter().map(|column| &column.name);
        Self(numbers.chain(categories).cloned().collect())
    }

    /// This name, which is taken then; with a `_` behind it for as long as it is taken already.
    fn free(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        while !self.0.insert(free.clone()) {
            free.push('_');
        }
        free
    }
}

/// Inputs, and nodes from them to one matrix of features, whose name it gives.
fn write_features(graph: &mut GraphProto, names: &mut ValueNames, model: &FittedModel) -> String {
    let mut blocks: Vec<String> = Vec::new();
    if !model.numbers.is_empty() {
        let mut columns = Vec::new();
        for column in &model.numbers {
            graph.input.push(info(&column.name, FLOAT, Some(1)));
            columns.push(column.name.clone());
        }
        let joined = join(graph, names, columns, "numbers");
        let list =
            |value: fn(&ScaledColumn) -> f64| model.numbers.iter().map(value).collect::<Vec<f64>>();
        let attributes = vec![
            floats("offset", &list(|column| column.offset)),
            floats("scale", &list(|column| column.scale)),
        ];
        let scaled = names.free("scaled");
        let scaler = node(ML, "Scaler", &[&joined], &[&scaled], attributes);
        graph.node.push(scaler);
        blocks.push(scaled.clone());
        if model.squares {
            let squares = names.free("squares");
            let inputs = [scaled.as_str(), &scaled];
            let product = node(STANDARD, "Mul", &inputs, &[&squares], Vec::new());
            graph.node.push(product);
            blocks.push(squares);
        }
    }
    for (index, column) in model.categories.iter().enumerate() {
        graph.input.push(info(&column.name, STRING, Some(1)));
        let (indicators, shape, flat) = (
            names.free(&format!("indicators_{index}")),
            names.free(&format!("shape_{index}")),
            names.free(&format!("category_{index}")),
        );
        let listed = vec![texts("cats_strings", &column.categories), int("zeros", 1)];
        let encoder = node(ML, "OneHotEncoder", &[&column.name], &[&indicators], listed);
        graph.node.push(encoder);
        graph.initializer.push(TensorProto {
            dims: vec![2],
            data_type: INT64,
            int64_data: vec![-1, column.categories.len() as i64],
            name: shape.clone(),
            ..TensorProto::default()
        });
        let inputs = [indicators.as_str(), &shape];
        graph
            .node
            .push(node(STANDARD, "Reshape", &inputs, &[&flat], Vec::new()));
        blocks.push(flat);
    }
    join(graph, names, blocks, "features")
}

/// The matrices side by side, as `name` where that is free; one alone keeps its own.
fn join(
    graph: &mut GraphProto,
    names: &mut ValueNames,
    mut blocks: Vec<String>,
    name: &str,
) -> String {
    if blocks.len() == 1 {
        return blocks.swap_remove(0);
    }
    let inputs: Vec<&str> = blocks.iter().map(String::as_str).collect();
    let name = names.free(name);
    let axis = vec![int("axis", 1)];
    let concat = node(STANDARD, "Concat", &inputs, &[&name], axis);
    graph.node.push(concat);
    name
}

fn write_function(
    graph: &mut GraphProto,
    names: &mut ValueNames,
    features: &str,
    model: &FittedModel,
) {
    match &model.function {
        FittedFunction::Features => {
            let output = names.free("variable");
            let identity = node(STANDARD, "Identity", &[features], &[&output], Vec::new());
            graph.node.push(identity);
            let len = model.numbers.len() as i64;
            graph.output.push(info(&output, FLOAT, Some(len)));
        }
        FittedFunction::Map { weights } => {
            let (matrix, output) = (names.free("weights"), names.free("variable"));
            let (outputs, inputs) = (weights.len(), model.numbers.len());
            let entry = |row: usize, column: usize| weights[column][row] as f32;
            let entries = (0..inputs).flat_map(|row| (0..outputs).map(move |column| (row, column)));
            graph.initializer.push(TensorProto {
                dims: vec![inputs as i64, outputs as i64],
                data_type: FLOAT,
                float_data: entries.map(|(row, column)| entry(row, column)).collect(),
                name: matrix.clone(),
                ..TensorProto::default()
            });
            let product = [features, &matrix];
            let product = node(STANDARD, "MatMul", &product, &[&output], Vec::new());
            graph.node.push(product);
            let len = outputs as i64;
            graph.output.push(info(&output, FLOAT, Some(len)));
        }
        FittedFunction::Trees { trees, labels } => {
            let mean = TreeValues {
                trees,
                factor: 1.0 / trees.len() as f64,
                base: None,
            };
            trees::write(graph, names, features, &mean, labels.as_deref());
        }
        FittedFunction::Boosted { base, trees } => {
            let sum = TreeValues {
                trees,
                factor: 1.0,
                base: Some(*base),
            };
            trees::write(graph, names, features, &sum, None);
        }
        FittedFunction::Regressor { weights, intercept } => {
            let attributes = vec![
                floats("coefficients", weights),
                floats("intercepts", &[*intercept]),
                int("targets", 1),
            ];
            let output = names.free("variable");
            let regressor = node(ML, "LinearRegressor", &[features], &[&output], attributes);
            graph.node.push(regressor);
            graph.output.push(info(&output, FLOAT, Some(1)));
        }
        FittedFunction::Classifier {
            labels,
            weights,
            intercepts,
            link,
        } => {
            let transform = match link {
                ClassLink::None => "NONE",
                ClassLink::Logistic => "LOGISTIC",
                ClassLink::Softmax => "SOFTMAX",
            };
            let (kind, labels_attribute) =
                class_labels(labels, ["classlabels_ints", "classlabels_strings"]);
            let attributes = vec![
                floats("coefficients", &weights.concat()),
                floats("intercepts", intercepts),
                labels_attribute,
                int("multi_class", 0),
                text("post_transform", transform),
            ];
            let (label, scores) = (names.free("label"), names.free("probabilities"));
            // One against the rest: chances of classes apart, which scikit-learn makes add up to 1.
            let apart = (*link == ClassLink::Logistic).then(|| names.free("chances"));
            let outputs = [label.as_str(), apart.as_ref().unwrap_or(&scores)];
            let classifier = node(ML, "LinearClassifier", &[features], &outputs, attributes);
            graph.node.push(classifier);
            if let Some(apart) = &apart {
                let sum = vec![text("norm", "L1")];
                let normalizer = node(ML, "Normalizer", &[apart], &[&scores], sum);
                graph.node.push(normalizer);
            }
            graph.output.push(info(&label, kind, None));
            let len = labels.len() as i64;
            graph.output.push(info(&scores, FLOAT, Some(len)));
        }
    }
}

/// Labels as an attribute of one of these names, for integers or texts, and the type of its entries.
fn class_labels(labels: &[String], names: [&str; 2]) -> (i32, AttributeProto) {
    let numbers: Option<Vec<i64>> = labels.iter().map(|label| integer(label)).collect();
    match numbers {
        Some(numbers) => (INT64, ints(names[0], numbers)),
        None => (STRING, texts(names[1], labels)),
    }
}

/// A label that is written as integers are: others are texts.
fn integer(label: &str) -> Option<i64> {
    let number: i64 = label.parse().ok()?;
    (number.to_string() == label).then_some(number)
}

/// A tensor of any number of rows, of `len` columns where it has some.
fn info(name: &str, kind: i32, len: Option<i64>) -> ValueInfoProto {
    let rows = DimensionProto {
        dim_value: None,
        dim_param: Some("rows".into()),
    };
    let columns = len.map(|len| DimensionProto {
        dim_value: Some(len),
        dim_param: None,
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: kind,
                shape: Some(TensorShapeProto {
                    dim: std::iter::once(rows).chain(columns).collect(),
                }),
            }),
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
        name: format!("{operator} {}", outputs.join(" ")),
        op_type: operator.into(),
        attribute,
        domain: domain.into(),
    }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        kind,
        ..AttributeProto::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: value,
        ..attribute(name, attribute_type::INT)
    }
}

fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto {
        ints: values,
        ..attribute(name, attribute_type::INTS)
    }
}

fn floats(name: &str, values: &[f64]) -> AttributeProto {
    AttributeProto {
        floats: values.iter().map(|value| *value as f32).collect(),
        ..attribute(name, attribute_type::FLOATS)
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: value.into(),
        ..attribute(name, attribute_type::STRING)
    }
}

fn texts(name: &str, values: &[String]) -> AttributeProto {
    AttributeProto {
        strings: values.iter().map(|value| value.clone().into()).collect(),
        ..attribute(name, attribute_type::STRINGS)
    }
}
