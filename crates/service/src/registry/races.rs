//! Requests at the same time, in many orders.
//!
//! The bucket in memory gives way before and after each of its operations. So whoever polls the
//! requests one at a time decides the order of all operations, and a seed decides for whoever polls.

mod damage;
mod jobs;
mod lost;
mod totals;
mod trainings;

use super::{
    Checked, Declaration, Declared, DeclaredPart, KeyFile, MissingPiece, PartName, Published,
    Record, Registration, Registry, Settled,
};
use crate::Tenant;
use crate::bucket::{Bucket, Condition, Memory};
use crate::config::KeyRules;
use bytes::Bytes;
use cipherfn_protocol::api::{ModelName, Pieces, PublishedKind};
use cipherfn_protocol::hash::{Hash, Sha256, SpecsHash};
use cipherfn_protocol::message::KeyId;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use sha2::Digest;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::task::{Context, Waker};
use std::time::Duration;
use time::OffsetDateTime;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
/// Orders of each kind that are tried.
const ORDERS: u64 = 400;

/// Runs all of them, one operation at a time, in an order that follows from the seed. `between`
/// looks at the bucket after each step.
fn interleave(seed: u64, tasks: Vec<BoxFuture<'_, ()>>, mut between: impl FnMut()) {
    let mut tasks = tasks;
    let mut context = Context::from_waker(Waker::noop());
    let mut state = seed;
    while !tasks.is_empty() {
        // Splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = state;
        random = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let chosen = ((random ^ (random >> 31)) % tasks.len() as u64) as usize;
        if tasks[chosen].poll_unpin(&mut context).is_ready() {
            drop(tasks.swap_remove(chosen));
        }
        between();
    }
}

/// Runs one to its end.
fn alone<T>(task: impl Future<Output = T>) -> T {
    let mut task = std::pin::pin!(task);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let std::task::Poll::Ready(result) = task.as_mut().poll(&mut context) {
            return result;
        }
    }
}

/// A tenant at a registry.
#[derive(Clone)]
struct Caller {
    registry: Registry<Memory>,
    tenant: Tenant,
    rules: KeyRules,
}

fn key(number: u8) -> KeyId {
    KeyId::from_bytes([number; 16])
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

fn declaration(key: KeyId, content: &'static [u8], cut: bool) -> Declaration {
    let part = DeclaredPart {
        file: KeyFile {
            bytes: content.len() as u64,
            sha256: sha256(content),
        },
        pieces: cut.then(|| Pieces {
            bytes: 4,
            sha256: content.chunks(4).map(sha256).collect(),
        }),
    };
    Declaration {
        key,
        parameter_set: "set".to_owned(),
        parts: BTreeMap::from([(PartName::expansion(), part)]),
    }
}

impl Caller {
    fn new(quota: u64) -> Self {
        Self {
            registry: Registry::new(Memory::default()),
            tenant: Tenant::of("somebody"),
            rules: KeyRules {
                lifetime: Duration::from_hours(1000),
                quota,
                upload_lifetime: Duration::from_mins(15),
                min_part_bytes: 1,
            },
        }
    }

    async fn declare(&self, key: KeyId, content: &'static [u8], cut: bool) -> Declared {
        let declaration = declaration(key, content, cut);
        self.registry
            .declare(&self.tenant, &declaration, &self.rules, NOW)
            .await
            .unwrap()
    }

    fn send(&self, content: &'static [u8], missing: &BTreeMap<PartName, Vec<MissingPiece>>) {
        for MissingPiece { piece, request, .. } in missing.values().flatten() {
            let bytes = &content[piece.offset as usize..][..piece.bytes as usize];
            let _ = self
                .registry
                .bucket()
                .upload(request, Bytes::from_static(bytes));
        }
    }

    /// What `complete` does.
    async fn complete(&self, key: KeyId) -> Option<Settled> {
        let record = self.registry.record(&self.tenant, key).await.unwrap()?;
        let part = PartName::expansion();
        let pending = record.parts.get(&part)?;
        let bytes = self
            .registry
            .uploaded(&self.tenant, key, &part, pending)
            .await
            .unwrap()?;
        let checked = Checked {
            part,
            place: pending.place()?,
            bytes,
            verdict: Ok(()),
        };
        let settled = self
            .registry
            .settle(&self.tenant, key, checked, &self.rules, NOW);
        Some(settled.await.unwrap())
    }

    /// The whole registration.
    async fn register(&self, key: KeyId, content: &'static [u8], cut: bool) -> bool {
        let Declared::Registered { missing, .. } = self.declare(key, content, cut).await else {
            return false;
        };
        self.send(content, &missing);
        self.complete(key).await;
        self.is_active(key).await
    }

    async fn record(&self, key: KeyId) -> Option<Record> {
        self.registry.record(&self.tenant, key).await.unwrap()
    }

    async fn is_active(&self, key: KeyId) -> bool {
        let record = self.record(key).await;
        record.is_some_and(|record| record.parts[&PartName::expansion()].is_active(NOW))
    }

    /// Keys of all objects but the index.
    async fn objects(&self) -> Vec<String> {
        let entries = self.registry.bucket().list("").await.unwrap();
        let keys = entries.into_iter().map(|entry| entry.key);
        keys.filter(|key| !key.ends_with("/index.json")).collect()
    }
}

#[test]
fn a_deleted_key_stays_deleted() {
    for seed in 0..ORDERS {
        let caller = Caller::new(10);
        let cut = seed % 2 == 1;
        let Declared::Registered { missing, .. } = alone(caller.declare(key(1), b"content", cut))
        else {
            panic!("declared")
        };
        caller.send(b"content", &missing);
        let (mut completed, mut deleted) = (None, false);
        let tasks = vec![
            async { completed = caller.complete(key(1)).await }.boxed(),
            async {
                let delete = caller.registry.delete_key(&caller.tenant, key(1));
                deleted = delete.await.unwrap();
            }
            .boxed(),
        ];
        interleave(seed, tasks, || ());
        assert!(deleted, "seed {seed}");
        assert_eq!(
            alone(caller.record(key(1))),
            None,
            "seed {seed}: {completed:?}"
        );
        assert_eq!(alone(caller.objects()), [""; 0], "seed {seed}");
    }
}

#[test]
fn a_key_that_was_completed_is_not_pending_again() {
    for seed in 0..ORDERS {
        for content in [b"content", b"another"] {
            let caller = Caller::new(10);
            let cut = seed % 2 == 1;
            let Declared::Registered { missing, .. } =
                alone(caller.declare(key(1), b"content", cut))
            else {
                panic!("declared")
            };
            caller.send(b"content", &missing);
            let (mut completed, mut declared) = (None, None);
            let tasks = vec![
                async { completed = caller.complete(key(1)).await }.boxed(),
                async { declared = Some(caller.declare(key(1), content, cut).await) }.boxed(),
            ];
            interleave(seed, tasks, || ());
            let record = alone(caller.record(key(1))).unwrap();
            let state = &record.parts[&PartName::expansion()];
            let was_completed = matches!(completed, Some(Settled::Recorded(_)));
            assert_eq!(
                state.is_active(NOW),
                was_completed,
                "seed {seed}: {state:?}"
            );
            // The other file was refused, or the first one's completion was.
            let conflict = matches!(declared, Some(Declared::Conflict));
            assert_eq!(
                content != b"content" && was_completed,
                conflict,
                "seed {seed}: {declared:?}"
            );
            if let Registration::Active { file, place, .. } = state {
                let part = PartName::expansion();
                let stored = caller
                    .registry
                    .part(&caller.tenant, key(1), &part, (*file, *place));
                assert!(alone(stored).unwrap().is_some(), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_tenant_never_has_more_keys_than_it_may() {
    for seed in 0..ORDERS {
        let caller = Caller::new(2);
        if seed % 3 == 0 {
            assert!(alone(caller.register(key(0), b"content", false)));
        }
        let tasks = (0..5)
            .map(|number| {
                let caller = caller.clone();
                let register = async move {
                    caller.register(key(number), b"content", number == 2).await;
                    if number == 3 {
                        let delete = caller.registry.delete_key(&caller.tenant, key(0));
                        delete.await.unwrap();
                    }
                };
                register.boxed()
            })
            .collect();
        let active = || {
            let keys = (0..5).map(|number| caller.is_active(key(number)));
            let active = alone(join_all(keys));
            active.into_iter().filter(|active| *active).count()
        };
        interleave(seed, tasks, || {
            // Looking takes its time: in one order of twenty, after every step.
            assert!(seed % 20 != 0 || active() <= 2, "seed {seed}");
        });
        assert!(active() <= 2, "seed {seed}");
        // Nothing counts that is not there: the tenant can have as many as it may.
        for number in 0..5 {
            let delete = caller.registry.delete_key(&caller.tenant, key(number));
            alone(delete).unwrap();
        }
        assert!(alone(caller.register(key(7), b"content", false)));
        assert!(alone(caller.register(key(8), b"content", false)));
        assert!(!alone(caller.register(key(9), b"content", false)));
    }
}

fn published(text: &'static str) -> Published {
    let bytes = Bytes::from_static(text.as_bytes());
    Published {
        hash: hash(text),
        bundle: Some(bytes.clone()),
        specs: bytes.clone(),
        specs_v1: None,
        report: Some(bytes),
        kind: PublishedKind::Model,
    }
}

fn hash(text: &str) -> SpecsHash {
    Hash::of(text.as_bytes())
}

fn model() -> ModelName {
    "fraud".parse().unwrap()
}

fn publish<'a>(
    registry: &'a Registry<Memory>,
    text: &'static str,
    keep: usize,
    now: OffsetDateTime,
) -> BoxFuture<'a, ()> {
    async move {
        let keep = NonZeroUsize::new(keep).unwrap();
        let version = published(text);
        registry
            .publish(&model(), &version, &|_, _| None, keep, now)
            .await
            .unwrap();
    }
    .boxed()
}

/// The live versions, each of which must be whole.
fn live(registry: &Registry<Memory>, seed: u64) -> Vec<SpecsHash> {
    let Some(found) = alone(registry.model(&model())).unwrap() else {
        return Vec::new();
    };
    for version in &found.versions {
        let bundle = alone(registry.bundle(&model(), version)).unwrap();
        let bundle = bundle.unwrap_or_else(|| panic!("seed {seed}: {version:?} is not there"));
        assert_eq!(Hash::of(&bundle), version.specs, "seed {seed}");
        assert!(
            alone(registry.specs(&model(), version, version.specs))
                .unwrap()
                .is_some()
        );
    }
    let mut live: Vec<_> = found.versions.iter().map(|it| it.specs).collect();
    live.sort();
    live
}

fn sorted<const N: usize>(texts: [&str; N]) -> Vec<SpecsHash> {
    let mut hashes = texts.map(hash).to_vec();
    hashes.sort();
    hashes
}

#[test]
fn publishing_at_the_same_time_loses_nothing() {
    for seed in 0..ORDERS {
        let registry = Registry::new(Memory::default());
        alone(publish(&registry, "a", 4, NOW));
        // Two of them publish the same.
        let tasks = ["b", "c", "b"]
            .map(|text| publish(&registry, text, 4, NOW))
            .into();
        interleave(seed, tasks, || _ = live(&registry, seed));
        assert_eq!(
            live(&registry, seed),
            sorted(["a", "b", "c"]),
            "seed {seed}"
        );
    }
}

#[test]
fn removing_beside_publishing_removes_what_it_is_told_to() {
    for seed in 0..ORDERS {
        let registry = Registry::new(Memory::default());
        alone(publish(&registry, "a", 4, NOW));
        let one = async {
            let removed = registry
                .remove(&model(), Some(hash("a")), &|_, _| None)
                .await;
            assert!(removed.unwrap().1);
        };
        let tasks = vec![
            publish(&registry, "b", 4, NOW),
            one.boxed(),
            publish(&registry, "c", 4, NOW),
        ];
        interleave(seed, tasks, || _ = live(&registry, seed));
        assert_eq!(live(&registry, seed), sorted(["b", "c"]), "seed {seed}");

        // All of it: what comes after is there, and whole; nothing else is left.
        let all = async {
            let removed = registry.remove(&model(), None, &|_, _| None).await;
            assert!(removed.unwrap().1);
        };
        let tasks = vec![
            publish(&registry, "d", 4, NOW),
            all.boxed(),
            publish(&registry, "e", 4, NOW),
        ];
        interleave(seed, tasks, || _ = live(&registry, seed));
        let left = live(&registry, seed);
        assert!(!left.contains(&hash("b")) && !left.contains(&hash("c")));
        let objects = alone(registry.bucket().list("")).unwrap().len();
        let pointer = usize::from(!left.is_empty());
        assert_eq!(objects, 3 * left.len() + pointer, "seed {seed}");
    }
}

#[test]
fn files_of_former_versions_go_later_and_never_a_live_one() {
    for seed in 0..ORDERS {
        let registry = Registry::new(Memory::default());
        for text in ["a", "b"] {
            alone(publish(&registry, text, 1, NOW));
        }
        let count = || alone(registry.bucket().list("")).unwrap().len();
        assert_eq!(
            count(),
            1 + 2 * 3,
            "whoever reads the former version can go on"
        );
        let later = OffsetDateTime::now_utc() + Duration::from_mins(16);
        let collect = async { registry.collect(&model(), later).await.unwrap() };
        let tasks = vec![
            collect.boxed(),
            publish(&registry, "c", 1, later),
            publish(&registry, "a", 2, later),
        ];
        interleave(seed, tasks, || _ = live(&registry, seed));
        alone(registry.collect(&model(), later + Duration::from_mins(16))).unwrap();
        assert_eq!(count(), 1 + 3 * live(&registry, seed).len(), "seed {seed}");
    }
}

#[test]
fn clocks_of_publishers_do_not_matter() {
    let registry = Registry::new(Memory::default());
    let under_way = format!("models/{}/{}/specs.json", model(), "0".repeat(32));
    let written = registry.bucket().put(
        &under_way,
        Bytes::from_static(b"{}"),
        "application/json",
        Condition::Always,
    );
    alone(written).unwrap();
    let files = || alone(registry.bucket().list("")).unwrap().len();
    // Days ahead: what another publisher has just written is not old.
    alone(publish(
        &registry,
        "a",
        1,
        OffsetDateTime::now_utc() + Duration::from_hours(72),
    ));
    assert_eq!(files(), 1 + 1 + 3);
    // Years behind: a version that was live a moment ago is read yet.
    alone(publish(&registry, "b", 1, NOW));
    alone(publish(&registry, "c", 1, OffsetDateTime::now_utc()));
    assert_eq!(files(), 1 + 1 + 3 * 3);
    alone(registry.remove(&model(), None, &|_, _| None)).unwrap();
    assert!(
        alone(registry.bucket().get(&under_way, 16))
            .unwrap()
            .is_some()
    );
}
