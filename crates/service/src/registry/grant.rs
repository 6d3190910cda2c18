//! Upload grants of a stored frame or a training: what may become of them.
//!
//! ```text
//!   offered --(address given out)--> reserved --(looked at)--> added        a piece
//!      |  expires, used up                                       |
//!      `-- revoked ----------------------------------------------'  with its rows, if asked: then, or later
//! ```
//! A grant of columns is used once: all their pieces are added together, beside the rows that the frame had
//! when it was made. A piece counts as soon as an address for it is given out, whether or not it arrives: what
//! strangers can store is bounded by grants alone. Grants and pieces are in one record, so that a piece is added
//! and counted at once, or not at all; a piece is there once however often it is sent.

mod refusal;

use super::Registry;
use super::document::{self, Document};
use super::store::ATTEMPTS;
use crate::Tenant;
use crate::bucket::{Bucket, StorageError};
use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::grant::{Grant, GrantId, GrantedColumns, SignedGrant};
use cipherfn_protocol::api::grants::{GrantStatus, MAX_GRANTS};
use cipherfn_protocol::api::job::ChunkFile;
pub use refusal::GrantRefusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// A grant, and the pieces for which addresses were given out by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldGrant {
    /// As its owner signed it.
    pub grant: SignedGrant,
    /// Its pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<GrantedPiece>,
    /// Whether it was revoked: nothing comes by it any more, and it says which pieces did, as long as they are
    /// there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

/// A piece of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedPiece {
    /// The file.
    pub file: ChunkFile,
    /// Its rows, once it was added; where several chunks have an owner's rows of a training, with the first of
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl HeldGrant {
    /// Where it stands, for its owner and for whoever uses it.
    pub fn status(&self) -> GrantStatus {
        let grant = &self.grant.grant;
        GrantStatus {
            grant: grant.id,
            frame: grant.target.frame(),
            training: grant.target.training().map(|terms| terms.training),
            to: grant.to,
            objects: grant.objects,
            objects_used: self.pieces.len() as u32,
            bytes: grant.bytes,
            bytes_used: self.bytes_used(),
            rows: self.rows(),
            most_rows: grant.target.training().map(|terms| terms.rows),
            contributed: None,
            columns: match grant.target.columns() {
                None => Vec::new(),
                Some(columns) => names(&columns.parsed()).map(ToOwned::to_owned).collect(),
            },
            expires: grant.expires,
            revoked: self.revoked,
        }
    }

    /// Rows that were added by it; columns add none.
    pub fn rows(&self) -> u64 {
        if self.grant.grant.target.columns().is_some() {
            return 0;
        }
        let rows = self.pieces.iter().filter_map(|piece| piece.rows);
        rows.fold(0, u64::saturating_add)
    }

    fn bytes_used(&self) -> u64 {
        let bytes = self.pieces.iter().map(|piece| piece.file.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    pub(super) fn piece(&self, file: ChunkFile) -> Option<&GrantedPiece> {
        self.pieces.iter().find(|piece| piece.file == file)
    }
}

/// Names of the columns of a schema.
pub(super) fn names(schema: &Value) -> impl Iterator<Item = &str> {
    let columns = schema.get("column").and_then(Value::as_array);
    let names = columns.into_iter().flatten().map(|own| own.get("name"));
    names.filter_map(|name| name.and_then(Value::as_str))
}

/// What others add rows or columns to by grants.
pub trait Granting: Clone {
    /// What more grants than there may be are refused with, by their number.
    const TOO_MANY: fn(usize) -> GrantRefusal;

    /// How many grants there may be.
    fn most_grants(&self) -> usize {
        MAX_GRANTS
    }

    /// Whose it is.
    fn tenant(&self) -> &Tenant;

    /// When it runs out.
    fn until(&self) -> OffsetDateTime;

    /// Its grants.
    fn grants(&self) -> &[HeldGrant];

    /// Its grants, to change.
    fn grants_mut(&mut self) -> &mut Vec<HeldGrant>;

    /// That a grant is one of this.
    fn check(&self, grant: &Grant) -> Result<(), GrantRefusal>;

    /// That it has room, as it is now, for such columns or, without them, for rows.
    fn takes(&self, columns: Option<&GrantedColumns>) -> Result<(), GrantRefusal>;

    /// That new pieces may be uploaded for it now by a grant, whatever they are.
    fn takes_pieces(&self, _grant: GrantId, _by: &Tenant) -> Result<(), GrantRefusal> {
        Ok(())
    }

    /// Where one of its grants stands for whoever presents it.
    fn stand(&self, held: &HeldGrant, _by: &Tenant) -> GrantStatus {
        held.status()
    }

    /// Whether a file is one of its pieces.
    fn has(&self, file: ChunkFile) -> bool;

    /// It with a grant that its owner has signed: the signature is checked before. The same again
    /// changes nothing.
    fn offered(&self, grant: &SignedGrant, now: OffsetDateTime) -> Result<Self, GrantRefusal> {
        let terms = &grant.grant;
        if Tenant::from(terms.owner) != *self.tenant() {
            return Err(GrantRefusal::Malformed("owner", "is another tenant"));
        }
        self.check(terms)?;
        if !(1..=MAX_PIECES as u32).contains(&terms.objects) {
            return Err(GrantRefusal::Malformed("objects", "is not 1 to 100"));
        }
        if terms.bytes == 0 {
            return Err(GrantRefusal::Malformed("bytes", "is 0"));
        }
        if terms.expires <= now {
            return Err(GrantRefusal::Expired);
        }
        if let Some(known) = self.held(terms.id) {
            if known.revoked {
                return Err(GrantRefusal::Malformed("grant", "was revoked"));
            }
            let taken = GrantRefusal::Malformed("grant", "is the id of another grant");
            return (known.grant == *grant).then(|| self.clone()).ok_or(taken);
        }
        self.takes(terms.target.columns())?;
        let (mut changed, most) = (self.clone(), self.most_grants());
        // Those that ran out make room; of those that added rows it is still to be told which these are.
        let is_used = |held: &HeldGrant| held.pieces.iter().any(|piece| piece.rows.is_some());
        let grants = changed.grants_mut();
        grants.retain(|held| held.grant.grant.expires > now || is_used(held));
        // What was revoked is as many as there are pieces at most.
        if grants.iter().filter(|held| !held.revoked).count() >= most {
            return Err(Self::TOO_MANY(most));
        }
        grants.push(HeldGrant {
            grant: grant.clone(),
            pieces: Vec::new(),
            revoked: false,
        });
        Ok(changed)
    }

    /// The grant that somebody presents, if it is one of these that this caller may use now.
    fn granted(
        &self,
        presented: &SignedGrant,
        by: &Tenant,
        now: OffsetDateTime,
    ) -> Result<&HeldGrant, GrantRefusal> {
        let held = self.held(presented.grant.id);
        // Every byte of it, the signature too: who knows an id alone has no grant.
        let held = held.filter(|held| held.grant == *presented);
        let is_for = |held: &&HeldGrant| {
            let to = held.grant.grant.to;
            to.is_none_or(|to| Tenant::from(to) == *by)
        };
        let held = held.filter(is_for).filter(|held| !held.revoked);
        let held = held.ok_or(GrantRefusal::Unknown)?;
        if held.grant.grant.expires <= now || self.until() <= now {
            return Err(GrantRefusal::Expired);
        }
        Ok(held)
    }

    /// It after addresses for pieces were given out by a grant. A piece that has one already
    /// counts no second time.
    fn reserved(
        &self,
        presented: &SignedGrant,
        by: &Tenant,
        files: &[ChunkFile],
        now: OffsetDateTime,
    ) -> Result<Self, GrantRefusal> {
        let mut held = self.granted(presented, by, now)?.clone();
        for (place, file) in files.iter().enumerate() {
            if held.piece(*file).is_some() {
                continue;
            }
            self.takes_pieces(held.grant.grant.id, by)?;
            // A piece is found by its checksum: nobody's rows are counted, or later removed, as others'.
            if self.has(*file) {
                return Err(GrantRefusal::Known(place));
            }
            held.pieces.push(GrantedPiece {
                file: *file,
                rows: None,
            });
        }
        let terms = &held.grant.grant;
        if held.pieces.len() > terms.objects as usize {
            return Err(GrantRefusal::Objects(terms.objects));
        }
        if held.bytes_used() > terms.bytes {
            return Err(GrantRefusal::Bytes(terms.bytes));
        }
        Ok(self.with(&held))
    }

    /// It after a grant was revoked, and the grant as it was. As long as pieces are there that came by it, which
    /// may be dropped later, it stays and says which.
    fn without(&self, id: GrantId, drop_pieces: bool) -> Result<(Self, HeldGrant), GrantRefusal> {
        let held = self.held(id).ok_or(GrantRefusal::Unknown)?.clone();
        let mut left = HeldGrant {
            revoked: true,
            ..held.clone()
        };
        left.pieces
            .retain(|piece| piece.rows.is_some() && !drop_pieces);
        let mut changed = self.with(&left);
        if left.pieces.is_empty() {
            let grants = changed.grants_mut();
            grants.retain(|own| own.grant.grant.id != id);
        }
        Ok((changed, held))
    }

    /// The grant of this id.
    fn held(&self, id: GrantId) -> Option<&HeldGrant> {
        let mut grants = self.grants().iter();
        grants.find(|held| held.grant.grant.id == id)
    }

    /// It with another state of one of its grants.
    #[must_use]
    fn with(&self, held: &HeldGrant) -> Self {
        let mut changed = self.clone();
        let id = held.grant.grant.id;
        for own in changed.grants_mut() {
            if own.grant.grant.id == id {
                own.clone_from(held);
            }
        }
        changed
    }
}

impl<B: Bucket> Registry<B> {
    /// Changes what others add to, by what is there now; `None` where there is nothing.
    pub(super) async fn change_granting<T: Granting + Document + PartialEq>(
        &self,
        path: String,
        change: impl Fn(&T) -> Result<T, GrantRefusal>,
    ) -> Result<Option<Result<T, GrantRefusal>>, StorageError> {
        for _ in 0..ATTEMPTS {
            let stored = document::read::<T>(&self.bucket, &path).await?;
            let Some(known) = stored.value() else {
                return Ok(stored.sound()?.map(Ok));
            };
            let changed = match change(known) {
                Ok(changed) => changed,
                Err(refusal) => return Ok(Some(Err(refusal))),
            };
            if changed == *known {
                return Ok(Some(Ok(changed)));
            }
            // What was deleted meanwhile does not come back.
            let written =
                document::write(&self.bucket, &path, &changed, stored.unchanged()).await?;
            if written.is_some() {
                return Ok(Some(Ok(changed)));
            }
        }
        Err(StorageError::Contended {
            key: path,
            attempts: ATTEMPTS,
        })
    }
}

#[cfg(test)]
mod tests;
