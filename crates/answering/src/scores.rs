//! Published linear models whose scores queries take.

use crate::Answering;
use crate::published::PublishedFile;
use bytes::Bytes;
use cipherfn_frame::plan::{PublishedScore, ScoreError};
use cipherfn_protocol::api::frames::PublishedVersion;
use cipherfn_protocol::api::{Problem, ProblemType, PublishedKind};
use cipherfn_protocol::specs::SpecsDocument;
use cipherfn_service::{Call, Failure};
use cipherfn_serving::frames::score_of_bundle;

/// A published model, of which only the specs were read.
pub(crate) struct PublishedModel {
    file: PublishedFile,
    pub(crate) score: PublishedScore,
}

impl PublishedModel {
    /// Bytes of its bundle.
    pub(crate) const fn bytes(&self) -> u64 {
        self.file.bytes()
    }
}

impl Answering {
    /// The score of a model, as far as it is public.
    pub(crate) async fn published_model(
        &self,
        named: &PublishedVersion,
    ) -> Result<PublishedModel, Failure> {
        let (version, specs) = self.registry.scored(named).await?;
        let name = &named.name;
        let document = SpecsDocument::from_json_bytes(&specs)
            .map_err(|error| Failure::Internal(format!("the specs of model {name}: {error}")))?;
        if document.hash() != named.specs {
            let problem = format!("what is published as model {name} has other specs");
            return Err(Failure::Internal(problem));
        }
        let score = PublishedScore::new(name.as_str(), &document);
        Ok(PublishedModel {
            file: PublishedFile {
                kind: PublishedKind::Model,
                named: named.clone(),
                version,
            },
            score: score.map_err(|error| no_score(&error))?,
        })
    }

    /// The model with its weights.
    pub(crate) async fn load_score(
        &self,
        model: &PublishedModel,
        call: &Call,
    ) -> Result<PublishedScore, Failure> {
        let name = model.file.named.name.clone();
        let read = move |bundle: &Bytes| score_of_bundle(name.as_str(), bundle);
        let score = self.read_published(&model.file, read, call).await?;
        // The weights are those that the signed specs are of.
        if score.specs() != model.score.specs() {
            return Err(model.file.damaged("its bundle is that of another version"));
        }
        Ok(score)
    }
}

/// That a model is none whose score a plan can take.
fn no_score(error: &ScoreError) -> Problem {
    Problem::new(ProblemType::PlanRefused, error.to_string())
}
