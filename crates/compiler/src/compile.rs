//! From ONNX bytes and calibration rows to a compiled model.

use crate::backend::{Backend, FAILURE_LOG2};
use crate::calibration::{Calibration, CalibrationRows};
use crate::error::CompileError;
use crate::families::scores::ScoreMap;
use crate::families::{self, linear};
use crate::model::{Estimator, LinearModel, Model};
use crate::options::{DEFAULT_PRECISION, FeatureMode, Options, Profile};
use crate::read::{read_model, read_model_with_classes};
use crate::report::{
    FeatureReport, ModelReport, PrecisionReport, Report, SecurityReport, SizeReport, TreeCounts,
    WorkReport,
};
use crate::simulate::Simulation;
use cipherfn_circuit::{Bundle, Circuit};
use cipherfn_program::{Kind, Tensor};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{
    ClientSpecs, Decoding, EXPANSION, Encoding, InputColumn, ModelSummary, ParameterSetRef,
    ReplyForm, ScoreDecoding, SpecsDocument,
};
use std::io::Read;

/// A compiled model.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The file: circuit, specs, report.
    pub bundle: Bundle,
    /// The client specs, parsed.
    pub specs: SpecsDocument,
    /// The report, parsed.
    pub report: Report,
}

/// Stack of the compiling thread: trees are followed recursively, with a test for each index bit of
/// each node.
const STACK_BYTES: usize = 256 << 20;

/// Compiles an ONNX model.
pub fn compile<R: Read>(
    model_bytes: &[u8],
    calibration: Calibration<R>,
    options: &Options,
) -> Result<Compiled, CompileError> {
    check(options)?;
    let mut model = match &options.classes {
        Some(classes) => read_model_with_classes(model_bytes, classes)?,
        None => read_model(model_bytes)?,
    };
    let calibration = calibration.read(&mut model)?;
    std::thread::scope(|scope| {
        let work = || compile_here(&model, Hash::of(model_bytes), calibration, options);
        let thread = std::thread::Builder::new()
            .name("compile".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        thread
            .map_err(CompileError::Thread)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn check(options: &Options) -> Result<(), CompileError> {
    let bad = |option, found: String, expected| {
        Err(CompileError::Option {
            option,
            found,
            expected,
        })
    };
    match options.features {
        FeatureMode::Grid { bits } if !(1..=16).contains(&bits) => {
            return bad("grid bits", bits.to_string(), "1 to 16");
        }
        FeatureMode::Exact { decoys } if decoys > 4096 => {
            return bad("decoys", decoys.to_string(), "at most 4096 a feature");
        }
        _ => {}
    }
    match options.precision {
        Some(bits) if !(1.0..=40.0).contains(&bits) => {
            bad("precision", bits.to_string(), "1 to 40 bits")
        }
        _ if options.name.is_empty() => bad("name", "empty".into(), "a name"),
        _ => Ok(()),
    }
}

/// What both families need to know.
pub(crate) struct Source<'a> {
    pub model: &'a Model,
    pub options: &'a Options,
    /// Names of the features.
    pub names: Vec<String>,
    /// Feature vectors of the calibration rows.
    pub rows: Vec<Vec<f32>>,
    /// Names of columns with missing values that no node of the model mentions.
    pub gaps: Vec<String>,
    /// Hash of the model's bytes.
    pub hash: Hash,
}

/// What a family's compiler makes.
pub(crate) struct Parts {
    pub backend: Backend,
    pub circuit: Circuit,
    pub encoding: Encoding,
    pub scores: Vec<ScoreDecoding>,
    pub coefficients: u32,
    pub reply_bits: u32,
    pub query_bytes: usize,
    /// Standard deviation of a result coefficient, as a fraction of the torus.
    pub deviation: f64,
    pub needs_key: bool,
    pub target_bits: f64,
    pub bits: f64,
    pub range_of: &'static str,
    pub features: FeatureReport,
    pub work: WorkReport,
    pub trees: Option<TreeCounts>,
    pub warnings: Vec<String>,
}

fn compile_here(
    model: &Model,
    hash: Hash,
    calibration: CalibrationRows,
    options: &Options,
) -> Result<Compiled, CompileError> {
    let rows = calibration
        .rows
        .into_iter()
        .map(|row| Ok(model.features_of(row)?))
        .collect::<Result<Vec<_>, CompileError>>()?;
    let source = Source {
        names: feature_names(model, &calibration.columns),
        rows,
        gaps: calibration.gaps,
        hash,
        model,
        options,
    };
    let parts = match model.estimators.as_slice() {
        [Estimator::Trees(ensemble)] => families::trees::plan::compile(ensemble, &source)?,
        [Estimator::Linear(linear)] => compile_linear(linear, &source)?,
        estimators => {
            return Err(CompileError::UnsupportedModel {
                problem: format!("it combines {} estimators", estimators.len()),
                supported: "one tree ensemble or one linear model".into(),
            });
        }
    };
    let decoding = Decoding {
        replies: vec![ReplyForm {
            reply_bits: parts.reply_bits,
            coefficients: parts.coefficients,
            stride: 1,
        }],
        scores: parts.scores.clone(),
        failure_log2: FAILURE_LOG2,
    };
    let simulation = Simulation {
        model,
        circuit: &parts.circuit,
        encoding: &parts.encoding,
        decoding: &decoding,
        deviation: parts.deviation,
        seed: source.hash,
    };
    let agreement = simulation.run(&source.rows)?;
    let report = report(&source, &parts, agreement);
    let specs = ClientSpecs {
        model: ModelSummary {
            name: report.model.name.clone(),
            family: report.model.family.clone(),
            task: report.model.task.clone(),
        },
        circuit: parts.circuit.hash()?,
        parameter_set: ParameterSetRef {
            name: parts.backend.set.name.to_owned(),
            hash: parts.backend.set.hash(),
        },
        key_parts: if parts.circuit.needs_evaluation_key() {
            vec![EXPANSION.to_owned()]
        } else {
            Vec::new()
        },
        columns: calibration.columns,
        preprocess: model.preprocess.clone(),
        inputs: vec![parts.encoding],
        decoding,
        postprocess: model.postprocess.clone(),
        outputs: model.outputs.clone(),
    };
    let specs = SpecsDocument::new(specs)?;
    let json = serde_json::to_vec(&report).expect("a report is plain data");
    let bundle = Bundle {
        circuit: parts.circuit,
        specs: specs.bytes().to_vec(),
        specs_v1: specs.version_1()?.map(|document| document.bytes().to_vec()),
        report: json,
    };
    Ok(Compiled {
        bundle,
        specs,
        report,
    })
}

/// The column that a feature comes from names it.
fn feature_names(model: &Model, columns: &[InputColumn]) -> Vec<String> {
    let origin = |index: usize| {
        model
            .origins
            .get(index)
            .copied()
            .flatten()
            .and_then(|column| columns.get(column as usize))
    };
    let shared = |name: &str, index: usize| {
        (0..model.features)
            .any(|other| other != index && origin(other).is_some_and(|column| column.name == name))
    };
    (0..model.features)
        .map(|index| match origin(index) {
            Some(column) if shared(&column.name, index) => {
                format!("{} (feature {index})", column.name)
            }
            Some(column) => column.name.clone(),
            None => format!("feature {index}"),
        })
        .collect()
}

/// Whether a missing value can reach each feature and means something there: columns that take
/// missing values are left empty, and pre-processing may fill them.
pub(crate) fn missing_features(model: &Model) -> Result<Vec<bool>, CompileError> {
    let inputs =
        model
            .preprocess
            .inputs()
            .iter()
            .zip(&model.columns)
            .map(|(input, column)| match (input.kind, column.missing) {
                (Kind::F32, missing) => {
                    Tensor::F32(vec![if missing { f32::NAN } else { 0.0 }; input.len])
                }
                (Kind::F64, missing) => {
                    Tensor::F64(vec![if missing { f64::NAN } else { 0.0 }; input.len])
                }
                (Kind::I64, _) => Tensor::I64(vec![0; input.len]),
                (Kind::Text, _) => Tensor::Text(vec![String::new(); input.len]),
            });
    if !model.columns.iter().any(|column| column.missing) {
        return Ok(vec![false; model.features]);
    }
    Ok(model
        .features_of(inputs.collect())?
        .into_iter()
        .map(f32::is_nan)
        .collect())
}

/// Decoding of all scores from that of the coefficients: score units a torus, constant, error
/// bound, other errors and half range of each coefficient.
pub(crate) fn score_decodings(
    scores: &ScoreMap,
    coefficients: &[Coefficient],
) -> Vec<ScoreDecoding> {
    let decoding = |affine: &crate::families::scores::Affine| {
        let Some(Coefficient {
            scale,
            centre,
            error,
            rounding,
            half,
        }) = coefficients
            .get(affine.coefficient as usize)
            .copied()
            .filter(|_| affine.factor != 0.0)
        else {
            let value = affine.offset;
            return ScoreDecoding {
                coefficient: 0,
                scale: 0.0,
                offset: value,
                step: 0.0,
                precision: 0.0,
                range: (value, value),
            };
        };
        let (factor, offset) = (affine.factor, affine.offset + affine.factor * centre);
        let step = factor.abs() * error * scale;
        let reach = factor.abs() * half + affine.deviation;
        ScoreDecoding {
            coefficient: affine.coefficient,
            scale: factor * scale,
            offset,
            step,
            precision: 1.5 * step + factor.abs() * rounding + affine.deviation,
            range: (offset - reach, offset + reach),
        }
    };
    scores.scores.iter().map(decoding).collect()
}

/// A result coefficient in score units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficient {
    /// A whole torus.
    pub scale: f64,
    /// Score at phase zero, without the scores' own offset.
    pub centre: f64,
    /// Bound on the encrypted error, as a fraction of the torus.
    pub error: f64,
    /// Largest error from rounded leaves or weights.
    pub rounding: f64,
    /// Half the range.
    pub half: f64,
}

fn compile_linear(model: &LinearModel, source: &Source<'_>) -> Result<Parts, CompileError> {
    let plan = linear::compile(model, &source.names, &source.rows, source.options)?;
    let mut warnings = Vec::new();
    if plan.bits < linear::LEAST_BITS && source.options.precision.is_none() {
        warnings.push(format!(
            "{:.1} bits of precision are guaranteed instead of the usual {}: the scores of the calibration rows lie in a small part of what the \
             features' ranges allow",
            plan.bits,
            linear::LEAST_BITS
        ));
    }
    let coefficient = |output: &linear::LinearOutput| Coefficient {
        scale: output.scale,
        centre: 0.0,
        error: output.budget.error,
        rounding: output.rounding,
        half: output.half,
    };
    let coefficients: Vec<Coefficient> = plan.outputs.iter().map(coefficient).collect();
    let features = FeatureReport {
        mode: "ranges".into(),
        revealed:
            "for each feature the range that is accepted (that of the calibration rows, widened by two spans on each side), the score \
                   in its middle and the range of scores; no weight"
                .into(),
        encoded: linear::encoded_features(&plan),
    };
    Ok(Parts {
        scores: score_decodings(&plan.scores, &coefficients),
        coefficients: coefficients.len() as u32,
        reply_bits: plan.reply_bits,
        query_bytes: plan.query_bytes,
        deviation: plan
            .outputs
            .iter()
            .map(|output| output.budget.deviation)
            .fold(0.0, f64::max),
        needs_key: false,
        target_bits: source.options.precision.unwrap_or(linear::PREFERRED_BITS),
        bits: plan.bits,
        range_of: "the calibration rows",
        features,
        work: WorkReport {
            gadget: None,
            counts: None,
            predicted_microseconds: linear::predicted_microseconds(&plan),
        },
        trees: None,
        warnings,
        backend: plan.backend,
        circuit: plan.circuit,
        encoding: Encoding::Linear(plan.encoding),
    })
}

fn report(source: &Source<'_>, parts: &Parts, agreement: crate::report::Agreement) -> Report {
    let Source { model, options, .. } = source;
    let family = match parts.encoding {
        Encoding::Selectors(_) => "tree ensemble",
        Encoding::Linear(_) => "linear",
    };
    let set = parts.backend.set;
    let needs_key = parts.needs_key && options.profile != Profile::Keyless;
    let mut warnings = parts.warnings.clone();
    if let Some((first, others)) = source.gaps.split_first() {
        let more = if others.is_empty() {
            String::new()
        } else {
            format!(" and {} more", others.len())
        };
        warnings.push(format!(
            "the calibration rows have missing values that no node of the model mentions (column {first:?}{more}): they are accepted, and \
             comparisons with them are false, as in ONNX Runtime; if that is not meant, leave such rows out"
        ));
    }
    if agreement.skipped > 0 {
        warnings.push(format!(
            "{} calibration rows have missing or infinite values that the model gives no meaning",
            agreement.skipped
        ));
    }
    Report {
        model: ModelReport {
            name: options.name.clone(),
            family: family.into(),
            task: model.summary.task.name().into(),
            producer: model.summary.producer.clone(),
            operators: model.summary.operators.clone(),
            notes: model.summary.notes.clone(),
            features: model.features,
            scores: model.scores(),
            trees: parts.trees,
        },
        features: parts.features.clone(),
        security: SecurityReport {
            parameter_set: set.name.into(),
            bits: set.ring.security_bits,
            source: set.ring.source.into(),
            profile: options.profile.name().into(),
            needs_evaluation_key: needs_key,
        },
        precision: PrecisionReport {
            target_bits: parts.target_bits,
            guaranteed_bits: parts.bits,
            range_of: parts.range_of.into(),
            failure_log2: FAILURE_LOG2,
            scores: parts.scores.iter().map(|score| score.precision).collect(),
            noise_deviation: parts.deviation,
        },
        work: parts.work.clone(),
        sizes: SizeReport {
            evaluation_key: if needs_key {
                parts.backend.key_bytes()
            } else {
                0
            },
            query_row: parts.query_bytes,
            reply_row: parts
                .backend
                .reply_bytes(parts.coefficients as usize, parts.reply_bits),
        },
        agreement,
        warnings,
    }
}

/// The bits asked for, and whether they must be reached.
pub(crate) fn target(options: &Options) -> (f64, bool) {
    (
        options.precision.unwrap_or(DEFAULT_PRECISION),
        options.precision.is_some(),
    )
}
