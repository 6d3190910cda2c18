//! Memory of an evaluation, and the order of steps that keeps to it.

use super::{Executable, Statistics, choices};
use crate::lower::ProgramStep;
use crate::schedule::{GROUP, Group, Schedule};
use cipherfn_circuit::CircuitError;
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::bootstrap::rotate::BATCH;
use cipherfn_scheme::fourier::c64;
use cipherfn_scheme::selectors::GgswShape;

/// The most memory for the selectors and values of one row that are there at once.
pub(super) const MAX_BYTES: u64 = 8 << 30;
/// The most that all its selectors would take: half a minute of expansion.
pub(super) const MAX_SELECTOR_BYTES: u64 = 48 << 30;
/// Times that the order of evaluation is cut anew until it keeps to the memory given.
const STREAMING_TRIES: u32 = 4;
/// Memory of a CMUX in program and schedule, rounded up.
const STEP_BYTES: usize = 256;
/// The same of a turn of a look-up, or of a factor.
const TURN_BYTES: usize = 32;

impl Executable {
    /// Schedules so that selectors are expanded as they are needed, in what the values leave of
    /// `memory`. That order can have more values at once than the one before: then with fewer
    /// selectors, and in the last try with the fewest.
    pub(super) fn stream_within(&mut self, memory: u64, values: u64) {
        let frame = self.frame_bytes().max(1);
        let mut frames = memory.saturating_sub(values) / frame;
        for tries in (0..STREAMING_TRIES).rev() {
            self.schedule = Schedule::streaming(&self.program, frames as usize);
            let excess = (self.value_bytes() + self.selector_bytes()).saturating_sub(memory);
            if excess == 0 || frames == 0 {
                break;
            }
            frames = match tries {
                1 => 0,
                _ => frames.saturating_sub(excess.div_ceil(frame)),
            };
        }
    }

    /// Memory of the values between steps, of those that are being packed, and of a batch of selectors
    /// that are made of numbers.
    pub(super) fn value_bytes(&self) -> u64 {
        let gadgets = choices::gadgets(&self.program);
        let selectors = gadgets
            .map(|gadget| self.ggsw_shape(gadget).ggsw_len())
            .max();
        let selectors = BATCH * selectors.unwrap_or_default();
        let packed = self.program.steps.iter().map(ProgramStep::packed).max();
        let values = self.schedule.slot_count + 2 * packed.unwrap_or_default();
        ((values * self.value_len() + selectors) * size_of::<c64>()) as u64
    }

    /// Memory of the selectors that are there at once.
    pub(super) fn selector_bytes(&self) -> u64 {
        match &self.schedule.streaming {
            Some(streaming) => streaming.frames as u64 * self.frame_bytes(),
            None => (0..self.groups.len())
                .filter_map(|input| self.groups[input].map(|(count, _)| (input, count)))
                .map(|(input, count)| self.ggsw_bytes(input) * u64::from(count))
                .sum(),
        }
    }

    /// Memory of the largest group of selectors that are expanded together.
    fn frame_bytes(&self) -> u64 {
        let inputs = (0..self.groups.len()).filter(|input| self.groups[*input].is_some());
        let largest = inputs.map(|input| self.ggsw_bytes(input)).max();
        largest.unwrap_or_default() * u64::from(GROUP)
    }

    fn ggsw_bytes(&self, input: usize) -> u64 {
        (self.shape(input).ggsw_len() * size_of::<c64>()) as u64
    }

    /// Dimensions of the selectors of an input.
    fn shape(&self, input: usize) -> GgswShape {
        let (_, gadget) = self.groups[input].expect("selectors are of a group");
        self.ggsw_shape(gadget)
    }

    const fn ggsw_shape(&self, gadget: Gadget) -> GgswShape {
        GgswShape {
            glwe_dimension: self.dimensions.glwe_dimension,
            polynomial_size: self.dimensions.polynomial_size,
            gadget,
        }
    }

    /// Dimensions and number of the selectors that are expanded together.
    pub(super) fn group_size(&self, group: Group) -> (GgswShape, usize) {
        let input = group.input as usize;
        let (count, _) = self.groups[input].expect("selectors are of a group");
        let count = (count - group.number * GROUP).min(GROUP);
        (self.shape(input), count as usize)
    }

    /// Selectors that a row expands.
    pub(super) fn expanded(&self) -> usize {
        match &self.schedule.streaming {
            Some(streaming) => {
                let loads = streaming.loads.iter().flatten();
                loads.map(|load| self.group_size(load.group).1).sum()
            }
            None => self
                .groups
                .iter()
                .flatten()
                .map(|(count, _)| *count as usize)
                .sum(),
        }
    }

    /// Bytes of memory that the prepared circuit takes: the transforms of its plaintexts, and steps
    /// of about [`STEP_BYTES`] a CMUX.
    pub(crate) fn memory_len(&self) -> usize {
        let monomials: usize = self
            .monomials
            .values()
            .map(|monomial| size_of_val(monomial.as_slice()))
            .sum();
        let Statistics { turns, factors, .. } = self.statistics;
        monomials
            + self.products.memory_len()
            + self.tables.memory_len()
            + (self.statistics.all_cmuxes() + self.statistics.choices) * STEP_BYTES
            + (turns + factors) * TURN_BYTES
    }
}

pub(super) fn bounded(bytes: u64, limit: u64) -> Result<(), CircuitError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(CircuitError::TooLarge {
        unit: "bytes of selectors and values",
        limit,
    })
}
