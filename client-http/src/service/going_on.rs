//! What a training goes on from that begins with kept weights: these, as the service has given them.

use super::Service;
use super::error::ServiceError;
use crate::keyring::KeptTraining;
use serde::{Deserialize, Serialize};

/// A kept training, and its result. Whoever goes on after an interruption has both, though the service may no
/// longer keep the weights: without them nothing could be made of what came of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoingOn {
    /// The training.
    pub training: KeptTraining,
    /// Its state after the last step, encrypted.
    #[serde(with = "hexadecimal")]
    pub result: Vec<u8>,
}

impl Service {
    /// The weights of a kept training to go on from: those that an earlier run has `remembered`, if they are of
    /// this training, and otherwise the service's.
    pub async fn going_on(
        &self,
        training: &KeptTraining,
        remembered: Option<GoingOn>,
    ) -> Result<GoingOn, ServiceError> {
        if let Some(remembered) = remembered.filter(|own| own.training.is_same(training)) {
            return Ok(remembered);
        }
        match self.kept_weights(training.job).await {
            Ok(result) => Ok(GoingOn {
                training: training.clone(),
                result: result.to_vec(),
            }),
            Err(error) if error.is_of_gone_training() => Err(ServiceError::WeightsGone {
                job: training.job,
                cause: Box::new(error),
            }),
            Err(error) => Err(error),
        }
    }
}

/// Bytes as two digits each.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::fmt::Write;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            write!(text, "{byte:02x}").map_err(serde::ser::Error::custom)?;
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
            _ => None,
        });
        let bytes = pairs.collect::<Option<Vec<u8>>>();
        bytes.ok_or_else(|| D::Error::custom("a result is pairs of hexadecimal digits"))
    }
}
