//! Linear models that plans name: their scores as columns.

use crate::files::InputSource;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_compiler::model::Model;
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::weights::{ColumnWeights, column_weights};
use cipherfn_frame::plan::{LinearScore, Plan};
use std::collections::BTreeMap;

/// Largest model file.
const MAX_MODEL: u64 = 64 << 20;
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
    let ColumnWeights { constant, weights } = column_weights(model)
        .context("its score is no column of a plan; predict of the decrypted answer, or publish it and predict by `cipherfn predict`")?;
    let names = model.columns.iter().all(|column| column.width == 1);
    let columns = model.columns.iter().filter(|_| names);
    let columns = columns.map(|column| column.name.clone()).collect();
    Ok(LinearScore::new(constant, &weights, columns)?)
}
