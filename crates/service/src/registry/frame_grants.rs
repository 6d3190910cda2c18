//! Rows that others add to a stored frame.

use super::{FramePiece, GrantRefusal, Granting, HeldGrant, StoredFrame};
use crate::Tenant;
use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::grant::{GrantId, GrantTarget, SignedGrant};
use cipherfn_protocol::api::job::ChunkFile;
use time::OffsetDateTime;

/// Most rows of a frame, by which pieces are held: what `cipherfn_frame` has room for.
const MAX_FRAME_ROWS: u64 = 1 << 26;

impl Granting for StoredFrame {
    const TOO_MANY: GrantRefusal = GrantRefusal::TooMany;

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

    fn check(&self, target: &GrantTarget) -> Result<(), GrantRefusal> {
        if target.frame() == Some(self.id) {
            return Ok(());
        }
        Err(GrantRefusal::Malformed("frame", "is another frame"))
    }

    fn has(&self, file: ChunkFile) -> bool {
        self.pieces
            .iter()
            .any(|piece| piece.file.sha256 == file.sha256)
    }
}

impl StoredFrame {
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
            frame.pieces.push(*piece);
        }
        if frame.pieces.len() > MAX_PIECES {
            return Err(GrantRefusal::Pieces);
        }
        if frame.rows() > MAX_FRAME_ROWS {
            return Err(GrantRefusal::Rows(MAX_FRAME_ROWS));
        }
        Ok(frame.with(&held).counted())
    }

    /// The frame without a grant; without the rows that were added by it, if asked.
    pub fn revoked(&self, id: GrantId, drop_rows: bool) -> Result<Self, GrantRefusal> {
        let held = self.held(id).ok_or(GrantRefusal::Unknown)?;
        let mut frame = self.clone();
        frame.grants.retain(|held| held.grant.grant.id != id);
        if drop_rows {
            let is_added = |file| held.piece(file).is_some_and(|piece| piece.rows.is_some());
            frame.pieces.retain(|piece| !is_added(piece.file));
        }
        Ok(frame.counted())
    }

    /// With the number of rows in its schema that its pieces have.
    fn counted(mut self) -> Self {
        self.schema["rows"] = self.rows().into();
        self
    }
}
