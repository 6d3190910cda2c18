//! Model files in, typed models out.
//!
//! ```text
//! bytes --format--> ONNX: a graph, lowered and cut ------------------> Model
//!              \\--> XGBoost, LightGBM, CatBoost: columns, trees, link --/
//! ```
//!
//! The libraries' own files give the libraries' own predictions: a file is read as the library that
//! wrote it reads it.

mod answer;
mod catboost;
mod features;
mod forest;
mod format;
mod json;
mod library;
mod lightgbm;
pub(crate) mod onnx;
mod source;
mod ubjson;
mod xgboost;

use crate::cut::{Provenance, cut};
use crate::error::CompileError;
use crate::lower::lower;
use crate::model::{Estimator, Model};
use crate::options::Combiner;
use format::Format;
use source::ReadingHints;

/// Reads a model file; its content tells the format.
///
/// # Errors
/// Bytes that are no model, and models that cannot be compiled, with the node or field at fault.
pub fn read_model(bytes: &[u8]) -> Result<Model, CompileError> {
    read(bytes, ReadingHints::default())
}

/// [`read_model`], with trees over other estimators' results at the client or at the server.
///
/// # Errors
/// As [`read_model`]; trees over what the server cannot compare.
pub fn read_model_for(bytes: &[u8], combiner: Combiner) -> Result<Model, CompileError> {
    match Format::of(bytes)? {
        Format::Onnx => read_onnx(bytes, combiner),
        _ => read_model(bytes),
    }
}

/// Reads a file of XGBoost, LightGBM or CatBoost and names its classes, in order.
///
/// # Errors
/// As [`read_model`]; class names whose number is not that of the classes, and ONNX models, which
/// name their classes themselves.
pub fn read_model_with_classes(bytes: &[u8], classes: &[String]) -> Result<Model, CompileError> {
    let classes = Some(classes);
    read(bytes, ReadingHints { classes })
}

/// Reads one linear layer of an ONNX model, by the name of its node.
///
/// # Errors
/// As [`read_model`]; names that no such node has, with those that do.
pub fn read_layer(bytes: &[u8], layer: &str) -> Result<Model, CompileError> {
    match Format::of(bytes)? {
        Format::Onnx => read_onnx(&onnx::layer::cut_out(bytes, layer)?, Combiner::Auto),
        _ => Err(CompileError::Option {
            option: "layer",
            found: "given for a model that has none".into(),
            expected: "it for ONNX models only",
        }),
    }
}

fn read(bytes: &[u8], reading: ReadingHints<'_>) -> Result<Model, CompileError> {
    let format = Format::of(bytes)?;
    if format != Format::Onnx && bytes.len() > library::MAX_BYTES {
        return Err(CompileError::TooLarge {
            len: bytes.len(),
            limit: library::MAX_BYTES,
        });
    }
    match format {
        Format::Onnx if reading.classes.is_some() => Err(CompileError::Option {
            option: "classes",
            found: "given for an ONNX model, which names its classes".into(),
            expected: "it for files of XGBoost, LightGBM and CatBoost only",
        }),
        Format::Onnx => read_onnx(bytes, Combiner::Auto),
        Format::XgBoostJson => xgboost::read_json(bytes, reading),
        Format::XgBoostUbjson => xgboost::read_ubjson(bytes, reading),
        Format::LightGbm => lightgbm::read(bytes, reading),
        Format::CatBoost => catboost::read(bytes, reading),
    }
}

fn read_onnx(bytes: &[u8], combiner: Combiner) -> Result<Model, CompileError> {
    let graph = onnx::graph::read(bytes)?;
    let with = |combiner| {
        let mut operations = lower(&graph)?;
        operations.combiner = combiner;
        let provenance = Provenance {
            producer: graph.producer.clone(),
            graph: graph.name.clone(),
            operators: graph.operators.clone(),
        };
        cut(operations, provenance)
    };
    match with(combiner) {
        // What the client cannot evaluate trees behind, a network among the base models, is the server's.
        Err(error @ CompileError::Unsupported { .. }) if combiner == Combiner::Auto => {
            let is_stacked = |own: &Model| {
                let mut estimators = own.estimators.iter();
                estimators.any(|own| matches!(own, Estimator::Stacked(_)))
            };
            with(Combiner::Server).ok().filter(is_stacked).ok_or(error)
        }
        read => read,
    }
}

/// A small model, for tests of what takes one and does not ask which.
#[cfg(test)]
pub(crate) fn sample() -> Model {
    let bytes = include_bytes!("../../../tests/libraries/linreg_diabetes/model.onnx");
    read_model(bytes).expect("the model is supported")
}
