//! Whose specs a command of the client takes.

use crate::terminal;
use cipherfn_client::{Accept, Verdict};
use cipherfn_client_http::Fetched;
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::specs::MAX_BYTES;
use cipherfn_protocol::statement::PublicKey;
use cipherfn_training::TrainingProgram;
use std::fs::File;
use std::io::Read;
use std::str::FromStr;
use time::OffsetDateTime;

/// What the caller knows of a model's developer.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TrustArguments {
    /// The developer's public key, as `publish` shows it: specs must be signed by it [default: the
    /// key that has signed the first specs that came, as the key ring remembers]
    #[arg(long, value_name = "KEY", group = "whose")]
    trust: Option<PublicKey>,
    /// Take these specs of the model, or this training program, and no others: the file, or the hash
    #[arg(long, value_name = "FILE|HASH", group = "whose")]
    specs: Option<Named>,
    /// Take the specs that the service has although they are not newer ones of the developer that
    /// the key ring remembers, and remember theirs
    #[arg(long, group = "whose")]
    accept_specs: bool,
}

/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// Specs by their hash.
#[derive(Clone, Copy, Debug)]
struct Named(SpecsHash);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).or_else(|_| {
            let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let named = |error| {
                if is_digits {
                    format!(
                        "{} digits are no hash: give all {HASH_DIGITS}, in lower case, as `cipherfn \
                         specs` shows them, and others with --json; and there is no such file: {error}",
                        text.len()
                    )
                } else {
                    format!("not a hash, and cannot read the file: {error}")
                }
            };
            let mut bytes = Vec::new();
            let file = File::open(text).map_err(named)?;
            file.take(MAX_BYTES + 1)
                .read_to_end(&mut bytes)
                .map_err(named)?;
            // A program's file has other white space than what is published.
            let program = TrainingProgram::from_json(&bytes);
            Ok(Self(program.map_or_else(
                |_| Hash::of(&bytes),
                |program| program.hash(),
            )))
        })
    }
}

impl TrustArguments {
    /// What to hold the service to.
    pub(crate) fn accept(&self) -> Accept {
        match (self.trust, self.specs, self.accept_specs) {
            (Some(key), ..) => Accept::Developer(key),
            (_, Some(Named(hash)), _) => Accept::Specs(hash),
            (_, _, true) => Accept::Offered,
            _ => Accept::Pinned,
        }
    }

    /// The same a second time in one run: who accepts what a service has does not accept what it
    /// has afterwards.
    pub(crate) fn accept_again(&self) -> Accept {
        match self.accept() {
            Accept::Offered => Accept::Pinned,
            accept => accept,
        }
    }
}

/// Whose specs were taken and why, in a line.
pub(crate) fn whose(fetched: &Fetched) -> String {
    let hash = fetched.client.specs().hash();
    words(hash, (fetched.developer, fetched.signed), fetched.verdict)
}

/// The same of any published document.
pub(crate) fn words(
    hash: Hash,
    (developer, signed): (Option<PublicKey>, Option<OffsetDateTime>),
    verdict: Verdict,
) -> String {
    let hash = hash.short();
    match (developer, verdict) {
        (Some(key), verdict) => {
            let when =
                signed.map_or_else(String::new, |time| format!(" on {}", terminal::date(time)));
            format!("{hash}, signed by {key}{when}: {verdict}")
        }
        (None, Verdict::First) => {
            format!(
                "{hash}, not signed: {}, any others are refused",
                Verdict::First
            )
        }
        (None, verdict) => format!("{hash}, not signed: {verdict}"),
    }
}
