//! The server's side: a bundle, an evaluation key and query bytes in, reply bytes out. No secret
//! key and no row in the clear comes near.

use crate::files::InputSource;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_circuit::{Bundle, bundle};
use cipherfn_protocol::api::MAX_KEY;
use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};
use cipherfn_scheme::EvaluationKey;
use cipherfn_serving::{Key, Model};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Largest bundle file that is read, in bytes.
pub(crate) const MAX_BUNDLE: u64 = bundle::MAX_BYTES + HEADER_LEN as u64;
/// Reads a bundle whose specs are those of its circuit.
pub(crate) fn read_bundle(source: &InputSource) -> Result<Bundle> {
    checked_bundle(&source.read_all(MAX_BUNDLE)?, source)
}

/// The same from bytes, which came from `source`.
pub(crate) fn checked_bundle(bytes: &[u8], source: &InputSource) -> Result<Bundle> {
    let bundle = parse_bundle(bytes, source)?;
    cipherfn_serving::specs_of(&bundle).with_context(|| source.name())?;
    Ok(bundle)
}

/// Parses a bundle's bytes, which came from `source`.
pub(crate) fn parse_bundle(bytes: &[u8], source: &InputSource) -> Result<Bundle> {
    cipherfn_engine::bundle::read(bytes).with_context(|| source.name())
}

/// Reads a part of an evaluation key.
pub(crate) fn read_key_part(source: &InputSource) -> Result<EvaluationKey> {
    EvaluationKey::from_file_bytes(&source.read_all(MAX_KEY)?).with_context(|| source.name())
}

/// A model ready to answer the queries of one client.
pub(crate) struct Server {
    model: Model,
    key: Option<Key>,
}

/// What a server did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answered {
    /// Rows of the query.
    pub rows: u64,
    /// Rows without an answer.
    pub failed: u64,
    /// Bytes of a reply row, or of its share where results are packed.
    pub reply_row: u64,
    /// Time in the engine.
    pub time: Duration,
}

impl Server {
    /// Prepares a bundle's circuit and expands the parts of the evaluation key.
    pub(crate) fn new(bundle: &Bundle, parts: &[EvaluationKey]) -> Result<Self> {
        let model = Model::new(bundle)?;
        // Uploaded GGSW ciphertexts are evaluated without a key, and linear models that do not pack
        // their results.
        let key = if model.needs_key() {
            Key::of_parts(parts)?
        } else {
            None
        };
        match &key {
            None if model.needs_key() => {
                let parts = model.key_parts().iter();
                let files: Vec<_> = parts.map(|part| format!("keys/{part}.cfk")).collect();
                bail_usage!(
                    "this model needs the client's evaluation key; give it with --evaluation-key {}",
                    files.join(" --evaluation-key ")
                )
            }
            Some(key) => model.check_key(key)?,
            None => (),
        }
        Ok(Self { model, key })
    }

    /// Answers a query chunk by chunk: one outcome a row, rows in parallel. `progress` hears the
    /// number of rows so far.
    pub(crate) fn answer(
        &self,
        query: impl Read,
        mut reply: impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<Answered> {
        let mut answered = Answered {
            reply_row: self.model.reply_row_bytes() as u64,
            ..Answered::default()
        };
        let mut packed = 0;
        for chunk in Chunks::<_, QueryChunk>::new(query) {
            let (tag, chunk) = chunk?;
            self.model.check(tag, &chunk, self.key.as_ref())?;
            let start = Instant::now();
            let answer = self.model.answer(self.key.as_ref(), &chunk);
            answered.time += start.elapsed();
            answered.rows += answer.outcomes.len() as u64;
            packed += answer.packed.len() as u64;
            answered.failed += answer
                .outcomes
                .iter()
                .filter(|outcome| outcome.is_err())
                .count() as u64;
            write_chunk(&mut reply, tag, &answer).context("writing the reply failed")?;
            progress(answered.rows);
        }
        reply.flush().context("writing the reply failed")?;
        if packed > 0 {
            answered.reply_row = packed.div_ceil(answered.rows.max(1));
        }
        Ok(answered)
    }
}
