//! Where one part of a key stands, and what may become of it.
//!
//! ```text
//!                 Accept
//!   Pending ----------------> Active      Declare of another file: Conflict, while it lasts
//!    |   ^                      |
//!    |   `-- Declare -- Rejected <-- Lose (the stored file is damaged)
//!    `-------- Reject -->
//! ```
//! What has run out is declared as if it had never been.

use crate::bucket::UploadId;
use cipherfn_protocol::api::Pieces;
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::hash::Sha256;
use std::time::Duration;
use time::OffsetDateTime;

use super::unique::UniqueId;

/// How long a registration may stay unfinished, and how long a rejection is remembered. A lifecycle
/// rule of the bucket empties the quarantine after the same time.
const UNFINISHED: Duration = Duration::from_hours(24);

/// A file by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Number of bytes.
    pub bytes: u64,
    /// Of all bytes.
    pub sha256: Sha256,
}

impl From<ChunkFile> for KeyFile {
    fn from(ChunkFile { bytes, sha256 }: ChunkFile) -> Self {
        Self { bytes, sha256 }
    }
}

/// Where a file lies below its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Version 1's one file.
    Single,
    /// The folder of one declaration.
    Upload(UniqueId),
}

/// Where a part stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Declared; upload or check outstanding.
    Pending {
        /// What it will be.
        file: KeyFile,
        /// Where it is uploaded to.
        place: Place,
        /// How the upload is cut.
        pieces: Option<Pieces>,
        /// The upload in pieces that is under way.
        upload: Option<UploadId>,
        /// When it was declared.
        declared: OffsetDateTime,
        /// When the declaration runs out.
        until: OffsetDateTime,
    },
    /// Checked: queries can use it.
    Active {
        /// What it is.
        file: KeyFile,
        /// Where it lies.
        place: Place,
        /// When it was declared.
        declared: OffsetDateTime,
        /// When it stops being usable.
        until: OffsetDateTime,
    },
    /// What was uploaded is not what was declared, or was lost.
    Rejected {
        /// What was declared.
        file: KeyFile,
        /// Why.
        reason: String,
        /// When it was declared.
        declared: OffsetDateTime,
        /// When this is forgotten.
        until: OffsetDateTime,
    },
}

/// What happens to a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its owner says what will be uploaded.
    Declare {
        /// What it will be.
        file: KeyFile,
        /// How the upload is cut.
        pieces: Option<Pieces>,
        /// A place that was never used, for a new upload.
        place: Place,
    },
    /// An upload in pieces has begun at a place.
    Begin {
        /// Where.
        place: Place,
        /// Which.
        upload: UploadId,
    },
    /// What was uploaded to a place is what was declared.
    Accept {
        /// Where.
        place: Place,
        /// How long it will be usable.
        lifetime: Duration,
    },
    /// It is not.
    Reject {
        /// Where.
        place: Place,
        /// Why.
        reason: String,
    },
    /// What is stored at a place is damaged or gone.
    Lose {
        /// Where.
        place: Place,
    },
}

/// Why an event does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another file is active.
    Conflict,
    /// It was about a file that is no longer the registered one: declared anew, deleted, run out.
    Superseded,
}

impl Registration {
    /// What becomes of `state` by `event` at the time `now`. An event that has happened already
    /// changes nothing.
    pub fn next(state: Option<&Self>, event: Event, now: OffsetDateTime) -> Result<Self, Refusal> {
        let state = state.filter(|state| !state.is_expired(now));
        match event {
            Event::Declare {
                file,
                pieces,
                place,
            } => match state {
                Some(Self::Active { file: known, .. }) if *known != file => Err(Refusal::Conflict),
                Some(active @ Self::Active { .. }) => Ok(active.clone()),
                Some(
                    pending @ Self::Pending {
                        file: known,
                        pieces: cut,
                        ..
                    },
                ) if (*known, cut) == (file, &pieces) => Ok(pending.clone()),
                _ => Ok(Self::Pending {
                    file,
                    place,
                    pieces,
                    upload: None,
                    declared: now,
                    until: now + UNFINISHED,
                }),
            },
            Event::Begin { place, upload } => match state.cloned() {
                Some(mut pending @ Self::Pending { place: at, .. }) if at == place => {
                    if let Self::Pending { upload: known, .. } = &mut pending {
                        *known = Some(upload);
                    }
                    Ok(pending)
                }
                _ => Err(Refusal::Superseded),
            },
            Event::Accept { place, lifetime } => match state {
                Some(Self::Pending {
                    file,
                    place: at,
                    declared,
                    ..
                }) if *at == place => Ok(Self::Active {
                    file: *file,
                    place,
                    declared: *declared,
                    until: now + lifetime,
                }),
                Some(active @ Self::Active { place: at, .. }) if *at == place => Ok(active.clone()),
                _ => Err(Refusal::Superseded),
            },
            Event::Reject { place, reason } => match state {
                Some(Self::Pending {
                    file,
                    place: at,
                    declared,
                    until,
                    ..
                }) if *at == place => Ok(Self::Rejected {
                    file: *file,
                    reason,
                    declared: *declared,
                    until: *until,
                }),
                _ => Err(Refusal::Superseded),
            },
            Event::Lose { place } => match state {
                Some(Self::Active {
                    file,
                    place: at,
                    declared,
                    ..
                }) if *at == place => Ok(Self::Rejected {
                    file: *file,
                    reason: "the stored file is damaged".to_owned(),
                    declared: *declared,
                    until: now + UNFINISHED,
                }),
                _ => Err(Refusal::Superseded),
            },
        }
    }

    /// What was declared.
    pub fn file(&self) -> KeyFile {
        match self {
            Self::Pending { file, .. }
            | Self::Active { file, .. }
            | Self::Rejected { file, .. } => *file,
        }
    }

    /// Where its file is or is to be.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Pending { place, .. } | Self::Active { place, .. } => Some(*place),
            Self::Rejected { .. } => None,
        }
    }

    /// When it was declared.
    pub fn declared(&self) -> OffsetDateTime {
        match self {
            Self::Pending { declared, .. }
            | Self::Active { declared, .. }
            | Self::Rejected { declared, .. } => *declared,
        }
    }

    /// When its time is over.
    pub fn until(&self) -> OffsetDateTime {
        match self {
            Self::Pending { until, .. }
            | Self::Active { until, .. }
            | Self::Rejected { until, .. } => *until,
        }
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.until() <= now
    }

    /// Whether queries can use it.
    pub fn is_active(&self, now: OffsetDateTime) -> bool {
        matches!(self, Self::Active { .. }) && !self.is_expired(now)
    }
}

#[cfg(test)]
mod tests;
