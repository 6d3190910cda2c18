//! Version 1 of the documents: a key is one file, which is the part `expansion`.

use crate::v2;
use cipherfn_protocol::api::{KeyDeclarationV1, KeyStatusV1, KeyUploadV1, Problem, ProblemType};
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_service::registry::{Declaration, MissingPiece, PartName, Record, Registration};
use std::collections::BTreeMap;

/// What a client declares.
pub(crate) fn declaration(document: KeyDeclarationV1) -> (ParameterSetRef, Declaration) {
    (document.parameter_set.clone(), document.into())
}

/// The one part.
///
/// # Errors
/// The key is registered without it.
pub(crate) fn part(record: &Record) -> Result<&Registration, Problem> {
    let part = record.parts.get(&PartName::expansion());
    part.ok_or_else(|| without_expansion(record))
}

/// Where the registration stands.
///
/// # Errors
/// The key is registered without that part.
pub(crate) fn status(record: &Record) -> Result<KeyStatusV1, Problem> {
    let status = v2::status(record).version_1();
    status.ok_or_else(|| without_expansion(record))
}

/// What is missing of it.
///
/// # Errors
/// The key is registered without that part.
pub(crate) fn upload(
    record: &Record,
    missing: BTreeMap<PartName, Vec<MissingPiece>>,
) -> Result<KeyUploadV1, Problem> {
    let upload = v2::upload(record, missing).version_1();
    upload.ok_or_else(|| without_expansion(record))
}

fn without_expansion(record: &Record) -> Problem {
    let (key, part) = (record.key, PartName::expansion());
    Problem::new(
        ProblemType::UnknownKey,
        format!("key {key} is registered without its part {part}; register it: POST /v1/keys"),
    )
}
