//! What a training by descent will take: time, bytes, money, and how much its noise is.

use crate::price;
use crate::terminal;
use anyhow::Result;
use cipherfn_scheme::descent::BatchShape;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::required_parts;
use cipherfn_training::descent::{DescentStep, FARTHEST, Simulation, StepNoise, Training};

/// Memory of a worker that nothing else was set for (template.yaml: `WorkerMemory`), which is one processor.
const WORKER_MB: u64 = 1769;
const WORKER_ARCHITECTURE: &str = "x86_64";
/// Seconds that a worker lives, and bytes of a chunk: each worker and each chunk has its requests.
const WORKER_SECONDS: f64 = 900.0;
const CHUNK_BYTES: usize = 64 << 20;

/// Of a program and a number of rows.
pub(super) struct Report<'a> {
    pub(super) training: &'a Training,
    pub(super) rows: usize,
    pub(super) steps: &'a [DescentStep],
    pub(super) noise: &'a StepNoise,
    pub(super) simulated: &'a Simulation,
    pub(super) set: &'static ParameterSet,
}

/// What follows of it.
pub(super) struct Costs {
    step_seconds: f64,
    seconds: f64,
    bootstraps: usize,
    row_bytes: usize,
    upload_bytes: usize,
    key_bytes: usize,
    dollars: Option<f64>,
    /// Standard deviation of z.
    noise_of_z: f64,
    /// Of a residual in units of a residual of 1, where this is largest.
    noise_of_residual: f64,
}

impl Report<'_> {
    pub(super) fn costs(&self) -> Result<Costs> {
        let (training, set) = (self.training, self.set);
        let shape = BatchShape::new(set, training.features())?;
        let a_set = shape.bytes() * training.sets();
        let together = training.batches_together();
        let batches = training.batches(self.rows)?;
        let upload_bytes = batches.div_ceil(together) * a_set;
        let looked_up: usize = self.steps.iter().map(|step| step.rows).sum();
        let step_seconds = training.step_microseconds() / 1e6;
        let seconds = step_seconds * looked_up as f64 / training.batch() as f64;
        let units = self.steps.iter().map(|step| step.unit);
        let parts = required_parts(set)?.into_iter();
        let workers = (seconds / WORKER_SECONDS).ceil() as u64;
        let work = price::Work {
            chunks: workers.max(upload_bytes.div_ceil(CHUNK_BYTES) as u64),
            // Some kilobytes of weights, once.
            downloaded_bytes: 0,
            worker_seconds: seconds,
            worker_memory_mb: WORKER_MB,
            architecture: WORKER_ARCHITECTURE,
        };
        Ok(Costs {
            step_seconds,
            seconds,
            bootstraps: looked_up * training.sets(),
            row_bytes: a_set / (together * training.batch()),
            upload_bytes,
            key_bytes: parts.map(|part| part.file_bytes(set)).sum(),
            dollars: price::dollars(&work),
            noise_of_z: Training::form(self.noise.of_z),
            noise_of_residual: self.noise.of_residual / units.fold(f64::INFINITY, f64::min),
        })
    }

    pub(super) fn json(&self, costs: &Costs) -> serde_json::Value {
        serde_json::json!({
            "rows": self.rows,
            "steps": self.steps.len(),
            "step_seconds": costs.step_seconds,
            "seconds": costs.seconds,
            "dollars": costs.dollars,
            "bootstraps": costs.bootstraps,
            "bytes_a_row": costs.row_bytes,
            "upload_bytes": costs.upload_bytes,
            "key_bytes": costs.key_bytes,
            "largest_z": self.simulated.largest,
            "noise_of_z": costs.noise_of_z,
            "noise_of_residual": costs.noise_of_residual,
            "weight_deviation": self.simulated.deviation,
            "accuracy": self.simulated.accuracy,
        })
    }

    pub(super) fn facts(&self, costs: &Costs) -> Vec<(&'static str, String)> {
        let (training, simulated) = (self.training, self.simulated);
        let price = costs.dollars.map_or_else(String::new, |dollars| {
            format!(
                "; by a service {} at AWS's list prices of {}",
                price::text(dollars),
                price::region()
            )
        });
        vec![
            ("program", training.name().to_owned()),
            (
                "steps",
                format!(
                    "{} for {} rows, {} rows each, some {} of a thread each",
                    self.steps.len(),
                    self.rows,
                    training.batch(),
                    terminal::seconds(costs.step_seconds)
                ),
            ),
            (
                "time",
                format!(
                    "some {} of a thread{price}",
                    terminal::seconds(costs.seconds)
                ),
            ),
            (
                "upload",
                format!(
                    "{} bytes a row, {}",
                    costs.row_bytes,
                    terminal::bytes(costs.upload_bytes as u64)
                ),
            ),
            ("keys", terminal::bytes(costs.key_bytes as u64)),
            (
                "range",
                format!("|z| up to {:.1} of {FARTHEST}", simulated.largest),
            ),
            (
                "noise",
                format!(
                    "of z {:.2}, of a residual {:.1} % (standard deviations)",
                    costs.noise_of_z,
                    100.0 * costs.noise_of_residual
                ),
            ),
            (
                "weights",
                format!("errors of {:.4} (standard deviation)", simulated.deviation),
            ),
            (
                "simulated",
                format!("{:.1} % of these rows right", 100.0 * simulated.accuracy),
            ),
        ]
    }
}
