//! Plans as trees, for people.

use crate::Resolved;
use crate::pass::{Collect, Pass, TableSource};
use std::fmt::{self, Write as _};

/// What a plan takes and is worth up to one of its steps, that step included.
#[derive(Clone, Debug, PartialEq)]
pub struct StepFigures {
    /// CMUXes of a row.
    pub choices: usize,
    /// Seconds of one core, about.
    pub seconds: f64,
    /// Names of the step's columns, each with what it is worth in words.
    pub worth: Vec<(String, String)>,
}

impl StepFigures {
    /// What the step adds to what was there before it, and all so far.
    fn beside(&self, before: Option<&Self>) -> String {
        let (choices, seconds) = before.map_or((0, 0.0), |own| (own.choices, own.seconds));
        format!(
            "{:+} choices a row and {:+.2} s, so far {} and {:.2} s",
            self.choices as i64 - choices as i64,
            // Rounded before they are subtracted: the last step's total is the sum of what is shown.
            (self.seconds * 100.0).round() / 100.0 - (seconds * 100.0).round() / 100.0,
            self.choices,
            self.seconds
        )
    }
}

impl Resolved<'_> {
    /// The plan as a tree, the last step first, beside each step what is known of it, the scan first; then
    /// the passes that it becomes.
    pub fn explain(&self, passes: &[Pass], steps: &[Option<StepFigures>]) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, passes, steps);
        text
    }

    fn write(
        &self,
        text: &mut String,
        passes: &[Pass],
        steps: &[Option<StepFigures>],
    ) -> fmt::Result {
        let outlines = self.outline.iter().enumerate().rev();
        for (depth, (step, outline)) in outlines.enumerate() {
            let branch = match depth {
                0 => String::new(),
                depth => format!("{}`- ", "   ".repeat(depth - 1)),
            };
            write!(text, "{branch}{}: {}", outline.step.what, outline.detail)?;
            let figures = steps.get(step);
            match figures {
                Some(Some(figures)) => {
                    let before = steps[..step].iter().rev().flatten().next();
                    writeln!(text, "  [{}]", figures.beside(before))?;
                }
                Some(None) => writeln!(text, "  [no answer by itself]")?,
                None => writeln!(text)?,
            }
            let worth = |name: &String| {
                let worth = &figures?.as_ref()?.worth;
                let own = worth.iter().find(|(own, _)| own == name)?;
                Some(format!(", {}", own.1))
            };
            let columns = outline.columns.iter();
            let columns: Vec<String> = columns
                .map(|(name, kind)| format!("{name} ({kind}{})", worth(name).unwrap_or_default()))
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
