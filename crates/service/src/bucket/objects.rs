//! Objects, pieces of them, and what a place for them can do.

use super::error::StorageError;
use super::read;
use bytes::Bytes;
use cipherfn_protocol::hash::Sha256;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;
use time::OffsetDateTime;

/// Names one content of an object: equal contents may have equal tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag(pub(super) String);

/// A write's condition on what is there.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'a> {
    /// None.
    Always,
    /// Nothing is there.
    Absent,
    /// What is there has this tag.
    Unchanged(&'a Etag),
}

/// An object's content and its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// All bytes, or those of a range.
    pub bytes: Bytes,
    /// Of the whole object.
    pub etag: Etag,
}

/// Some bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The bytes and the object's tag.
    pub object: Object,
    /// Bytes of the whole object.
    pub total: u64,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Key.
    pub key: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was written.
    pub modified: OffsetDateTime,
}

/// One piece of an upload as it must be; the whole file is one piece too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From 1.
    pub number: u32,
    /// First byte in the file.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// Of these bytes.
    pub sha256: Sha256,
}

/// A piece that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// From 1.
    pub number: u32,
    /// Number of bytes.
    pub bytes: u64,
    /// Of these bytes, where the store knows it.
    pub sha256: Option<Sha256>,
    /// Of the piece.
    pub etag: Etag,
}

impl Arrived {
    /// Whether it is this piece.
    pub fn is(&self, piece: &Piece) -> bool {
        self.number == piece.number
            && self.bytes == piece.bytes
            && self.sha256.is_none_or(|found| found == piece.sha256)
    }
}

/// A request that whoever holds it may make, with exactly these headers.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// HTTP method.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers that the signature covers, names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// The address is a permission, so it is not shown.
impl Debug for Presigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presigned({}, ..)", self.method)
    }
}

/// Names an upload in pieces that is under way.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub(super) String);

/// A place for objects.
pub trait Bucket: Clone + Debug + Send + Sync + 'static {
    /// At most `len` bytes from `start` on; `None` where there is no object. With a tag, only of an
    /// object that still has it.
    fn range(
        &self,
        key: &str,
        start: u64,
        len: u64,
        unchanged: Option<&Etag>,
    ) -> impl Future<Output = Result<Option<Range>, StorageError>> + Send;

    /// A whole object of at most `limit` bytes, or `None` where there is none. Large ones come by
    /// concurrent ranges.
    fn get(
        &self,
        key: &str,
        limit: u64,
    ) -> impl Future<Output = Result<Option<Object>, StorageError>> + Send {
        read::whole(self, key, limit)
    }

    /// Bytes of an object.
    fn size(&self, key: &str) -> impl Future<Output = Result<Option<u64>, StorageError>> + Send;

    /// Writes an object; `None` where the condition did not hold.
    fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: &str,
        condition: Condition<'_>,
    ) -> impl Future<Output = Result<Option<Etag>, StorageError>> + Send;

    /// Removes an object, if it is there. With a tag, only the content that has it: `false` where
    /// it is another one, or gone.
    fn delete(
        &self,
        key: &str,
        unchanged: Option<&Etag>,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// All objects whose key begins so, in order of their keys.
    fn list(
        &self,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<ObjectEntry>, StorageError>> + Send;

    /// Names of the folders directly below `prefix`, which ends in `/`, in order.
    fn folders(
        &self,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<String>, StorageError>> + Send;

    /// A request that gives an object for a while.
    fn presign_get(
        &self,
        key: &str,
        lifetime: Duration,
    ) -> impl Future<Output = Result<Presigned, StorageError>> + Send;

    /// A request that makes exactly this piece a whole object that is not there yet.
    fn presign_put(
        &self,
        key: &str,
        piece: &Piece,
        lifetime: Duration,
    ) -> impl Future<Output = Result<Presigned, StorageError>> + Send;

    /// Begins an upload in pieces.
    fn begin_upload(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<UploadId, StorageError>> + Send;

    /// A request that uploads exactly this piece.
    fn presign_piece(
        &self,
        key: &str,
        upload: &UploadId,
        piece: &Piece,
        lifetime: Duration,
    ) -> impl Future<Output = Result<Presigned, StorageError>> + Send;

    /// The pieces that have arrived; `None` where there is no such upload (any more).
    fn arrived(
        &self,
        key: &str,
        upload: &UploadId,
    ) -> impl Future<Output = Result<Option<Vec<Arrived>>, StorageError>> + Send;

    /// Joins these pieces to an object and ends the upload; `false` where there is no such upload
    /// (any more).
    fn join(
        &self,
        key: &str,
        upload: &UploadId,
        pieces: &[Arrived],
    ) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Gives an upload up, if it is there.
    fn abort(
        &self,
        key: &str,
        upload: &UploadId,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;
}
