//! What grants of frames and of trainings have in common.

use crate::files::{Destination, InputSource};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_protocol::api::grant::{GrantId, MAX_BYTES, SignedGrant};
use cipherfn_protocol::api::grants::GrantStatus;
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::trainings::TrainingStatus;
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::statement::PublicKey;
use cipherfn_signing::verify_grant;
use time::{Duration, OffsetDateTime};

/// Whose grants a command takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GrantTrust {
    /// The key that must have signed the grant, as it was shown where the grant was made. A grant names its own
    /// signer, so whoever passes files on can make another one: ask for the key by another way than the one by
    /// which the files came [default: whoever has signed it, which is shown before anything is sent]
    #[arg(long, value_name = "KEY")]
    trust: Option<PublicKey>,
}

impl GrantTrust {
    /// Reads a grant that is as its owner signed it. Who that is, is told before anything is done by it, with
    /// the public key that it names.
    pub(crate) fn read(&self, source: &InputSource) -> Result<SignedGrant> {
        let grant = read_grant(source)?;
        let signer = grant.key;
        match self.trust {
            Some(trusted) if trusted != signer => bail!(
                "{} is signed by {signer}, not by {trusted}; ask its owner, by another way than it came, which is right, and for the grant",
                source.name()
            ),
            Some(_) => {}
            None => {
                let public = grant.grant.target.training();
                let public = public.map_or_else(String::new, |terms| {
                    format!(" for public key {}", fingerprint(terms.public_key))
                });
                terminal::notice(&format!(
                    "the grant is signed by {signer}{public}; it is its owner's if the owner says so by another way, and --trust {signer} takes no other"
                ));
            }
        }
        Ok(grant)
    }
}

/// When a grant ends, or that it has.
pub(crate) fn end_of(grant: &GrantStatus) -> String {
    if grant.revoked {
        return "revoked".to_owned();
    }
    terminal::date(grant.expires)
}

/// Which of a job's chunks, of a training or total that has failed, came by which grant, and how what is at fault goes:
/// what others have added stays.
pub(crate) fn whose_chunks(status: &TrainingStatus, chunks: &[ChunkFile]) -> String {
    let whose = status.owners.iter().filter_map(|owner| {
        let first = owner.chunks.first()?;
        let first = chunks.iter().position(|chunk| chunk == first)?;
        let these = match owner.chunks.len() {
            1 => format!("chunk {first}"),
            several => format!("chunks {first} to {}", first + several - 1),
        };
        Some(format!("{these} came by grant {}", owner.grant))
    });
    let (id, what) = (status.training, status.least_owners);
    format!(
        "{} {id}, where {}; what is at fault goes with its grant: cipherfn joint revoke {id} --grant GRANT --drop-rows",
        what.map_or("training", |_| "total"),
        whose.collect::<Vec<_>>().join(", ")
    )
}

/// What people compare a public key by: SHA-256 of its file, all of it, in groups.
pub(crate) fn fingerprint(file: Sha256) -> String {
    let digits = file.to_string();
    let groups = digits.as_bytes().chunks(8).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(" ")
}

/// Reads a grant that is as somebody signed it.
pub(crate) fn read_grant(source: &InputSource) -> Result<SignedGrant> {
    // A line ends it.
    let bytes = source.read_all(MAX_BYTES as u64 + 1)?;
    let grant = SignedGrant::from_json(bytes.trim_ascii()).with_context(|| source.name())?;
    let verified = verify_grant(&grant);
    verified.with_context(|| format!("{} was changed; ask its owner for it", source.name()))?;
    Ok(grant)
}

/// A name for a grant that was never used.
pub(crate) fn grant_id() -> Result<GrantId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(GrantId::from_bytes(id))
}

/// When a grant of so many days that is made now runs out.
pub(crate) fn expires_in(days: u16) -> Result<OffsetDateTime> {
    let expires = OffsetDateTime::now_utc() + Duration::days(days.into());
    Ok(expires.replace_nanosecond(0)?)
}

/// Says what a grant that was written to `output` is, and what it allows.
pub(crate) fn tell(
    (signed, allows): (&SignedGrant, String),
    output: &Destination,
    value: &serde_json::Value,
    terminal: Terminal,
) -> Result<()> {
    let grant = &signed.grant;
    let mut value = value.clone();
    value["signed_by"] = serde_json::to_value(signed.key)?;
    let beside = terminal.beside_data(output.is_stdout());
    beside.summary(&value, || {
        let to = grant.to.map_or_else(
            || "anybody who has it".to_owned(),
            |tenant| tenant.to_string(),
        );
        let mut facts = vec![
            ("grant", grant.id.to_string()),
            ("file", output.name()),
            ("for", to),
            ("allows", allows),
            ("expires", terminal::date(grant.expires)),
            // To be told by another way than the files.
            ("signed by", signed.key.to_string()),
        ];
        let terms = grant.target.training();
        facts.extend(terms.map(|terms| ("public key", fingerprint(terms.public_key))));
        terminal::facts(facts)
    })
}
