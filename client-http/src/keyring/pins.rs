//! What is remembered of models: whose specs are taken, by service and model.

use super::KeyRing;
use super::directory::{Directory, Refused};
use crate::error::KeyRingError;
use cipherfn_client::{Accept, Offer, Pin, PinnedDeveloper, Verdict};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::versions::{Versions, json_version};
use serde::{Deserialize, Serialize};

/// The file in a key ring.
const FILE: &str = "models.json";

cipherfn_protocol::versions! {
    /// What is remembered, as a document.
    enum PinsVersions, read by serde_json::from_slice, error serde_json::Error {
        /// A developer and the newest statement, or specs.
        V1(PinsV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinsV1 {
    format: u16,
    models: Vec<PinV1>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinV1 {
    service: String,
    model: ModelName,
    specs: SpecsHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    developer: Option<PinnedDeveloper>,
}

impl KeyRing {
    /// Judges specs as [`Self::judge`] does, and remembers nothing.
    pub fn check(
        &self,
        service: &str,
        offer: &Offer,
        accept: &Accept,
    ) -> Result<Verdict, KeyRingError> {
        let models = match Directory::open(&self.directory)? {
            Some(directory) => read(&directory)?,
            None => Vec::new(),
        };
        let mut known = models.iter();
        let pin = known
            .find(|known| known.is_of(service, &offer.model))
            .map(PinV1::pin);
        Ok(offer.judge(pin.as_ref(), accept)?.1)
    }

    /// Judges specs that the service at `service` offers, and remembers what they are taken for.
    /// Of several processes one judges at a time.
    pub fn judge(
        &self,
        service: &str,
        offer: &Offer,
        accept: &Accept,
    ) -> Result<Verdict, KeyRingError> {
        let directory = Directory::create(&self.directory)?;
        let _lock = directory.lock()?;
        let mut models = read(&directory)?;
        let known = models
            .iter_mut()
            .find(|known| known.is_of(service, &offer.model));
        let pin = known.as_deref().map(PinV1::pin);
        let (after, verdict) = offer.judge(pin.as_ref(), accept)?;
        if pin.as_ref() == Some(&after) {
            return Ok(verdict);
        }
        let after = PinV1::of(service, &offer.model, &after);
        match known {
            Some(known) => *known = after,
            None => models.push(after),
        }
        let document = PinsV1 { format: 1, models };
        let json = serde_json::to_vec_pretty(&document);
        let json = json.map_err(|error| unreadable(&directory, error.to_string()))?;
        directory.write(FILE, &json)?;
        Ok(verdict)
    }
}

fn read(directory: &Directory) -> Result<Vec<PinV1>, KeyRingError> {
    match directory.read(FILE, Refused::OthersWrite)? {
        Some(bytes) => parse(&bytes).map_err(|reason| unreadable(directory, reason)),
        None => Ok(Vec::new()),
    }
}

fn unreadable(directory: &Directory, reason: String) -> KeyRingError {
    KeyRingError::Pins {
        path: directory.path(FILE),
        reason,
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<PinV1>, String> {
    let format = json_version(bytes).map_err(|error| error.to_string())?;
    let document = PinsVersions::read(format, bytes)
        .ok_or_else(|| format!("format {format} is a later client's; use that"))?;
    let PinsVersions::V1(document) = document.map_err(|error| error.to_string())?;
    Ok(document.models)
}

impl PinV1 {
    fn of(service: &str, model: &ModelName, pin: &Pin) -> Self {
        let (specs, developer) = pin.parts();
        Self {
            service: service.to_owned(),
            model: model.clone(),
            specs,
            developer,
        }
    }

    fn is_of(&self, service: &str, model: &ModelName) -> bool {
        self.service == service && self.model == *model
    }

    fn pin(&self) -> Pin {
        Pin::new(self.specs, self.developer)
    }
}
