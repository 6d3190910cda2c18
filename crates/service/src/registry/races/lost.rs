//! Storage that makes a change and loses its answer: asked again it refuses, as what is there is no longer what was
//! read. Every operation must tell its caller what it tells otherwise, and leave the same objects, whichever of its
//! answers is lost; and so must the same operation again behind that.

pub(super) mod grants;
mod interleaved;
mod jobs;
mod keys;
mod models;

use super::jobs::Owner;
use super::{Caller, alone};
use crate::bucket::{Bucket, Memory};
use crate::config::{FrameRules, KeyRules};
use crate::registry::Registry;
use serde_json::Value;
use std::fmt::Debug;
use std::time::Duration;

/// A tenant that has a chunk uploaded, and whose key and frame quotas are 2.
pub(super) struct World {
    pub(super) owner: Owner,
    caller: Caller,
    frames: FrameRules,
}

/// An operation that is prepared: what it tells its caller.
type Operation<'w> = Box<dyn Fn() -> String + 'w>;

impl World {
    pub(super) fn new() -> Self {
        let owner = Owner::new(2);
        let caller = Caller {
            registry: owner.registry.clone(),
            tenant: owner.tenant.clone(),
            rules: KeyRules {
                lifetime: Duration::from_hours(1000),
                quota: 2,
                upload_lifetime: Duration::from_mins(15),
                min_part_bytes: 1,
            },
        };
        let frames = FrameRules {
            lifetime: Duration::from_hours(1),
            quota: 2,
        };
        Self {
            owner,
            caller,
            frames,
        }
    }

    pub(super) fn registry(&self) -> &Registry<Memory> {
        &self.owner.registry
    }

    /// All objects, without what differs from one world to the next.
    fn objects(&self) -> Vec<(String, String)> {
        let bucket = self.registry().bucket();
        let listed = alone(bucket.list("")).unwrap();
        let object = |key: String| {
            let bytes = alone(bucket.get(&key, 1 << 20)).unwrap().unwrap().bytes;
            let content = match serde_json::from_slice::<Value>(&bytes) {
                Ok(mut document) => {
                    without_times(&mut document);
                    document.to_string()
                }
                Err(_) => format!("{bytes:?}"),
            };
            (without_ids(&key), without_ids(&content))
        };
        let mut objects: Vec<_> = listed.into_iter().map(|entry| object(entry.key)).collect();
        objects.sort();
        objects
    }
}

/// When versions of a model ceased to be live goes by the clock of the bucket.
fn without_times(document: &mut Value) {
    let retired = document.get_mut("retired").and_then(Value::as_array_mut);
    for retired in retired.into_iter().flatten() {
        retired["since"] = Value::Null;
    }
}

/// With a star for each id, which are 32 hexadecimal digits; hashes, which are not random, have more.
fn without_ids(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let mut left = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let digits = &rest[start..];
        let end = digits.find(|c| !is_digit(c)).unwrap_or(digits.len());
        left.push_str(&rest[..start]);
        left.push_str(if end == 32 { "*" } else { &digits[..end] });
        rest = &digits[end..];
    }
    left + rest
}

/// What an operation told.
fn told(outcome: impl Debug) -> String {
    without_ids(&format!("{outcome:?}"))
}

/// Holds an operation to what it is where no answer is lost.
fn whichever_answer_is_lost(name: &str, prepare: impl Fn(&World) -> Operation<'_>) {
    let run = |lost| {
        let world = World::new();
        let operation = prepare(&world);
        let bucket = world.registry().bucket();
        bucket.lose_answer(lost);
        let first = (operation(), world.objects());
        let is_over = bucket.is_to_lose();
        bucket.lose_answer(0);
        let again = (operation(), world.objects());
        (is_over, first, again)
    };
    let (_, first, again) = run(0);
    for lost in 1.. {
        let (is_over, found, found_again) = run(lost);
        if is_over {
            assert!(lost > 1, "{name} changes nothing: {}", first.0);
            return;
        }
        assert_eq!(found, first, "{name}: answer {lost} is lost");
        assert_eq!(found_again, again, "{name}, again: answer {lost} is lost");
    }
}
