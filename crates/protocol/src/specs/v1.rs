//! Format 1: one input, one output, and whether there is an evaluation key follows from the
//! transport.

use super::v2::{self, Model, SpecsV2};
use super::wire::{Encoding, InputColumn, OutputField, ReplyForm, ScoreDecoding};
use super::{EXPANSION, ParameterSetRef};
use crate::hash::Hash;
use cipherfn_program::{Bits, RowProgram};
use serde::{Deserialize, Serialize};

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpecsV1 {
    format: u16,
    model: Model,
    circuit: Hash,
    parameter_set: ParameterSetRef,
    columns: Vec<InputColumn>,
    preprocess: RowProgram,
    encoding: Encoding,
    decoding: DecodingV1,
    postprocess: RowProgram,
    outputs: Vec<OutputField>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecodingV1 {
    reply_bits: Bits,
    coefficients: u32,
    stride: u32,
    scores: Vec<ScoreDecoding>,
    failure_log2: f64,
}

impl From<SpecsV1> for SpecsV2 {
    fn from(document: SpecsV1) -> Self {
        let decoding = document.decoding;
        Self {
            format: 2,
            model: document.model,
            circuit: document.circuit,
            parameter_set: document.parameter_set,
            key_parts: key_parts(&document.encoding),
            columns: document.columns,
            preprocess: document.preprocess,
            inputs: vec![document.encoding],
            decoding: v2::DecodingV2 {
                replies: vec![ReplyForm {
                    reply_bits: decoding.reply_bits,
                    coefficients: decoding.coefficients,
                    stride: decoding.stride,
                }],
                scores: decoding.scores,
                failure_log2: decoding.failure_log2,
            },
            postprocess: document.postprocess,
            outputs: document.outputs,
        }
    }
}

impl SpecsV1 {
    /// The document as format 1, if it can be said there.
    pub(super) fn of(document: SpecsV2) -> Option<Self> {
        let [encoding] = <[_; 1]>::try_from(document.inputs).ok()?;
        let [reply] = <[_; 1]>::try_from(document.decoding.replies).ok()?;
        (document.key_parts == key_parts(&encoding)).then_some(Self {
            format: 1,
            model: document.model,
            circuit: document.circuit,
            parameter_set: document.parameter_set,
            columns: document.columns,
            preprocess: document.preprocess,
            encoding,
            decoding: DecodingV1 {
                reply_bits: reply.reply_bits,
                coefficients: reply.coefficients,
                stride: reply.stride,
                scores: document.decoding.scores,
                failure_log2: document.decoding.failure_log2,
            },
            postprocess: document.postprocess,
            outputs: document.outputs,
        })
    }
}

/// The evaluation keys of version 1 are the expansion of packed selectors.
fn key_parts(encoding: &Encoding) -> Vec<String> {
    if encoding.is_packed() {
        vec![EXPANSION.to_owned()]
    } else {
        Vec::new()
    }
}
