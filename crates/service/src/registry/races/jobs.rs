//! Jobs: one a declaration, as many as the quota, one result a chunk, nothing left of a deleted one.

use super::{NOW, ORDERS, alone, interleave, sha256};
use crate::Tenant;
use crate::bucket::{Bucket, Memory};
use crate::config::JobRules;
use crate::registry::{
    Attempt, Chunk, ChunkEvent, ChunkRefusal, Input, Job, JobDeclared, Kept, Registry, UniqueId,
};
use bytes::Bytes;
use cipherfn_protocol::api::job::{
    ChunkFile, IdempotencyKey, JobDeclaration, JobId, JobKind, UploadFolder,
};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use futures_util::future::FutureExt;
use std::sync::Mutex;
use std::time::Duration;

const QUERY: &[u8] = b"query";

pub(super) struct Owner {
    pub(super) registry: Registry<Memory>,
    pub(super) tenant: Tenant,
    pub(super) upload: UploadFolder,
    pub(super) rules: JobRules,
}

impl Owner {
    /// Somebody who has uploaded a chunk.
    pub(super) fn new(quota: u64) -> Self {
        let registry = Registry::new(Memory::default());
        let owner = Self {
            upload: registry.new_upload().unwrap(),
            registry,
            tenant: Tenant::of("somebody"),
            rules: JobRules {
                lifetime: Duration::from_hours(1),
                quota,
                transfer_lifetime: Duration::from_mins(15),
                worker_memory_mb: 1769,
            },
        };
        let life = owner.rules.transfer_lifetime;
        let request =
            owner
                .registry
                .upload_request(&owner.tenant, owner.upload, chunk(QUERY), life);
        let request = alone(request).unwrap();
        let bucket = owner.registry.bucket();
        assert_eq!(bucket.upload(&request, Bytes::from_static(b"quern")), 400);
        assert_eq!(bucket.upload(&request, Bytes::from_static(QUERY)), 200);
        assert_eq!(bucket.upload(&request, Bytes::from_static(QUERY)), 412);
        owner
    }

    pub(super) fn declaration(&self, name: u8) -> JobDeclaration {
        JobDeclaration {
            idempotency_key: IdempotencyKey::from_bytes([name; 16]),
            kind: JobKind::Predict,
            model: "fraud".parse().unwrap(),
            specs: Hash::of(b"specs"),
            key: KeyId::from_bytes([9; 16]),
            upload: self.upload,
            chunks: vec![chunk(QUERY)],
            parts: 1,
        }
    }

    pub(super) async fn declare(&self, name: u8) -> JobDeclared {
        let declaration = self.declaration(name);
        let declared = self
            .registry
            .declare_job(&self.tenant, &declaration, &self.rules, NOW);
        declared.await.unwrap()
    }

    /// What a worker does with the chunk; whether its result counts.
    pub(super) async fn work(&self, id: JobId, owner: &str) -> bool {
        let Some(job) = self.registry.job(id).await.unwrap() else {
            return false;
        };
        let claim = claim(owner);
        let claimed = self.registry.change_chunk(id, 0, &claim, NOW).await;
        let Ok(Chunk::Held { attempt, .. }) = claimed.unwrap() else {
            return false;
        };
        let Input::Sound(bytes) = self.registry.input(&job, 0).await.unwrap() else {
            return false;
        };
        let result = chunk(&bytes);
        self.registry
            .put_result(&job, (0, attempt), bytes)
            .await
            .unwrap();
        let by = Attempt {
            number: attempt,
            owner: owner.to_owned(),
        };
        let finish = ChunkEvent::Finish {
            by,
            result,
            milliseconds: 1,
        };
        let finished = self.registry.change_chunk(id, 0, &finish, NOW).await;
        let counts = finished.unwrap().is_ok();
        if !counts {
            let removed = self.registry.remove_result(&job, (0, attempt));
            removed.await.unwrap();
        }
        counts
    }

    /// How many results count of two invocations at the same time, one of which is delivered twice.
    pub(super) fn work_at_once(&self, seed: u64, id: JobId) -> usize {
        let counted = Mutex::new(0);
        let work = |name: &'static str| {
            let counted = &counted;
            async move {
                if self.work(id, name).await {
                    *counted.lock().unwrap() += 1;
                }
            }
            .boxed()
        };
        interleave(seed, vec![work("a"), work("a"), work("b")], || ());
        counted.into_inner().unwrap()
    }

    pub(super) fn objects(&self) -> Vec<String> {
        let objects = alone(self.registry.bucket().list("")).unwrap();
        objects.into_iter().map(|object| object.key).collect()
    }
}

pub(super) fn chunk(bytes: &[u8]) -> ChunkFile {
    ChunkFile {
        bytes: bytes.len() as u64,
        sha256: sha256(bytes),
    }
}

/// An invocation begins to work on a chunk.
pub(super) fn claim(owner: &str) -> ChunkEvent {
    ChunkEvent::Claim {
        owner: owner.to_owned(),
        until: NOW + Duration::from_mins(15),
        claim: UniqueId::random().unwrap(),
    }
}

pub(super) fn job(declared: JobDeclared) -> Job {
    match declared {
        JobDeclared::New(job) | JobDeclared::Known(job) => job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_declaration_is_one_job_however_often_it_is_sent() {
    for seed in 0..ORDERS {
        let owner = Owner::new(1);
        let jobs = Mutex::new(Vec::new());
        let send = || {
            async {
                let id = job(owner.declare(1).await).id;
                jobs.lock().unwrap().push(id);
            }
            .boxed()
        };
        interleave(seed, vec![send(), send(), send()], || ());
        let jobs = jobs.into_inner().unwrap();
        assert!(
            jobs.iter().all(|id| *id == jobs[0]),
            "order {seed}: {jobs:?}"
        );
        let records = owner.objects().into_iter();
        let records = records.filter(|key| key.ends_with("/record.json"));
        assert_eq!(records.count(), 1, "order {seed}");
    }
}

#[test]
fn a_tenant_never_has_more_jobs_than_its_quota() {
    for seed in 0..ORDERS {
        let owner = Owner::new(2);
        let declared = Mutex::new(0);
        let send = |name| {
            let (owner, declared) = (&owner, &declared);
            async move {
                if let JobDeclared::New(_) = owner.declare(name).await {
                    *declared.lock().unwrap() += 1;
                }
            }
            .boxed()
        };
        interleave(seed, vec![send(1), send(2), send(3)], || ());
        assert_eq!(declared.into_inner().unwrap(), 2, "order {seed}");
        assert!(matches!(alone(owner.declare(4)), JobDeclared::Quota));
    }
}

#[test]
fn a_job_that_has_run_out_makes_room() {
    let owner = Owner::new(1);
    job(alone(owner.declare(1)));
    let later = NOW + owner.rules.lifetime;
    let declaration = owner.declaration(2);
    let declared = owner
        .registry
        .declare_job(&owner.tenant, &declaration, &owner.rules, later);
    assert_eq!(
        job(alone(declared).unwrap()).until,
        later + owner.rules.lifetime
    );
}

#[test]
fn a_name_is_that_of_one_job_and_its_chunks_must_be_there() {
    let owner = Owner::new(5);
    job(alone(owner.declare(1)));
    let mut other = owner.declaration(1);
    other.key = KeyId::from_bytes([1; 16]);
    let declare = |declaration: &JobDeclaration| {
        let declared = owner
            .registry
            .declare_job(&owner.tenant, declaration, &owner.rules, NOW);
        alone(declared).unwrap()
    };
    assert_eq!(declare(&other), JobDeclared::Conflict);
    let mut missing = owner.declaration(2);
    missing.chunks.push(chunk(b"another"));
    assert_eq!(declare(&missing), JobDeclared::Missing(1));
    let mut elsewhere = owner.declaration(2);
    elsewhere.upload = owner.registry.new_upload().unwrap();
    assert_eq!(declare(&elsewhere), JobDeclared::Missing(0));
    let stranger = Tenant::of("somebody else");
    let declaration = owner.declaration(2);
    let declared = owner
        .registry
        .declare_job(&stranger, &declaration, &owner.rules, NOW);
    assert_eq!(alone(declared).unwrap(), JobDeclared::Missing(0));
}

/// Two invocations, and AWS Lambda delivers one of them twice: one result, and it is there.
#[test]
fn a_chunk_has_one_result_whoever_works_on_it() {
    for seed in 0..ORDERS {
        let owner = Owner::new(1);
        let job = job(alone(owner.declare(1)));
        assert_eq!(owner.work_at_once(seed, job.id), 1, "order {seed}");
        let chunks = alone(owner.registry.chunks(&job, 0..1, NOW)).unwrap();
        let Some(Chunk::Done { attempt, .. }) = chunks[0] else {
            panic!("order {seed}: {chunks:?}");
        };
        let results = owner.objects().into_iter();
        let results: Vec<_> = results.filter(|key| key.starts_with("results/")).collect();
        assert_eq!(results.len(), 1, "order {seed}: {results:?}");
        assert!(results[0].ends_with(&format!("/0-{attempt}.cfr")));
        assert_eq!(alone(owner.registry.results(&job)).unwrap(), 1);
    }
}

/// A deletion beside a worker: the tenant has its place back and finds nothing under the id.
#[test]
fn nothing_of_a_deleted_job_can_be_reached() {
    for seed in 0..ORDERS {
        let owner = Owner::new(1);
        let job = job(alone(owner.declare(1)));
        let stranger = Tenant::of("somebody else");
        assert!(!alone(owner.registry.delete_job(&stranger, job.id)).unwrap());
        let delete = async {
            let deleted = owner.registry.delete_job(&owner.tenant, job.id);
            assert!(deleted.await.unwrap());
        };
        let work = async {
            owner.work(job.id, "a").await;
        };
        interleave(seed, vec![delete.boxed(), work.boxed()], || ());
        assert_eq!(alone(owner.registry.job(job.id)).unwrap(), None);
        assert!(!alone(owner.work(job.id, "b")), "order {seed}");
        assert!(!alone(owner.registry.delete_job(&owner.tenant, job.id)).unwrap());
        let objects = owner.objects();
        let secrets = objects.iter().filter(|key| key.starts_with("uploads/"));
        assert_eq!(secrets.count(), 0, "order {seed}: {objects:?}");
    }
}

/// One checkpoint a chunk, whatever the number of those before it, none behind a result, and none of a
/// job that was deleted.
#[test]
fn checkpoints_are_objects_of_their_job() {
    let owner = Owner::new(1);
    let job = job(alone(owner.declare(1)));
    let claim = claim("a");
    alone(owner.registry.change_chunk(job.id, 0, &claim, NOW))
        .unwrap()
        .unwrap();
    let by = |owner: &str| Attempt {
        number: 1,
        owner: owner.to_owned(),
    };
    let save = |name, before, steps, bytes: &'static [u8]| {
        let kept = Kept {
            steps,
            spent: Duration::from_secs(1),
            bytes: Bytes::from_static(bytes),
        };
        let by = by(name);
        alone(owner.registry.save((&job, 0), &by, (before, kept), NOW)).unwrap()
    };
    let results = || {
        let objects = owner.objects().into_iter();
        let results = objects.filter_map(|key| Some(key.strip_prefix("results/")?.to_owned()));
        results
            .map(|key| key.rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = save("a", None, 5, b"five").unwrap();
    let second = save("a", Some(first), 7, b"seven").unwrap();
    assert_eq!(results(), ["0-1-7.cfc"]);
    assert_eq!(
        save("b", Some(second), 8, b"eight"),
        Err(ChunkRefusal::Superseded)
    );
    assert_eq!(
        save("a", Some(second), 6, b"six"),
        Err(ChunkRefusal::Behind)
    );
    assert_eq!(results(), ["0-1-7.cfc"]);
    assert_eq!(alone(owner.registry.results(&job)).unwrap(), 0);
    let read = || alone(owner.registry.checkpoint(&job, 0, second)).unwrap();
    assert_eq!(read(), Input::Sound(Bytes::from_static(b"seven")));
    assert!(alone(owner.registry.delete_job(&owner.tenant, job.id)).unwrap());
    assert_eq!(results(), Vec::<String>::new());
    assert_eq!(read(), Input::Missing);
    // Somebody who does not know yet.
    assert_eq!(
        save("a", Some(second), 9, b"nine"),
        Err(ChunkRefusal::Superseded)
    );
    assert_eq!(results(), Vec::<String>::new());
}
