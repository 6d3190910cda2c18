//! Objects and uploads on disk, with an index in memory.
//!
//! ```text
//! <data>/<bucket>/bucket                             marks the directory as a bucket
//! <data>/<bucket>/objects/<SHA-256 of the key>        an object
//! <data>/<bucket>/uploads/<upload id>/upload          a multipart upload
//! <data>/<bucket>/uploads/<upload id>/<part number>   one of its parts
//! <data>/<bucket>/staging/                            bodies that are arriving
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::dto::ETagCondition;
use s3s::{S3Error, S3Result, s3_error};
use sha2::{Digest as _, Sha256};

use super::file::{Record, Staged, read_record, sync_directory_of};
use super::upload::Upload;
use crate::{EmulatorError, Limits, random};

/// File that tells a bucket from other directories, and what it contains.
const MARKER: &str = "bucket";
const LAYOUT: &[u8] = b"embedded S3, layout 1\n";

/// All buckets of a data directory.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    buckets: Mutex<BTreeMap<String, Arc<Bucket>>>,
    part_minimum: AtomicU64,
}

/// One bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    directory: PathBuf,
    objects: Mutex<BTreeMap<String, Arc<Record>>>,
    uploads: Mutex<BTreeMap<String, Arc<Upload>>>,
}

/// The `If-Match` and `If-None-Match` of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteCondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl Store {
    /// Opens the buckets below `root`.
    pub(crate) fn open(root: &Path) -> Result<Self, EmulatorError> {
        let fail = |source| EmulatorError::Data {
            path: root.to_owned(),
            source,
        };
        let mut buckets = BTreeMap::new();
        for entry in fs::read_dir(root).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let Some(name) = path
                .file_name()
                .and_then(|name| name.to_str())
                .filter(|_| path.is_dir())
            else {
                continue;
            };
            if path.join(MARKER).is_file() {
                let bucket = Bucket::open(&path).map_err(|source| EmulatorError::Data {
                    path: path.clone(),
                    source,
                })?;
                buckets.insert(name.to_owned(), Arc::new(bucket));
            }
        }
        Ok(Self {
            root: root.to_owned(),
            buckets: Mutex::new(buckets),
            part_minimum: AtomicU64::new(Limits::default().part_bytes),
        })
    }

    /// Smallest part of an upload but the last, in bytes.
    pub(crate) fn part_minimum(&self) -> u64 {
        self.part_minimum.load(Ordering::Relaxed)
    }

    pub(crate) fn set_part_minimum(&self, bytes: u64) {
        self.part_minimum.store(bytes, Ordering::Relaxed);
    }

    /// The bucket of that name, new where there is none.
    pub(crate) fn create(&self, name: &str) -> io::Result<Arc<Bucket>> {
        let mut buckets = lock(&self.buckets);
        if let Some(bucket) = buckets.get(name) {
            return Ok(Arc::clone(bucket));
        }
        let bucket = Arc::new(Bucket::open(&self.root.join(name))?);
        buckets.insert(name.to_owned(), Arc::clone(&bucket));
        Ok(bucket)
    }

    /// The bucket of that name.
    pub(crate) fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        lock(&self.buckets)
            .get(name)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    /// The data directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// All buckets by name.
    pub(crate) fn buckets(&self) -> Vec<(String, Arc<Bucket>)> {
        lock(&self.buckets)
            .iter()
            .map(|(name, bucket)| (name.clone(), Arc::clone(bucket)))
            .collect()
    }
}

impl Bucket {
    /// Opens a bucket, or makes one of a directory that is empty or absent.
    fn open(directory: &Path) -> io::Result<Self> {
        mark(directory)?;
        let bucket = Self {
            directory: directory.to_owned(),
            objects: Mutex::default(),
            uploads: Mutex::default(),
        };
        for name in ["objects", "uploads"] {
            fs::create_dir_all(directory.join(name))?;
        }
        if bucket.staging().exists() {
            fs::remove_dir_all(bucket.staging())?;
        }
        fs::create_dir(bucket.staging())?;
        for entry in fs::read_dir(directory.join("objects"))? {
            let path = entry?.path();
            match read_record::<Record>(&path)? {
                Some((record, size))
                    if record.size == size && bucket.object_path(&record.key) == path =>
                {
                    lock(&bucket.objects).insert(record.key.clone(), Arc::new(record));
                }
                _ => {
                    tracing::warn!(path = %path.display(), "not an object of the embedded S3; left alone");
                }
            }
        }
        for entry in fs::read_dir(directory.join("uploads"))? {
            if let Some((id, upload)) = Upload::open(&entry?.path())? {
                lock(&bucket.uploads).insert(id, Arc::new(upload));
            }
        }
        Ok(bucket)
    }

    /// Directory of bodies that are arriving.
    pub(crate) fn staging(&self) -> PathBuf {
        self.directory.join("staging")
    }

    /// File of a key. A digest: no key can name another file.
    pub(crate) fn object_path(&self, key: &str) -> PathBuf {
        self.directory
            .join("objects")
            .join(random::to_hex(&Sha256::digest(key.as_bytes())))
    }

    /// Directory of an upload, whose id is one of ours.
    pub(crate) fn upload_path(&self, id: &str) -> PathBuf {
        self.directory.join("uploads").join(id)
    }

    /// The object of a key.
    pub(crate) fn object(&self, key: &str) -> Option<Arc<Record>> {
        lock(&self.objects).get(key).cloned()
    }

    /// The object of a key with its content opened in the same moment: an overwrite cannot come in
    /// between.
    pub(crate) fn with_object<T>(
        &self,
        key: &str,
        open: impl FnOnce(&Path) -> io::Result<T>,
    ) -> S3Result<(Arc<Record>, T)> {
        let objects = lock(&self.objects);
        let record = objects
            .get(key)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))?;
        let opened = open(&self.object_path(key)).map_err(S3Error::internal_error)?;
        Ok((record, opened))
    }

    /// Makes a staged body the object of its key, if the condition holds at that moment.
    pub(crate) fn commit(
        &self,
        staged: Staged,
        record: Record,
        condition: &WriteCondition,
    ) -> S3Result<Arc<Record>> {
        staged.seal(&record)?;
        let mut objects = lock(&self.objects);
        condition.check(objects.get(&record.key).map(Arc::as_ref))?;
        staged.publish(&self.object_path(&record.key))?;
        let record = Arc::new(record);
        objects.insert(record.key.clone(), Arc::clone(&record));
        Ok(record)
    }

    /// Deletes the object of a key if `check` does not refuse it, or its absence.
    pub(crate) fn delete(
        &self,
        key: &str,
        check: impl FnOnce(Option<&Record>) -> S3Result<()>,
    ) -> S3Result<()> {
        let mut objects = lock(&self.objects);
        check(objects.get(key).map(Arc::as_ref))?;
        if objects.remove(key).is_none() {
            return Ok(());
        }
        let path = self.object_path(key);
        match fs::remove_file(&path).and_then(|()| sync_directory_of(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(S3Error::internal_error(error))
            }
            _ => Ok(()),
        }
    }

    /// Objects whose key starts with `prefix` and is greater than `after`, by key.
    pub(crate) fn list(&self, prefix: &str, after: Option<&str>) -> Vec<Arc<Record>> {
        let objects = lock(&self.objects);
        let from = objects.range::<str, _>((
            std::ops::Bound::Included(prefix),
            std::ops::Bound::Unbounded,
        ));
        from.take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .map(|(_, record)| Arc::clone(record))
            .collect()
    }

    /// Multipart uploads by id.
    pub(crate) fn uploads(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Upload>>> {
        lock(&self.uploads)
    }
}

/// Sees to it that the directory is a bucket of ours: nothing else may be touched.
fn mark(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let marker = directory.join(MARKER);
    match fs::read(&marker) {
        Ok(layout) if layout == LAYOUT => Ok(()),
        Ok(_) => Err(io::Error::other(
            "made by another version of the embedded S3",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match fs::read_dir(directory)?.next() {
                Some(_) => Err(io::Error::other(
                    "the directory has files that are not the embedded S3's",
                )),
                None => fs::write(marker, LAYOUT),
            }
        }
        Err(error) => Err(error),
    }
}

impl WriteCondition {
    pub(crate) fn check(&self, current: Option<&Record>) -> S3Result<()> {
        if let Some(condition) = &self.if_match {
            let Some(record) = current else {
                return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
            };
            if condition
                .as_etag()
                .is_some_and(|etag| !etag.strong_cmp(&record.etag()))
            {
                return Err(precondition_failed("If-Match"));
            }
        }
        if let (Some(condition), Some(record)) = (&self.if_none_match, current)
            && condition
                .as_etag()
                .is_none_or(|etag| etag.weak_cmp(&record.etag()))
        {
            return Err(precondition_failed("If-None-Match"));
        }
        Ok(())
    }
}

/// S3's answer to a condition that does not hold.
pub(crate) fn precondition_failed(condition: &str) -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold: {}",
        condition
    )
}

/// Locks; a panic elsewhere left no half-made change behind, as every change is one insertion or
/// removal.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
