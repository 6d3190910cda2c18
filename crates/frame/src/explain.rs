//! Plans as trees, for people.

use crate::Resolved;
use crate::pass::{Collect, Pass};
use std::fmt::{self, Write as _};

/// What whoever knows the noise and the machine says of a pass.
#[derive(Clone, Debug, PartialEq)]
pub struct PassFigures {
    /// Time of all rows on one core, in seconds.
    pub seconds: f64,
    /// Bytes of its results.
    pub bytes: u64,
    /// Of each output, bits of its full range that are guaranteed.
    pub bits: Vec<f64>,
}

impl Resolved<'_> {
    /// The plan as a tree, the last step first; of its passes, figures where there are some.
    pub fn explain(&self, passes: &[Pass], figures: &[PassFigures]) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, passes, figures);
        text
    }

    fn write(&self, text: &mut String, passes: &[Pass], figures: &[PassFigures]) -> fmt::Result {
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
            self.write_pass(text, index, pass, figures.get(index))?;
        }
        Ok(())
    }

    fn write_pass(
        &self,
        text: &mut String,
        index: usize,
        pass: &Pass,
        figures: Option<&PassFigures>,
    ) -> fmt::Result {
        let frame = self.frames[pass.over];
        let inputs = pass.inputs.iter();
        let bits: u32 = inputs.clone().map(|input| frame.bit_count(*input)).sum();
        let limbs: u32 = inputs.filter_map(|input| frame.limb_count(*input)).sum();
        let collected = match pass.collect {
            Collect::Rows => "a result a row".to_owned(),
            Collect::Sum { rows } => format!("added, up to {rows} rows a sum"),
        };
        writeln!(
            text,
            "pass {} over {:?}: of a row {bits} bits and {limbs} limbs, {} tables, {} outputs; {collected}",
            index + 1,
            frame.name(),
            pass.tables.len(),
            pass.circuit.outputs.len(),
        )?;
        if let Some(figures) = figures {
            let bits: Vec<String> = figures
                .bits
                .iter()
                .map(|bits| format!("{bits:.1}"))
                .collect();
            writeln!(
                text,
                "   {:.2} s on one core, {} bytes of results, bits guaranteed: {}",
                figures.seconds,
                figures.bytes,
                bits.join(", ")
            )?;
        }
        Ok(())
    }
}
