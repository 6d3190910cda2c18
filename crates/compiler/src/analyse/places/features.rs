//! Values before the estimators as combinations of features.

use super::PlacesPass;
use crate::ir::{Atom, Combination};
use cipherfn_program::{EntryKind, Op, ValueId};
use std::collections::HashSet;
use std::rc::Rc;

impl PlacesPass<'_> {
    /// The entries of a value before the estimators.
    pub(super) fn features(&self, mut value: ValueId) -> Rc<[Combination]> {
        let program = &self.ir.program;
        // What was widened is encrypted as it was.
        while let Some(Op::Cast {
            source,
            kind: EntryKind::F64,
        }) = self.ir.step(value).map(|step| &step.op)
            && program.tensor_type(*source).kind != EntryKind::Text
        {
            value = *source;
        }
        let feature = |entry| Combination::of_atom(Atom::Feature { value, entry }, 1.0);
        (0..program.tensor_type(value).len as u32)
            .map(feature)
            .collect()
    }

    /// The same of a value that may hold entries of another one several times, and zeros: the
    /// windows of a convolution.
    pub(super) fn windowed(&self, value: ValueId) -> Rc<[Combination]> {
        let plain = self.features(value);
        let program = &self.ir.program;
        let entries = 0..program.tensor_type(value).len as u32;
        let sources: Vec<(ValueId, u32)> =
            entries.map(|entry| self.ir.source(value, entry)).collect();
        let is_constant = |source: &(ValueId, u32)| program.constant_value(source.0).is_some();
        let distinct: HashSet<&(ValueId, u32)> = sources.iter().collect();
        if distinct.len() == plain.len() && !sources.iter().any(is_constant) {
            return plain;
        }
        let entry = |&(value, entry): &(ValueId, u32)| match program.constant_value(value) {
            Some(constant) => {
                let numbers = constant.to_f64().unwrap_or_default();
                Combination::of_constant(numbers.get(entry as usize).copied().unwrap_or(0.0))
            }
            None => Combination::of_atom(Atom::Feature { value, entry }, 1.0),
        };
        sources.iter().map(entry).collect()
    }
}
