//! The two ways to have rows answered, behind one trait: what holds for a model holds in both.

use crate::{Result, Server};
use cipherfn_client::{Client, InputRow};
use cipherfn_engine::{ClearCircuit, PreparedCircuit};
use cipherfn_program::Tensor;
use cipherfn_protocol::message::{ChunkHead, ReplyChunk, write_chunk};
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

/// The circuit in the clear, exactly. Results travel as ciphertexts without mask and noise, which
/// every key decrypts.
pub struct Clear<'a> {
    client: &'a Client,
    secret: &'a SecretKey,
    circuit: ClearCircuit,
    outputs: Vec<ReplyShape>,
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

impl<'a> Clear<'a> {
    /// The circuit of a bundle's bytes.
    pub fn new(client: &'a Client, secret: &'a SecretKey, bundle: &[u8]) -> Result<Self> {
        let circuit = cipherfn_engine::bundle::read(bundle)?.circuit;
        Ok(Self {
            client,
            secret,
            outputs: PreparedCircuit::new(&circuit)?.outputs().to_vec(),
            circuit: ClearCircuit::new(circuit)?,
        })
    }

    fn row(&self, row: &InputRow) -> Result<Vec<u8>> {
        let specs = self.client.specs().specs();
        let features = specs.preprocess.run(row.clone()?)?;
        let [Tensor::F32(features)] = features.as_slice() else {
            return Err("a row's features are one vector of f32".into());
        };
        let results = self
            .circuit
            .evaluate(&InputValues::all(&specs.inputs, features)?)?;
        let mut results = results.as_slice();
        let rows = self.outputs.iter().map(|output| {
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
