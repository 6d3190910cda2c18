//! The score of a published linear model on columns that the same plan prepares, against scikit-learn
//! (`tests/frames/scores.py`), encrypted: the server has the weights, and nobody else.

use super::{GADGET, KEYS, SET, encrypt, set};
use cipherfn_client::frames::{Behind, KeyHolder, decrypt_reply};
use cipherfn_compiler::write::write_onnx;
use cipherfn_compiler::{Calibration, Options};
use cipherfn_frame::answer::{Cell, ResultType, Table};
use cipherfn_frame::file::{FileHead, FrameReader};
use cipherfn_frame::plan::{Literal, ModelScore, Plan, PublishedScore};
use cipherfn_frame::schema::Schema;
use cipherfn_serving::frames::{
    Demand, FrameError, FrameQueryError, PassRun, PreparedQuery, StoredFrame, SumRows, evaluate,
    prepare_stages, score_of_bundle,
};
use cipherfn_training::{FittedFunction, FittedModel, ScaledColumn};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

#[derive(Deserialize)]
struct Progression {
    schema: String,
    steps: Vec<serde_json::Value>,
    features: Vec<String>,
    weights: Vec<f64>,
    intercept: f64,
    calibration: Vec<Vec<f64>>,
    rows: Vec<Vec<Literal>>,
    predicted: Vec<f64>,
}

impl Progression {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("frames/scores.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// The model as it would be published.
    fn score(&self) -> PublishedScore {
        let column = |name: &String| ScaledColumn {
            name: name.clone(),
            offset: 0.0,
            scale: 1.0,
        };
        let model = write_onnx(&FittedModel {
            name: "progression".into(),
            numbers: self.features.iter().map(column).collect(),
            squares: false,
            categories: Vec::new(),
            function: FittedFunction::Regressor {
                weights: self.weights.clone(),
                intercept: self.intercept,
            },
        });
        let rows = self.calibration.iter().map(|row| {
            let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
            cells.join(",")
        });
        let lines = std::iter::once(self.features.join(",")).chain(rows);
        let table = lines.collect::<Vec<_>>().join("\n");
        let calibration = Calibration::new("rows", table.as_bytes());
        let options = Options::new("progression");
        let compiled = cipherfn_compiler::compile(&model, calibration, &options).unwrap();
        let bytes = cipherfn_engine::bundle::write(&compiled.bundle).unwrap();
        score_of_bundle("progression", &bytes).unwrap()
    }

    fn frame(&self) -> StoredFrame {
        let schema = Schema::from_toml(&self.schema).unwrap();
        let rows = self.rows.iter().zip(1..);
        let rows = rows.map(|(row, number)| schema.row_of_values(number, row).unwrap());
        encrypt(&schema, GADGET, &rows.collect::<Vec<_>>(), 0, 16)
    }

    /// The steps that make the score, and more.
    fn plan(&self, score: PublishedScore, more: &[serde_json::Value]) -> Plan {
        let steps = [self.steps.as_slice(), more].concat();
        let json = serde_json::json!({ "format": 3, "scan": "patients", "steps": steps });
        let plan = Plan::from_json(&serde_json::to_vec(&json).unwrap()).unwrap();
        let score = ModelScore::Published(Arc::new(score));
        let scores = BTreeMap::from([("progression".to_owned(), score)]);
        plan.with_scores(&scores).unwrap()
    }
}

/// The frame alone.
fn heads(frame: &StoredFrame) -> [(FileHead, usize); 1] {
    let head = FileHead {
        schema: frame.schema().clone(),
        key: KEYS.0.id(),
        parameter_set: set().tag(),
        gadget: GADGET,
    };
    [(head, frame.rows())]
}

/// A query over it.
fn prepared(plan: Plan, frame: &StoredFrame) -> PreparedQuery {
    let sums = SumRows::Fitting(Demand::Exact);
    PreparedQuery::new(plan, &heads(frame), &[], sums).unwrap()
}

/// What the key holder reads of the answer, who has the query without weights.
fn answered(said: &PreparedQuery, server: &PreparedQuery, frames: &[StoredFrame]) -> Table {
    let stored = server.places.iter().map(|place| &frames[*place]);
    let stored: Vec<&StoredFrame> = stored.collect();
    let passes = server.passes_of(&stored, &[]).unwrap();
    let results = evaluate(&KEYS.1, &passes, &stored).unwrap();
    let reply = server.reply(results.last().unwrap()).unwrap();
    assert!(said.is_answered_by(&reply));
    let last = said.last();
    let words = decrypt_reply(&KEYS.0, last, said.rows_of(last), &reply.ciphertexts).unwrap();
    said.table(&words)
}

/// The number of a column's cell.
fn number(row: &[Cell], column: usize) -> f64 {
    row[column].to_string().parse().unwrap()
}

#[test]
fn published_models_score_what_a_plan_prepares() {
    let case = Progression::read();
    let (score, frame) = (case.score(), case.frame());
    let public = score.without_weights();
    let select = serde_json::json!({ "select": ["score"] });
    let plan = |score: &PublishedScore| case.plan(score.clone(), std::slice::from_ref(&select));
    let (said, server) = (
        prepared(plan(&public), &frame),
        prepared(plan(&score), &frame),
    );
    // What is said does not depend on who says it.
    assert_eq!((said.hash, &said.columns), (server.hash, &server.columns));
    assert_eq!(said.columns[0].bits, None, "{}", said.columns[0].worth());
    // Nobody evaluates without the weights.
    let refused = said.passes_of(&[&frame], &[]).unwrap_err();
    assert!(
        matches!(refused, FrameQueryError::NoWeights { .. }),
        "{refused}"
    );
    let run = PassRun::new(&KEYS.1, &said.passes.passes, &[&frame], &[]);
    assert!(matches!(
        run.err(),
        Some(FrameError::AssumedWeights { pass: 1 })
    ));

    let mut frames = vec![frame];
    let table = answered(&said, &server, &frames);
    let found: Vec<f64> = table.rows.iter().map(|row| number(row, 0)).collect();
    assert_eq!(found.len(), case.predicted.len());
    // As exact as a prediction of the model, and a quarter more for the weights' decimals.
    let allowed = 1.25 * score.precision();
    for (row, (found, wanted)) in found.iter().zip(&case.predicted).enumerate() {
        let off = (found - wanted).abs();
        assert!(off <= allowed, "row {row}: {found} instead of {wanted}");
    }
    assert!(allowed < 0.5, "{allowed} of scores from 50 to 300");
    assert_eq!(said.set.name, SET);

    // Sums by groups take a round trip: exact scores are encrypted again.
    let group = serde_json::json!({ "group_by": { "keys": ["sex"], "aggregates": [
        { "name": "total", "of": { "sum": "score" } }
    ] } });
    let plan = |score: &PublishedScore| case.plan(score.clone(), std::slice::from_ref(&group));
    let demand = Demand::Bits(8.0);
    let (heads, sums) = (heads(&frames[0]), SumRows::Fitting(demand));
    let refused = PreparedQuery::new(plan(&public), &heads, &[], sums).unwrap_err();
    assert!(
        refused.to_string().contains("a published model"),
        "{refused}"
    );
    let staged = |score| prepare_stages(&plan(score), &heads, &[], sums, demand).unwrap();
    let (said, server) = (staged(&public), staged(&score));
    let mut holder = KeyHolder::new(&KEYS.0, GADGET);
    let mut totals = Vec::new();
    for (said, server) in said.iter().zip(&server) {
        let table = answered(&said.query, &server.query, &frames);
        match holder.behind(&said.stage, table).unwrap() {
            Behind::Answer(table) => totals = table.rows,
            Behind::Frame(file) => {
                let mut file = FrameReader::open(file.as_slice()).unwrap();
                frames.push(StoredFrame::read(&mut file).unwrap());
            }
        }
    }
    assert_eq!((said.len(), frames.len(), totals.len()), (2, 2, 2));
    let last = &said[1].query;
    let ResultType::Number { places } = last.passes.answer.columns[1].kind else {
        panic!("a number")
    };
    let error = last.columns[1].error / 10f64.powi(places.into());
    for row in &totals {
        let sex = Literal::Text(row[0].to_string());
        let own = case.rows.iter().zip(&case.predicted);
        let own = own.filter(|(cells, _)| cells[1] == sex);
        let own: Vec<f64> = own.map(|(_, predicted)| *predicted).collect();
        let wanted: f64 = own.iter().sum();
        let off = (number(row, 1) - wanted).abs();
        // Cells end in the digit in which the error begins.
        let allowed = allowed * own.len() as f64 + 1.5 * error;
        assert!(off <= allowed, "{sex:?} is off by {off} of {wanted}");
        assert!(allowed < wanted / 20.0, "{allowed} of {wanted}");
    }
}
