//! Plans as trees, for people.

use crate::Resolved;
use crate::pass::{Collect, Pass, TableSource};
use std::fmt::{self, Write as _};

impl Resolved<'_> {
    /// The plan as a tree, the last step first; then the passes that it becomes.
    pub fn explain(&self, passes: &[Pass]) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, passes);
        text
    }

    fn write(&self, text: &mut String, passes: &[Pass]) -> fmt::Result {
        let steps = self.outline.iter().rev();
        for (depth, outline) in steps.enumerate() {
            let branch = match depth {
                0 => String::new(),
                depth => format!("{}`- ", "   ".repeat(depth - 1)),
            };
            writeln!(text, "{branch}{}: {}", outline.step.what, outline.detail)?;
            let columns = outline.columns.iter();
            let columns: Vec<String> = columns
                .map(|(name, kind)| format!("{name} ({kind})"))
                .collect();
            writeln!(text, "{}   {}", "   ".repeat(depth), columns.join(", "))?;
        }
        for (index, pass) in passes.iter().enumerate() {
            self.write_pass(text, index, pass)?;
        }
        Ok(())
    }

    fn write_pass(&self, text: &mut String, index: usize, pass: &Pass) -> fmt::Result {
        let frame = self.frames[pass.over];
        let inputs = pass.inputs.iter();
        let bits: u32 = inputs.clone().map(|input| frame.bit_count(*input)).sum();
        let limbs: u32 = inputs.filter_map(|input| frame.limb_count(*input)).sum();
        let collected = match pass.collect {
            Collect::Rows => "a result a row".to_owned(),
            Collect::Sum { rows } => format!("added, up to {rows} rows a sum"),
        };
        let is_clear = |table: &&TableSource| matches!(table, TableSource::Stored { frame, .. } if self.frames[*frame].cells().is_some());
        let clear = match pass.tables.iter().filter(is_clear).count() {
            0 => String::new(),
            clear => format!(" ({clear} in the clear)"),
        };
        writeln!(
            text,
            "pass {} over {:?}: of a row {bits} bits and {limbs} limbs, {} tables{clear}, {} outputs; {collected}",
            index + 1,
            frame.name(),
            pass.tables.len(),
            pass.circuit.outputs.len(),
        )
    }
}
