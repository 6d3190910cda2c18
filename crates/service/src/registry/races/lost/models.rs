//! Models and their versions.

use super::super::{NOW, alone, hash, model, publish, published};
use super::{Operation, World, told, whichever_answer_is_lost};
use crate::registry::Model;
use cipherfn_protocol::hash::SpecsHash;
use std::num::NonZeroUsize;
use std::time::Duration;
use time::OffsetDateTime;

/// Which version is current and which are live; retired ones go by the clock of the bucket.
fn versions(model: Option<Model>) -> Option<(SpecsHash, Vec<SpecsHash>, usize)> {
    let model = model?;
    let live = model.versions.iter().map(|version| version.specs);
    Some((model.current, live.collect(), model.retired.len()))
}

/// With versions `a` and `b`, of which the second is current.
fn two(world: &World) {
    for text in ["a", "b"] {
        alone(publish(world.registry(), text, 2, NOW));
    }
}

fn remove(version: Option<&'static str>) -> impl Fn(&World) -> Operation<'_> {
    move |world| {
        two(world);
        let name = model();
        Box::new(move || {
            let removed = world
                .registry()
                .remove(&name, version.map(hash), &|_, _| None);
            let (left, is_removed) = alone(removed).unwrap();
            told((versions(left), is_removed))
        })
    }
}

#[test]
fn versions_are_published_and_removed_once() {
    let keep = |number| NonZeroUsize::new(number).unwrap();
    whichever_answer_is_lost("publish", |world| {
        let (name, version) = (model(), published("a"));
        Box::new(move || {
            let published = world
                .registry()
                .publish(&name, &version, &|_, _| None, keep(1), NOW);
            told(versions(Some(alone(published).unwrap())))
        })
    });
    whichever_answer_is_lost("publish in another's place", |world| {
        two(world);
        let (name, version) = (model(), published("c"));
        Box::new(move || {
            let published = world
                .registry()
                .publish(&name, &version, &|_, _| None, keep(2), NOW);
            told(versions(Some(alone(published).unwrap())))
        })
    });
    whichever_answer_is_lost("roll back", |world| {
        two(world);
        let name = model();
        Box::new(move || {
            let rolled_back = world.registry().roll_back(&name, None, &|_, _| None);
            told(versions(alone(rolled_back).unwrap()))
        })
    });
    whichever_answer_is_lost("remove the current one", remove(Some("b")));
    whichever_answer_is_lost("remove another one", remove(Some("a")));
    whichever_answer_is_lost("remove all", remove(None));
    whichever_answer_is_lost("collect", |world| {
        for text in ["a", "b"] {
            alone(publish(world.registry(), text, 1, NOW));
        }
        let name = model();
        let later = OffsetDateTime::now_utc() + Duration::from_mins(16);
        Box::new(move || told(alone(world.registry().collect(&name, later)).is_ok()))
    });
}
