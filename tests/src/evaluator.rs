//! The ways to have rows answered, behind one trait: what holds for a model holds in all.

use crate::{Result, Server};
use cipherfn_client::{Client, InputRow};
use cipherfn_engine::{ClearCircuit, PreparedCircuit};
use cipherfn_program::Tensor;
use cipherfn_protocol::message::{ChunkHead, ReplyChunk, write_chunk};
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::query::InputValues;
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_scheme::{SchemeError, SecretKey};

/// A model that answers rows. The client encodes them and decrypts the reply, whatever is between.
pub trait Evaluator {
    /// The client, and the key that its replies are decrypted with.
    fn client(&self) -> (&Client, &SecretKey);

    /// The reply to rows.
    fn reply(&self, rows: Vec<InputRow>) -> Result<Vec<u8>>;
}

/// The real thing: encrypted rows, answered without the secret key.
pub struct Encrypted<'a> {
    /// The client's side.
    pub client: &'a Client,
    /// Its key.
    pub secret: &'a SecretKey,
    /// The server's side.
    pub server: &'a Server,
}

/// The same with rows that somebody else encrypted, under a public key.
pub struct EncryptedElsewhere<'a> {
    /// Who decrypts, and the server.
    pub holder: Encrypted<'a>,
    /// What the rows are encrypted under.
    pub public: PublicKey,
}

/// The circuit in the clear, exactly. Results travel as ciphertexts without mask and noise, which
/// every key decrypts.
pub struct Clear<'a> {
    client: &'a Client,
    secret: &'a SecretKey,
    circuit: ClearCircuit,
    prepared: PreparedCircuit,
}

impl Evaluator for Encrypted<'_> {
    fn client(&self) -> (&Client, &SecretKey) {
        (self.client, self.secret)
    }

    fn reply(&self, rows: Vec<InputRow>) -> Result<Vec<u8>> {
        let mut query = Vec::new();
        let rows = rows.into_iter().map(Ok::<_, Box<dyn std::error::Error>>);
        self.client.encrypt(self.secret, rows, &mut query, |_| ())?;
        self.server.answer(&query)
    }
}

impl Evaluator for EncryptedElsewhere<'_> {
    fn client(&self) -> (&Client, &SecretKey) {
        self.holder.client()
    }

    fn reply(&self, rows: Vec<InputRow>) -> Result<Vec<u8>> {
        let mut query = Vec::new();
        let rows = rows.into_iter().map(Ok::<_, Box<dyn std::error::Error>>);
        let client = self.holder.client;
        client.encrypt_under(&self.public, rows, &mut query, |_| ())?;
        self.holder.server.answer(&query)
    }
}

impl<'a> Clear<'a> {
    /// The circuit of a bundle's bytes.
    pub fn new(client: &'a Client, secret: &'a SecretKey, bundle: &[u8]) -> Result<Self> {
        let circuit = cipherfn_engine::bundle::read(bundle)?.circuit;
        Ok(Self {
            client,
            secret,
            prepared: PreparedCircuit::new(&circuit)?,
            circuit: ClearCircuit::new(circuit)?,
        })
    }

    /// The result coefficients of a row without noise, as fractions of the torus in 2^-64.
    pub fn results(&self, row: &InputRow) -> Result<Vec<u64>> {
        let specs = self.client.specs().specs();
        let features = specs.preprocess.run(row.clone()?)?;
        let [Tensor::F32(features)] = features.as_slice() else {
            return Err("a row's features are one vector of f32".into());
        };
        let inputs = InputValues::all(&specs.inputs, features)?;
        Ok(self.circuit.evaluate(&inputs)?)
    }

    /// The coefficients of a chunk's rows under the key, noise and all, each in the order of
    /// [`Self::results`].
    pub fn decrypt(&self, chunk: &ReplyChunk) -> Result<Vec<Vec<i64>>> {
        if chunk.head.packed {
            let packed = self.prepared.packed().ok_or("a circuit that packs")?;
            return Ok(packed.decrypt(self.secret, chunk.outcomes.len(), &chunk.packed)?);
        }
        let row = |outcome: &std::result::Result<Vec<u8>, String>| -> Result<Vec<i64>> {
            let shapes = self.prepared.outputs();
            let bytes = outcome.as_ref().map_err(String::as_str)?;
            Ok(reply::decrypt_row(self.secret, shapes, bytes)?)
        };
        chunk.outcomes.iter().map(row).collect()
    }

    fn row(&self, row: &InputRow) -> Result<Vec<u8>> {
        let results = self.results(row)?;
        let mut results = results.as_slice();
        let rows = self.prepared.outputs().iter().map(|output| {
            let (own, rest) = results.split_at(output.coefficients);
            results = rest;
            without_mask(output, own)
        });
        Ok(rows.collect::<std::result::Result<Vec<_>, _>>()?.concat())
    }
}

impl Evaluator for Clear<'_> {
    fn client(&self) -> (&Client, &SecretKey) {
        (self.client, self.secret)
    }

    fn reply(&self, rows: Vec<InputRow>) -> Result<Vec<u8>> {
        let outcomes = rows.iter().map(|row| self.row(row).map(Ok));
        let chunk = ReplyChunk {
            head: ChunkHead {
                specs: self.client.specs().hash(),
                key: self.secret.id(),
                nonce: self.client.nonce()?,
                first_row: 0,
                last: true,
                row_len: self.client.reply_row_bytes() as u32,
                group: None,
                packed: false,
                public: false,
            },
            outcomes: outcomes.collect::<Result<_>>()?,
            packed: Vec::new(),
        };
        let mut reply = Vec::new();
        write_chunk(&mut reply, self.client.parameter_set().tag(), &chunk)?;
        Ok(reply)
    }
}

/// A reply row of results in the clear.
fn without_mask(shape: &ReplyShape, results: &[u64]) -> std::result::Result<Vec<u8>, SchemeError> {
    let mask = vec![0; shape.set.mask_len()];
    let mut body = vec![0; shape.set.ring.polynomial_size];
    for (index, result) in results.iter().enumerate() {
        body[index * shape.stride] = *result;
    }
    reply::compress(shape, &mask, &body)
}
