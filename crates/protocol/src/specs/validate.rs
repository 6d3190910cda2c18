//! Checks of a parsed document: afterwards every index is in range, every number finite and every
//! list of the length that others imply.

use super::{
    ClientSpecs, Decoding, Encoding, FeatureForm, Gadget, InputColumn, IntegerEncoding,
    LinearEncoding, OutputField, Predicate, Quantiser, ScoreDecoding, SelectorEncoding, SpecsError,
    relations, v3,
};
use cipherfn_program::{EntryKind, MAX_DECIMALS, ScoreUnits, TensorType};
use std::collections::HashSet;

/// Most columns, features, scores or outputs.
const MAX_WIDTH: usize = 1 << 16;
/// Most split points of one feature.
const MAX_SPLITS: usize = 1 << 20;
/// Most bits of a feature's integer.
const MAX_BITS: u32 = 24;
/// Most selectors of a row.
const MAX_SELECTORS: usize = 1 << 20;
/// Most inputs and outputs of a circuit.
const MAX_INPUTS: usize = 64;
/// Most parts of an evaluation key.
const MAX_KEY_PARTS: usize = 16;
/// Most coefficients of a ciphertext polynomial.
const MAX_POLYNOMIAL: u64 = 1 << 16;
/// Longest name in bytes.
const MAX_NAME: usize = 4096;

/// Checks specs that a document of `format` holds; errors name that format's fields.
pub(super) fn validate(specs: &ClientSpecs, format: u16) -> Result<(), SpecsError> {
    name("model.name", &specs.model.name)?;
    name("parameter_set.name", &specs.parameter_set.name)?;
    columns(&specs.columns)?;
    key_parts(&specs.key_parts)?;
    count("inputs", specs.inputs.len(), 1, MAX_INPUTS)?;
    for (index, encoding) in specs.inputs.iter().enumerate() {
        let at = match format {
            1 => "encoding".to_owned(),
            _ => format!("inputs[{index}]"),
        };
        match encoding {
            Encoding::Selectors(encoding) => selectors(&at, encoding)?,
            Encoding::Linear(encoding) => {
                check(
                    format >= v3::TOGETHER || encoding.form == FeatureForm::Apart,
                    || {
                        let problem = "has features together, which format";
                        (at.clone(), format!("{problem} {format} does not know"))
                    },
                )?;
                linear(&at, encoding)?;
            }
            Encoding::Integers(encoding) => {
                check(format >= v3::INTEGERS, || {
                    let problem = format!("has integers, which format {format} does not know");
                    (at.clone(), problem)
                })?;
                integers(&at, encoding, format)?;
            }
        }
    }
    relations::validate(&specs.relations, format)?;
    decoding(&specs.decoding, format)?;
    outputs(&specs.outputs)?;
    programs(specs)
}

/// The programs' types fit what is before and behind them.
fn programs(specs: &ClientSpecs) -> Result<(), SpecsError> {
    let inputs = specs.preprocess.inputs();
    let entries: usize = inputs.iter().map(|input| input.len).sum();
    check(entries == specs.columns.len(), || {
        (
            "preprocess".into(),
            format!("reads {entries} entries of {} columns", specs.columns.len()),
        )
    })?;
    let of_inputs = specs.inputs.iter().map(Encoding::features);
    let terms = specs.relations.iter().flat_map(|own| &own.terms);
    let of_relations = terms.map(|(feature, _)| *feature as usize + 1);
    let features = of_inputs.chain(of_relations).max().unwrap_or(0);
    let fits = match specs.preprocess.outputs().as_slice() {
        [
            TensorType {
                kind: EntryKind::F32,
                len,
            },
        ] => *len >= features,
        _ => false,
    };
    check(fits, || {
        (
            "preprocess".into(),
            format!("does not give one f32 vector of the {features} features that are read of it"),
        )
    })?;
    let scores = specs.decoding.scores.len();
    check(
        specs.postprocess.inputs()
            == [TensorType {
                kind: EntryKind::F64,
                len: scores,
            }],
        || {
            (
                "postprocess".into(),
                format!("does not take one f64 vector of {scores} scores"),
            )
        },
    )?;
    let results = specs.postprocess.outputs().len();
    check(results == specs.outputs.len(), || {
        (
            "outputs".into(),
            format!("has {} entries for {results} results", specs.outputs.len()),
        )
    })
}

fn columns(columns: &[InputColumn]) -> Result<(), SpecsError> {
    count("columns", columns.len(), 1, MAX_WIDTH)?;
    let mut seen = HashSet::new();
    for (index, column) in columns.iter().enumerate() {
        name(&format!("columns[{index}].name"), &column.name)?;
        check(seen.insert(&column.name), || {
            (
                format!("columns[{index}].name"),
                format!("{:?} appears twice", column.name),
            )
        })?;
    }
    Ok(())
}

fn key_parts(parts: &[String]) -> Result<(), SpecsError> {
    count("key_parts", parts.len(), 0, MAX_KEY_PARTS)?;
    let mut seen = HashSet::new();
    for (index, part) in parts.iter().enumerate() {
        let field = format!("key_parts[{index}]");
        name(&field, part)?;
        check(seen.insert(part), || {
            (field, format!("{part:?} appears twice"))
        })?;
    }
    Ok(())
}

fn selectors(at: &str, encoding: &SelectorEncoding) -> Result<(), SpecsError> {
    count(
        &format!("{at}.quantisers"),
        encoding.quantisers.len(),
        0,
        MAX_WIDTH,
    )?;
    let mut seen = HashSet::new();
    for (index, quantiser) in encoding.quantisers.iter().enumerate() {
        let field = |part: &str| format!("{at}.quantisers[{index}].{part}");
        check(seen.insert(quantiser.feature), || {
            (
                field("feature"),
                format!("{} appears twice", quantiser.feature),
            )
        })?;
        check((quantiser.feature as usize) < MAX_WIDTH, || {
            (
                field("feature"),
                format!("{} is not below {MAX_WIDTH}", quantiser.feature),
            )
        })?;
        name(&field("name"), &quantiser.name)?;
        count(
            &field("splits"),
            quantiser.splits.len(),
            usize::from(quantiser.missing.is_none()),
            MAX_SPLITS,
        )?;
        let decimals = quantiser.decimals.unwrap_or(0);
        check(decimals <= MAX_DECIMALS, || {
            (
                field("decimals"),
                format!("{decimals} is more than {MAX_DECIMALS}"),
            )
        })?;
        check(
            quantiser.splits.iter().all(|split| split.is_finite()),
            || (field("splits"), "holds a number that is not finite".into()),
        )?;
        check(
            quantiser.splits.windows(2).all(|pair| pair[0] < pair[1]),
            || (field("splits"), "is not strictly increasing".into()),
        )?;
    }
    count(
        &format!("{at}.selectors"),
        encoding.selectors.len(),
        0,
        MAX_SELECTORS,
    )?;
    for (index, selector) in encoding.selectors.iter().enumerate() {
        let field = |part: &str| format!("{at}.selectors[{index}].{part}");
        let quantiser = encoding
            .quantisers
            .get(selector.quantiser as usize)
            .ok_or_else(|| {
                invalid(
                    field("quantiser"),
                    format!(
                        "{} is not below the number of quantisers, {}",
                        selector.quantiser,
                        encoding.quantisers.len()
                    ),
                )
            })?;
        predicate(&field("predicate"), &selector.predicate, quantiser)?;
    }
    gadget(at, encoding.gadget)
}

fn predicate(field: &str, predicate: &Predicate, quantiser: &Quantiser) -> Result<(), SpecsError> {
    match predicate {
        Predicate::Bit(bit) => {
            let bits = quantiser.index_bits();
            check(*bit < bits, || {
                (
                    field.into(),
                    format!("names bit {bit} of a bin index of {bits} bits"),
                )
            })
        }
        Predicate::Within(ranges) => {
            check(!ranges.is_empty(), || (field.into(), "has no range".into()))?;
            check(ranges.iter().all(|(start, end)| start < end), || {
                (field.into(), "has an empty range".into())
            })?;
            check(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), || {
                (
                    field.into(),
                    "has ranges that are not sorted and apart".into(),
                )
            })?;
            let bins = quantiser.bins();
            let end = ranges.last().map_or(0, |range| range.1);
            check(end <= bins, || {
                (field.into(), format!("reaches bin {end} of {bins}"))
            })
        }
    }
}

fn gadget(at: &str, gadget: Gadget) -> Result<(), SpecsError> {
    let ok = (1..=32).contains(&gadget.base_log.get())
        && (1..=63).contains(&gadget.levels.get())
        && gadget.bits() <= 63;
    check(ok, || {
        (
            format!("{at}.gadget"),
            format!(
                "{} x {} bits does not fit a 64-bit torus",
                gadget.levels, gadget.base_log
            ),
        )
    })
}

fn linear(at: &str, encoding: &LinearEncoding) -> Result<(), SpecsError> {
    let features = encoding.names.len();
    count(&format!("{at}.names"), features, 1, MAX_WIDTH)?;
    for (index, text) in encoding.names.iter().enumerate() {
        name(&format!("{at}.names[{index}]"), text)?;
    }
    for (field, values) in [
        ("centre", &encoding.centre),
        ("half_width", &encoding.half_width),
    ] {
        let field = format!("{at}.{field}");
        check(values.len() == features, || {
            (
                field.clone(),
                format!("has {} entries for {features} features", values.len()),
            )
        })?;
        check(values.iter().all(|value| value.is_finite()), || {
            (field, "holds a number that is not finite".into())
        })?;
    }
    check(encoding.half_width.iter().all(|value| *value > 0.0), || {
        (
            format!("{at}.half_width"),
            "holds a number that is not positive".into(),
        )
    })?;
    check(
        encoding.delta.get() > 0.0 && encoding.delta.get() < 0.5,
        || {
            (
                format!("{at}.delta"),
                format!("{} is not between 0 and 0.5", encoding.delta),
            )
        },
    )?;
    match encoding.form {
        FeatureForm::Apart => extent(&format!("{at}.block"), encoding.block, encoding.stride)?,
        FeatureForm::Together => {
            extent(&format!("{at}.stride"), 1, encoding.stride)?;
            check((1..=encoding.stride).contains(&encoding.block), || {
                let problem = format!("{} is not in 1 ..= {}", encoding.block, encoding.stride);
                (format!("{at}.block"), problem)
            })?;
        }
    }
    check(encoding.body_bits.is_valid(), || {
        (
            format!("{at}.body_bits"),
            format!("{} is not in 1 ..= 64", encoding.body_bits),
        )
    })
}

fn integers(at: &str, encoding: &IntegerEncoding, format: u16) -> Result<(), SpecsError> {
    count(
        &format!("{at}.features"),
        encoding.features.len(),
        0,
        MAX_WIDTH,
    )?;
    let mut seen = HashSet::new();
    for (index, own) in encoding.features.iter().enumerate() {
        let field = |part: &str| format!("{at}.features[{index}].{part}");
        let feature = own.feature;
        check(seen.insert(feature), || {
            (field("feature"), format!("{feature} appears twice"))
        })?;
        check((feature as usize) < MAX_WIDTH, || {
            (
                field("feature"),
                format!("{feature} is not below {MAX_WIDTH}"),
            )
        })?;
        name(&field("name"), &own.name)?;
        check(own.low.is_finite(), || {
            (field("low"), format!("{} is not finite", own.low))
        })?;
        check(own.step.is_finite() && own.step > 0.0, || {
            (
                field("step"),
                format!("{} is not a positive number", own.step),
            )
        })?;
        check(own.bits <= MAX_BITS, || {
            (
                field("bits"),
                format!("{} is more than {MAX_BITS}", own.bits),
            )
        })?;
        if let Some(tolerance) = own.tolerance {
            check(format >= v3::TOLERANCES, || {
                let problem = format!("is there, which format {format} does not know");
                (field("tolerance"), problem)
            })?;
            check(tolerance.is_finite() && tolerance > 0.0, || {
                let problem = format!("{tolerance} is not a positive number");
                (field("tolerance"), problem)
            })?;
        }
    }
    count(
        &format!("{at}.features"),
        encoding.selectors(),
        0,
        MAX_SELECTORS,
    )?;
    gadget(at, encoding.gadget)
}

fn decoding(decoding: &Decoding, format: u16) -> Result<(), SpecsError> {
    count("decoding.replies", decoding.replies.len(), 1, MAX_INPUTS)?;
    for (index, reply) in decoding.replies.iter().enumerate() {
        let at = match format {
            1 => "decoding".to_owned(),
            _ => format!("decoding.replies[{index}]"),
        };
        check(reply.reply_bits.is_valid(), || {
            (
                format!("{at}.reply_bits"),
                format!("{} is not in 1 ..= 64", reply.reply_bits),
            )
        })?;
        extent(
            &format!("{at}.coefficients"),
            reply.coefficients,
            reply.stride,
        )?;
    }
    check(
        decoding.failure_log2.is_finite() && decoding.failure_log2 < 0.0,
        || {
            (
                "decoding.failure_log2".into(),
                format!("{} is not a negative number", decoding.failure_log2),
            )
        },
    )?;
    count("decoding.scores", decoding.scores.len(), 1, MAX_WIDTH)?;
    decoding
        .scores
        .iter()
        .enumerate()
        .try_for_each(|(index, score)| score_decoding(index, score, decoding.coefficients()))
}

fn score_decoding(
    index: usize,
    score: &ScoreDecoding,
    coefficients: u32,
) -> Result<(), SpecsError> {
    let field = |part: &str| format!("decoding.scores[{index}].{part}");
    let zero = ScoreUnits::default();
    check(score.coefficient < coefficients, || {
        (
            field("coefficient"),
            format!("{} is not below {coefficients}", score.coefficient),
        )
    })?;
    for (part, value) in [
        ("scale", score.scale),
        ("offset", score.offset),
        ("step", score.step),
        ("precision", score.precision),
        ("range", score.range.0),
        ("range", score.range.1),
    ] {
        check(value.get().is_finite(), || {
            (field(part), format!("{value} is not finite"))
        })?;
    }
    check(
        score.step > zero || (score.scale == zero && score.step == zero),
        || (field("step"), format!("{} is not positive", score.step)),
    )?;
    check(score.precision >= zero, || {
        (
            field("precision"),
            format!("{} is negative", score.precision),
        )
    })?;
    check(score.range.0 <= score.range.1, || {
        (field("range"), "ends before it starts".into())
    })
}

fn outputs(outputs: &[OutputField]) -> Result<(), SpecsError> {
    count("outputs", outputs.len(), 1, MAX_WIDTH)?;
    for (index, output) in outputs.iter().enumerate() {
        if let OutputField::Probabilities(classes) | OutputField::Scores(classes) = output {
            count(&format!("outputs[{index}]"), classes.len(), 1, MAX_WIDTH)?;
        }
        if let OutputField::Deviation(classes) = output {
            count(&format!("outputs[{index}]"), classes.len(), 0, MAX_WIDTH)?;
        }
    }
    Ok(())
}

fn extent(field: &str, count: u32, stride: u32) -> Result<(), SpecsError> {
    let reach = u64::from(count) * u64::from(stride);
    check((1..=MAX_POLYNOMIAL).contains(&reach), || {
        (
            field.into(),
            format!("{count} at distance {stride} does not fit a polynomial"),
        )
    })
}

pub(super) fn count(field: &str, len: usize, least: usize, most: usize) -> Result<(), SpecsError> {
    check((least..=most).contains(&len), || {
        (
            field.into(),
            format!("has {len} entries, not {least} to {most}"),
        )
    })
}

pub(super) fn name(field: &str, text: &str) -> Result<(), SpecsError> {
    check(!text.is_empty() && text.len() <= MAX_NAME, || {
        (
            field.into(),
            format!("is not a name of 1 to {MAX_NAME} bytes"),
        )
    })
}

pub(super) fn check(ok: bool, error: impl FnOnce() -> (String, String)) -> Result<(), SpecsError> {
    if ok {
        return Ok(());
    }
    let (field, problem) = error();
    Err(invalid(field, problem))
}

fn invalid(field: String, problem: String) -> SpecsError {
    SpecsError::Invalid { field, problem }
}
