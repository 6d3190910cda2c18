//! Objects in memory, for tests and for services without a bucket.

use super::{
    Arrived, Bucket, Condition, Etag, Object, ObjectEntry, Piece, Presigned, Range, StorageError,
    UploadId,
};
use bytes::Bytes;
use cipherfn_protocol::hash::{Hash, Sha256};
use sha2::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use time::OffsetDateTime;

/// A bucket in memory.
///
/// Every operation gives way to other tasks before it takes effect and before it tells what it did,
/// as one over a network does: whoever polls its callers decides in which order they take effect.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    objects: BTreeMap<String, (Bytes, OffsetDateTime)>,
    uploads: BTreeMap<String, (String, BTreeMap<u32, Bytes>)>,
    grants: Vec<Grant>,
    begun: usize,
    /// How many changes there are until one whose answer is lost; 0 where none is.
    until_lost: usize,
}

/// What a presigned request may do.
#[derive(Clone, Debug)]
struct Grant {
    key: String,
    piece: Piece,
    upload: Option<UploadId>,
}

impl Memory {
    /// What S3 does with a presigned upload: the HTTP status.
    pub fn upload(&self, request: &Presigned, bytes: Bytes) -> u16 {
        let mut contents = self.contents();
        let number = request.url.strip_prefix("memory:");
        let number = number.and_then(|number| number.parse::<usize>().ok());
        let Some(grant) = number.and_then(|number| contents.grants.get(number).cloned()) else {
            return 403;
        };
        if bytes.len() as u64 != grant.piece.bytes || sha256(&bytes) != grant.piece.sha256 {
            return 400;
        }
        match grant.upload {
            None if contents.objects.contains_key(&grant.key) => 412,
            None => {
                contents.write(&grant.key, bytes);
                200
            }
            Some(upload) => match contents.uploads.get_mut(&upload.0) {
                Some((_, pieces)) => {
                    pieces.insert(grant.piece.number, bytes);
                    200
                }
                None => 404,
            },
        }
    }

    /// Loses the answer of the `number`-th write or deletion from now on that takes effect, from 1: it is
    /// asked for once more, as S3's client does, and what is said then is the answer.
    pub fn lose_answer(&self, number: usize) {
        self.contents().until_lost = number;
    }

    /// Whether an answer is still to be lost.
    pub fn is_to_lose(&self) -> bool {
        self.contents().until_lost > 0
    }

    /// Makes a change; `None` or `false` is the answer of one that did not take effect.
    async fn change<T: Default + PartialEq>(&self, change: impl Fn(&mut Contents) -> T) -> T {
        let first = |contents: &mut Contents| {
            let answer = change(contents);
            let is_lost = answer != T::default() && contents.until_lost == 1;
            if answer != T::default() {
                contents.until_lost = contents.until_lost.saturating_sub(1);
            }
            (answer, is_lost)
        };
        match self.take_effect(first).await {
            (answer, false) => answer,
            // Others may come between.
            (_, true) => self.take_effect(change).await,
        }
    }

    async fn take_effect<T>(&self, operation: impl FnOnce(&mut Contents) -> T) -> T {
        GiveWay(false).await;
        let result = operation(&mut self.contents());
        GiveWay(false).await;
        result
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn etag(&self, key: &str) -> Option<Etag> {
        self.objects.get(key).map(|(bytes, _)| etag(bytes))
    }

    fn write(&mut self, key: &str, bytes: Bytes) -> Etag {
        let tag = etag(&bytes);
        let now = OffsetDateTime::now_utc();
        self.objects.insert(key.to_owned(), (bytes, now));
        tag
    }

    fn grant(&mut self, key: &str, piece: &Piece, upload: Option<&UploadId>) -> Presigned {
        self.grants.push(Grant {
            key: key.to_owned(),
            piece: *piece,
            upload: upload.cloned(),
        });
        Presigned {
            method: "PUT".to_owned(),
            url: format!("memory:{}", self.grants.len() - 1),
            headers: BTreeMap::new(),
        }
    }
}

impl Bucket for Memory {
    async fn range(
        &self,
        key: &str,
        start: u64,
        len: u64,
        unchanged: Option<&Etag>,
    ) -> Result<Option<Range>, StorageError> {
        let found = self.take_effect(|contents| contents.objects.get(key).cloned());
        let Some((bytes, _)) = found.await else {
            return Ok(None);
        };
        let etag = etag(&bytes);
        if unchanged.is_some_and(|wanted| *wanted != etag) {
            return Err(StorageError::Broken {
                key: key.to_owned(),
                message: "it was replaced meanwhile".to_owned(),
            });
        }
        let total = bytes.len();
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(total);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = bytes.slice(start..start + len.min(total - start));
        Ok(Some(Range {
            object: Object { bytes, etag },
            total: total as u64,
        }))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StorageError> {
        let size = |(bytes, _): &(Bytes, _)| bytes.len() as u64;
        Ok(self
            .take_effect(|contents| contents.objects.get(key).map(size))
            .await)
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        _content_type: &str,
        condition: Condition<'_>,
    ) -> Result<Option<Etag>, StorageError> {
        let put = |contents: &mut Contents| {
            let holds = match condition {
                Condition::Always => true,
                Condition::Absent => !contents.objects.contains_key(key),
                Condition::Unchanged(etag) => contents.etag(key).as_ref() == Some(etag),
            };
            holds.then(|| contents.write(key, bytes.clone()))
        };
        Ok(self.change(put).await)
    }

    async fn delete(&self, key: &str, unchanged: Option<&Etag>) -> Result<bool, StorageError> {
        let delete = |contents: &mut Contents| {
            let holds = unchanged.is_none_or(|etag| contents.etag(key).as_ref() == Some(etag));
            if holds {
                contents.objects.remove(key);
            }
            holds
        };
        Ok(self.change(delete).await)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, StorageError> {
        let list = |contents: &mut Contents| {
            let found = contents.objects.range(prefix.to_owned()..);
            let found = found.take_while(|(key, _)| key.starts_with(prefix));
            let entry =
                |(key, (bytes, modified)): (&String, &(Bytes, OffsetDateTime))| ObjectEntry {
                    key: key.clone(),
                    bytes: bytes.len() as u64,
                    modified: *modified,
                };
            found.map(entry).collect()
        };
        Ok(self.take_effect(list).await)
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let entries = self.list(prefix).await?;
        let folders: BTreeSet<_> = entries
            .iter()
            .filter_map(|entry| Some(entry.key.strip_prefix(prefix)?.split_once('/')?.0))
            .collect();
        Ok(folders.into_iter().map(str::to_owned).collect())
    }

    async fn presign_get(&self, key: &str, _lifetime: Duration) -> Result<Presigned, StorageError> {
        Ok(Presigned {
            method: "GET".to_owned(),
            url: format!("memory:{key}"),
            headers: BTreeMap::new(),
        })
    }

    async fn presign_put(
        &self,
        key: &str,
        piece: &Piece,
        _lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        Ok(self.contents().grant(key, piece, None))
    }

    async fn begin_upload(&self, key: &str) -> Result<UploadId, StorageError> {
        let begin = |contents: &mut Contents| {
            contents.begun += 1;
            let id = contents.begun.to_string();
            contents
                .uploads
                .insert(id.clone(), (key.to_owned(), BTreeMap::new()));
            UploadId(id)
        };
        Ok(self.take_effect(begin).await)
    }

    async fn presign_piece(
        &self,
        key: &str,
        upload: &UploadId,
        piece: &Piece,
        _lifetime: Duration,
    ) -> Result<Presigned, StorageError> {
        Ok(self.contents().grant(key, piece, Some(upload)))
    }

    async fn arrived(
        &self,
        key: &str,
        upload: &UploadId,
    ) -> Result<Option<Vec<Arrived>>, StorageError> {
        let arrived = |(number, bytes): (&u32, &Bytes)| Arrived {
            number: *number,
            bytes: bytes.len() as u64,
            sha256: Some(sha256(bytes)),
            etag: etag(bytes),
        };
        let found = |contents: &mut Contents| {
            let (of, pieces) = contents.uploads.get(&upload.0)?;
            (of == key).then(|| pieces.iter().map(arrived).collect())
        };
        Ok(self.take_effect(found).await)
    }

    async fn join(
        &self,
        key: &str,
        upload: &UploadId,
        pieces: &[Arrived],
    ) -> Result<bool, StorageError> {
        let join = |contents: &mut Contents| {
            let (_, parts) = contents.uploads.get(&upload.0)?;
            let parts: Option<Vec<_>> = pieces
                .iter()
                .map(|piece| parts.get(&piece.number))
                .collect();
            let bytes: Vec<u8> = parts?.into_iter().flatten().copied().collect();
            contents.uploads.remove(&upload.0);
            contents.write(key, bytes.into());
            Some(())
        };
        Ok(self.change(join).await.is_some())
    }

    async fn abort(&self, _key: &str, upload: &UploadId) -> Result<(), StorageError> {
        self.take_effect(|contents| contents.uploads.remove(&upload.0))
            .await;
        Ok(())
    }
}

/// Ready the second time.
struct GiveWay(bool);

impl Future for GiveWay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// As S3 does it, by the content.
fn etag(bytes: &[u8]) -> Etag {
    Etag(Hash::of(bytes).to_string())
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}
