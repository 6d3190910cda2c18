//! Training: statistics of several owners, and gradient descent on encrypted rows.

mod asked;
mod descent;
mod fitted;
mod kept;
mod resumed;
mod rows;
mod statistics;

pub(crate) use descent::Descent;
pub(crate) use fitted::Fitted;
pub(crate) use kept::Kept;
pub(crate) use resumed::cancel_training;
pub(crate) use statistics::{Statistics, public_key};

use crate::error::Failure;
use cipherfn_client::training::{DescentError as RowsError, StatisticsError};
use cipherfn_serving::training::{DescentError, TotalError};
use cipherfn_training::TrainingError;

impl From<TrainingError> for Failure {
    fn from(error: TrainingError) -> Self {
        let remedy = match error {
            TrainingError::OtherKey { .. } => {
                Some("give the keys= whose public key the owners had".into())
            }
            TrainingError::Number { .. } => Some("df.dropna(subset=[...])".into()),
            _ => None,
        };
        Self::named("TrainingError", &error, remedy)
    }
}

impl From<StatisticsError> for Failure {
    fn from(error: StatisticsError) -> Self {
        match error {
            StatisticsError::Training(error) => error.into(),
            error => Self::named("TrainingError", &error, None),
        }
    }
}

impl From<TotalError> for Failure {
    fn from(error: TotalError) -> Self {
        match error {
            TotalError::Training(error) => error.into(),
            error => Self::named("TrainingError", &error, None),
        }
    }
}

impl From<DescentError> for Failure {
    fn from(error: DescentError) -> Self {
        Self::named("TrainingError", &error, None)
    }
}

impl From<RowsError> for Failure {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::Training(error) => error.into(),
            error => Self::named("TrainingError", &error, None),
        }
    }
}
