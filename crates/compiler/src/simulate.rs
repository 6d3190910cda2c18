//! The compiled model on the calibration rows, in the clear: the client's encoding, the circuit,
//! noise of the predicted size, the client's decoding; compared with the float model.

use crate::error::CompileError;
use crate::margins;
use crate::model::Model;
use crate::report::Agreement;
use cipherfn_circuit::Circuit;
use cipherfn_engine::ClearCircuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{Decoding, Encoding, OutputField};
use cipherfn_scheme::noise::Deviation;
use cipherfn_scheme::query::InputValues;

/// Most rows that are simulated.
pub(crate) const MAX_ROWS: usize = 2_000;
/// Rows that are evaluated together.
const ROWS: usize = 64;

/// What is simulated.
pub(crate) struct Simulation<'a> {
    /// The float model.
    pub model: &'a Model,
    /// The compiled circuit.
    pub circuit: &'a Circuit,
    /// The client's encoding of each circuit input.
    pub inputs: &'a [Encoding],
    /// The client's decoding.
    pub decoding: &'a Decoding,
    /// Standard deviation of each result coefficient.
    pub deviations: &'a [Deviation],
    /// Starts the noise: the same model gets the same noise.
    pub seed: Hash,
}

/// A row's outputs.
pub(crate) struct SimulatedRow {
    /// Index among the rows given.
    pub index: usize,
    /// The float model's.
    pub exact: Vec<Tensor>,
    /// The compiled model's.
    pub simulated: Vec<Tensor>,
    /// The last raw score, of both.
    pub scores: [f64; 2],
}

impl Simulation<'_> {
    /// Runs rows, given as the raw scores of the float model and as feature vectors that are encoded.
    /// Rows that the client would refuse are missing in the list.
    pub(crate) fn run(
        &self,
        exact: &[Vec<f64>],
        encoded: &[Vec<f32>],
    ) -> Result<(Agreement, Vec<SimulatedRow>), CompileError> {
        let circuit = ClearCircuit::new(self.circuit.clone())?;
        let mut noise = Gaussian::new(self.seed);
        let mut agreement = Agreement {
            has_labels: self.model.outputs.contains(&OutputField::Label),
            ..Agreement::default()
        };
        let scores = self.decoding.scores.iter();
        let precisions: Vec<f64> = scores.map(|score| score.precision.get()).collect();
        let mut outputs = Vec::new();
        let results = results(
            &circuit,
            self.inputs,
            &encoded[..encoded.len().min(MAX_ROWS)],
        );
        for (index, (exact, result)) in exact.iter().zip(results).enumerate() {
            let is_finite = exact.iter().all(|score| score.is_finite());
            let Some(result) = result.filter(|_| is_finite) else {
                agreement.skipped += 1;
                continue;
            };
            let phases = self.with_noise(result, &mut noise);
            let decoded = self.decoding.scores(&phases);
            agreement.rows += 1;
            let mut within = true;
            for ((decoded, exact), score) in decoded.iter().zip(exact).zip(&self.decoding.scores) {
                let error = (decoded - exact).abs();
                agreement.largest_error = agreement.largest_error.max(error);
                within &= error <= score.precision.get();
            }
            agreement.within_precision += u64::from(within);
            let row = SimulatedRow {
                index,
                exact: margins::outputs(self.model, exact)?,
                simulated: margins::outputs(self.model, &decoded)?,
                scores: [exact, &decoded].map(|scores| scores.last().copied().unwrap_or(0.0)),
            };
            if agreement.has_labels {
                let equal = margins::same_labels(self.model, &row.exact, &row.simulated);
                agreement.labels_equal += u64::from(equal);
                let near = margins::can_change(self.model, exact, &row.exact, &precisions);
                agreement.margin_cases += u64::from(near);
            }
            outputs.push(row);
        }
        Ok((agreement, outputs))
    }

    fn with_noise(&self, result: Vec<u64>, noise: &mut Gaussian) -> Vec<i64> {
        let noisy = result.into_iter().zip(self.deviations);
        let phases = noisy.map(|(phase, deviation)| {
            let error = (noise.next() * deviation.get() * 64_f64.exp2()) as i64;
            (phase as i64).wrapping_add(error)
        });
        phases.collect()
    }
}

/// The results without noise of rows, given as feature vectors; `None` for those that the client would
/// refuse.
pub(crate) fn results<R: AsRef<[f32]>>(
    circuit: &ClearCircuit,
    encodings: &[Encoding],
    rows: &[R],
) -> Vec<Option<Vec<u64>>> {
    // A few rows at a time bound what their bits take.
    let of_some = |rows: &[R]| {
        let inputs = rows
            .iter()
            .map(|row| InputValues::all(encodings, row.as_ref()).ok());
        let inputs: Vec<Option<Vec<InputValues>>> = inputs.collect();
        let taken: Vec<&[InputValues]> = inputs.iter().flatten().map(Vec::as_slice).collect();
        let results = circuit
            .evaluate_rows(&taken)
            .expect("the encoding makes the inputs that the circuit takes");
        let mut results = results.into_iter();
        let of = |input: Option<_>| input.and_then(|_| results.next());
        inputs.into_iter().map(of).collect::<Vec<_>>()
    };
    rows.chunks(ROWS).flat_map(of_some).collect()
}

/// Normal deviates from BLAKE3 output, by the Box-Muller transform.
pub(crate) struct Gaussian {
    bytes: blake3::OutputReader,
    spare: Option<f64>,
}

impl Gaussian {
    pub(crate) fn new(seed: Hash) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cipherfn simulated noise v1");
        hasher.update(seed.as_bytes());
        Self {
            bytes: hasher.finalize_xof(),
            spare: None,
        }
    }

    /// Uniform in (0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        let mut bytes = [0; 8];
        self.bytes.fill(&mut bytes);
        ((u64::from_le_bytes(bytes) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// The next deviate.
    pub(crate) fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (radius, angle) = (
            (-2.0 * self.unit().ln()).sqrt(),
            self.unit() * std::f64::consts::TAU,
        );
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }
}
