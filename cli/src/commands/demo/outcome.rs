//! What the demo shows: predictions beside the library's, steps, what the server saw.

use super::DemoStep;
use super::model::{self, Expected};
use crate::terminal::{bytes, seconds, significant, table};
use anyhow::{Result, bail};
use cipherfn_client::{Client, Prediction};
use cipherfn_program::Tensor;
use serde::Deserialize;
use std::fmt;

/// What the function reports of a request.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Engine {
    /// Milliseconds in the engine.
    #[serde(rename = "Evaluate")]
    evaluate: f64,
    /// Milliseconds in the function.
    #[serde(rename = "Duration")]
    duration: f64,
    /// Rows.
    #[serde(rename = "Rows")]
    rows: f64,
}

/// The result of a run.
pub(super) struct DemoOutcome {
    rows: Vec<TestRow>,
    /// Largest error of a score that the specs allow, in score units.
    precision: f64,
    /// log2 of the probability that it is exceeded in a row.
    failure_log2: f64,
    steps: Vec<DemoStep>,
    engine: Engine,
    stored: Vec<(String, u64)>,
}

/// One test row.
struct TestRow {
    label: i64,
    /// Probability of class 1.
    probability: f64,
    /// Raw score: the logarithm of the odds.
    score: f64,
    expected: Expected,
}

impl Engine {
    fn seconds_a_row(&self) -> f64 {
        self.evaluate / 1e3 / self.rows
    }
}

impl TestRow {
    fn error(&self) -> f64 {
        (self.score - self.expected.score()).abs()
    }

    fn label_differs(&self) -> bool {
        self.label != self.expected.label
    }
}

impl DemoOutcome {
    /// Sets decrypted predictions beside the library's own.
    pub(super) fn new(
        client: &Client,
        predictions: &[Prediction],
        steps: Vec<DemoStep>,
        engine: &Engine,
        stored: Vec<(String, u64)>,
    ) -> Result<Self> {
        let expected = model::expected()?;
        let mut rows = Vec::new();
        for (prediction, expected) in predictions.iter().zip(expected) {
            let [Tensor::I64(label), Tensor::F32(probabilities)] = prediction.outputs.as_slice()
            else {
                bail!("unexpected form of the predictions");
            };
            let ([label], [p0, p1]) = (label.as_slice(), probabilities.as_slice()) else {
                bail!("unexpected number of classes");
            };
            let (label, p0, p1) = (*label, f64::from(*p0), f64::from(*p1));
            rows.push(TestRow {
                label,
                probability: p1,
                score: (p1 / p0).ln(),
                expected,
            });
        }
        let decoding = &client.specs().specs().decoding;
        Ok(Self {
            rows,
            precision: decoding
                .scores
                .iter()
                .map(|score| score.precision.get())
                .fold(0.0, f64::max),
            failure_log2: decoding.failure_log2,
            steps,
            engine: *engine,
            stored,
        })
    }

    /// Fails if an answer is off by more than the specs state, or a label differs where the margin
    /// exceeds that.
    pub(super) fn verdict(&self) -> Result<()> {
        // Probabilities are 32-bit floats: the score read back from them has an error of its own.
        const READ_BACK: f64 = 1e-3;
        for (index, row) in self.rows.iter().enumerate() {
            let number = index + 1;
            if row.error() > self.precision + READ_BACK {
                bail!(
                    "row {number}: the score is off by {}, more than the stated {}",
                    significant(row.error()),
                    significant(self.precision)
                );
            }
            if row.label_differs() && row.expected.score().abs() > self.precision {
                bail!(
                    "row {number}: the label is {}, the library's is {}",
                    row.label,
                    row.expected.label
                );
            }
        }
        Ok(())
    }

    fn worst(&self) -> f64 {
        self.rows.iter().map(TestRow::error).fold(0.0, f64::max)
    }

    fn different_labels(&self) -> usize {
        self.rows.iter().filter(|row| row.label_differs()).count()
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        let row = |row: &TestRow| {
            serde_json::json!({
                "label": row.label, "probability": row.probability,
                "expected_label": row.expected.label, "expected_probability": row.expected.p1, "score_error": row.error(),
            })
        };
        let step = |step: &DemoStep| serde_json::json!({ "who": step.who, "what": step.what, "seconds": step.time.as_secs_f64(), "bytes": step.bytes, "of": step.of_what });
        let stored =
            |(key, bytes): &(String, u64)| serde_json::json!({ "key": key, "bytes": bytes });
        serde_json::json!({
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "different_labels": self.different_labels(),
            "worst_score_error": self.worst(),
            "precision": self.precision,
            "failure_log2": self.failure_log2,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "engine_seconds_a_row": self.engine.seconds_a_row(),
            "function_over_engine": self.engine.duration / self.engine.evaluate,
            "stored": self.stored.iter().map(stored).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for DemoOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |(index, row): (usize, &TestRow)| {
            vec![
                (index + 1).to_string(),
                class(row.label, row.probability),
                class(row.expected.label, row.expected.p1),
                format!("{:.5}", (row.probability - row.expected.p1).abs()),
            ]
        };
        let names = |names: [&str; 4]| names.map(ToOwned::to_owned).to_vec();
        let header = names(["row", "decrypted prediction", "XGBoost's own", "difference"]);
        writeln!(
            f,
            "{}\n",
            table(header, self.rows.iter().enumerate().map(row))
        )?;
        writeln!(
            f,
            "{} of {} labels agree; largest error of a raw score {}, stated bound {} (exceeded with probability below 2^{:.0} a row)\n",
            self.rows.len() - self.different_labels(),
            self.rows.len(),
            significant(self.worst()),
            significant(self.precision),
            self.failure_log2.ceil(),
        )?;
        let step = |step: &DemoStep| {
            vec![
                step.what.to_owned(),
                step.who.to_owned(),
                seconds(step.time.as_secs_f64()),
                format!("{} {}", bytes(step.bytes), step.of_what),
            ]
        };
        writeln!(
            f,
            "{}\n",
            table(
                names(["step", "who", "time", "size"]),
                self.steps.iter().map(step)
            )
        )?;
        writeln!(
            f,
            "encrypted evaluation alone: {} a row; the whole function took {:.2} times as long\n",
            seconds(self.engine.seconds_a_row()),
            self.engine.duration / self.engine.evaluate
        )?;
        writeln!(
            f,
            "all that the service holds; beside that it saw encrypted queries:"
        )?;
        for (key, size) in &self.stored {
            writeln!(f, "  {key}  {}", bytes(*size))?;
        }
        write!(f, "no secret key, no row and no prediction among them")
    }
}

fn class(label: i64, probability_of_1: f64) -> String {
    let name = if label == 1 { "benign" } else { "malignant" };
    format!(
        "{name} {:.5}",
        if label == 1 {
            probability_of_1
        } else {
            1.0 - probability_of_1
        }
    )
}
