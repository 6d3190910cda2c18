//! The demo's model and data: `XGBoost` (50 trees, depth 4) on scikit-learn's breast cancer data
//! set.

use anyhow::{Context, Result};
use cipherfn_circuit::Bundle;
use cipherfn_compiler::{Calibration, Options};
use cipherfn_table::Table;
use serde::Deserialize;

macro_rules! example {
    ($file:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../examples/xgb_bc/",
            $file
        ))
        .as_slice()
    };
}

/// The library's own answer to a test row.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Expected {
    p0: f64,
    /// Probability of class 1.
    pub(super) p1: f64,
    /// The class.
    pub(super) label: i64,
}

impl Expected {
    /// The raw score: the logarithm of the odds.
    pub(super) fn score(&self) -> f64 {
        (self.p1 / self.p0).ln()
    }
}

/// Compiles the model with its training rows for calibration.
pub(super) fn compile() -> Result<Bundle> {
    let calibration = Calibration::new("train.csv", example!("train.csv")).with_target("target");
    let compiled =
        cipherfn_compiler::compile(example!("model.onnx"), calibration, &Options::new("xgb_bc"))?;
    Ok(compiled.bundle)
}

/// The test rows.
pub(super) fn test_rows() -> Result<Table<&'static [u8]>> {
    Ok(Table::open("test.csv", example!("test.csv"))?)
}

/// The library's own answers to the test rows.
pub(super) fn expected() -> Result<Vec<Expected>> {
    let rows = csv::Reader::from_reader(example!("expected.csv")).into_deserialize();
    rows.collect::<Result<_, _>>()
        .context("expected.csv is malformed")
}
