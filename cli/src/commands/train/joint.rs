//! Training by a service on rows that owners have uploaded under the key holder's public key.

use super::elsewhere::{keys_at, train, uploading, whose};
use super::rows;
use super::unfinished::Unfinished;
use super::{Train, clipped};
use crate::files::{Content, Output};
use crate::grants::whose_chunks;
use crate::shared::block_on;
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client::training::{KeptModel, RowsEncryption, decrypt_watched, decrypt_weights};
use cipherfn_client_http::{
    FetchedProgram, KeptTraining, KeyRing, RowsName, SameTraining, Service, UploadedRows,
};
use cipherfn_compiler::write::write_onnx;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::trainings::TrainingId;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::{SET, noise_of, required_parts, watch_deviation};
use cipherfn_training::descent::{
    DescentStep, KeptWeights, RowsForm, Training, TrainingRows, accuracy,
};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

/// What nobody but the key holder can hold the weights to. See the security model.
const KEEP: &str = "weights and predictions, from the service, the owners and the public, unless these are trusted not to have chosen ciphertexts: weights may tell of the key; take a new key ring for another training";

/// Steps of rounding in the largest weight below which that is told.
const COARSE: f64 = 8.0;

/// What came of a training on rows that the key holder does not have.
struct Joined<'a> {
    fetched: &'a FetchedProgram,
    secret: &'a SecretKey,
    uploaded: &'a UploadedRows,
    /// The key holder's own rows.
    own: Option<&'a TrainingRows>,
    weights: JointWeights,
    seconds: f64,
}

/// Weights of rows that the key holder does not have.
struct JointWeights {
    steps: Vec<DescentStep>,
    /// As they were decrypted, fractions of the torus.
    fractions: Vec<Vec<f64>>,
    /// Standard deviation of their errors, a fraction of the torus.
    deviation: f64,
    /// Rounded to it, of the units of features.
    sets: Vec<Vec<f64>>,
}

impl JointWeights {
    /// Checks and decrypts a result.
    fn of(
        (training, secret): (&Training, &SecretKey),
        (uploaded, own): (&UploadedRows, Option<&TrainingRows>),
        (result, unproven): (&[u8], bool),
    ) -> Result<Self> {
        let trained = uploaded.trained();
        let steps = training.schedule_of(0, &trained.owners)?;
        // Rows of others are not known: as if all were at their ranges' ends.
        let mean = training.largest_mean_square();
        let set = ParameterSet::by_name(SET)?;
        let noise = noise_of(training, set, mean, RowsForm::Public)?;
        let deviation = training.deviation(&steps, mean, &noise);
        let fractions = decrypt_weights(secret, training, trained.clone(), result)?;
        let own = own.map(|own| own.rows.as_slice());
        let watched = decrypt_watched(secret, training, trained, result)?;
        let watch_deviation = watch_deviation(set, training.watched_rows(&steps))?;
        let within = training
            .require_watched(&steps, &watched, watch_deviation)
            .and_then(|()| training.require_within_table(&fractions, own.unwrap_or_default()));
        within.context(
            "no model is written; lower \"rate\", or raise \"decay\" (and lower \"penalty\", if there is one), have the program published, and declare a training anew, to which owners add their rows; end this one with --cancel",
        )?;
        if !unproven {
            training.require_in_place(&steps, &fractions).context(
                "no model is written; with --unproven it is all the same: try it on rows that you know",
            )?;
        }
        let rounded = fractions.iter();
        let sets: Vec<Vec<f64>> = rounded
            .map(|fractions| training.weights(&steps, fractions, deviation))
            .collect();
        Ok(Self {
            steps,
            fractions,
            deviation,
            sets,
        })
    }

    /// Where little is left of weights once they are rounded to what their errors may be.
    fn tell_how_coarse(&self, deviation: f64) -> Result<()> {
        let all = self.sets.iter().flatten();
        let largest = all.fold(0.0_f64, |most, weight| weight.abs().max(most));
        if largest == 0.0 {
            bail!(
                "no model is written: rounded to {deviation:.1e}, which their errors may be, all weights are zero; have a program with fewer steps (larger \"batch\", fewer \"epochs\") published, and declare a training anew"
            );
        }
        if largest < COARSE * deviation {
            terminal::warning(&format!(
                "weights are rounded to {deviation:.1e}, which their errors may be on rows that nobody knows, and the largest is {largest:.1e}: try the model on rows that you know; fewer steps (larger \"batch\", fewer \"epochs\") leave more of them"
            ));
        }
        Ok(())
    }
}

impl Train {
    /// Has the service at `url` train on the rows that owners have added, and on the caller's own ones if there
    /// are any.
    pub(super) fn jointly(&self, url: &str, id: TrainingId, terminal: Terminal) -> Result<()> {
        let unfinished = Unfinished::beside(&self.output)?;
        let Some(keys) = &self.keys else {
            bail_usage!("the weights are decrypted by the training's key: give --keys DIRECTORY");
        };
        let name = self.name()?;
        self.output.outside(keys)?;
        let inputs: Vec<_> = self.input.iter().collect();
        let output = self
            .output
            .create(Content::Binary, self.force.force, &inputs)?;
        block_on(async {
            let service = self.connection.open(url).await?;
            let ring = KeyRing::at(keys);
            let fetched = service.program(&name, &ring, &self.trust.accept()).await?;
            let training = &fetched.training;
            let own = self.own_rows(training, terminal)?;
            let parts = required_parts(ParameterSet::by_name(SET)?)?;
            let secret = keys_at(&service, &ring, &parts, terminal).await?;
            let same = SameTraining {
                service: service.url(),
                program: &name,
                version: training.hash(),
                key: secret.id(),
                rows: RowsName {
                    table: table_hash(id, own.as_ref()),
                    start: None,
                },
            };
            let mut uploaded = if let Some(uploaded) = unfinished.read_same(&same)? {
                uploaded
            } else {
                let own = own_files((training, &secret), own.as_ref())?;
                let uploaded = beside(&service, (id, &same), own, terminal).await?;
                unfinished.write(&uploaded)?;
                uploaded
            };
            let began = Instant::now();
            let steps = training.schedule_of(0, &uploaded.trained().owners)?;
            Training::require_room(&steps).context(
                "nothing was trained; have another program published and declare a training by it; end this one with --cancel",
            )?;
            let steps = steps.len();
            let own_job = (&uploaded, &uploaded.declaration);
            let trained = train(&service, own_job, (&unfinished, steps), terminal).await;
            let (job, result) = match trained {
                Ok(trained) => trained,
                Err(error) => {
                    let chunks = &uploaded.declaration.chunks;
                    let whose = match service.training(id).await {
                        Ok(status) => whose_chunks(&status, chunks),
                        Err(_) => format!("training {id}"),
                    };
                    return Err(error.context(whose));
                }
            };
            unfinished.take(&mut uploaded, (0, &result))?;
            let joined = Joined {
                fetched: &fetched,
                secret: &secret,
                uploaded: &uploaded,
                own: own.as_ref(),
                weights: JointWeights::of(
                    (training, &secret),
                    (&uploaded, own.as_ref()),
                    (&result, self.unproven),
                )?,
                seconds: began.elapsed().as_secs_f64(),
            };
            if self.keep_encrypted {
                let kept = joined.kept((service.url(), job), (&name, &result))?;
                ring.keep_training(&kept)?;
                joined.tell_kept(&kept, output, terminal)?;
            } else {
                self.write_joint(&joined, output, terminal)?;
                service.delete_job(job).await?;
            }
            service.delete_training(id).await?;
            unfinished.remove()
        })
    }

    fn own_rows(&self, training: &Training, terminal: Terminal) -> Result<Option<TrainingRows>> {
        let target = self.target.as_deref();
        let read = |input| rows::read_owner_rows(training, target, &self.format, input, terminal);
        self.input.as_ref().map(read).transpose()
    }

    /// Writes the model.
    fn write_joint(
        &self,
        joined: &Joined<'_>,
        mut output: Output,
        terminal: Terminal,
    ) -> Result<()> {
        let (training, sets) = (&joined.fetched.training, &joined.weights.sets);
        joined.weights.tell_how_coarse(joined.deviation())?;
        output.write_all(&write_onnx(&training.fitted(sets)))?;
        output.finish()?;
        let mut value = joined.value();
        let right = joined.own.map(|own| {
            let right = accuracy(training, sets, &own.rows);
            value["accuracy"] = right.into();
            format!("{:.1} % of {} own rows", 100.0 * right, own.rows.len())
        });
        terminal.summary(&value, || {
            let mut facts = joined.facts();
            let deviation = joined.deviation();
            let told = format!("to {deviation:.1e}, of a sixth of a range");
            facts.push(("weights", told));
            facts.extend(right.map(|right| ("right", right)));
            facts.push(("file", self.output.name()));
            facts.extend(joined.last_facts());
            terminal::facts(facts)
        })
    }
}

impl Joined<'_> {
    /// What there is to know of weights that stay where they are.
    ///
    /// How far they reach nobody can simulate. So they have been decrypted, by whom they are for, and that is all
    /// that is kept of it.
    fn kept(
        &self,
        place: (&str, JobId),
        (name, result): (&ModelName, &[u8]),
    ) -> Result<KeptTraining> {
        let training = &self.fetched.training;
        let JointWeights {
            steps,
            fractions,
            deviation,
            ..
        } = &self.weights;
        let deviation = training.weight_deviation(steps, *deviation);
        let weights = KeptWeights::of_decrypted((steps, deviation), fractions)?;
        let program = (name, training.canonical());
        let whole = (self.secret.id(), Hash::of(result));
        let kept = KeptTraining::new(place, program, self.uploaded.trained(), whole, weights);
        let model = KeptModel {
            training,
            weights: &kept.weights,
            owners: kept.owners(),
        };
        model.most_rows(self.secret)?;
        Ok(kept)
    }

    /// Writes what there is to know of kept weights.
    fn tell_kept(&self, kept: &KeptTraining, mut output: Output, terminal: Terminal) -> Result<()> {
        output.write_all(&serde_json::to_vec_pretty(kept)?)?;
        output.finish()?;
        let mut value = self.value();
        value["job"] = serde_json::to_value(kept.job)?;
        terminal.summary(&value, || {
            let text = format!("training {}, until its job runs out", kept.job);
            let facts = [("kept", text)].into_iter();
            terminal::facts(facts.chain(self.facts()).chain(self.last_facts()))
        })
    }

    fn bytes(&self) -> u64 {
        let chunks = self.uploaded.declaration.chunks.iter();
        chunks.map(|chunk| chunk.bytes).fold(0, u64::saturating_add)
    }

    fn deviation(&self) -> f64 {
        let JointWeights {
            steps, deviation, ..
        } = &self.weights;
        self.fetched.training.weight_deviation(steps, *deviation)
    }

    fn value(&self) -> serde_json::Value {
        serde_json::json!({
            "owners": self.uploaded.trained().owners.len(),
            "rows": self.uploaded.rows,
            "steps": self.weights.steps.len(),
            "seconds": self.seconds,
            "upload_bytes": self.bytes(),
            "weight_deviation": self.deviation(),
            "version": self.fetched.training.hash(),
            "keep": KEEP,
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let (steps, seconds) = (self.weights.steps.len(), self.seconds);
        vec![
            ("owners", self.uploaded.trained().owners.len().to_string()),
            ("rows", self.uploaded.rows.to_string()),
            ("upload", terminal::bytes(self.bytes())),
            ("steps", format!("{steps} in {seconds:.1} s")),
        ]
    }

    fn last_facts(&self) -> impl Iterator<Item = (&'static str, String)> {
        let whose = whose(self.fetched, self.fetched.training.hash());
        let clipped = self.own.into_iter().flat_map(clipped);
        let keep = ("keep to yourself", KEEP.to_owned());
        [keep, ("program", whose)].into_iter().chain(clipped)
    }
}

/// Names what a run trains on, in the clear: for files that do not leave this machine.
fn table_hash(id: TrainingId, own: Option<&TrainingRows>) -> Hash {
    let own = own.map(|own| *RowsName::of(&own.rows, None).table.as_bytes());
    let own = own.iter().flatten().copied();
    Hash::of(&id.to_bytes().into_iter().chain(own).collect::<Vec<u8>>())
}

/// The caller's own rows, encrypted.
fn own_files(
    (training, secret): (&Training, &Arc<SecretKey>),
    rows: Option<&TrainingRows>,
) -> Result<Option<RowsEncryption>> {
    let rows = rows.map(|own| {
        let plain = own.rows.as_slice().into();
        RowsEncryption::new(Arc::clone(secret), training, plain, None)
    });
    Ok(rows.transpose()?)
}

/// What owners have added, with the caller's own rows beside it.
async fn beside(
    service: &Service,
    (id, same): (TrainingId, &SameTraining<'_>),
    own: Option<RowsEncryption>,
    terminal: Terminal,
) -> Result<UploadedRows> {
    let status = service.training(id).await?;
    for (what, found, expected) in [
        (
            "program",
            status.program.to_string(),
            same.program.to_string(),
        ),
        (
            "version",
            status.specs.to_string(),
            same.version.to_string(),
        ),
        ("key", status.key.to_string(), same.key.to_string()),
    ] {
        if found != expected {
            bail!(
                "training {id} is for {what} {found}, not for {expected}; give its own (cipherfn joint show {id}), or declare another training"
            );
        }
    }
    let bytes = own.as_ref().map_or(0, RowsEncryption::bytes);
    uploading(terminal, bytes, async |progress| {
        let uploaded = service.upload_beside(&status, own, same.rows, |sent| {
            progress.set_position(sent.bytes);
        });
        Ok(uploaded.await?)
    })
    .await
}
