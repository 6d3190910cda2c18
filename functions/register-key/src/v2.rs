//! Version 2 of the documents: a key in parts.

use cipherfn_protocol::api::v2::{
    KeyDeclaration, KeyStatus, KeyUpload, PartDeclaration, PartStatus, PieceUpload,
};
use cipherfn_protocol::api::{KeyState, Problem, ProblemType};
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_service::registry::{
    Declaration, DeclaredPart, KeyFile, MissingPiece, ParsePartNameError, PartName, Record,
    Registration,
};
use std::collections::BTreeMap;

/// What a client declares.
///
/// # Errors
/// It names no part, or what is no part's name.
pub(crate) fn declaration(
    document: KeyDeclaration,
) -> Result<(ParameterSetRef, Declaration), Problem> {
    let malformed = |detail: String| Problem::new(ProblemType::MalformedRequest, detail);
    let parse = |(name, part): (String, PartDeclaration)| {
        let PartDeclaration {
            bytes,
            sha256,
            pieces,
        } = part;
        let file = KeyFile { bytes, sha256 };
        let name: PartName = name.parse()?;
        Ok::<_, ParsePartNameError>((name, DeclaredPart { file, pieces }))
    };
    let parts: Result<BTreeMap<_, _>, _> = document.parts.into_iter().map(parse).collect();
    let parts = parts.map_err(|error| malformed(format!("parts: {error}")))?;
    if parts.is_empty() {
        return Err(malformed("parts: declare at least one".to_owned()));
    }
    let declaration = Declaration {
        key: document.key,
        parameter_set: document.parameter_set.name.clone(),
        parts,
    };
    Ok((document.parameter_set, declaration))
}

/// Where the parts stand.
pub(crate) fn status(record: &Record) -> KeyStatus {
    let part = |(name, registration): (&PartName, &Registration)| {
        let (state, reason) = state(registration);
        let file = registration.file();
        let status = PartStatus {
            bytes: file.bytes,
            sha256: file.sha256,
            state,
            reason,
            created: registration.declared(),
            expires: registration.until(),
        };
        (name.to_string(), status)
    };
    KeyStatus {
        key: record.key,
        parameter_set: record.parameter_set.clone(),
        parts: record.parts.iter().map(part).collect(),
    }
}

/// What is missing of the declared ones.
pub(crate) fn upload(record: &Record, missing: BTreeMap<PartName, Vec<MissingPiece>>) -> KeyUpload {
    let pieces = missing.into_iter().flat_map(|(part, pieces)| {
        pieces.into_iter().map(move |missing| PieceUpload {
            part: part.to_string(),
            number: missing.piece.number,
            offset: missing.piece.offset,
            bytes: missing.piece.bytes,
            method: missing.request.method,
            url: missing.request.url,
            headers: missing.request.headers,
            expires: missing.expires,
        })
    });
    KeyUpload {
        pieces: pieces.collect(),
        status: status(record),
    }
}

/// Where a part stands, and why it was rejected.
fn state(registration: &Registration) -> (KeyState, Option<String>) {
    match registration {
        Registration::Pending { .. } => (KeyState::Pending, None),
        Registration::Active { .. } => (KeyState::Active, None),
        Registration::Rejected { reason, .. } => (KeyState::Rejected, Some(reason.clone())),
    }
}
