//! Who calls: the identity that API Gateway has established, as the name of a prefix in the bucket.

use crate::config;
use cipherfn_protocol::api::grant::TenantId;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::hash::Hash;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Digits of a tenant.
const DIGITS: usize = 32;

/// A tenant: 32 hexadecimal digits, the hash of the caller's identity. Its keys lie under this
/// prefix and no other tenant's id leads there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tenant(String);

impl Tenant {
    /// The tenant of a caller's identity, which names its kind and issuer.
    pub fn of(identity: &str) -> Self {
        let mut name = Hash::of(format!("cipherfn tenant {identity}").as_bytes()).to_string();
        name.truncate(DIGITS);
        Self(name)
    }

    /// The tenant of a request:
    /// - IAM: the principal (a user, or a role whatever the session's name),
    /// - JWT: issuer and subject,
    /// - neither: the tenant for development, if one is configured.
    pub fn of_request(request: &Request) -> Result<Self, Problem> {
        identity(request).map(|identity| Self::of(&identity)).ok_or_else(|| {
            Problem::new(
                ProblemType::Unauthenticated,
                "the request carries no caller identity; send it through the HTTP API, signed (IAM) or with a bearer token (JWT)",
            )
        })
    }
}

fn identity(request: &Request) -> Option<String> {
    let authorizer = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.authorizer.as_ref(),
        _ => None,
    };
    if let Some(iam) = authorizer.and_then(|authorizer| authorizer.iam.as_ref()) {
        let user = iam
            .user_id
            .as_deref()
            .or(iam.caller_id.as_deref())
            .filter(|id| !id.is_empty())?;
        // A role's id is followed by the session's name, which the caller chooses.
        let principal = user.split(':').next().unwrap_or(user);
        return Some(format!(
            "iam {} {principal}",
            iam.account_id.as_deref().unwrap_or_default()
        ));
    }
    if let Some(jwt) = authorizer.and_then(|authorizer| authorizer.jwt.as_ref()) {
        let subject = jwt
            .claims
            .get("sub")
            .filter(|subject| !subject.is_empty())?;
        let issuer = jwt
            .claims
            .get("iss")
            .map(String::as_str)
            .unwrap_or_default();
        return Some(format!("jwt {issuer} {subject}"));
    }
    config::text(config::LOCAL_TENANT).map(|name| format!("local {name}"))
}

/// The same name, as documents have it that clients send. That of a caller is from its request alone.
impl From<TenantId> for Tenant {
    fn from(id: TenantId) -> Self {
        Self(id.to_string())
    }
}

impl Tenant {
    /// Its name for clients.
    pub fn id(&self) -> TenantId {
        let mut bytes = [0; DIGITS / 2];
        let digits = self.0.as_bytes().chunks_exact(2);
        for (byte, pair) in bytes.iter_mut().zip(digits) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        TenantId::from_bytes(bytes)
    }
}

/// As a document has it that the service wrote.
impl Serialize for Tenant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == DIGITS && text.bytes().all(digit) {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom(
                "a tenant is 32 hexadecimal digits",
            ))
        }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({self})")
    }
}

#[cfg(test)]
mod tests;
