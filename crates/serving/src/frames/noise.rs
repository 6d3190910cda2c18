//! What a query's results are worth before it is evaluated.

use super::{FrameError, collection, outputs};
use cipherfn_circuit::circuit::{Input, InputId, Node, SelectorId};
use cipherfn_engine::noise::{OutputNoise, of_outputs_with};
use cipherfn_frame::answer::{Answer, AnswerShape, Content, Lane, Recombined};
use cipherfn_frame::pass::{Collect, Pass, TableSource};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::noise::{self, Variance};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::reply::{CollectedShape, Collection, block_variance};

/// Standard deviations that a normal variable exceeds, to either side, with a probability below
/// 2^-40.
const DEVIATIONS_40: f64 = 7.14;
/// By how much each further bit of improbability raises their square: 2 ln 2, the tail's slope.
const SLOPE: f64 = 1.3863;
/// Seconds of a slot of the expansion, of a choice for each level and one more, and of a packed result
/// (docs/benchmarks.md).
const A_SLOT: f64 = 45e-6;
const A_LEVEL: f64 = 5e-6;
const A_RESULT: f64 = 50e-6;

/// Noise of a pass's collected results: the worst of each output's coefficients.
#[derive(Clone, Debug)]
pub struct PassNoise {
    /// By output.
    pub outputs: Vec<OutputNoise>,
    /// Result coefficients of the whole pass.
    pub coefficients: usize,
}

/// How exact an output of a pass is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputPrecision {
    /// Largest error of any result of the pass, as a fraction of the torus, but with a probability
    /// below 2^-40.
    pub error: f64,
}

/// Noise of the results of all passes, over frames of so many rows each.
pub fn pass_noise(passes: &[Pass], rows: &[usize]) -> Result<Vec<PassNoise>, FrameError> {
    let mut noises: Vec<PassNoise> = Vec::new();
    for (number, pass) in passes.iter().enumerate() {
        let tables = tables_noise(pass, passes, rows, &noises);
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
        let shapes = collection(pass).shapes(&outputs(&pass.circuit)?, rows);
        let (mut coefficients, mut packing) = (0, Variance::default());
        for shape in &shapes {
            match shape {
                CollectedShape::Block(shape) => {
                    coefficients += shape.rows;
                    packing = larger(packing, block_variance(shape)?);
                }
                CollectedShape::Sum(shape) => coefficients += shape.coefficients,
            }
        }
        let collected = of_row.into_iter().zip(shared);
        let collected = collected.map(|(noise, shared)| match collection(pass) {
            Collection::Blocks => OutputNoise {
                value: noise.value + packing,
                ..noise
            },
            Collection::Sums { rows: most } => {
                let rows = rows.min(most).max(1);
                let summed = noise.summed(rows);
                OutputNoise {
                    value: summed.value + (rows * rows - rows) as f64 * shared,
                    rows: if shared > Variance::default() {
                        1.0
                    } else {
                        summed.rows
                    },
                    ..summed
                }
            }
        });
        let outputs = collected.collect();
        noises.push(PassNoise {
            outputs,
            coefficients,
        });
    }
    Ok(noises)
}

/// Noise of a pass's tables, the worst of them; None where there are none.
fn tables_noise(
    pass: &Pass,
    passes: &[Pass],
    rows: &[usize],
    earlier: &[PassNoise],
) -> Option<OutputNoise> {
    let set = ParameterSet::by_name(&pass.circuit.parameter_set).ok()?;
    let fresh = OutputNoise {
        value: noise::fresh(set) + noise::rounding(set.ring.body_bits),
        reply: Variance::default(),
        rows: 1.0,
    };
    let noises = pass.tables.iter().map(|table| match table {
        TableSource::Stored { .. } => fresh,
        TableSource::Summed { pass, output } => {
            let noise = earlier[*pass].outputs[*output];
            let sums = match collection(&passes[*pass]) {
                Collection::Sums { rows: most } => rows[passes[*pass].over].div_ceil(most.max(1)),
                Collection::Blocks => 1,
            };
            noise.summed(sums)
        }
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
    let more = (noise.coefficients.max(1) as f64).log2();
    let deviations = (DEVIATIONS_40.powi(2) + SLOPE * more).sqrt();
    let precision = |output: &OutputNoise| {
        let margin = noise::margin(set, Transport::Packed, output.rows);
        let deviation = (output.value + output.reply).deviation().get();
        OutputPrecision {
            error: deviations * margin * deviation,
        }
    };
    Ok(noise.outputs.iter().map(precision).collect())
}

fn larger(a: Variance, b: Variance) -> Variance {
    if a > b { a } else { b }
}

/// How exact a column of an answer is.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnPrecision {
    /// Its name.
    pub name: String,
    /// Bits of its range that are guaranteed; `None` where all of it is exact.
    pub bits: Option<f64>,
}

/// How exact the columns of an answer are, of `results` ciphertexts an output that are added, with
/// the largest errors of the last pass's outputs.
pub fn columns(
    answer: &Answer,
    errors: &[OutputPrecision],
    results: usize,
) -> Vec<ColumnPrecision> {
    let error = |lane: &Lane| {
        let error = errors.get(lane.output).map_or(1.0, |output| output.error);
        let unit = 2f64.powi(-(lane.unit as i32));
        // Words are rounded to a power of two that is twice the error at least.
        let step = (2.0 * error).log2().ceil().exp2();
        if step <= unit {
            0.0
        } else {
            results as f64 * (error + step / 2.0) / unit
        }
    };
    let range = |lane: &Lane| results as f64 * (lane.max as f64 - lane.min as f64 + 1.0);
    let recombined = |value: &Recombined| {
        let parts = value.parts.iter();
        parts.fold((0.0, 0.0), |(errors, ranges), (lane, shift)| {
            let factor = f64::from(*shift).exp2();
            (errors + factor * error(lane), ranges + factor * range(lane))
        })
    };
    // Which rows and groups there are is a number as well: where it may be wrong, nothing is worth
    // anything.
    let is_certain = match &answer.shape {
        AnswerShape::Rows { kept } => kept.as_ref().is_none_or(|(lane, _)| error(lane) == 0.0),
        AnswerShape::Groups { keys, len, .. } => keys.is_empty() || error(len) == 0.0,
    };
    let columns = answer.columns.iter().map(|column| {
        let (error, range) = match &column.content {
            _ if !is_certain => (1.0, 1.0),
            Content::Key(_) => (0.0, 1.0),
            Content::Count(lane) => (error(lane), range(lane)),
            // A statistic of places is another one for each row more or less.
            Content::Distribution { lane, .. } => (error(lane), error(lane)),
            Content::Value { value, presence } => {
                let (mut errors, ranges) = recombined(value);
                // A cell that may be taken for missing is worth nothing.
                if presence.as_ref().is_some_and(|(lane, _)| error(lane) > 0.0) {
                    errors = ranges;
                }
                (errors, ranges)
            }
            Content::Sum { value, .. } => recombined(value),
            // Of one cell at least, whose range is that of the sum over the number of rows.
            Content::Mean { value, count } => {
                let (errors, ranges) = recombined(value);
                let ranges = ranges / range(count).max(1.0);
                (errors + ranges * error(count), ranges)
            }
        };
        ColumnPrecision {
            name: column.name.clone(),
            bits: (error > 0.0).then(|| (range / (2.0 * error)).log2().max(0.0)),
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
