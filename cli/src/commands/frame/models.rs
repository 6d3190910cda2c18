//! Linear models that plans name: their scores as columns.

use super::PlanInputs;
use crate::files::InputSource;
use crate::server::MAX_BUNDLE;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_compiler::model::Model;
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::weights::{ColumnWeights, column_weights};
use cipherfn_frame::plan::{LinearScore, ModelScore, Plan, PublishedScore};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_protocol::specs::SpecsDocument;
use cipherfn_serving::frames::score_of_bundle;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Linear models that a plan names.
#[derive(Debug, clap::Args)]
pub(super) struct LinearModels {
    /// A linear model whose score the plan takes, MODEL(NAME) or MODEL(NAME, column, ...) in SQL. Of a model
    /// file (ONNX and others) the weights become part of the plan, which whoever evaluates sees. Of a bundle
    /// (.cfn) they do not, on files: whoever evaluates has the bundle, others its specs. With --service,
    /// NAME alone is a model that the service has published and keeps to itself, as predict names it;
    /// --keys names the key ring that remembers whose it is. Once a model
    #[arg(long = "model", value_name = "NAME[=FILE]")]
    models: Vec<String>,
}

impl LinearModels {
    /// Those that the service has published.
    pub(super) fn published(&self) -> Result<Vec<ModelName>> {
        let names = self.models.iter().filter(|own| !own.contains('='));
        let names = names.map(|own| {
            let name = own.parse::<ModelName>();
            name.with_context(|| {
                format!("--model is {own:?}; write NAME=FILE, or the name of a published model")
            })
        });
        names.collect()
    }

    /// The plan with the models that it names: their weights, or what is public of them.
    pub(super) fn put_into(&self, plan: Plan, given: &PlanInputs) -> Result<Plan> {
        let mut scores = BTreeMap::new();
        for own in &self.models {
            let (name, score) = match own.split_once('=') {
                Some((name, file)) => (name, read(name, file, given)?),
                None => (own.as_str(), published(own, given)?),
            };
            if scores.insert(name.to_owned(), score).is_some() {
                bail_usage!("--model names {name:?} twice");
            }
        }
        Ok(plan.with_scores(&scores)?)
    }
}

/// A model of the service.
fn published(name: &str, given: &PlanInputs) -> Result<ModelScore> {
    let mut scores = given.scores.iter();
    let Some(score) = scores.find(|score| score.name() == name) else {
        bail_usage!(
            "--model {name} is a published model, which --service has; give its file, --model {name}=FILE"
        );
    };
    Ok(ModelScore::Published(Arc::clone(score)))
}

/// A model of a file: a bundle, the specs of one, or whatever else models are in.
fn read(name: &str, file: &str, given: &PlanInputs) -> Result<ModelScore> {
    let source: InputSource = file.parse()?;
    let bytes = source.read_all(MAX_BUNDLE)?;
    let score = || {
        if frame::kind(&bytes) == Some(FrameKind::Bundle) {
            let score = score_of_bundle(name, &bytes)?;
            // A service evaluates by models that it has itself, and by plans.
            return Ok(if given.of_service {
                ModelScore::Given(score.to_linear()?)
            } else {
                ModelScore::Published(Arc::new(score))
            });
        }
        if let Ok(document) = SpecsDocument::from_json_bytes(&bytes) {
            if given.of_service {
                bail_usage!(
                    "it has the specs of a bundle; with --service name the model that is published, --model {name}"
                );
            }
            let score = PublishedScore::new(name, &document)?;
            return Ok(ModelScore::Published(Arc::new(score)));
        }
        given_score(&read_model(&bytes)?).map(ModelScore::Given)
    };
    score().with_context(|| source.name())
}

/// The raw score of a linear model: of a classifier, before its probability is made of it.
fn given_score(model: &Model) -> Result<LinearScore> {
    let ColumnWeights { constant, weights } = column_weights(model)
        .context("its score is no column of a plan; predict of the decrypted answer, or publish it and predict by `cipherfn predict`")?;
    let names = model.columns.iter().all(|column| column.width == 1);
    let columns = model.columns.iter().filter(|_| names);
    let columns = columns.map(|column| column.name.clone()).collect();
    Ok(LinearScore::new(constant, &weights, columns)?)
}
