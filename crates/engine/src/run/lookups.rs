//! Look-ups, combinations and packed values.

use super::memory::{Scratch, Values};
use super::{Executable, KeyWork, RowContext};
use crate::kernel;
use crate::lower::{BootstrapStep, Factor, PackStep, Program, ProgramStep, Start, Term, TurnStep};
use crate::schedule::Block;
use aligned_vec::AVec;
use cipherfn_circuit::circuit::{Circuit, ConstantId};
use cipherfn_scheme::Glwe;
use cipherfn_scheme::fourier::c64;
use cipherfn_scheme::operations::lookup::{self, TurnMemory};
use std::collections::HashMap;
use std::ops::DerefMut;

/// The tables of a circuit's look-ups and bootstraps, as sparse as they came: a file can name many that are no
/// more than a coefficient.
#[derive(Debug)]
pub(super) struct Tables(HashMap<ConstantId, Vec<(u32, u64)>>);

impl Tables {
    pub(super) fn new(circuit: &Circuit, program: &Program) -> Self {
        let tables = program.steps.iter().filter_map(|step| match step {
            ProgramStep::Turn(TurnStep {
                start: Start::Table(table, _),
                ..
            })
            | ProgramStep::Bootstrap(BootstrapStep { table, .. }) => Some(*table),
            _ => None,
        });
        let mut own = HashMap::new();
        for table in tables {
            own.entry(table)
                .or_insert_with(|| circuit.constants[table.index()].0.clone());
        }
        Self(own)
    }

    pub(super) fn get(&self, table: ConstantId) -> &[(u32, u64)] {
        &self.0[&table]
    }

    /// Bytes of memory that they take.
    pub(super) fn memory_len(&self) -> usize {
        let tables = self.0.values();
        tables.map(|table| size_of_val(table.as_slice())).sum()
    }
}

impl Executable {
    /// The value that a look-up's turns begin with, unless it goes on with one.
    pub(super) fn start_turning<O: DerefMut<Target = AVec<c64>>>(
        &self,
        out: impl FnOnce() -> O,
        start: &Start,
        row: RowContext<'_>,
        scratch: &mut Scratch,
    ) {
        match start {
            Start::Step(_) => {}
            Start::Table(table, rotation) => {
                let table = self.tables.get(*table);
                lookup::start(&mut out(), table, *rotation, &self.transform);
            }
            Start::Value(constant, term) => {
                let mut out = out();
                lookup::start(&mut out, constant.coefficients(), 0, &self.transform);
                if let Some(term) = term {
                    self.set_term(&mut scratch.difference, *term, row.values);
                    let fft = &mut scratch.working.fft;
                    lookup::add(&mut out, &mut scratch.difference, &self.transform, fft);
                }
            }
        }
    }

    /// The turns of a block's steps.
    pub(super) fn turn(&self, block: &Block, row: RowContext<'_>, scratch: &mut Scratch) {
        let mut work = TurnMemory {
            product: &mut scratch.difference,
            digits: &mut scratch.working.digits,
            fft: &mut scratch.working.fft,
        };
        for (step, turn) in &block.turns {
            let turn = self.program.steps[*step as usize].turns()[*turn as usize];
            let (selectors, index) = row.selectors(turn.selector);
            lookup::turn(
                &mut row.values.write(self.slot(*step)),
                selectors.ggsw(index),
                self.gadget(turn.selector),
                turn.rotation,
                &self.transform,
                &mut work,
            );
        }
        for step in &block.steps {
            if let ProgramStep::Turn(TurnStep { last: true, .. }) =
                &self.program.steps[*step as usize]
            {
                let mut value = row.values.write(self.slot(*step));
                lookup::finish(&mut value, &self.transform, work.fft);
            }
        }
    }

    /// `out = sum of factors`; `turned` is room for a value.
    pub(super) fn combine(
        &self,
        out: &mut [c64],
        factors: &[Factor],
        row: RowContext<'_>,
        turned: &mut [c64],
    ) {
        out.fill(c64::new(0.0, 0.0));
        for Factor { term, weight } in factors {
            if term.rotation == 0 {
                let value = row.values.read(self.slot(term.step));
                kernel::add_scaled(out, &value, *weight);
            } else {
                self.set_term(turned, *term, row.values);
                kernel::add_scaled(out, turned, *weight);
            }
        }
    }

    /// The packed coefficients of terms.
    pub(super) fn pack<K: KeyWork>(
        &self,
        pack: &PackStep,
        row: RowContext<'_>,
        scratch: &mut Scratch,
        key: &K,
    ) -> Result<Glwe, K::Error> {
        let mut item = |term: Term| {
            let mut glwe = Glwe::default();
            self.set_term(&mut scratch.difference, term, row.values);
            self.bring_back(&mut scratch.difference, &mut glwe, &mut scratch.working);
            glwe
        };
        let items = pack.items.iter();
        let items: Vec<_> = items.map(|term| term.map(&mut item)).collect();
        key.pack(pack.levels, &items)
    }

    /// `out = glwe`, transformed.
    pub(super) fn take(&self, out: &mut [c64], glwe: &Glwe, scratch: &mut Scratch) {
        let (size, half) = (
            self.transform.polynomial_size(),
            self.transform.fourier_size(),
        );
        let polynomials = glwe.mask.chunks_exact(size).chain([glwe.body.as_slice()]);
        for (out, polynomial) in out.chunks_exact_mut(half).zip(polynomials) {
            let fft = &mut scratch.working.fft;
            self.transform.forward_torus(out, polynomial, fft);
        }
    }

    /// `out = term`.
    pub(super) fn set_term(&self, out: &mut [c64], term: Term, values: &Values) {
        out.fill(c64::new(0.0, 0.0));
        self.add_term(out, term, values);
    }
}
