//! Scores of linear models, from their bundles.

use crate::model::{ModelError, specs_of};
use cipherfn_engine::{EngineError, bundle};
use cipherfn_frame::plan::{PublishedScore, ScoreError};

/// Why a bundle gives no score.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleScoreError {
    /// The file.
    #[error(transparent)]
    Bundle(#[from] EngineError),
    /// Its specs.
    #[error(transparent)]
    Specs(#[from] ModelError),
    /// The model.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

/// The score of the model of a bundle, with its weights, under a name that plans call it by.
///
/// # Errors
/// A file that is no bundle, a model that is not linear, or weights that its specs do not allow.
pub fn score_of_bundle(
    name: impl Into<String>,
    bytes: &[u8],
) -> Result<PublishedScore, BundleScoreError> {
    let bundle = bundle::read(bytes)?;
    let score = PublishedScore::new(name, &specs_of(&bundle)?)?;
    Ok(score.with_weights(&bundle.circuit)?)
}
