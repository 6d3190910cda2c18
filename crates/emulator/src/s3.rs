//! The embedded S3: the protocol, signatures and presigned URLs of `s3s` over objects on disk.
//!
//! `s3s-fs` is not used: it publishes an upload before it checks the upload's checksum, ignores
//! conditions on reads, checksums of parts and failed completions, takes directories for objects,
//! and maps keys to paths. Here a key's file is named by a digest, and an object appears, whole and
//! checked, with one rename.

mod api;
mod checksum;
mod condition;
mod credentials;
mod file;
mod headers;
mod lifecycle;
mod listing;
mod multipart;
mod objects;
mod service;
mod store;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use crate::cors::{self, Cors};
use crate::server::{self, Server};
use crate::{EmulatorError, Lifecycle};
use credentials::{AccessKey, DirectoryLock};
use service::S3Front;
use store::{Store, lock};

/// An S3 server on a loopback port, its objects in a directory. It stops when dropped.
///
/// Path-style addressing; every request is signed with the one access key. Its answers follow S3's
/// for objects, conditions, ranges, checksums, copies, listings and multipart uploads; versions,
/// policies, tags and encryption are not implemented.
#[derive(Debug)]
pub struct S3Server {
    server: Server,
    endpoint: String,
    access_key: AccessKey,
    store: Arc<Store>,
    cors: Arc<Mutex<Cors>>,
    rules: Arc<[Lifecycle]>,
    sweeper: Sweeper,
    _lock: DirectoryLock,
}

impl S3Server {
    /// Opens `data` (created where absent) with `bucket` in it and serves it on `port` (0: a free
    /// one).
    ///
    /// The rules are applied every `interval`.
    pub async fn start(
        data: &Path,
        port: u16,
        bucket: &str,
        rules: Vec<Lifecycle>,
        interval: Duration,
    ) -> Result<Self, EmulatorError> {
        if !s3s::path::check_bucket_name(bucket) {
            return Err(EmulatorError::Bucket(bucket.to_owned()));
        }
        let listener = server::listen(port).await?;
        let lock = DirectoryLock::take(data)?;
        let access_key = AccessKey::of_directory(data)?;
        let store = Arc::new(Store::open(data)?);
        store.create(bucket).map_err(|source| EmulatorError::Data {
            path: data.join(bucket),
            source,
        })?;

        let mut builder = S3ServiceBuilder::new(api::Api(Arc::clone(&store)));
        builder.set_auth(SimpleAuth::from_single(
            access_key.id.clone(),
            access_key.secret.clone(),
        ));
        let cors = Arc::new(Mutex::new(Cors::new(Vec::new(), cors::BUCKET)));
        let front = S3Front {
            service: builder.build(),
            cors: Arc::clone(&cors),
        };
        let server = Server::start(listener, front)
            .map_err(|source| EmulatorError::Listen { port, source })?;
        let rules: Arc<[Lifecycle]> = rules.into();
        let sweeper = Sweeper(tokio::spawn(sweep_regularly(
            Arc::clone(&store),
            Arc::clone(&rules),
            interval,
        )));
        Ok(Self {
            endpoint: format!("http://{}", server.address()),
            server,
            access_key,
            store,
            cors,
            rules,
            sweeper,
            _lock: lock,
        })
    }

    /// Base URL, such as `http://127.0.0.1:9000`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Access key id and secret access key: random, made with the data directory and kept in it
    /// (`credentials.json`, mode 0600).
    pub fn credentials(&self) -> (&str, &str) {
        (&self.access_key.id, &self.access_key.secret)
    }

    /// Applies the lifecycle rules now, as if it were `now`.
    pub fn sweep(&self, now: SystemTime) {
        lifecycle::sweep(&self.store, &self.rules, now);
    }

    /// Joins parts of at least `bytes` (S3: 5 MiB), so that tests need no large uploads.
    pub fn set_part_minimum(&self, bytes: u64) {
        self.store.set_part_minimum(bytes);
    }

    /// Lets scripts of pages of these origins read answers, and of no others.
    pub fn allow_origins(&self, origins: Vec<String>) {
        *lock(&self.cors) = Cors::new(origins, cors::BUCKET);
    }

    /// Where the objects are.
    pub fn data(&self) -> PathBuf {
        self.store.root().to_owned()
    }

    /// Waits for requests under way, a few seconds at most, and stops.
    pub async fn stop(self) {
        let Self {
            server, sweeper, ..
        } = self;
        drop(sweeper);
        server.stop().await;
    }
}

/// The task that applies the rules; it ends when this is dropped.
#[derive(Debug)]
struct Sweeper(tokio::task::JoinHandle<()>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn sweep_regularly(store: Arc<Store>, rules: Arc<[Lifecycle]>, interval: Duration) {
    let mut timer = tokio::time::interval(interval.max(Duration::from_secs(1)));
    loop {
        timer.tick().await;
        lifecycle::sweep(&store, &rules, SystemTime::now());
    }
}
