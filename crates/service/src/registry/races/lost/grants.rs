//! Frames and trainings that others add to.

use super::super::jobs::{chunk, claim, job};
use super::super::{NOW, alone};
use super::{Operation, World, told, whichever_answer_is_lost};
use crate::Tenant;
use crate::bucket::{Bucket, Condition};
use crate::registry::{
    Attempt, ChunkEvent, FrameDeclared, FramePiece, GrantRefusal, Granting, Job, JointDeclared,
    JointTraining, StoredFrame,
};
use bytes::Bytes;
use cipherfn_protocol::api::frames::{FrameId, GadgetDocument};
use cipherfn_protocol::api::grant::{
    Grant, GrantId, GrantTarget, GrantedColumns, SignedGrant, TrainingTerms,
};
use cipherfn_protocol::api::job::{JobDeclaration, JobKind};
use cipherfn_protocol::api::trainings::{TrainingDeclaration, TrainingId};
use cipherfn_protocol::api::{Problem, ProblemType, PublicKeyFile};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::statement::{PublicKey, Signature};
use std::time::Duration;

const FRAME: FrameId = FrameId::from_bytes([1; 16]);
pub(in crate::registry::races) const TRAINING: TrainingId = TrainingId::from_bytes([1; 16]);
const KEY: KeyId = KeyId::from_bytes([9; 16]);
pub(in crate::registry::races) const OBJECTS: [&[u8]; 2] = [b"north", b"south"];

pub(in crate::registry::races) fn bob() -> Tenant {
    Tenant::of("bob")
}

fn signed(owner: &Tenant, number: u8, target: GrantTarget) -> SignedGrant {
    SignedGrant {
        grant: Grant {
            id: GrantId::from_bytes([number; 16]),
            owner: owner.id(),
            target,
            to: None,
            objects: 2,
            bytes: 100,
            expires: NOW + Duration::from_hours(1),
        },
        key: PublicKey::from_bytes([4; 32]),
        signature: Signature::from_bytes([5; 64]),
    }
}

fn training(least_owners: Option<u32>) -> TrainingDeclaration {
    TrainingDeclaration {
        training: TRAINING,
        program: "fraud".parse().unwrap(),
        specs: Hash::of(b"specs"),
        key: KEY,
        parameter_set: ParameterSetTag::NONE,
        public_key: PublicKeyFile::new(vec![7]),
        least_owners,
    }
}

pub(in crate::registry::races) fn grant_of_training(
    world: &World,
    number: u8,
    least_owners: Option<u32>,
) -> SignedGrant {
    let declared = training(least_owners);
    let terms = TrainingTerms {
        training: TRAINING,
        program: declared.program,
        specs: declared.specs,
        key: KEY,
        public_key: Sha256::from_bytes([6; 32]),
        rows: 50,
        least_owners,
    };
    signed(&world.owner.tenant, number, GrantTarget::Training(terms))
}

pub(in crate::registry::races) fn declared(
    world: &World,
    least_owners: Option<u32>,
) -> JointDeclared {
    let (tenant, rules) = (&world.owner.tenant, &world.owner.rules);
    let declaration = training(least_owners);
    let declared = world
        .registry()
        .declare_joint(tenant, &declaration, rules, NOW);
    alone(declared).unwrap()
}

pub(in crate::registry::races) fn change_training(
    world: &World,
    change: impl Fn(&JointTraining) -> Result<JointTraining, GrantRefusal>,
) -> Result<JointTraining, GrantRefusal> {
    let at = (&world.owner.tenant, TRAINING);
    let changed = alone(world.registry().change_joint(at, change)).unwrap();
    changed.expect("it is there")
}

/// What a change of a training told, and what its grants have used up.
fn change_told(changed: Result<JointTraining, GrantRefusal>) -> String {
    told(changed.map(|training| (training.job, training.status())))
}

/// Somebody's chunk, uploaded and added by a grant that was offered.
pub(in crate::registry::races) fn contribute(
    world: &World,
    by: &Tenant,
    grant: &SignedGrant,
    bytes: &'static [u8],
) {
    let files = [chunk(bytes)];
    change_training(world, |training| training.offered(grant, NOW)).unwrap();
    change_training(world, |training| training.reserved(grant, by, &files, NOW)).unwrap();
    upload(world, bytes);
    change_training(world, |training| {
        training.added(grant, by, (0, &files), NOW)
    })
    .unwrap();
}

pub(in crate::registry::races) fn upload(world: &World, bytes: &'static [u8]) {
    let (registry, tenant) = (world.registry(), &world.owner.tenant);
    let life = world.owner.rules.transfer_lifetime;
    let request = registry.upload_request(tenant, TRAINING.into(), chunk(bytes), life);
    let request = alone(request).unwrap();
    let status = registry
        .bucket()
        .upload(&request, Bytes::from_static(bytes));
    assert_eq!(status, 200);
}

/// The job over both contributions.
pub(in crate::registry::races) fn job_of_total(world: &World) -> JobDeclaration {
    JobDeclaration {
        kind: JobKind::Train,
        upload: TRAINING.into(),
        chunks: OBJECTS.map(chunk).to_vec(),
        ..world.owner.declaration(1)
    }
}

/// A total of two owners, and the job over their contributions, which it has not taken yet.
pub(in crate::registry::races) fn total(world: &World) -> Job {
    declared(world, Some(2));
    let owners = [bob(), Tenant::of("carol")];
    for (number, (owner, bytes)) in (1..).zip(owners.iter().zip(OBJECTS)) {
        let grant = grant_of_training(world, number, Some(2));
        contribute(world, owner, &grant, bytes);
    }
    let declaration = job_of_total(world);
    let (tenant, rules) = (&world.owner.tenant, &world.owner.rules);
    let declared = world
        .registry()
        .declare_job(tenant, &declaration, rules, NOW);
    job(alone(declared).unwrap())
}

#[test]
fn trainings_are_declared_and_deleted() {
    whichever_answer_is_lost("declare", |world| Box::new(|| told(declared(world, None))));
    let delete = |world: &World| {
        let deleted = world.registry().delete_joint(&world.owner.tenant, TRAINING);
        told(alone(deleted).unwrap())
    };
    whichever_answer_is_lost("delete", |world| {
        declared(world, None);
        Box::new(move || delete(world))
    });
    whichever_answer_is_lost("delete with rows", |world| {
        total(world);
        Box::new(move || delete(world) + &told(declared(world, Some(2))))
    });
}

/// A change of a training with one grant that has an address for a chunk.
fn by_grant(
    least_owners: Option<u32>,
    change: impl Fn(&JointTraining, &SignedGrant) -> Result<JointTraining, GrantRefusal>
    + Copy
    + 'static,
) -> impl Fn(&World) -> Operation<'_> {
    move |world| {
        declared(world, least_owners);
        let grant = grant_of_training(world, 1, least_owners);
        let files = [chunk(OBJECTS[0])];
        change_training(world, |training| training.offered(&grant, NOW)).unwrap();
        change_training(world, |training| {
            training.reserved(&grant, &bob(), &files, NOW)
        })
        .unwrap();
        upload(world, OBJECTS[0]);
        Box::new(move || change_told(change_training(world, |training| change(training, &grant))))
    }
}

/// An owner is told what it is told otherwise, and nothing counts twice.
#[test]
fn owners_rows_are_added_once() {
    whichever_answer_is_lost("offer", |world| {
        declared(world, None);
        let grant = grant_of_training(world, 1, None);
        Box::new(move || {
            change_told(change_training(world, |training| {
                training.offered(&grant, NOW)
            }))
        })
    });
    let second = |training: &JointTraining, grant: &SignedGrant| {
        training.reserved(grant, &bob(), &[chunk(OBJECTS[1])], NOW)
    };
    whichever_answer_is_lost("reserve", by_grant(None, second));
    let add = |rows| {
        move |training: &JointTraining, grant: &SignedGrant| {
            training.added(grant, &bob(), (rows, &[chunk(OBJECTS[0])]), NOW)
        }
    };
    whichever_answer_is_lost("add rows", by_grant(None, add(7)));
    whichever_answer_is_lost("contribute", by_grant(Some(2), add(0)));
    for drop_rows in [false, true] {
        let revoke = move |training: &JointTraining, grant: &SignedGrant| {
            training.revoked(grant.grant.id, drop_rows)
        };
        whichever_answer_is_lost("revoke an unused grant", by_grant(None, revoke));
        whichever_answer_is_lost("revoke", move |world| {
            declared(world, Some(2));
            let grant = grant_of_training(world, 1, Some(2));
            contribute(world, &bob(), &grant, OBJECTS[0]);
            let id = grant.grant.id;
            Box::new(move || {
                change_told(change_training(world, |training| {
                    training.revoked(id, drop_rows)
                }))
            })
        });
    }
}

/// It has the one job that it was given, and makes room where that has failed.
#[test]
fn a_total_is_taken_once() {
    whichever_answer_is_lost("begin", |world| {
        let job = total(world);
        Box::new(move || change_told(change_training(world, |training| training.trained_by(&job))))
    });
    let fail = ChunkEvent::Fail {
        by: Attempt {
            number: 1,
            owner: "a".to_owned(),
        },
        problem: Problem::new(ProblemType::StorageUnavailable, "why"),
    };
    whichever_answer_is_lost("reopen", reopen(1, Some(fail)));
    whichever_answer_is_lost("reopen what has run out", reopen(3, None));
}

/// What there is of a training whose job was begun so often and then failed, or let its last lease run out.
fn reopen(times: usize, then: Option<ChunkEvent>) -> impl Fn(&World) -> Operation<'_> {
    move |world| {
        let job = total(world);
        change_training(world, |training| training.trained_by(&job)).unwrap();
        let claims = (0..times).map(|_| claim("a"));
        for event in claims.chain(then.clone()) {
            let happened = world.registry().change_chunk(job.id, 0, &event, NOW);
            alone(happened).unwrap().unwrap();
        }
        let late = NOW + Duration::from_mins(15);
        Box::new(move || {
            let (tenant, registry) = (&world.owner.tenant, world.registry());
            told(alone(registry.open_joint(tenant, TRAINING, late)).unwrap())
        })
    }
}

fn frame(world: &World) -> StoredFrame {
    StoredFrame {
        id: FRAME,
        tenant: world.owner.tenant.clone(),
        schema: serde_json::json!({ "name": "sales", "rows": 5, "column": [{ "name": "sku" }] }),
        key: KEY,
        parameter_set: ParameterSetTag::NONE,
        gadget: GadgetDocument {
            base_log: 6,
            levels: 4,
        },
        pieces: vec![piece(b"own")],
        created: NOW,
        until: NOW + world.frames.lifetime,
        grants: Vec::new(),
        columns: Vec::new(),
    }
}

fn piece(bytes: &[u8]) -> FramePiece {
    FramePiece {
        file: chunk(bytes),
        rows: 5,
    }
}

fn declare_frame(world: &World) -> FrameDeclared {
    let frame = frame(world);
    alone(world.registry().declare_frame(&frame, &world.frames, NOW)).unwrap()
}

fn change_frame(
    world: &World,
    change: impl Fn(&StoredFrame) -> Result<StoredFrame, GrantRefusal>,
) -> Result<StoredFrame, GrantRefusal> {
    let at = (&world.owner.tenant, FRAME);
    let changed = alone(world.registry().change_frame(at, change)).unwrap();
    changed.expect("it is there")
}

#[test]
fn frames_are_declared_and_deleted() {
    whichever_answer_is_lost("declare", |world| Box::new(|| told(declare_frame(world))));
    whichever_answer_is_lost("delete", |world| {
        declare_frame(world);
        let (registry, tenant) = (world.registry(), &world.owner.tenant);
        let path = format!("frames/{tenant}/{FRAME}/{}.cff", chunk(b"own").sha256);
        let put = registry
            .bucket()
            .put(&path, Bytes::from_static(b"own"), "", Condition::Always);
        alone(put).unwrap();
        Box::new(move || told(alone(registry.delete_frame(tenant, FRAME)).unwrap()))
    });
}

#[test]
fn rows_and_columns_of_others_are_added_once() {
    let columns = GrantedColumns {
        schema: serde_json::json!({ "name": "sales", "column": [{ "name": "rain" }] }).to_string(),
        parts: vec![5],
    };
    for target in [FRAME.into(), GrantTarget::Columns(FRAME, columns)] {
        let offered = |world: &World| {
            declare_frame(world);
            signed(&world.owner.tenant, 1, target.clone())
        };
        let step = |world: &World, grant: &SignedGrant, step: usize| {
            told(change_frame(world, |frame| match step {
                0 => frame.offered(grant, NOW),
                1 => frame.reserved(grant, &bob(), &[chunk(OBJECTS[0])], NOW),
                2 => frame.added(grant, &bob(), &[piece(OBJECTS[0])], NOW),
                3 => frame.revoked(grant.grant.id, false),
                _ => frame.revoked(grant.grant.id, true),
            }))
        };
        for (last, name) in [
            (0, "offer"),
            (1, "reserve"),
            (2, "add"),
            (3, "revoke"),
            (4, "drop"),
        ] {
            whichever_answer_is_lost(name, |world| {
                let grant = offered(world);
                for before in 0..last {
                    step(world, &grant, before);
                }
                Box::new(move || step(world, &grant, last))
            });
        }
        whichever_answer_is_lost("revoke an unused grant", |world| {
            let grant = offered(world);
            step(world, &grant, 0);
            Box::new(move || step(world, &grant, 3))
        });
    }
}
