use super::{
    ATTEMPTS_A_CHUNK, Attempt, Checkpoint, Chunk, ChunkEvent, ChunkRefusal, Job, JobOrder,
    SharedQuery, Work,
};
use crate::Tenant;
use crate::registry::UniqueId;
use crate::registry::document::Document;
use cipherfn_protocol::api::frames::{FrameId, FrameQuery};
use cipherfn_protocol::api::job::{
    ChunkFile, IdempotencyKey, JobDeclaration, JobId, JobKind, UploadFolder,
};
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::KeyId;
use std::time::Duration;
use time::OffsetDateTime;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const LEASE: Duration = Duration::from_mins(15);
const RESULT: ChunkFile = ChunkFile {
    bytes: 7,
    sha256: Sha256::from_bytes([7; 32]),
};

fn claim(owner: &str, now: OffsetDateTime) -> ChunkEvent {
    ChunkEvent::Claim {
        owner: owner.to_owned(),
        until: now + LEASE,
        claim: UniqueId::derived(owner),
    }
}

fn by(owner: &str, number: u32) -> Attempt {
    Attempt {
        number,
        owner: owner.to_owned(),
    }
}

fn finish(owner: &str, number: u32) -> ChunkEvent {
    ChunkEvent::Finish {
        by: by(owner, number),
        result: RESULT,
        milliseconds: 5,
    }
}

fn problem() -> Problem {
    Problem::new(ProblemType::StorageUnavailable, "why")
}

fn release(owner: &str, number: u32) -> ChunkEvent {
    ChunkEvent::Release {
        by: by(owner, number),
        problem: problem(),
    }
}

fn held(owner: &str, attempt: u32, until: OffsetDateTime) -> Chunk {
    Chunk::Held {
        attempt,
        owner: owner.to_owned(),
        until,
        claim: Some(UniqueId::derived(owner)),
        checkpoint: None,
    }
}

fn checkpoint(attempt: u32, steps: u64) -> Checkpoint {
    Checkpoint {
        attempt,
        steps,
        milliseconds: 40,
        file: RESULT,
    }
}

fn save(owner: &str, attempt: u32, steps: u64) -> ChunkEvent {
    ChunkEvent::Save {
        owner: owner.to_owned(),
        checkpoint: checkpoint(attempt, steps),
    }
}

#[test]
fn one_invocation_works_on_a_chunk_and_finishes_it() {
    let first = Chunk::next(None, claim("a", NOW), NOW).unwrap();
    assert_eq!(first, held("a", 1, NOW + LEASE));
    let other = Chunk::next(Some(&first), claim("b", NOW), NOW);
    assert_eq!(other, Err(ChunkRefusal::Held));
    let stranger = Chunk::next(Some(&first), finish("b", 1), NOW);
    assert_eq!(stranger, Err(ChunkRefusal::Superseded));
    let done = Chunk::next(Some(&first), finish("a", 1), NOW).unwrap();
    assert!(matches!(done, Chunk::Done { attempt: 1, .. }));
    for event in [claim("a", NOW), claim("b", NOW + 2 * LEASE)] {
        assert_eq!(
            Chunk::next(Some(&done), event, NOW),
            Err(ChunkRefusal::Over)
        );
    }
    assert_eq!(
        Chunk::next(None, finish("a", 1), NOW),
        Err(ChunkRefusal::Superseded),
        "the job was deleted meanwhile"
    );
}

/// AWS Lambda tries an event again with its request id: nobody has to wait for the lease of the
/// attempt that was killed. Any other invocation has to.
#[test]
fn a_killed_attempt_is_followed_by_the_next_of_the_same_invocation() {
    let mut chunk = Chunk::next(None, claim("a", NOW), NOW).unwrap();
    for attempt in 2..=ATTEMPTS_A_CHUNK {
        chunk = Chunk::next(Some(&chunk), claim("a", NOW), NOW).unwrap();
        assert_eq!(chunk, held("a", attempt, NOW + LEASE));
        let late = Chunk::next(Some(&chunk), finish("a", attempt - 1), NOW);
        assert_eq!(late, Err(ChunkRefusal::Superseded));
    }
    assert!(!Chunk::is_free(Some(&chunk), NOW + LEASE));
    assert_eq!(chunk.clone().at(NOW), chunk, "it may still be alive");
    let lost = Chunk::next(Some(&chunk), claim("a", NOW), NOW).unwrap();
    let Chunk::Failed { attempts, problem } = &lost else {
        panic!("{lost:?}");
    };
    assert_eq!(
        (*attempts, problem.kind),
        (ATTEMPTS_A_CHUNK, ProblemType::WorkerLost)
    );
    assert_eq!(chunk.at(NOW + LEASE), lost, "without another claim too");
}

/// Also where it was one part of a chunk: the reason says which.
#[test]
fn a_part_that_three_workers_lost_fails_its_chunk_by_number() {
    let done = Chunk::next(Some(&held("a", 1, NOW + LEASE)), finish("a", 1), NOW).unwrap();
    let lost = held("b", 3, NOW).at(NOW);
    let parts = [Some(done.clone()), Some(done), Some(lost)];
    let Some(Chunk::Failed { attempts, problem }) = Chunk::of_parts(None, &parts) else {
        panic!("it has failed");
    };
    assert_eq!((attempts, problem.kind), (3, ProblemType::WorkerLost));
    assert!(problem.detail.starts_with("part 2 of 3: "), "{problem:?}");
    assert_eq!(Chunk::free_parts(None, &parts, NOW), [0; 0]);
}

/// A job is taken back before its chunk is begun, and has failed for whoever comes.
#[test]
fn a_chunk_that_nobody_has_begun_can_be_taken_back() {
    let withdraw = || ChunkEvent::Withdraw { problem: problem() };
    let failed = Chunk::next(None, withdraw(), NOW).unwrap();
    assert!(matches!(failed, Chunk::Failed { attempts: 0, .. }));
    let late = Chunk::next(Some(&failed), claim("a", NOW), NOW);
    assert_eq!(late, Err(ChunkRefusal::Over));
    for (state, refusal) in [
        (held("a", 1, NOW), ChunkRefusal::Held),
        (failed, ChunkRefusal::Over),
    ] {
        assert_eq!(Chunk::next(Some(&state), withdraw(), NOW), Err(refusal));
    }
}

/// The last lease ran out: written, that is so for its holder too, who may live on.
#[test]
fn a_failure_that_is_derived_can_be_written() {
    let last = held("a", ATTEMPTS_A_CHUNK, NOW + LEASE);
    let (early, late) = (NOW, NOW + LEASE);
    let expire = |state: Option<&Chunk>, now| Chunk::next(state, ChunkEvent::Expire, now);
    assert_eq!(expire(Some(&last), early), Err(ChunkRefusal::Held));
    let failed = expire(Some(&last), late).unwrap();
    assert_eq!(failed, last.clone().at(late));
    assert_eq!(expire(Some(&failed), late), Ok(failed.clone()), "again");
    let finished = Chunk::next(Some(&failed), finish("a", ATTEMPTS_A_CHUNK), late);
    assert_eq!(finished, Err(ChunkRefusal::Superseded));
    let not_the_last = held("a", ATTEMPTS_A_CHUNK - 1, NOW);
    assert_eq!(expire(Some(&not_the_last), late), Err(ChunkRefusal::Held));
    let done = Chunk::next(Some(&last), finish("a", ATTEMPTS_A_CHUNK), late).unwrap();
    assert_eq!(expire(Some(&done), late), Err(ChunkRefusal::Over));
    assert_eq!(expire(None, late), Err(ChunkRefusal::Superseded));
}

#[test]
fn a_lease_that_ran_out_makes_room_for_anybody() {
    let chunk = Chunk::next(None, claim("a", NOW), NOW).unwrap();
    assert!(!Chunk::is_free(Some(&chunk), NOW));
    let later = NOW + LEASE;
    assert!(Chunk::is_free(Some(&chunk), later));
    let second = Chunk::next(Some(&chunk), claim("b", later), later).unwrap();
    assert_eq!(second, held("b", 2, later + LEASE));
}

#[test]
fn what_gives_up_lets_go_at_once_and_fails_for_good_the_last_time() {
    let mut chunk = Chunk::next(None, claim("a", NOW), NOW).unwrap();
    for attempt in 1..ATTEMPTS_A_CHUNK {
        chunk = Chunk::next(Some(&chunk), release("a", attempt), NOW).unwrap();
        assert!(Chunk::is_free(Some(&chunk), NOW));
        chunk = Chunk::next(Some(&chunk), claim("b", NOW), NOW).unwrap();
        assert_eq!(chunk, held("b", attempt + 1, NOW + LEASE));
        chunk = held("a", attempt + 1, NOW + LEASE);
    }
    let failed = Chunk::next(Some(&chunk), release("a", ATTEMPTS_A_CHUNK), NOW).unwrap();
    let expected = Chunk::Failed {
        attempts: ATTEMPTS_A_CHUNK,
        problem: problem(),
    };
    assert_eq!(failed, expected);
    let fail = ChunkEvent::Fail {
        by: by("a", 1),
        problem: problem(),
    };
    let first = Chunk::next(None, claim("a", NOW), NOW).unwrap();
    let failed = Chunk::next(Some(&first), fail.clone(), NOW).unwrap();
    assert!(matches!(failed, Chunk::Failed { attempts: 1, .. }));
    assert_eq!(
        Chunk::next(Some(&failed), fail, NOW),
        Err(ChunkRefusal::Superseded)
    );
}

/// Three attempts from the same place on: what has got somewhere may be tried as often again, by the
/// same invocation or others.
#[test]
fn a_checkpoint_is_kept_until_there_is_one_that_is_further() {
    let mut chunk = Chunk::next(None, claim("a", NOW), NOW).unwrap();
    chunk = Chunk::next(Some(&chunk), save("a", 1, 10), NOW).unwrap();
    let until = NOW + LEASE;
    let kept = |attempt, claim, checkpoint| Chunk::Held {
        attempt,
        owner: "a".to_owned(),
        until,
        claim,
        checkpoint: Some(checkpoint),
    };
    assert_eq!(chunk, kept(1, None, checkpoint(1, 10)));
    for (event, refusal) in [
        (save("a", 1, 9), ChunkRefusal::Behind),
        (save("a", 2, 11), ChunkRefusal::Superseded),
        (save("b", 1, 11), ChunkRefusal::Superseded),
    ] {
        assert_eq!(Chunk::next(Some(&chunk), event, NOW), Err(refusal));
    }
    let gone = Chunk::next(None, save("a", 1, 11), NOW);
    assert_eq!(gone, Err(ChunkRefusal::Superseded));

    for attempt in 2..=20 {
        let let_go = Chunk::next(Some(&chunk), release("a", attempt - 1), NOW).unwrap();
        assert!(Chunk::is_free(Some(&let_go), NOW));
        chunk = Chunk::next(Some(&let_go), claim("a", NOW), NOW).unwrap();
        let steps = 10 * u64::from(attempt);
        chunk = Chunk::next(Some(&chunk), save("a", attempt, steps), NOW).unwrap();
        assert_eq!(chunk, kept(attempt, None, checkpoint(attempt, steps)));
    }
    // Three more that get no further, and it has failed; what came of it is one result.
    for attempt in 21..=23 {
        chunk = Chunk::next(Some(&chunk), claim("a", NOW), NOW).unwrap();
        let claim = Some(UniqueId::derived("a"));
        assert_eq!(chunk, kept(attempt, claim, checkpoint(20, 200)));
    }
    assert!(!Chunk::is_free(Some(&chunk), until));
    let lost = Chunk::next(Some(&chunk), claim("a", NOW), NOW).unwrap();
    assert!(matches!(lost, Chunk::Failed { attempts: 23, .. }));
    assert_eq!(chunk.clone().at(until), lost);
    let released = Chunk::next(Some(&chunk), release("a", 23), NOW).unwrap();
    assert!(matches!(released, Chunk::Failed { attempts: 23, .. }));
    let done = Chunk::next(Some(&chunk), finish("a", 23), NOW).unwrap();
    assert!(matches!(done, Chunk::Done { attempt: 23, .. }));
    let late = Chunk::next(Some(&done), save("a", 23, 300), NOW);
    assert_eq!(late, Err(ChunkRefusal::Superseded));
}

pub(in crate::registry) fn declaration(number: u8, chunks: usize) -> JobDeclaration {
    let chunk = |chunk: usize| ChunkFile {
        bytes: 1 + chunk as u64,
        sha256: Sha256::from_bytes([chunk as u8; 32]),
    };
    JobDeclaration {
        idempotency_key: IdempotencyKey::from_bytes([number; 16]),
        kind: JobKind::Predict,
        model: "fraud".parse().unwrap(),
        specs: Hash::of(b"specs"),
        key: KeyId::from_bytes([9; 16]),
        upload: UploadFolder::from_bytes([8; 16]),
        chunks: (0..chunks).map(chunk).collect(),
        parts: 1,
    }
}

#[test]
fn a_job_is_that_of_its_declaration_and_of_no_other() {
    let (id, tenant) = (JobId::from_bytes([1; 16]), Tenant::of("somebody"));
    let job = Job::new(id, &tenant, &declaration(0, 3), (NOW, NOW + LEASE));
    assert!(job.is(&declaration(0, 3)));
    assert!(!job.is(&declaration(0, 2)) && !job.is(&declaration(1, 3)));
    let mut other = declaration(0, 3);
    other.chunks.swap(0, 1);
    assert!(!job.is(&other), "the order counts");
    let mut training = declaration(0, 3);
    training.kind = JobKind::Train;
    assert!(!job.is(&training), "what is done with the chunks counts");
    assert!(!job.is_expired(NOW) && job.is_expired(NOW + LEASE));
}

/// Exact bytes of today's formats: what is stored now must stay readable.
#[test]
fn stored_documents_have_exactly_these_bytes() {
    let (id, tenant) = (JobId::from_bytes([1; 16]), Tenant::of("somebody"));
    let job = Job::new(id, &tenant, &declaration(0, 1), (NOW, NOW + LEASE));
    let stored = concat!(
        r#"{"format":1,"job":"01010101010101010101010101010101","tenant":"TENANT","#,
        r#""idempotency_key":"00000000000000000000000000000000","kind":"predict","model":"fraud","specs":"SPECS","#,
        r#""key":"09090909090909090909090909090909","upload":"08080808080808080808080808080808","#,
        r#""chunks":[{"bytes":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],"#,
        r#""created":"1970-01-01T00:00:00Z","until":"1970-01-01T00:15:00Z","ended":false}"#
    );
    let stored = stored.replace("TENANT", &tenant.to_string());
    let stored = stored.replace("SPECS", &Hash::of(b"specs").to_string());
    assert_eq!(String::from_utf8(job.to_json().unwrap()).unwrap(), stored);
    assert_eq!(Job::from_json(stored.as_bytes()).unwrap(), job);

    let mut training = declaration(0, 1);
    training.kind = JobKind::Train;
    let job = Job::new(id, &tenant, &training, (NOW, NOW + LEASE));
    assert_eq!((job.chunks(), job.is_in_parts()), (1, false));
    let trained = stored.replace("\"format\":1", "\"format\":4");
    assert!(Job::from_json(trained.as_bytes()).is_err(), "no training");
    let trained = trained.replace("predict", "train");
    assert_eq!(String::from_utf8(job.to_json().unwrap()).unwrap(), trained);
    assert_eq!(Job::from_json(trained.as_bytes()).unwrap(), job);
    let older = stored.replace("predict", "train");
    assert!(
        Job::from_json(older.as_bytes()).is_err(),
        "of a format before"
    );

    let query = JobOrder {
        idempotency_key: IdempotencyKey::from_bytes([0; 16]),
        key: KeyId::from_bytes([9; 16]),
        work: Work::Query(SharedQuery {
            query: FrameQuery {
                frames: vec![FrameId::from_bytes([7; 16])],
                tables: Vec::new(),
                models: Vec::new(),
                plan: serde_json::json!({ "format": 1 }),
                rows_per_sum: 200,
                min_bits: 1.5,
            },
            passes: vec![1000, 0],
            rows_a_part: 640,
        }),
        parts: 3,
    };
    let job = Job::new(id, &tenant, &query, (NOW, NOW + LEASE));
    let stored = concat!(
        r#"{"format":3,"job":"01010101010101010101010101010101","tenant":"TENANT","#,
        r#""idempotency_key":"00000000000000000000000000000000","key":"09090909090909090909090909090909","#,
        r#""query":{"frames":["07070707070707070707070707070707"],"plan":{"format":1},"rows_per_sum":200,"min_bits":1.5},"#,
        r#""passes":[1000,0],"rows_a_part":640,"#,
        r#""created":"1970-01-01T00:00:00Z","until":"1970-01-01T00:15:00Z","ended":false}"#
    );
    let stored = stored.replace("TENANT", &tenant.to_string());
    assert_eq!(String::from_utf8(job.to_json().unwrap()).unwrap(), stored);
    assert_eq!(Job::from_json(stored.as_bytes()).unwrap(), job);
    let endless = stored.replace("640", "0");
    assert!(Job::from_json(endless.as_bytes()).is_err());

    let chunks = [
        (
            Chunk::Held {
                attempt: 2,
                owner: "a".to_owned(),
                until: NOW,
                claim: "00112233445566778899aabbccddeeff".parse().ok(),
                checkpoint: None,
            },
            r#"{"format":1,"state":"held","attempt":2,"owner":"a","until":"1970-01-01T00:00:00Z","claim":"00112233445566778899aabbccddeeff"}"#,
        ),
        (
            Chunk::Held {
                attempt: 2,
                owner: "a".to_owned(),
                until: NOW,
                claim: None,
                checkpoint: Some(Checkpoint {
                    file: ChunkFile {
                        bytes: 7,
                        sha256: Sha256::from_bytes([0; 32]),
                    },
                    ..checkpoint(1, 30)
                }),
            },
            r#"{"format":1,"state":"held","attempt":2,"owner":"a","until":"1970-01-01T00:00:00Z","checkpoint":{"attempt":1,"steps":30,"milliseconds":40,"file":{"bytes":7,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}}}"#,
        ),
        (
            Chunk::Done {
                attempt: 1,
                result: ChunkFile {
                    bytes: 7,
                    sha256: Sha256::from_bytes([0; 32]),
                },
                milliseconds: 5,
            },
            r#"{"format":1,"state":"done","attempt":1,"result":{"bytes":7,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"milliseconds":5}"#,
        ),
        (
            Chunk::Failed {
                attempts: 3,
                problem: problem(),
            },
            r#"{"format":1,"state":"failed","attempts":3,"problem":{"type":"urn:cipherfn:problem:storage-unavailable","title":"storage unavailable","status":503,"detail":"why"}}"#,
        ),
    ];
    for (chunk, stored) in chunks {
        assert_eq!(String::from_utf8(chunk.to_json().unwrap()).unwrap(), stored);
        assert_eq!(Chunk::from_json(stored.as_bytes()).unwrap(), chunk);
    }
}
