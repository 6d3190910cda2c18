//! Published models and training programs, tenants' keys and jobs, as documents in a bucket.
//!
//! ```text
//! models/{name}/model.json                        which versions are live, and which one is current
//! models/{name}/{publication}/bundle.cfn          specs.json  report.json; of a training program specs.json alone
//! keys/{tenant}/index.json                        the tenant's registrations: what its quota counts
//! keys/{tenant}/{key id}/record.json              what is registered under an id
//! keys/{tenant}/{key id}/{upload}/{part}.cfk      a checked part of the key
//! quarantine/{tenant}/{key id}/{upload}/{part}.cfk   what was uploaded and not yet checked
//! jobs/  uploads/  results/                       jobs, their chunks and what came of them
//! frames/{tenant}/index.json                      the tenant's frames: what its quota counts
//! frames/{tenant}/{frame}/record.json             what is public of a frame, and its pieces
//! frames/{tenant}/{frame}/{sha256}.cff            a piece
//! ```
//!
//! Version 1 had `{specs hash}` for `{publication}` and `evaluation.cfk` for `{upload}/{part}.cfk`;
//! both are read as they are.
//!
//! A document is a value: what may become of it is a pure function ([`Registration::next`],
//! [`Model`]), and it is written only over what the function was given (compare-and-swap), so of two
//! changes at once one is computed again. Names of publications and uploads are random and never
//! used twice: what no document names any more can be deleted without a look at who else is at work.
//!
//! Paths are made from parsed ids only ([`ModelName`](cipherfn_protocol::api::ModelName),
//! [`KeyId`](cipherfn_protocol::message::KeyId), [`Tenant`](crate::Tenant), [`PartName`],
//! [`UniqueId`]), whose characters cannot leave their place.

mod document;
mod frame;
mod frame_grants;
mod frames;
mod grant;
mod job;
mod jobs;
mod joint;
mod keys;
mod live;
mod model;
mod models;
mod part;
mod quota;
#[cfg(test)]
mod races;
mod record;
mod registration;
mod store;
mod tables;
mod unique;

pub use frame::{FrameColumns, FramePiece, StoredFrame};
pub use frame_grants::MAX_FRAME_COLUMNS;
pub use frames::FrameDeclared;
pub use grant::{GrantRefusal, GrantedPiece, Granting, HeldGrant};
pub use job::{
    ATTEMPTS_A_CHUNK, Attempt, Checkpoint, Chunk, ChunkEvent, ChunkRefusal, Job, JobOrder,
    SharedQuery, UploadedWork, Work,
};
pub use jobs::{Input, JobDeclared, JointDeclared, Kept, Share};
pub use joint::JointTraining;
pub use keys::{Checked, Declared, MissingPiece, Settled};
pub use live::{
    live_frame, live_program, live_table, live_version, unknown_frame, unknown_program,
};
pub use model::{Folder, LiveVersion, Model};
pub use models::{Models, Published, Sign};
pub use part::{ParsePartNameError, PartName};
pub use quota::Keys;
pub use record::{Declaration, DeclaredPart, Record};
pub use registration::{Event, KeyFile, Place, Refusal, Registration};
pub use store::Registry;
pub use unique::UniqueId;
