//! `cipherfn public-key`.

use crate::files::InputSource;
use crate::public_keys::NewPublicKey;
use crate::terminal::Terminal;
use anyhow::{Context, Result};

/// Make a public key, under which others encrypt rows for a model that you decrypt the answers of
///
/// Whoever has it can encrypt (`encrypt --public-key`) and decrypt nothing. Anybody may have it; those who encrypt
/// need to know that it is yours, and compare its fingerprint (`encrypt --trust`). It is of a parameter set, and
/// serves all models of that set. A key ring without a secret key gets one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn public-key fraud.specs.json --keys keys/ -o public.cfu"
)]
pub(crate) struct PublicKeyFor {
    /// The client specs of the model, - for standard input
    specs: InputSource,
    #[command(flatten)]
    made: NewPublicKey,
}

impl PublicKeyFor {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        let client = super::encrypt::read_client(&self.specs)?;
        let checked = client.check_public();
        checked.with_context(|| self.specs.name())?;
        self.made.make(client.parameter_set(), terminal)
    }
}
