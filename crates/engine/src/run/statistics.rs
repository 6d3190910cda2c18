//! What an evaluation consists of.

use crate::lower::{CombinationStep, Form, Program, ProgramStep};

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
    /// CMUXes of look-ups: as many transforms as those of ciphertexts, and no monomials.
    pub turns: usize,
    /// Values times integers.
    pub factors: usize,
    /// Coefficients that are packed: a key switch each.
    pub packed: usize,
    /// Bootstraps, those of choices among them.
    pub bootstraps: usize,
    /// Choices by numbers: a CMUX each, by a selector that a bootstrap makes.
    pub choices: usize,
    /// Values that are written to memory.
    pub values: usize,
    /// Values that live at once.
    pub live_values: usize,
    /// Selectors that a row expands; more than it has where there is no room to keep them.
    pub expanded: usize,
    /// Memory of selectors and values, in bytes.
    pub bytes: u64,
}

impl Statistics {
    /// Of a program's steps.
    pub(super) fn of(program: &Program) -> Self {
        let mut statistics = Self {
            values: program.steps.len(),
            ..Self::default()
        };
        for step in &program.steps {
            statistics.cmuxes += step.externals().len();
            statistics.turns += step.turns().len();
            statistics.packed += step.packed();
            let choice = usize::from(matches!(step, ProgramStep::Choice(_)));
            let bootstrap = usize::from(matches!(step, ProgramStep::Bootstrap(_)));
            statistics.choices += choice;
            statistics.bootstraps += bootstrap + choice;
            if let ProgramStep::Combination(CombinationStep(factors)) = step {
                statistics.factors += factors.len();
            }
            step.forms().for_each(|form| statistics.add_rows(form));
        }
        statistics
    }

    fn add_rows(&mut self, form: &Form) {
        let scalar = |row: &&crate::lower::RowTerm| row.plaintext.len() == 1;
        let scalar = form.rows.iter().filter(scalar).count();
        self.scalar_cmuxes += scalar;
        self.polynomial_cmuxes += form.rows.len() - scalar;
    }

    /// CMUXes of sums, of every kind.
    pub(super) const fn all_cmuxes(&self) -> usize {
        self.cmuxes + self.scalar_cmuxes + self.polynomial_cmuxes
    }
}
