//! What can go wrong with a key ring.

use cipherfn_client::{Remedy, TrustError};
use cipherfn_frame::schema::SchemaError;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::SchemeError;
use std::io;
use std::path::PathBuf;

/// Why a key ring cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// Keys or parameter sets.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// No key of the wanted set in a key ring.
    #[error("{} holds no {what} for parameter set {set}; make the keys of that set", .directory.display())]
    NoKey {
        /// The key ring.
        directory: PathBuf,
        /// The secret key, or which part of the evaluation key.
        what: String,
        /// The set.
        set: &'static str,
    },
    /// Part of an evaluation key whose secret key is gone.
    #[error("{} has no secret key beside it; put its secret key back, or replace all of them", .path.display())]
    Orphan {
        /// The part.
        path: PathBuf,
    },
    /// Part of an evaluation key made from another secret key.
    #[error("{} was made from another secret key (id {found}) than the one beside it (id {expected}); remove it, and make it again from that one", .path.display())]
    Mismatch {
        /// The part.
        path: PathBuf,
        /// Its key id.
        found: KeyId,
        /// Id of the secret key.
        expected: KeyId,
    },
    /// A file that holds another part of an evaluation key than its name says.
    #[error("{} holds the part {found} of an evaluation key instead of the part {expected}; remove it, and make the keys that are missing", .path.display())]
    OtherPart {
        /// The file.
        path: PathBuf,
        /// Part that it holds.
        found: &'static str,
        /// Part that its name says.
        expected: &'static str,
    },
    /// A key file that cannot be used.
    #[error("{}: {source}", .path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: SchemeError,
    },
    /// A secret that others may read, or a directory in which they may put files.
    #[error("{} is open to others than its owner (mode {mode:03o}); restrict it, and replace the keys if somebody else could read them", .path.display())]
    Lax {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Specs that are not the known developer's.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// What is remembered of models cannot be read.
    #[error("{}: {reason}; remove it to begin anew, then the next specs of each model are believed", .path.display())]
    Pins {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No secret for names.
    #[error("{} is no secret for names, 64 hexadecimal digits; put it back, or remove it and encrypt all frames with hashed names anew", .path.display())]
    NoNamesKey {
        /// The file.
        path: PathBuf,
    },
    /// Names that cannot be hashed.
    #[error("{}: {source}", .path.display())]
    Names {
        /// The file of known names.
        path: PathBuf,
        /// Cause.
        source: SchemaError,
    },
    /// Another training under the same job.
    #[error("{} is of another training, kept by the service at {service}; move it away, or delete that training (cipherfn trainings --delete), then keep this one again", .path.display())]
    OtherTraining {
        /// The file.
        path: PathBuf,
        /// Address of that training's service.
        service: String,
    },
    /// A file or directory of another user, who can change it at any time.
    #[error("{} belongs to another user (id {owner}), who can change it; use one of your own", .path.display())]
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
    },
    /// A directory, a pipe or a device where a key should be.
    #[error("{} is not a file; remove it, and make the key anew", .path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// A file or directory of the key ring.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

impl KeyRingError {
    /// What to do about it, where a caller can do something.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::NoKey { set, .. } => Some(Remedy::MakeKeys {
                set: (*set).to_owned(),
            }),
            Self::Trust(error) => error.remedy(),
            Self::Orphan { .. } => Some(Remedy::ReplaceKeys),
            Self::Lax { path, .. } => Some(Remedy::Restrict {
                path: path.display().to_string(),
            }),
            _ => None,
        }
    }
}
