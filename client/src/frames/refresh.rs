//! Decrypted rows that are encrypted again, between two stages of a plan.

use super::file::CHUNK;
use super::{EncryptedFile, FrameFileError, form};
use cipherfn_frame::answer::Table;
use cipherfn_frame::schema::Schema;
use cipherfn_frame::stages::{Refresh, RefreshError, Stage};
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{GroupShape, SelectorQueryShape, ValueShape};

/// Why decrypted rows are not encrypted again.
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

/// The key holder's part behind a stage: its steps with the decrypted rows, and their encryption for the
/// next stage, if there is one.
///
/// # Errors
/// Rows that the plan cannot have made; the operating system has no random bytes.
pub fn behind(
    key: &SecretKey,
    stage: &Stage,
    gadget: Gadget,
    mut table: Table,
) -> Result<Behind, RefreshFrameError> {
    if !stage.take(&mut table) {
        return Err(RefreshFrameError::Answer);
    }
    match &stage.refresh {
        Some(refresh) => refreshed(key, refresh, gadget, &table).map(Behind::Frame),
        None => Ok(Behind::Answer(table)),
    }
}

/// The file of a frame of decrypted rows.
///
/// # Errors
/// Rows that the plan cannot have made; the operating system has no random bytes.
fn refreshed(
    key: &SecretKey,
    refresh: &Refresh,
    gadget: Gadget,
    table: &Table,
) -> Result<Vec<u8>, RefreshFrameError> {
    let rows = refresh.rows(table)?;
    let mut file = EncryptedFile::new(Vec::new(), key, &refresh.schema, gadget, &[], Vec::new())?;
    for row in rows {
        file.row(row)?;
    }
    Ok(file.finish()?)
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
