//! What the service and S3 do when a key is registered, in memory.

use crate::server::{Answer, Request, Response, json, response};
use cipherfn_protocol::api::v2::{
    KeyDeclaration, KeyStatus, KeyUpload, PartDeclaration, PartStatus, PieceUpload,
};
use cipherfn_protocol::api::{self, KeyState, Problem, ProblemType};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::specs::EXPANSION;
use sha2::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use time::{Duration, OffsetDateTime};

/// Signature of presigned addresses, which no error may repeat.
pub(crate) const SIGNATURE: &str = "hunter2";

/// One tenant's registration, at a service of either version.
#[derive(Debug)]
pub(crate) struct Registry {
    /// First segment of its paths.
    version: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    declared: Option<KeyDeclaration>,
    stored: BTreeMap<(String, u32), Vec<u8>>,
    active: BTreeSet<String>,
}

impl Registry {
    pub(crate) fn new(version: &'static str) -> Self {
        Self {
            version,
            state: Mutex::default(),
        }
    }

    /// The file that was uploaded, once it is whole.
    pub(crate) fn file(&self, part: &str) -> Vec<u8> {
        assert!(self.has(part));
        let state = self.state.lock().unwrap();
        let pieces = state.stored.iter().filter(|((of, _), _)| of == part);
        pieces.flat_map(|(_, bytes)| bytes).copied().collect()
    }

    /// Whether a part is active.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.state.lock().unwrap().active.contains(part)
    }

    /// Answers a request to the service, or to the store at the same address.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let mut state = self.state.lock().unwrap();
        let path = request.uri().path();
        if request.method() == "PUT" {
            return state.put(request).into();
        }
        let Some(path) = path.strip_prefix(&format!("/{}/keys", self.version)) else {
            return Problem::new(ProblemType::UnknownRoute, "no such route").into();
        };
        match request.method().as_str() {
            "GET" if state.declared.is_none() => {
                return Problem::new(ProblemType::UnknownKey, "no key").into();
            }
            "GET" => {}
            "POST" if path.is_empty() => {
                state.declare(self.declaration(request.body()));
                let upload = state.upload(request.headers()["host"].to_str().unwrap());
                return match self.version {
                    "v1" => json(&upload.version_1().unwrap()),
                    _ => json(&upload),
                }
                .into();
            }
            "POST" => {
                assert!(path.ends_with("/complete") && request.body().is_empty());
                if !state.missing().is_empty() {
                    return Problem::new(ProblemType::UploadMissing, "pieces are missing").into();
                }
                let parts = &state.declared.as_ref().unwrap().parts;
                state.active = parts.keys().cloned().collect();
            }
            other => panic!("{other}"),
        }
        match self.version {
            "v1" => json(&state.status().version_1().unwrap()),
            _ => json(&state.status()),
        }
        .into()
    }

    fn declaration(&self, body: &[u8]) -> KeyDeclaration {
        if self.version == "v2" {
            return serde_json::from_slice(body).unwrap();
        }
        let declared: api::KeyDeclarationV1 = serde_json::from_slice(body).unwrap();
        let part = PartDeclaration {
            bytes: declared.bytes,
            sha256: declared.sha256,
            pieces: declared.parts,
        };
        KeyDeclaration {
            key: declared.key,
            parameter_set: declared.parameter_set,
            parts: BTreeMap::from([(EXPANSION.to_owned(), part)]),
        }
    }
}

/// A piece that must arrive: part, number, offset, length and checksum.
type Piece = (String, u32, u64, u64, Sha256);

impl State {
    fn declare(&mut self, mut declaration: KeyDeclaration) {
        if let Some(before) = self.declared.take() {
            for (name, part) in before.parts {
                declaration.parts.entry(name).or_insert(part);
            }
        }
        self.declared = Some(declaration);
    }

    fn status(&self) -> KeyStatus {
        let declared = self.declared.as_ref().unwrap();
        let now = OffsetDateTime::now_utc();
        let part = |(name, part): (&String, &PartDeclaration)| {
            let status = PartStatus {
                bytes: part.bytes,
                sha256: part.sha256,
                state: if self.active.contains(name) {
                    KeyState::Active
                } else {
                    KeyState::Pending
                },
                reason: None,
                created: now,
                expires: now + Duration::days(30),
            };
            (name.clone(), status)
        };
        KeyStatus {
            key: declared.key,
            parameter_set: declared.parameter_set.name.clone(),
            parts: declared.parts.iter().map(part).collect(),
        }
    }

    fn pieces(&self) -> Vec<Piece> {
        let declared = self.declared.as_ref().unwrap();
        let pieces = |(name, part): (&String, &PartDeclaration)| {
            let Some(pieces) = &part.pieces else {
                return vec![(name.clone(), 1, 0, part.bytes, part.sha256)];
            };
            let piece = |(index, sha256): (usize, &Sha256)| {
                let offset = index as u64 * pieces.bytes;
                let bytes = pieces.bytes.min(part.bytes - offset);
                (name.clone(), index as u32 + 1, offset, bytes, *sha256)
            };
            pieces.sha256.iter().enumerate().map(piece).collect()
        };
        declared.parts.iter().flat_map(pieces).collect()
    }

    fn missing(&self) -> Vec<Piece> {
        let mut pieces = self.pieces();
        pieces.retain(|(part, number, ..)| {
            !self.active.contains(part) && !self.stored.contains_key(&(part.clone(), *number))
        });
        pieces
    }

    fn upload(&self, host: &str) -> KeyUpload {
        let piece = |(part, number, offset, bytes, sha256): Piece| PieceUpload {
            number,
            offset,
            bytes,
            method: "PUT".to_owned(),
            url: format!(
                "http://{host}/bucket/quarantine/{part}/{number}?X-Amz-Signature={SIGNATURE}"
            ),
            headers: BTreeMap::from([
                ("content-length".to_owned(), bytes.to_string()),
                ("x-amz-checksum-sha256".to_owned(), sha256.to_string()),
                ("if-none-match".to_owned(), "*".to_owned()),
            ]),
            expires: OffsetDateTime::now_utc(),
            part,
        };
        KeyUpload {
            status: self.status(),
            pieces: self.missing().into_iter().map(piece).collect(),
        }
    }

    fn put(&mut self, request: &Request) -> Response {
        assert!(!request.headers().contains_key("authorization"));
        assert_eq!(
            request.uri().query(),
            Some(format!("X-Amz-Signature={SIGNATURE}").as_str())
        );
        let mut path = request.uri().path().rsplit('/');
        let number: u32 = path.next().unwrap().parse().unwrap();
        let part = path.next().unwrap();
        let mut pieces = self.pieces().into_iter();
        let piece = pieces.find(|piece| piece.0 == part && piece.1 == number);
        let (_, _, _, bytes, sha256) = piece.unwrap();
        let body = request.body();
        let found = Sha256::from_bytes(sha2::Sha256::digest(body).into());
        assert_eq!(request.headers()["content-length"], bytes.to_string());
        assert_eq!(
            request.headers()["x-amz-checksum-sha256"],
            sha256.to_string()
        );
        assert_eq!((body.len() as u64, found), (bytes, sha256));
        let name = (part.to_owned(), number);
        if self.stored.contains_key(&name) {
            assert_eq!(request.headers()["if-none-match"], "*");
            return response(
                412,
                "application/xml",
                "<Error><Code>PreconditionFailed</Code></Error>",
            );
        }
        self.stored.insert(name, body.to_vec());
        response(200, "application/xml", "")
    }
}
