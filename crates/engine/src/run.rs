//! The steps of a circuit on the ciphertexts of one row.

mod bootstraps;
mod lookups;
mod memory;
mod statistics;
mod weights;

pub(crate) use bootstraps::BootstrapInput;
pub use memory::SharedTables;
pub(crate) use memory::{Expanded, Frames, Values};
pub use statistics::Statistics;
pub use weights::MAX_WEIGHT_BYTES;

use crate::kernel;
use crate::lower::{
    self, CombinationStep, External, Form, Outcome, Program, ProgramStep, RowTerm, SumStep, Term,
    TurnStep,
};
use crate::schedule::{Block, GROUP, Group, SEGMENTS, Schedule, Stage};
use aligned_vec::AVec;
use cipherfn_circuit::circuit::{Carrier, Circuit, Input, InputId, SelectorId};
use cipherfn_circuit::{CircuitError, Dimensions};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::Glwe;
use cipherfn_scheme::bootstrap::rotate::BATCH;
use cipherfn_scheme::carriers::FourierCarriers;
use cipherfn_scheme::external::{Component, add_products, decompose, scalar_digits};
use cipherfn_scheme::fourier::{TORUS, Transform, c64};
use cipherfn_scheme::parameters::Ring;
use cipherfn_scheme::selectors::{FourierSelectors, GgswShape};
use lookups::Tables;
use memory::{Scratch, Working, zeroed};
use rayon::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use weights::WeightProducts;

/// The most memory for the selectors and values of one row that are there at once.
const MAX_BYTES: u64 = 8 << 30;
/// The most that all its selectors would take: half a minute of expansion.
const MAX_SELECTOR_BYTES: u64 = 48 << 30;
/// Times that the order of evaluation is cut anew until it keeps to the memory given.
const STREAMING_TRIES: u32 = 4;
/// Memory of a CMUX in program and schedule, rounded up.
const STEP_BYTES: usize = 256;
/// The same of a turn of a look-up, or of a factor.
const TURN_BYTES: usize = 32;

/// A circuit's steps, their order, and the transforms of its plaintexts.
#[derive(Debug)]
pub(crate) struct Executable {
    dimensions: Dimensions,
    /// One an input that is a group of selectors: their number, and their gadget.
    groups: Vec<Option<(u32, Gadget)>>,
    /// The most levels of a gadget, at least 1.
    levels: usize,
    program: Program,
    schedule: Schedule,
    products: WeightProducts,
    tables: Tables,
    transform: Transform,
    /// Transforms of X^p for every p that a term or a constant needs.
    monomials: HashMap<u32, AVec<c64>>,
    statistics: Statistics,
}

impl Executable {
    /// Prepares a checked circuit. Its selectors and values take at most `memory` bytes if
    /// they can: selectors are expanded anew each time that they are needed, if there is no room to
    /// keep them.
    pub(crate) fn new(
        circuit: &Circuit,
        dimensions: Dimensions,
        memory: u64,
    ) -> Result<Self, CircuitError> {
        let transform = Transform::new(dimensions.polynomial_size);
        let products = WeightProducts::new(circuit, &transform)?;
        let program = lower::lower(circuit, dimensions)?;
        let groups: Vec<Option<(u32, Gadget)>> = circuit.inputs.iter().map(group).collect();
        let levels = groups.iter().flatten().map(|(_, gadget)| gadget.levels);
        let count = groups.iter().flatten().map(|(count, _)| *count as usize);
        let count = count.sum();
        let mut executable = Self {
            dimensions,
            levels: levels.max().map_or(1, |levels| levels.get() as usize),
            groups,
            monomials: monomials(&program, &transform),
            statistics: Statistics::of(&program),
            schedule: Schedule::new(&program, SEGMENTS[0], count),
            tables: Tables::new(circuit, &program),
            program,
            products,
            transform,
        };
        let selectors = executable.selector_bytes();
        bounded(selectors, MAX_SELECTOR_BYTES)?;
        if executable.value_bytes().saturating_add(selectors) > memory {
            executable.schedule = Schedule::new(&executable.program, SEGMENTS[1], count);
        }
        let values = executable.value_bytes();
        if values.saturating_add(selectors) > memory {
            executable.stream_within(memory, values);
        }
        let bytes = executable.value_bytes() + executable.selector_bytes();
        bounded(bytes, MAX_BYTES)?;
        executable.statistics.expanded = executable.expanded();
        executable.statistics.live_values = executable.schedule.slot_count;
        executable.statistics.bytes = bytes;
        Ok(executable)
    }

    /// Schedules so that selectors are expanded as they are needed, in what the values leave of
    /// `memory`. That order can have more values at once than the one before: then with fewer
    /// selectors, and in the last try with the fewest.
    fn stream_within(&mut self, memory: u64, values: u64) {
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

    /// Whether selectors are expanded as they are needed.
    pub(crate) const fn is_streaming(&self) -> bool {
        self.schedule.streaming.is_some()
    }

    /// Memory of the values between steps, and of those that are being packed.
    fn value_bytes(&self) -> u64 {
        let packed = self.program.steps.iter().map(ProgramStep::packed).max();
        let values = self.schedule.slot_count + 2 * packed.unwrap_or_default();
        (values * self.value_len() * size_of::<c64>()) as u64
    }

    /// Memory of the selectors that are there at once.
    fn selector_bytes(&self) -> u64 {
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
        GgswShape {
            glwe_dimension: self.dimensions.glwe_dimension,
            polynomial_size: self.dimensions.polynomial_size,
            gadget,
        }
    }

    /// Dimensions and number of the selectors that are expanded together.
    fn group_size(&self, group: Group) -> (GgswShape, usize) {
        let input = group.input as usize;
        let (count, _) = self.groups[input].expect("selectors are of a group");
        let count = (count - group.number * GROUP).min(GROUP);
        (self.shape(input), count as usize)
    }

    /// Selectors that a row expands.
    fn expanded(&self) -> usize {
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
            + self.statistics.all_cmuxes() * STEP_BYTES
            + (turns + factors) * TURN_BYTES
    }

    pub(crate) const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Evaluates on one row's inputs, a result an output; with `parallel`, on the threads of the
    /// current rayon pool. The results depend neither on their number nor on what is in memory
    /// when. Returns how long selectors were expanded.
    pub(crate) fn evaluate<K: KeyWork>(
        &self,
        inputs: &[Expanded],
        tables: &SharedTables,
        memory: RowMemory<'_>,
        parallel: bool,
        key: &K,
    ) -> Result<Duration, K::Error> {
        let RowMemory {
            frames,
            values,
            results,
        } = memory;
        let len = self.value_len();
        values.fit(self.schedule.slot_count, len, len * self.levels);
        let streaming = self.schedule.streaming.as_ref();
        frames.fit(streaming.map_or(0, |streaming| streaming.frames));
        let threads = rayon::current_num_threads();
        let parallel = parallel && threads > 1;
        let mut expanding = Duration::ZERO;
        for (index, stage) in self.schedule.stages.iter().enumerate() {
            if let Some(streaming) = streaming {
                let start = Instant::now();
                frames.load(
                    &streaming.loads[index],
                    parallel,
                    |group| self.group_size(group),
                    |group, out| {
                        key.expand(group.input as usize, (group.number * GROUP) as usize, out)
                    },
                )?;
                expanding += start.elapsed();
            }
            let row = RowContext {
                inputs,
                tables,
                frames,
                values,
            };
            match stage {
                Stage::Blocks(blocks) if parallel && blocks.len() > 1 => blocks
                    .par_iter()
                    .try_for_each(|block| self.evaluate_block(block, row, key))?,
                Stage::Blocks(blocks) => blocks
                    .iter()
                    .try_for_each(|block| self.evaluate_block(block, row, key))?,
                Stage::Bootstraps(steps) if parallel => steps
                    .par_chunks(steps.len().div_ceil(threads).min(BATCH))
                    .try_for_each(|batch| self.bootstrap(batch, row, key))?,
                Stage::Bootstraps(steps) => steps
                    .chunks(BATCH)
                    .try_for_each(|batch| self.bootstrap(batch, row, key))?,
            }
        }
        results.resize_with(self.program.results.len(), Glwe::default);
        for (index, (result, out)) in self.program.results.iter().zip(results).enumerate() {
            let again = self.program.results[index + 1..]
                .iter()
                .any(|later| later.step == result.step);
            self.extract(result, again, values, out);
        }
        Ok(expanding)
    }

    /// The ciphertexts of a feature vector, transformed once for all products.
    pub(crate) fn carriers(&self, ring: &Ring, ciphertexts: &[Glwe]) -> FourierCarriers {
        FourierCarriers::transformed(ring, ciphertexts, &self.transform)
    }

    fn value_len(&self) -> usize {
        (self.dimensions.glwe_dimension + 1) * self.transform.fourier_size()
    }

    fn slot(&self, step: u32) -> u32 {
        self.schedule.slots[step as usize]
    }

    fn gadget(&self, selector: SelectorId) -> Gadget {
        let group = self.groups[selector.input.index()];
        group.expect("checked: selectors are of a group").1
    }

    fn evaluate_block<K: KeyWork>(
        &self,
        block: &Block,
        row: RowContext<'_>,
        key: &K,
    ) -> Result<(), K::Error> {
        let values = row.values;
        values.with_scratch(
            || self.scratch(),
            |scratch| {
                for step in &block.steps {
                    self.start_step(*step, row, scratch, key)?;
                }
                for (step, external) in &block.externals {
                    let external =
                        &self.program.steps[*step as usize].externals()[*external as usize];
                    let gadget = self.gadget(external.selector);
                    let digits = self.decompose(external, gadget, row, scratch);
                    let (selectors, index) = row.selectors(external.selector);
                    add_products(
                        &mut values.write(self.slot(*step)),
                        selectors.ggsw(index),
                        digits,
                        self.transform.fourier_size(),
                    );
                }
                self.turn(block, row, scratch);
                Ok(())
            },
        )
    }

    /// All of a step but its external products and its turns.
    fn start_step<K: KeyWork>(
        &self,
        step: u32,
        row: RowContext<'_>,
        scratch: &mut Scratch,
        key: &K,
    ) -> Result<(), K::Error> {
        let out = || row.values.write(self.slot(step));
        match &self.program.steps[step as usize] {
            ProgramStep::Sum(SumStep { linear, .. }) => {
                self.set_form(&mut out(), linear, row, &mut scratch.working);
            }
            ProgramStep::Product(node) => {
                let weights = self.products.get(*node);
                weights.multiply(&mut out(), row.features(weights.input));
            }
            ProgramStep::Turn(TurnStep { start, .. }) => {
                self.start_turning(out, start, row, scratch);
            }
            ProgramStep::Carrier(carrier) => out().copy_from_slice(row.carrier(*carrier)),
            ProgramStep::Combination(CombinationStep(factors)) => {
                self.combine(&mut out(), factors, row, &mut scratch.difference);
            }
            ProgramStep::Bootstrap(_) => unreachable!("bootstraps are a stage of their own"),
            ProgramStep::Pack(pack) => {
                let packed = self.pack(pack, row, scratch, key)?;
                self.take(&mut out(), &packed, scratch);
            }
        }
        Ok(())
    }

    /// Transforms of the gadget digits of `difference + constant`.
    fn decompose<'a>(
        &self,
        external: &External,
        gadget: Gadget,
        row: RowContext<'_>,
        scratch: &'a mut Scratch,
    ) -> &'a [c64] {
        let Scratch {
            difference,
            working,
        } = scratch;
        self.set_form(difference, &external.difference, row, working);
        let size = self.transform.fourier_size();
        let count = self.dimensions.glwe_dimension + 1;
        let digits = &mut working.digits[..difference.len() * gadget.levels.get() as usize];
        for (index, polynomial) in difference.chunks_exact_mut(size).enumerate() {
            self.transform.inverse_twisted(polynomial, &mut working.fft);
            if index + 1 == count {
                for (position, value) in external.constant.coefficients() {
                    let (at, turn) = self.folded(*position);
                    polynomial[at] += turn * (*value as i64 as f64 / TORUS * size as f64);
                }
            }
            decompose(
                digits,
                polynomial,
                Component { index, count },
                gadget,
                &self.transform,
            );
        }
        for polynomial in digits.chunks_exact_mut(size) {
            self.transform.forward_twisted(polynomial, &mut working.fft);
        }
        digits
    }

    /// `out = form`.
    fn set_form(&self, out: &mut [c64], form: &Form, row: RowContext<'_>, working: &mut Working) {
        let read = |step| row.values.read(self.slot(step));
        let rest = if let Some((Term { step, rotation: 0 }, rest)) = form.terms.split_first() {
            out.copy_from_slice(&read(*step));
            rest
        } else {
            out.fill(c64::new(0.0, 0.0));
            &form.terms
        };
        for term in rest {
            self.add_term(out, *term, row.values);
        }
        for term in &form.rows {
            self.add_row(out, term, row.selectors(term.selector), working);
        }
    }

    /// `out += term`.
    fn add_term(&self, out: &mut [c64], term: Term, values: &Values) {
        let size = self.dimensions.polynomial_size as u32;
        let (value, negated) = (values.read(self.slot(term.step)), term.rotation >= size);
        match term.rotation % size {
            0 => kernel::add(out, &value, negated),
            shift => kernel::add_rotated(out, &value, &self.monomials[&shift], negated),
        }
    }

    /// `out += selector (.) plaintext`: a plaintext has no mask, so only the body rows of each
    /// level take part.
    fn add_row(
        &self,
        out: &mut [c64],
        row: &RowTerm,
        (selectors, index): (&FourierSelectors, usize),
        working: &mut Working,
    ) {
        let gadget = self.gadget(row.selector);
        let levels = gadget.levels.get() as usize;
        let size = self.transform.fourier_size();
        let body_row = |level| selectors.row(index, level, self.dimensions.glwe_dimension);
        let mut digits = [0.0; 64];
        if let [(position, value)] = row.plaintext.coefficients() {
            digits
                .iter_mut()
                .zip(scalar_digits(*value, gadget))
                .for_each(|(slot, digit)| *slot = digit);
            let digits = &digits[..levels];
            if *position == 0 {
                return kernel::add_scaled_rows(out, (0..levels).map(body_row), digits);
            }
            let turned = &mut working.digits[..out.len()];
            turned.fill(c64::new(0.0, 0.0));
            kernel::add_scaled_rows(turned, (0..levels).map(body_row), digits);
            return kernel::add_rotated(out, turned, &self.monomials[position], false);
        }
        let polynomials = &mut working.digits[..levels * size];
        polynomials.fill(c64::new(0.0, 0.0));
        for (position, value) in row.plaintext.coefficients() {
            let (at, turn) = self.folded(*position);
            for (polynomial, digit) in polynomials
                .chunks_exact_mut(size)
                .zip(scalar_digits(*value, gadget))
            {
                polynomial[at] += turn * digit;
            }
        }
        for (level, polynomial) in polynomials.chunks_exact_mut(size).enumerate() {
            self.transform.forward_twisted(polynomial, &mut working.fft);
            add_products(out, body_row(level), polynomial, size);
        }
    }

    /// Index and factor of a coefficient in a folded, twisted polynomial.
    fn folded(&self, position: u32) -> (usize, c64) {
        let (position, size) = (position as usize, self.transform.fourier_size());
        let twist = self.transform.twist();
        if position < size {
            (position, twist[position])
        } else {
            (position - size, c64::new(0.0, 1.0) * twist[position - size])
        }
    }

    /// Brings a result back from the Fourier domain: in its own memory, unless it is wanted `again`.
    fn extract(&self, result: &Outcome, again: bool, values: &Values, out: &mut Glwe) {
        if let Some(step) = result.step {
            let slot = self.slot(step);
            values.with_scratch(
                || self.scratch(),
                |Scratch {
                     difference,
                     working,
                 }| {
                    if again {
                        difference.copy_from_slice(&values.read(slot));
                        self.bring_back(difference, out, working);
                    } else {
                        self.bring_back(&mut values.write(slot), out, working);
                    }
                },
            );
        } else {
            let size = self.dimensions.polynomial_size;
            out.mask.clear();
            out.mask.resize(self.dimensions.glwe_dimension * size, 0);
            out.body.clear();
            out.body.resize(size, 0);
        }
        for (position, value) in result.constant.coefficients() {
            out.body[*position as usize] = out.body[*position as usize].wrapping_add(*value);
        }
    }

    fn bring_back(&self, value: &mut [c64], out: &mut Glwe, working: &mut Working) {
        out.mask.resize(
            self.dimensions.glwe_dimension * self.dimensions.polynomial_size,
            0,
        );
        out.body.resize(self.dimensions.polynomial_size, 0);
        let polynomials = out
            .mask
            .chunks_exact_mut(self.dimensions.polynomial_size)
            .chain([out.body.as_mut_slice()]);
        for (out, value) in polynomials.zip(value.chunks_exact_mut(self.transform.fourier_size())) {
            self.transform
                .backward_torus_in_place(out, value, &mut working.fft);
        }
    }

    fn scratch(&self) -> Scratch {
        let len = self.value_len();
        let working = Working {
            digits: zeroed(len * self.levels),
            fft: self.transform.scratch(),
        };
        Scratch {
            difference: zeroed(len),
            working,
        }
    }
}

/// What takes the evaluation key, for one row.
pub(crate) trait KeyWork: Sync {
    type Error: Send;

    /// Expands selectors of an input from `first` on, as many as `out` has room for.
    fn expand(
        &self,
        input: usize,
        first: usize,
        out: &mut FourierSelectors,
    ) -> Result<(), Self::Error>;

    /// The tables' entries at numbers, as constant coefficients.
    fn bootstrap(&self, numbers: &[BootstrapInput<'_>]) -> Result<Vec<Glwe>, Self::Error>;

    /// Packs the coefficients of ciphertexts at multiples of 2^`levels`.
    fn pack(&self, levels: u32, items: &[Option<Glwe>]) -> Result<Glwe, Self::Error>;
}

/// What the steps of one row read.
#[derive(Clone, Copy)]
struct RowContext<'a> {
    inputs: &'a [Expanded],
    tables: &'a SharedTables,
    frames: &'a Frames,
    values: &'a Values,
}

/// Memory of one row's evaluation, and where its results go.
pub(crate) struct RowMemory<'a> {
    pub(crate) frames: &'a mut Frames,
    pub(crate) values: &'a mut Values,
    pub(crate) results: &'a mut Vec<Glwe>,
}

impl<'a> RowContext<'a> {
    /// The selectors among which this one is, and its place.
    fn selectors(self, selector: SelectorId) -> (&'a FourierSelectors, usize) {
        match &self.inputs[selector.input.index()] {
            Expanded::Selectors(selectors) => (selectors, selector.index as usize),
            Expanded::Streamed => self.frames.find(selector),
            _ => unreachable!("checked: selectors are of a group"),
        }
    }

    fn carrier(self, carrier: Carrier) -> &'a [c64] {
        let index = carrier.index as usize;
        match &self.inputs[carrier.input.index()] {
            Expanded::Values(carriers) => carriers.get(index),
            Expanded::Tables(number) => self.tables.0[*number].get(index),
            _ => unreachable!("checked: carriers are of values or tables"),
        }
    }

    fn features(self, input: InputId) -> &'a FourierCarriers {
        match &self.inputs[input.index()] {
            Expanded::Features(ciphertexts) => ciphertexts,
            _ => unreachable!("checked: a product is of a feature vector"),
        }
    }
}

fn group(input: &Input) -> Option<(u32, Gadget)> {
    match input {
        Input::Selectors(group) => Some((group.count, group.gadget)),
        Input::Features(_) | Input::Values(_) | Input::Tables(_) => None,
    }
}

fn bounded(bytes: u64, limit: u64) -> Result<(), CircuitError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(CircuitError::TooLarge {
        unit: "bytes of selectors and values",
        limit,
    })
}

fn monomials(program: &Program, transform: &Transform) -> HashMap<u32, AVec<c64>> {
    let size = transform.polynomial_size() as u32;
    let mut scratch = transform.scratch();
    let mut monomials = HashMap::new();
    for step in &program.steps {
        let turned = step.terms().map(|term| term.rotation % size);
        let rows = step.forms().flat_map(|form| &form.rows);
        let placed = rows.filter_map(|row| match row.plaintext.coefficients() {
            [(position, _)] => Some(*position),
            _ => None,
        });
        for shift in turned.chain(placed).filter(|shift| *shift != 0) {
            monomials.entry(shift).or_insert_with(|| {
                let mut coefficients = vec![0; size as usize];
                coefficients[shift as usize] = 1;
                let mut out = zeroed(transform.fourier_size());
                transform.forward_integer(&mut out, &coefficients, &mut scratch);
                out
            });
        }
    }
    monomials
}
