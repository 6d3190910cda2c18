//! The model developer's signing key, and what it signs.

use crate::terminal;
use anyhow::{Context, Result, bail};
use cipherfn_client_http::{Directory, Readers, Refused, unfinished_file};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::grant::{Grant, SignedGrant};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::statement::{PublicKey, Serial, SignedStatement, Statement};
use cipherfn_service::registry::Model;
use cipherfn_signing::{SigningKey, verify};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, str};
use time::OffsetDateTime;

/// Which key signs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SigningArguments {
    /// The developer's signing key, made by the first publish if it is not there; it stays on this
    /// machine [default: cipherfn/signing.key in the user's configuration directory, ~/.config; at
    /// a `cipherfn dev` developer/signing.key in its data directory]
    #[arg(long, value_name = "FILE", global = true)]
    signing_key: Option<PathBuf>,
}

/// A developer who signs.
pub(crate) struct Developer {
    key: SigningKey,
    /// Where the key was made now.
    made: Option<PathBuf>,
}

/// Where a developer's key lies, or will.
pub(crate) struct KeyFile(PathBuf);

impl KeyFile {
    /// The key, made where there is none yet.
    pub(crate) fn developer(&self) -> Result<Developer> {
        if let Some(developer) = self.known()? {
            return Ok(developer);
        }
        let key = SigningKey::generate()?;
        if write(&self.0, &key)? {
            let made = Some(self.0.clone());
            return Ok(Developer { key, made });
        }
        // Somebody else made it meanwhile.
        self.known()?
            .with_context(|| format!("{} is gone", self.0.display()))
    }

    /// The key, if there is one.
    pub(crate) fn known(&self) -> Result<Option<Developer>> {
        let key = read(&self.0)?;
        Ok(key.map(|key| Developer { key, made: None }))
    }
}

impl SigningArguments {
    /// The file of the key. A local service, with this data directory, has a key of its own: what
    /// is signed for a trial must not be shown to clients of another service.
    pub(crate) fn file(&self, local: Option<&Path>) -> Result<KeyFile> {
        self.path(local).map(KeyFile)
    }

    fn path(&self, local: Option<&Path>) -> Result<PathBuf> {
        if let Some(path) = &self.signing_key {
            return Ok(path.clone());
        }
        // A directory that others may write, as its parent may be, is no place for a key.
        if let Some(data) = local {
            return Ok(data.join("developer").join("signing.key"));
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

    /// Signs an upload grant.
    pub(crate) fn sign_grant(&self, grant: Grant) -> SignedGrant {
        self.key.sign_grant(grant)
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

/// Directory and name of a key's file.
fn place(path: &Path) -> Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} names no file in UTF-8", path.display()))?;
    let parent = path.parent();
    let directory = parent.filter(|parent| !parent.as_os_str().is_empty());
    Ok((directory.unwrap_or(Path::new(".")), name))
}

fn read(path: &Path) -> Result<Option<SigningKey>> {
    let (directory, name) = place(path)?;
    let Some(directory) = Directory::open(directory)? else {
        return Ok(None);
    };
    let Some(bytes) = directory.read(name, Refused::OthersAnything)? else {
        return Ok(None);
    };
    let text = str::from_utf8(&bytes).unwrap_or_default();
    let key = SigningKey::from_text(text).with_context(|| path.display().to_string())?;
    Ok(Some(key))
}

/// Writes a key for its owner alone, whole or not at all; false if there is one already.
fn write(path: &Path, key: &SigningKey) -> Result<bool> {
    let (directory, _) = place(path)?;
    Directory::create(directory)?;
    let persisted = || {
        // Temporary files have mode 0600 from the start.
        let mut file = unfinished_file(directory, Readers::Owner)?;
        file.write_all(key.to_text().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)
    };
    match persisted() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("cannot write the signing key {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyFile;
    use cipherfn_protocol::api::PublishedKind;
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::statement::Serial;
    use cipherfn_service::registry::{Folder, LiveVersion, Model};
    use time::OffsetDateTime;

    fn file(directory: &tempfile::TempDir) -> KeyFile {
        KeyFile(directory.path().join("deep/signing.key"))
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(&directory);
        assert!(file.known().unwrap().is_none());
        let first = file.developer().unwrap();
        let path = first.made.clone().expect("made now");
        let again = file.developer().unwrap();
        assert_eq!(
            (again.made.as_ref(), again.public()),
            (None, first.public())
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt, symlink};
            let set = |path: &std::path::Path, mode| {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            let refused = || format!("{:#}", file.developer().map(drop).unwrap_err());
            let found = std::fs::metadata(&path).unwrap().permissions();
            assert_eq!(found.mode() & 0o777, 0o600);
            set(&path, 0o640);
            assert!(refused().contains("open to others"), "{}", refused());
            set(&path, 0o600);
            let parent = path.parent().unwrap();
            set(parent, 0o770);
            assert!(
                refused().contains("deep is open to others"),
                "{}",
                refused()
            );
            set(parent, 0o700);
            let moved = parent.join("moved");
            std::fs::rename(&path, &moved).unwrap();
            symlink(&moved, &path).unwrap();
            assert!(refused().contains("symbolic link"), "{}", refused());
            std::fs::remove_file(&path).unwrap();
            std::fs::create_dir(&path).unwrap();
            set(&path, 0o700);
            assert!(refused().contains("is not a file"), "{}", refused());
            std::fs::remove_dir(&path).unwrap();
            std::fs::rename(&moved, &path).unwrap();
        }
        std::fs::write(&path, "not a key").unwrap();
        let error = file.developer().map(drop).unwrap_err();
        assert!(
            format!("{error:#}").contains("not a signing key"),
            "{error:#}"
        );
    }

    #[test]
    fn statements_grow_and_cover_the_developer_s_own_versions_alone() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let developer = file(&one).developer().unwrap();
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
                kind: PublishedKind::Model,
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
        let stranger = file(&other).developer().unwrap();
        assert!(stranger.sign_again(&name, Some(&model), first).is_none());
        let mut forged = statement;
        forged.statement.serial = Serial(u64::MAX);
        let model = published(Some(forged));
        assert!(developer.sign_again(&name, Some(&model), first).is_none());
        assert!(developer.sign(&name, Some(&model), second).statement.serial < Serial(u64::MAX));
    }
}
