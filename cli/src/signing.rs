//! The model developer's signing key, and what it signs.

use crate::terminal;
use anyhow::{Context, Result, bail};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::statement::{PublicKey, Serial, SignedStatement, Statement};
use cipherfn_service::registry::Model;
use cipherfn_signing::{SigningKey, verify};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// Which key signs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SigningArguments {
    /// The developer's signing key, made by the first publish if it is not there; it stays on this
    /// machine [default: cipherfn/signing.key in the user's configuration directory, ~/.config]
    #[arg(long, value_name = "FILE", global = true)]
    signing_key: Option<PathBuf>,
}

/// A developer who signs.
pub(crate) struct Developer {
    key: SigningKey,
    /// Where the key was made now.
    made: Option<PathBuf>,
}

impl SigningArguments {
    /// The key, made where there is none yet.
    pub(crate) fn developer(&self) -> Result<Developer> {
        let path = self.path()?;
        if let Some(key) = read(&path)? {
            return Ok(Developer { key, made: None });
        }
        let key = SigningKey::generate()?;
        match write(&path, &key) {
            Ok(()) => Ok(Developer {
                key,
                made: Some(path),
            }),
            // Somebody else made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let key = read(&path)?.with_context(|| format!("{} is gone", path.display()))?;
                Ok(Developer { key, made: None })
            }
            Err(error) => Err(error)
                .with_context(|| format!("cannot write the signing key {}", path.display())),
        }
    }

    /// The key, if there is one.
    pub(crate) fn known(&self) -> Result<Option<Developer>> {
        let key = read(&self.path()?)?;
        Ok(key.map(|key| Developer { key, made: None }))
    }

    fn path(&self) -> Result<PathBuf> {
        if let Some(path) = &self.signing_key {
            return Ok(path.clone());
        }
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let directory = set("XDG_CONFIG_HOME").map(PathBuf::from);
        let directory = directory.or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")));
        let Some(directory) = directory else {
            bail!("this user has no directory for a signing key; give --signing-key FILE");
        };
        Ok(directory.join("cipherfn").join("signing.key"))
    }
}

impl Developer {
    /// With a key that is forgotten afterwards.
    pub(crate) fn of_the_moment() -> Result<Self> {
        let key = SigningKey::generate()?;
        Ok(Self { key, made: None })
    }

    /// The key by which clients know the developer.
    pub(crate) fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Says where the key lies if it was made now: its owner has to keep it.
    pub(crate) fn introduce(&self) {
        if let Some(path) = &self.made {
            terminal::notice(&format!(
                "made the signing key {}; keep it: clients that know its public key, {}, take specs of no other",
                path.display(),
                self.public()
            ));
        }
    }

    /// A statement that is newer than all of this developer's on the model.
    pub(crate) fn sign(
        &self,
        name: &ModelName,
        known: Option<&Model>,
        specs: SpecsHash,
    ) -> SignedStatement {
        let versions = known.into_iter().flat_map(|model| &model.versions);
        let last = versions
            .filter_map(|version| version.statement.as_ref())
            .filter(|signed| self.signed(name, signed))
            .map(|signed| signed.statement.serial.0)
            .max();
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        let next = last.map_or(0, |last| last.saturating_add(1));
        self.key.sign(Statement {
            model: name.clone(),
            specs,
            serial: Serial(u64::try_from(now).unwrap_or(0).max(next)),
        })
    }

    /// The same for a version that is there. Only what this developer signed before: anybody who
    /// can write to the bucket could have put another version there.
    pub(crate) fn sign_again(
        &self,
        name: &ModelName,
        known: Option<&Model>,
        specs: SpecsHash,
    ) -> Option<SignedStatement> {
        let statement = known?.version(specs)?.statement.as_ref()?;
        let own = self.signed(name, statement) && statement.statement.specs == specs;
        own.then(|| self.sign(name, known, specs))
    }

    /// Whether this developer made a statement on a model.
    fn signed(&self, name: &ModelName, signed: &SignedStatement) -> bool {
        signed.key == self.public() && signed.statement.model == *name && verify(signed).is_ok()
    }
}

fn read(path: &Path) -> Result<Option<SigningKey>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions());
        if mode & 0o077 != 0 {
            bail!(
                "{} is open to others than its owner (mode {:03o}); `chmod go-rwx` it, and use a new key if somebody else could read it",
                path.display(),
                mode & 0o777
            );
        }
    }
    let key = SigningKey::from_text(&text).with_context(|| path.display().to_string())?;
    Ok(Some(key))
}

/// Writes a key for its owner alone, whole or not at all, and over no other.
fn write(path: &Path, key: &SigningKey) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    // Temporary files have mode 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(key.to_text().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)
        .map(drop)
        .map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::SigningArguments;
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::statement::Serial;
    use cipherfn_service::registry::{Folder, LiveVersion, Model};
    use time::OffsetDateTime;

    fn arguments(directory: &tempfile::TempDir) -> SigningArguments {
        SigningArguments {
            signing_key: Some(directory.path().join("deep/signing.key")),
        }
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let arguments = arguments(&directory);
        assert!(arguments.known().unwrap().is_none());
        let first = arguments.developer().unwrap();
        let path = first.made.clone().expect("made now");
        let again = arguments.developer().unwrap();
        assert_eq!(
            (again.made.as_ref(), again.public()),
            (None, first.public())
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |mode| std::fs::Permissions::from_mode(mode);
            let found = std::fs::metadata(&path).unwrap().permissions();
            assert_eq!(found.mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, mode(0o640)).unwrap();
            let error = arguments.developer().map(drop).unwrap_err().to_string();
            assert!(error.contains("chmod go-rwx"), "{error}");
            std::fs::set_permissions(&path, mode(0o600)).unwrap();
        }
        std::fs::write(&path, "not a key").unwrap();
        let error = arguments.developer().map(drop).unwrap_err();
        assert!(
            format!("{error:#}").contains("not a signing key"),
            "{error:#}"
        );
    }

    #[test]
    fn statements_grow_and_cover_the_developer_s_own_versions_alone() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let developer = arguments(&one).developer().unwrap();
        let name = "fraud".parse().unwrap();
        let (first, second) = (Hash::of(b"first"), Hash::of(b"second"));
        let published = |statement: Option<_>| {
            let version = LiveVersion {
                specs: first,
                specs_v1: None,
                statement,
                folder: Folder::Specs(first),
                bundle_bytes: 1,
                published: OffsetDateTime::UNIX_EPOCH,
            };
            Model {
                name: "fraud".parse().unwrap(),
                current: first,
                versions: vec![version],
                retired: Vec::new(),
            }
        };
        let statement = developer.sign(&name, None, first);
        let model = published(Some(statement.clone()));
        let again = developer.sign_again(&name, Some(&model), first).unwrap();
        assert!(again.statement.serial > statement.statement.serial);
        // A clock that went back, or a statement of the same millisecond.
        let mut ahead = statement.clone();
        ahead.statement.serial = Serial(u64::MAX - 1);
        let ahead = developer.key.sign(ahead.statement);
        let next = developer.sign(&name, Some(&published(Some(ahead))), second);
        assert_eq!(next.statement.serial, Serial(u64::MAX));

        assert!(developer.sign_again(&name, Some(&model), second).is_none());
        assert!(
            developer
                .sign_again(&name, Some(&published(None)), first)
                .is_none()
        );
        let stranger = arguments(&other).developer().unwrap();
        assert!(stranger.sign_again(&name, Some(&model), first).is_none());
        let mut forged = statement;
        forged.statement.serial = Serial(u64::MAX);
        let model = published(Some(forged));
        assert!(developer.sign_again(&name, Some(&model), first).is_none());
        assert!(developer.sign(&name, Some(&model), second).statement.serial < Serial(u64::MAX));
    }
}
