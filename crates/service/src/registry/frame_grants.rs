//! Rows and columns that others add to a stored frame.

use super::grant::names;
use super::{FrameColumns, FramePiece, GrantRefusal, Granting, HeldGrant, StoredFrame};
use crate::Tenant;
use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::grant::{Grant, GrantId, GrantedColumns, SignedGrant};
use cipherfn_protocol::api::job::ChunkFile;
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// Most rows of a frame, by which pieces are held: what `cipherfn_frame` has room for.
const MAX_FRAME_ROWS: u64 = 1 << 26;
/// Most columns of a frame, with those of others: a schema of more cannot be read.
pub const MAX_FRAME_COLUMNS: usize = 1 << 10;

impl Granting for StoredFrame {
    const TOO_MANY: fn(usize) -> GrantRefusal = GrantRefusal::TooMany;

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn until(&self) -> OffsetDateTime {
        self.until
    }

    fn grants(&self) -> &[HeldGrant] {
        &self.grants
    }

    fn grants_mut(&mut self) -> &mut Vec<HeldGrant> {
        &mut self.grants
    }

    fn check(&self, grant: &Grant) -> Result<(), GrantRefusal> {
        if grant.target.frame() == Some(self.id) {
            return Ok(());
        }
        Err(GrantRefusal::Malformed("frame", "is another frame"))
    }

    fn takes(&self, columns: Option<&GrantedColumns>) -> Result<(), GrantRefusal> {
        let Some(columns) = columns else {
            let has_columns = !self.columns.is_empty();
            return if has_columns {
                Err(GrantRefusal::BesideColumns)
            } else {
                Ok(())
            };
        };
        let parts = self.pieces.iter().map(|piece| &piece.rows);
        if !columns.parts.iter().eq(parts) {
            return Err(GrantRefusal::OtherRows);
        }
        let (whole, added) = (self.whole_schema(), columns.parsed());
        let taken: BTreeSet<&str> = names(&whole).collect();
        if let Some(name) = names(&added).find(|name| taken.contains(name)) {
            return Err(GrantRefusal::Taken(name.to_owned()));
        }
        if taken.len() + names(&added).count() > MAX_FRAME_COLUMNS {
            return Err(GrantRefusal::Columns(MAX_FRAME_COLUMNS));
        }
        Ok(())
    }

    fn has(&self, file: ChunkFile) -> bool {
        self.all_pieces()
            .any(|piece| piece.file.sha256 == file.sha256)
    }
}

impl StoredFrame {
    /// The frame with pieces that were uploaded by a grant and looked at: rows behind those that it has, or
    /// columns beside all of them. Those that were added before stay where they are.
    pub fn added(
        &self,
        presented: &SignedGrant,
        by: &Tenant,
        pieces: &[FramePiece],
        now: OffsetDateTime,
    ) -> Result<Self, GrantRefusal> {
        let mut held = self.granted(presented, by, now)?.clone();
        let columns = presented.grant.target.columns();
        let mut known = self.columns.iter();
        match known.find(|own| own.grant == presented.grant.id) {
            Some(known) if known.pieces == pieces => return Ok(self.clone()),
            Some(_) => return Err(GrantRefusal::Known(0)),
            None => self.takes(columns)?,
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
            return Err(GrantRefusal::Rows(MAX_FRAME_ROWS));
        }
        Ok(frame.with(&held).counted())
    }

    /// The frame after a grant was revoked; without what was added by it, if asked.
    pub fn revoked(&self, id: GrantId, drop_rows: bool) -> Result<Self, GrantRefusal> {
        let (mut frame, held) = self.without(id, drop_rows)?;
        if drop_rows {
            let is_added = |file| held.piece(file).is_some_and(|piece| piece.rows.is_some());
            frame.pieces.retain(|piece| !is_added(piece.file));
            frame.columns.retain(|columns| columns.grant != id);
        }
        Ok(frame.counted())
    }

    /// With the number of rows in its schema that its pieces have.
    fn counted(mut self) -> Self {
        self.schema["rows"] = self.rows().into();
        self
    }
}
