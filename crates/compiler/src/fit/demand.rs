//! What a row of a compiled model takes of a function.

use crate::cost::Costs;
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::Input;
use cipherfn_engine::{CACHE_PART, EngineError, PreparedCircuit, row_memory, server_memory};
use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::message::{HEAD_LEN, OUTCOME_OVERHEAD};
use serde::{Deserialize, Serialize};

/// Memory that comes with one vCPU.
const A_VCPU: u64 = 1769 << 20;
/// Most vCPUs of a function.
const MAX_THREADS: u32 = 6;
/// Part of a large row's work that several threads share: of the forest in docs/deploy.md, whose 376
/// ms became 251 on two threads.
const SHARED: f64 = 2.0 / 3.0;

/// What a row takes of a function of some memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Memory that the function must have at least, in bytes: rows have half of it, models a quarter
    /// and keys, as they are used, another one.
    pub memory: u64,
    /// Predicted seconds on the function's threads.
    pub seconds: f64,
    /// Bytes of a request of one row.
    pub query_bytes: usize,
    /// Bytes of its reply.
    pub reply_bytes: usize,
}

impl Demand {
    /// What a row of `circuit`, which takes `predicted` seconds of one thread, takes of a function of
    /// `memory` bytes. Where its selectors do not fit there at once, the time to expand some of them
    /// again is added.
    pub fn of(circuit: &Circuit, predicted: f64, memory: u64) -> Result<Self, EngineError> {
        let prepared = PreparedCircuit::with_memory(circuit, row_memory(memory))?;
        let seconds = predicted + expanded_again(circuit, &prepared);
        Ok(Self {
            memory: function_memory(circuit, &prepared),
            seconds: seconds * of_memory(memory),
            query_bytes: HEADER_LEN + HEAD_LEN + prepared.query_row_bytes(),
            reply_bytes: HEADER_LEN + HEAD_LEN + OUTCOME_OVERHEAD + prepared.reply_row_bytes(),
        })
    }
}

/// Seconds of one thread that go into the selectors of a row that a function of `memory` bytes expands
/// more than once; `None` where a row does not fit at all.
pub fn streaming(circuit: &Circuit, memory: u64) -> Result<Option<f64>, EngineError> {
    let prepared = PreparedCircuit::with_memory(circuit, row_memory(memory))?;
    let fits = function_memory(circuit, &prepared) <= memory;
    Ok(fits.then(|| expanded_again(circuit, &prepared)))
}

/// Memory of a function whose part for rows holds one and whose part for keys holds one in the form
/// that it is used in: what does not stay in memory is expanded anew for every request.
fn function_memory(circuit: &Circuit, prepared: &PreparedCircuit) -> u64 {
    let set = prepared.parameter_set();
    let expansion = set.expansion().filter(|_| circuit.needs_evaluation_key());
    let bootstrap = circuit.bootstrap.as_deref();
    let bootstrap = bootstrap.and_then(|name| set.part(name).ok());
    let parts = expansion.into_iter().chain(bootstrap);
    let key: usize = parts.map(|part| part.expanded_bytes(set)).sum();
    server_memory(prepared.statistics().bytes).max(CACHE_PART.saturating_mul(key as u64))
}

fn expanded_again(circuit: &Circuit, prepared: &PreparedCircuit) -> f64 {
    let costs = Costs::of(prepared.parameter_set());
    let groups = circuit.inputs.iter().filter_map(|input| match input {
        Input::Selectors(group) => Some(group),
        Input::Features(_) | Input::Values(_) | Input::Tables(_) => None,
    });
    let once: f64 = groups.clone().map(|group| f64::from(group.count)).sum();
    let again = (prepared.statistics().expanded as f64 - once).max(0.0);
    let each = groups.map(|group| costs.expansion(1.0, group.gadget).get());
    again * each.fold(0.0, f64::max) / 1e6
}

/// How long a function of `memory` bytes takes for what takes one vCPU a second.
fn of_memory(memory: u64) -> f64 {
    match (memory / A_VCPU).min(u64::from(MAX_THREADS)) as u32 {
        0 => A_VCPU as f64 / memory as f64,
        vcpus => stretch(vcpus),
    }
}

/// How long a function of so many vCPUs takes for what takes one of them a second.
pub(crate) fn stretch(vcpus: u32) -> f64 {
    1.0 - SHARED + SHARED / f64::from(vcpus)
}
