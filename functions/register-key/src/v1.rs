//! Version 1 of the documents: a key is one file, which is the part `expansion`.

use cipherfn_protocol::api::{KeyState, KeyStatus, KeyUpload, PartUpload, Problem, ProblemType};
use cipherfn_service::registry::{MissingPiece, PartName, Record, Registration};
use std::collections::BTreeMap;

/// Where the registration stands.
///
/// # Errors
/// The key is registered without that part.
pub(crate) fn status(record: &Record) -> Result<KeyStatus, Problem> {
    let part = PartName::expansion();
    let registration = record.parts.get(&part).ok_or_else(|| {
        Problem::new(
            ProblemType::UnknownKey,
            format!(
                "key {} is registered without its part {part}; register it: POST /v1/keys",
                record.key
            ),
        )
    })?;
    let (state, reason) = match registration {
        Registration::Pending { .. } => (KeyState::Pending, None),
        Registration::Active { .. } => (KeyState::Active, None),
        Registration::Rejected { reason, .. } => (KeyState::Rejected, Some(reason.clone())),
    };
    let file = registration.file();
    Ok(KeyStatus {
        key: record.key,
        parameter_set: record.parameter_set.clone(),
        bytes: file.bytes,
        sha256: file.sha256,
        state,
        reason,
        created: registration.declared(),
        expires: registration.until(),
    })
}

/// What is missing of it.
pub(crate) fn upload(
    record: &Record,
    mut missing: BTreeMap<PartName, Vec<MissingPiece>>,
) -> Result<KeyUpload, Problem> {
    let pieces = missing.remove(&PartName::expansion()).unwrap_or_default();
    Ok(KeyUpload {
        status: status(record)?,
        parts: pieces.into_iter().map(part_upload).collect(),
    })
}

/// What version 2 calls a piece is a part here.
fn part_upload(missing: MissingPiece) -> PartUpload {
    let MissingPiece {
        piece,
        request,
        expires,
    } = missing;
    PartUpload {
        number: piece.number,
        offset: piece.offset,
        bytes: piece.bytes,
        method: request.method,
        url: request.url,
        headers: request.headers,
        expires,
    }
}
