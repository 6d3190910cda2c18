//! Routes: one list for the functions that answer them, clients that call them, the HTTP API in
//! front and its documentation.

use super::Function;

/// Version of documents and messages: the first segment of every path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ApiVersion {
    /// Keys of one file, specs of format 1.
    V1,
    /// Keys of several parts, specs of the newest format.
    V2,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The list of models.
    Models,
    /// Client specs of a model.
    Specs,
    /// The list of training programs; since version 2.
    Programs,
    /// A training program.
    Program,
    /// The OpenAPI document, which describes all versions.
    OpenApi,
    /// The caller's keys; since version 2.
    Keys,
    /// Declares a key.
    DeclareKey,
    /// Checks what was uploaded for a key.
    CompleteKey,
    /// Where a key stands.
    KeyStatus,
    /// Deletes a key.
    DeleteKey,
    /// Answers a query.
    Predict,
    /// What a row of a model costs in a job.
    Cost,
    /// Declares chunks of a job.
    DeclareUploads,
    /// Declares a job.
    DeclareJob,
    /// Where a job stands.
    JobStatus,
    /// Ends a job.
    DeleteJob,
    /// Answers rows by the weights that a training has left encrypted.
    PredictTrained,
    /// The caller's stored frames.
    Frames,
    /// Declares a frame.
    DeclareFrame,
    /// What is public of a frame.
    FrameStatus,
    /// Deletes a frame.
    DeleteFrame,
    /// What a query over frames takes.
    ExplainQuery,
    /// Answers a query over frames.
    QueryFrames,
    /// Declares a query over frames as a job.
    DeclareQuery,
    /// The list of trainings that owners add rows to.
    Trainings,
    /// Declares a training on rows of several owners.
    DeclareTraining,
    /// Who adds rows to a training.
    TrainingStatus,
    /// Ends a training that has no job yet.
    DeleteTraining,
    /// Lets others add rows to a training.
    OfferTrainingGrant,
    /// Ends a grant of a training.
    RevokeTrainingGrant,
    /// Lets others add rows to a frame.
    OfferGrant,
    /// Ends a grant.
    RevokeGrant,
    /// Declares pieces that are added by a grant.
    GrantUploads,
    /// Adds pieces by a grant.
    AddRows,
}

/// A request's route, and the value of its path's parameter: empty where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested<'a> {
    /// Version.
    pub version: ApiVersion,
    /// Route.
    pub route: Route,
    /// A model's or a program's name, or the id of a key, a job, a frame or a training; not parsed.
    pub parameter: &'a str,
}

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// There is no such path.
    Path,
    /// The path takes other methods, these.
    Method(Vec<&'static str>),
}

impl ApiVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// First segment of its paths.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::Models,
        Self::Specs,
        Self::Programs,
        Self::Program,
        Self::OpenApi,
        Self::Keys,
        Self::DeclareKey,
        Self::CompleteKey,
        Self::KeyStatus,
        Self::DeleteKey,
        Self::Predict,
        Self::Cost,
        Self::DeclareUploads,
        Self::DeclareJob,
        Self::JobStatus,
        Self::DeleteJob,
        Self::PredictTrained,
        Self::Frames,
        Self::DeclareFrame,
        Self::FrameStatus,
        Self::DeleteFrame,
        Self::ExplainQuery,
        Self::QueryFrames,
        Self::DeclareQuery,
        Self::Trainings,
        Self::DeclareTraining,
        Self::TrainingStatus,
        Self::DeleteTraining,
        Self::OfferTrainingGrant,
        Self::RevokeTrainingGrant,
        Self::OfferGrant,
        Self::RevokeGrant,
        Self::GrantUploads,
        Self::AddRows,
    ];

    /// Every route in every version that has it.
    pub fn everywhere() -> impl Iterator<Item = (ApiVersion, Self)> {
        let versions = ApiVersion::ALL.into_iter();
        versions.flat_map(|version| {
            let routes = Self::ALL.into_iter();
            routes
                .filter(move |route| route.since() <= version)
                .map(move |route| (version, route))
        })
    }

    /// The first version that has it.
    const fn since(self) -> ApiVersion {
        match self {
            Self::Keys
            | Self::Programs
            | Self::Program
            | Self::Cost
            | Self::DeclareUploads
            | Self::DeclareJob
            | Self::JobStatus
            | Self::DeleteJob
            | Self::PredictTrained
            | Self::Frames
            | Self::DeclareFrame
            | Self::FrameStatus
            | Self::DeleteFrame
            | Self::ExplainQuery
            | Self::QueryFrames
            | Self::DeclareQuery
            | Self::Trainings
            | Self::DeclareTraining
            | Self::TrainingStatus
            | Self::DeleteTraining
            | Self::OfferTrainingGrant
            | Self::RevokeTrainingGrant
            | Self::OfferGrant
            | Self::RevokeGrant
            | Self::GrantUploads
            | Self::AddRows => ApiVersion::V2,
            _ => ApiVersion::V1,
        }
    }

    /// HTTP method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Models
            | Self::Specs
            | Self::Programs
            | Self::Program
            | Self::OpenApi
            | Self::Keys
            | Self::KeyStatus
            | Self::Cost
            | Self::JobStatus
            | Self::Frames
            | Self::FrameStatus
            | Self::Trainings
            | Self::TrainingStatus => "GET",
            Self::DeclareKey
            | Self::CompleteKey
            | Self::Predict
            | Self::DeclareUploads
            | Self::DeclareJob
            | Self::PredictTrained
            | Self::DeclareFrame
            | Self::ExplainQuery
            | Self::QueryFrames
            | Self::DeclareQuery
            | Self::DeclareTraining
            | Self::OfferTrainingGrant
            | Self::RevokeTrainingGrant
            | Self::OfferGrant
            | Self::RevokeGrant
            | Self::GrantUploads
            | Self::AddRows => "POST",
            Self::DeleteKey | Self::DeleteJob | Self::DeleteFrame | Self::DeleteTraining => {
                "DELETE"
            }
        }
    }

    /// The function that answers it.
    pub const fn function(self) -> Function {
        match self {
            Self::Models | Self::Specs | Self::Programs | Self::Program | Self::OpenApi => {
                Function::Specs
            }
            Self::Keys
            | Self::DeclareKey
            | Self::CompleteKey
            | Self::KeyStatus
            | Self::DeleteKey => Function::RegisterKey,
            Self::Predict | Self::PredictTrained | Self::ExplainQuery | Self::QueryFrames => {
                Function::Infer
            }
            Self::Cost
            | Self::DeclareUploads
            | Self::DeclareJob
            | Self::JobStatus
            | Self::DeleteJob
            | Self::Frames
            | Self::DeclareFrame
            | Self::FrameStatus
            | Self::DeleteFrame
            | Self::DeclareQuery
            | Self::Trainings
            | Self::DeclareTraining
            | Self::TrainingStatus
            | Self::DeleteTraining
            | Self::OfferTrainingGrant
            | Self::RevokeTrainingGrant
            | Self::OfferGrant
            | Self::RevokeGrant
            | Self::GrantUploads
            | Self::AddRows => Function::Jobs,
        }
    }

    /// Path with its parameter in braces.
    pub fn pattern(self, version: ApiVersion) -> String {
        format!("/{}{}", version.segment(), self.rest())
    }

    /// Path with a value for its parameter, where it has one.
    pub fn path(self, version: ApiVersion, parameter: &str) -> String {
        let segments = self.rest().split('/').map(|segment| {
            if segment.starts_with('{') {
                parameter
            } else {
                segment
            }
        });
        let rest = segments.collect::<Vec<_>>().join("/");
        format!("/{}{rest}", version.segment())
    }

    /// The route that a request takes.
    pub fn find<'a>(method: &str, path: &'a str) -> Result<Requested<'a>, NoRoute> {
        let mut allowed = Vec::new();
        for (version, route) in Self::everywhere() {
            let Some(parameter) = matches(version.segment(), route.rest(), path) else {
                continue;
            };
            if route.method() == method {
                return Ok(Requested {
                    version,
                    route,
                    parameter,
                });
            }
            allowed.push(route.method());
        }
        Err(if allowed.is_empty() {
            NoRoute::Path
        } else {
            NoRoute::Method(allowed)
        })
    }

    /// Path below the version.
    const fn rest(self) -> &'static str {
        match self {
            Self::Models => "/models",
            Self::Specs => "/models/{model}",
            Self::Programs => "/programs",
            Self::Program => "/programs/{program}",
            Self::OpenApi => "/openapi.json",
            Self::Keys | Self::DeclareKey => "/keys",
            Self::CompleteKey => "/keys/{id}/complete",
            Self::KeyStatus | Self::DeleteKey => "/keys/{id}",
            Self::Predict => "/models/{model}/predict",
            Self::Cost => "/models/{model}/cost",
            Self::DeclareUploads => "/uploads",
            Self::DeclareJob => "/jobs",
            Self::JobStatus | Self::DeleteJob => "/jobs/{id}",
            Self::PredictTrained => "/jobs/{id}/predict",
            Self::Frames | Self::DeclareFrame => "/frames",
            Self::FrameStatus | Self::DeleteFrame => "/frames/{frame}",
            Self::ExplainQuery => "/frames/explain",
            Self::QueryFrames => "/frames/query",
            Self::DeclareQuery => "/frames/jobs",
            Self::Trainings | Self::DeclareTraining => "/trainings",
            Self::TrainingStatus | Self::DeleteTraining => "/trainings/{training}",
            Self::OfferTrainingGrant => "/trainings/{training}/grants",
            Self::RevokeTrainingGrant => "/trainings/{training}/revocations",
            Self::OfferGrant => "/frames/{frame}/grants",
            Self::RevokeGrant => "/frames/{frame}/revocations",
            Self::GrantUploads => "/grants/uploads",
            Self::AddRows => "/grants/rows",
        }
    }
}

/// Matches a path with a pattern of at most one parameter, and gives the parameter's value.
fn matches<'a>(version: &str, pattern: &str, path: &'a str) -> Option<&'a str> {
    let path = path.strip_prefix('/')?.strip_prefix(version)?;
    let (mut parameter, mut rest) = ("", path.split('/'));
    for part in pattern.split('/') {
        let value = rest.next()?;
        if part.starts_with('{') {
            parameter = value;
        } else if part != value {
            return None;
        }
    }
    rest.next().is_none().then_some(parameter)
}

#[cfg(test)]
mod tests;
