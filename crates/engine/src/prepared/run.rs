//! Evaluation of an expanded row, with what it takes of the evaluation key.

use super::{PreparedCircuit, QueryRow, Workspace};
use crate::error::EngineError;
use crate::run::{BootstrapInput, KeyWork, RowMemory, SharedTables};
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::bootstrap::{Levelled, Lwe, Table};
use cipherfn_scheme::circuit_bootstrap;
use cipherfn_scheme::operations::pack::pack_multiples;
use cipherfn_scheme::selectors::FourierSelectors;
use cipherfn_scheme::{ExpandedEvaluationKey, Glwe, SchemeError};
use std::time::Duration;

impl PreparedCircuit {
    /// Evaluates an expanded row; says how long it expanded selectors meanwhile.
    pub(super) fn run(
        &self,
        key: Option<&ExpandedEvaluationKey>,
        row: QueryRow<'_>,
        workspace: &mut Workspace,
        parallel: bool,
    ) -> Result<Duration, EngineError> {
        let Workspace {
            inputs,
            frames,
            values,
            results,
            ..
        } = workspace;
        let memory = RowMemory {
            frames,
            values,
            results,
        };
        let key = RowKey {
            circuit: self,
            key,
            row,
        };
        let none = SharedTables::default();
        let tables = row.tables.unwrap_or(&none);
        self.executable
            .evaluate(inputs, tables, memory, parallel, &key)
    }
}

/// The evaluation key, for one row.
struct RowKey<'a> {
    circuit: &'a PreparedCircuit,
    key: Option<&'a ExpandedEvaluationKey>,
    row: QueryRow<'a>,
}

impl RowKey<'_> {
    fn key(&self) -> Result<&ExpandedEvaluationKey, EngineError> {
        let set = self.circuit.set.name;
        Ok(self.key.ok_or(SchemeError::EvaluationKeyMissing { set })?)
    }
}

impl KeyWork for RowKey<'_> {
    type Error = EngineError;

    fn expand(
        &self,
        input: usize,
        first: usize,
        out: &mut FourierSelectors,
    ) -> Result<(), EngineError> {
        self.circuit
            .expand_selectors(self.key, self.row, (input, None), first, out)
    }

    fn bootstrap(&self, numbers: &[BootstrapInput<'_>]) -> Result<Vec<Glwe>, EngineError> {
        let part = self.circuit.bootstrap;
        let key = self.key()?.bootstrap(part.unwrap_or_default())?;
        let with_table = |(number, table): &BootstrapInput<'_>| {
            let table = Table::of_entries(key.parameters(), table)?;
            Ok::<_, SchemeError>((number.clone(), table))
        };
        let numbers = numbers
            .iter()
            .map(with_table)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(key.evaluate(&numbers)?)
    }

    fn select(
        &self,
        gadget: Gadget,
        numbers: &[Lwe<Levelled>],
    ) -> Result<FourierSelectors, EngineError> {
        let (key, part) = (self.key()?, self.circuit.bootstrap);
        let bootstrap = key.bootstrap(part.unwrap_or_default())?;
        let selectors = circuit_bootstrap::selectors(key, bootstrap, gadget, numbers);
        Ok(selectors?)
    }

    fn pack(&self, levels: u32, items: &[Option<Glwe>]) -> Result<Glwe, EngineError> {
        Ok(pack_multiples(
            self.key()?,
            self.circuit.set,
            levels,
            items,
        )?)
    }
}
