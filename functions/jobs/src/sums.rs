//! Sums that owners contribute to totals. A contribution is small, so all of it is looked at when it is added: what
//! is none never costs the others their total. What its ciphertexts hold, nobody but the key holder could tell.

use crate::Jobs;
use crate::joint::{gone, malformed};
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_service::Failure;
use cipherfn_service::registry::JointTraining;
use cipherfn_training::{Contribution, Moments, StatisticsSpec};

impl Jobs {
    /// That a chunk is an owner's contribution to a total.
    pub(crate) async fn look_at_sums(
        &self,
        (training, spec): (&JointTraining, &StatisticsSpec),
        files: &[ChunkFile],
    ) -> Result<(), Failure> {
        let &[file] = files else {
            let detail = format!(
                "there are {} chunks, and a contribution is one; give that alone",
                files.len()
            );
            return Err(Problem::new(ProblemType::MalformedRows, detail).into());
        };
        let expected = Contribution::file_bytes(Moments::words(spec));
        if file.bytes != expected {
            let problem = format!(
                "it has {} bytes where contributions to this spec have {expected}; make it by the spec and the public key that the grant names",
                file.bytes
            );
            return Err(malformed(0, &problem).into());
        }
        let place = (&training.tenant, training.id.into());
        let bytes = self.registry.upload_start(place, (file, file.bytes));
        let bytes = bytes.await?.ok_or_else(|| gone(0))?;
        let own = Contribution::from_file_bytes(&bytes);
        let own = own.and_then(|own| own.require_one(spec, (training.key, training.parameter_set)));
        own.map_err(|error| malformed(0, &error.to_string()).into())
    }
}
