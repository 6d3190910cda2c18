//! Which format a file has, by its content.

use super::json;
use crate::error::CompileError;
use serde::Deserialize;
use serde::de::IgnoredAny;

#[cfg(test)]
mod tests;

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Onnx,
    XgBoostJson,
    XgBoostUbjson,
    LightGbm,
    CatBoost,
}

/// The keys that tell JSON files apart.
#[derive(Deserialize)]
struct Probe {
    /// XGBoost.
    learner: Option<IgnoredAny>,
    /// CatBoost.
    features_info: Option<IgnoredAny>,
    /// LightGBM's dump.
    tree_info: Option<IgnoredAny>,
}

impl Format {
    /// The format of a file that is read; ONNX if nothing speaks for another.
    ///
    /// # Errors
    /// Files of the libraries in forms that are not read, with the line of Python that writes the
    /// one that is.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, CompileError> {
        let wrong = |found: &str, way_out: &str| {
            Err(CompileError::WrongForm {
                found: found.into(),
                way_out: way_out.into(),
            })
        };
        if bytes.starts_with(b"CBM1") {
            return wrong(
                "CatBoost's binary format",
                "CatBoost().load_model(\"model.cbm\").save_model(\"model.json\", format=\"json\")",
            );
        }
        if bytes.starts_with(b"binf") {
            return wrong(
                "XGBoost's old binary format",
                "xgboost.Booster(model_file=\"model.bin\").save_model(\"model.json\") with XGBoost 2",
            );
        }
        // Pickle protocols 2 to 5.
        if matches!(bytes, [0x80, 2..=5, ..]) {
            return wrong(
                "a pickle",
                "model.save_model(\"model.json\") of the library, or an ONNX export",
            );
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match text.iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(at)
                if text[at..].starts_with(b"tree\n") || text[at..].starts_with(b"tree\r\n") =>
            {
                Ok(Self::LightGbm)
            }
            Some(at) if text[at] == b'{' => Self::of_object(&text[at..]),
            Some(at) if text[at] == b'[' => wrong(
                "a JSON list, as XGBoost's dump_model writes",
                "booster.save_model(\"model.json\")",
            ),
            _ => Ok(Self::Onnx),
        }
    }

    fn of_object(bytes: &[u8]) -> Result<Self, CompileError> {
        let second = bytes
            .iter()
            .skip(1)
            .find(|byte| !byte.is_ascii_whitespace());
        if !matches!(second, Some(b'"' | b'}')) {
            return Ok(Self::XgBoostUbjson);
        }
        let unknown = |problem: String| CompileError::UnknownJson { problem };
        match json::from_slice(bytes) {
            Ok(Probe {
                learner: Some(_), ..
            }) => Ok(Self::XgBoostJson),
            Ok(Probe {
                features_info: Some(_),
                ..
            }) => Ok(Self::CatBoost),
            Ok(Probe {
                tree_info: Some(_), ..
            }) => Err(CompileError::WrongForm {
                found: "a LightGBM model as dump_model writes it".into(),
                way_out: "booster.save_model(\"model.txt\")".into(),
            }),
            Ok(_) => Err(unknown(
                "it has none of the keys learner (XGBoost), features_info (CatBoost)".into(),
            )),
            Err(error) => Err(unknown(error.to_string())),
        }
    }
}
