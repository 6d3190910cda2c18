//! Choices by numbers: a circuit bootstrap and a CMUX each.

use super::{Executable, KeyWork, RowContext};
use crate::lower::{ChoiceStep, Program, ProgramStep};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::external::add_products;
use cipherfn_scheme::fourier::c64;

impl Executable {
    /// Evaluates steps that are choices, together: their selectors are there until their values are.
    pub(super) fn choose<K: KeyWork>(
        &self,
        steps: &[u32],
        row: RowContext<'_>,
        key: &K,
    ) -> Result<(), K::Error> {
        let gadget = |step: &u32| self.choice(*step).gadget;
        for steps in steps.chunk_by(|one, other| gadget(one) == gadget(other)) {
            row.values.with_scratch(
                || self.scratch(),
                |scratch| {
                    let gadget = gadget(&steps[0]);
                    let numbers = steps.iter();
                    let numbers: Vec<_> = numbers
                        .map(|step| self.number(self.choice(*step).number, row, scratch))
                        .collect();
                    let selectors = key.select(gadget, &numbers)?;
                    for (index, step) in steps.iter().enumerate() {
                        let choice = self.choice(*step);
                        let product = (&choice.difference, &choice.constant);
                        let digits = self.decompose(product, gadget, row, scratch);
                        let mut out = row.values.write(self.slot(*step));
                        match choice.clear {
                            Some(term) => self.set_term(&mut out, term, row.values),
                            None => out.fill(c64::new(0.0, 0.0)),
                        }
                        let size = self.transform.fourier_size();
                        add_products(&mut out, selectors.ggsw(index), digits, size);
                    }
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    fn choice(&self, step: u32) -> &ChoiceStep {
        match &self.program.steps[step as usize] {
            ProgramStep::Choice(choice) => choice,
            _ => unreachable!("a stage of choices has nothing else"),
        }
    }
}

/// Of all selectors that are made of numbers.
pub(super) fn gadgets(program: &Program) -> impl Iterator<Item = Gadget> {
    program.steps.iter().filter_map(|step| match step {
        ProgramStep::Choice(choice) => Some(choice.gadget),
        _ => None,
    })
}
