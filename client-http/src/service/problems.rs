//! Problems of a service, in the words of what was asked for.

use super::error::ServiceError;
use cipherfn_protocol::api::{ModelName, ProblemType};
use cipherfn_protocol::message::KeyId;

impl ServiceError {
    /// In the words of a request for `model`.
    pub(crate) fn about_model(self, url: &str, model: &ModelName) -> Self {
        match self.problem() {
            Some(problem) if problem.kind == ProblemType::UnknownModel => Self::UnknownModel {
                url: url.to_owned(),
                model: model.clone(),
            },
            _ => self,
        }
    }

    /// In the words of a request for `table`.
    pub(crate) fn about_table(self, url: &str, table: &ModelName) -> Self {
        match self.about_model(url, table) {
            Self::UnknownModel { url, model } => Self::UnknownTable { url, table: model },
            other => other,
        }
    }

    /// Whether the service has no such route: that of a version before does not have the newest.
    pub(crate) fn is_no_route(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => problem.kind == ProblemType::UnknownRoute,
            // The HTTP API in front of the functions knows the routes too.
            Self::Status { status, .. } => *status == 404,
            _ => false,
        }
    }

    /// Whether it is a problem of this kind.
    pub(crate) fn is_of(&self, kind: ProblemType) -> bool {
        self.problem().is_some_and(|problem| problem.kind == kind)
    }

    /// In the words of a request about `key`.
    pub(crate) fn about_key(self, key: KeyId) -> Self {
        let Self::Problem { problem, .. } = &self else {
            return self;
        };
        let detail = problem.detail.clone();
        match problem.kind {
            ProblemType::UnknownKey => Self::UnknownKey { key },
            ProblemType::KeyExpired => Self::KeyExpired { key },
            ProblemType::KeyNotActive => Self::KeyNotActive { key, detail },
            ProblemType::KeyRejected => Self::KeyRejected {
                key,
                reason: detail,
            },
            ProblemType::KeyConflict => Self::KeyConflict { key, detail },
            ProblemType::KeyQuota => Self::KeyQuota { key, detail },
            ProblemType::MissingKeyPart => match problem.missing_part.clone() {
                Some(part) => Self::MissingKeyPart { key, part },
                None => self,
            },
            _ => self,
        }
    }
}
