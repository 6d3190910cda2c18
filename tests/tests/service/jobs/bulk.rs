//! Tables as jobs, by the client library: in one run, or in several where each is cut short.

use super::{Owner, kill_in_turn, stack, stack_with_quota};
use crate::models::TREE;
use crate::stack::name;
use cipherfn_client::{Answer, InputRow};
use cipherfn_client_http::{Bulk, BulkDone, BulkPass, BulkProgress, BulkReport, ServiceError};
use cipherfn_protocol::api::ProblemType;
use cipherfn_service::bucket::Bucket;
use cipherfn_table::TableError;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::Path;

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

/// Why a run ends here.
#[derive(Debug)]
pub(super) enum Stop {
    /// As a test wants it.
    Cut,
    Failed(ServiceError),
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

/// Where a run is cut.
#[derive(Clone, Copy, Default)]
pub(super) struct Cuts {
    /// Before this row is read to be encrypted.
    pub(super) reading: Option<usize>,
    /// When so many answers were taken.
    pub(super) taken: Option<usize>,
}

pub(super) async fn run(
    owner: &Owner<'_>,
    (manifest, table): (&Path, &str),
    cuts: Cuts,
) -> Result<(BulkDone, Vec<Answer>), Stop> {
    let caller = &owner.caller;
    let specs = caller.client.specs().hash();
    let cost = caller.service.row_cost(&name("tree"), specs).await;
    let bulk = Bulk {
        model: name("tree"),
        manifest: manifest.to_owned(),
        table: table.to_owned(),
        rows_a_chunk: NonZeroUsize::new(chunk(owner)),
        parts: None,
        cost: cost.expect("told"),
    };
    let client = &caller.client;
    let rows = |pass| {
        let table = Cursor::new(TREE.rows(0, ROWS));
        let rows = cipherfn_tests::input_rows::<TableError, _>(client, table);
        let rows = rows.expect("rows").enumerate();
        let end = match pass {
            BulkPass::Upload => cuts.reading,
            BulkPass::Collect => None,
        };
        let row = move |(number, row): (usize, Result<InputRow, TableError>)| {
            if end.is_some_and(|end| number >= end) {
                return Err(Stop::Cut);
            }
            Ok(row.unwrap_or_else(|_| panic!("row {number}")))
        };
        Ok::<_, Stop>(rows.map(row))
    };
    let mut answers = Vec::new();
    let take = |more: Vec<Answer>| {
        answers.extend(more);
        let enough = cuts.taken.is_some_and(|taken| answers.len() >= taken);
        if enough { Err(Stop::Cut) } else { Ok(()) }
    };
    let told = |_: BulkProgress| ();
    let done = caller
        .service
        .predict_bulk(client, &caller.ring, &bulk, rows, told, take);
    let done = done.await?;
    Ok((done, answers))
}

pub(super) async fn check(
    owner: &Owner<'_>,
    (done, answers): (BulkDone, Vec<Answer>),
) -> BulkReport {
    let csv = cipherfn_tests::predictions(&owner.caller.client, &answers).expect("predictions");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let cells = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
    let found: Vec<Vec<String>> = reader
        .records()
        .map(|row| cells(row.expect("CSV")))
        .collect();
    TREE.check(0, ROWS, &found);
    let report = done.report;
    done.forget().await.expect("forgotten");
    assert_eq!((report.rows, report.chunks), (ROWS as u64, chunks(owner)));
    report
}

async fn objects_of_jobs(owner: &Owner<'_>) -> Vec<String> {
    let mut objects = owner.stack.objects().await;
    objects.retain(|key| {
        ["uploads/", "results/", "jobs/"]
            .iter()
            .any(|folder| key.starts_with(folder))
            && !key.starts_with("jobs/index/")
    });
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_becomes_jobs_and_leaves_nothing_behind() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let done = run(&alice, (&manifest, "table"), Cuts::default()).await;
    let report = check(&alice, done.expect("answers")).await;
    assert_eq!(report.jobs, jobs(&alice));
    assert!(report.uploaded_bytes > 0 && report.downloaded_bytes > 0);
    assert!(report.worker_milliseconds > 0);
    assert!(!manifest.exists());
    assert_eq!(objects_of_jobs(&alice).await, Vec::<String>::new());
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
    for cuts in [
        Cuts {
            reading: Some(2 * chunk(&alice) + 1),
            taken: None,
        },
        Cuts {
            reading: None,
            taken: Some(chunk(&alice)),
        },
    ] {
        let cut = run(&alice, at, cuts).await;
        assert!(matches!(cut, Err(Stop::Cut)));
        let text = std::fs::read(&manifest).expect("the manifest");
        let torn = [&text[..], b"{\"chunk\":{\"upload\":"].concat();
        std::fs::write(&manifest, torn).expect("written");
    }
    // Another table, and the same one read in another way, is not what was sent.
    match run(&alice, (&manifest, "another"), Cuts::default()).await {
        Err(Stop::Failed(ServiceError::Manifest(error))) => {
            assert!(error.to_string().contains("the table"), "{error}");
        }
        other => panic!("{:?}", other.err()),
    }
    let done = run(&alice, at, Cuts::default()).await;
    check(&alice, done.expect("answers")).await;
    // What was under way when the second run was cut is sent again.
    let sent = stack.statuses("POST /v2/uploads").len();
    assert!(
        (chunks(&alice)..chunks(&alice) + 4).contains(&sent),
        "{sent}"
    );
    assert_eq!(declared(&alice), jobs(&alice));
    assert_eq!(objects_of_jobs(&alice).await, Vec::<String>::new());
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
    let cuts = Cuts {
        reading: None,
        taken: Some(2 * chunk(&alice)),
    };
    let cut = run(&alice, at, cuts).await;
    assert!(matches!(cut, Err(Stop::Cut)), "{:?}", cut.err());
    let done = run(&alice, at, Cuts::default()).await;
    let report = check(&alice, done.expect("answers")).await;
    assert_eq!((report.jobs, declared(&alice)), (2, 2));
    assert_eq!(stack.statuses("POST /v2/uploads").len(), chunks(&alice));
    assert_eq!(objects_of_jobs(&alice).await, Vec::<String>::new());
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
    match run(&alice, at, Cuts::default()).await {
        Err(Stop::Failed(ServiceError::Problem { problem, .. })) => {
            assert_eq!(problem.kind, ProblemType::JobQuota);
        }
        other => panic!("{:?}", other.err()),
    }
    let target = format!("/v2/jobs/{other}");
    assert_eq!(alice.send("DELETE", &target, vec![]).await.status, 204);
    let done = run(&alice, at, Cuts::default()).await;
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
    match run(&alice, at, Cuts::default()).await {
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
    let done = run(&alice, at, Cuts::default()).await;
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
    let (done, ()) = tokio::join!(run(&alice, at, Cuts::default()), killer);
    check(&alice, done.expect("answers")).await;
    let results = stack.registry().bucket().list("results/").await;
    assert!(results.expect("a listing").is_empty());
}
