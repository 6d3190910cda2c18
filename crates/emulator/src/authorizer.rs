//! Who calls: tenants with bearer tokens or access keys, as the JWT and IAM authorisers of an HTTP
//! API tell functions.

pub(crate) mod sigv4;
mod tenants;

use http::header;
use http::request::Parts;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::account::ACCOUNT;
pub use tenants::Tenants;

/// What signatures are for.
const SERVICE: &str = "execute-api";

/// Who may call the HTTP API.
#[derive(Clone, Debug)]
pub enum Authorizer {
    /// Every request comes from this one caller, whatever it carries: for development.
    Single(String),
    /// Requests carry `Authorization: Bearer <token>` or are signed (Signature Version 4, service
    /// `execute-api`).
    Tenants(Tenants),
}

/// A caller that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// By token; the name is `jwt.claims.sub`.
    Token { name: String },
    /// By signature; the name is the IAM user's.
    Key { name: String, access_key_id: String },
}

/// Why a caller was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401: no token, or none that is known.
    Unauthorized,
    /// 403: no signature, or none that holds.
    Forbidden,
}

impl Authorizer {
    pub(crate) fn authorize(&self, parts: &Parts, body: &[u8]) -> Result<Caller, Refusal> {
        let tenants = match self {
            Self::Single(name) => return Ok(Caller::Token { name: name.clone() }),
            Self::Tenants(tenants) => tenants,
        };
        let credentials = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        if let Some(token) = credentials
            .strip_prefix("Bearer ")
            .filter(|_| tenants.have_tokens())
        {
            return tenants
                .by_token(token.trim())
                .map(|name| Caller::Token { name })
                .ok_or(Refusal::Unauthorized);
        }
        let refusal = if tenants.have_keys() {
            Refusal::Forbidden
        } else {
            Refusal::Unauthorized
        };
        let signature = sigv4::Authorization::parse(credentials).ok_or(refusal)?;
        let (name, secret) = tenants
            .by_access_key(&signature.access_key_id)
            .ok_or(refusal)?;
        if !signature.verify(SERVICE, parts, body, secret, std::time::SystemTime::now()) {
            return Err(Refusal::Forbidden);
        }
        Ok(Caller::Key {
            name: name.to_owned(),
            access_key_id: signature.access_key_id,
        })
    }
}

impl Caller {
    /// `requestContext.authorizer`.
    pub(crate) fn context(&self) -> Value {
        match self {
            Self::Token { name } => {
                json!({ "jwt": { "claims": { "sub": name, "iss": "local" }, "scopes": null } })
            }
            Self::Key {
                name,
                access_key_id,
            } => {
                let user_id = user_id(name);
                json!({ "iam": {
                    "accessKey": access_key_id,
                    "accountId": ACCOUNT,
                    "callerId": user_id,
                    "cognitoIdentity": null,
                    "principalOrgId": null,
                    "userArn": format!("arn:aws:iam::{ACCOUNT}:user/{name}"),
                    "userId": user_id,
                } })
            }
        }
    }
}

/// A user id as IAM's are, the same for a name every time.
fn user_id(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let letters = digest
        .iter()
        .take(17)
        .map(|byte| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte % 32)]));
    format!("AIDA{}", letters.collect::<String>())
}
