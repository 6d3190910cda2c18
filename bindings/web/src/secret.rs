//! The secret key.

use crate::error::{Code, of_scheme};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

/// A secret key: in this module's memory, until it is freed.
#[wasm_bindgen]
pub struct Secret(pub(crate) SecretKey);

#[wasm_bindgen]
impl Secret {
    /// A new key of a parameter set.
    pub fn generate(set: &str) -> Result<Self, JsValue> {
        let set = ParameterSet::by_name(set).map_err(|error| of_scheme(&error))?;
        let key = SecretKey::generate(set).map_err(|error| of_scheme(&error))?;
        Ok(Self(key))
    }

    /// From the bytes of a file.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, JsValue> {
        let bytes = Zeroizing::new(bytes);
        let key = SecretKey::from_file_bytes(&bytes).map_err(|error| of_scheme(&error))?;
        Ok(Self(key))
    }

    /// The bytes of a file: in the clear, so whoever takes them overwrites them.
    #[wasm_bindgen(js_name = toBytes)]
    pub fn to_bytes(&self) -> Uint8Array {
        Uint8Array::from(self.0.to_file_bytes().as_slice())
    }

    /// Its id, which names it to a service and tells nothing of it.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// The file of a new part of its evaluation key: not secret.
    pub fn part(&self, name: &str) -> Result<Uint8Array, JsValue> {
        let part =
            EvaluationKey::generate_part(&self.0, name).map_err(|error| of_scheme(&error))?;
        Ok(Uint8Array::from(part.to_file_bytes().as_slice()))
    }

    /// Refuses bytes that are no file of this key's part.
    #[wasm_bindgen(js_name = checkPart)]
    pub fn check_part(&self, name: &str, bytes: &[u8]) -> Result<(), JsValue> {
        let part = EvaluationKey::from_file_bytes(bytes).map_err(|error| of_scheme(&error))?;
        if part.id() == self.0.id() && part.part().name == name {
            return Ok(());
        }
        Err(Code::Key.error(format!("what is stored as part {name} of the evaluation key is not of this key; clear the page's stored keys")))
    }
}
