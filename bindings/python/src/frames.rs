//! Encrypted data frames: schemas, keys, frames, queries on this machine and over a service.

mod answer;
mod cells;
mod frame;
mod kept;
mod keys;
mod models;
mod query;
mod run;
mod schema;
mod tables;

pub(crate) use answer::FrameAnswer;
pub(crate) use frame::Frame;
pub(crate) use kept::{KeptFrame, delete_frame, list_frames};
pub(crate) use keys::FrameKeys;
pub(crate) use models::FrameModel;
pub(crate) use query::FrameQuery;
pub(crate) use schema::FrameSchema;
pub(crate) use tables::ClearTable;

use crate::error::Failure;
use cipherfn_client::frames::{ColumnError, FrameError, FrameFileError, RefreshFrameError};
use cipherfn_frame::cells::CellError;
use cipherfn_frame::file::FileError;
use cipherfn_frame::kept::KeptError;
use cipherfn_frame::plain::PlainError;
use cipherfn_frame::plan::{PlanError, ScoreError};
use cipherfn_frame::reply::ReplyError;
use cipherfn_frame::schema::SchemaError;
use cipherfn_serving::frames::{
    BundleScoreError, FrameError as PassError, FrameQueryError, ReadError,
};

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        let remedy = match error {
            SchemaError::Document { .. } => Some("Schema.infer(df, name=...) makes one".into()),
            _ => None,
        };
        Self::named("SchemaError", &error, remedy)
    }
}

impl From<CellError> for Failure {
    fn from(error: CellError) -> Self {
        let remedy = match error {
            CellError::Cell { ref column, .. } => Some(format!(
                "schema.column({column:?}, min=..., max=..., places=..., nulls=..., dictionary=...) changes what its cells can be"
            )),
            _ => None,
        };
        Self::named("TableError", &error, remedy)
    }
}

impl From<ColumnError> for Failure {
    fn from(error: ColumnError) -> Self {
        Self::named("TableError", &error, None)
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        let (class, remedy) = match error {
            FrameError::Duplicate { .. } => (
                "TableError",
                Some("remove one of the rows, or schema.lookup(..., duplicates=\"sum\")".into()),
            ),
            FrameError::TooMany { .. } => ("TableError", None),
            FrameError::Reply { .. } => ("ServiceError", None),
            _ => ("CipherfnError", None),
        };
        Self::named(class, &error, remedy)
    }
}

impl From<FrameFileError> for Failure {
    fn from(error: FrameFileError) -> Self {
        match error {
            FrameFileError::Frame(error) => error.into(),
            error => Self::named("CipherfnError", &error, None),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let remedy = match error {
            PlanError::UnknownFrame { .. } => {
                Some("give the frame to frame.sql(query, frame, ...), or merge with it".into())
            }
            PlanError::NotLevelled { .. } => Some(
                "collect(stages=True) takes part with the secret key, where that helps; explain(stages=True) shows how".into(),
            ),
            _ => None,
        };
        Self::named("PlanError", &error, remedy)
    }
}

impl From<FrameQueryError> for Failure {
    fn from(error: FrameQueryError) -> Self {
        match error {
            FrameQueryError::Plan(error) => error.into(),
            FrameQueryError::Schema(error) => error.into(),
            FrameQueryError::TooImprecise { bits, .. } => {
                let more = "schema.column(..., limb_bits=4) makes it more exact, and encrypt(..., gadget=(4, 6)) may";
                let remedy = if bits > 0.0 {
                    format!("min_bits=BITS takes less; {more}")
                } else {
                    more.to_owned()
                };
                Self::named("PlanError", &error, Some(remedy))
            }
            FrameQueryError::Unlike { .. } => Self::named(
                "PlanError",
                &error,
                Some("encrypt all frames with the same keys= and gadget=".into()),
            ),
            FrameQueryError::NoWeights { .. } => Self::named(
                "PlanError",
                &error,
                Some("collect(client) asks the service that has published it".into()),
            ),
            error => Self::named("PlanError", &error, None),
        }
    }
}

impl From<KeptError> for Failure {
    fn from(error: KeptError) -> Self {
        let remedy = match error {
            KeptError::UnknownName { .. } | KeptError::UnknownId { .. } => {
                "encrypt(...).upload(client) lets a service keep a frame"
            }
            _ => "frame.kept(client, ID) takes one by its id, and its delete() deletes it",
        };
        Self::named("ServiceError", &error, Some(remedy.into()))
    }
}

macro_rules! from {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::named("CipherfnError", &error, None)
            }
        })+
    };
}
from!(
    BundleScoreError,
    FileError,
    PlainError,
    ScoreError,
    PassError,
    ReadError,
    ReplyError,
    RefreshFrameError
);
