//! What lies where a document should and is none, and changes whose success nobody learnt of.

use super::{Caller, NOW, alone, hash, key, model, publish, published};
use crate::bucket::{Bucket, Condition, Memory, StorageError};
use bytes::Bytes;
use futures_util::future::FutureExt;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Waker};

fn write(bucket: &Memory, path: &str, bytes: Bytes) {
    let put = bucket.put(path, bytes, "application/json", Condition::Always);
    assert!(alone(put).unwrap().is_some());
}

fn read(bucket: &Memory, path: &str) -> Bytes {
    alone(bucket.get(path, 1 << 20)).unwrap().unwrap().bytes
}

/// No document, one that is too large, and the document of another place.
fn damages(other: &Bytes) -> [Bytes; 3] {
    let large = Bytes::from(vec![b' '; 5 << 20]);
    [Bytes::from_static(b"{"), large, other.clone()]
}

#[test]
fn a_damaged_registration_is_declared_anew_or_deleted() {
    let caller = Caller::new(2);
    let bucket = caller.registry.bucket();
    let record = |number| format!("keys/{}/{}/record.json", caller.tenant, key(number));
    assert!(alone(caller.register(key(9), b"content", false)));
    let other = read(bucket, &record(9));
    for damage in damages(&other) {
        assert!(alone(caller.register(key(1), b"content", false)));
        write(bucket, &record(1), damage.clone());
        let found = alone(caller.registry.record(&caller.tenant, key(1)));
        assert!(
            matches!(found, Err(StorageError::Corrupt { .. })),
            "{found:?}"
        );
        let keys = alone(caller.registry.keys(&caller.tenant, NOW)).unwrap();
        let sound: Vec<_> = keys.records.iter().map(|record| record.key).collect();
        assert_eq!((sound, keys.unreadable), (vec![key(9)], vec![key(1)]));
        assert!(alone(caller.register(key(1), b"content", false)));
        write(bucket, &record(1), damage);
        assert!(alone(caller.registry.delete_key(&caller.tenant, key(1))).unwrap());
        // Nothing is left of it, and the other key is as it was.
        let objects = alone(caller.objects());
        assert_eq!(objects.len(), 2, "{objects:?}");
        assert_eq!(read(bucket, &record(9)), other);
    }
}

#[test]
fn a_damaged_index_is_made_anew_and_counts_what_there_is() {
    let caller = Caller::new(1);
    let bucket = caller.registry.bucket();
    let index = format!("keys/{}/index.json", caller.tenant);
    assert!(alone(caller.register(key(2), b"content", false)));
    for damage in damages(&Bytes::from_static(b"[]")) {
        write(bucket, &index, damage.clone());
        assert!(!alone(caller.register(key(3), b"content", false)));
        write(bucket, &index, damage);
        let keys = alone(caller.registry.keys(&caller.tenant, NOW)).unwrap();
        assert_eq!((keys.records.len(), keys.unreadable.len()), (1, 0));
        assert!(alone(caller.register(key(2), b"content", false)));
    }
}

#[test]
fn a_damaged_key_is_uploaded_anew() {
    let caller = Caller::new(1);
    assert!(alone(caller.register(key(2), b"content", false)));
    let objects = alone(caller.objects());
    let file = objects.iter().find(|key| key.ends_with("/expansion.cfk"));
    let file = file.unwrap();
    write(caller.registry.bucket(), file, Bytes::from_static(b"{"));
    assert!(alone(caller.register(key(2), b"content", false)));
    let objects = alone(caller.objects());
    assert_eq!(objects.len(), 2, "{objects:?}");
}

#[test]
fn a_damaged_model_leaves_the_others_alone_and_is_published_anew_or_removed() {
    let caller = Caller::new(1);
    let (registry, bucket) = (&caller.registry, caller.registry.bucket());
    let pointer = |name: &str| format!("models/{name}/model.json");
    let third = "third".parse().unwrap();
    let keep = NonZeroUsize::MIN;
    alone(registry.publish(&third, &published("c"), &|_, _| None, keep, NOW)).unwrap();
    let sound = read(bucket, &pointer("third"));
    for damage in damages(&sound) {
        alone(publish(registry, "a", 2, NOW));
        write(bucket, &pointer("fraud"), damage.clone());
        write(bucket, &pointer("other"), damage);
        let models = alone(registry.models()).unwrap();
        assert_eq!((models.models.len(), models.unreadable.len()), (1, 2));
        assert!(alone(registry.roll_back(&model(), None, &|_, _| None)).is_err());
        let version = Some(hash("c"));
        assert!(alone(registry.remove(&model(), version, &|_, _| None)).is_err());
        alone(publish(registry, "a", 2, NOW));
        let models = alone(registry.models()).unwrap();
        assert_eq!((models.models.len(), models.unreadable.len()), (2, 1));
        let other = "other".parse().unwrap();
        let removed = alone(registry.remove(&other, None, &|_, _| None));
        assert_eq!(removed.unwrap(), (None, true));
        assert!(alone(registry.models()).unwrap().unreadable.is_empty());
        assert_eq!(read(bucket, &pointer("third")), sound);
    }
}

#[test]
fn what_a_later_build_has_written_is_not_touched_and_hides_nothing() {
    let caller = Caller::new(1);
    let (registry, bucket) = (&caller.registry, caller.registry.bucket());
    alone(publish(registry, "a", 2, NOW));
    let newer = Bytes::from_static(br#"{"format":9}"#);
    write(bucket, "models/other/model.json", newer);
    let other = "other".parse().unwrap();
    let models = alone(registry.models()).unwrap();
    assert_eq!((models.models.len(), models.unreadable.len()), (1, 1));
    assert!(alone(registry.remove(&other, None, &|_, _| None)).is_err());
    let keep = NonZeroUsize::MIN;
    assert!(alone(registry.publish(&other, &published("a"), &|_, _| None, keep, NOW)).is_err());
}

/// Of two that roll back from the same version both mean the one before it: whoever comes second,
/// or does not learn that its own change was made, does not go back to what it fled from.
#[test]
fn rolling_back_twice_at_once_is_rolling_back() {
    // From where the document is read on to where it is about to be written.
    for steps in 2..4 {
        let registry = Caller::new(1).registry;
        alone(publish(&registry, "a", 2, NOW));
        alone(publish(&registry, "b", 2, NOW));
        let sign = |_: Option<&_>, _| None;
        let model = model();
        let mut first = pin!(registry.roll_back(&model, None, &sign));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..steps {
            assert!(first.poll_unpin(&mut context).is_pending());
        }
        let second = alone(registry.roll_back(&model, None, &sign)).unwrap();
        let first = alone(first).unwrap();
        for model in [first, second] {
            assert_eq!(model.unwrap().current, hash("a"), "{steps} steps");
        }
    }
}
