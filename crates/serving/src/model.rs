//! A model ready to answer queries: what every server does between a query chunk and its reply
//! chunk.

use cipherfn_circuit::Bundle;
use cipherfn_engine::{EngineError, PreparedCircuit, server_memory};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::message::{ChunkHead, KeyId, QueryChunk};
use cipherfn_protocol::specs::{EXPANSION, SpecsDocument, SpecsError};
use cipherfn_scheme::parameters::Depth;
use cipherfn_scheme::query::{Encryption, GroupForm, InputShape};
use cipherfn_scheme::reply::PackedRows;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SchemeError};
use std::collections::BTreeSet;

/// A prepared bundle.
#[derive(Debug)]
pub struct Model {
    circuit: PreparedCircuit,
    specs: SpecsHash,
    /// Of the document for clients of version 1.
    specs_v1: Option<SpecsHash>,
    key_parts: BTreeSet<String>,
    /// Where only a part of the bundle's circuit is prepared: which, and how it was cut.
    part: Option<(Part, Hash)>,
}

/// One of several parts of a model, whose results add up to the whole's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// From 0.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// A client's evaluation key, expanded: its expansion, and what further parts were added.
#[derive(Debug)]
pub struct Key {
    expanded: ExpandedEvaluationKey,
    parts: BTreeSet<&'static str>,
}

/// Why a bundle cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Its circuit.
    #[error(transparent)]
    Circuit(#[from] EngineError),
    /// Its client specs, which say what parts of a key the model needs.
    #[error(transparent)]
    Specs(#[from] SpecsError),
    /// Specs of another circuit than the one beside them.
    #[error(
        "the circuit (hash {}) is not the one that the client specs are of (hash {}); compile the model again",
        .found.short(), .expected.short()
    )]
    OtherCircuit {
        /// Hash of the circuit.
        found: Hash,
        /// What the specs say.
        expected: Hash,
    },
}

/// The client specs of a bundle, whose circuit has to be the one that they are of: clients trust them
/// for what answers mean.
pub fn specs_of(bundle: &Bundle) -> Result<SpecsDocument, ModelError> {
    let document = SpecsDocument::from_json_bytes(&bundle.specs)?;
    let found = bundle.circuit.hash().map_err(EngineError::from)?;
    let expected = document.specs().circuit;
    if found == expected {
        Ok(document)
    } else {
        Err(ModelError::OtherCircuit { found, expected })
    }
}

/// A row that takes more memory than the server has for rows, however its selectors are expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a row of this model takes {} MB of memory and this server has {} MB for rows: give it at least {} MB, or compile the model smaller",
    megabytes(*needed), megabytes(*available), megabytes(server_memory(*needed))
)]
pub struct TooLittleMemory {
    /// Bytes of a row.
    pub needed: u64,
    /// Bytes for the rows under evaluation.
    pub available: u64,
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
    /// Rows under a public key for a model whose rows its holder alone can encrypt.
    #[error("the query's rows are encrypted under a public key, and {reason}")]
    NotPublic {
        /// Which input they do not have, and why.
        reason: String,
    },
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
    /// A part of the evaluation key is not there.
    #[error("this model needs the part {part} of the client's evaluation key; give it as well")]
    MissingPart {
        /// Name of the part.
        part: String,
    },
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
    /// Brings an expansion into the Fourier domain.
    pub fn new(expansion: &EvaluationKey) -> Result<Self, SchemeError> {
        Ok(Self {
            expanded: expansion.expand()?,
            parts: BTreeSet::from([expansion.part().name]),
        })
    }

    /// The same with all parts of a key, in any order; `None` where there are none.
    pub fn of_parts(parts: &[EvaluationKey]) -> Result<Option<Self>, SchemeError> {
        let is_expansion = |part: &EvaluationKey| part.part().name == EXPANSION;
        let Some(first) = parts
            .iter()
            .find(|part| is_expansion(part))
            .or(parts.first())
        else {
            return Ok(None);
        };
        let mut key = Self::new(first)?;
        for part in parts.iter().filter(|part| !is_expansion(part)) {
            key.add(part)?;
        }
        Ok(Some(key))
    }

    /// Adds a further part of the same key.
    pub fn add(&mut self, part: &EvaluationKey) -> Result<(), SchemeError> {
        self.expanded.add(part)?;
        self.parts.insert(part.part().name);
        Ok(())
    }

    /// Whether it has the part of this name.
    pub fn has(&self, part: &str) -> bool {
        self.parts.contains(part)
    }

    /// Id of the secret key.
    pub const fn id(&self) -> KeyId {
        self.expanded.id()
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
    /// Prepares a bundle's circuit, with as much memory as [`PreparedCircuit::new`] gives it.
    pub fn new(bundle: &Bundle) -> Result<Self, ModelError> {
        let specs = specs_of(bundle)?;
        Ok(Self::of(
            bundle,
            &specs,
            PreparedCircuit::new(&bundle.circuit)?,
        ))
    }

    /// Prepares a bundle's circuit so that rows under evaluation take at most `memory` bytes, if
    /// they can ([`PreparedCircuit::with_memory`]).
    pub fn with_memory(bundle: &Bundle, memory: u64) -> Result<Self, ModelError> {
        let specs = specs_of(bundle)?;
        Ok(Self::of(
            bundle,
            &specs,
            PreparedCircuit::with_memory(&bundle.circuit, memory)?,
        ))
    }

    /// Prepares a part of a bundle's circuit, as [`Self::with_memory`] does. It takes the whole's
    /// queries and makes sums of them, not replies. `file` is the hash of the bundle
    /// as it is stored: parts of bundles that differ do not add up, even if their specs are the same.
    pub fn of_part(
        mut bundle: Bundle,
        file: Hash,
        part: Part,
        memory: u64,
    ) -> Result<Self, ModelError> {
        let specs = specs_of(&bundle)?;
        let cut = cipherfn_engine::cut(&bundle.circuit, part.of)?;
        bundle.circuit = cut.part(&bundle.circuit, part.number);
        let name = [file.as_bytes().as_slice(), &cut.to_bytes()].concat();
        let circuit = PreparedCircuit::with_memory(&bundle.circuit, memory)?;
        Ok(Self {
            part: Some((part, Hash::of(&name))),
            ..Self::of(&bundle, &specs, circuit)
        })
    }

    fn of(bundle: &Bundle, document: &SpecsDocument, circuit: PreparedCircuit) -> Self {
        let mut key_parts: BTreeSet<String> = document.specs().key_parts.iter().cloned().collect();
        if bundle.circuit.needs_evaluation_key() {
            key_parts.insert(EXPANSION.to_owned());
        }
        key_parts.extend(bundle.circuit.bootstrap.clone());
        Self {
            circuit,
            specs: document.hash(),
            specs_v1: bundle.specs_v1.as_deref().map(Hash::of),
            key_parts,
            part: None,
        }
    }

    /// Which part it is, and the name of the cut; `None` for all of a model.
    pub(crate) const fn part(&self) -> Option<(Part, Hash)> {
        self.part
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

    /// Names of the parts of a client's evaluation key that queries are answered with: those that
    /// the specs tell clients to register.
    pub const fn key_parts(&self) -> &BTreeSet<String> {
        &self.key_parts
    }

    /// Whether queries are answered with an evaluation key.
    pub fn needs_key(&self) -> bool {
        !self.key_parts.is_empty()
    }

    /// How the results of many rows are packed, where parameter set and specs say that they can
    /// be.
    pub fn packed(&self) -> Option<PackedRows<'_>> {
        let can = self.key_parts.contains(EXPANSION);
        self.circuit.packed().filter(|_| can)
    }

    /// The circuit.
    pub const fn circuit(&self) -> &PreparedCircuit {
        &self.circuit
    }

    /// Checks that a row keeps to the memory that the model was prepared for.
    pub fn check_memory(&self) -> Result<(), TooLittleMemory> {
        let needed = self.circuit.statistics().bytes;
        let available = self.circuit.memory_limit();
        if needed > available {
            Err(TooLittleMemory { needed, available })
        } else {
            Ok(())
        }
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
        if head.public {
            let mut inputs = self.circuit.inputs().iter();
            let checked = inputs.try_for_each(InputShape::check_public);
            checked.map_err(|error| QueryError::NotPublic {
                reason: error.to_string(),
            })?;
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
        if head.packed && self.packed().is_none() {
            return Err(QueryError::CannotPack {
                set: self.circuit.parameter_set().name,
            });
        }
        if self.needs_key() {
            let key = key.ok_or(QueryError::NoKey)?;
            self.check_key(key)?;
            if key.id() != head.key {
                return Err(QueryError::OtherKey {
                    found: head.key,
                    given: key.id(),
                });
            }
        }
        Ok(())
    }

    /// Checks that a key is of the model's parameter set and has the parts that the model needs.
    pub fn check_key(&self, key: &Key) -> Result<(), QueryError> {
        let (found, needed) = (
            key.expanded.parameter_set().name,
            self.circuit.parameter_set().name,
        );
        if self.needs_key() && found != needed {
            return Err(QueryError::KeySet { found, needed });
        }
        match self.key_parts.iter().find(|part| !key.has(part)) {
            Some(part) => Err(QueryError::MissingPart { part: part.clone() }),
            None => Ok(()),
        }
    }

    /// How `rows` rows of a query lie together.
    pub(crate) fn form(&self, head: &ChunkHead, rows: usize) -> GroupForm {
        let single = GroupForm::single(self.circuit.parameter_set());
        let depth = head
            .group
            .map_or(single.depth, |group| Depth::new(group.depth.into()));
        let encryption = if head.public {
            Encryption::Public
        } else {
            Encryption::Secret
        };
        GroupForm {
            depth,
            rows,
            encryption,
        }
    }
}

const fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
