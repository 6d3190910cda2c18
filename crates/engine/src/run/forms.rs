//! Linear forms of values and selector rows, and what is brought back of them from the Fourier domain.

use super::memory::{Scratch, Working, zeroed};
use super::{Executable, RowContext, Values};
use crate::kernel;
use crate::lower::{Form, Outcome, Program, RowTerm, Term};
use crate::polynomial::Sparse;
use aligned_vec::AVec;
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::Glwe;
use cipherfn_scheme::external::{Component, add_products, decompose, scalar_digits};
use cipherfn_scheme::fourier::{TORUS, Transform, c64};
use cipherfn_scheme::selectors::FourierSelectors;
use std::collections::HashMap;

impl Executable {
    /// Transforms of the gadget digits of `form + constant`.
    pub(super) fn decompose<'a>(
        &self,
        (form, constant): (&Form, &Sparse),
        gadget: Gadget,
        row: RowContext<'_>,
        scratch: &'a mut Scratch,
    ) -> &'a [c64] {
        let Scratch {
            difference,
            working,
        } = scratch;
        self.set_form(difference, form, row, working);
        let size = self.transform.fourier_size();
        let count = self.dimensions.glwe_dimension + 1;
        let digits = &mut working.digits[..difference.len() * gadget.levels.get() as usize];
        for (index, polynomial) in difference.chunks_exact_mut(size).enumerate() {
            self.transform.inverse_twisted(polynomial, &mut working.fft);
            if index + 1 == count {
                for (position, value) in constant.coefficients() {
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
    pub(super) fn set_form(
        &self,
        out: &mut [c64],
        form: &Form,
        row: RowContext<'_>,
        working: &mut Working,
    ) {
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
    pub(super) fn add_term(&self, out: &mut [c64], term: Term, values: &Values) {
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
    pub(super) fn folded(&self, position: u32) -> (usize, c64) {
        let (position, size) = (position as usize, self.transform.fourier_size());
        let twist = self.transform.twist();
        if position < size {
            (position, twist[position])
        } else {
            (position - size, c64::new(0.0, 1.0) * twist[position - size])
        }
    }

    /// Brings a result back from the Fourier domain: in its own memory, unless it is wanted `again`.
    pub(super) fn extract(&self, result: &Outcome, again: bool, values: &Values, out: &mut Glwe) {
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

    pub(super) fn bring_back(&self, value: &mut [c64], out: &mut Glwe, working: &mut Working) {
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
}

pub(super) fn monomials(program: &Program, transform: &Transform) -> HashMap<u32, AVec<c64>> {
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
