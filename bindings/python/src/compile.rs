//! Compiling: bytes of a model and of calibration rows in, a bundle out.

use crate::bundle::Bundle;
use crate::error::{Failure, Result};
use crate::wait::{Stop, Waiting};
use cipherfn_compiler::fit::FitOptions;
use cipherfn_compiler::{
    Calibration, ColumnSource, Decimals, Expected, FeatureMode, Options, Profile,
};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::io::Cursor;

/// Tables as text, as the compiler reads them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Tables {
    calibration: Vec<u8>,
    target: Option<String>,
    order: Vec<String>,
    expected: Option<Vec<u8>>,
}

/// What to compile for, in the words of the command line.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Wanted {
    name: String,
    features: String,
    decoys: u32,
    decimals: BTreeMap<String, u32>,
    auto_decimals: bool,
    precision: Option<f64>,
    profile: Option<String>,
    prefer: Option<String>,
    classes: Option<Vec<String>>,
    min_agreement: f64,
    max_error: Option<f64>,
    relations: bool,
    fit: Option<String>,
    combiner: String,
    uncertainty: bool,
}

/// Compiles a model's bytes.
#[pyfunction]
#[pyo3(signature = (model, tables, options, stop=None))]
pub(crate) fn compile(
    py: Python<'_>,
    model: Vec<u8>,
    tables: Tables,
    options: Wanted,
    stop: Option<Bound<'_, Stop>>,
) -> PyResult<Bundle> {
    let options = options.read()?;
    let waiting = Waiting {
        py,
        tell: None,
        stop,
    };
    waiting.compute(move |_| {
        let compiled = cipherfn_compiler::compile(&model, tables.calibration(), &options)?;
        Bundle::new(compiled.bundle, compiled.scores)
    })
}

impl Tables {
    fn calibration(self) -> Calibration<Cursor<Vec<u8>>> {
        Calibration {
            columns: ColumnSource {
                targets: self.target.into_iter().collect(),
                dropped: Vec::new(),
                order: self.order,
            },
            expected: self.expected.map(|predictions| Expected {
                source_name: "the model's own predictions".into(),
                predictions: Cursor::new(predictions),
                rows: None,
            }),
            ..Calibration::new("X", Cursor::new(self.calibration))
        }
    }
}

impl Wanted {
    fn read(self) -> Result<Options> {
        fn read<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T> {
            text.parse()
                .map_err(|error| Failure::Argument(format!("{name}={text:?}: {error}")))
        }
        let features = match read("features", &self.features)? {
            FeatureMode::Exact { .. } => FeatureMode::Exact {
                decoys: self.decoys,
            },
            grid @ FeatureMode::Grid { .. } => grid,
        };
        let profile: Option<Profile> = self
            .profile
            .as_deref()
            .map(|text| read("profile", text))
            .transpose()?;
        let fit = self
            .fit
            .as_deref()
            .map(|text| read("fit", text))
            .transpose()?;
        Ok(Options {
            features,
            decimals: Decimals {
                columns: self.decimals,
                auto: self.auto_decimals,
            },
            precision: self.precision,
            profile: profile.unwrap_or(Profile::Balanced),
            prefer: self
                .prefer
                .as_deref()
                .map(|text| read("prefer", text))
                .transpose()?,
            classes: self.classes,
            min_agreement: self.min_agreement / 100.0,
            max_error: self.max_error.map(|percent| percent / 100.0),
            relations: self.relations,
            fit: fit.map(|limits| FitOptions {
                limits,
                keeps_profile: profile.is_some(),
            }),
            combiner: read("combiner", &self.combiner)?,
            uncertainty: self.uncertainty,
            ..Options::new(self.name)
        })
    }
}
