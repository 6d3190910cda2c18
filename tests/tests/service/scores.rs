//! Scores of linear models that the service has published: taken by queries over frames, with weights that
//! nobody but the service has.

use crate::frames::{Encrypted, Owner, Table, kind, stack};
use crate::stack::name;
use cipherfn_client::Accept;
use cipherfn_client_http::FetchedScore;
use cipherfn_compiler::read::read_model;
use cipherfn_frame::plan::{ModelScore, Plan};
use cipherfn_frame::schema::Schema;
use cipherfn_program::Tensor;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::frames::{FrameId, FrameQuery, PublishedVersion};
use cipherfn_protocol::hash::Hash;
use cipherfn_serving::frames::{PreparedQuery, SumRows, score_of_bundle};
use cipherfn_tests::{compile, library_models};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

const SQL: &str = "SELECT MODEL(risk) AS score FROM patients";
const COLUMNS: [&str; 10] = [
    "age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6",
];

/// The diabetes table with two decimals.
fn patients(count: usize) -> Table {
    let mut schema = "format = 1\nname = \"patients\"\n".to_owned();
    for column in COLUMNS {
        write!(
            schema,
            "[[column]]\nname = \"{column}\"\ntype = \"decimal\"\nplaces = 2\nmin = -5\nmax = 5\nroles = [\"value\"]\n"
        )
        .expect("memory");
    }
    let file = library_models().join("linreg_diabetes/test.csv");
    let text = std::fs::read_to_string(file).expect("rows");
    let units = |cell: &str| (cell.parse::<f64>().expect("a number") * 100.0).round() as i64;
    let row = |line: &str| {
        line.split(',')
            .take(10)
            .map(|cell| Some(units(cell)))
            .collect()
    };
    let lines: Vec<&str> = text.lines().skip(1).collect();
    Table {
        schema: Schema::from_toml(&schema).expect("a schema"),
        rows: lines
            .iter()
            .cycle()
            .take(count)
            .map(|line| row(line))
            .collect(),
    }
}

/// A query over the caller's patients, and what it becomes here.
fn asked((frame, id): (&Encrypted, FrameId), score: &FetchedScore) -> (FrameQuery, PreparedQuery) {
    let plan = Plan::from_sql(SQL, std::slice::from_ref(&frame.head.schema)).expect("a plan");
    let published = ModelScore::Published(Arc::new(score.score.clone()));
    let scores = BTreeMap::from([("risk".to_owned(), published)]);
    let plan = plan.with_scores(&scores).expect("a plan");
    let heads = [(frame.head.clone(), frame.stored.rows())];
    let prepared = PreparedQuery::new(plan, &heads, &[], SumRows::Given(64)).expect("a query");
    let sent = prepared.sent.to_json().expect("JSON");
    let query = FrameQuery {
        frames: vec![id],
        tables: Vec::new(),
        models: vec![score.version.clone()],
        plan: serde_json::from_slice(&sent).expect("JSON"),
        rows_per_sum: 64,
        min_bits: 8.0,
    };
    (query, prepared)
}

#[tokio::test(flavor = "multi_thread")]
async fn published_models_are_taken_by_queries_and_keep_their_weights() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let table = patients(100);
    let patients = table.encrypted(&alice.secret, 64);
    let frame = alice.upload(&patients).await.frame;
    let folder = library_models().join("linreg_diabetes");
    let compiled = compile(&folder, |_| ()).expect("compiles");
    stack.publish("risk", &compiled.bundle, 2).await;
    let risk = name("risk");
    let score = alice.service.score(&risk, &alice.ring, &Accept::Pinned);
    let score = score.await.expect("what is public");
    assert!(!score.score.has_weights());
    let (query, prepared) = asked((&patients, frame), &score);
    assert!(!query.plan.to_string().contains("lit"), "{}", query.plan);

    // In a request, and by several invocations: the same bits, as one who has the bundle makes them.
    let figures = alice.service.explain_query(&query).await.expect("figures");
    assert!(figures.columns[0].bits.is_none(), "{figures:?}");
    let bytes = cipherfn_engine::bundle::write(&compiled.bundle).expect("a bundle");
    let weighted = score_of_bundle("risk", &bytes).expect("a score");
    let plan = prepared.plan.with_weights(&[Arc::new(weighted)]);
    let heads = [(patients.head.clone(), patients.stored.rows())];
    let own = PreparedQuery::new(plan, &heads, &[], SumRows::Given(64)).expect("a query");
    let here = alice.evaluated_here(&own, &[&patients.stored]);
    let answer = alice.service.query_frames(&query).await.expect("an answer");
    assert!(answer == here, "one process");
    let shared = alice.service.query_frames_as_job(&query, 64).await;
    assert!(shared.expect("an answer") == here, "several");

    // The model's own scores.
    let model = std::fs::read(folder.join("model.onnx")).expect("a model");
    let model = read_model(&model).expect("a model");
    let allowed = 1.25 * score.score.precision();
    for (row, cells) in table.rows.iter().zip(alice.opened(&prepared, &answer)) {
        let floats = row
            .iter()
            .map(|units| units.expect("no nulls") as f32 / 100.0);
        let inputs = model.columns.iter().scan(floats, |floats, column| {
            Some(Tensor::F32(floats.by_ref().take(column.width).collect()))
        });
        let features = model.features_of(inputs.collect()).expect("features");
        let wanted = model.raw_scores(&features)[0];
        let found: f64 = cells[0].parse().expect("a number");
        assert!(
            (found - wanted).abs() <= allowed,
            "{found} {wanted} {allowed}"
        );
    }

    // Another version is another query, and a model that is not linear has no score of a plan.
    let forest = compile(&library_models().join("dt_bc"), |_| ()).expect("compiles");
    stack.publish("tree", &forest.bundle, 2).await;
    let tree = alice
        .service
        .score(&name("tree"), &alice.ring, &Accept::Pinned)
        .await;
    let refused = tree.expect_err("no score").to_string();
    assert!(refused.contains("no linear model"), "{refused}");
    let named = |own: &str, specs| FrameQuery {
        models: vec![PublishedVersion {
            name: name(own),
            specs,
        }],
        ..query.clone()
    };
    let unnamed = FrameQuery {
        models: Vec::new(),
        ..query.clone()
    };
    for (query, problem) in [
        (
            named("tree", forest.bundle.specs_hash()),
            ProblemType::PlanRefused,
        ),
        (
            named("rusk", score.version.specs),
            ProblemType::UnknownModel,
        ),
        (named("risk", Hash::of(b"another")), ProblemType::StaleSpecs),
        (unnamed, ProblemType::PlanRefused),
    ] {
        let error = alice.service.query_frames(&query).await.unwrap_err();
        assert_eq!(kind(&error), Some(problem), "{error}");
        let error = alice
            .service
            .query_frames_as_job(&query, 64)
            .await
            .unwrap_err();
        assert_eq!(kind(&error), Some(problem), "{error}");
    }
}
