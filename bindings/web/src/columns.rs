//! Rows on their way in, column by column.

use crate::error::Code;
use cipherfn_client::{Batch, Column, Values};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Columns of equal length.
#[wasm_bindgen]
#[derive(Default)]
pub struct Columns(pub(crate) Batch);

#[wasm_bindgen]
impl Columns {
    /// None yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column of numbers, of which `valid` says whether each is there.
    pub fn numbers(&mut self, name: String, values: Vec<f64>, valid: &[u8]) -> Result<(), JsValue> {
        self.push(name, Values::F64(values), valid)
    }

    /// Adds a column of whole numbers beyond the exact ones of a float.
    pub fn integers(
        &mut self,
        name: String,
        values: Vec<i64>,
        valid: &[u8],
    ) -> Result<(), JsValue> {
        self.push(name, Values::I64(values), valid)
    }

    /// Adds a column of texts.
    pub fn texts(
        &mut self,
        name: String,
        values: Vec<String>,
        valid: &[u8],
    ) -> Result<(), JsValue> {
        self.push(name, Values::Text(values), valid)
    }

    /// Adds a column of booleans, as 0 and 1.
    pub fn booleans(&mut self, name: String, values: &[u8], valid: &[u8]) -> Result<(), JsValue> {
        let values = values.iter().map(|value| *value != 0).collect();
        self.push(name, Values::Bool(values), valid)
    }

    fn push(&mut self, name: String, values: Values, valid: &[u8]) -> Result<(), JsValue> {
        let first = self.0.columns().len() == 0;
        if valid.len() != values.len() || !(first || self.0.rows() == values.len()) {
            let text = format!(
                "column {name:?} has {} values, the columns before it have {}; give as many of each",
                values.len(),
                self.0.rows()
            );
            return Err(Code::Columns.error(text));
        }
        let valid = valid.iter().map(|valid| *valid != 0).collect();
        let batch = std::mem::take(&mut self.0);
        self.0 = batch.with(name, Column::new(values, Some(valid)));
        Ok(())
    }
}
