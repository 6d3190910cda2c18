//! What the service and S3 do when a key is registered, in memory.

use crate::server::{Answer, Request, Response, json, response};
use cipherfn_protocol::api::{
    KeyDeclaration, KeyState, KeyStatus, KeyUpload, PartUpload, Problem, ProblemType,
};
use cipherfn_protocol::hash::Sha256;
use sha2::Digest;
use std::collections::BTreeMap;
use std::sync::Mutex;
use time::{Duration, OffsetDateTime};

/// Signature of presigned addresses, which no error may repeat.
pub(crate) const SIGNATURE: &str = "hunter2";

/// One tenant's registration.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    declared: Option<KeyDeclaration>,
    stored: BTreeMap<u32, Vec<u8>>,
    active: bool,
}

impl Registry {
    /// The file that was uploaded, once it is whole.
    pub(crate) fn file(&self) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        assert!(state.active);
        state.stored.values().flatten().copied().collect()
    }

    /// Answers a request to the service, or to the store at the same address.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let mut state = self.0.lock().unwrap();
        let path = request.uri().path();
        match request.method().as_str() {
            "GET" => match state.status() {
                Some(status) => json(&status).into(),
                None => Problem::new(ProblemType::UnknownKey, "no key").into(),
            },
            "POST" if path == "/v1/keys" => {
                state.declared = Some(serde_json::from_slice(request.body()).unwrap());
                let host = request.headers()["host"].to_str().unwrap();
                json(&state.upload(host)).into()
            }
            "POST" => {
                assert!(path.ends_with("/complete") && request.body().is_empty());
                if !state.missing().is_empty() {
                    return Problem::new(ProblemType::UploadMissing, "parts are missing").into();
                }
                state.active = true;
                json(&state.status().unwrap()).into()
            }
            "PUT" => state.put(request).into(),
            other => panic!("{other}"),
        }
    }
}

impl State {
    fn status(&self) -> Option<KeyStatus> {
        let declared = self.declared.as_ref()?;
        let now = OffsetDateTime::now_utc();
        Some(KeyStatus {
            key: declared.key,
            parameter_set: declared.parameter_set.name.clone(),
            bytes: declared.bytes,
            sha256: declared.sha256,
            state: if self.active {
                KeyState::Active
            } else {
                KeyState::Pending
            },
            reason: None,
            created: now,
            expires: now + Duration::days(30),
        })
    }

    /// Number, offset, length and checksum of each part.
    fn parts(&self) -> Vec<(u32, u64, u64, Sha256)> {
        let declared = self.declared.as_ref().unwrap();
        let Some(parts) = &declared.parts else {
            return vec![(1, 0, declared.bytes, declared.sha256)];
        };
        let part = |(index, sha256): (usize, &Sha256)| {
            let offset = index as u64 * parts.bytes;
            (
                index as u32 + 1,
                offset,
                parts.bytes.min(declared.bytes - offset),
                *sha256,
            )
        };
        parts.sha256.iter().enumerate().map(part).collect()
    }

    fn missing(&self) -> Vec<(u32, u64, u64, Sha256)> {
        let mut parts = self.parts();
        parts.retain(|part| !self.active && !self.stored.contains_key(&part.0));
        parts
    }

    fn upload(&self, host: &str) -> KeyUpload {
        let part = |(number, offset, bytes, sha256): (u32, u64, u64, Sha256)| PartUpload {
            number,
            offset,
            bytes,
            method: "PUT".to_owned(),
            url: format!("http://{host}/bucket/quarantine/{number}?X-Amz-Signature={SIGNATURE}"),
            headers: BTreeMap::from([
                ("content-length".to_owned(), bytes.to_string()),
                ("x-amz-checksum-sha256".to_owned(), sha256.to_string()),
                ("if-none-match".to_owned(), "*".to_owned()),
            ]),
            expires: OffsetDateTime::now_utc(),
        };
        KeyUpload {
            status: self.status().unwrap(),
            parts: self.missing().into_iter().map(part).collect(),
        }
    }

    fn put(&mut self, request: &Request) -> Response {
        assert!(!request.headers().contains_key("authorization"));
        assert_eq!(
            request.uri().query(),
            Some(format!("X-Amz-Signature={SIGNATURE}").as_str())
        );
        let number: u32 = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let (_, _, bytes, sha256) = self.parts()[number as usize - 1];
        let body = request.body();
        let found = Sha256::from_bytes(sha2::Sha256::digest(body).into());
        assert_eq!(request.headers()["content-length"], bytes.to_string());
        assert_eq!(
            request.headers()["x-amz-checksum-sha256"],
            sha256.to_string()
        );
        assert_eq!((body.len() as u64, found), (bytes, sha256));
        if self.stored.contains_key(&number) {
            assert_eq!(request.headers()["if-none-match"], "*");
            return response(
                412,
                "application/xml",
                "<Error><Code>PreconditionFailed</Code></Error>",
            );
        }
        self.stored.insert(number, body.to_vec());
        response(200, "application/xml", "")
    }
}
