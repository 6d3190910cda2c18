//! All rows as one request.

use anyhow::Result;
use cipherfn_circuit::Bundle;
use cipherfn_engine::PreparedCircuit;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::message::{
    ChunkHead, Group, Nonce, QueryChunk, RowGroup, TARGET_CHUNK, frame_of,
};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::query::{self, GroupForm, InputValues};
use cipherfn_serving::{Key, Model};
use std::time::Instant;

/// A request whose rows share ciphertexts where they can.
pub(super) struct Batch {
    model: Model,
    tag: ParameterSetTag,
    chunk: QueryChunk,
    rows: usize,
}

impl Batch {
    /// Encrypts rows as the client library does.
    pub(super) fn new(
        bundle: &Bundle,
        circuit: &PreparedCircuit,
        secret: &SecretKey,
        rows: &[Vec<InputValues>],
    ) -> Result<Self> {
        let set = circuit.parameter_set();
        let form = GroupForm::fullest(set, circuit.inputs(), TARGET_CHUNK);
        let groups = rows.chunks(form.rows).map(|rows| {
            let own = GroupForm {
                rows: rows.len(),
                ..form
            };
            let bytes = query::encrypt_rows(secret, circuit.inputs(), own, rows)?;
            Ok(RowGroup {
                rows: rows.len(),
                bytes,
            })
        });
        let model = Model::new(bundle)?;
        let packed = model
            .packed()
            .is_some_and(|packed| packed.saves(rows.len()));
        let head = ChunkHead {
            specs: bundle.specs_hash(),
            key: secret.id(),
            nonce: Some(Nonce::random()?),
            first_row: 0,
            last: true,
            row_len: circuit.group_bytes(form)? as u32,
            group: (form.rows > 1).then_some(Group {
                depth: form.depth.levels() as u8,
                rows: form.rows as u32,
            }),
            packed,
            public: false,
        };
        Ok(Self {
            model,
            tag: set.tag(),
            chunk: QueryChunk {
                head,
                groups: groups.collect::<Result<_>>()?,
            },
            rows: rows.len(),
        })
    }

    /// Bytes of the query, a row.
    pub(super) fn query_row(&self) -> f64 {
        frame_of(self.tag, &self.chunk).len() as f64 / self.rows as f64
    }

    /// Answers the request on the current rayon pool: seconds and bytes of the reply, a row.
    pub(super) fn answer(&self, key: Option<&Key>) -> (f64, f64) {
        let start = Instant::now();
        let reply = frame_of(self.tag, &self.model.answer(key, &self.chunk));
        let rows = self.rows as f64;
        (
            start.elapsed().as_secs_f64() / rows,
            reply.len() as f64 / rows,
        )
    }
}
