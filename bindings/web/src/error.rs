//! Errors as JavaScript sees them: `Error` objects with a `code`.

use cipherfn_client::{ClientError, TrustError};
use cipherfn_scheme::SchemeError;
use js_sys::{Error, Reflect};
use std::fmt::Display;
use wasm_bindgen::JsValue;

/// What kind of error it is, for programs; the package documents each.
#[derive(Clone, Copy)]
pub(crate) enum Code {
    Argument,
    Columns,
    Key,
    Reply,
    Specs,
    Trust,
}

impl Code {
    const fn name(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::Columns => "columns",
            Self::Key => "key",
            Self::Reply => "reply",
            Self::Specs => "specs",
            Self::Trust => "trust",
        }
    }

    /// As JavaScript throws it.
    pub(crate) fn error(self, text: impl Display) -> JsValue {
        let error = Error::new(&text.to_string());
        // An ordinary object takes properties.
        let _ = Reflect::set(&error, &"code".into(), &self.name().into());
        error.into()
    }
}

pub(crate) fn of_client(error: &ClientError) -> JsValue {
    let code = match error {
        ClientError::MissingColumns { .. } | ClientError::ColumnType { .. } => Code::Columns,
        ClientError::Scheme(_) | ClientError::KeySet { .. } => Code::Key,
        ClientError::Specs(_)
        | ClientError::Output { .. }
        | ClientError::Step(_)
        | ClientError::ParameterSet { .. }
        | ClientError::RowTooLarge { .. } => Code::Specs,
        _ => Code::Reply,
    };
    code.error(error)
}

pub(crate) fn of_trust(error: &TrustError) -> JsValue {
    Code::Trust.error(error)
}

pub(crate) fn of_scheme(error: &SchemeError) -> JsValue {
    Code::Key.error(error)
}
