//! The server's side: a bundle, an evaluation key and query bytes in, reply bytes out. No secret key and no row in the clear comes near.

use crate::files::Source;
use anyhow::{Context, Result, bail};
use cipherfn_engine::circuit::Circuit;
use cipherfn_engine::{Bundle, PreparedCircuit, QueryShape, bundle};
use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::{ChunkHead, Chunks, KeyId, QueryChunk, ReplyChunk, write_chunk};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Largest bundle file that is read, in bytes.
pub(crate) const MAX_BUNDLE: u64 = bundle::MAX_BYTES + HEADER_LEN as u64;
/// Largest evaluation key file that is read, in bytes.
const MAX_KEY: u64 = 64 << 20;

/// Reads a bundle.
pub(crate) fn read_bundle(source: &Source) -> Result<Bundle> {
    parse_bundle(&source.read_all(MAX_BUNDLE)?, source)
}

/// Parses a bundle's bytes, which came from `source`.
pub(crate) fn parse_bundle(bytes: &[u8], source: &Source) -> Result<Bundle> {
    Bundle::from_bytes(bytes).with_context(|| source.name())
}

/// Reads an evaluation key.
pub(crate) fn read_evaluation_key(source: &Source) -> Result<EvaluationKey> {
    EvaluationKey::from_file_bytes(&source.read_all(MAX_KEY)?).with_context(|| source.name())
}

/// Whether a circuit's queries are expanded with an evaluation key.
pub(crate) fn needs_evaluation_key(circuit: &Circuit) -> bool {
    matches!(circuit, Circuit::Levelled(circuit) if circuit.transport == Transport::Packed)
}

/// A model ready to answer the queries of one client.
pub(crate) struct Server {
    circuit: PreparedCircuit,
    specs: SpecsHash,
    key: Option<(KeyId, ExpandedEvaluationKey)>,
}

/// What a server did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answered {
    /// Rows of the query.
    pub rows: u64,
    /// Rows without an answer.
    pub failed: u64,
    /// Bytes of a reply row.
    pub reply_row: u64,
    /// Time in the engine.
    pub time: Duration,
}

impl Server {
    /// Prepares a bundle's circuit and expands the evaluation key.
    pub(crate) fn new(bundle: &Bundle, key: Option<&EvaluationKey>) -> Result<Self> {
        let circuit = PreparedCircuit::new(&bundle.circuit)?;
        let set = circuit.parameter_set();
        let key = match key {
            None if needs_evaluation_key(&bundle.circuit) => {
                bail!("this model needs the client's evaluation key; give it with --evaluation-key keys/evaluation.cfk")
            }
            Some(key) if needs_evaluation_key(&bundle.circuit) => {
                if key.parameter_set().name != set.name {
                    let found = key.parameter_set().name;
                    bail!(
                        "the evaluation key belongs to parameter set {found}, the model needs {}; ask the client for a key of that set",
                        set.name
                    );
                }
                Some((key.id(), key.expand()?))
            }
            // Linear models and uploaded GGSW ciphertexts are evaluated without a key.
            _ => None,
        };
        Ok(Self {
            circuit,
            specs: bundle.specs_hash(),
            key,
        })
    }

    /// Answers a query chunk by chunk: one outcome a row, rows in parallel. `progress` hears the number of rows so far.
    pub(crate) fn answer(&self, query: impl Read, mut reply: impl Write, mut progress: impl FnMut(u64)) -> Result<Answered> {
        let mut answered = Answered::default();
        let tag = self.circuit.parameter_set().tag();
        let query_row = match self.circuit.query_shape() {
            QueryShape::Selectors(shape) => shape.row_bytes(),
            QueryShape::Linear(shape) => shape.row_bytes(),
        };
        let row_len = self.circuit.reply_shape().row_bytes() as u32;
        answered.reply_row = u64::from(row_len);
        for chunk in Chunks::<_, QueryChunk>::new(query) {
            let (found, chunk) = chunk?;
            self.check(&chunk.head)?;
            if found != tag || chunk.head.row_len as usize != query_row {
                bail!("the query's rows do not have the form that its specs prescribe; make it anew");
            }
            let rows: Vec<&[u8]> = chunk.rows.iter().map(Vec::as_slice).collect();
            let start = Instant::now();
            let outcomes = self.circuit.evaluate_rows(self.key.as_ref().map(|(_, key)| key), &rows);
            answered.time += start.elapsed();
            let outcomes: Vec<_> = outcomes
                .into_iter()
                .map(|outcome| outcome.map_err(|error| error.to_string()))
                .collect();
            answered.rows += outcomes.len() as u64;
            answered.failed += outcomes.iter().filter(|outcome| outcome.is_err()).count() as u64;
            let head = ChunkHead { row_len, ..chunk.head };
            write_chunk(&mut reply, tag, &ReplyChunk { head, outcomes }).context("writing the reply failed")?;
            progress(answered.rows);
        }
        reply.flush().context("writing the reply failed")?;
        Ok(answered)
    }

    fn check(&self, head: &ChunkHead) -> Result<()> {
        if head.specs != self.specs {
            bail!(
                "the query was made for another model or for older specs (hash {}, this bundle has {}); write this bundle's specs with `cipherfn specs` and encrypt the rows again",
                head.specs.short(),
                self.specs.short()
            );
        }
        match &self.key {
            Some((id, _)) if *id != head.key => {
                bail!(
                    "the query is encrypted under key {}, the evaluation key belongs to key {id}; give the evaluation key of the same key ring",
                    head.key
                )
            }
            _ => Ok(()),
        }
    }
}
