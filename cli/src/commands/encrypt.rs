//! `cipherfn encrypt`.

use crate::files::{Content, Destination, InputSource};
use crate::public_keys::PublicKeyTrust;
use crate::query_id::QueryId;
use crate::shared::{Force, Threads};
use crate::table::{self, OnError, TableOptions};
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::{Client, Encrypted, Mark};
use cipherfn_client_http::KeyRing;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::public::PublicKey;
use std::path::PathBuf;

/// Encrypt the rows of a table
///
/// Columns are matched by name. Rows stream: memory stays bounded whatever the file's size. With --public-key the
/// answers are for the holder of that key, who alone can decrypt them; nothing secret is needed here, or kept.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cipherfn encrypt fraud.specs.json --keys keys/ --input rows.csv -o query.cfq\n  cipherfn encrypt fraud.specs.json --public-key public.cfu --input rows.csv -o query.cfq"
)]
pub(crate) struct Encrypt {
    /// The client specs
    specs: InputSource,
    /// The key ring
    #[arg(
        long,
        value_name = "DIRECTORY",
        required_unless_present = "public_key",
        conflicts_with = "public_key"
    )]
    keys: Option<PathBuf>,
    /// Another's public key in place of a key ring (`cipherfn public-key`)
    #[arg(long, value_name = "FILE")]
    public_key: Option<InputSource>,
    #[command(flatten)]
    trust: PublicKeyTrust,
    /// The rows as CSV with a header, Parquet or Arrow, - for CSV on standard input
    #[arg(long, value_name = "FILE")]
    input: InputSource,
    /// The query to write, - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Destination,
    /// What becomes of a row that cannot be read: with mark it is sent as zeros, the key ring
    /// remembers it, and `decrypt` says why it has no prediction. Not with --public-key: whoever
    /// decrypts would not know
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Fail)]
    on_error: OnError,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    force: Force,
    #[command(flatten, next_help_heading = "Table")]
    table: TableOptions,
}

impl Encrypt {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        self.threads.apply()?;
        let client = read_client(&self.specs)?;
        let key = self.key(&client)?;
        if let Some(keys) = &self.keys {
            self.output.outside(keys)?;
        }
        let inputs = [
            Some(&self.specs),
            Some(&self.input),
            self.public_key.as_ref(),
        ];
        let inputs: Vec<&InputSource> = inputs.into_iter().flatten().collect();
        let mut output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        let (table, progress) = self.table.open(&self.input, terminal, "encrypting")?;
        let (rows, _) = table::select(&client, table, &[], u64::MAX)?;
        let rows = rows.map(|row| match row {
            Ok(Err(reason)) if self.on_error == OnError::Fail => Err(anyhow!(reason)),
            row => row,
        });
        let tell = |rows| progress.set_message(format!("{rows} rows"));
        let (encrypted, ring) = match &key {
            Key::Secret(ring, secret) => {
                let encrypted = client.encrypt(secret, rows, &mut output, tell)?;
                (encrypted, Some(ring))
            }
            Key::Public(public, _) => {
                let under = client.encrypt_under(public, rows, &mut output, tell)?;
                (under, None)
            }
        };
        let failed = self.judge(&encrypted, &key)?;
        // First what the answers are worth, then the query that they answer.
        if let (Some(nonce), Some(ring)) = (encrypted.nonce, ring) {
            ring.remember(nonce, &encrypted)?;
        }
        output.finish()?;
        progress.finish_and_clear();
        self.tell(&client, &key, &encrypted, failed, terminal)
    }

    fn key(&self, client: &Client) -> Result<Key> {
        match (&self.keys, &self.public_key) {
            (Some(keys), _) if self.trust.is_given() => bail_usage!(
                "--trust is the fingerprint of a public key, and {} is a key ring; leave it out",
                keys.display()
            ),
            (Some(keys), _) => {
                let ring = KeyRing::at(keys);
                let secret = ring.secret_key(client.parameter_set())?;
                Ok(Key::Secret(ring, Box::new(secret)))
            }
            (None, Some(_)) if self.on_error == OnError::Mark => bail_usage!(
                "--on-error mark is kept in a key ring, and whoever decrypts what a public key encrypted does not have it; correct or remove the rows"
            ),
            (None, Some(source)) => {
                client.check_public().with_context(|| self.specs.name())?;
                let (public, fingerprint) = self.trust.read(source)?;
                let checked = client.check_public_key(&public);
                checked.with_context(|| source.name())?;
                Ok(Key::Public(public, fingerprint))
            }
            (None, None) => bail_usage!("give the key ring with --keys, or --public-key"),
        }
    }

    /// What there is to say about rows that are not sound; how many cannot be encoded.
    fn judge(&self, encrypted: &Encrypted, key: &Key) -> Result<usize> {
        let unusable = |(row, mark): &(u64, Mark)| match mark {
            Mark::Unusable(reason) => Some((row + 1, reason.clone())),
            _ => None,
        };
        let failed: Vec<_> = encrypted.marks.iter().filter_map(unusable).collect();
        if let [(row, reason), ..] = failed.as_slice() {
            let what = format!(
                "{} of {} rows cannot be encoded; the first is row {row}: {reason}",
                failed.len(),
                encrypted.rows
            );
            if self.on_error == OnError::Fail {
                bail!("{what}; correct or remove them, or use --on-error mark");
            }
            if encrypted.nonce.is_none() {
                bail!(
                    "{what}; nothing in replies of format 1 tells which rows to leave out: correct or remove them, or get specs of a newer release"
                );
            }
            terminal::warning(&format!(
                "{what}; they are sent as zeros, and decrypted with this key ring as rows without prediction"
            ));
        }
        let limited = |(row, mark): &(u64, Mark)| match mark {
            Mark::Limited(remark) => Some((row + 1, remark.clone())),
            _ => None,
        };
        let limited: Vec<_> = encrypted.marks.iter().filter_map(limited).collect();
        if let [(row, remark), ..] = limited.as_slice() {
            let told = match key {
                Key::Secret(..) => "",
                Key::Public(..) => "; whoever decrypts does not see it: tell them",
            };
            terminal::warning(&format!(
                "{} of {} rows are unlike those that the model was compiled for; the first is row {row}: {remark}{told}",
                limited.len(),
                encrypted.rows
            ));
        }
        Ok(failed.len())
    }

    fn tell(
        &self,
        client: &Client,
        key: &Key,
        encrypted: &Encrypted,
        failed: usize,
        terminal: Terminal,
    ) -> Result<()> {
        // Where rows share ciphertexts, a row's part of the file.
        let rows = (encrypted.rows as usize).max(1);
        let row_bytes = match key {
            Key::Public(..) => client.query_bytes_under(rows).div_ceil(rows),
            Key::Secret(..) if client.rows_a_group().min(rows) == 1 => client.query_row_bytes(),
            Key::Secret(..) => client.query_bytes(rows).div_ceil(rows),
        };
        let mut value = serde_json::json!({ "rows": encrypted.rows, "failed": failed, "bytes_a_row": row_bytes, "key": key.id().to_string() });
        let mut facts = vec![
            ("query", self.output.name()),
            (
                "rows",
                format!(
                    "{}, {} each",
                    encrypted.rows,
                    terminal::bytes(row_bytes as u64)
                ),
            ),
        ];
        if let (Key::Public(_, fingerprint), Some(nonce)) = (key, encrypted.nonce) {
            let rows = encrypted.rows;
            let id = QueryId { nonce, rows }.to_string();
            value["query"] = id.clone().into();
            value["fingerprint"] = fingerprint.clone().into();
            facts.push(("id", id));
            facts.push(("for key", key.id().to_string()));
            facts.push(("fingerprint", fingerprint.clone()));
        }
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || terminal::facts(facts))
    }
}

/// What rows are encrypted with.
enum Key {
    /// A key ring's secret key.
    Secret(KeyRing, Box<SecretKey>),
    /// Another's public key, and its fingerprint.
    Public(PublicKey, String),
}

impl Key {
    /// Id of the secret key that decrypts.
    fn id(&self) -> KeyId {
        match self {
            Self::Secret(_, key) => key.id(),
            Self::Public(key, _) => key.id(),
        }
    }
}

/// Reads client specs.
pub(crate) fn read_client(source: &InputSource) -> Result<Client> {
    let bytes = source.read_all(specs::MAX_BYTES)?;
    Client::from_specs(&bytes).with_context(|| source.name())
}
