// A model that returns its only input, `x` in [-2, 2], and its server: the query's ciphertext is
// compressed to the reply as it is. The crate's documentation test includes this file too; so
// neither needs compiler or engine.

use cipherfn_program::{EntryKind, RowProgram, ScoreUnits, TensorType, TorusFraction};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::{ChunkHead, Chunks, Outcome, QueryChunk, ReplyChunk, write_chunk};
use cipherfn_protocol::specs::{
    Bits, ClientSpecs, ColumnKind, Decoding, Encoding, FeatureForm, InputColumn, LinearEncoding,
    ModelIdentity, OutputField, ParameterSetRef, ReplyForm, ScoreDecoding, SpecsDocument,
};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{LinearQueryShape, decode_linear};
use cipherfn_scheme::reply::{ReplyShape, compress};

/// The parameter set of the echo model.
pub(crate) fn set() -> &'static ParameterSet {
    &ParameterSet::all()[0]
}

/// Its client specs.
pub(crate) fn specs(name: &str) -> Vec<u8> {
    let one = |kind| {
        RowProgram::identity(vec![TensorType { kind, len: 1 }]).expect("a program of no steps")
    };
    let specs = ClientSpecs {
        model: ModelIdentity {
            name: name.into(),
            family: "linear".into(),
            task: "regression".into(),
        },
        circuit: Hash::of(b"echo"),
        parameter_set: ParameterSetRef {
            name: set().name.into(),
            hash: set().hash(),
        },
        columns: vec![InputColumn {
            name: "x".into(),
            kind: ColumnKind::Float32,
            missing: false,
        }],
        key_parts: Vec::new(),
        preprocess: one(EntryKind::F32),
        inputs: vec![Encoding::Linear(LinearEncoding {
            names: vec!["x".into()],
            centre: vec![0.0],
            half_width: vec![2.0],
            delta: TorusFraction::new(0.25),
            block: 1,
            stride: 1,
            form: FeatureForm::Apart,
            body_bits: Bits::new(48),
        })],
        relations: Vec::new(),
        decoding: Decoding {
            replies: vec![ReplyForm {
                reply_bits: Bits::new(24),
                coefficients: 1,
                stride: 1,
            }],
            scores: vec![ScoreDecoding {
                coefficient: 0,
                scale: ScoreUnits::new(8.0),
                offset: ScoreUnits::default(),
                step: ScoreUnits::new(0.125),
                precision: ScoreUnits::new(0.001),
                range: (ScoreUnits::new(-2.0), ScoreUnits::new(2.0)),
            }],
            failure_log2: -40.0,
        },
        postprocess: one(EntryKind::F64),
        outputs: vec![OutputField::Prediction],
    };
    SpecsDocument::new(specs)
        .expect("valid specs")
        .bytes()
        .to_vec()
}

/// Answers one row.
pub(crate) fn answer_row(row: &[u8]) -> Vec<u8> {
    let query = LinearQueryShape {
        set: set(),
        features: 1,
        block: 1,
        stride: 1,
        form: FeatureForm::Apart,
        body_bits: Bits::new(48),
    };
    let ciphertexts = decode_linear(&query, row).expect("a row of a query");
    let reply = ReplyShape {
        set: set(),
        coefficients: 1,
        stride: 1,
        bits: Bits::new(24),
    };
    compress(&reply, &ciphertexts[0].mask, &ciphertexts[0].body).expect("a reply of this shape")
}

/// Answers a query; `outcome` may replace an answer.
pub(crate) fn answer_with(query: &[u8], outcome: impl Fn(u64, Vec<u8>) -> Outcome) -> Vec<u8> {
    let mut reply = Vec::new();
    for chunk in Chunks::<_, QueryChunk>::new(query) {
        let (tag, chunk) = chunk.expect("a whole query");
        let rows = chunk.groups.iter().map(|row| answer_row(&row.bytes));
        let rows: Vec<_> = rows.collect();
        let row_len = rows[0].len() as u32;
        let outcomes = rows
            .into_iter()
            .enumerate()
            .map(|(index, row)| outcome(chunk.head.first_row + index as u64, row))
            .collect();
        let chunk = ReplyChunk {
            head: ChunkHead {
                row_len,
                packed: false,
                ..chunk.head
            },
            outcomes,
            packed: Vec::new(),
        };
        write_chunk(&mut reply, tag, &chunk).expect("memory takes all");
    }
    reply
}

/// Answers a query.
pub(crate) fn answer(query: &[u8]) -> Vec<u8> {
    answer_with(query, |_, row| Ok(row))
}
