//! The compiled model on the calibration rows, in the clear: the client's encoding, the circuit,
//! noise of the predicted size, the client's decoding; compared with the float model.

use crate::error::CompileError;
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
const MAX_ROWS: usize = 2_000;

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
}

impl Simulation<'_> {
    /// Runs rows, given as the feature vectors of the float model and as those that are encoded.
    /// Rows that the client would refuse are missing in the list.
    pub(crate) fn run(
        &self,
        rows: &[Vec<f32>],
        encoded: &[Vec<f32>],
    ) -> Result<(Agreement, Vec<SimulatedRow>), CompileError> {
        let circuit = ClearCircuit::new(self.circuit.clone())?;
        let mut noise = Gaussian::new(self.seed);
        let mut agreement = Agreement {
            has_labels: self.model.outputs.contains(&OutputField::Label),
            ..Agreement::default()
        };
        let mut outputs = Vec::new();
        for (index, (features, encoded)) in rows.iter().zip(encoded).take(MAX_ROWS).enumerate() {
            let exact = self.model.raw_scores(features);
            if exact.iter().any(|score| !score.is_finite()) {
                agreement.skipped += 1;
                continue;
            }
            let Some(phases) = self.phases(&circuit, encoded, &mut noise) else {
                agreement.skipped += 1;
                continue;
            };
            let decoded = self.decoding.scores(&phases);
            agreement.rows += 1;
            let mut within = true;
            for ((decoded, exact), score) in decoded.iter().zip(&exact).zip(&self.decoding.scores) {
                let error = (decoded - exact).abs();
                agreement.largest_error = agreement.largest_error.max(error);
                within &= error <= score.precision;
            }
            agreement.within_precision += u64::from(within);
            let row = SimulatedRow {
                index,
                exact: self.outputs(&exact)?,
                simulated: self.outputs(&decoded)?,
            };
            if agreement.has_labels {
                let equal = self.same_labels(&row.exact, &row.simulated);
                agreement.labels_equal += u64::from(equal);
                agreement.margin_cases += u64::from(self.is_margin_case(&exact, &row.exact)?);
            }
            outputs.push(row);
        }
        Ok((agreement, outputs))
    }

    /// The noisy result, or `None` for a row that the client would refuse.
    fn phases(
        &self,
        circuit: &ClearCircuit,
        features: &[f32],
        noise: &mut Gaussian,
    ) -> Option<Vec<i64>> {
        let values = InputValues::all(self.inputs, features).ok()?;
        let result = circuit
            .evaluate(&values)
            .expect("the encoding makes the inputs that the circuit takes");
        let noisy = result.into_iter().zip(self.deviations);
        let phases = noisy.map(|(phase, deviation)| {
            let error = (noise.next() * deviation.get() * 64_f64.exp2()) as i64;
            (phase as i64).wrapping_add(error)
        });
        Some(phases.collect())
    }

    fn outputs(&self, scores: &[f64]) -> Result<Vec<Tensor>, CompileError> {
        let scores = Tensor::F64(scores.to_vec());
        Ok(self.model.postprocess.run(vec![scores])?)
    }

    fn same_labels(&self, one: &[Tensor], other: &[Tensor]) -> bool {
        let mut outputs = one.iter().zip(other).zip(&self.model.outputs);
        outputs.all(|((one, other), field)| *field != OutputField::Label || one == other)
    }

    /// Whether errors within the precision can change the label: tried at the corners that move one
    /// score against all others.
    fn is_margin_case(&self, exact: &[f64], outputs: &[Tensor]) -> Result<bool, CompileError> {
        let precision = |index: usize| self.decoding.scores[index].precision;
        for risen in 0..exact.len() {
            for sign in [1.0, -1.0] {
                let moved = |(index, score): (usize, &f64)| {
                    score + precision(index) * if index == risen { sign } else { -sign }
                };
                let moved: Vec<f64> = exact.iter().enumerate().map(moved).collect();
                if !self.same_labels(outputs, &self.outputs(&moved)?) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Normal deviates from BLAKE3 output, by the Box-Muller transform.
struct Gaussian {
    bytes: blake3::OutputReader,
    spare: Option<f64>,
}

impl Gaussian {
    fn new(seed: Hash) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cipherfn simulated noise v1");
        hasher.update(seed.as_bytes());
        Self {
            bytes: hasher.finalize_xof(),
            spare: None,
        }
    }

    fn unit(&mut self) -> f64 {
        let mut bytes = [0; 8];
        self.bytes.fill(&mut bytes);
        ((u64::from_le_bytes(bytes) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> f64 {
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
