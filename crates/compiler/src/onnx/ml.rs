//! Pre- and post-processing operators of the machine-learning domain as steps of a row program.

use super::emitter::{Emitter, Operand};
use super::standard::{Inputs, required};
use crate::error::CompileError;
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{BinaryFunction, Norm, Op, Tensor, UnaryFunction};

/// The operators of this module.
pub(crate) const OPERATORS: &[&str] = &[
    "ArrayFeatureExtractor",
    "Binarizer",
    "Imputer",
    "LabelEncoder",
    "Normalizer",
    "OneHotEncoder",
    "Scaler",
];

/// Adds the steps of a node; `None` if its operator is not one of this module.
pub(crate) fn apply(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
) -> Result<Option<Operand>, CompileError> {
    let Some(operator) = emitter.node.ml() else {
        return Ok(None);
    };
    match operator {
        "Scaler" => scaler(emitter, inputs),
        "Imputer" => imputer(emitter, inputs),
        "Normalizer" => normalizer(emitter, inputs),
        "Binarizer" => binarizer(emitter, inputs),
        "OneHotEncoder" => one_hot_encoder(emitter, inputs),
        "LabelEncoder" => label_encoder(emitter, inputs),
        "ArrayFeatureExtractor" => array_feature_extractor(emitter, inputs),
        _ => return Ok(None),
    }
    .map(Some)
}

/// A constant with one entry a column, or one for all.
fn per_column(
    emitter: &mut Emitter<'_>,
    value: Tensor,
    argument: &Operand,
    name: &str,
) -> Result<Operand, CompileError> {
    let columns = argument.shape.last().copied().unwrap_or(1);
    if value.len() != 1 && value.len() != columns {
        return Err(emitter.node.invalid(format!(
            "\"{name}\" has {} entries for {columns} columns",
            value.len()
        )));
    }
    emitter.vector(value)
}

fn scaler(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let argument = required(emitter, inputs, 0)?;
    let mut result = emitter.cast(&argument, Element::F32)?;
    for (name, function) in [
        ("offset", BinaryFunction::Sub),
        ("scale", BinaryFunction::Mul),
    ] {
        let value = Tensor::F32(emitter.node.floats(name)?.to_vec());
        if !value.is_empty() {
            let value = per_column(emitter, value, &result, name)?;
            result = emitter.binary(function, &result, &value)?;
        }
    }
    Ok(result)
}

fn imputer(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let argument = required(emitter, inputs, 0)?;
    let (replaced, value, name) = if argument.element == Element::Int {
        let replaced = Tensor::I64(vec![emitter.node.int("replaced_value_int64", 0)?]);
        (
            replaced,
            Tensor::I64(emitter.node.ints("imputed_value_int64s")?.to_vec()),
            "imputed_value_int64s",
        )
    } else {
        let replaced = Tensor::F32(vec![emitter.node.float("replaced_value_float", 0.0)?]);
        (
            replaced,
            Tensor::F32(emitter.node.floats("imputed_value_floats")?.to_vec()),
            "imputed_value_floats",
        )
    };
    let missing = matches!(&replaced, Tensor::F32(x) if x[0].is_nan());
    let condition = if missing {
        emitter.unary(UnaryFunction::IsNan, &argument)?
    } else {
        let replaced = emitter.vector(replaced)?;
        let replaced = emitter.cast(&replaced, argument.element)?;
        emitter.binary(BinaryFunction::Equal, &argument, &replaced)?
    };
    let value = per_column(emitter, value, &argument, name)?;
    let value = emitter.cast(&value, argument.element)?;
    emitter.choose(&condition, &value, &argument)
}

fn normalizer(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let norm = match emitter.node.text("norm", "MAX")?.as_str() {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => {
            return Err(emitter
                .node
                .invalid(format!("norm \"{other}\" is none of MAX, L1, L2")));
        }
    };
    let argument = required(emitter, inputs, 0)?;
    let argument = emitter.cast(&argument, Element::F32)?;
    let group = argument.shape.last().copied().unwrap_or(1);
    emitter.push(
        Op::Normalize {
            norm,
            argument: argument.id,
            group,
        },
        Element::F32,
        argument.shape,
    )
}

fn binarizer(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let argument = required(emitter, inputs, 0)?;
    let threshold = emitter.node.float("threshold", 0.0)?;
    let threshold = emitter.number(argument.element, threshold.into())?;
    let exceeds = emitter.binary(BinaryFunction::Greater, &argument, &threshold)?;
    emitter.cast(&exceeds, argument.element)
}

fn one_hot_encoder(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let mut argument = required(emitter, inputs, 0)?;
    let categories = if argument.element == Element::Text {
        Tensor::Text(emitter.node.texts("cats_strings")?)
    } else {
        argument = emitter.cast(&argument, Element::Int)?;
        Tensor::I64(emitter.node.ints("cats_int64s")?.to_vec())
    };
    if categories.is_empty() {
        return Err(emitter
            .node
            .invalid("it has no categories for its input's type"));
    }
    let unknown = emitter.node.int("zeros", 1)? != 0;
    let shape = argument
        .shape
        .iter()
        .copied()
        .chain([categories.len()])
        .collect();
    emitter.push(
        Op::OneHot {
            argument: argument.id,
            categories,
            unknown,
        },
        Element::F32,
        shape,
    )
}

fn label_encoder(emitter: &mut Emitter<'_>, inputs: Inputs<'_>) -> Result<Operand, CompileError> {
    let argument = required(emitter, inputs, 0)?;
    let Mapping {
        keys,
        values,
        default,
    } = if emitter.node.has("classes_strings") {
        first_version(emitter, argument.element)?
    } else {
        let keys = side(emitter, "keys")?;
        let values = side(emitter, "values")?;
        let default = default(emitter, values.element)?;
        Mapping {
            keys,
            values,
            default,
        }
    };
    if keys.element.kind() != argument.element.kind() {
        let problem = format!(
            "it maps {:?} entries but its input has {:?} ones",
            keys.element, argument.element
        );
        return Err(emitter.node.invalid(problem));
    }
    if keys.value.len() != values.value.len() {
        return Err(emitter.node.invalid(format!(
            "it has {} keys and {} values",
            keys.value.len(),
            values.value.len()
        )));
    }
    let op = Op::Encode {
        argument: argument.id,
        keys: keys.value,
        values: values.value,
        default: Some(default),
    };
    emitter.push(op, values.element, argument.shape)
}

struct Mapping {
    keys: Constant,
    values: Constant,
    default: Tensor,
}

/// Version 1: names to their indices or indices to names.
fn first_version(emitter: &Emitter<'_>, argument: Element) -> Result<Mapping, CompileError> {
    let names = emitter.node.texts("classes_strings")?;
    let indices = Constant::of_integers((0..names.len() as i64).collect());
    let names = Constant {
        element: Element::Text,
        shape: vec![names.len()],
        value: Tensor::Text(names),
    };
    let (keys, values) = if argument == Element::Text {
        (names, indices)
    } else {
        (indices, names)
    };
    let default = default(emitter, values.element)?;
    Ok(Mapping {
        keys,
        values,
        default,
    })
}

fn side(emitter: &Emitter<'_>, side: &str) -> Result<Constant, CompileError> {
    let node = emitter.node;
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
        (Element::Int, Tensor::I64(node.ints(&ints)?.to_vec()))
    } else if node.has(&floats) {
        (Element::F32, Tensor::F32(node.floats(&floats)?.to_vec()))
    } else {
        return Err(node.invalid(format!("it has no {side}")));
    };
    Ok(Constant {
        element,
        shape: vec![value.len()],
        value,
    })
}

fn default(emitter: &Emitter<'_>, element: Element) -> Result<Tensor, CompileError> {
    let node = emitter.node;
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

/// Look-up of computed places in a table with one row.
fn array_feature_extractor(
    emitter: &mut Emitter<'_>,
    inputs: Inputs<'_>,
) -> Result<Operand, CompileError> {
    let (table, index) = (required(emitter, inputs, 0)?, required(emitter, inputs, 1)?);
    if table.shape.last().copied() != Some(table.len()) || table.len() == 0 {
        let problem = format!(
            "it looks up computed places in a table of shape {:?}",
            table.shape
        );
        return Err(emitter
            .node
            .unsupported(problem, "computed places in one row, or constant places"));
    }
    let rank = table.shape.len().max(2);
    let shape = (1..rank).map(|_| 1).chain([index.len()]).collect();
    emitter.push(
        Op::Pick {
            table: table.id,
            index: index.id,
            inner: 1,
        },
        table.element,
        shape,
    )
}
