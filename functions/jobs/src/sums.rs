//! Sums that owners contribute to totals. A contribution is small, so all of it is looked at when it is added: what
//! is none never costs the others their total. What its ciphertexts hold, nobody but the key holder could tell.

use crate::Jobs;
use crate::joint::{gone, malformed};
use bytes::Bytes;
use cipherfn_frame::file::{FileError, FrameReader};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_service::Failure;
use cipherfn_service::registry::JointTraining;
use cipherfn_training::{Contribution, Moments, StatisticsSpec, SummedSchema};

/// Largest file of sums by the keys of a frame: it is read at once.
const MAX_TABLES: u64 = 16 << 20;

impl Jobs {
    /// That a chunk is an owner's contribution to a total.
    pub(crate) async fn look_at_sums(
        &self,
        (training, spec): (&JointTraining, &StatisticsSpec),
        files: &[ChunkFile],
    ) -> Result<(), Failure> {
        let file = only(files)?;
        let expected = Contribution::file_bytes(Moments::words(spec));
        if file.bytes != expected {
            let problem = format!(
                "it has {} bytes where contributions to this spec have {expected}; make it by the spec and the public key that the grant names",
                file.bytes
            );
            return Err(malformed(0, &problem).into());
        }
        let bytes = self.contribution(training, file).await?;
        let own = Contribution::from_file_bytes(&bytes);
        let own = own.and_then(|own| own.require_one(spec, (training.key, training.parameter_set)));
        own.map_err(|error| malformed(0, &error.to_string()).into())
    }

    /// The same of sums by the keys of a frame. How many numbers its ciphertexts have to have, a worker tells.
    pub(crate) async fn look_at_tables(
        &self,
        (training, schema): (&JointTraining, &SummedSchema),
        files: &[ChunkFile],
    ) -> Result<(), Failure> {
        let file = only(files)?;
        let declared = Schema::from_json(schema.json());
        let declared = declared.map_err(|error| {
            Failure::Internal(format!("the schema of {}: {error}", training.program))
        })?;
        if file.bytes > MAX_TABLES {
            let problem = format!(
                "it has {} bytes, and a service adds tables of {MAX_TABLES} at most; sum by fewer keys or columns",
                file.bytes
            );
            return Err(malformed(0, &problem).into());
        }
        let bytes = self.contribution(training, file).await?;
        let unlike = unlike(&bytes, &declared, training);
        let unlike = unlike.map_err(|error| malformed(0, &error.to_string()))?;
        match unlike {
            None => Ok(()),
            Some(what) => {
                let problem = format!(
                    "{what}; make it by the schema and the public key that the grant names"
                );
                Err(malformed(0, &problem).into())
            }
        }
    }

    /// All of a file that was uploaded to a total.
    async fn contribution(
        &self,
        training: &JointTraining,
        file: ChunkFile,
    ) -> Result<Bytes, Failure> {
        let place = (&training.tenant, training.id.into());
        let bytes = self.registry.upload_start(place, (file, file.bytes));
        Ok(bytes.await?.ok_or_else(|| gone(0))?)
    }
}

/// The file that a contribution is.
fn only(files: &[ChunkFile]) -> Result<ChunkFile, Problem> {
    if let &[file] = files {
        return Ok(file);
    }
    let detail = format!(
        "there are {} chunks, and a contribution is one; give that alone",
        files.len()
    );
    Err(Problem::new(ProblemType::MalformedRows, detail))
}

/// What a frame is of another one than a total's sums of one owner; nothing where it is that, to its end.
fn unlike(
    bytes: &[u8],
    declared: &Schema,
    training: &JointTraining,
) -> Result<Option<String>, FileError> {
    let mut file = FrameReader::open(bytes)?;
    file.next_rows()?;
    let head = file.head();
    Ok(
        if let Some(difference) = declared.difference(&head.schema) {
            Some(format!("it is by another schema: {difference}"))
        } else if head.schema.owners() != Some(1) {
            Some("it is not the sums of one owner".to_owned())
        } else if head.key != training.key {
            Some(format!(
                "it is encrypted for key {}, not for {}",
                head.key, training.key
            ))
        } else if head.parameter_set != training.parameter_set {
            Some("it has another parameter set".to_owned())
        } else {
            None
        },
    )
}
