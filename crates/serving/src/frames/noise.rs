//! What a query's results are worth before it is evaluated.

use super::{FrameError, collection, outputs};
use cipherfn_engine::noise::{OutputNoise, of_outputs_with};
use cipherfn_frame::pass::{Pass, TableSource};
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::noise::{self, Variance};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::reply::{CollectedShape, Collection, block_variance};

/// Standard deviations that a normal variable exceeds, to either side, with a probability below
/// 2^-40.
const DEVIATIONS_40: f64 = 7.14;
/// By how much each further bit of improbability raises their square: 2 ln 2, the tail's slope.
const SLOPE: f64 = 1.3863;

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
        let given: Vec<_> = tables.into_iter().collect();
        let of_row = of_outputs_with(&pass.circuit, &given);
        let of_row = of_row.map_err(|source| FrameError::Pass {
            pass: number + 1,
            source,
        })?;
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
        let collected = of_row.into_iter().map(|noise| match collection(pass) {
            Collection::Blocks => OutputNoise {
                value: noise.value + packing,
                ..noise
            },
            Collection::Sums { rows: most } => noise.summed(rows.min(most)),
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
