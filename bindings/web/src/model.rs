//! A model: its specs, judged, and what is encrypted and decrypted under them.

use crate::answer;
use crate::columns::Columns;
use crate::error::{Code, of_client, of_trust};
use crate::secret::Secret;
use cipherfn_client::{
    Accept, Asked, Client, EncodedRow, EncodedRows, Offer, Pin, PinnedDeveloper, Verdict,
};
use cipherfn_program::ColumnKind;
use cipherfn_protocol::api::{MAX_REPLY, MAX_REQUEST, ModelName};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::json;
use cipherfn_protocol::statement::SignedStatement;
use js_sys::{Array, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// What a page remembers of a model at a service.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinV1 {
    format: u16,
    specs: SpecsHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    developer: Option<PinnedDeveloper>,
}

/// A model, ready for rows.
#[wasm_bindgen]
pub struct Model {
    client: Client,
    hash: SpecsHash,
    developer: Option<String>,
    pin: Pin,
    verdict: Verdict,
}

/// Rows as they are encrypted, and what the client knows of each: in the clear.
#[wasm_bindgen]
pub struct Encoded(EncodedRows);

/// A query, and which rows it asks for.
#[wasm_bindgen]
pub struct Query {
    bytes: Vec<u8>,
    asked: Asked,
    first: usize,
}

#[wasm_bindgen]
impl Model {
    /// Specs as a service sent them with a `statement`, judged by the `pin` of earlier ones before
    /// anything is made of them. `accept` is what the caller knows from elsewhere: a developer's
    /// key, a hash of specs, or `offered`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        name: &str,
        specs: &[u8],
        statement: Option<String>,
        pin: Option<String>,
        accept: Option<String>,
    ) -> Result<Self, JsValue> {
        let model: ModelName = name.parse().map_err(|error| Code::Argument.error(error))?;
        let statement = statement.map(|json| SignedStatement::from_json(json.as_bytes()));
        let offer = Offer {
            model,
            specs: Hash::of(specs),
            statement: statement
                .transpose()
                .map_err(|error| Code::Specs.error(error))?,
        };
        let pin = pin.as_deref().map(read_pin).transpose()?;
        let accept = accept.as_deref().map_or(Ok(Accept::Pinned), read_accept)?;
        let judged = offer.judge(pin.as_ref(), &accept);
        let (pin, verdict) = judged.map_err(|error| of_trust(&error))?;
        let client = Client::from_specs(specs).map_err(|error| of_client(&error))?;
        Ok(Self {
            client,
            hash: offer.specs,
            developer: offer.statement.map(|signed| signed.key.to_string()),
            pin,
            verdict,
        })
    }

    /// Hash of the specs.
    #[wasm_bindgen(getter)]
    pub fn specs(&self) -> String {
        self.hash.to_string()
    }

    /// Who has signed them, if anybody has.
    #[wasm_bindgen(getter)]
    pub fn developer(&self) -> Option<String> {
        self.developer.clone()
    }

    /// What to remember of them.
    #[wasm_bindgen(getter)]
    pub fn pin(&self) -> Result<String, JsValue> {
        let (specs, developer) = self.pin.parts();
        let pin = PinV1 {
            format: 1,
            specs,
            developer,
        };
        serde_json::to_string(&pin).map_err(|error| Code::Trust.error(error))
    }

    /// Why they are taken.
    #[wasm_bindgen(getter)]
    pub fn verdict(&self) -> String {
        self.verdict.to_string()
    }

    /// Version of the API that queries under them belong to.
    #[wasm_bindgen(getter, js_name = apiVersion)]
    pub fn api_version(&self) -> u16 {
        self.client.specs().format().min(2)
    }

    /// Name of the parameter set.
    #[wasm_bindgen(getter, js_name = parameterSet)]
    pub fn parameter_set(&self) -> String {
        self.client.parameter_set().name.to_owned()
    }

    /// Hash of the parameter set's numbers.
    #[wasm_bindgen(getter, js_name = parameterSetHash)]
    pub fn parameter_set_hash(&self) -> String {
        self.client.parameter_set().hash().to_string()
    }

    /// Names of the parts of the evaluation key that the service needs.
    #[wasm_bindgen(getter, js_name = keyParts)]
    pub fn key_parts(&self) -> Vec<String> {
        let parts = self.client.key_parts().iter();
        parts.map(|part| part.name.to_owned()).collect()
    }

    /// Names of the columns that a row must have.
    #[wasm_bindgen(getter)]
    pub fn columns(&self) -> Vec<String> {
        let columns = self.client.specs().specs().columns.iter();
        columns.map(|column| column.name.clone()).collect()
    }

    /// Of each column what it takes: `number`, `integer` or `text`, with `?` behind it where a value
    /// may be missing.
    #[wasm_bindgen(getter, js_name = columnKinds)]
    pub fn column_kinds(&self) -> Vec<String> {
        let columns = self.client.specs().specs().columns.iter();
        let kind = |kind| match kind {
            ColumnKind::Float32 | ColumnKind::Float64 => "number",
            ColumnKind::Int64 => "integer",
            ColumnKind::Text => "text",
        };
        let optional = |missing| if missing { "?" } else { "" };
        columns
            .map(|column| kind(column.kind).to_owned() + optional(column.missing))
            .collect()
    }

    /// Names of a prediction's values.
    #[wasm_bindgen(getter)]
    pub fn outputs(&self) -> Vec<String> {
        self.client.prediction_columns()
    }

    /// Most rows of a request; 0 where not even one fits.
    #[wasm_bindgen(getter, js_name = rowsARequest)]
    pub fn rows_a_request(&self) -> usize {
        self.client.rows_within(MAX_REQUEST, MAX_REPLY)
    }

    /// Pre-processes and encodes rows.
    pub fn encode(&self, columns: &Columns) -> Result<Encoded, JsValue> {
        let rows = self.client.rows(&columns.0);
        let rows = rows.map_err(|error| of_client(&error))?;
        Ok(Encoded(self.client.encode(&rows)))
    }

    /// Encrypts `count` rows from row `first` on.
    pub fn query(
        &self,
        secret: &Secret,
        rows: &Encoded,
        first: usize,
        count: usize,
    ) -> Result<Query, JsValue> {
        let rows: &[EncodedRow] = first
            .checked_add(count)
            .and_then(|end| rows.0.rows.get(first..end))
            .ok_or_else(|| Code::Argument.error("rows that were not given"))?;
        let nonce = self.client.nonce().map_err(|error| of_client(&error))?;
        let bytes = self.client.query(&secret.0, nonce, rows);
        Ok(Query {
            bytes: bytes.map_err(|error| of_client(&error))?,
            asked: Asked {
                nonce,
                rows: count as u64,
            },
            first,
        })
    }

    /// Decrypts the reply to a query and to nothing else.
    pub fn open(
        &self,
        secret: &Secret,
        rows: &Encoded,
        query: &Query,
        reply: &[u8],
    ) -> Result<Array, JsValue> {
        let answers = self
            .client
            .open(&secret.0, query.asked, query.first as u64, reply);
        let answers = answers.map_err(|error| of_client(&error))?;
        let marks = rows.0.marks.get(query.first..).unwrap_or_default();
        Ok(answer::objects(
            &self.client.prediction_columns(),
            answers,
            marks,
        ))
    }

    /// Decrypts a reply of which it is not known what it answers, as a file that was kept.
    pub fn decrypt(&self, secret: &Secret, reply: &[u8]) -> Result<Array, JsValue> {
        let mut answers = Vec::new();
        let decrypted = self.client.decrypt(&secret.0, None, reply, |more| {
            answers.extend(more);
            Ok(())
        });
        decrypted.map_err(|error| of_client(&error))?;
        let marks = vec![cipherfn_client::Mark::Sound; answers.len()];
        Ok(answer::objects(
            &self.client.prediction_columns(),
            answers,
            &marks,
        ))
    }
}

#[wasm_bindgen]
impl Encoded {
    /// Number of rows.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> usize {
        self.0.rows.len()
    }
}

#[wasm_bindgen]
impl Query {
    /// What to send.
    #[wasm_bindgen(getter)]
    pub fn bytes(&self) -> Uint8Array {
        Uint8Array::from(self.bytes.as_slice())
    }
}

fn read_pin(text: &str) -> Result<Pin, JsValue> {
    let damaged = |reason: String| {
        Code::Trust.error(format!(
            "what this page remembers of the model cannot be read ({reason}); clear the page's stored data only if you trust the service's specs anew"
        ))
    };
    let pin: PinV1 =
        json::from_slice(text.as_bytes()).map_err(|error| damaged(error.to_string()))?;
    if pin.format != 1 {
        return Err(damaged(format!(
            "format {} is a later package's",
            pin.format
        )));
    }
    Ok(Pin::new(pin.specs, pin.developer))
}

fn read_accept(text: &str) -> Result<Accept, JsValue> {
    if text == "offered" {
        return Ok(Accept::Offered);
    }
    let developer = text.parse().map(Accept::Developer);
    let accept = developer.or_else(|_| text.parse().map(Accept::Specs));
    accept.map_err(|_| {
        Code::Argument.error(
            "`accept` is a developer's key (ed25519:...), a hash of specs (64 hexadecimal digits), or \"offered\"",
        )
    })
}
