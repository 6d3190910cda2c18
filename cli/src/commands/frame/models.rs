//! Linear models that plans name: their scores as columns.

use crate::files::InputSource;
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail, ensure};
use cipherfn_compiler::model::{Estimator, Model};
use cipherfn_compiler::read::read_model;
use cipherfn_frame::plan::{LinearScore, Plan};
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::ColumnKind;
use std::collections::BTreeMap;

/// Largest model file.
const MAX_MODEL: u64 = 64 << 20;
/// Rows at which a model is held to its weights, and the part of the score by which 32-bit floats may
/// be off.
const HELD_ROWS: usize = 16;
const TOLERANCE: f64 = 1e-4;

/// Linear models that a plan names.
#[derive(Debug, clap::Args)]
pub(super) struct LinearModels {
    /// A linear model whose score the plan takes, MODEL(NAME) or MODEL(NAME, column, ...) in SQL: its
    /// weights, which whoever evaluates sees, become part of the plan. Once a model
    #[arg(long = "model", value_name = "NAME=FILE")]
    models: Vec<String>,
}

impl LinearModels {
    /// The plan with the weights of the models that it names.
    pub(super) fn put_into(&self, plan: Plan) -> Result<Plan> {
        let mut scores = BTreeMap::new();
        for own in &self.models {
            let Some((name, file)) = own.split_once('=') else {
                bail_usage!("--model is {own:?}; write NAME=FILE");
            };
            let source: InputSource = file.parse()?;
            let bytes = source.read_all(MAX_MODEL)?;
            let model = read_model(&bytes).with_context(|| source.name())?;
            let score = score(&model).with_context(|| source.name())?;
            if scores.insert(name.to_owned(), score).is_some() {
                bail_usage!("--model names {name:?} twice");
            }
        }
        Ok(plan.with_scores(&scores)?)
    }
}

/// The raw score of a linear model: of a classifier, before its probability is made of it.
fn score(model: &Model) -> Result<LinearScore> {
    let is_linear = |own: &Estimator| matches!(own, Estimator::Linear(_));
    ensure!(
        model.estimators.iter().all(is_linear),
        "the model is not linear; predict of the decrypted answer, or publish it and predict by `cipherfn predict`"
    );
    ensure!(
        model.scores() == 1,
        "the model has {} scores, a column is one; export the one that is wanted",
        model.scores()
    );
    let width: usize = model.columns.iter().map(|column| column.width).sum();
    let origin = vec![0.0; width];
    let bias = raw(model, &origin)?;
    let weights = (0..width).map(|place| {
        let mut row = origin.clone();
        row[place] = 1.0;
        Ok(raw(model, &row)? - bias)
    });
    let weights: Vec<f64> = weights.collect::<Result<_>>()?;
    // What comes before the weights (scaling, selection) must be linear, too.
    for row in 0..HELD_ROWS {
        let value = |place: usize| ((row * 37 + place * 101) % 41) as f64 - 20.0;
        let features: Vec<f64> = (0..width).map(value).collect();
        let terms = weights.iter().zip(&features);
        let terms: Vec<f64> = terms.map(|(weight, feature)| weight * feature).collect();
        let size: f64 = bias.abs() + terms.iter().map(|own| own.abs()).sum::<f64>();
        let found = raw(model, &features)?;
        if (found - bias - terms.iter().sum::<f64>()).abs() > TOLERANCE * size.max(1.0) {
            bail!(
                "the model's score is no weighted sum of its columns; export the linear part alone, or predict of the decrypted answer"
            );
        }
    }
    let names = model.columns.iter().all(|column| column.width == 1);
    let columns = model.columns.iter().filter(|_| names);
    let columns = columns.map(|column| column.name.clone()).collect();
    Ok(LinearScore::new(bias, &weights, columns)?)
}

/// The raw score of a row.
fn raw(model: &Model, row: &[f64]) -> Result<f64> {
    let mut rest = row;
    let mut inputs = Vec::with_capacity(model.columns.len());
    for column in &model.columns {
        let (own, others) = rest.split_at(column.width);
        rest = others;
        let own = own.iter();
        inputs.push(match column.kind {
            ColumnKind::Float32 => Tensor::F32(own.map(|value| *value as f32).collect()),
            ColumnKind::Float64 => Tensor::F64(own.copied().collect()),
            ColumnKind::Int64 => Tensor::I64(own.map(|value| *value as i64).collect()),
            ColumnKind::Text => bail!(
                "the model's column {:?} holds texts, which have no weight; make numbers of them (replace, one-hot) and export a model of these",
                column.name
            ),
        });
    }
    let features = model.features_of(inputs)?;
    let scores = model.raw_scores(&features);
    scores.first().copied().context("the model has no score")
}
