//! Programs that refit the leaves of a model's trees.

use super::CompileTraining;
use crate::files::{Content, InputSource};
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result};
use cipherfn_client::training::leaves::shape;
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::structure::{boosted_structure, structure};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::SET;
use cipherfn_serving::training::leaves::{choose_sums, key_parts, noise};
use cipherfn_training::leaves::{LeafSpec, LeafTree};
use std::io::Write;

/// Largest model file.
const MAX_MODEL: u64 = 256 << 20;
/// Rows of which upload and errors are told.
const ROWS: usize = 1000;

impl CompileTraining {
    pub(super) fn leaves(
        &self,
        text: &str,
        source: &InputSource,
        terminal: Terminal,
    ) -> Result<()> {
        let spec = LeafSpec::from_toml(text).with_context(|| self.spec.name())?;
        let model = read_model(&source.read_all(MAX_MODEL)?).with_context(|| source.name())?;
        let structure = if spec.is_boosted() {
            boosted_structure(&model)
        } else {
            structure(&model)
        };
        let structure = structure.with_context(|| source.name())?;
        let training = spec.with(&structure);
        let training = training.with_context(|| self.spec.name())?;
        let set = ParameterSet::by_name(SET)?;
        let training = choose_sums(&training, set).with_context(|| source.name())?;
        let noise = noise(&training, set, ROWS)?;
        let row_bytes = shape(set, &training, ROWS).bytes() / ROWS;
        let parts = key_parts(set)?.into_iter();
        let key_bytes: usize = parts.map(|part| part.file_bytes(set)).sum();
        let mut output =
            self.output
                .create(Content::Text, self.force.force, &[&self.spec, source])?;
        output.write_all(&training.to_json()?)?;
        output.finish()?;
        let trees = training.trees();
        let leaves: usize = trees.iter().map(LeafTree::leaves).sum();
        let rows = training.sums().rows();
        let step = training.boosted().map(|step| (step.rate, step.penalty));
        let mut value = serde_json::json!({
            "trees": trees.len(),
            "leaves": leaves,
            "selectors": training.selectors(),
            "bytes_a_row": row_bytes,
            "key_bytes": key_bytes,
            "rows_a_sum": rows,
            "largest_error": noise.error,
        });
        if let Some((rate, penalty)) = step {
            value["rate"] = rate.into();
            value["penalty"] = penalty.into();
        }
        terminal.summary(&value, || {
            let mut facts = vec![
                ("program", training.name().to_owned()),
                ("trees", format!("{} with {leaves} leaves", trees.len())),
            ];
            if let Some((rate, penalty)) = step {
                let text = format!(
                    "of boosted leaves, {rate} of the mean residual, penalty {penalty}: labels are encrypted as what the model leaves of them"
                );
                facts.push(("step", text));
            }
            facts.extend([
                (
                    "upload",
                    format!(
                        "{row_bytes} bytes a row, {} selectors",
                        training.selectors()
                    ),
                ),
                ("keys", terminal::bytes(key_bytes as u64)),
                (
                    "counts",
                    format!(
                        "exact, in sums of {rows} rows: errors of up to {:.2} of a row (2^-40, {ROWS} rows)",
                        noise.error
                    ),
                ),
            ]);
            terminal::facts(facts)
        })
    }
}
