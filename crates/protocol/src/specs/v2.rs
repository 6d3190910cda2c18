//! Format 2: several inputs and outputs, and the parts of the evaluation key by name.
//!
//! Unknown fields of the document itself are tolerated, so that one for people can be added without
//! breaking clients that are deployed; inside of what rows and answers are made of they are not. A field that must not be ignored comes
//! with a format of its own.

use super::wire::{Encoding, InputColumn, OutputField, ReplyForm, ScoreDecoding, Wire};
use super::{ClientSpecs, ModelIdentity, ParameterSetRef};
use crate::hash::Hash;
use cipherfn_program::{self as program, RowProgram};
use serde::{Deserialize, Serialize};

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SpecsV2 {
    pub(super) format: u16,
    pub(super) model: Model,
    pub(super) circuit: Hash,
    pub(super) parameter_set: ParameterSetRef,
    pub(super) key_parts: Vec<String>,
    pub(super) columns: Vec<InputColumn>,
    pub(super) preprocess: RowProgram,
    pub(super) inputs: Vec<Encoding>,
    pub(super) decoding: DecodingV2,
    pub(super) postprocess: RowProgram,
    pub(super) outputs: Vec<OutputField>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    name: String,
    family: String,
    task: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecodingV2 {
    pub(super) replies: Vec<ReplyForm>,
    pub(super) scores: Vec<ScoreDecoding>,
    pub(super) failure_log2: f64,
}

impl From<SpecsV2> for ClientSpecs {
    fn from(document: SpecsV2) -> Self {
        let (model, decoding) = (document.model, document.decoding);
        Self {
            model: ModelIdentity {
                name: model.name,
                family: model.family,
                task: model.task,
            },
            circuit: document.circuit,
            parameter_set: document.parameter_set,
            key_parts: document.key_parts,
            columns: document.columns.run(),
            preprocess: document.preprocess,
            inputs: document.inputs.run(),
            relations: Vec::new(),
            decoding: program::Decoding {
                replies: decoding.replies.run(),
                scores: decoding.scores.run(),
                failure_log2: decoding.failure_log2,
            },
            postprocess: document.postprocess,
            outputs: document.outputs.run(),
        }
    }
}

impl From<ClientSpecs> for SpecsV2 {
    fn from(specs: ClientSpecs) -> Self {
        let (model, decoding) = (specs.model, specs.decoding);
        Self {
            format: 2,
            model: Model {
                name: model.name,
                family: model.family,
                task: model.task,
            },
            circuit: specs.circuit,
            parameter_set: specs.parameter_set,
            key_parts: specs.key_parts,
            columns: Wire::of(specs.columns),
            preprocess: specs.preprocess,
            inputs: Wire::of(specs.inputs),
            decoding: DecodingV2 {
                replies: Wire::of(decoding.replies),
                scores: Wire::of(decoding.scores),
                failure_log2: decoding.failure_log2,
            },
            postprocess: specs.postprocess,
            outputs: Wire::of(specs.outputs),
        }
    }
}
