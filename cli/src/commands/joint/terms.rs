//! What a training was declared as. It stays with the public key, and grants are signed by it: what a service
//! says of a training may be another program, or another training.

use crate::files::{Content, Destination, InputSource, Output};
use crate::grants::fingerprint;
use anyhow::{Context, Result, bail};
use cipherfn_client_http::public_key_hash;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::trainings::{TrainingId, TrainingStatus};
use cipherfn_protocol::hash::{Sha256, SpecsHash};
use cipherfn_protocol::message::KeyId;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How the file's name ends, behind that of the public key.
const EXTENSION: &str = ".training";
/// Largest file.
const MAX_BYTES: u64 = 1 << 16;
const FORMAT: u16 = 1;

/// The terms of a training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredTerms {
    format: u16,
    pub(super) training: TrainingId,
    pub(super) program: ModelName,
    pub(super) specs: SpecsHash,
    pub(super) key: KeyId,
    /// Of the public key's file: its id is a field of that file, which anybody can write into another one.
    pub(super) public_key: Sha256,
    /// Of a total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) least_owners: Option<u32>,
}

impl DeclaredTerms {
    /// Where they are written beside a public key; nowhere beside one on standard output.
    pub(super) fn beside(key: &Destination) -> Option<Destination> {
        match key {
            Destination::File(path) => Some(Destination::File(named(path))),
            Destination::Stdout => None,
        }
    }

    /// An output for them.
    pub(super) fn create(place: &Destination, force: bool) -> Result<Output> {
        place.create(Content::Text, force, &[])
    }

    /// Of a version of a program, which the client has taken, under its key, whose public key has this file; a total
    /// of so many owners at least.
    pub(super) fn new(
        (training, least_owners): (TrainingId, Option<u32>),
        (program, specs): (&ModelName, SpecsHash),
        (key, public): (KeyId, &[u8]),
    ) -> Self {
        Self {
            format: FORMAT,
            training,
            program: program.clone(),
            specs,
            key,
            public_key: public_key_hash(public),
            least_owners,
        }
    }

    pub(super) fn write(&self, mut output: Output) -> Result<()> {
        writeln!(output, "{}", serde_json::to_string_pretty(self)?)?;
        output.finish()
    }

    /// Those that were given, or lie beside the public key.
    pub(super) fn read(given: Option<&InputSource>, key: &InputSource) -> Result<Self> {
        let source = match (given, key) {
            (Some(given), _) => given.clone(),
            (None, InputSource::File(path)) => InputSource::File(named(path)),
            (None, InputSource::Stdin | InputSource::Spooled(_)) => {
                bail!(
                    "grants are signed by what the training was declared as: give --terms FILE, which joint declare has written"
                )
            }
        };
        let bytes = source.read_all(MAX_BYTES).context(
            "grants are signed by what the training was declared as, and not by what the service says: joint declare writes that beside the public key, --terms names it elsewhere",
        )?;
        let terms: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is no file of joint declare", source.name()))?;
        if terms.format != FORMAT {
            bail!("{} is of a later release; use that", source.name());
        }
        Ok(terms)
    }

    /// That a public key's file is the one that was declared.
    pub(super) fn require_key(&self, file: &[u8]) -> Result<()> {
        let found = public_key_hash(file);
        if found != self.public_key {
            bail!(
                "the public key has fingerprint {}, and the training was declared with {}: whoever has put it there could decrypt what owners encrypt under it; nothing is signed, take the file that joint declare has written",
                fingerprint(found),
                fingerprint(self.public_key)
            );
        }
        Ok(())
    }

    /// That a service says the same of the training.
    pub(super) fn require(&self, said: &TrainingStatus) -> Result<()> {
        let least =
            |least: Option<u32>| least.map_or_else(|| "none".to_owned(), |it| it.to_string());
        for (what, found, declared) in [
            (
                "training",
                said.training.to_string(),
                self.training.to_string(),
            ),
            (
                "program",
                said.program.to_string(),
                self.program.to_string(),
            ),
            ("version", said.specs.to_string(), self.specs.to_string()),
            ("key", said.key.to_string(), self.key.to_string()),
            (
                "least number of owners",
                least(said.least_owners),
                least(self.least_owners),
            ),
        ] {
            if found != declared {
                bail!(
                    "the service says {what} {found} of the training, which was declared with {declared}; nothing is signed"
                );
            }
        }
        Ok(())
    }
}

fn named(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(EXTENSION);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::hash::Hash;

    #[test]
    fn a_service_that_says_other_terms_is_not_believed() {
        let program: ModelName = "risk".parse().unwrap();
        let id = TrainingId::from_bytes([1; 16]);
        let key = KeyId::from_bytes([2; 16]);
        let named = (&program, Hash::of(b"program"));
        let terms = DeclaredTerms::new((id, None), named, (key, b"a key"));
        terms.require_key(b"a key").unwrap();
        let exchanged = terms.require_key(b"another under its id").unwrap_err();
        let exchanged = exchanged.to_string();
        assert!(exchanged.contains("nothing is signed"), "{exchanged}");
        let said = |change: fn(&mut serde_json::Value)| {
            let mut said = serde_json::json!({
                "training": terms.training,
                "tenant": "0".repeat(32),
                "program": "risk",
                "specs": terms.specs,
                "key": terms.key,
                "created": "2026-01-01T00:00:00Z",
                "expires": "2026-01-08T00:00:00Z",
                "rows": 0,
                "owners": [],
                "grants": [],
            });
            change(&mut said);
            terms.require(&serde_json::from_value(said).unwrap())
        };
        said(|_| ()).unwrap();
        let refused = |change: fn(&mut serde_json::Value)| said(change).unwrap_err().to_string();
        let other = refused(|it| it["training"] = "9".repeat(32).into());
        assert!(other.contains("says training 9999"), "{other}");
        let other = refused(|it| it["program"] = "worse".into());
        assert!(other.contains("says program worse"), "{other}");
        let other = refused(|it| it["specs"] = "9".repeat(64).into());
        assert!(other.contains("says version 9999"), "{other}");
        let other = refused(|it| it["least_owners"] = 2.into());
        assert!(other.contains("says least number of owners 2"), "{other}");
        let other = refused(|it| it["key"] = "9".repeat(32).into());
        assert!(other.contains("says key 9999"), "{other}");
    }
}
