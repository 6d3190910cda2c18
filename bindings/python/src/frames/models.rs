//! Linear models whose scores queries take: of files, and published ones.

use crate::error::{Failure, Result};
use crate::service::{Service, parse_name};
use crate::wait::{Stop, Waiting};
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::weights::column_weights;
use cipherfn_frame::plan::{LinearScore, ModelScore, PublishedScore};
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_protocol::specs::SpecsDocument;
use cipherfn_serving::frames::score_of_bundle;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A linear model by the name that plans call it by.
#[pyclass(frozen)]
pub(crate) struct FrameModel {
    name: String,
    score: ModelScore,
    /// Whether a service has published it.
    is_published: bool,
}

#[pymethods]
impl FrameModel {
    /// From the bytes of a file: a model file, a bundle, or the specs of one.
    #[staticmethod]
    fn from_bytes(name: String, bytes: &[u8]) -> PyResult<Self> {
        let score = read(&name, bytes)?;
        Ok(Self {
            name,
            score,
            is_published: false,
        })
    }

    /// What a service has published under a name, as far as it is public.
    #[staticmethod]
    #[pyo3(signature = (service, name, tell=None, stop=None))]
    fn find(
        py: Python<'_>,
        service: &Service,
        name: &Bound<'_, PyAny>,
        tell: Option<Bound<'_, PyAny>>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<Self> {
        let name = parse_name(name)?;
        let (connection, watch) = service.open();
        let (ring, accept) = (service.ring.clone(), service.accept.clone());
        let waiting = Waiting { py, tell, stop };
        waiting.request(&watch, move || async move {
            let fetched = connection.score(&name, &ring, &accept).await?;
            Ok(Self {
                name: name.as_str().to_owned(),
                score: ModelScore::Published(Arc::new(fetched.score)),
                is_published: true,
            })
        })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Names of the columns that it takes, where it has some.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.score.columns().to_vec()
    }

    /// Largest error of the score that predictions of a bundle guarantee.
    #[getter]
    fn precision(&self) -> Option<f64> {
        match &self.score {
            ModelScore::Given(_) => None,
            ModelScore::Published(score) => Some(score.precision()),
        }
    }

    /// Whether it is here, or published.
    #[getter]
    fn is_published(&self) -> bool {
        self.is_published
    }
}

impl FrameModel {
    /// As a plan takes it that is evaluated here, or by a service: a service evaluates by models that it has
    /// published, and by what is in the plan.
    fn score(&self, by_service: bool) -> Result<ModelScore> {
        match &self.score {
            ModelScore::Published(score) if by_service && !self.is_published => {
                if !score.has_weights() {
                    return Err(Failure::Argument(format!(
                        "model {0:?} is the specs of a bundle; frame.published_model(client, {0:?}) takes the one that the service has",
                        self.name
                    )));
                }
                Ok(ModelScore::Given(score.to_linear()?))
            }
            score => Ok(score.clone()),
        }
    }
}

/// The models of a plan by their names.
pub(super) fn scores(
    models: &[PyRef<'_, FrameModel>],
    by_service: bool,
) -> Result<BTreeMap<String, ModelScore>> {
    let scores = models.iter();
    let scores = scores.map(|model| Ok((model.name.clone(), model.score(by_service)?)));
    scores.collect()
}

fn read(name: &str, bytes: &[u8]) -> Result<ModelScore> {
    if frame::kind(bytes) == Some(FrameKind::Bundle) {
        let score = score_of_bundle(name, bytes)?;
        return Ok(ModelScore::Published(Arc::new(score)));
    }
    if let Ok(document) = SpecsDocument::from_json_bytes(bytes) {
        let score = PublishedScore::new(name, &document)?;
        return Ok(ModelScore::Published(Arc::new(score)));
    }
    let model = read_model(bytes)?;
    let weights = column_weights(&model)?;
    let is_named = model.columns.iter().all(|column| column.width == 1);
    let columns = model.columns.iter().filter(|_| is_named);
    let columns = columns.map(|column| column.name.clone()).collect();
    let score = LinearScore::new(weights.constant, &weights.weights, columns)?;
    Ok(ModelScore::Given(score))
}
