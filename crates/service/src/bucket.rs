//! Objects under keys, as S3 keeps them: the few operations that the registry needs, and no more.
//!
//! Two implementations, [`S3`] (AWS's, or any server that speaks its API) and [`Memory`]; one suite
//! holds both to the same behaviour. Reads see the last write. What makes a change safe is its
//! [`Condition`]: of two writers that read the same object, one is refused and reads again.

mod error;
mod memory;
mod objects;
mod read;
mod s3;

pub use error::StorageError;
pub use memory::Memory;
pub use objects::{
    Arrived, Bucket, Condition, Etag, Object, ObjectEntry, Piece, Presigned, Range, UploadId,
};
pub use s3::{S3, sdk_config};
