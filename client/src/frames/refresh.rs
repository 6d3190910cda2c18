//! Decrypted rows that are encrypted again, between two stages of a plan.

use super::file::CHUNK;
use super::{EncryptedFile, FrameFileError, form};
use cipherfn_frame::answer::Table;
use cipherfn_frame::schema::Schema;
use cipherfn_frame::stages::{RefreshError, RefreshedRows, Stage};
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{GroupShape, SelectorQueryShape, ValueShape};

/// Why an answer is none of its plan's, or cannot be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshFrameError {
    /// Numbers that no answer of the plan has.
    #[error("what was decrypted is no answer of the plan; ask again")]
    Answer,
    /// Rows that the plan cannot have made.
    #[error(transparent)]
    Rows(#[from] RefreshError),
    /// The frame.
    #[error(transparent)]
    File(#[from] FrameFileError),
}

/// What a stage's decrypted answer becomes.
#[derive(Debug)]
pub enum Behind {
    /// The plan's answer.
    Answer(Table),
    /// The file of a frame that the next stage scans.
    Frame(Vec<u8>),
}

/// The key holder of a plan's stages, one after the other.
///
/// What is wrong with what was decrypted is said when all stages were asked: whether and when they are is
/// all that an evaluator sees, and must not tell what its answers decrypt to.
#[derive(Debug)]
pub struct KeyHolder<'a> {
    key: &'a SecretKey,
    gadget: Gadget,
    wrong: Option<RefreshFrameError>,
}

impl<'a> KeyHolder<'a> {
    /// With the key of the frames, whose selectors have this gadget.
    pub const fn new(key: &'a SecretKey, gadget: Gadget) -> Self {
        Self {
            key,
            gadget,
            wrong: None,
        }
    }

    /// The key holder's steps with the decrypted rows of a stage, and their encryption for the next one, if
    /// there is one: of as many rows as ever, whatever was decrypted ([`cipherfn_frame::stages::Refresh::rows`]).
    ///
    /// # Errors
    /// Behind the last stage, rows of any of them that the plan cannot have made; the operating system has
    /// no random bytes.
    pub fn behind(&mut self, stage: &Stage, mut table: Table) -> Result<Behind, RefreshFrameError> {
        if !stage.take(&mut table) {
            self.wrong.get_or_insert(RefreshFrameError::Answer);
        }
        let Some(refresh) = &stage.refresh else {
            return match self.wrong.take() {
                Some(error) => Err(error),
                None => Ok(Behind::Answer(table)),
            };
        };
        let RefreshedRows { rows, wrong } = refresh.rows(&table);
        if let Some(error) = wrong {
            self.wrong.get_or_insert(error.into());
        }
        let (key, gadget) = (self.key, self.gadget);
        let mut file =
            EncryptedFile::new(Vec::new(), key, &refresh.schema, gadget, &[], Vec::new())?;
        for row in rows {
            file.row(row)?;
        }
        Ok(Behind::Frame(file.finish()?))
    }
}

/// Bytes of the ciphertexts of a refresh's frame.
pub fn refresh_bytes(set: &'static ParameterSet, gadget: Gadget, schema: &Schema) -> u64 {
    let count = schema.rows().count.unwrap_or_default() as usize;
    let chunks = (0..count)
        .step_by(CHUNK)
        .map(|first| CHUNK.min(count - first));
    let chunk = |rows: usize| -> usize {
        let inputs = schema.row_inputs().into_iter();
        let bytes = inputs.map(|input| match schema.limb_count(input) {
            Some(values) => {
                let values = values as usize;
                ValueShape { set, values }.bytes(form(rows))
            }
            None => GroupShape {
                shape: SelectorQueryShape {
                    set,
                    selectors: schema.bit_count(input) as usize,
                    gadget,
                    transport: Transport::Packed,
                },
                depth: form(rows).depth,
                rows,
            }
            .bytes(),
        });
        bytes.sum()
    };
    chunks.map(|rows| chunk(rows) as u64).sum()
}
