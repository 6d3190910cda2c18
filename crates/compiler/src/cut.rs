//! The cut at the encrypted estimators: from operations to the typed model.
//!
//! ```text
//! columns --preprocess--> features --estimators--> raw scores --postprocess--> outputs
//! ```

mod combiner;
mod features;
mod lookups;
mod neighbours;
mod outputs;
mod postprocess;
mod scores;
mod stacked;
mod trees;

use crate::analyse::places::{Places, places};
use crate::analyse::{additive, binned, exact, missing, origins};
use crate::error::CompileError;
use crate::ir::Ir;
use crate::model::{Model, Summary};
use cipherfn_protocol::specs::ColumnKind;
use scores::RawScores;

/// Where a model comes from.
pub(crate) struct Provenance {
    /// Exporter and version.
    pub(crate) producer: String,
    /// The model's name in the file.
    pub(crate) graph: String,
    /// Operators with their domains, in order of appearance, each once.
    pub(crate) operators: Vec<String>,
}

/// The typed model of these operations.
pub(crate) fn cut(ir: Ir, provenance: Provenance) -> Result<Model, CompileError> {
    let mut ir = additive::extract(binned::extract(ir)?)?;
    let Places { places, made } = places(&ir)?;
    ir.estimators.extend(made);
    let stacks = stacked::nodes(&ir);
    ir.notes.extend(stacks.iter().map(|(node, comparisons)| {
        format!(
            "{node} takes other estimators' results: the server compares these with {comparisons} \
             thresholds and evaluates its trees, and the specs show nothing of it"
        )
    }));
    outputs::depend_on_estimators(&ir, &places)?;
    let scores = RawScores::of(&ir, &places);
    let combiners = postprocess::combiners(&ir, &places);
    ir.notes.extend(combiners.iter().map(|node| {
        format!(
            "{node} takes other estimators' results: the client evaluates it, and its parameters \
             are in the client specs"
        )
    }));
    let (task, answers) = outputs::answers(&ir, &places, &scores);
    let postprocess = postprocess::program(&ir, &places, &scores, &answers)?;
    exact::check(&postprocess, &ir)?;
    let cut = features::cut(&mut ir, &scores, &places)?;
    let known = missing::knows_nan(&ir, &cut.preprocess);
    let known_text = missing::knows_empty_text(&cut.preprocess);
    for column in &mut ir.columns {
        column.missing = match column.kind {
            ColumnKind::Text => known_text,
            ColumnKind::Float32 | ColumnKind::Float64 => known,
            ColumnKind::Int64 => false,
        };
    }
    Ok(Model {
        columns: ir.columns,
        origins: origins::of(&cut.preprocess),
        preprocess: cut.preprocess,
        features: cut.features,
        estimators: cut.estimators,
        postprocess,
        outputs: answers.into_iter().map(|answer| answer.field).collect(),
        summary: Summary {
            producer: provenance.producer,
            graph: provenance.graph,
            task,
            exported: true,
            averages: None,
            operators: provenance.operators,
            notes: ir.notes,
        },
    })
}
