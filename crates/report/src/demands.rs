//! What a Lambda function can run: said when a bundle is made, and held to before it is published.

use crate::quantity;
use cipherfn_circuit::Bundle;
use cipherfn_compiler::Report;
use cipherfn_compiler::fit::{Demand, InParts, Limits};
use cipherfn_engine::EngineError;
use cipherfn_protocol::api::job::MAX_CHUNK;
use cipherfn_protocol::api::job::WORKER_SECONDS;

/// Memory of the largest function.
const MOST_MEMORY: u64 = 10_240 << 20;
/// How much longer a row may take in a usual function than in a large one before that is said.
const SLOWER: f64 = 1.2;

/// What helps where a model is too large.
const WAYS_OUT: &str = "compile it with --fit lambda, which says what would help and by how much; with less --precision, --prefer size or --profile wide; or train a smaller model";

/// What a row takes on one thread.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// With the memory of a usual function.
    pub usual: Demand,
    /// With all the memory that it can use.
    pub alone: Demand,
    /// Where a row is too long for one worker of a job: how several share it, by the largest function.
    pub parts: Option<InParts>,
}

/// A model that no function can run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TooLarge {
    /// Its circuit cannot be prepared.
    #[error("no function can run the model; {WAYS_OUT}")]
    Circuit(#[from] EngineError),
    /// A row takes more than the largest function has.
    #[error("no function can run the model: {0}; {WAYS_OUT}")]
    Row(String),
}

impl Demands {
    /// An error for a bundle that no function can run.
    pub fn of(bundle: &Bundle) -> Result<Self, TooLarge> {
        let seconds =
            report(bundle).map_or(0.0, |report| report.work.predicted_microseconds.get() / 1e6);
        let demand = |memory| Demand::of(&bundle.circuit, seconds, memory);
        let largest = demand(MOST_MEMORY)?;
        let parts = if largest.seconds > WORKER_SECONDS {
            InParts::of(&bundle.circuit, largest.seconds)?
        } else {
            None
        };
        refuse(&largest, parts)?;
        // On one thread, so that both compare.
        let alone = Demand { seconds, ..largest };
        let usual = if alone.memory > Limits::LAMBDA.memory {
            demand(Limits::LAMBDA.memory)?
        } else {
            alone
        };
        Ok(Self {
            usual,
            alone,
            parts,
        })
    }

    /// What the model needs beyond a usual function.
    pub fn needs(&self) -> Vec<String> {
        let mut needs = needs(&self.usual, &self.alone);
        needs.extend(self.parts.map(in_parts));
        needs
    }
}

/// Refuses what the largest function cannot do, as a job either.
fn refuse(largest: &Demand, parts: Option<InParts>) -> Result<(), TooLarge> {
    for (what, bytes) in [
        ("a row's query", largest.query_bytes),
        ("a row's reply", largest.reply_bytes),
    ] {
        if bytes as u64 > MAX_CHUNK {
            return Err(TooLarge::Row(format!(
                "{what} takes {}, a request may have {} and a job's chunk {}",
                quantity::bytes(bytes as u64),
                quantity::bytes(Limits::LAMBDA.bytes as u64),
                quantity::bytes(MAX_CHUNK),
            )));
        }
    }
    if largest.memory > MOST_MEMORY {
        return Err(TooLarge::Row(format!(
            "a row needs a function of {} MB and the largest has {} MB",
            largest.memory.div_ceil(1 << 20),
            MOST_MEMORY >> 20,
        )));
    }
    if largest.seconds > WORKER_SECONDS && parts.is_none() {
        return Err(TooLarge::Row(format!(
            "a row takes about {:.0} s on the largest one and a job has {WORKER_SECONDS} s for it, which several workers cannot share so that each has enough",
            largest.seconds,
        )));
    }
    Ok(())
}

/// What a model needs whose row takes `usual` of a usual function, and `alone` of one thread with all
/// the memory that it can use.
fn needs(usual: &Demand, alone: &Demand) -> Vec<String> {
    let Limits {
        memory,
        seconds,
        bytes,
    } = Limits::LAMBDA;
    let mut needs = Vec::new();
    let megabytes = |demand: &Demand| demand.memory.div_ceil(1 << 20);
    if usual.memory > memory {
        needs.push(format!(
            "a row needs a function of at least {} MB (InferMemory; usual are {} MB): smaller ones refuse it",
            megabytes(usual),
            memory >> 20,
        ));
    } else if usual.seconds > SLOWER * alone.seconds {
        needs.push(format!(
            "in a function of the usual {} MB a row's selectors are expanded as they are needed, which takes {} a row in place of {}: {} MB (InferMemory) hold all of them",
            memory >> 20,
            quantity::seconds(usual.seconds),
            quantity::seconds(alone.seconds),
            megabytes(alone),
        ));
    }
    if usual.seconds > seconds {
        needs.push(format!(
            "jobs only: a row takes about {:.0} s on one thread, and a request is cut off after {seconds} s; {WAYS_OUT}",
            usual.seconds,
        ));
    }
    for (what, len) in [
        ("a row's query", usual.query_bytes),
        ("a row's reply", usual.reply_bytes),
    ] {
        if len > bytes {
            needs.push(format!(
                "jobs only: {what} takes {}, and a request may have {}; {WAYS_OUT}",
                quantity::bytes(len as u64),
                quantity::bytes(bytes as u64),
            ));
        }
    }
    needs
}

fn in_parts(InParts { parts, seconds }: InParts) -> String {
    format!(
        "in parts only: a row takes more than the {WORKER_SECONDS} s of a job's worker; the largest function in {parts} parts takes about {seconds:.0} s for each, and smaller ones need more: predict --bulk chooses how many, or --parts"
    )
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
    use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels, Transport};

    /// One choice by the first of `selectors` bits that travel whole, 13 KB each.
    fn bundle(selectors: u32) -> Bundle {
        let circuit = Circuit {
            parameter_set: "cipherfn-128-n512k4-v1".into(),
            bootstrap: None,
            inputs: vec![Input::Selectors(SelectorGroup {
                count: selectors,
                gadget: Gadget::new(BaseLog::new(23), Levels::new(1)),
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

    fn needs_of(selectors: u32) -> Result<Vec<String>, TooLarge> {
        Ok(Demands::of(&bundle(selectors))?.needs())
    }

    const SMALL: Demand = Demand {
        memory: 100 << 20,
        seconds: 1.0,
        query_bytes: 10_000,
        reply_bytes: 10_000,
    };

    #[test]
    fn a_query_larger_than_a_request_is_a_jobs_and_one_larger_than_a_chunk_nobodys() {
        assert_eq!(needs_of(50).unwrap(), Vec::<String>::new());
        let jobs = needs_of(1000).unwrap();
        assert!(jobs[0].starts_with("jobs only: a row's query"), "{jobs:?}");
        let error = needs_of(6000).unwrap_err().to_string();
        assert!(error.contains("a row's query takes"), "{error}");
        assert!(error.contains("--precision"), "{error}");
    }

    #[test]
    fn large_rows_need_memory_and_long_ones_jobs() {
        assert_eq!(needs(&SMALL, &SMALL), Vec::<String>::new());
        let large = Demand {
            memory: 2048 << 20,
            ..SMALL
        };
        let memory = needs(&large, &large);
        assert!(memory[0].contains("at least 2048 MB"), "{memory:?}");
        let long = Demand {
            seconds: 30.0,
            ..SMALL
        };
        let jobs = needs(&long, &long);
        assert!(jobs[0].starts_with("jobs only"), "{jobs:?}");
        let streamed = needs(
            &Demand {
                seconds: 2.0,
                ..SMALL
            },
            &large,
        );
        assert!(
            streamed[0].contains("2048 MB (InferMemory)"),
            "{streamed:?}"
        );
        let wide = Demand {
            reply_bytes: 5 << 20,
            ..SMALL
        };
        let jobs = needs(&wide, &wide);
        assert!(jobs[0].starts_with("jobs only: a row's reply"), "{jobs:?}");
    }

    #[test]
    fn what_the_largest_function_cannot_do_is_refused() {
        assert!(refuse(&SMALL, None).is_ok());
        let cases = [
            (
                Demand {
                    memory: 11_000 << 20,
                    ..SMALL
                },
                "the largest has 10240 MB",
            ),
            (
                Demand {
                    seconds: 1000.0,
                    ..SMALL
                },
                "a job has 900 s",
            ),
            (
                Demand {
                    reply_bytes: 65 << 20,
                    ..SMALL
                },
                "a row's reply takes",
            ),
        ];
        for (demand, reason) in cases {
            let error = refuse(&demand, None).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn what_several_workers_can_share_is_said_and_not_refused() {
        let long = Demand {
            seconds: 2000.0,
            ..SMALL
        };
        let parts = InParts {
            parts: 5,
            seconds: 410.0,
        };
        assert!(refuse(&long, Some(parts)).is_ok());
        let said = Demands {
            usual: long,
            alone: long,
            parts: Some(parts),
        };
        let needs = said.needs();
        assert!(needs[0].starts_with("jobs only"), "{needs:?}");
        assert!(
            needs[1].contains("in 5 parts takes about 410 s"),
            "{needs:?}"
        );
        let error = refuse(&long, None).unwrap_err().to_string();
        assert!(error.contains("several workers cannot share"), "{error}");
    }

    #[test]
    fn lambda_is_what_the_template_makes() {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = std::fs::read_to_string(template).unwrap();
        let default = |name: &str| -> u64 {
            let (_, rest) = template.split_once(&format!("\n  {name}:\n")).unwrap();
            let (_, rest) = rest.split_once("Default: ").unwrap();
            rest.lines().next().unwrap().parse().unwrap()
        };
        let Limits {
            memory, seconds, ..
        } = Limits::LAMBDA;
        assert_eq!(default("InferMemory"), memory >> 20);
        assert_eq!(default("InferTimeout"), seconds as u64);
        assert_eq!(default("WorkerTimeout"), WORKER_SECONDS as u64);
    }
}
