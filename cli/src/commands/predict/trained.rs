//! Predictions by weights that a service keeps encrypted.

use super::Predict;
use crate::files::{InputSource, Output};
use crate::table::{OnError, Predictions};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, anyhow, bail};
use cipherfn_client::Answer;
use cipherfn_client::training::KeptModel;
use cipherfn_client_http::{KeptTraining, KeyRing};
use cipherfn_program::{EntryKind, Tensor, TensorType};
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::specs::{ColumnKind, InputColumn};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::SET;
use cipherfn_training::descent::Training;
use std::sync::Arc;
use std::time::Instant;

/// A row on its way: its features, or zeros where it has none, and what there is to say about it.
struct Asked {
    features: Vec<i32>,
    unusable: Option<String>,
    remark: Option<String>,
}

impl Predict {
    pub(super) async fn trained(
        &self,
        url: &str,
        (job, ring): (JobId, KeyRing),
        mut output: Output,
        terminal: Terminal,
    ) -> Result<()> {
        let input = match self.on_error {
            OnError::Fail => self.table.check(&self.input, self.limit())?,
            OnError::Mark => self.input.clone(),
        };
        let (kept, training) = known(&ring, job)?;
        let service = self.connection.open(url).await?;
        if kept.service != service.url() {
            bail!(
                "training {job} is kept by the service at {}; give that",
                kept.service
            );
        }
        let secret = Arc::new(key_of(&ring, &kept)?);
        let model = KeptModel {
            training: &training,
            weights: &kept.weights,
            owners: kept.owners(),
        };
        let most = model.most_rows(&secret)?;
        let (mut rows, progress) = self.features(&training, &input, terminal)?;
        let mut predictions = Predictions::of(training.prediction_columns(), &[])?;
        let start = Instant::now();
        loop {
            let asked = rows.by_ref().take(most).collect::<Result<Vec<_>>>()?;
            if asked.is_empty() {
                break;
            }
            let features = asked.iter().map(|row| row.features.clone()).collect();
            let owner = (&training, &secret);
            let found = service.predict_trained(&kept, owner, features).await?;
            let answers = asked.into_iter().zip(found);
            let answers = answers.map(|(row, found)| Answer {
                prediction: row.unusable.is_none().then_some(found),
                remark: row.unusable.or(row.remark),
            });
            predictions.take(answers.collect())?;
            progress.set_message(format!("{} rows", predictions.rows()));
        }
        progress.finish_and_clear();
        let (rows, failed) = predictions.finish(&mut output, self.on_error)?;
        output.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        let value = serde_json::json!({
            "rows": rows,
            "failed": failed,
            "columns": training.prediction_columns(),
            "seconds": seconds,
            "weight_deviation": kept.weights.deviation,
        });
        terminal
            .beside_data(self.output.is_stdout())
            .summary(&value, || {
                terminal::facts([
                    ("predictions", self.output.name()),
                    ("rows", rows.to_string()),
                    ("time", terminal::seconds(seconds)),
                    (
                        "weights",
                        format!(
                            "of {}, errors of {:.4} (standard deviation)",
                            kept.name, kept.weights.deviation
                        ),
                    ),
                ])
            })
    }

    /// The rows of a table as they are asked. What is wrong with a row goes with it: a row that cannot be
    /// encoded is asked as zeros, as what is sent must not depend on what rows hold.
    fn features(
        &self,
        training: &Arc<Training>,
        input: &InputSource,
        terminal: Terminal,
    ) -> Result<(
        impl Iterator<Item = Result<Asked>> + use<>,
        indicatif::ProgressBar,
    )> {
        let columns = training.numbers().iter().map(|own| InputColumn {
            name: own.name.clone(),
            kind: ColumnKind::Float64,
            missing: false,
        });
        let columns: Vec<InputColumn> = columns.collect();
        let group = TensorType {
            kind: EntryKind::F64,
            len: columns.len(),
        };
        let (table, progress) = self.table.open(input, terminal, "predicting")?;
        let mut rows = table.select(&columns, &[group])?.limit(self.limit());
        let (training, mut number) = (Arc::clone(training), 0);
        let next = move || {
            let row = match rows.next_row() {
                Ok(row) => row?,
                Err(error) => return Some(Err(error.into())),
            };
            number += 1;
            let inputs = row.inputs.map_err(|error| error.to_string());
            let encoded = inputs.and_then(|inputs| {
                let numbers = match inputs.first() {
                    Some(Tensor::F64(numbers)) => &numbers[..],
                    _ => &[],
                };
                let encoded = training.encode(number, numbers);
                encoded.map_err(|error| error.to_string())
            });
            Some(Ok(match encoded {
                Ok((features, clipped)) => Asked {
                    features,
                    unusable: None,
                    remark: clipped.first().map(|column| {
                        let name = &training.numbers()[*column].name;
                        format!("column {name:?} lies outside of its range, and counts as its end")
                    }),
                },
                Err(reason) => Asked {
                    features: vec![0; training.features()],
                    unusable: Some(reason),
                    remark: None,
                },
            }))
        };
        Ok((std::iter::from_fn(next), progress))
    }
}

/// The secret key that kept weights are encrypted under.
pub(in crate::commands) fn key_of(ring: &KeyRing, kept: &KeptTraining) -> Result<SecretKey> {
    let secret = ring.secret_key(ParameterSet::by_name(SET)?)?;
    if secret.id() != kept.key {
        bail!(
            "the weights of training {} are under key {}, and the key ring has {}; train again under it",
            kept.job,
            kept.key,
            secret.id()
        );
    }
    Ok(secret)
}

/// What the key ring knows of a training whose weights are kept.
pub(in crate::commands) fn known(
    ring: &KeyRing,
    job: JobId,
) -> Result<(Arc<KeptTraining>, Arc<Training>)> {
    let kept = ring.training(job)?.ok_or_else(|| unknown(job))?;
    let training = program_of(&kept)?;
    Ok((Arc::new(kept), Arc::new(training)))
}

pub(in crate::commands) fn unknown(job: JobId) -> anyhow::Error {
    anyhow!("the key ring knows no training {job}; train with --keep-encrypted under this key ring")
}

/// The program of a training whose weights are kept.
pub(in crate::commands) fn program_of(kept: &KeptTraining) -> Result<Training> {
    let training = Training::from_json(kept.program.as_bytes());
    training.with_context(|| format!("the key ring's program of training {}", kept.job))
}
