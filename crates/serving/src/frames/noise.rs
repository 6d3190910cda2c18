//! What a query's results are worth before it is evaluated.

use super::{FrameError, collection, outputs};
use cipherfn_circuit::circuit::{Input, InputId, Node, SelectorId};
use cipherfn_engine::noise::{OutputNoise, of_outputs_with};
use cipherfn_frame::answer::{Answer, AnswerShape, Content, Lane, Recombined, ResultType};
use cipherfn_frame::pass::{Collect, Pass, TableSource};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::noise::{self, Variance};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public;
use cipherfn_scheme::reply::{CollectedShape, Collection, block_variance};

/// What an error is larger at most with cells of a table in the clear than with those that were made up:
/// choices count alike, and are by fewer different bits at worst (2 % were found).
const GUESS_MARGIN: f64 = 1.1;
/// The same with weights of a model: those that were made up are as large as any, floats round.
const WEIGHT_MARGIN: f64 = 1.0 + 1e-9;
/// Seconds of a slot of the expansion, of a choice for each level and one more, and of a packed result
/// (docs/benchmarks.md).
const A_SLOT: f64 = 45e-6;
const A_LEVEL: f64 = 5e-6;
const A_RESULT: f64 = 50e-6;

/// Noise of a pass's collected results: the worst of each output's coefficients.
#[derive(Clone, Debug)]
pub struct PassNoise {
    /// By output, of one result.
    pub outputs: Vec<OutputNoise>,
    /// By output, of the sum of all its results, where decryption adds them.
    pub totals: Vec<OutputNoise>,
    /// Result coefficients of the whole pass.
    pub coefficients: usize,
}

/// How exact an output of a pass is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputPrecision {
    /// Largest error of any result of the pass, as a fraction of the torus, but with a probability
    /// below 2^-40.
    pub error: f64,
    /// The same of the sum of an output's results.
    pub total: f64,
}

/// Noise of the results of all passes, over frames of so many rows each.
pub fn pass_noise(passes: &[Pass], rows: &[usize]) -> Result<Vec<PassNoise>, FrameError> {
    let mut noises: Vec<PassNoise> = Vec::new();
    for (number, pass) in passes.iter().enumerate() {
        let tables = tables_noise(pass, &noises);
        let of_row = |tables: Option<OutputNoise>| {
            let given: Vec<_> = tables.into_iter().collect();
            of_outputs_with(&pass.circuit, &given).map_err(|source| FrameError::Pass {
                pass: number + 1,
                source,
            })
        };
        // Errors of a sum's coefficients are alike where these are neighbours, so what rows read of it
        // may add up as if it were one number.
        let is_shared = |table: &TableSource| matches!(table, TableSource::Summed { .. });
        let shared: Vec<Variance> = if pass.tables.iter().any(is_shared) {
            let without = of_row(Some(OutputNoise {
                value: Variance::default(),
                rows: 1.0,
                ..OutputNoise::default()
            }))?;
            let with = of_row(tables)?.into_iter().zip(without);
            let part = |(with, without): (OutputNoise, OutputNoise)| {
                Variance::new((with.value.get() - without.value.get()).max(0.0))
            };
            with.map(part).collect()
        } else {
            vec![Variance::default(); pass.circuit.outputs.len()]
        };
        let of_row = of_row(tables)?;
        let rows = rows[pass.over];
        let forms = outputs(&pass.circuit)?;
        let coefficients = collection(pass).coefficients(&forms, rows);
        // No block has more rows than the first one.
        let packing = match collection(pass).shape(&forms, rows, 0) {
            Some(CollectedShape::Block(shape)) => block_variance(&shape)?,
            Some(CollectedShape::Sum(_)) | None => Variance::default(),
        };
        let summed = |(noise, shared): &(OutputNoise, Variance), rows: usize| {
            let summed = noise.summed(rows);
            OutputNoise {
                value: summed.value + (rows * rows - rows) as f64 * *shared,
                rows: if *shared > Variance::default() {
                    1.0
                } else {
                    summed.rows
                },
                ..summed
            }
        };
        let collected = of_row.into_iter().zip(shared);
        let (outputs, totals) = collected
            .map(|own| match collection(pass) {
                Collection::Blocks => {
                    let noise = OutputNoise {
                        value: own.0.value + packing,
                        ..own.0
                    };
                    (noise, noise)
                }
                Collection::Sums { rows: most } => {
                    let total = summed(&own, rows.max(1));
                    let results = rows.div_ceil(most.max(1)).max(1);
                    let total = OutputNoise {
                        reply: results as f64 * total.reply,
                        ..total
                    };
                    (summed(&own, rows.min(most).max(1)), total)
                }
            })
            .unzip();
        noises.push(PassNoise {
            outputs,
            totals,
            coefficients,
        });
    }
    Ok(noises)
}

/// Noise of a pass's tables, the worst of them; None where there are none.
fn tables_noise(pass: &Pass, earlier: &[PassNoise]) -> Option<OutputNoise> {
    let set = ParameterSet::by_name(&pass.circuit.parameter_set).ok()?;
    let fresh = OutputNoise {
        value: noise::fresh(set) + noise::rounding(set.ring.body_bits),
        reply: Variance::default(),
        rows: 1.0,
    };
    let noises = pass.tables.iter().map(|table| match table {
        TableSource::Stored { owners: 0, .. } => fresh,
        TableSource::Stored { owners, .. } => OutputNoise {
            value: f64::from(*owners) * public::variance(set),
            ..fresh
        },
        TableSource::Summed { pass, output } => earlier[*pass].totals[*output],
    });
    noises.reduce(|a, b| OutputNoise {
        value: larger(a.value, b.value),
        reply: Variance::default(),
        rows: a.rows.min(b.rows),
    })
}

/// How exact each output of a pass is.
pub fn precisions(pass: &Pass, noise: &PassNoise) -> Result<Vec<OutputPrecision>, FrameError> {
    let set = ParameterSet::by_name(&pass.circuit.parameter_set)?;
    let results = noise.coefficients as f64;
    let guess = match (pass.assumed.is_empty(), pass.assumed_weights) {
        (false, _) => GUESS_MARGIN,
        (true, true) => WEIGHT_MARGIN,
        (true, false) => 1.0,
    };
    let largest = |output: &OutputNoise| {
        let bound = noise::bound(set, Transport::Packed, output.rows, results);
        guess * bound * (output.value + output.reply).deviation().get()
    };
    let both = noise.outputs.iter().zip(&noise.totals);
    let precision = |(output, total): (&OutputNoise, &OutputNoise)| OutputPrecision {
        error: largest(output),
        total: largest(total),
    };
    Ok(both.map(precision).collect())
}

fn larger(a: Variance, b: Variance) -> Variance {
    if a > b { a } else { b }
}

/// How exact a column of an answer is.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnPrecision {
    /// Its name.
    pub name: String,
    /// Bits of its range that are guaranteed; `None` where all of it is exact. Of a mean, those of the
    /// sum that it divides.
    pub bits: Option<f64>,
    /// Largest error in units of the last place; of a mean, of the sum that it divides.
    pub error: f64,
}

impl ColumnPrecision {
    /// What it is worth, for people.
    pub fn worth(&self) -> String {
        match self.bits {
            None => "exact".into(),
            Some(bits) if bits > 0.0 => format!("{bits:.1} bits"),
            Some(_) => "nothing guaranteed".into(),
        }
    }
}

/// How exact the columns of an answer are, of `results` ciphertexts an output that are added, with
/// the largest errors of the last pass's outputs.
pub fn columns(
    answer: &Answer,
    errors: &[OutputPrecision],
    results: usize,
) -> Vec<ColumnPrecision> {
    // In units of the lane's integers, to the nearest of which each result is rounded.
    let error = |lane: &Lane| {
        let unit = 2f64.powi(-(lane.unit as i32));
        match errors.get(lane.output) {
            Some(output) if 2.0 * output.error <= unit => 0.0,
            Some(output) => output.total / unit + 0.5 * results as f64,
            None => 1.0 / unit,
        }
    };
    let range = |lane: &Lane| results as f64 * (lane.max as f64 - lane.min as f64 + 1.0);
    let recombined = |value: &Recombined| {
        let parts = value.parts.iter();
        let (errors, ranges) = parts.fold((0.0, 0.0), |(errors, ranges), (lane, shift)| {
            let factor = f64::from(*shift).exp2();
            (errors + factor * error(lane), ranges + factor * range(lane))
        });
        (errors, value.filled * ranges)
    };
    // Which rows and groups there are is a number as well: where it may be wrong, nothing is worth
    // anything.
    let is_certain = match &answer.shape {
        AnswerShape::Rows { kept } => kept.as_ref().is_none_or(|(lane, _)| error(lane) == 0.0),
        AnswerShape::Groups { keys, len, .. } => keys.is_empty() || error(len) == 0.0,
    };
    let columns = answer.columns.iter().map(|column| {
        // With whether something else has to be certain, and is.
        let (error, range, is_whole) = match &column.content {
            Content::Key(_) => (0.0, 1.0, true),
            Content::Count(lane) => (error(lane), range(lane), true),
            // A statistic of places is another one for each row more or less.
            Content::Distribution { lane, size, .. } => (0.0, *size as f64, error(lane) == 0.0),
            Content::Value { value, presence } => {
                let (errors, ranges) = recombined(value);
                let is_there = |(lane, _): &(Lane, i64)| error(lane) == 0.0;
                (errors, ranges, presence.as_ref().is_none_or(is_there))
            }
            Content::Sum { value, count } => {
                let (errors, ranges) = recombined(value);
                (
                    errors,
                    ranges,
                    count.as_ref().is_none_or(|lane| error(lane) == 0.0),
                )
            }
            Content::Mean { value, count } => {
                let (errors, ranges) = recombined(value);
                (errors, ranges, error(count) == 0.0)
            }
        };
        // A text, a day or a truth that is nearly right is another one.
        let is_number = matches!(column.kind, ResultType::Number { .. } | ResultType::Real);
        let error = if is_certain && is_whole && (is_number || error == 0.0) {
            error
        } else {
            range.max(error)
        };
        ColumnPrecision {
            name: column.name.clone(),
            bits: (error > 0.0).then(|| (range / (2.0 * error)).log2().max(0.0)),
            error,
        }
    });
    columns.collect()
}

/// Seconds that a pass over so many rows takes one core, about.
pub fn seconds(pass: &Pass, rows: usize) -> f64 {
    let (mut slots, mut choices) = (0.0, 0.0);
    let levels = |input: InputId| match pass.circuit.inputs.get(input.index()) {
        Some(Input::Selectors(group)) => f64::from(group.gadget.levels.get()),
        _ => 0.0,
    };
    for input in &pass.circuit.inputs {
        slots += match input {
            Input::Selectors(group) => f64::from(group.count * group.gadget.levels.get()),
            Input::Values(values) => f64::from(values.count),
            Input::Features(_) | Input::Tables(_) => 0.0,
        };
    }
    let mut choice = |selector: SelectorId| choices += (levels(selector.input) + 1.0) * A_LEVEL;
    for node in &pass.circuit.nodes {
        match node {
            Node::Sum(sum) => sum
                .selects
                .iter()
                .for_each(|select| choice(select.selector)),
            Node::Lookup(lookup) => lookup.form.iter().for_each(|turn| choice(turn.selector)),
            _ => {}
        }
    }
    let packed = match pass.collect {
        Collect::Rows => pass.circuit.outputs.len() as f64 * A_RESULT,
        Collect::Sum { .. } => 0.0,
    };
    rows as f64 * (slots * A_SLOT + choices + packed)
}
