//! What sums of leaf counts are worth, and the form that makes them exact.

use super::circuit;
use super::error::LeafError;
use cipherfn_protocol::specs::Transport;
use cipherfn_scheme::noise;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_training::leaves::{LeafTraining, REPLY_BITS, SumForm};

/// Selectors' gadgets, bits of a digit and digits: fewer digits are less to upload and to compute, and
/// have larger errors, so fewer rows a sum.
const GADGETS: [(u32, u32); 4] = [(9, 2), (7, 3), (6, 4), (5, 6)];
/// Bits of a count that are enough: with fewer rows a sum than 15, sums that travel take more than a finer
/// gadget does.
const ENOUGH: u32 = 4;
/// Most bits: above, sums have more rows than anybody waits for.
const MOST: u32 = 16;
/// Rows that a program's sums are chosen for. More are refused where one of their counts might be wrong.
const ROWS: usize = 1_000_000;

/// Error of counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeafNoise {
    /// CMUXes that a count's error comes from at most.
    pub path: usize,
    /// Standard deviation of a count of one row, as a fraction of the torus.
    pub of_row: f64,
    /// Largest error of any count of any sum, in counts: passed by any of all their coefficients with a
    /// probability below 2^-40. Counts are exact below 1/2.
    pub error: f64,
}

/// Noise of a program's sums over so many `rows`: that of a CMUX times those on the worst row's way, over
/// the rows of a sum. Of a tree that is grown that of all levels.
///
/// Choices between constants are counted as full ones, which they are bounded by: their digits are one
/// or two a leaf where a ciphertext has N l.
///
/// # Errors
/// Trees that no circuit has room for.
pub fn noise(
    training: &LeafTraining,
    set: &'static ParameterSet,
    rows: usize,
) -> Result<LeafNoise, LeafError> {
    Ok(of_load(load(training, set)?, training, set, rows))
}

/// The same, where counts are exact.
///
/// # Errors
/// Trees that no circuit has room for, and rows whose counts might be wrong.
pub fn require_exact(
    training: &LeafTraining,
    set: &'static ParameterSet,
    rows: usize,
) -> Result<(), LeafError> {
    let LeafNoise { path, error, .. } = noise(training, set, rows)?;
    if error < 0.5 {
        return Ok(());
    }
    Err(LeafError::Drowns { path, error })
}

/// The form of sums with the fewest digits that takes some rows exactly.
///
/// # Errors
/// Trees whose counts no form makes exact, or that no circuit has room for.
pub fn choose_sums(
    training: &LeafTraining,
    set: &'static ParameterSet,
) -> Result<LeafTraining, LeafError> {
    let load = load(training, set)?;
    let mut best: Option<LeafTraining> = None;
    for (base_log, levels) in GADGETS {
        for count_bits in (1..=MOST.min(base_log * levels)).rev() {
            let form = SumForm {
                base_log,
                levels,
                count_bits,
            };
            let Ok(own) = training.with_sums(form) else {
                continue;
            };
            if of_load(load, &own, set, ROWS).error >= 0.5 {
                continue;
            }
            if count_bits >= ENOUGH {
                return Ok(own);
            }
            let more = |best: &LeafTraining| count_bits > best.sums().count_bits;
            if best.as_ref().is_none_or(more) {
                best = Some(own);
            }
            break;
        }
    }
    best.ok_or_else(|| LeafError::Drowns {
        path: load.path,
        error: of_load(load, training, set, ROWS).error,
    })
}

/// What errors come from.
#[derive(Clone, Copy)]
struct Load {
    /// CMUXes on the worst row's way.
    path: usize,
    /// Places where rows are counted.
    places: usize,
}

fn load(training: &LeafTraining, set: &'static ParameterSet) -> Result<Load, LeafError> {
    let Some(growth) = training.growth() else {
        let circuits = circuit::circuits(training, set)?;
        let paths = circuits.iter().map(|own| own.path);
        return Ok(Load {
            path: paths.max().unwrap_or_default(),
            places: training.counted().iter().sum(),
        });
    };
    let (places, size) = (growth.most_places(training), set.ring.polynomial_size);
    circuit::require_room(training, &places, size)?;
    Ok(Load {
        path: growth.longest_path(training, size),
        // Each level has twice as many as the one before.
        places: 2 * places.iter().sum::<usize>(),
    })
}

fn of_load(
    Load { path, places }: Load,
    training: &LeafTraining,
    set: &'static ParameterSet,
    all: usize,
) -> LeafNoise {
    let sums = training.sums();
    let selector = noise::selector(set, Transport::Packed);
    let of_row = path as f64 * noise::cmux(set, sums.gadget(), &selector);
    let rows = sums.rows() as f64;
    let summed = rows * of_row + noise::modulus_switch(set, REPLY_BITS);
    let results = places * (1 + training.target().bits()) * all.div_ceil(sums.rows());
    // Each row's selectors have errors of their own, of as many mask rows as digits at least.
    let mask_rows = rows * f64::from(sums.levels);
    let bound = noise::bound(set, Transport::Packed, mask_rows, results as f64);
    LeafNoise {
        path,
        of_row: of_row.deviation().get(),
        error: bound * summed.deviation().get() * f64::from(sums.count_bits).exp2(),
    }
}
