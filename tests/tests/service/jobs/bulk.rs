//! Tables as jobs, by the client library: in one run, or in several where each is cut short.

mod course;

use super::{Owner, kill_in_turn, stack, stack_with_quota};
use crate::models::{FOREST, TREE};
use crate::stack::{Stack, name, tenants};
use cipherfn_client_http::ServiceError;
use cipherfn_protocol::api::ProblemType;
use cipherfn_service::bucket::Bucket;
use course::{Course, Stop, check, run};
use std::num::NonZeroU32;

const ROWS: usize = 150;

/// Rows of a chunk: whole groups.
fn chunk(owner: &Owner<'_>) -> usize {
    5 * owner.caller.client.rows_a_group()
}

fn chunks(owner: &Owner<'_>) -> usize {
    ROWS.div_ceil(chunk(owner))
}

/// Jobs over all chunks: of one, two, four and so on.
fn jobs(owner: &Owner<'_>) -> usize {
    (chunks(owner) + 1).next_power_of_two().ilog2() as usize
}

/// Statuses of declarations: how many jobs are new.
fn declared(owner: &Owner<'_>) -> usize {
    let statuses = owner.stack.statuses("POST /v2/jobs");
    statuses.iter().filter(|status| **status == 201).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_becomes_jobs_and_leaves_nothing_behind() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let done = run(&alice, (&manifest, "table"), Course::default()).await;
    let report = check(&alice, done.expect("answers")).await;
    assert_eq!(report.jobs, jobs(&alice));
    assert!(report.uploaded_bytes > 0 && report.downloaded_bytes > 0);
    assert!(report.worker_milliseconds > 0);
    assert!(!manifest.exists());
    assert_eq!(alice.objects_of_jobs().await, Vec::<String>::new());
}

/// Cut while rows are read, while answers are taken, and with a last line half written: chunks that
/// have arrived are not sent again, and every row is answered once.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_where_it_was_cut() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let at = (manifest.as_path(), "table");
    for course in [
        Course {
            reading: Some(2 * chunk(&alice) + 1),
            ..Course::default()
        },
        Course {
            taken: Some(chunk(&alice)),
            ..Course::default()
        },
    ] {
        let cut = run(&alice, at, course).await;
        assert!(matches!(cut, Err(Stop::Cut)));
        let text = std::fs::read(&manifest).expect("the manifest");
        let torn = [&text[..], b"{\"chunk\":{\"upload\":"].concat();
        std::fs::write(&manifest, torn).expect("written");
    }
    // Another table, and the same one read in another way, is not what was sent.
    match run(&alice, (&manifest, "another"), Course::default()).await {
        Err(Stop::Failed(ServiceError::Manifest(error))) => {
            assert!(error.to_string().contains("the table"), "{error}");
        }
        other => panic!("{:?}", other.err()),
    }
    let done = run(&alice, at, Course::default()).await;
    check(&alice, done.expect("answers")).await;
    // What was under way when the second run was cut is sent again.
    let sent = stack.statuses("POST /v2/uploads").len();
    assert!(
        (chunks(&alice)..chunks(&alice) + 4).contains(&sent),
        "{sent}"
    );
    assert_eq!(declared(&alice), jobs(&alice));
    assert_eq!(alice.objects_of_jobs().await, Vec::<String>::new());
}

/// A prediction is a hint: without its report a model still scores.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_report_there_is_no_prediction_and_no_error() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let (service, specs) = (&alice.caller.service, TREE.bundle.specs_hash());
    let cost = service.row_cost(&name("tree"), specs).await;
    assert!(cost.expect("told").is_some());
    let registry = stack.registry();
    let mut objects = stack.objects().await;
    objects.retain(|key| key.starts_with("models/") && key.ends_with("report.json"));
    for key in &objects {
        registry.bucket().delete(key, None).await.expect("deleted");
    }
    assert_eq!(objects.len(), 1);
    let target = format!("/v2/models/tree/cost?specs={specs}");
    let refused = alice.send("GET", &target, vec![]).await;
    assert_eq!(refused.problem().kind, ProblemType::UnknownRoute);
    let cost = service.row_cost(&name("tree"), specs).await;
    assert_eq!(cost.expect("nothing told"), None);
}

/// The first job makes room for one over the rest: its results are kept here, and a run that goes on
/// asks nobody for them.
#[tokio::test(flavor = "multi_thread")]
async fn one_job_at_a_time_scores_a_table() {
    let stack = stack_with_quota(1).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let at = (manifest.as_path(), "table");
    // Answers of the second job are there once the first one was deleted.
    let course = Course {
        taken: Some(2 * chunk(&alice)),
        ..Course::default()
    };
    let cut = run(&alice, at, course).await;
    assert!(matches!(cut, Err(Stop::Cut)), "{:?}", cut.err());
    let done = run(&alice, at, Course::default()).await;
    let report = check(&alice, done.expect("answers")).await;
    assert_eq!((report.jobs, declared(&alice)), (2, 2));
    assert_eq!(stack.statuses("POST /v2/uploads").len(), chunks(&alice));
    assert_eq!(alice.objects_of_jobs().await, Vec::<String>::new());
    let left = std::fs::read_dir(directory.path()).expect("a directory");
    assert_eq!(left.count(), 0);
}

/// Where others have filled the quota, that is said once all is uploaded, and the run goes on later.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_others_have_filled_is_said() {
    let stack = stack_with_quota(1).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let other = alice.upload(&alice.queries(&[1])).await;
    let other = alice.begin(&alice.declaration(other)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let at = (manifest.as_path(), "table");
    match run(&alice, at, Course::default()).await {
        Err(Stop::Failed(ServiceError::Problem { problem, .. })) => {
            assert_eq!(problem.kind, ProblemType::JobQuota);
        }
        other => panic!("{:?}", other.err()),
    }
    let target = format!("/v2/jobs/{other}");
    assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    let done = run(&alice, at, Course::default()).await;
    let report = check(&alice, done.expect("answers")).await;
    assert_eq!(report.jobs, 1);
}

/// What fails is said with its rows, and tried again by the next run.
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_tried_again_once_it_is_mended() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let at = (manifest.as_path(), "table");
    let deleted = alice.caller.service.delete_key(alice.caller.key()).await;
    deleted.expect("deleted");
    match run(&alice, at, Course::default()).await {
        Err(Stop::Failed(ServiceError::ChunkFailed {
            first: 1,
            last,
            problem,
            ..
        })) => {
            assert_eq!(
                (last, problem.kind),
                (chunk(&alice) as u64, ProblemType::UnknownKey)
            );
        }
        other => panic!("{:?}", other.err()),
    }
    alice.caller.register().await.expect("registered again");
    let done = run(&alice, at, Course::default()).await;
    check(&alice, done.expect("answers")).await;
    assert!(
        declared(&alice) > jobs(&alice),
        "what failed is another job"
    );
}

/// Workers and the function that starts them die at any time.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_die_are_not_noticed() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let at = (manifest.as_path(), "table");
    let killer = kill_in_turn(&stack, &["jobs", "worker", "worker"]);
    let (done, ()) = tokio::join!(run(&alice, at, Course::default()), killer);
    check(&alice, done.expect("answers")).await;
    let results = stack.registry().bucket().list("results/").await;
    assert!(results.expect("a listing").is_empty());
}

/// Several workers share each chunk, also of a run that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_parts_has_the_answers_of_the_whole() {
    let stack = Stack::start(|setup| setup.authorizer = tenants(&["alice"])).await;
    stack.publish("tree", &FOREST.bundle, 2).await;
    let alice = Owner::of_forest(&stack).await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let at = (manifest.as_path(), "table");
    let course = Course {
        parts: NonZeroU32::new(3),
        ..Course::default()
    };
    let cut = Course {
        taken: Some(chunk(&alice)),
        ..course
    };
    let cut = run(&alice, at, cut).await;
    assert!(matches!(cut, Err(Stop::Cut)), "{:?}", cut.err());
    let objects = stack.objects().await;
    let is_there = |end: &str| objects.iter().any(|key| key.ends_with(end));
    let parts = [2, 3].map(|part| is_there(&format!("/parts/0-{part}.json")));
    assert_eq!(parts, [true, false], "{objects:?}");
    let done = run(&alice, at, course).await;
    check(&alice, done.expect("answers")).await;
    // A chunk that was on its way at the cut is sent anew; that copy runs out by itself.
    let mut left = alice.objects_of_jobs().await;
    left.retain(|key| !key.starts_with("uploads/"));
    assert_eq!(left, Vec::<String>::new());
}

/// Answers are taken while the rest of the table is yet to be read: a run that waited for the end
/// first would be cut.
#[tokio::test(flavor = "multi_thread")]
async fn answers_come_while_rows_are_sent() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let course = Course {
        waits: true,
        ..Course::default()
    };
    let done = run(&alice, (&manifest, "table"), course).await;
    check(&alice, done.expect("answers")).await;
}

/// A table of which rows came or went between its two readings has no answer beside each of them: that
/// is said, and the table that was sent is finished.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_while_it_is_scored_is_refused() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let at = (manifest.as_path(), "table");
    for beside in [ROWS - 1, ROWS + 1] {
        let course = Course {
            beside,
            ..Course::default()
        };
        let changed = run(&alice, at, course).await;
        let told = matches!(changed, Err(Stop::Failed(ServiceError::TableChanged)));
        assert!(told, "{beside} rows: {:?}", changed.err());
    }
    let done = run(&alice, at, Course::default()).await;
    check(&alice, done.expect("answers")).await;
    assert_eq!(declared(&alice), jobs(&alice));
}
