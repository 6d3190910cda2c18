//! Models that no function can run, refused with what they would take.

use crate::support::{Sandbox, failure, success};
use cipherfn_circuit::circuit::Input;
use cipherfn_engine::bundle;
use cipherfn_protocol::specs::{Encoding, SpecsDocument};
use std::fs;

/// Selectors that travel as whole ciphertexts of 13 KB and more: together above the 64 MiB of a chunk.
const SELECTORS: u32 = 6000;

/// A network whose rows take more memory and time than the function of the developer has.
#[test]
fn a_network_beyond_a_function_is_refused_with_the_estimate() {
    let sandbox = Sandbox::new();
    let error = failure(&sandbox.compile("mlp_bc", "m.cfn", &["--fit", "128MB,0.01s"]));
    assert!(
        error.contains("nothing that was tried fits 128 MB of memory, 0.01 s a row"),
        "{error}"
    );
    assert!(error.contains("s!"), "its predicted time: {error}");
    assert!(error.contains("what would help"), "{error}");
    assert!(!sandbox.path("m.cfn").exists(), "nothing is written");
}

/// A bundle that `compile` would not have written, as another release or a patched one may.
#[test]
fn a_bundle_beyond_every_function_is_not_published() {
    let sandbox = Sandbox::new();
    success(&sandbox.compile("dt_bc", "m.cfn", &["--profile", "keyless"]));
    let mut large = bundle::read(&fs::read(sandbox.path("m.cfn")).unwrap()).unwrap();
    let Input::Selectors(group) = &mut large.circuit.inputs[0] else {
        panic!("a tree asks for selectors")
    };
    group.count = SELECTORS;
    let mut specs = SpecsDocument::from_json_bytes(&large.specs)
        .unwrap()
        .specs()
        .clone();
    let Encoding::Selectors(encoding) = &mut specs.inputs[0] else {
        panic!("a tree asks for selectors")
    };
    let last = encoding.selectors.last().unwrap().clone();
    encoding.selectors.resize(SELECTORS as usize, last);
    specs.circuit = large.circuit.hash().unwrap();
    large.specs = SpecsDocument::new(specs).unwrap().bytes().to_vec();
    large.specs_v1 = None;
    fs::write(sandbox.path("large.cfn"), bundle::write(&large).unwrap()).unwrap();
    let publish = [
        "publish",
        "large.cfn",
        "--name",
        "large",
        "--bucket",
        "bucket",
    ];
    let error = failure(&sandbox.run(&publish));
    assert!(
        error.contains("no function can run the model: a row's query takes"),
        "{error}"
    );
    assert!(error.contains("a job's chunk 67.1 MB"), "{error}");
}
