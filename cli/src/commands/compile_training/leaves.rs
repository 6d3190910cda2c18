//! Programs that refit the leaves of a model's trees.

use super::CompileTraining;
use crate::files::{Content, InputSource};
use crate::terminal::{self, Terminal};
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client::training::leaves::{most_rows, shape, sums_bytes};
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::structure::{boosted_structure, structure};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::SET;
use cipherfn_serving::training::leaves::{choose_sums, key_parts, noise};
use cipherfn_training::leaves::{Growth, LeafSpec, LeafTraining, LeafTree};
use std::io::Write;

/// Largest model file.
const MAX_MODEL: u64 = 256 << 20;
/// Rows of which upload and errors are told.
const ROWS: usize = 1000;

impl CompileTraining {
    /// The program of a spec with a model's trees, or with one that is grown.
    fn leaf_training(&self, spec: &LeafSpec, source: Option<&InputSource>) -> Result<LeafTraining> {
        let training = match (source, spec.is_grown()) {
            (None, true) => spec.seed(),
            (Some(source), false) => {
                let model = read_model(&source.read_all(MAX_MODEL)?);
                let model = model.with_context(|| source.name())?;
                let structure = if spec.is_boosted() {
                    boosted_structure(&model)
                } else {
                    structure(&model)
                };
                spec.with(&structure.with_context(|| source.name())?)
            }
            (None, false) => bail_usage!(
                "{} is of leaves, whose trees come from a model: give --structure MODEL",
                self.spec.name()
            ),
            (Some(_), true) => bail_usage!(
                "{} is of a tree that is grown, which has no structure before: leave --structure out",
                self.spec.name()
            ),
        };
        training.with_context(|| self.spec.name())
    }

    pub(super) fn leaves(
        &self,
        text: &str,
        source: Option<&InputSource>,
        terminal: Terminal,
    ) -> Result<()> {
        let spec = LeafSpec::from_toml(text).with_context(|| self.spec.name())?;
        let training = self.leaf_training(&spec, source)?;
        let set = ParameterSet::by_name(SET)?;
        let named = source.unwrap_or(&self.spec);
        let training = choose_sums(&training, set).with_context(|| named.name())?;
        let noise = noise(&training, set, ROWS)?;
        let row_bytes = shape(set, &training, ROWS).bytes() / ROWS;
        let parts = key_parts(set)?.into_iter();
        let key_bytes: usize = parts.map(|part| part.file_bytes(set)).sum();
        let inputs: Vec<&InputSource> = [&self.spec].into_iter().chain(source).collect();
        let mut output = self
            .output
            .create(Content::Text, self.force.force, &inputs)?;
        output.write_all(&training.to_json()?)?;
        output.finish()?;
        let trees = training.trees();
        let leaves: usize = trees.iter().map(LeafTree::leaves).sum();
        let rows = training.sums().rows();
        let growth = training.growth();
        let places = match growth {
            Some(growth) => growth.most_places(&training),
            None => training.counted(),
        };
        let reply = sums_bytes(set, &training, &places, ROWS);
        let most = most_rows(set, &training);
        let step = training.boosted().map(|step| (step.rate, step.penalty));
        let mut value = serde_json::json!({
            "trees": trees.len(),
            "leaves": leaves,
            "selectors": training.selectors(),
            "bytes_a_row": row_bytes,
            "key_bytes": key_bytes,
            "rows_a_sum": rows,
            "reply_bytes": reply,
            "most_rows_of_a_service": most,
            "largest_error": noise.error,
        });
        if let Some(Growth { depth, rows_a_leaf }) = growth {
            value["round_trips"] = depth.into();
            value["rows_a_leaf"] = rows_a_leaf.into();
        }
        if let Some((rate, penalty)) = step {
            value["rate"] = rate.into();
            value["penalty"] = penalty.into();
        }
        terminal.summary(&value, || {
            let mut facts = vec![("program", training.name().to_owned())];
            facts.push(match growth {
                Some(Growth { depth, .. }) => (
                    "round trips",
                    format!("{depth} at most, one a level; rows go up once"),
                ),
                None => ("trees", format!("{} with {leaves} leaves", trees.len())),
            });
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
                        "exact, in sums of {rows} rows: errors of up to {:.2} of a row (2^-40, {ROWS} rows); {} down for {ROWS} rows{}",
                        noise.error,
                        terminal::bytes(reply as u64),
                        growth.map_or("", |_| " and the last level")
                    ),
                ),
                (
                    "by a service",
                    format!("up to {most} rows, for whose counts a result has room"),
                ),
            ]);
            terminal::facts(facts)
        })
    }
}
