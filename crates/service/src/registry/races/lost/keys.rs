//! Keys, and the index that counts them.

use super::super::{NOW, alone, declaration, key};
use super::{told, whichever_answer_is_lost};
use crate::registry::{Checked, Declared, PartName};
use std::time::Duration;

const CONTENT: &[u8] = b"content";

#[test]
fn keys_are_declared_completed_and_deleted() {
    for cut in [false, true] {
        whichever_answer_is_lost("declare", |world| {
            Box::new(move || without_addresses(alone(world.caller.declare(key(1), CONTENT, cut))))
        });
        whichever_answer_is_lost("complete", |world| {
            let Declared::Registered { missing, .. } =
                alone(world.caller.declare(key(1), CONTENT, cut))
            else {
                panic!("declared");
            };
            world.caller.send(CONTENT, &missing);
            Box::new(|| told(alone(world.caller.complete(key(1)))))
        });
        whichever_answer_is_lost("reject", |world| {
            let Declared::Registered { record, missing } =
                alone(world.caller.declare(key(1), CONTENT, cut))
            else {
                panic!("declared");
            };
            world.caller.send(CONTENT, &missing);
            let part = PartName::expansion();
            let checked = Checked {
                place: record.parts[&part].place().unwrap(),
                part,
                bytes: CONTENT.into(),
                verdict: Err("why".to_owned()),
            };
            let (caller, rules) = (&world.caller, &world.caller.rules);
            Box::new(move || {
                let checked = checked.clone();
                let settled = caller
                    .registry
                    .settle(&caller.tenant, key(1), checked, rules, NOW);
                told(alone(settled).unwrap())
            })
        });
        whichever_answer_is_lost("delete", |world| {
            assert!(alone(world.caller.register(key(1), CONTENT, cut)));
            alone(world.caller.declare(key(1), b"another", cut));
            let (registry, tenant) = (&world.caller.registry, &world.caller.tenant);
            Box::new(|| told(alone(registry.delete_key(tenant, key(1))).unwrap()))
        });
    }
    whichever_answer_is_lost("declare in another's place", |world| {
        alone(world.caller.declare(key(1), CONTENT, true));
        Box::new(|| without_addresses(alone(world.caller.declare(key(1), b"another", true))))
    });
}

/// One too many is none, and what has run out makes room.
#[test]
fn keys_are_counted_once() {
    whichever_answer_is_lost("declare one too many", |world| {
        for number in [1, 2] {
            assert!(alone(world.caller.register(key(number), CONTENT, false)));
        }
        Box::new(|| without_addresses(alone(world.caller.declare(key(3), CONTENT, false))))
    });
    whichever_answer_is_lost("declare in place of what has run out", |world| {
        for number in [1, 2] {
            assert!(alone(world.caller.register(key(number), CONTENT, false)));
        }
        let (caller, rules) = (&world.caller, &world.caller.rules);
        let later = NOW + rules.lifetime + Duration::from_secs(1);
        Box::new(move || {
            let declaration = declaration(key(3), CONTENT, false);
            let declared = caller
                .registry
                .declare(&caller.tenant, &declaration, rules, later);
            without_addresses(alone(declared).unwrap())
        })
    });
}

/// What a declaration told; addresses and the names of uploads are numbers that the bucket counts.
fn without_addresses(declared: Declared) -> String {
    let Declared::Registered { record, missing } = declared else {
        return told(declared);
    };
    let pieces = missing.values().flatten().map(|missing| missing.piece);
    let parts = record.parts.iter();
    let states = parts.map(|(name, part)| (name, part.file(), part.until(), part.is_active(NOW)));
    told((
        record.id,
        states.collect::<Vec<_>>(),
        pieces.collect::<Vec<_>>(),
    ))
}
