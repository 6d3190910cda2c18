//! Errors over HTTP: `application/problem+json` (RFC 9457) with a stable type.

use crate::hash::SpecsHash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PREFIX: &str = "urn:cipherfn:problem:";

/// An error as the service answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of error; stable, for programs.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// The same for people.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What was wrong, where, and the way out.
    pub detail: String,
    /// Names the request in the service's logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// With [`ProblemType::StaleSpecs`] and [`ProblemType::StaleProgram`]: the version to fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_specs: Option<SpecsHash>,
    /// With [`ProblemType::TooManyRows`]: how many rows a request may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_rows: Option<u64>,
    /// With [`ProblemType::MissingKeyPart`]: the part's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_part: Option<String>,
}

impl Problem {
    /// A problem of `kind`.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            request_id: None,
            current_specs: None,
            most_rows: None,
            missing_part: None,
        }
    }

    /// Whether the same request can succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.status, 429 | 500 | 502..=504)
    }
}

macro_rules! problem_types {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)*) => {
        /// Kinds of errors.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemType {
            $($(#[$doc])* $name,)*
            /// Not known to this build.
            Unknown,
        }

        impl ProblemType {
            /// All that this build knows.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Last part of its URN.
            pub const fn slug(self) -> &'static str {
                match self {
                    $(Self::$name => $slug,)*
                    Self::Unknown => "unknown",
                }
            }

            /// HTTP status.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Unknown => 500,
                }
            }

            /// For people.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                    Self::Unknown => "unknown problem",
                }
            }
        }
    };
}

problem_types! {
    /// JSON, a parameter or an id that does not parse.
    MalformedRequest = "malformed-request", 400, "malformed request";
    /// The body is no query.
    MalformedQuery = "malformed-query", 400, "malformed query";
    /// No identity.
    Unauthenticated = "unauthenticated", 401, "no caller identity";
    /// More keys than a tenant may have.
    KeyQuota = "key-quota", 403, "too many keys";
    /// More jobs than a tenant may have.
    JobQuota = "job-quota", 403, "too many jobs";
    /// More frames than a tenant may have.
    FrameQuota = "frame-quota", 403, "too many frames";
    /// More pieces or bytes than the grant allows.
    GrantUsedUp = "grant-used-up", 403, "grant used up";
    /// No such route.
    UnknownRoute = "unknown-route", 404, "unknown route";
    /// No such model.
    UnknownModel = "unknown-model", 404, "unknown model";
    /// No such training program.
    UnknownProgram = "unknown-program", 404, "unknown program";
    /// No such table in the clear.
    UnknownTable = "unknown-table", 404, "unknown table";
    /// The caller has no such key.
    UnknownKey = "unknown-key", 404, "unknown key";
    /// The caller has no such job.
    UnknownJob = "unknown-job", 404, "unknown job";
    /// The caller has no such frame.
    UnknownFrame = "unknown-frame", 404, "unknown frame";
    /// No such upload grant, or not one that its owner signed.
    UnknownGrant = "unknown-grant", 404, "unknown grant";
    /// A route that exists, with another method.
    WrongMethod = "wrong-method", 405, "method not allowed";
    /// Something that was to be uploaded before is not there.
    UploadMissing = "upload-missing", 409, "upload missing";
    /// The id is registered for another file.
    KeyConflict = "key-conflict", 409, "key registered with other content";
    /// The idempotency key is that of another job.
    JobConflict = "job-conflict", 409, "job declared with other content";
    /// A training whose weights are asked before its last step, or that has none.
    NotTrained = "not-trained", 409, "not trained";
    /// Declared and not completed, or rejected.
    KeyNotActive = "key-not-active", 409, "key not active";
    /// The model needs a part of the key that is not registered.
    MissingKeyPart = "missing-key-part", 409, "missing key part";
    /// The query was made for specs that are not live.
    StaleSpecs = "stale-specs", 410, "stale specs";
    /// The rows were encrypted for a version of the program that is not live.
    StaleProgram = "stale-program", 410, "stale program";
    /// The model's specs cannot be said in this version of the API.
    NewerClientNeeded = "newer-client-needed", 410, "newer client needed";
    /// The registration ran out.
    KeyExpired = "key-expired", 410, "key expired";
    /// The job ran out.
    JobExpired = "job-expired", 410, "job expired";
    /// The frame ran out.
    FrameExpired = "frame-expired", 410, "frame expired";
    /// The grant ran out.
    GrantExpired = "grant-expired", 410, "grant expired";
    /// The body is larger than the route takes.
    BodyTooLarge = "body-too-large", 413, "body too large";
    /// The body is of another type than the route takes.
    WrongContentType = "wrong-content-type", 415, "unsupported content type";
    /// What was uploaded is not what was declared.
    ChunkAltered = "chunk-altered", 422, "chunk altered";
    /// What is kept of work under way is not what was written.
    CheckpointAltered = "checkpoint-altered", 422, "checkpoint altered";
    /// Whoever worked on it ended, every time.
    WorkerLost = "worker-lost", 500, "worker lost";
    /// What was uploaded is no key of the declared set.
    KeyRejected = "key-rejected", 422, "key rejected";
    /// A parameter set that is unknown here, or not the model's.
    WrongParameterSet = "wrong-parameter-set", 422, "wrong parameter set";
    /// More rows than can be answered in time or in one reply.
    TooManyRows = "too-many-rows", 422, "too many rows";
    /// What was uploaded are not the rows of this program under this key, all of them, in order.
    MalformedRows = "malformed-rows", 422, "malformed rows";
    /// What was uploaded is no encrypted frame, or its pieces do not go together.
    MalformedFrame = "malformed-frame", 422, "malformed frame";
    /// A plan that these frames do not allow, or whose answer would be less exact than was asked for.
    PlanRefused = "plan-refused", 422, "plan refused";
    /// A query that takes longer, or has a larger answer, than a request may.
    QueryTooLarge = "query-too-large", 422, "query too large for a request";
    /// A bug, or a stored object that does not load.
    Internal = "internal", 500, "internal error";
    /// S3 did not answer as it should.
    StorageUnavailable = "storage-unavailable", 503, "storage unavailable";
    /// Not enough time is left for the request.
    OutOfTime = "out-of-time", 503, "out of time";
    /// A row takes more memory than the function has.
    TooLittleMemory = "too-little-memory", 507, "too little memory";
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{PREFIX}{}", self.slug()))
    }
}

impl<'de> Deserialize<'de> for ProblemType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let slug = text.strip_prefix(PREFIX);
        Ok(Self::ALL
            .iter()
            .copied()
            .find(|kind| Some(kind.slug()) == slug)
            .unwrap_or(Self::Unknown))
    }
}
