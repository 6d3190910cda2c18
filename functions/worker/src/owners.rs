//! Rows and sums of owners, who have given them to one training or total.

use crate::work::Work;
use cipherfn_protocol::api::job::{ChunkFile, JobId};
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_service::Failure;
use cipherfn_service::registry::{JointTraining, UploadedWork};

/// The training that a job's folder is of, if it is one's.
pub(crate) struct Owners {
    job: JobId,
    training: Option<JointTraining>,
}

impl Owners {
    /// Reads it anew in each invocation: one that was deleted meanwhile ends there.
    pub(crate) async fn of(work: &Work<'_>, order: &UploadedWork) -> Result<Self, Failure> {
        let training = work.registry.joint(&work.job.tenant, order.upload.into());
        Ok(Self {
            job: work.job.id,
            training: training.await?,
        })
    }

    /// File of the public key that the training was declared with.
    pub(crate) fn public_key(&self) -> Option<Vec<u8>> {
        let key = self.training.as_ref()?.public_key.as_ref()?;
        Some(key.as_bytes().to_vec())
    }

    /// That a chunk may be trained on: of owners only what they have added to the training whose job this is.
    /// Whoever declares jobs, on whatever chunks of the folder, gets no other weights from their rows.
    ///
    /// # Errors
    /// A chunk of an owner's that is none of them.
    pub(crate) fn check(&self, chunk: (usize, ChunkFile), file: &[u8]) -> Result<(), Problem> {
        if cipherfn_answering::is_of_owner(file) {
            return self.check_added(chunk);
        }
        Ok(())
    }

    /// That sums may be added: all of them are what owners have contributed to the total whose job this is, and they
    /// are of as many owners as each of them was told. That was looked at when the job was taken; here it is looked at
    /// by who adds.
    pub(crate) fn check_total(&self, order: &UploadedWork) -> Result<(), Problem> {
        for chunk in order.chunks.iter().copied().enumerate() {
            self.check_added(chunk)?;
        }
        match &self.training {
            Some(training) if training.least_owners.is_some() => Ok(training.is_whole(order)?),
            _ => {
                let detail = "the training was declared without a least number of owners, and a total of sums has one; declare another one (POST /v2/trainings, least_owners)";
                Err(Problem::new(ProblemType::MalformedRows, detail))
            }
        }
    }

    /// That a chunk is an owner's which was added.
    fn check_added(&self, (number, chunk): (usize, ChunkFile)) -> Result<(), Problem> {
        let is_added = |training: &JointTraining| training.trains(self.job, chunk);
        if self.training.as_ref().is_some_and(is_added) {
            return Ok(());
        }
        let detail = format!(
            "chunk {number}: it is under a public key, and this is not the job of a training that it was added to; declare the training (POST /v2/trainings), have rows or sums added by grants, and declare one job over all of them"
        );
        Err(Problem::new(ProblemType::MalformedRows, detail))
    }
}
