//! Upload grants of a stored frame: what may become of them.
//!
//! ```text
//!   offered --(address given out)--> reserved --(looked at)--> added        a piece
//!      |  expires, used up                                       |
//!      `-- revoked ----------------------------------------------'  with its rows, if asked
//! ```
//! A grant of columns is used once: all their pieces are added together, beside the rows that the frame had
//! when it was made. A piece counts as soon as an address for it is given out, whether or not it arrives: what strangers
//! can store is bounded by grants alone. Grants and pieces are in one record, so that a piece is added and
//! counted at once, or not at all; a piece is there once however often it is sent.

use super::{FrameColumns, FramePiece, StoredFrame};
use crate::Tenant;
use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::grant::{GrantId, GrantedColumns, SignedGrant};
use cipherfn_protocol::api::grants::{GrantStatus, MAX_GRANTS};
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::{Problem, ProblemType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// Most rows of a frame, by which pieces are held: what `cipherfn_frame` has room for.
const MAX_FRAME_ROWS: u64 = 1 << 26;

/// A grant, and the pieces for which addresses were given out by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldGrant {
    /// As its owner signed it.
    pub grant: SignedGrant,
    /// Its pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<GrantedPiece>,
}

/// A piece of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedPiece {
    /// The file.
    pub file: ChunkFile,
    /// Its rows, once it is one of the frame's pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// Why a grant does not allow something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantRefusal {
    /// There is no such grant or frame, it is not as its owner signed it, or it is another tenant's:
    /// which of these is nobody's business.
    Unknown,
    /// It ran out.
    Expired,
    /// It makes no sense: its field, and what is wrong with it.
    Malformed(&'static str, &'static str),
    /// The frame has as many grants as it may.
    TooMany,
    /// More pieces than it allows.
    Objects(u32),
    /// More bytes than it allows.
    Bytes(u64),
    /// A piece for which no address was given out, by its place.
    NotDeclared(usize),
    /// A piece that the frame has already, by its place.
    Known(usize),
    /// More pieces than a frame may have.
    Pieces,
    /// More rows than a frame may have.
    Rows,
    /// Rows for a frame that has columns of others, which have none for them.
    BesideColumns,
    /// Columns beside other rows than the frame has now.
    OtherRows,
    /// A column that the frame has already.
    Taken(String),
}

impl HeldGrant {
    /// Where it stands, for its owner and for whoever uses it.
    pub fn status(&self) -> GrantStatus {
        let grant = &self.grant.grant;
        GrantStatus {
            grant: grant.id,
            frame: grant.frame,
            to: grant.to,
            objects: grant.objects,
            objects_used: self.pieces.len() as u32,
            bytes: grant.bytes,
            bytes_used: self.bytes_used(),
            rows: match grant.columns {
                None => self.pieces.iter().filter_map(|piece| piece.rows).sum(),
                Some(_) => 0,
            },
            columns: match &grant.columns {
                None => Vec::new(),
                Some(columns) => names(&columns.parsed()).map(ToOwned::to_owned).collect(),
            },
            expires: grant.expires,
        }
    }

    fn bytes_used(&self) -> u64 {
        let bytes = self.pieces.iter().map(|piece| piece.file.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    fn piece(&self, file: ChunkFile) -> Option<&GrantedPiece> {
        self.pieces.iter().find(|piece| piece.file == file)
    }
}

impl StoredFrame {
    /// The frame with a grant that its owner has signed: the signature is checked before. The same again
    /// changes nothing.
    pub fn offered(&self, grant: &SignedGrant, now: OffsetDateTime) -> Result<Self, GrantRefusal> {
        let terms = &grant.grant;
        if Tenant::from(terms.owner) != self.tenant {
            return Err(GrantRefusal::Malformed("owner", "is another tenant"));
        }
        if terms.frame != self.id {
            return Err(GrantRefusal::Malformed("frame", "is another frame"));
        }
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
            let taken = GrantRefusal::Malformed("grant", "is the id of another grant");
            return (known.grant == *grant).then(|| self.clone()).ok_or(taken);
        }
        match &terms.columns {
            None if !self.columns.is_empty() => return Err(GrantRefusal::BesideColumns),
            None => {}
            Some(columns) => self.takes(columns)?,
        }
        let mut frame = self.clone();
        // Those that ran out make room; of those that added rows it is still to be told which these are.
        let is_used = |held: &HeldGrant| held.pieces.iter().any(|piece| piece.rows.is_some());
        frame
            .grants
            .retain(|held| held.grant.grant.expires > now || is_used(held));
        if frame.grants.len() >= MAX_GRANTS {
            return Err(GrantRefusal::TooMany);
        }
        frame.grants.push(HeldGrant {
            grant: grant.clone(),
            pieces: Vec::new(),
        });
        Ok(frame)
    }

    /// The grant that somebody presents, if it is one of this frame's that this caller may use now.
    pub fn granted(
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
        let held = held.filter(is_for).ok_or(GrantRefusal::Unknown)?;
        if held.grant.grant.expires <= now || self.is_expired(now) {
            return Err(GrantRefusal::Expired);
        }
        Ok(held)
    }

    /// The frame after addresses for pieces were given out by a grant. A piece that has one already
    /// counts no second time.
    pub fn reserved(
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

    /// The frame with pieces that were uploaded by a grant and looked at, behind those that it has. Those
    /// that were added before stay where they are.
    pub fn added(
        &self,
        presented: &SignedGrant,
        by: &Tenant,
        pieces: &[FramePiece],
        now: OffsetDateTime,
    ) -> Result<Self, GrantRefusal> {
        let mut held = self.granted(presented, by, now)?.clone();
        let columns = presented.grant.columns.as_ref();
        let known = self.columns.iter();
        let mut known = known.filter(|own| own.grant == presented.grant.id);
        match (columns, known.next()) {
            (Some(_), Some(known)) if known.pieces == pieces => return Ok(self.clone()),
            (Some(_), Some(_)) => return Err(GrantRefusal::Known(0)),
            (Some(columns), None) => self.takes(columns)?,
            (None, _) if !self.columns.is_empty() => return Err(GrantRefusal::BesideColumns),
            (None, _) => {}
        }
        let mut frame = self.clone();
        for (place, piece) in pieces.iter().enumerate() {
            let own = held.pieces.iter_mut().find(|own| own.file == piece.file);
            let own = own.ok_or(GrantRefusal::NotDeclared(place))?;
            if own.rows.is_some() {
                continue;
            }
            if frame.has(piece.file) {
                return Err(GrantRefusal::Known(place));
            }
            own.rows = Some(piece.rows);
            if columns.is_none() {
                frame.pieces.push(*piece);
            }
        }
        if let Some(columns) = columns {
            if pieces.iter().map(|piece| piece.rows).sum::<u64>() != self.rows() {
                return Err(GrantRefusal::OtherRows);
            }
            frame.columns.push(FrameColumns {
                grant: presented.grant.id,
                schema: columns.parsed(),
                pieces: pieces.to_vec(),
            });
        }
        if frame.all_pieces().count() > MAX_PIECES {
            return Err(GrantRefusal::Pieces);
        }
        if frame.rows() > MAX_FRAME_ROWS {
            return Err(GrantRefusal::Rows);
        }
        Ok(frame.with(&held).counted())
    }

    /// That columns go beside the rows of this frame as they are now.
    fn takes(&self, columns: &GrantedColumns) -> Result<(), GrantRefusal> {
        let parts = self.pieces.iter().map(|piece| &piece.rows);
        if !columns.parts.iter().eq(parts) {
            return Err(GrantRefusal::OtherRows);
        }
        let (whole, added) = (self.whole_schema(), columns.parsed());
        let taken: BTreeSet<&str> = names(&whole).collect();
        match names(&added).find(|name| taken.contains(name)) {
            Some(name) => Err(GrantRefusal::Taken(name.to_owned())),
            None => Ok(()),
        }
    }

    /// The frame without a grant; without what was added by it, if asked.
    pub fn revoked(&self, id: GrantId, drop_rows: bool) -> Result<Self, GrantRefusal> {
        let held = self.held(id).ok_or(GrantRefusal::Unknown)?;
        let mut frame = self.clone();
        frame.grants.retain(|held| held.grant.grant.id != id);
        if drop_rows {
            let is_added = |file| held.piece(file).is_some_and(|piece| piece.rows.is_some());
            frame.pieces.retain(|piece| !is_added(piece.file));
            frame.columns.retain(|columns| columns.grant != id);
        }
        Ok(frame.counted())
    }

    /// The grant of this id.
    pub fn held(&self, id: GrantId) -> Option<&HeldGrant> {
        self.grants.iter().find(|held| held.grant.grant.id == id)
    }

    /// Whether a file is one of its pieces.
    pub fn has(&self, file: ChunkFile) -> bool {
        self.all_pieces()
            .any(|piece| piece.file.sha256 == file.sha256)
    }

    fn with(&self, held: &HeldGrant) -> Self {
        let mut frame = self.clone();
        let id = held.grant.grant.id;
        for own in &mut frame.grants {
            if own.grant.grant.id == id {
                own.clone_from(held);
            }
        }
        frame
    }

    /// With the number of rows in its schema that its pieces have.
    fn counted(mut self) -> Self {
        self.schema["rows"] = self.rows().into();
        self
    }
}

/// Names of the columns of a schema.
fn names(schema: &Value) -> impl Iterator<Item = &str> {
    let columns = schema.get("column").and_then(Value::as_array);
    let names = columns.into_iter().flatten().map(|own| own.get("name"));
    names.filter_map(|name| name.and_then(Value::as_str))
}

impl From<GrantRefusal> for Problem {
    fn from(refusal: GrantRefusal) -> Self {
        use ProblemType::{
            FrameQuota, GrantExpired, GrantUsedUp, MalformedFrame, MalformedRequest, UnknownGrant,
            UploadMissing,
        };
        let (kind, detail) = match refusal {
            GrantRefusal::Unknown => (
                UnknownGrant,
                "there is no such grant for you: it was revoked, its frame was deleted, it is for another tenant, or it was changed; ask the frame's owner for one".to_owned(),
            ),
            GrantRefusal::Expired => (
                GrantExpired,
                "the grant has run out; ask the frame's owner for another one".to_owned(),
            ),
            GrantRefusal::Malformed(field, problem) => {
                (MalformedRequest, format!("{field}: {problem}; make the grant anew"))
            }
            GrantRefusal::TooMany => (
                FrameQuota,
                format!("the frame has {MAX_GRANTS} grants, as many as it may; revoke one"),
            ),
            GrantRefusal::Objects(most) => (
                GrantUsedUp,
                format!("the grant allows {most} pieces, and these are more together; ask the frame's owner for another one"),
            ),
            GrantRefusal::Bytes(most) => (
                GrantUsedUp,
                format!("the grant allows {most} bytes, and the pieces have more together; ask the frame's owner for another one"),
            ),
            GrantRefusal::NotDeclared(place) => (
                UploadMissing,
                format!("piece {place} has no address by this grant; declare it (POST /v2/grants/uploads) and upload it"),
            ),
            GrantRefusal::Known(place) => (
                MalformedRequest,
                format!("piece {place} is one of the frame's already; rows are added once"),
            ),
            GrantRefusal::Pieces => (
                MalformedFrame,
                format!("the frame would have more than {MAX_PIECES} pieces; its owner has to upload it anew in larger ones"),
            ),
            GrantRefusal::BesideColumns => (
                MalformedRequest,
                "the frame has columns that others added, which have nothing for more rows; revoke their grant with what came by it (drop_rows)".to_owned(),
            ),
            GrantRefusal::OtherRows => (
                MalformedFrame,
                "the columns are for other rows than the frame has now: some were added or dropped since the grant was made, or not all rows were sent; send them all, or ask the frame's owner for another grant".to_owned(),
            ),
            GrantRefusal::Taken(name) => (
                MalformedRequest,
                format!("columns: {name:?} is a column of the frame already; give the new one another name"),
            ),
            GrantRefusal::Rows => (
                MalformedFrame,
                format!("the frame would have more than {MAX_FRAME_ROWS} rows"),
            ),
        };
        Self::new(kind, detail)
    }
}

#[cfg(test)]
mod tests;
