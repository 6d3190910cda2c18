//! `cipherfn statistics key`.

use crate::files::{Content, Destination};
use crate::grants::fingerprint;
use crate::shared::Force;
use crate::terminal::{self, Terminal};
use anyhow::Result;
use cipherfn_client_http::{Existing, KeyRing, public_key_hash};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use std::io::Write;
use std::path::PathBuf;

/// Make a public key, under which owners encrypt for the holder of the key ring
///
/// Anybody may have it. Owners need to know that it is the holder's: whoever can put another one in its place
/// reads what they contribute. Its fingerprint is what they compare. A key ring without a secret key gets one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn statistics key --keys keys/ -o public.cfu")]
pub(super) struct PublicKeyOf {
    /// The key ring
    #[arg(long, value_name = "DIRECTORY")]
    keys: PathBuf,
    /// The public key to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    #[command(flatten)]
    force: Force,
}

impl PublicKeyOf {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        let set = ParameterSet::by_name(super::SET)?;
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
            "fingerprint": fingerprint,
            "bytes": bytes.len(),
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("key", key.id().to_string()),
                    ("fingerprint", fingerprint),
                    ("file", self.output.name()),
                    ("size", terminal::bytes(bytes.len() as u64)),
                ])
            })
    }
}
