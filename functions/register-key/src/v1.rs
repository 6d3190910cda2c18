//! Version 1 of the documents: a key is one file, which is the part `expansion`.

use cipherfn_protocol::api::{KeyDeclaration, KeyUpload, PartUpload};
use cipherfn_protocol::api::{KeyStatus, Problem, ProblemType};
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_service::registry::{Declaration, MissingPiece, PartName, Record, Registration};
use std::collections::BTreeMap;

/// What a client declares.
pub(crate) fn declaration(document: KeyDeclaration) -> (ParameterSetRef, Declaration) {
    (document.parameter_set.clone(), document.into())
}

/// The one part.
///
/// # Errors
/// The key is registered without it.
pub(crate) fn part(record: &Record) -> Result<&Registration, Problem> {
    let part = PartName::expansion();
    record.parts.get(&part).ok_or_else(|| {
        Problem::new(
            ProblemType::UnknownKey,
            format!(
                "key {} is registered without its part {part}; register it: POST /v1/keys",
                record.key
            ),
        )
    })
}

/// Where the registration stands.
///
/// # Errors
/// The key is registered without that part.
pub(crate) fn status(record: &Record) -> Result<KeyStatus, Problem> {
    let registration = part(record)?;
    let (state, reason) = super::v2::state(registration);
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
