//! A model ready to answer queries: what every server does between a query chunk and its reply
//! chunk.

use cipherfn_circuit::Bundle;
use cipherfn_engine::{EngineError, PreparedCircuit};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::message::{ChunkHead, KeyId, QueryChunk, ReplyChunk};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SchemeError};

/// A prepared bundle.
#[derive(Debug)]
pub struct Model {
    circuit: PreparedCircuit,
    specs: SpecsHash,
    /// Of the document for clients of version 1.
    specs_v1: Option<SpecsHash>,
    needs_key: bool,
}

/// A client's evaluation key, expanded.
#[derive(Debug)]
pub struct Key {
    id: KeyId,
    expanded: ExpandedEvaluationKey,
}

/// Why a query is not for this model and key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Made for another model or another version of it.
    #[error(
        "the query was made for another model or for older specs (hash {}, this model has {}); fetch this model's specs and encrypt the rows again",
        .found.short(), .expected.short()
    )]
    OtherSpecs {
        /// Specs of the query.
        found: SpecsHash,
        /// Specs of the model.
        expected: SpecsHash,
    },
    /// Rows of another parameter set or length than the specs prescribe.
    #[error("the query's rows do not have the form that its specs prescribe; make it anew")]
    Form,
    /// A model that expands packed selectors was given no key.
    #[error("this model needs the client's evaluation key")]
    NoKey,
    /// The key is of another set.
    #[error(
        "the evaluation key belongs to parameter set {found}, the model needs {needed}; make a key with this model's specs"
    )]
    KeySet {
        /// Set of the key.
        found: &'static str,
        /// Set of the model.
        needed: &'static str,
    },
    /// The query is under another key.
    #[error(
        "the query is encrypted under key {found}, the evaluation key belongs to key {given}; give the evaluation key of the same key ring"
    )]
    OtherKey {
        /// Key of the query.
        found: KeyId,
        /// Key at hand.
        given: KeyId,
    },
}

impl Key {
    /// Brings a key into the Fourier domain.
    pub fn new(key: &EvaluationKey) -> Result<Self, SchemeError> {
        Ok(Self {
            id: key.id(),
            expanded: key.expand()?,
        })
    }

    /// Id of the secret key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Bytes of memory that it takes.
    pub fn memory_len(&self) -> usize {
        self.expanded.memory_len()
    }
}

impl Model {
    /// Prepares a bundle's circuit.
    pub fn new(bundle: &Bundle) -> Result<Self, EngineError> {
        Ok(Self {
            circuit: PreparedCircuit::new(&bundle.circuit)?,
            specs: bundle.specs_hash(),
            specs_v1: bundle.specs_v1.as_deref().map(Hash::of),
            needs_key: bundle.circuit.needs_evaluation_key(),
        })
    }

    /// Hash of the client specs.
    pub const fn specs(&self) -> SpecsHash {
        self.specs
    }

    /// Whether rows that were made for specs with this hash are for this model: specs of either
    /// format are.
    pub fn knows(&self, specs: SpecsHash) -> bool {
        self.specs == specs || self.specs_v1 == Some(specs)
    }

    /// Whether queries are expanded with an evaluation key.
    pub const fn needs_key(&self) -> bool {
        self.needs_key
    }

    /// The circuit.
    pub const fn circuit(&self) -> &PreparedCircuit {
        &self.circuit
    }

    /// Bytes of a row's answer.
    pub fn reply_row_bytes(&self) -> usize {
        self.circuit.reply_row_bytes()
    }

    /// Parameter set that replies carry.
    pub fn tag(&self) -> ParameterSetTag {
        self.circuit.parameter_set().tag()
    }

    /// Checks that a chunk is for this model and this key. Models that need no key ignore it.
    pub fn check(
        &self,
        tag: ParameterSetTag,
        head: &ChunkHead,
        key: Option<&Key>,
    ) -> Result<(), QueryError> {
        if !self.knows(head.specs) {
            return Err(QueryError::OtherSpecs {
                found: head.specs,
                expected: self.specs,
            });
        }
        if tag != self.tag() || head.row_len as usize != self.circuit.query_row_bytes() {
            return Err(QueryError::Form);
        }
        if self.needs_key {
            let key = key.ok_or(QueryError::NoKey)?;
            self.check_key(key)?;
            if key.id != head.key {
                return Err(QueryError::OtherKey {
                    found: head.key,
                    given: key.id,
                });
            }
        }
        Ok(())
    }

    /// Checks that a key is of the model's parameter set.
    pub fn check_key(&self, key: &Key) -> Result<(), QueryError> {
        let (found, needed) = (
            key.expanded.parameter_set().name,
            self.circuit.parameter_set().name,
        );
        if self.needs_key && found != needed {
            return Err(QueryError::KeySet { found, needed });
        }
        Ok(())
    }

    /// Answers rows, in parallel on the current rayon pool: one outcome a row, in their order.
    pub fn answer_rows(
        &self,
        key: Option<&Key>,
        rows: &[Vec<u8>],
    ) -> Vec<Result<Vec<u8>, EngineError>> {
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let key = key.filter(|_| self.needs_key).map(|key| &key.expanded);
        self.circuit.evaluate_rows(key, &rows)
    }

    /// Answers a chunk: [`Self::answer_rows`] as a reply to it.
    pub fn answer(&self, key: Option<&Key>, chunk: &QueryChunk) -> ReplyChunk {
        self.reply(&chunk.head, self.answer_rows(key, &chunk.rows))
    }

    /// Outcomes as the reply to the chunk with this head.
    pub fn reply(
        &self,
        head: &ChunkHead,
        outcomes: Vec<Result<Vec<u8>, EngineError>>,
    ) -> ReplyChunk {
        ReplyChunk {
            head: ChunkHead {
                row_len: self.reply_row_bytes() as u32,
                ..*head
            },
            outcomes: outcomes
                .into_iter()
                .map(|outcome| outcome.map_err(|error| error.to_string()))
                .collect(),
        }
    }
}
