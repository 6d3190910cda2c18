//! Decrypted rows that are encrypted again, between two stages of a plan.

use super::file::CHUNK;
use super::{EncryptedFile, FrameFileError, form};
use cipherfn_frame::answer::Table;
use cipherfn_frame::schema::Schema;
use cipherfn_frame::stages::{Refresh, RefreshError, RefreshedRows};
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{GroupShape, SelectorQueryShape, ValueShape};

/// The file of a frame of decrypted rows, and why these were none of the plan's, if so: the file is as
/// large and goes to whoever evaluates all the same ([`Refresh::rows`]).
///
/// # Errors
/// The operating system has no random bytes.
pub fn refreshed(
    key: &SecretKey,
    refresh: &Refresh,
    gadget: Gadget,
    table: &Table,
) -> Result<(Vec<u8>, Option<RefreshError>), FrameFileError> {
    let RefreshedRows { rows, wrong } = refresh.rows(table);
    let mut file = EncryptedFile::new(Vec::new(), key, &refresh.schema, gadget, &[], Vec::new())?;
    for row in rows {
        file.row(row)?;
    }
    Ok((file.finish()?, wrong))
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
