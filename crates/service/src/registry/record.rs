//! What is registered under a key's id.

mod versions;

use super::registration::{Event, KeyFile, Refusal, Registration};
use super::{PartName, Place, UniqueId};
use cipherfn_protocol::api::{KeyDeclarationV1, Pieces};
use cipherfn_protocol::message::KeyId;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The parts of one evaluation key that a tenant has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Names the registration: after a deletion the same key gets another one.
    pub id: UniqueId,
    /// Id of the secret key.
    pub key: KeyId,
    /// Name of the parameter set.
    pub parameter_set: String,
    /// Where each part stands. None: what is left of a deletion that is not over.
    pub parts: BTreeMap<PartName, Registration>,
}

/// What a tenant says that it will upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Id of the secret key.
    pub key: KeyId,
    /// Name of the parameter set.
    pub parameter_set: String,
    /// Parts of the key, one or more.
    pub parts: BTreeMap<PartName, DeclaredPart>,
}

/// One part of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredPart {
    /// The file.
    pub file: KeyFile,
    /// How its upload is cut; `None` for one upload.
    pub pieces: Option<Pieces>,
}

/// Version 1 knew keys of one part.
impl From<KeyDeclarationV1> for Declaration {
    fn from(declaration: KeyDeclarationV1) -> Self {
        let part = DeclaredPart {
            file: KeyFile {
                bytes: declaration.bytes,
                sha256: declaration.sha256,
            },
            pieces: declaration.parts,
        };
        Self {
            key: declaration.key,
            parameter_set: declaration.parameter_set.name,
            parts: BTreeMap::from([(PartName::expansion(), part)]),
        }
    }
}

impl Record {
    /// What becomes of a record, or of none, by a declaration. `fresh` names what is new.
    pub fn declared(
        known: Option<&Self>,
        declaration: &Declaration,
        fresh: UniqueId,
        now: OffsetDateTime,
    ) -> Result<Self, Refusal> {
        let known = known.filter(|known| !known.parts.is_empty());
        let mut record = Self {
            id: known.map_or(fresh, |known| known.id),
            key: declaration.key,
            parameter_set: declaration.parameter_set.clone(),
            parts: BTreeMap::new(),
        };
        if let Some(known) = known {
            if known.parameter_set == record.parameter_set {
                record.parts.clone_from(&known.parts);
            } else if known.parts.values().any(|part| part.is_active(now)) {
                return Err(Refusal::Conflict);
            }
        }
        for (name, part) in &declaration.parts {
            let event = Event::Declare {
                file: part.file,
                pieces: part.pieces.clone(),
                place: Place::Upload(fresh),
            };
            record.apply(name, event, now)?;
        }
        Ok(record)
    }

    /// What is left of it when its deletion begins.
    pub(super) fn emptied(&self) -> Self {
        Self {
            parts: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Lets an event happen to a part.
    pub fn apply(
        &mut self,
        part: &PartName,
        event: Event,
        now: OffsetDateTime,
    ) -> Result<(), Refusal> {
        let next = Registration::next(self.parts.get(part), event, now)?;
        self.parts.insert(part.clone(), next);
        Ok(())
    }

    /// Whether nothing of it is usable any more, or will be.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.parts.values().all(|part| part.is_expired(now))
    }

    /// Whether it has a part at this place.
    pub(super) fn names(&self, part: &PartName, place: Place) -> bool {
        let part = self.parts.get(part);
        part.is_some_and(|part| part.place() == Some(place))
    }
}

#[cfg(test)]
mod tests;
