//! Levelled circuits on encrypted selectors.

use crate::kernel::{self, Component};
use crate::lower::{self, Form, Program, RowTerm, Term};
use crate::polynomial::Sparse;
use crate::schedule::{Block, Schedule};
use aligned_vec::{AVec, CACHELINE_ALIGN};
use cipherfn_circuit::circuit::{CircuitError, Dimensions, LevelledCircuit};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::Glwe;
use cipherfn_scheme::fourier::{TORUS, Transform, TransformScratch, c64};
use cipherfn_scheme::selectors::{FourierSelectors, GgswShape};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Memory for the selectors and values of one row.
const MAX_BYTES: u64 = 8 << 30;

/// Memory of a CMUX in program and schedule, rounded up.
const STEP_BYTES: usize = 256;

/// A levelled circuit with its steps, their order, and the transforms of its monomials.
#[derive(Debug)]
pub(crate) struct Levelled {
    dimensions: Dimensions,
    gadget: Gadget,
    selectors: usize,
    program: Program,
    schedule: Schedule,
    transform: Transform,
    /// Transforms of X^p for every p that a term or a constant needs.
    monomials: HashMap<u32, AVec<c64>>,
}

/// Memory of one evaluation.
#[derive(Default)]
pub(crate) struct Values {
    slots: Vec<RwLock<AVec<c64>>>,
    scratch: Mutex<Vec<Scratch>>,
}

/// What the evaluation of a circuit consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// CMUXes of ciphertexts: (levels + 1)(k + 1) transforms each.
    pub cmuxes: usize,
    /// CMUXes of plaintexts that differ in one coefficient: no transform.
    pub scalar_cmuxes: usize,
    /// CMUXes of plaintexts that differ in several coefficients: a transform a level.
    pub polynomial_cmuxes: usize,
    /// Values that are written to memory.
    pub values: usize,
    /// Values that live at once.
    pub live_values: usize,
    /// Memory of selectors and values, in bytes.
    pub bytes: u64,
}

/// Working memory of one thread.
struct Scratch {
    difference: AVec<c64>,
    working: Working,
}

struct Working {
    digits: AVec<c64>,
    fft: TransformScratch,
}

impl Levelled {
    /// Prepares a checked circuit.
    pub(crate) fn new(
        circuit: &LevelledCircuit,
        dimensions: Dimensions,
    ) -> Result<Self, CircuitError> {
        let program = lower::lower(circuit, dimensions.polynomial_size)?;
        let schedule = Schedule::new(&program);
        let transform = Transform::new(dimensions.polynomial_size);
        let monomials = monomials(&program, &transform);
        let (gadget, selectors) = (circuit.gadget, circuit.selectors as usize);
        let levelled = Self {
            dimensions,
            gadget,
            selectors,
            program,
            schedule,
            transform,
            monomials,
        };
        if levelled.statistics().bytes > MAX_BYTES {
            return Err(CircuitError::TooLarge {
                unit: "bytes of selectors and values",
                limit: MAX_BYTES,
            });
        }
        Ok(levelled)
    }

    /// Dimensions of the selectors.
    pub(crate) fn selector_shape(&self) -> GgswShape {
        let Dimensions {
            glwe_dimension,
            polynomial_size,
        } = self.dimensions;
        GgswShape {
            glwe_dimension,
            polynomial_size,
            gadget: self.gadget,
        }
    }

    /// Bytes of memory that the prepared circuit takes: the transforms of its monomials, and steps
    /// of about [`STEP_BYTES`] a CMUX.
    pub(crate) fn memory_len(&self) -> usize {
        let Statistics {
            cmuxes,
            scalar_cmuxes,
            polynomial_cmuxes,
            ..
        } = self.statistics();
        let monomials: usize = self
            .monomials
            .values()
            .map(|monomial| size_of_val(monomial.as_slice()))
            .sum();
        monomials + (cmuxes + scalar_cmuxes + polynomial_cmuxes) * STEP_BYTES
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let mut statistics = Statistics {
            values: self.program.steps.len(),
            live_values: self.schedule.slot_count,
            ..Statistics::default()
        };
        for step in &self.program.steps {
            statistics.cmuxes += step.products.len();
            for form in std::iter::once(&step.linear)
                .chain(step.products.iter().map(|product| &product.difference))
            {
                let scalar = form
                    .rows
                    .iter()
                    .filter(|row| row.plaintext.len() == 1)
                    .count();
                statistics.scalar_cmuxes += scalar;
                statistics.polynomial_cmuxes += form.rows.len() - scalar;
            }
        }
        let complex = self.selectors as u64 * self.selector_shape().ggsw_len() as u64
            + (self.schedule.slot_count * self.value_len()) as u64;
        statistics.bytes = complex * size_of::<c64>() as u64;
        statistics
    }

    /// Evaluates on one row's selectors; with `parallel`, on the threads of the current rayon pool.
    /// The result does not depend on their number.
    pub(crate) fn evaluate(
        &self,
        selectors: &FourierSelectors,
        values: &mut Values,
        out: &mut Glwe,
        parallel: bool,
    ) {
        assert!(
            selectors.shape() == self.selector_shape() && selectors.len() == self.selectors,
            "selectors of this circuit"
        );
        self.fit(values);
        let parallel = parallel && rayon::current_num_threads() > 1;
        for stage in &self.schedule.stages {
            if parallel && stage.len() > 1 {
                stage
                    .par_iter()
                    .for_each(|block| self.evaluate_block(block, selectors, values));
            } else {
                for block in stage {
                    self.evaluate_block(block, selectors, values);
                }
            }
        }
        self.extract(values, out);
    }

    fn value_len(&self) -> usize {
        (self.dimensions.glwe_dimension + 1) * self.transform.fourier_size()
    }

    fn evaluate_block(&self, block: &Block, selectors: &FourierSelectors, values: &Values) {
        let mut scratch = values.take_scratch(|| self.scratch());
        for step in &block.steps {
            let mut out = self.write(values, *step);
            self.set_form(
                &mut out,
                &self.program.steps[*step as usize].linear,
                selectors,
                values,
                &mut scratch.working,
            );
        }
        for (step, product) in &block.products {
            let product = &self.program.steps[*step as usize].products[*product as usize];
            let Scratch {
                difference,
                working,
            } = &mut scratch;
            self.set_form(difference, &product.difference, selectors, values, working);
            self.decompose(difference, &product.constant, working);
            let mut out = self.write(values, *step);
            kernel::add_products(
                &mut out,
                selectors.ggsw(product.selector as usize),
                &working.digits,
                self.transform.fourier_size(),
            );
        }
        values.return_scratch(scratch);
    }

    /// Transforms of the gadget digits of `difference + constant`, into `working`; `difference` is
    /// used up.
    fn decompose(&self, difference: &mut [c64], constant: &Sparse, working: &mut Working) {
        let size = self.transform.fourier_size();
        let count = self.dimensions.glwe_dimension + 1;
        for (index, polynomial) in difference.chunks_exact_mut(size).enumerate() {
            self.transform.inverse_twisted(polynomial, &mut working.fft);
            if index + 1 == count {
                for (position, value) in constant.coefficients() {
                    let (at, turn) = self.folded(*position);
                    polynomial[at] += turn * (*value as i64 as f64 / TORUS * size as f64);
                }
            }
            kernel::decompose(
                &mut working.digits,
                polynomial,
                Component { index, count },
                self.gadget,
                &self.transform,
            );
        }
        for polynomial in working.digits.chunks_exact_mut(size) {
            self.transform.forward_twisted(polynomial, &mut working.fft);
        }
    }

    /// `out = form`.
    fn set_form(
        &self,
        out: &mut [c64],
        form: &Form,
        selectors: &FourierSelectors,
        values: &Values,
        working: &mut Working,
    ) {
        let rest = if let Some((Term { step, rotation: 0 }, rest)) = form.terms.split_first() {
            out.copy_from_slice(&self.read(values, *step));
            rest
        } else {
            out.fill(c64::new(0.0, 0.0));
            &form.terms
        };
        let size = self.dimensions.polynomial_size as u32;
        for term in rest {
            let (value, negated) = (self.read(values, term.step), term.rotation >= size);
            match term.rotation % size {
                0 => kernel::add(out, &value, negated),
                shift => kernel::add_rotated(out, &value, &self.monomials[&shift], negated),
            }
        }
        for row in &form.rows {
            self.add_row(out, row, selectors, working);
        }
    }

    /// `out += selector (.) plaintext`: a plaintext has no mask, so only the body rows of each
    /// level take part.
    fn add_row(
        &self,
        out: &mut [c64],
        row: &RowTerm,
        selectors: &FourierSelectors,
        working: &mut Working,
    ) {
        let levels = self.gadget.levels as usize;
        let size = self.transform.fourier_size();
        let body_row =
            |level| selectors.row(row.selector as usize, level, self.dimensions.glwe_dimension);
        let mut digits = [0.0; 64];
        if let [(position, value)] = row.plaintext.coefficients() {
            digits
                .iter_mut()
                .zip(kernel::scalar_digits(*value, self.gadget))
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
                .zip(kernel::scalar_digits(*value, self.gadget))
            {
                polynomial[at] += turn * digit;
            }
        }
        for (level, polynomial) in polynomials.chunks_exact_mut(size).enumerate() {
            self.transform.forward_twisted(polynomial, &mut working.fft);
            kernel::add_products(out, body_row(level), polynomial, size);
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

    fn extract(&self, values: &Values, out: &mut Glwe) {
        let size = self.dimensions.polynomial_size;
        out.mask.resize(self.dimensions.glwe_dimension * size, 0);
        out.body.resize(size, 0);
        if let Some(step) = self.program.result {
            let mut scratch = values.take_scratch(|| self.scratch());
            scratch.difference.copy_from_slice(&self.read(values, step));
            let polynomials = out
                .mask
                .chunks_exact_mut(size)
                .chain([out.body.as_mut_slice()]);
            for (out, value) in polynomials.zip(
                scratch
                    .difference
                    .chunks_exact_mut(self.transform.fourier_size()),
            ) {
                self.transform
                    .backward_torus_in_place(out, value, &mut scratch.working.fft);
            }
            values.return_scratch(scratch);
        } else {
            out.mask.fill(0);
            out.body.fill(0);
        }
        for (position, value) in self.program.constant.coefficients() {
            out.body[*position as usize] = out.body[*position as usize].wrapping_add(*value);
        }
    }

    /// Makes `values` large enough, once a circuit.
    fn fit(&self, values: &mut Values) {
        let len = self.value_len();
        if values
            .slots
            .iter_mut()
            .any(|slot| slot.get_mut().unwrap_or_else(PoisonError::into_inner).len() != len)
        {
            values.slots.clear();
        }
        values
            .slots
            .resize_with(self.schedule.slot_count, || RwLock::new(zeroed(len)));
        let digits = len * self.gadget.levels as usize;
        values
            .scratch
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|scratch| {
                scratch.working.digits.len() == digits && scratch.difference.len() == len
            });
    }

    fn scratch(&self) -> Scratch {
        let len = self.value_len();
        let working = Working {
            digits: zeroed(len * self.gadget.levels as usize),
            fft: self.transform.scratch(),
        };
        Scratch {
            difference: zeroed(len),
            working,
        }
    }

    fn read<'a>(&self, values: &'a Values, step: u32) -> RwLockReadGuard<'a, AVec<c64>> {
        values.slots[self.schedule.slots[step as usize] as usize]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write<'a>(&self, values: &'a Values, step: u32) -> RwLockWriteGuard<'a, AVec<c64>> {
        values.slots[self.schedule.slots[step as usize] as usize]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    fn take_scratch(&self, make: impl FnOnce() -> Scratch) -> Scratch {
        self.scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_else(make)
    }

    fn return_scratch(&self, scratch: Scratch) {
        self.scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(scratch);
    }
}

fn zeroed(len: usize) -> AVec<c64> {
    AVec::from_iter(
        CACHELINE_ALIGN,
        std::iter::repeat_n(c64::new(0.0, 0.0), len),
    )
}

fn monomials(program: &Program, transform: &Transform) -> HashMap<u32, AVec<c64>> {
    let size = transform.polynomial_size() as u32;
    let mut scratch = transform.scratch();
    let mut monomials = HashMap::new();
    let forms = program.steps.iter().flat_map(|step| {
        std::iter::once(&step.linear).chain(step.products.iter().map(|product| &product.difference))
    });
    for form in forms {
        let turned = form.terms.iter().map(|term| term.rotation % size);
        let placed = form
            .rows
            .iter()
            .filter_map(|row| match row.plaintext.coefficients() {
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
