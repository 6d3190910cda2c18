//! JSON documents that a client reads: specs, statements, pins.
//!
//! `serde_json` puts its parser into the code of every type that it reads, and each struct twice, as an
//! object and as a list. In a browser that was a third of what a page loads. Here the parser is a few
//! functions that know no type, structs are objects, and everything else is as `serde_json` reads it:
//! the same documents, numbers and limits, and errors with line and column.

mod error;
mod read;
mod text;

#[cfg(test)]
mod tests;

pub use error::JsonError;

use serde::Deserialize;
use text::Text;

/// Reads a document.
///
/// ```
/// use cipherfn_protocol::json;
///
/// assert_eq!(json::from_slice::<Vec<f64>>(b"[1, 2.5]")?, [1.0, 2.5]);
/// let error = json::from_slice::<Vec<f64>>(b"[1,\n oops]").unwrap_err();
/// assert_eq!(error.to_string(), "no value at line 2 column 2");
/// # Ok::<(), json::JsonError>(())
/// ```
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, JsonError> {
    let mut text = Text::new(bytes)?;
    let read = T::deserialize(&mut text);
    let whole = read.and_then(|value| text.finish().map(|()| value));
    whole.map_err(|error| error.at(&text))
}
