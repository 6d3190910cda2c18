//! A model ready to answer queries: what every server does between a query chunk and its reply
//! chunk.

use cipherfn_circuit::Bundle;
use cipherfn_engine::{EngineError, PreparedCircuit};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::message::{ChunkHead, KeyId, QueryChunk};
use cipherfn_scheme::parameters::Depth;
use cipherfn_scheme::query::GroupForm;
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
    /// Rows of another parameter set, length or grouping than the specs prescribe.
    #[error("the query's rows do not have the form that its specs prescribe; make it anew")]
    Form,
    /// Results that cannot be packed.
    #[error(
        "the query asks for packed results, which keys of parameter set {set} cannot make; make it anew"
    )]
    CannotPack {
        /// Set of the model.
        set: &'static str,
    },
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

    /// The key in the Fourier domain.
    pub const fn expanded(&self) -> &ExpandedEvaluationKey {
        &self.expanded
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

    /// Whether queries are expanded with an evaluation key. Whatever the model, one whose results
    /// are to be packed needs it too: [`Self::needs_key_for`].
    pub const fn needs_key(&self) -> bool {
        self.needs_key
    }

    /// Whether a query with this head is answered with an evaluation key.
    pub const fn needs_key_for(&self, head: &ChunkHead) -> bool {
        self.needs_key || head.packed
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

    /// Checks that a chunk is for this model and this key, and its rows as long as their number
    /// and depth say. Where no key is needed none is looked at.
    pub fn check(
        &self,
        tag: ParameterSetTag,
        chunk: &QueryChunk,
        key: Option<&Key>,
    ) -> Result<(), QueryError> {
        let head = &chunk.head;
        if !self.knows(head.specs) {
            return Err(QueryError::OtherSpecs {
                found: head.specs,
                expected: self.specs,
            });
        }
        let bytes = |rows| self.circuit.group_bytes(self.form(head, rows)).ok();
        let fits = |rows, len| bytes(rows) == Some(len);
        let full = head.group.map_or(1, |group| group.rows as usize);
        if tag != self.tag()
            || !fits(full, head.row_len as usize)
            || !chunk
                .groups
                .iter()
                .all(|group| fits(group.rows, group.bytes.len()))
        {
            return Err(QueryError::Form);
        }
        if head.packed && self.circuit.packed().is_none() {
            return Err(QueryError::CannotPack {
                set: self.circuit.parameter_set().name,
            });
        }
        if self.needs_key_for(head) {
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
        if found != needed {
            return Err(QueryError::KeySet { found, needed });
        }
        Ok(())
    }

    /// How `rows` rows of a query lie together.
    pub(crate) fn form(&self, head: &ChunkHead, rows: usize) -> GroupForm {
        let single = GroupForm::single(self.circuit.parameter_set());
        let depth = head
            .group
            .map_or(single.depth, |group| Depth::new(group.depth.into()));
        GroupForm { depth, rows }
    }
}
