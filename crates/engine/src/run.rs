//! The steps of a circuit on the ciphertexts of one row.

mod bootstraps;
mod choices;
mod forms;
mod lookups;
mod memory;
mod sizes;
mod statistics;
mod weights;

pub(crate) use bootstraps::BootstrapInput;
pub use memory::SharedTables;
pub(crate) use memory::{Expanded, Frames, Values};
pub use statistics::Statistics;
pub use weights::MAX_WEIGHT_BYTES;

use crate::lower::{self, CombinationStep, Program, ProgramStep, SumStep, TurnStep};
use crate::schedule::{Block, GROUP, SEGMENTS, Schedule, Stage};
use aligned_vec::AVec;
use cipherfn_circuit::circuit::{Carrier, Circuit, Input, InputId, SelectorId};
use cipherfn_circuit::{CircuitError, Dimensions};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::Glwe;
use cipherfn_scheme::bootstrap::rotate::BATCH;
use cipherfn_scheme::bootstrap::{Levelled, Lwe};
use cipherfn_scheme::carriers::FourierCarriers;
use cipherfn_scheme::external::add_products;
use cipherfn_scheme::fourier::{Transform, c64};
use cipherfn_scheme::parameters::Ring;
use cipherfn_scheme::selectors::FourierSelectors;
use lookups::Tables;
use memory::{Scratch, Working, zeroed};
use rayon::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use weights::WeightProducts;

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
        let levels = groups.iter().flatten().map(|(_, gadget)| *gadget);
        let levels = levels.chain(choices::gadgets(&program));
        let levels = levels.map(|gadget| gadget.levels).max();
        let count = groups.iter().flatten().map(|(count, _)| *count as usize);
        let count = count.sum();
        let mut executable = Self {
            dimensions,
            levels: levels.map_or(1, |levels| levels.get() as usize),
            groups,
            monomials: forms::monomials(&program, &transform),
            statistics: Statistics::of(&program),
            schedule: Schedule::new(&program, SEGMENTS[0], count),
            tables: Tables::new(circuit, &program),
            program,
            products,
            transform,
        };
        let selectors = executable.selector_bytes();
        sizes::bounded(selectors, sizes::MAX_SELECTOR_BYTES)?;
        if executable.value_bytes().saturating_add(selectors) > memory {
            executable.schedule = Schedule::new(&executable.program, SEGMENTS[1], count);
        }
        let values = executable.value_bytes();
        if values.saturating_add(selectors) > memory {
            executable.stream_within(memory, values);
        }
        let bytes = executable.value_bytes() + executable.selector_bytes();
        sizes::bounded(bytes, sizes::MAX_BYTES)?;
        executable.statistics.expanded = executable.expanded();
        executable.statistics.live_values = executable.schedule.slot_count;
        executable.statistics.bytes = bytes;
        Ok(executable)
    }

    /// Whether selectors are expanded as they are needed.
    pub(crate) const fn is_streaming(&self) -> bool {
        self.schedule.streaming.is_some()
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
                Stage::Choices(steps) if parallel => steps
                    .par_chunks(steps.len().div_ceil(threads).min(BATCH))
                    .try_for_each(|batch| self.choose(batch, row, key))?,
                Stage::Choices(steps) => steps
                    .chunks(BATCH)
                    .try_for_each(|batch| self.choose(batch, row, key))?,
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
                    let product = (&external.difference, &external.constant);
                    let digits = self.decompose(product, gadget, row, scratch);
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
            ProgramStep::Bootstrap(_) | ProgramStep::Choice(_) => {
                unreachable!("bootstraps are a stage of their own")
            }
            ProgramStep::Pack(pack) => {
                let packed = self.pack(pack, row, scratch, key)?;
                self.take(&mut out(), &packed, scratch);
            }
        }
        Ok(())
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

    /// Selectors that say which numbers are not negative.
    fn select(
        &self,
        gadget: Gadget,
        numbers: &[Lwe<Levelled>],
    ) -> Result<FourierSelectors, Self::Error>;

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
