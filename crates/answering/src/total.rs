//! Sums of owners under one public key, added for the key holder: no key of anybody is needed, and nothing is kept
//! but the sum so far.

use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_serving::training::{Total, TotalError};
use cipherfn_training::{Contribution, StatisticsSpec};

/// The contributions of a total.
#[derive(Debug)]
pub struct SumsUpload {
    spec: Hash,
    key: KeyId,
    total: Total,
}

impl SumsUpload {
    /// To a spec, for the holder of a key, before the first contribution.
    pub(crate) fn new(spec: &StatisticsSpec, key: KeyId) -> Self {
        Self {
            spec: spec.hash(),
            key,
            total: Total::new(spec),
        }
    }

    /// Adds the next contribution, by its number.
    ///
    /// # Errors
    /// What is wrong with it, as the API says it.
    pub fn add(&mut self, (number, bytes): (usize, &[u8])) -> Result<(), Problem> {
        let mut add = || {
            let own = Contribution::from_file_bytes(bytes)?;
            own.require(self.spec, self.key)?;
            self.total.add(&own)
        };
        add().map_err(|error: TotalError| malformed(&format!("chunk {number}: {error}")))
    }

    /// The total, a file.
    ///
    /// # Errors
    /// There was nothing to add.
    pub fn finish(self) -> Result<Vec<u8>, Problem> {
        let total = self.total.finish();
        let total = total.map_err(|error| malformed(&error.to_string()))?;
        Ok(total.to_file_bytes())
    }
}

fn malformed(problem: &str) -> Problem {
    let detail = format!("{problem}; have the owner's grant revoked and the sums added anew");
    Problem::new(ProblemType::MalformedRows, detail)
}
