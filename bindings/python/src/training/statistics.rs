//! Sums over the rows of several owners, and models that follow from them.

use super::fitted::Fitted;
use super::rows::Columns;
use crate::error::{Failure, Result};
use crate::table::Table;
use crate::wait::{Stop, Waiting};
use cipherfn_client::training;
use cipherfn_client_http::{Existing, KeyRing};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_serving::training::{SET, Total};
use cipherfn_training::fit::Fit;
use cipherfn_training::{Contribution, Moments, StatisticsSpec, Sums, Target};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A spec of statistics.
#[pyclass(frozen)]
pub(crate) struct Statistics(Arc<StatisticsSpec>);

/// What to fit, in the words of the command line.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Wanted {
    model: String,
    penalty: f64,
    components: Option<usize>,
    smoothing: f64,
    alpha: f64,
}

/// Of each numeric column its name, mean and deviation, and its correlations.
type Summary = (f64, Vec<(String, f64, f64)>, Vec<Vec<f64>>);

#[pymethods]
impl Statistics {
    /// From TOML.
    #[new]
    fn new(toml: &str) -> PyResult<Self> {
        let spec = StatisticsSpec::from_toml(toml).map_err(Failure::from)?;
        Ok(Self(Arc::new(spec)))
    }

    /// Names of the columns that rows need, the target's among them.
    #[getter]
    fn columns(&self) -> Vec<String> {
        let columns = columns(&self.0);
        let all = columns.numbers.into_iter().chain(columns.texts);
        all.map(ToOwned::to_owned).collect()
    }

    /// Encrypts the sums over a table's rows: the contribution's file, the number of rows, and how many values
    /// of a column lie outside of its range.
    #[pyo3(signature = (table, public_key, stop=None))]
    fn contribute(
        &self,
        py: Python<'_>,
        table: &Table,
        public_key: Vec<u8>,
        stop: Option<Bound<'_, Stop>>,
    ) -> PyResult<(Vec<u8>, u64, BTreeMap<String, u64>)> {
        let (spec, batches) = (Arc::clone(&self.0), table.batches()?);
        let waiting = Waiting {
            py,
            tell: None,
            stop,
        };
        waiting.compute(move |watch| {
            let key = PublicKey::from_file_bytes(&public_key)?;
            let mut sums = Sums::new(&spec);
            columns(&spec).each_row(batches, watch, |numbers, texts| {
                Ok(sums.add(numbers, texts)?)
            })?;
            let bytes = training::contribute(&key, &spec, &sums)?.to_file_bytes();
            let clipped = sums.clipped();
            let clipped = clipped.map(|(column, count)| (column.to_owned(), count));
            Ok((bytes, sums.rows(), clipped.collect()))
        })
    }

    /// Adds contributions, without any key.
    fn aggregate<'py>(
        &self,
        py: Python<'py>,
        contributions: Vec<Vec<u8>>,
    ) -> PyResult<(Bound<'py, PyBytes>, u32)> {
        let add = || {
            let mut total = Total::new(&self.0);
            for bytes in &contributions {
                total.add(&Contribution::from_file_bytes(bytes)?)?;
            }
            Ok::<_, Failure>(total.finish()?)
        };
        let total = add()?;
        Ok((PyBytes::new(py, &total.to_file_bytes()), total.owners))
    }

    /// Decrypts a total and fits a model to it; says the number of rows, and the bound of the sums' errors in
    /// rows.
    fn fit(&self, total: Vec<u8>, keys: PathBuf, wanted: Wanted) -> PyResult<(Fitted, f64, f64)> {
        let moments = self.open(&total, keys)?;
        let fit = match wanted.model.as_str() {
            "linear" => Fit::Linear {
                penalty: wanted.penalty,
            },
            "discriminant" => Fit::Discriminant,
            "naive-bayes" => Fit::NaiveBayes {
                smoothing: wanted.smoothing,
                alpha: wanted.alpha,
            },
            "components" => Fit::Components {
                count: wanted.components.unwrap_or(self.0.numbers().len()),
            },
            "standardise" => Fit::Standardise,
            other => {
                return Err(Failure::Argument(format!("no model is called {other:?}")).into());
            }
        };
        let model = fit.of(&self.0, &moments).map_err(Failure::from)?;
        Ok((Fitted(model), moments.count(), moments.error()))
    }

    /// Decrypts a total: number of rows; name, mean and deviation of each numeric column; correlations.
    fn summary(&self, total: Vec<u8>, keys: PathBuf) -> PyResult<Summary> {
        let moments = self.open(&total, keys)?;
        let correlations = moments.correlations(&self.0);
        let columns = self.0.summed().zip(moments.columns(&self.0));
        let columns =
            columns.map(|(column, (mean, deviation))| (column.name.clone(), mean, deviation));
        Ok((moments.count(), columns.collect(), correlations))
    }
}

impl Statistics {
    fn open(&self, total: &[u8], keys: PathBuf) -> Result<Moments> {
        let total = Contribution::from_file_bytes(total)?;
        let set = ParameterSet::by_tag(total.parameter_set, "contribution")?;
        let secret = KeyRing::at(keys).secret_key(set)?;
        Ok(training::open(&secret, &self.0, &total)?)
    }
}

fn columns(spec: &StatisticsSpec) -> Columns<'_> {
    let class = match spec.target() {
        Target::Class(class) => Some(class),
        Target::None | Target::Number(_) => None,
    };
    let texts = spec.categories().iter().chain(class);
    Columns {
        numbers: spec.summed().map(|own| own.name.as_str()).collect(),
        texts: texts.map(|own| own.name.as_str()).collect(),
    }
}

/// A public key of a key ring, which gets a secret key if it has none.
#[pyfunction]
pub(crate) fn public_key<'py>(py: Python<'py>, keys: PathBuf) -> PyResult<Bound<'py, PyBytes>> {
    let make = || {
        let set = ParameterSet::by_name(SET)?;
        let ring = KeyRing::at(keys);
        ring.fill_parts(set, &[], Existing::Keep)?;
        Ok::<_, Failure>(PublicKey::generate(&ring.secret_key(set)?)?)
    };
    Ok(PyBytes::new(py, &make()?.to_file_bytes()))
}
