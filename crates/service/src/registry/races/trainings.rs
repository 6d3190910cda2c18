//! Trainings that owners add rows to: counted beside jobs, deleted until nothing is left.

use super::jobs::{Owner, chunk, job};
use super::{NOW, alone};
use crate::bucket::Bucket;
use crate::registry::{JobDeclared, JointDeclared};
use bytes::Bytes;
use cipherfn_protocol::api::PublicKeyFile;
use cipherfn_protocol::api::job::{IdempotencyKey, JobDeclaration};
use cipherfn_protocol::api::trainings::{TrainingDeclaration, TrainingId};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use std::pin::pin;
use std::task::{Context, Waker};

fn training(id: TrainingId) -> TrainingDeclaration {
    TrainingDeclaration {
        training: id,
        program: "risk".parse().unwrap(),
        specs: Hash::of(b"specs"),
        key: KeyId::from_bytes([9; 16]),
        parameter_set: ParameterSetTag::NONE,
        public_key: PublicKeyFile::new(vec![7]),
        least_owners: None,
    }
}

/// A client chooses the ids of trainings and the names of declarations: whichever it takes, what it has counts.
#[test]
fn trainings_and_jobs_do_not_stand_for_each_other() {
    let owner = Owner::new(2);
    let declare = |id| {
        let (registry, tenant) = (&owner.registry, &owner.tenant);
        alone(registry.declare_joint(tenant, &training(id), &owner.rules, NOW)).unwrap()
    };
    let delete = |id| alone(owner.registry.delete_joint(&owner.tenant, id)).unwrap();
    let first = job(alone(owner.declare(1)));
    let of_job: TrainingId = first.id.to_string().parse().unwrap();
    assert!(!delete(of_job), "the id of a job");
    let of_name = TrainingId::from_bytes([1; 16]);
    assert!(matches!(declare(of_name), JointDeclared::New(_)));
    assert!(matches!(declare(of_name), JointDeclared::Known(_)));
    // The declaration is the job that it was, and there is room for no other one.
    assert_eq!(alone(owner.declare(1)), JobDeclared::Known(first));
    assert_eq!(alone(owner.declare(2)), JobDeclared::Quota);
    assert_eq!(
        declare(TrainingId::from_bytes([2; 16])),
        JointDeclared::Quota
    );
    // Nor does a job take the place of a training, if a client finds out under which name that counts.
    let index = format!("jobs/index/{}.json", owner.tenant);
    let index = alone(owner.registry.bucket().get(&index, 1 << 20)).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index.unwrap().bytes).unwrap();
    let names = index["jobs"].as_object().unwrap().keys();
    let names: Vec<IdempotencyKey> = names.map(|name| name.parse().unwrap()).collect();
    assert_eq!(names.len(), 2);
    let named = names
        .iter()
        .find(|name| **name != IdempotencyKey::from_bytes([1; 16]));
    let declaration = JobDeclaration {
        idempotency_key: *named.unwrap(),
        ..owner.declaration(3)
    };
    let declared = owner
        .registry
        .declare_job(&owner.tenant, &declaration, &owner.rules, NOW);
    assert_eq!(alone(declared).unwrap(), JobDeclared::Conflict);
    assert!(delete(of_name) && !delete(of_name));
    job(alone(owner.declare(2)));
}

/// Whenever a deletion breaks off, nothing is added any more, and the same again deletes what is left.
#[test]
fn a_training_s_deletion_can_be_repeated_until_nothing_is_left() {
    for polls in 0.. {
        let owner = Owner::new(1);
        let (registry, tenant) = (&owner.registry, &owner.tenant);
        let declaration = training(TrainingId::from_bytes([3; 16]));
        let id = declaration.training;
        let declared = registry.declare_joint(tenant, &declaration, &owner.rules, NOW);
        assert!(matches!(alone(declared).unwrap(), JointDeclared::New(_)));
        let life = owner.rules.transfer_lifetime;
        let request = registry.upload_request(tenant, id.into(), chunk(b"rows"), life);
        let request = alone(request).unwrap();
        let bucket = registry.bucket();
        assert_eq!(bucket.upload(&request, Bytes::from_static(b"rows")), 200);
        let has_begun = {
            let mut deletion = pin!(registry.delete_joint(tenant, id));
            let mut context = Context::from_waker(Waker::noop());
            if (0..polls).any(|_| deletion.as_mut().poll(&mut context).is_ready()) {
                break;
            }
            alone(registry.joint(tenant, id)).unwrap().is_none()
        };
        if has_begun {
            let added = registry.change_joint((tenant, id), |training| Ok(training.clone()));
            let added = alone(added).unwrap();
            assert!(!matches!(added, Some(Ok(_))), "{polls}: {added:?}");
        }
        alone(registry.delete_joint(tenant, id)).unwrap();
        let left = owner.objects();
        let mut left = left.iter().filter(|key| !key.starts_with("jobs/index/"));
        // The owner's own chunk is none of the training's.
        assert!(
            left.all(|key| key.contains(&owner.upload.to_string())),
            "{polls}"
        );
        job(alone(owner.declare(1)));
    }
}

/// Whenever a training is deleted while it is declared, and declared once more behind that: what there is counts.
#[test]
fn no_training_that_there_is_goes_uncounted() {
    let id = TrainingId::from_bytes([4; 16]);
    for polls in 0.. {
        let owner = Owner::new(1);
        let (registry, tenant) = (&owner.registry, &owner.tenant);
        let declaration = training(id);
        let is_over = {
            let declared = registry.declare_joint(tenant, &declaration, &owner.rules, NOW);
            let mut declared = pin!(declared);
            let mut context = Context::from_waker(Waker::noop());
            let is_over = (0..polls).any(|_| declared.as_mut().poll(&mut context).is_ready());
            if !is_over {
                alone(registry.delete_joint(tenant, id)).unwrap();
                alone(declared).unwrap();
            }
            is_over
        };
        let is_there = alone(registry.joint(tenant, id)).unwrap().is_some();
        let next = alone(owner.declare(1));
        assert!(!is_there || next == JobDeclared::Quota, "{polls}: {next:?}");
        if is_over {
            assert!(is_there);
            assert!(alone(registry.delete_joint(tenant, id)).unwrap());
            job(alone(owner.declare(1)));
            break;
        }
    }
}
