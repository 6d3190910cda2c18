//! What can go wrong with a service.

pub use super::words::Skew;

use super::manifest::ManifestError;
use super::words::{after, quoted, refusal, request_id};
use crate::error::KeyRingError;
use aws_credential_types::provider::error::CredentialsError;
use cipherfn_client::training::DescentError;
use cipherfn_client::training::leaves::LeafError;
use cipherfn_client::{ClientError, Remedy};
use cipherfn_frame::plan::ScoreError;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::trainings::TrainingId;
use cipherfn_protocol::api::{ModelName, Problem};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use cipherfn_training::TrainingError;

/// Why a service did not do what was asked. Messages hold no token, no signature and no presigned
/// URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A second result of one job.
    #[error(
        "the service gives another result of this training than it did before, and a training has one; it may have chosen both to learn of the key from what happens next. End it (--cancel), and take a new key ring"
    )]
    OtherResult,
    /// The rows, the specs or the output, on this side.
    #[error(transparent)]
    Client(Box<ClientError>),
    /// The key ring.
    #[error(transparent)]
    KeyRing(Box<KeyRingError>),
    /// An address that cannot be a service's.
    #[error("{url} {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No region to sign for.
    #[error("{url} does not tell its AWS region, which signatures need; give the region")]
    NoRegion {
        /// The address.
        url: String,
    },
    /// The HTTP client cannot be set up.
    #[error("HTTPS cannot be set up on this machine: {cause}")]
    Setup {
        /// Cause.
        cause: String,
    },
    /// No AWS credentials.
    #[error(
        "there are no AWS credentials to sign with: {source}; log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials {
        /// Cause.
        source: Box<CredentialsError>,
    },
    /// A request that cannot be signed or written.
    #[error("{route}: the request cannot be made: {cause}")]
    Request {
        /// Method and address.
        route: String,
        /// Cause.
        cause: String,
    },
    /// No answer.
    #[error("{route} did not answer{}: {cause}; check the address and the network, then try again", after(*.attempts))]
    Unreachable {
        /// Method and address.
        route: String,
        /// Attempts made.
        attempts: u32,
        /// How the last one failed.
        cause: String,
    },
    /// An answer that this crate has no more to say about.
    #[error("{route} answered {} {}{}: {}{}", .problem.status, .problem.title, after(*.attempts), .problem.detail, request_id(.problem))]
    Problem {
        /// Method and address.
        route: String,
        /// Attempts made.
        attempts: u32,
        /// What the service says.
        problem: Box<Problem>,
    },
    /// An error from something in front of the service.
    #[error(
        "{route} answered status {status}{}, not as the service would{}; check the address, or try again later",
        after(*.attempts),
        quoted(.text)
    )]
    Status {
        /// Method and address.
        route: String,
        /// Attempts made.
        attempts: u32,
        /// HTTP status.
        status: u16,
        /// Start of the answer.
        text: String,
    },
    /// The caller's identity is missing or not accepted.
    #[error("{route} {} (status {status}){}; {advice}{}", refusal(*.status), quoted(.text), .clock.map(|clock| clock.to_string()).unwrap_or_default())]
    Denied {
        /// Method and address.
        route: String,
        /// HTTP status: 401 or 403.
        status: u16,
        /// What the service says.
        text: String,
        /// What to do.
        advice: &'static str,
        /// Where this machine's clock is wrong, which makes signatures invalid.
        clock: Option<Skew>,
    },
    /// A success whose content is not what the route promises.
    #[error(
        "{route} answered what cannot be: {reason}; check that the address is that of a cipherfn service of this version"
    )]
    Answer {
        /// Method and address.
        route: String,
        /// What is wrong.
        reason: String,
    },
    /// No such model.
    #[error("{url} has no model {model}; ask it for those that it has")]
    UnknownModel {
        /// The service.
        url: String,
        /// The model.
        model: ModelName,
    },
    /// No such table in the clear.
    #[error("{url} has no table {table}; name one that it has published")]
    UnknownTable {
        /// The service.
        url: String,
        /// The table.
        table: ModelName,
    },
    /// What is published under a name is no table in the clear.
    #[error("{name} is no table in the clear: {problem}; name one that is")]
    NoTable {
        /// The name.
        name: ModelName,
        /// What it is.
        problem: String,
    },
    /// What is published under a name is no model whose score a plan can take.
    #[error(transparent)]
    NoScore {
        /// Why not.
        source: ScoreError,
    },
    /// Specs whose bytes do not have the hash that the service names.
    #[error(
        "the specs of model {model} arrived with hash {found} instead of {expected}; fetch them again, and tell the operator if that does not help"
    )]
    SpecsHash {
        /// The model.
        model: ModelName,
        /// Hash that the service names.
        expected: SpecsHash,
        /// Hash of what came.
        found: SpecsHash,
    },
    /// The rows were encrypted for specs that are no longer live.
    #[error("model {model} no longer answers specs {}; fetch its specs again and start over", .used.short())]
    StaleSpecs {
        /// The model.
        model: ModelName,
        /// Specs of the query.
        used: SpecsHash,
        /// Specs to fetch.
        current: Option<SpecsHash>,
    },
    /// The service does not have the evaluation key.
    #[error("the service does not have evaluation key {key}; register it")]
    UnknownKey {
        /// Its id.
        key: KeyId,
    },
    /// The registration ran out.
    #[error("the registration of evaluation key {key} has expired; register the key again")]
    KeyExpired {
        /// Its id.
        key: KeyId,
    },
    /// Declared and not completed, or rejected.
    #[error(
        "evaluation key {key} is not active: {detail}; register it again, which goes on where it stopped"
    )]
    KeyNotActive {
        /// Its id.
        key: KeyId,
        /// What the service says.
        detail: String,
    },
    /// The service does not take the file for an evaluation key.
    #[error(
        "the service rejects evaluation key {key}: {reason}; make a new one with a client of the service's version"
    )]
    KeyRejected {
        /// Its id.
        key: KeyId,
        /// Why.
        reason: String,
    },
    /// Another evaluation key of the same secret key is registered.
    #[error(
        "another evaluation key is registered as {key}: {detail}; delete that registration first, or use its file"
    )]
    KeyConflict {
        /// Its id.
        key: KeyId,
        /// What the service says.
        detail: String,
    },
    /// More keys than a caller may have.
    #[error(
        "evaluation key {key} cannot be registered: {detail}; delete a registration that is no longer needed"
    )]
    KeyQuota {
        /// Its id.
        key: KeyId,
        /// What the service says.
        detail: String,
    },
    /// The evaluation key is larger than services take.
    #[error(
        "evaluation key {key} has {bytes} bytes, services take at most {limit}; the model has to be compiled for a smaller one"
    )]
    KeyTooLarge {
        /// Its id.
        key: KeyId,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The service knows of no parts of keys.
    #[error(
        "the service speaks version 1 and takes evaluation keys of one part; the model needs the parts {parts} of key {key}: tell the operator to update it"
    )]
    NoParts {
        /// Id of the key.
        key: KeyId,
        /// Names of the parts that it lacks.
        parts: String,
    },
    /// The model needs a part of the key that the service does not have.
    #[error(
        "the service does not have the part {part} of evaluation key {key}, which the model needs; register it"
    )]
    MissingKeyPart {
        /// Id of the key.
        key: KeyId,
        /// Name of the part.
        part: String,
    },
    /// A piece of the key did not arrive.
    #[error("piece {piece} of the part {part} of evaluation key {key} did not arrive at {to}{}: {cause}; run the registration again, it goes on where it stopped", after(*.attempts))]
    Upload {
        /// Id of the key.
        key: KeyId,
        /// Name of the part.
        part: String,
        /// Number of the piece.
        piece: u32,
        /// Where it should go, without the signature.
        to: String,
        /// Attempts made.
        attempts: u32,
        /// How the last one failed.
        cause: String,
    },
    /// One row does not fit a request.
    #[error(
        "one encrypted row of model {model} has {bytes} bytes, a request at most {limit}; the model has to be compiled for a smaller query"
    )]
    RowTooLarge {
        /// The model.
        model: ModelName,
        /// Bytes of a row, in a query or in a reply.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A reply that does not belong to its request.
    #[error(
        "model {model} sent an unusable reply to rows {first} to {last}: {source}; no predictions were written for them"
    )]
    Reply {
        /// The model.
        model: ModelName,
        /// Number of the first row, from 1.
        first: u64,
        /// Number of the last row.
        last: u64,
        /// Cause.
        source: Box<ClientError>,
    },
    /// A reply with another number of rows than its request.
    #[error(
        "model {model} sent {found} rows in reply to rows {first} to {last}; no predictions were written for them: tell the operator"
    )]
    RowCount {
        /// The model.
        model: ModelName,
        /// Number of the first row, from 1.
        first: u64,
        /// Number of the last row.
        last: u64,
        /// Rows in the reply.
        found: u64,
    },
    /// A chunk or a result of a job did not arrive.
    #[error("{what} did not arrive, {to}{}: {cause}; run it again, it goes on where it stopped", after(*.attempts))]
    Transfer {
        /// What.
        what: String,
        /// Where to or from, without the signature.
        to: String,
        /// Attempts made.
        attempts: u32,
        /// How the last one failed.
        cause: String,
    },
    /// Rows that a job has no answers to.
    #[error(
        "model {model} did not answer rows {first} to {last} in {attempts} attempts: {}; run it again once that is mended, which tries them anew", .problem.detail
    )]
    ChunkFailed {
        /// The model.
        model: ModelName,
        /// Number of the first row, from 1.
        first: u64,
        /// Number of the last row.
        last: u64,
        /// Attempts made.
        attempts: u32,
        /// Why.
        problem: Box<Problem>,
    },
    /// The service knows of no jobs.
    #[error("{url} takes no jobs: send the rows as requests, or tell the operator to update it")]
    NoJobs {
        /// The service.
        url: String,
    },
    /// What is published as a program is none that this client reads.
    #[error("training program {program}: {source}")]
    Program {
        /// Its name.
        program: ModelName,
        /// Cause.
        source: Box<TrainingError>,
    },
    /// The service knows of no trainings.
    #[error("{url} does not train: train on this machine, or tell the operator to update it")]
    NoTrainings {
        /// The service.
        url: String,
    },
    /// A training to which nobody has added rows.
    #[error(
        "no owner has added rows to training {training}; let some do so (cipherfn joint grant), or train without --joint"
    )]
    NoOwners {
        /// The training.
        training: TrainingId,
    },
    /// A total to which nobody has contributed.
    #[error(
        "no owner has contributed to total {training}; let some do so (cipherfn joint grant, joint add)"
    )]
    NoContributions {
        /// The total.
        training: TrainingId,
    },
    /// More chunks than a job takes.
    #[error("the rows of all owners have {found} chunks, and a job takes {limit}; leave some out")]
    TooManyChunks {
        /// Chunks.
        found: usize,
        /// Most.
        limit: usize,
    },
    /// A grant of something else.
    #[error("the grant is for {found}, not for {expected}; ask for one of that")]
    OtherGrant {
        /// What it is for.
        found: &'static str,
        /// What was asked for.
        expected: &'static str,
    },
    /// Rows that a grant is not for.
    #[error(
        "the rows are for another {what} than the grant's; encrypt them with the program and the public key that came with it"
    )]
    RowsForOther {
        /// What differs.
        what: &'static str,
    },
    /// More than a grant allows.
    #[error(
        "the grant allows {most} {what}, and these are {found}; ask the key holder for another one"
    )]
    BeyondGrant {
        /// What there is too much of.
        what: &'static str,
        /// How much of it.
        found: u64,
        /// How much the grant allows.
        most: u64,
    },
    /// Rows that no service trains on.
    #[error(
        "the rows have {bytes} bytes encrypted, and a service trains on at most {limit}; train on fewer rows, or on this machine"
    )]
    TrainingTooLarge {
        /// Their bytes.
        bytes: u64,
        /// Most that there may be.
        limit: u64,
    },
    /// Workers gave a training up.
    #[error(
        "the training was given up after {attempts} attempts, and there is no result: {}; train again once that is mended", .problem.detail
    )]
    TrainingFailed {
        /// Attempts made.
        attempts: u32,
        /// Why.
        problem: Box<Problem>,
    },
    /// A training whose weights are asked for too early.
    #[error("training {job} is not over; wait for it with the command that began it")]
    StillTraining {
        /// Its job.
        job: JobId,
    },
    /// Kept weights that a training should go on from, and that are no longer kept.
    #[error(
        "the service no longer has the weights of training {job} ({cause}); train anew without going on from it, or from a model file (--start)"
    )]
    WeightsGone {
        /// Job of the training.
        job: JobId,
        /// What the service says.
        cause: Box<Self>,
    },
    /// Rows that cannot be encrypted for a training.
    #[error(transparent)]
    Training(Box<DescentError>),
    /// Rows of a training of trees, or counts of them.
    #[error(transparent)]
    Leaves(Box<LeafError>),
    /// A tree that has grown otherwise than before.
    #[error(
        "what was uploaded goes on from another tree in level {level}; end the training (--cancel), and train anew"
    )]
    OtherTree {
        /// Number of the level, from 0.
        level: usize,
    },
    /// The service keeps no frames.
    #[error(
        "{url} keeps no frames: evaluate the query on files, or tell the operator to update it"
    )]
    NoFrames {
        /// The service.
        url: String,
    },
    /// Workers gave a query up.
    #[error(
        "the query was not answered in {attempts} attempts: {}; ask again once that is mended", .problem.detail
    )]
    QueryFailed {
        /// Attempts made.
        attempts: u32,
        /// Why.
        problem: Box<Problem>,
    },
    /// The table has other rows than were uploaded.
    #[error(
        "the table has changed since its rows were uploaded; delete the run's manifest to start anew"
    )]
    TableChanged,
    /// The file that remembers what was uploaded.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The runtime is shutting down.
    #[error("the work was cancelled: the runtime is shutting down")]
    Cancelled,
}

impl ServiceError {
    /// What the service says, where it is left in the service's words.
    pub const fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// What to do about it, where a caller can do something.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Client(error) => error.remedy(),
            Self::KeyRing(error) => error.remedy(),
            Self::Reply { source, .. } => source.remedy(),
            Self::UnknownModel { .. } | Self::UnknownTable { .. } => Some(Remedy::ListModels),
            Self::SpecsHash { .. } | Self::StaleSpecs { .. } => Some(Remedy::FetchSpecs),
            Self::UnknownKey { key }
            | Self::KeyExpired { key }
            | Self::MissingKeyPart { key, .. }
            | Self::KeyNotActive { key, .. } => Some(Remedy::RegisterKey { key: *key }),
            Self::KeyRejected { .. } => Some(Remedy::ReplaceKeys),
            Self::KeyConflict { key, .. } | Self::KeyQuota { key, .. } => {
                Some(Remedy::DeleteKey { key: *key })
            }
            Self::KeyTooLarge { .. } => Some(Remedy::CompileSmallerKey),
            Self::RowTooLarge { .. } => Some(Remedy::CompileSmallerQuery),
            Self::Unreachable { .. }
            | Self::Status { .. }
            | Self::Upload { .. }
            | Self::Transfer { .. } => Some(Remedy::TryAgain),
            _ => None,
        }
    }
}

impl From<ClientError> for ServiceError {
    fn from(error: ClientError) -> Self {
        Self::Client(Box::new(error))
    }
}

impl From<DescentError> for ServiceError {
    fn from(error: DescentError) -> Self {
        Self::Training(Box::new(error))
    }
}

impl From<LeafError> for ServiceError {
    fn from(error: LeafError) -> Self {
        Self::Leaves(Box::new(error))
    }
}

impl From<KeyRingError> for ServiceError {
    fn from(error: KeyRingError) -> Self {
        Self::KeyRing(Box::new(error))
    }
}
