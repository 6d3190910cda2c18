//! One registration, step by step.

use crate::models::TREE;
use crate::stack::Stack;
use crate::wire::{self, Answer};
use cipherfn_protocol::api::{
    JSON, KeyDeclarationV1, KeyState, KeyStatusV1, KeyUploadV1, PartUpload, Pieces, ProblemType,
};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::specs::ParameterSetRef;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use sha2::Digest;

/// One registration, by hand.
pub(crate) struct Registration<'a> {
    stack: &'a Stack,
    pub(crate) declaration: KeyDeclarationV1,
    pub(crate) file: Vec<u8>,
}

impl<'a> Registration<'a> {
    /// A new key of the tree's parameter set.
    pub(crate) fn new(stack: &'a Stack) -> Self {
        let key = EvaluationKey::generate(
            &SecretKey::generate(TREE.client().parameter_set()).expect("random bytes"),
        )
        .expect("a key");
        Self::of(stack, &key, key.to_file_bytes())
    }

    /// A declaration of `key` with another file.
    pub(crate) fn of(stack: &'a Stack, key: &EvaluationKey, file: Vec<u8>) -> Self {
        let set = key.parameter_set();
        let declaration = KeyDeclarationV1 {
            key: key.id(),
            parameter_set: ParameterSetRef {
                name: set.name.to_owned(),
                hash: set.hash(),
            },
            bytes: file.len() as u64,
            sha256: sha256(&file),
            parts: None,
        };
        Self {
            stack,
            declaration,
            file,
        }
    }

    pub(crate) fn in_parts(mut self, bytes: u64) -> Self {
        let sha256 = self.file.chunks(bytes as usize).map(sha256).collect();
        self.declaration.parts = Some(Pieces { bytes, sha256 });
        self
    }

    pub(crate) async fn send(&self, method: &str, rest: &str) -> Answer {
        self.stack
            .send(
                method,
                &format!("/v1/keys/{}{rest}", self.declaration.key),
                &[],
                "",
            )
            .await
    }

    pub(crate) async fn declare(&self) -> KeyUploadV1 {
        let answer = self.try_declare().await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        serde_json::from_slice(&answer.body).expect("an upload")
    }

    pub(crate) async fn try_declare(&self) -> Answer {
        declare(self.stack, &self.declaration).await
    }

    /// Declares, and gives the one part.
    pub(crate) async fn part(&self) -> PartUpload {
        let mut upload = self.declare().await;
        assert_eq!(
            (upload.status.state, upload.parts.len()),
            (KeyState::Pending, 1)
        );
        upload.parts.remove(0)
    }

    pub(crate) async fn put(&self, part: &PartUpload) -> Answer {
        put(part, self.of_part(part)).await
    }

    pub(crate) fn of_part(&self, part: &PartUpload) -> &[u8] {
        &self.file[part.offset as usize..][..part.bytes as usize]
    }

    pub(crate) async fn complete(&self) -> Answer {
        self.send("POST", "/complete").await
    }

    pub(crate) async fn status(&self) -> KeyStatusV1 {
        let answer = self.send("GET", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice(&answer.body).expect("a status")
    }

    /// The whole registration.
    pub(crate) async fn register(&self) {
        let upload = self.declare().await;
        for part in &upload.parts {
            assert_eq!(self.put(part).await.status, 200);
        }
        let answer = self.complete().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(self.status().await.state, KeyState::Active);
    }

    /// Nothing has arrived, and the registration is where it was.
    pub(crate) async fn nothing_arrived(&self) {
        assert_eq!(
            self.complete().await.problem().kind,
            ProblemType::UploadMissing
        );
        assert_eq!(self.status().await.state, KeyState::Pending);
        assert!(
            !self
                .stack
                .objects()
                .await
                .iter()
                .any(|object| object.ends_with("/expansion.cfk"))
        );
    }
}

pub(crate) async fn declare(stack: &Stack, declaration: &KeyDeclarationV1) -> Answer {
    let body = serde_json::to_vec(declaration).expect("JSON");
    stack
        .send("POST", "/v1/keys", &[("content-type", JSON)], body)
        .await
}

/// Sends bytes to a presigned URL with exactly the headers that belong to it.
pub(crate) async fn put(part: &PartUpload, bytes: &[u8]) -> Answer {
    let headers = part
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length"));
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let (address, target) = wire::split(&part.url);
    let request = wire::request(&part.method, target, &headers, bytes.to_vec());
    wire::send(address, request).await.expect("S3 answers")
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}
