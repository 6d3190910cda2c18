//! What the service says over HTTP: routes, JSON documents, problem types and limits.
//!
//! Queries and replies are binary ([`crate::message`]); everything else is JSON.
//! `docs/openapi.json` is the same as an OpenAPI document, and tests hold the service to it.

pub mod frames;
pub mod grant;
mod grant_document;
pub mod grants;
pub mod job;
mod key;
mod model;
mod problem;
mod public_key;
mod route;
pub mod trainings;
pub mod v2;

pub use key::{KeyDeclarationV1, KeyState, KeyStatusV1, KeyUploadV1, PartUpload, Pieces};
pub use model::{
    ModelList, ModelName, ModelSummary, ParseModelNameError, ProgramList, PublishedKind, Version,
};
pub use problem::{Problem, ProblemType};
pub use public_key::PublicKeyFile;
pub use route::{ApiVersion, NoRoute, Requested, Route};

/// Content type of a query, the body of a prediction request.
pub const QUERY: &str = "application/vnd.cipherfn.query";
/// Content type of a reply.
pub const REPLY: &str = "application/vnd.cipherfn.reply";
/// Content type of what a query made of frames.
pub const ANSWER: &str = "application/vnd.cipherfn.answer";
/// Content type of client specs.
pub const SPECS: &str = "application/vnd.cipherfn.specs+json";
/// Content type of a training program.
pub const PROGRAM: &str = "application/vnd.cipherfn.program+json";
/// Header beside client specs and programs: their developer's signed statement, a JSON document.
pub const STATEMENT: &str = "cipherfn-statement";
/// Content type of every other answer.
pub const JSON: &str = "application/json";
/// Content type of errors (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";

/// Largest request body in bytes. AWS Lambda takes 6 MB of event, in which a binary body is base64:
/// 4 MiB pass, 5 do not.
pub const MAX_REQUEST: usize = 4 << 20;
/// Largest reply body in bytes; the same limit on the way back (4.4 MiB pass, 4.8 do not).
pub const MAX_REPLY: usize = 4 << 20;
/// Largest JSON request body in bytes.
pub const MAX_JSON: usize = 256 << 10;
/// Largest evaluation key that can be registered, in bytes.
pub const MAX_KEY: u64 = 256 << 20;

/// A function that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// Lists models and serves client specs.
    Specs,
    /// Registers, checks and deletes evaluation keys.
    RegisterKey,
    /// Answers encrypted rows.
    Infer,
    /// Takes jobs, tells where they stand, ends them.
    Jobs,
    /// Does the work of jobs, a chunk an event.
    Worker,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Specs,
        Self::RegisterKey,
        Self::Infer,
        Self::Jobs,
        Self::Worker,
    ];

    /// Name of its binary, its folder and its resource.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Specs => "specs",
            Self::RegisterKey => "register-key",
            Self::Infer => "infer",
            Self::Jobs => "jobs",
            Self::Worker => "worker",
        }
    }
}

#[cfg(test)]
mod tests;
