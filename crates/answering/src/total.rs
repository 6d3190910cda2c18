//! Sums of owners under one public key, added for the key holder: no key of anybody is needed, and nothing is kept
//! but the sum so far.

use cipherfn_frame::file::{FrameReader, FrameWriter};
use cipherfn_frame::schema::{Schema, SchemaError};
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_serving::frames::{FrameTotal, FrameTotalError};
use cipherfn_serving::training::{Total, TotalError};
use cipherfn_training::{Contribution, StatisticsSpec, SummedSchema, TrainingError};

/// The contributions of a total.
#[derive(Debug)]
pub struct SumsUpload {
    key: KeyId,
    sum: Sum,
}

/// What is added, by the program.
#[derive(Debug)]
enum Sum {
    /// Statistics to a spec of this hash.
    Statistics(Hash, Box<Total>),
    /// Sums by the keys of a frame of this schema.
    Frame(Box<Schema>, Box<FrameTotal>),
}

/// Why a file is not added.
#[derive(Debug, thiserror::Error)]
enum SumsError {
    #[error(transparent)]
    Statistics(#[from] TotalError),
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Frame(#[from] FrameTotalError),
    #[error(transparent)]
    File(#[from] cipherfn_frame::file::FileError),
}

impl SumsUpload {
    /// To a spec, for the holder of a key, before the first contribution.
    pub(crate) fn of_statistics(spec: &StatisticsSpec, key: KeyId) -> Self {
        let sum = Sum::Statistics(spec.hash(), Box::new(Total::new(spec)));
        Self { key, sum }
    }

    /// To a frame's schema.
    ///
    /// # Errors
    /// A schema that is none.
    pub(crate) fn of_frame(schema: &SummedSchema, key: KeyId) -> Result<Self, SchemaError> {
        let schema = Schema::from_json(schema.json())?;
        let sum = Sum::Frame(Box::new(schema), Box::default());
        Ok(Self { key, sum })
    }

    /// Adds the next contribution, by its number.
    ///
    /// # Errors
    /// What is wrong with it, as the API says it.
    pub fn add(&mut self, (number, bytes): (usize, &[u8])) -> Result<(), Problem> {
        let added = self.sum.add(bytes, self.key);
        added.map_err(|error| malformed(&format!("chunk {number}: {error}")))
    }

    /// The total, a file.
    ///
    /// # Errors
    /// There was nothing to add.
    pub fn finish(self) -> Result<Vec<u8>, Problem> {
        self.sum
            .finish()
            .map_err(|error| malformed(&error.to_string()))
    }
}

impl Sum {
    fn add(&mut self, bytes: &[u8], key: KeyId) -> Result<(), SumsError> {
        match self {
            Self::Statistics(spec, total) => {
                let own = Contribution::from_file_bytes(bytes)?;
                own.require(*spec, key)?;
                total.add(&own)?;
            }
            Self::Frame(schema, total) => {
                let mut file = FrameReader::open(bytes)?;
                let head = file.head();
                if head.key != key {
                    return Err(TrainingError::OtherKey {
                        expected: key,
                        found: head.key,
                    }
                    .into());
                }
                if let Some(difference) = schema.difference(&head.schema) {
                    return Err(FrameTotalError::OtherSchema { difference }.into());
                }
                total.add(&file)?;
                // To its end: what was cut off is no contribution.
                file.next_rows()?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, SumsError> {
        match self {
            Self::Statistics(_, total) => Ok(total.finish()?.to_file_bytes()),
            Self::Frame(_, total) => {
                let (head, tables) = total.finish()?;
                let mut writer = FrameWriter::new(Vec::new(), &head, &[])?;
                writer.tables(&tables)?;
                Ok(writer.finish()?)
            }
        }
    }
}

fn malformed(problem: &str) -> Problem {
    let detail = format!("{problem}; have the owner's grant revoked and the sums added anew");
    Problem::new(ProblemType::MalformedRows, detail)
}
