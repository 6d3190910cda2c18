//! Why a grant does not allow something, and how the API says it.

use cipherfn_protocol::api::frames::MAX_PIECES;
use cipherfn_protocol::api::grants::Contributor;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::{Problem, ProblemType};

/// Why a grant does not allow something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantRefusal {
    /// There is no such grant, frame or training, it is not as its owner signed it, or it is another tenant's:
    /// which of these is nobody's business.
    Unknown,
    /// It ran out.
    Expired,
    /// It makes no sense: its field, and what is wrong with it.
    Malformed(&'static str, &'static str),
    /// The frame has as many grants as it may.
    TooMany(usize),
    /// The training has as many.
    TooManyOwners(usize),
    /// More pieces than it allows.
    Objects(u32),
    /// More bytes than it allows.
    Bytes(u64),
    /// More rows of a training than it allows.
    GrantRows(u64),
    /// More chunks or bytes than a training may have.
    Training(&'static str),
    /// A second contribution of an owner to a total, or by a grant of one.
    Contributed(Contributor),
    /// A total of fewer owners than it is to have.
    TooFewOwners {
        /// How many there are, besides the key holder.
        found: usize,
        /// How many there must be.
        least: u32,
    },
    /// Rows for a training that has its job.
    Begun,
    /// A job on a training's rows, which has another one.
    Trained(JobId),
    /// A job that does something else than train as the training says, by its field.
    OtherJob(&'static str),
    /// A job on other rows than all that were added to a training.
    NotAllRows,
    /// A piece for which no address was given out, by its place.
    NotDeclared(usize),
    /// A piece that is there already, by its place.
    Known(usize),
    /// More pieces than a frame may have.
    Pieces,
    /// More rows than a frame may have.
    Rows(u64),
    /// More columns than a frame may have.
    Columns(usize),
    /// Rows for a frame that has columns of others, which have none for them.
    BesideColumns,
    /// Columns beside other rows than the frame has now.
    OtherRows,
    /// A column that the frame has already.
    Taken(String),
}

impl From<GrantRefusal> for Problem {
    fn from(refusal: GrantRefusal) -> Self {
        use ProblemType::{
            FrameQuota, GrantExpired, GrantUsedUp, JobConflict, JobQuota, MalformedFrame,
            MalformedRequest, MalformedRows, UnknownGrant, UploadMissing,
        };
        let (kind, detail) = match refusal {
            GrantRefusal::Unknown => (
                UnknownGrant,
                "there is no such grant for you: it was revoked, what it is for was deleted, it is for another tenant, or it was changed; ask its owner for one".to_owned(),
            ),
            GrantRefusal::Expired => (
                GrantExpired,
                "the grant has run out; ask its owner for another one".to_owned(),
            ),
            GrantRefusal::Malformed(field, problem) => {
                (MalformedRequest, format!("{field}: {problem}; make the grant anew"))
            }
            GrantRefusal::TooMany(most) => (
                FrameQuota,
                format!("the frame has {most} grants, as many as it may; revoke one"),
            ),
            GrantRefusal::TooManyOwners(most) => (
                JobQuota,
                format!("the training has {most} grants, as many as it may; revoke one"),
            ),
            GrantRefusal::Contributed(Contributor::Another) => (
                GrantUsedUp,
                "another tenant has contributed by this grant, and a grant of a total is for one contribution; ask the key holder for a grant of your own, and tell it if nobody else was to have this one".to_owned(),
            ),
            GrantRefusal::Contributed(Contributor::Caller) => (
                GrantUsedUp,
                "you have contributed to this total, and each owner does once; if that was wrong, the key holder can remove it (revoke with drop_rows) and make another grant".to_owned(),
            ),
            GrantRefusal::TooFewOwners { found, least } => (
                JobConflict,
                format!("the total was declared, and its owners were told, to be of {least} owners at least besides its key holder, and {found} have contributed; have more of them contribute, or declare another one"),
            ),
            GrantRefusal::GrantRows(most) => (
                GrantUsedUp,
                format!("the grant allows {most} rows, and these are more together; ask the key holder for another one"),
            ),
            GrantRefusal::Training(what) => (
                MalformedRows,
                format!("the training would have more than {what}; add fewer rows"),
            ),
            GrantRefusal::Begun => (
                GrantExpired,
                "the training has begun, and takes no more rows; ask the key holder for a grant of another one".to_owned(),
            ),
            GrantRefusal::Trained(job) => (
                JobConflict,
                format!("the training has its job, {job}, and rows of owners are trained on once; declare another training (POST /v2/trainings)"),
            ),
            GrantRefusal::OtherJob(field) => (
                MalformedRequest,
                format!("{field}: the folder is a training's, and this is another one than the training's; declare a training by its program, version and key (GET /v2/trainings/ID)"),
            ),
            GrantRefusal::NotAllRows => (
                JobConflict,
                "chunks: they are not all rows of the training: rows were added or dropped since, or the order is another; declare the job over the key holder's own chunks, if there are any, then those of all owners as GET /v2/trainings/ID lists them".to_owned(),
            ),
            GrantRefusal::Objects(most) => (
                GrantUsedUp,
                format!("the grant allows {most} pieces, and these are more together; ask its owner for another one"),
            ),
            GrantRefusal::Bytes(most) => (
                GrantUsedUp,
                format!("the grant allows {most} bytes, and the pieces have more together; ask its owner for another one"),
            ),
            GrantRefusal::NotDeclared(place) => (
                UploadMissing,
                format!("piece {place} has no address by this grant; declare it (POST /v2/grants/uploads) and upload it"),
            ),
            GrantRefusal::Known(place) => (
                MalformedRequest,
                format!("piece {place} is there already; rows and columns are added once"),
            ),
            GrantRefusal::Pieces => (
                MalformedFrame,
                format!("the frame would have more than {MAX_PIECES} pieces; its owner has to upload it anew in larger ones"),
            ),
            GrantRefusal::BesideColumns => (
                MalformedRequest,
                "the frame has columns that others added, which have nothing for more rows; revoke their grant with what came by it (drop_rows)".to_owned(),
            ),
            GrantRefusal::OtherRows => (
                MalformedFrame,
                "the columns are for other rows than the frame has now: some were added or dropped since the grant was made, or not all rows were sent; send them all, or ask the frame's owner for another grant".to_owned(),
            ),
            GrantRefusal::Taken(name) => (
                MalformedRequest,
                format!("columns: {name:?} is a column of the frame already; give the new one another name"),
            ),
            GrantRefusal::Columns(most) => (
                MalformedFrame,
                format!("the frame would have more than {most} columns, with those that were added since the grant was made; its owner may drop some (revoke with drop_rows)"),
            ),
            GrantRefusal::Rows(most) => (
                MalformedFrame,
                format!("the frame would have more than {most} rows"),
            ),
        };
        Self::new(kind, detail)
    }
}
