//! The two evaluators behind one interface: values in the clear in, result coefficients out.

use crate::{ClearCircuit, PreparedCircuit, Workspace};
use cipherfn_circuit::Circuit;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey, reply};
use std::sync::OnceLock;

/// A way to evaluate circuits.
pub(super) trait Backend {
    /// Largest error of a result, as a fraction of the torus.
    const TOLERANCE: f64;

    /// Result coefficients in units of 2^-64.
    fn evaluate(&self, circuit: &Circuit, inputs: &[InputValues]) -> Vec<u64>;

    /// Holds the evaluator to values worked out by hand.
    fn check(&self, circuit: &Circuit, inputs: &[InputValues], expected: &[u64]) {
        let found = self.evaluate(circuit, inputs);
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = found.wrapping_sub(*expected) as i64 as f64 / 2f64.powi(64);
            assert!(
                error.abs() <= Self::TOLERANCE,
                "coefficient {index}: {found:#x} instead of {expected:#x}, error {error:e}"
            );
        }
    }
}

/// Nothing is encrypted.
pub(super) struct Clear;

impl Backend for Clear {
    const TOLERANCE: f64 = 0.0;

    fn evaluate(&self, circuit: &Circuit, inputs: &[InputValues]) -> Vec<u64> {
        ClearCircuit::new(circuit.clone())
            .unwrap()
            .evaluate(inputs)
            .unwrap()
    }
}

/// Encrypts, evaluates on `threads` threads, decrypts.
pub(super) struct Encrypted {
    pub(super) threads: usize,
}

impl Backend for Encrypted {
    /// Far below the differences between the circuits' constants (2^-6), and over a hundred times
    /// the largest error of a run, 2^-16.3 among some 1,500 coefficients: several hundred standard
    /// deviations, so that no run fails by chance.
    const TOLERANCE: f64 = 1.0 / 512.0;

    fn evaluate(&self, circuit: &Circuit, inputs: &[InputValues]) -> Vec<u64> {
        let prepared = PreparedCircuit::new(circuit).unwrap();
        let keys = keys(prepared.parameter_set());
        let row = encrypt_row(&keys.secret, prepared.inputs(), inputs).unwrap();
        assert_eq!(row.len(), prepared.query_row_bytes());
        let reply = pool(self.threads).install(|| {
            prepared
                .evaluate_row(keys.evaluation.as_ref(), &row, &mut Workspace::default())
                .unwrap()
        });
        assert_eq!(reply.len(), prepared.reply_row_bytes());
        let phases = reply::decrypt_row(&keys.secret, prepared.outputs(), &reply).unwrap();
        phases.into_iter().map(|phase| phase as u64).collect()
    }
}

/// Keys of a parameter set, made once.
pub(super) struct Keys {
    pub(super) secret: SecretKey,
    pub(super) evaluation: Option<ExpandedEvaluationKey>,
}

pub(super) fn keys(set: &'static ParameterSet) -> &'static Keys {
    static SETS: OnceLock<Vec<OnceLock<Keys>>> = OnceLock::new();
    let all = ParameterSet::all();
    let slots = SETS.get_or_init(|| all.iter().map(|_| OnceLock::new()).collect());
    let place = all.iter().position(|other| other == set).unwrap();
    slots[place].get_or_init(|| {
        let secret = SecretKey::generate(set).unwrap();
        let evaluation = set
            .packing()
            .map(|_| EvaluationKey::generate(&secret).unwrap().expand().unwrap());
        Keys { secret, evaluation }
    })
}

pub(super) fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}
