//! Why bytes are no document.

use super::text::Text;
use std::fmt::{self, Display};

/// What is wrong, and where. One word, as every step of reading passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError(Box<PlacedMessage>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct PlacedMessage {
    message: String,
    /// Line and column, from 1, once they are known.
    place: Option<(usize, usize)>,
}

impl JsonError {
    #[inline(never)]
    pub(super) fn new(message: &str) -> Self {
        Self(Box::new(PlacedMessage {
            message: message.to_owned(),
            place: None,
        }))
    }

    /// The same, found where a text was read to.
    #[inline(never)]
    pub(super) fn at(mut self, text: &Text<'_>) -> Self {
        self.0.place.get_or_insert_with(|| text.place());
        self
    }
}

impl Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.0.place {
            Some((line, column)) => write!(f, " at line {line} column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for JsonError {}

impl serde::de::Error for JsonError {
    #[inline(never)]
    fn custom<T: Display>(message: T) -> Self {
        Self::new(&message.to_string())
    }
}

/// For documents that others than clients read.
impl From<JsonError> for serde_json::Error {
    fn from(error: JsonError) -> Self {
        serde::de::Error::custom(error)
    }
}
