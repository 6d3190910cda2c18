//! Models of the libraries on ciphertexts.

use crate::support::library;
use cipherfn_circuit::Circuit;
use cipherfn_compiler::Compiled;
use cipherfn_engine::{PreparedCircuit, Workspace};
use cipherfn_program::Tensor;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey, reply};
use cipherfn_table::Table;
use std::fs;

/// A secret key and what the server has of it.
pub(crate) struct Keys {
    pub(crate) secret: SecretKey,
    pub(crate) expanded: ExpandedEvaluationKey,
}

impl Keys {
    /// With the part that the circuit's bootstraps take.
    pub(crate) fn of(circuit: &Circuit) -> Self {
        let set = ParameterSet::by_name(&circuit.parameter_set).unwrap();
        let secret = SecretKey::generate(set).unwrap();
        let mut expanded = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
        let part = circuit.bootstrap.as_deref().unwrap();
        let part = EvaluationKey::generate_part(&secret, part).unwrap();
        expanded.add(&part).unwrap();
        Self { secret, expanded }
    }

    /// Phases of a circuit's outputs on an encrypted row.
    pub(crate) fn phases(&self, circuit: &Circuit, values: &[InputValues]) -> Vec<i64> {
        let prepared = PreparedCircuit::new(circuit).unwrap();
        let query = encrypt_row(&self.secret, prepared.inputs(), values).unwrap();
        let mut workspace = Workspace::default();
        let expanded = Some(&self.expanded);
        let answer = prepared.evaluate_row(expanded, &query, &mut workspace);
        reply::decrypt_row(&self.secret, prepared.outputs(), &answer.unwrap()).unwrap()
    }
}

/// Feature vectors of test rows.
pub(crate) fn features(name: &str, compiled: &Compiled, rows: usize) -> Vec<Vec<f32>> {
    let specs = compiled.specs.specs();
    let text = fs::read(library(name).join("test.csv")).unwrap();
    let all = Table::open("test.csv", text.as_slice()).unwrap();
    let all = all
        .select(&specs.columns, specs.preprocess.inputs())
        .unwrap();
    all.take(rows)
        .map(|row| {
            let features = specs.preprocess.run(row.unwrap()).unwrap();
            let [Tensor::F32(features)] = features.as_slice() else {
                panic!("one vector of features");
            };
            features.clone()
        })
        .collect()
}

/// The same as the circuit takes them.
pub(crate) fn values(name: &str, compiled: &Compiled, rows: usize) -> Vec<Vec<InputValues>> {
    let inputs = &compiled.specs.specs().inputs;
    let features = features(name, compiled, rows).into_iter();
    let values = features.map(|features| InputValues::all(inputs, &features).unwrap());
    values.collect()
}
