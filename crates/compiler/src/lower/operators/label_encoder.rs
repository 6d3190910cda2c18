//! `LabelEncoder`, and `CategoryMapper` between texts and integers.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use crate::read::onnx::node::Node;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{Op, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    ml("CategoryMapper", 1, category_mapper),
    ml("LabelEncoder", 1, label_encoder),
];

/// What ebm2onnx writes for a missing text: Python's text of NaN.
const MISSING: &str = "nan";

fn category_mapper(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (argument, node) = (emitter.input(0)?, emitter.node);
    let [texts, integers] = ["strings", "int64s"].map(|side| format!("cats_{side}"));
    let (texts, integers) = (node.texts(&texts)?, node.ints(&integers)?);
    let has = |wanted: &str| texts.iter().any(|text| text == wanted);
    if argument.element == Element::Text && has(MISSING) && !has("") {
        emitter.ir.notes.push(format!(
            "{}: a missing text is the text \"{MISSING}\"; an empty cell is a category that the \
             model does not know",
            node.name
        ));
    }
    let (texts, integers) = (Constant::of_texts(texts), Constant::of_integers(integers));
    let sides = match argument.element {
        Element::Text => (texts, integers),
        _ => (integers, texts),
    };
    encoded(emitter, &argument, sides)
}

fn label_encoder(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (argument, node) = (emitter.input(0)?, emitter.node);
    let (keys, values) = if node.has("classes_strings") {
        first_version(node, argument.element)?
    } else {
        (side(node, "keys")?, side(node, "values")?)
    };
    encoded(emitter, &argument, (keys, values))
}

/// Each entry's value by its key, or the default.
fn encoded(
    emitter: &mut Emitter<'_>,
    argument: &Operand,
    (keys, values): (Constant, Constant),
) -> Result<Vec<Operand>, CompileError> {
    let node = emitter.node;
    if keys.element.kind() != argument.element.kind() {
        return Err(node.invalid(format!(
            "it maps {:?} entries but its input has {:?} ones",
            keys.element, argument.element
        )));
    }
    if keys.value.len() != values.value.len() {
        return Err(node.invalid(format!(
            "it has {} keys and {} values",
            keys.value.len(),
            values.value.len()
        )));
    }
    let op = Op::Encode {
        argument: argument.id,
        keys: keys.value,
        values: values.value,
        default: Some(default(node, values.element)?),
    };
    Ok(vec![emitter.push(
        op,
        values.element,
        argument.shape.clone(),
    )?])
}

/// Version 1: names to their indices or indices to names.
fn first_version(node: &Node, argument: Element) -> Result<(Constant, Constant), CompileError> {
    let names = node.texts("classes_strings")?;
    let indices = Constant::of_integers((0..names.len() as i64).collect());
    let names = Constant::of_texts(names);
    Ok(if argument == Element::Text {
        (names, indices)
    } else {
        (indices, names)
    })
}

fn side(node: &Node, side: &str) -> Result<Constant, CompileError> {
    if let Some(tensor) = node.tensor(&format!("{side}_tensor"))? {
        return Ok(tensor);
    }
    let (strings, ints, floats) = (
        format!("{side}_strings"),
        format!("{side}_int64s"),
        format!("{side}_floats"),
    );
    let (element, value) = if node.has(&strings) {
        (Element::Text, Tensor::Text(node.texts(&strings)?))
    } else if node.has(&ints) {
        (Element::Int, Tensor::I64(node.ints(&ints)?))
    } else if node.has(&floats) {
        (Element::F32, Tensor::F32(node.floats(&floats)?))
    } else {
        return Err(node.invalid(format!("it has no {side}")));
    };
    Ok(Constant {
        element,
        shape: vec![value.len()],
        value,
    })
}

fn default(node: &Node, element: Element) -> Result<Tensor, CompileError> {
    if let Some(tensor) = node.tensor("default_tensor")? {
        if tensor.value.len() == 1 && tensor.element.kind() == element.kind() {
            return Ok(tensor.value);
        }
        return Err(node.invalid("\"default_tensor\" does not fit its values"));
    }
    Ok(match element {
        Element::Text => Tensor::Text(vec![node.text("default_string", "_Unused")?]),
        Element::F32 => Tensor::F32(vec![node.float("default_float", -0.0)?]),
        Element::F64 => Tensor::F64(vec![node.float("default_float", -0.0)?.into()]),
        Element::Int | Element::Bool => Tensor::I64(vec![node.int("default_int64", -1)?]),
    })
}
