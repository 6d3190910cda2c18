//! Bootstraps.

use super::memory::Scratch;
use super::{Executable, KeyWork, RowContext};
use crate::lower::{BootstrapStep, NumberTerm, ProgramStep};
use cipherfn_scheme::Glwe;
use cipherfn_scheme::bootstrap::{Levelled, Lwe};

/// A number, and the table's entries at increasing positions.
pub(crate) type BootstrapInput<'a> = (Lwe<Levelled>, &'a [(u32, u64)]);

impl Executable {
    /// Evaluates steps that are bootstraps, together.
    pub(super) fn bootstrap<K: KeyWork>(
        &self,
        steps: &[u32],
        row: RowContext<'_>,
        key: &K,
    ) -> Result<(), K::Error> {
        row.values.with_scratch(
            || self.scratch(),
            |scratch| {
                let numbers = steps.iter();
                let numbers = numbers.map(|step| self.at_table(*step, row, scratch));
                let results = key.bootstrap(&numbers.collect::<Vec<_>>())?;
                for (step, result) in steps.iter().zip(&results) {
                    self.take(&mut row.values.write(self.slot(*step)), result, scratch);
                }
                Ok(())
            },
        )
    }

    fn at_table(
        &self,
        step: u32,
        row: RowContext<'_>,
        scratch: &mut Scratch,
    ) -> BootstrapInput<'_> {
        let ProgramStep::Bootstrap(BootstrapStep { number, table }) =
            self.program.steps[step as usize]
        else {
            unreachable!("a stage of bootstraps has nothing else")
        };
        (self.number(number, row, scratch), self.tables.get(table))
    }

    /// A number, by itself.
    pub(super) fn number(
        &self,
        NumberTerm { of, constant }: NumberTerm,
        row: RowContext<'_>,
        scratch: &mut Scratch,
    ) -> Lwe<Levelled> {
        let mut glwe = Glwe::default();
        self.set_term(&mut scratch.difference, of, row.values);
        self.bring_back(&mut scratch.difference, &mut glwe, &mut scratch.working);
        let mut number = Lwe::extract(&glwe, 0);
        number.add_constant(constant);
        number
    }
}
