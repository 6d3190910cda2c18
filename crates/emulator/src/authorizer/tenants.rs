//! The tenants file.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::TenantsError;

/// Callers and what they prove themselves with.
///
/// ```
/// let tenants = cipherfn_emulator::Tenants::from_json(
///     br#"{"tenants": [
///         {"name": "alice", "token": "a-long-random-text"},
///         {"name": "bob", "access_key_id": "AKIABOB", "secret_access_key": "another"}
///     ]}"#,
/// )?;
/// assert_eq!(tenants.names(), ["alice", "bob"]);
/// # Ok::<_, cipherfn_emulator::TenantsError>(())
/// ```
#[derive(Clone)]
pub struct Tenants {
    names: Vec<String>,
    /// By the token's digest: a look-up tells nothing about the tokens by its time.
    tokens: BTreeMap<[u8; 32], String>,
    keys: BTreeMap<String, (String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tenants: Vec<TenantEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantEntry {
    name: String,
    token: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
}

impl Tenants {
    /// Parses a tenants file. Names, tokens and access key ids must be there only once.
    pub fn from_json(text: &[u8]) -> Result<Self, TenantsError> {
        let file: File = serde_json::from_slice(text)?;
        if file.tenants.is_empty() {
            return Err(TenantsError::Empty);
        }
        let mut tenants = Self {
            names: Vec::new(),
            tokens: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        for (position, entry) in file.tenants.into_iter().enumerate() {
            let name = entry.name.clone();
            tenants
                .add(entry)
                .map_err(|(field, problem)| TenantsError::Field {
                    entry: position + 1,
                    name,
                    field,
                    problem,
                })?;
        }
        Ok(tenants)
    }

    /// Names of all tenants, in the file's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn add(&mut self, entry: TenantEntry) -> Result<(), (&'static str, &'static str)> {
        let TenantEntry {
            name,
            token,
            access_key_id,
            secret_access_key,
        } = entry;
        if name.is_empty()
            || name.len() > 64
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte))
        {
            return Err(("name", "has 1 to 64 letters, digits and +=,.@_-"));
        }
        if self.names.contains(&name) {
            return Err(("name", "is there twice"));
        }
        match (token, access_key_id, secret_access_key) {
            (None, None, None) => return Err(("token", "is missing, and so is `access_key_id`")),
            (None, Some(_), None) => return Err(("secret_access_key", "is missing")),
            (_, None, Some(_)) => return Err(("access_key_id", "is missing")),
            (Some(_), Some(_), _) => {
                return Err(("token", "and `access_key_id` exclude each other: give one"));
            }
            (Some(token), None, None) => {
                if token.is_empty()
                    || token.contains(|character: char| {
                        character.is_whitespace() || character.is_control()
                    })
                {
                    return Err(("token", "is empty or has spaces"));
                }
                if self.tokens.insert(digest(&token), name.clone()).is_some() {
                    return Err(("token", "is another tenant's too"));
                }
            }
            (None, Some(id), Some(secret)) => {
                if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(("access_key_id", "has letters and digits only"));
                }
                if secret.is_empty() {
                    return Err(("secret_access_key", "is empty"));
                }
                if self.keys.insert(id, (name.clone(), secret)).is_some() {
                    return Err(("access_key_id", "is another tenant's too"));
                }
            }
        }
        self.names.push(name);
        Ok(())
    }

    pub(super) fn have_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    pub(super) fn have_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn by_token(&self, token: &str) -> Option<String> {
        self.tokens.get(&digest(token)).cloned()
    }

    /// Name and secret access key.
    pub(super) fn by_access_key(&self, id: &str) -> Option<(&str, &str)> {
        self.keys
            .get(id)
            .map(|(name, secret)| (name.as_str(), secret.as_str()))
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tenants").field(&self.names).finish()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(entries: &str) -> String {
        Tenants::from_json(format!("{{\"tenants\":[{entries}]}}").as_bytes())
            .expect_err(entries)
            .to_string()
    }

    #[test]
    fn errors_name_entry_and_field() {
        assert_eq!(error(""), "the tenants file has no tenants");
        assert_eq!(
            error(r#"{"name":"a","token":"t"},{"name":"b","token":"t"}"#),
            r#"tenant 2 ("b"): `token` is another tenant's too"#
        );
        assert_eq!(
            error(r#"{"name":"a","token":"t"},{"name":"a","token":"u"}"#),
            r#"tenant 2 ("a"): `name` is there twice"#
        );
        assert_eq!(
            error(r#"{"name":"a","access_key_id":"K"}"#),
            r#"tenant 1 ("a"): `secret_access_key` is missing"#
        );
        assert!(error(r#"{"name":"../a","token":"t"}"#).contains("`name`"));
        assert!(error(r#"{"name":"a"}"#).contains("`token` is missing"));
        assert!(error(r#"{"name":"a","tokn":"t"}"#).contains("unknown field `tokn`"));
        let keys = r#"{"name":"a","access_key_id":"K","secret_access_key":"s"},{"name":"b","access_key_id":"K","secret_access_key":"r"}"#;
        assert!(error(keys).contains("`access_key_id` is another tenant's too"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let tenants =
            Tenants::from_json(br#"{"tenants":[{"name":"a","token":"hush"}]}"#).expect("valid");
        assert_eq!(format!("{tenants:?}"), r#"Tenants(["a"])"#);
    }
}
