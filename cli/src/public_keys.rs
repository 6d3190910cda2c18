//! Public keys: made, and taken from others.

use crate::files::{Content, Destination, InputSource};
use crate::grants::fingerprint;
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client_http::{Existing, KeyRing, public_key_hash};
use cipherfn_protocol::hash::Sha256;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

/// Largest file that is read as a public key.
const MAX_FILE: u64 = 1 << 20;

/// Where a public key is made.
#[derive(Debug, clap::Args)]
pub(crate) struct NewPublicKey {
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The public key to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl NewPublicKey {
    /// Makes one of the key ring's secret key of a set, which is made first where there is none.
    pub(crate) fn make(&self, set: &'static ParameterSet, terminal: Terminal) -> Result<()> {
        let ring = KeyRing::at(&self.keys);
        ring.fill_parts(set, &[], Existing::Keep)?;
        let key = PublicKey::generate(&ring.secret_key(set)?)?;
        self.output.outside(&self.keys)?;
        let mut output = self.output.create(Content::Binary, self.force.force, &[])?;
        let bytes = key.to_file_bytes();
        output.write_all(&bytes)?;
        output.finish()?;
        let fingerprint = fingerprint(public_key_hash(&bytes));
        let value = serde_json::json!({
            "key": key.id().to_string(),
            "parameter_set": set.name,
            "fingerprint": fingerprint,
            "bytes": bytes.len(),
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("key", key.id().to_string()),
                    ("parameters", set.name.to_owned()),
                    ("fingerprint", fingerprint),
                    ("file", self.output.name()),
                    ("size", terminal::bytes(bytes.len() as u64)),
                ])
            })
    }
}

/// What a public key must be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PublicKeyTrust {
    /// The fingerprint that the public key must have, as it was shown where it was made. Whoever passes the file
    /// on can put one of his own in its place, and then reads what is encrypted under it: ask the key holder by
    /// another way than the one by which the file came [default: any, and its fingerprint is shown]
    #[arg(long, value_name = "FINGERPRINT")]
    trust: Option<Fingerprint>,
}

impl PublicKeyTrust {
    /// Whether a fingerprint was given.
    pub(crate) const fn is_given(&self) -> bool {
        self.trust.is_some()
    }

    /// Reads a public key and gives its fingerprint.
    pub(crate) fn read(&self, source: &InputSource) -> Result<(PublicKey, String)> {
        let file = source.read_all(MAX_FILE)?;
        let key = PublicKey::from_file_bytes(&file).with_context(|| source.name())?;
        let found = public_key_hash(&file);
        if let Some(Fingerprint(trusted)) = self.trust
            && trusted != found
        {
            bail!(
                "{} has the fingerprint {}, not {}; ask the key holder, by another way than it came, which is right, and for the public key",
                source.name(),
                fingerprint(found),
                fingerprint(trusted)
            );
        }
        Ok((key, fingerprint(found)))
    }
}

/// A fingerprint as people pass it on, with or without spaces.
#[derive(Clone, Copy, Debug)]
struct Fingerprint(Sha256);

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.split_whitespace().collect();
        let hash = digits.to_lowercase().parse::<Sha256>();
        hash.map(Self).map_err(|_| {
            "a fingerprint is 64 hexadecimal digits, as the command that made the key has shown it"
                .to_owned()
        })
    }
}
