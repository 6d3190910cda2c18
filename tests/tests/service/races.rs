//! Requests at the same time, over the embedded S3. More orders of the same requests are tried in
//! memory, by the registry's own tests.

use crate::bucket::{send, server};
use crate::stack::Stack;
use crate::uploads::registration::Registration;
use bytes::Bytes;
use cipherfn_protocol::api::{KeyState, ModelName, ProblemType, PublishedKind};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::KeyId;
use cipherfn_service::bucket::Bucket;
use cipherfn_service::config::KeyRules;
use cipherfn_service::registry::{
    Checked, Declaration, Declared, DeclaredPart, KeyFile, PartName, Published,
};
use cipherfn_service::{Registry, Tenant};
use sha2::Digest;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::JoinSet;

/// Rounds of three publishers, and of a removal beside two.
const ROUNDS: usize = 100;

fn published(text: &str) -> Published {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Published {
        hash: Hash::of(text.as_bytes()),
        bundle: Some(bytes.clone()),
        specs: bytes.clone(),
        specs_v1: None,
        report: Some(bytes),
        kind: PublishedKind::Model,
    }
}

async fn publish(registry: Registry, name: ModelName, text: String) {
    let keep = NonZeroUsize::new(4).expect("not 0");
    let now = OffsetDateTime::now_utc();
    let version = published(&text);
    let published = registry
        .publish(&name, &version, &|_, _| None, keep, now)
        .await;
    published.expect("published");
}

/// The model's live versions are these, and whole.
async fn check(registry: &Registry, name: &ModelName, texts: &[&str]) {
    let model = registry.model(name).await.expect("an answer");
    let versions = model.map(|model| model.versions).unwrap_or_default();
    let mut live = Vec::new();
    for version in &versions {
        let bundle = registry.bundle(name, version).await.expect("an answer");
        let bundle = bundle.unwrap_or_else(|| panic!("{name}: {version:?} is lost"));
        live.push(String::from_utf8(bundle.to_vec()).expect("text"));
    }
    live.sort();
    assert_eq!(live, texts, "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_publishers_at_once_lose_nothing() {
    let (_server, bucket, _data) = server().await;
    let registry = Registry::new(bucket);
    for round in 0..ROUNDS {
        let name: ModelName = format!("model-{}", round % 10).parse().expect("a name");
        registry
            .remove(&name, None, &|_, _| None)
            .await
            .expect("removed");
        let mut tasks = JoinSet::new();
        for text in ["a", "b", "c"] {
            tasks.spawn(publish(registry.clone(), name.clone(), text.to_owned()));
        }
        tasks.join_all().await;
        check(&registry, &name, &["a", "b", "c"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_beside_publishing_loses_nothing() {
    let (_server, bucket, _data) = server().await;
    let registry = Registry::new(bucket);
    for round in 0..ROUNDS {
        let name: ModelName = format!("model-{}", round % 10).parse().expect("a name");
        let version = (round % 2 == 0).then(|| Hash::of(b"a"));
        registry
            .remove(&name, None, &|_, _| None)
            .await
            .expect("removed");
        publish(registry.clone(), name.clone(), "a".to_owned()).await;
        let mut tasks = JoinSet::new();
        for text in ["b", "c"] {
            tasks.spawn(publish(registry.clone(), name.clone(), text.to_owned()));
        }
        let (remover, of) = (registry.clone(), name.clone());
        tasks.spawn(async move {
            let removed = remover.remove(&of, version, &|_, _| None);
            assert!(removed.await.expect("removed").1);
        });
        tasks.join_all().await;
        if version.is_some() {
            check(&registry, &name, &["b", "c"]).await;
            continue;
        }
        // What was published before the removal is removed; what came after it is whole.
        let objects = registry.bucket().list(&format!("models/{name}/")).await;
        let objects = objects.expect("a listing").len();
        let model = registry.model(&name).await.expect("an answer");
        let live = model.map_or(0, |model| model.versions.len());
        assert_eq!(objects, 3 * live + usize::from(live > 0), "{name}");
        for version in ["b", "c"] {
            publish(registry.clone(), name.clone(), version.to_owned()).await;
        }
        check(&registry, &name, &["b", "c"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_at_once_are_not_more_than_a_tenant_may_have() {
    const QUOTA: u64 = 3;
    let (_server, bucket, _data) = server().await;
    let registry = Registry::new(bucket);
    let rules = KeyRules {
        lifetime: Duration::from_hours(24),
        quota: QUOTA,
        upload_lifetime: Duration::from_mins(5),
        min_part_bytes: 1,
    };
    for round in 0..20 {
        let tenant = Tenant::of(&format!("tenant {round}"));
        let active = std::sync::Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let (registry, tenant, active) = (registry.clone(), tenant.clone(), active.clone());
            tasks.spawn(async move {
                if register(&registry, &tenant, &rules, KeyId::from_bytes([number; 16])).await {
                    active.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(
            active.load(Ordering::Relaxed) as u64,
            QUOTA,
            "round {round}"
        );
    }
}

/// Whether the key is active in the end.
async fn register(registry: &Registry, tenant: &Tenant, rules: &KeyRules, key: KeyId) -> bool {
    const CONTENT: &[u8] = b"content";
    let now = OffsetDateTime::now_utc();
    let part = PartName::expansion();
    let declared = DeclaredPart {
        file: KeyFile {
            bytes: CONTENT.len() as u64,
            sha256: Sha256::from_bytes(sha2::Sha256::digest(CONTENT).into()),
        },
        pieces: None,
    };
    let declaration = Declaration {
        key,
        parameter_set: "set".to_owned(),
        parts: BTreeMap::from([(part.clone(), declared)]),
    };
    let declared = registry.declare(tenant, &declaration, rules, now).await;
    let (record, missing) = match declared.expect("an answer") {
        Declared::Registered { record, missing } => (record, missing),
        Declared::Quota => return false,
        other => panic!("{other:?}"),
    };
    let request = &missing[&part][0].request;
    assert_eq!(send(request, Bytes::from_static(CONTENT)).await, 200);
    let checked = Checked {
        place: record.parts[&part].place().expect("a place"),
        part,
        bytes: Bytes::from_static(CONTENT),
        verdict: Ok(()),
    };
    let settled = registry.settle(tenant, key, checked, rules, now).await;
    settled.expect("an answer");
    let record = registry.record(tenant, key).await.expect("an answer");
    record.is_some_and(|record| record.parts.values().all(|part| part.is_active(now)))
}

/// The whole service, its functions as processes: what is answered 204 stays deleted, and what is
/// answered as active stays active.
#[tokio::test(flavor = "multi_thread")]
async fn requests_for_one_key_at_the_same_time() {
    let stack = Stack::start(|_| {}).await;
    let registration = Registration::new(&stack);
    for round in 0..20 {
        let part = registration.part().await;
        assert_eq!(registration.put(&part).await.status, 200);
        if round % 2 == 0 {
            let (completed, deleted) =
                tokio::join!(registration.complete(), registration.send("DELETE", ""));
            assert_eq!(deleted.status, 204, "{completed:?}");
            let found = registration.send("GET", "").await;
            assert_eq!(
                found.problem().kind,
                ProblemType::UnknownKey,
                "{completed:?}"
            );
            assert_eq!(stack.key_objects().await, [""; 0], "{completed:?}");
        } else {
            let (completed, declared) =
                tokio::join!(registration.complete(), registration.declare());
            assert_eq!(completed.status, 200, "{declared:?}");
            assert_eq!(registration.status().await.state, KeyState::Active);
            assert_eq!(registration.send("DELETE", "").await.status, 204);
        }
    }
}
