//! The registry: documents and files in a bucket.

use crate::bucket::{Bucket, S3};

/// How often a change that others came before is computed again. One of all that try at the same
/// time gets through, so this is how many can.
pub(super) const ATTEMPTS: u32 = 32;

/// What is in a bucket.
#[derive(Clone, Debug)]
pub struct Registry<B = S3> {
    pub(in crate::registry) bucket: B,
}

impl<B: Bucket> Registry<B> {
    /// The registry in a bucket.
    pub fn new(bucket: B) -> Self {
        Self { bucket }
    }

    /// The bucket.
    pub fn bucket(&self) -> &B {
        &self.bucket
    }
}
