//! What grants of frames and of trainings have in common.

use crate::files::{Destination, InputSource};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow};
use cipherfn_protocol::api::grant::{Grant, GrantId, MAX_BYTES, SignedGrant};
use cipherfn_protocol::hash::Sha256;
use cipherfn_signing::verify_grant;
use time::{Duration, OffsetDateTime};

/// What people compare a public key by: SHA-256 of its file, all of it, in groups.
pub(crate) fn fingerprint(file: Sha256) -> String {
    let digits = file.to_string();
    let groups = digits.as_bytes().chunks(8).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(" ")
}

/// Reads a grant that is as its owner signed it.
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
    (grant, allows): (&Grant, String),
    output: &Destination,
    value: &serde_json::Value,
    terminal: Terminal,
) -> Result<()> {
    let beside = terminal.beside_data(output.is_stdout());
    beside.summary(value, || {
        let to = grant.to.map_or_else(
            || "anybody who has it".to_owned(),
            |tenant| tenant.to_string(),
        );
        terminal::facts([
            ("grant", grant.id.to_string()),
            ("file", output.name()),
            ("for", to),
            ("allows", allows),
            ("expires", terminal::date(grant.expires)),
        ])
    })
}
