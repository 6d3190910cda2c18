//! `cipherfn statistics key`.

use crate::public_keys::NewPublicKey;
use crate::terminal::Terminal;
use anyhow::Result;
use cipherfn_scheme::parameters::ParameterSet;

/// Make a public key, under which owners encrypt for the holder of the key ring
///
/// Anybody may have it. Owners need to know that it is the holder's: whoever can put another one in its place
/// reads what they contribute. Its fingerprint is what they compare (`contribute --trust`). A key ring without a
/// secret key gets one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cipherfn statistics key --keys keys/ -o public.cfu")]
pub(super) struct PublicKeyOf {
    #[command(flatten)]
    made: NewPublicKey,
}

impl PublicKeyOf {
    pub(super) fn run(self, terminal: Terminal) -> Result<()> {
        self.made.make(ParameterSet::by_name(super::SET)?, terminal)
    }
}
