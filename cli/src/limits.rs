//! What a Lambda function can run: said when a bundle is made, and held to before it is published.

use crate::terminal;
use anyhow::{Context, Result, bail};
use cipherfn_circuit::Bundle;
use cipherfn_compiler::Report;
use cipherfn_engine::PreparedCircuit;
use cipherfn_protocol::api::MAX_REQUEST;

/// Longest that a request may take: the HTTP API's limit, in seconds.
const LONGEST: f64 = 29.0;
/// What a function has unless told otherwise (the template's `InferMemory`).
const USUAL_MEMORY: u64 = 1769 << 20;
/// Part of a function's memory that models and keys may fill.
const CACHED: f64 = 0.5;

/// What helps where a model is too large.
const WAYS_OUT: &str = "compile it with less --precision, --profile wide, --features grid:6, or \
                        train fewer or smaller trees";

/// An error for a bundle that no function can run; otherwise what its function needs beyond the
/// usual.
pub(crate) fn check(bundle: &Bundle) -> Result<Vec<String>> {
    let circuit = PreparedCircuit::new(&bundle.circuit)
        .with_context(|| format!("no function can run the model; {WAYS_OUT}"))?;
    let query = circuit.query_row_bytes();
    if query > MAX_REQUEST {
        bail!(
            "no function can run the model: a row's query takes {} and a request may have {}; {WAYS_OUT}",
            terminal::bytes(query as u64),
            terminal::bytes(MAX_REQUEST as u64),
        );
    }
    let seconds = report(bundle).map(|report| report.work.predicted_microseconds.get() / 1e6);
    Ok(needs(circuit.statistics().bytes, seconds))
}

/// What a model needs whose row takes `memory` bytes and `seconds` of one thread.
fn needs(memory: u64, seconds: Option<f64>) -> Vec<String> {
    let mut needs = Vec::new();
    if memory as f64 > CACHED * USUAL_MEMORY as f64 {
        needs.push(format!(
            "a row takes {} of memory on the server: give the function at least {} MB (InferMemory)",
            terminal::bytes(memory),
            (memory as f64 / CACHED / f64::from(1 << 20)).ceil(),
        ));
    }
    if let Some(seconds) = seconds.filter(|seconds| *seconds > LONGEST) {
        needs.push(format!(
            "jobs only: a row takes about {seconds:.0} s on one thread, and a request is cut off \
             after {LONGEST} s; {WAYS_OUT}"
        ));
    }
    needs
}

/// Reports of other versions may not be readable, and say nothing then.
fn report(bundle: &Bundle) -> Option<Report> {
    serde_json::from_slice(&bundle.report).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_circuit::Circuit;
    use cipherfn_circuit::circuit::{
        Constant, ConstantId, Input, Node, NodeId, Operand, Output, Select, SelectorForm,
        SelectorGroup, SelectorId, Sum,
    };
    use cipherfn_protocol::specs::{Bits, Gadget, Transport};

    /// One choice by the first of `selectors` bits that travel whole, 13 KB each.
    fn bundle(selectors: u32) -> Bundle {
        let circuit = Circuit {
            parameter_set: "cipherfn-128-n512k4-v1".into(),
            inputs: vec![Input::Selectors(SelectorGroup {
                count: selectors,
                gadget: Gadget {
                    base_log: 23,
                    levels: 1,
                },
                transport: Transport::Ggsw,
                form: SelectorForm::Bits,
            })],
            constants: vec![Constant(vec![(0, 1 << 60)])],
            nodes: vec![Node::Sum(Sum {
                selects: vec![Select {
                    selector: SelectorId::first(0),
                    clear: Operand::Zero,
                    set: Operand::Constant(ConstantId(0)),
                }],
                ..Sum::default()
            })],
            outputs: vec![Output {
                node: NodeId(0),
                coefficients: 1,
                stride: 1,
                reply_bits: Bits::new(24),
            }],
        };
        Bundle {
            circuit,
            specs: Vec::new(),
            specs_v1: None,
            report: Vec::new(),
        }
    }

    #[test]
    fn a_query_larger_than_a_request_is_refused() {
        assert_eq!(check(&bundle(50)).unwrap(), Vec::<String>::new());
        let error = check(&bundle(1000)).unwrap_err().to_string();
        assert!(error.contains("a row's query takes"), "{error}");
        assert!(error.contains("--precision"), "{error}");
    }

    #[test]
    fn large_rows_need_memory_and_long_ones_jobs() {
        assert_eq!(needs(100 << 20, Some(28.0)), Vec::<String>::new());
        let memory = needs(1 << 30, None);
        assert!(memory[0].contains("at least 2048 MB"), "{memory:?}");
        let jobs = needs(0, Some(30.0));
        assert!(jobs[0].starts_with("jobs only"), "{jobs:?}");
    }
}
