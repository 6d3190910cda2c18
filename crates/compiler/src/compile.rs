//! From ONNX bytes and calibration rows to a compiled model.

use crate::calibration::{Calibration, CalibrationRows};
use crate::conceal::{self, Concealed};
use crate::doubts::Doubts;
use crate::error::CompileError;
use crate::expected;
use crate::families;
use crate::features::Features;
use crate::labels;
use crate::margins;
use crate::model::Model;
use crate::options::Options;
use crate::quality::Targets;
use crate::read::{read_layer, read_model_for, read_model_with_classes};
use crate::report::Report;
use crate::simulate;
use crate::transposed::transposed;
use crate::uncertainty;
use crate::unseen;
use cipherfn_circuit::Bundle;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{ClientSpecs, ModelIdentity, ParameterSetRef, SpecsDocument};
use std::collections::BTreeSet;
use std::io::Read;

mod assemble;
mod closest;
mod fit;
mod precise;
mod report;

use assemble::Assembly;
use precise::{Assembled, Wanted};
use report::{Checks, Subject};

/// A compiled model.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The file: circuit, specs, report.
    pub bundle: Bundle,
    /// The client specs, parsed.
    pub specs: SpecsDocument,
    /// The report, parsed.
    pub report: Report,
    /// The last raw score of simulated calibration rows, the model's and the compiled model's. No
    /// part of the bundle: the rows are the developer's.
    pub scores: Vec<[f64; 2]>,
}

impl Compiled {
    /// Writes the report into the bundle.
    pub(crate) fn write_report(&mut self) {
        self.bundle.report = serde_json::to_vec(&self.report).expect("a report is plain data");
    }
}

/// Stack of the compiling thread: trees are followed recursively, with a test for each index bit of
/// each node.
const STACK_BYTES: usize = 256 << 20;

/// Compiles an ONNX model.
pub fn compile<R: Read>(
    model_bytes: &[u8],
    calibration: Calibration<R>,
    options: &Options,
) -> Result<Compiled, CompileError> {
    options.check()?;
    let mut model = match (&options.layer, &options.classes) {
        (Some(layer), _) => read_layer(model_bytes, layer)?,
        (None, Some(classes)) => read_model_with_classes(model_bytes, classes)?,
        (None, None) => read_model_for(model_bytes, options.combiner)?,
    };
    if options.transpose {
        model = transposed(model)?;
    }
    options.check_effect(&model)?;
    let Calibration {
        source_name,
        input,
        format,
        columns,
        expected,
    } = calibration;
    let mut rows = CalibrationRows::read(source_name, input, format, &columns, &mut model)?;
    if options.uncertainty {
        uncertainty::add(&mut model, &rows.rows)?;
    }
    let classes = options.classes.as_deref();
    if let Some(classes) = classes.filter(|_| labels::has_one(&model)) {
        for column in 0..rows.targets.len() {
            labels::name_codes(&mut rows.target_cells, column, classes);
        }
    }
    for estimator in &model.estimators {
        estimator.family().check_rounding(&model, &rows.rows)?;
    }
    let agreeing = expected
        .map(|expected| expected::check(expected, format, &model, classes, &rows))
        .transpose()?;
    let expected_rows = agreeing.as_ref().map(|agreeing| agreeing.rows);
    rows.notes
        .extend(agreeing.and_then(|agreeing| agreeing.note));
    rows.spread();
    families::fold_constants(&mut model)?;
    let own = Features::of(&model, &rows.columns, rows.rows.clone())?;
    let mut own = own.with_decimals(&options.decimals, &model, &rows.columns)?;
    own.numbers = rows.numbers();
    let simulated = &own.rows[..own.rows.len().min(simulate::MAX_ROWS)];
    let compilation = Compilation {
        scores: model.raw_scores_of(simulated),
        own,
        model,
        seed: Hash::of(model_bytes),
        rows,
        expected_rows,
        options,
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("compile".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || match options.fit {
                Some(fit) => fit::compile(&compilation, fit),
                None => compilation.run(options),
            });
        thread
            .map_err(CompileError::Thread)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What a compiled model is a function of.
pub(crate) struct Compilation<'a> {
    model: Model,
    /// Hash of the model's bytes: whatever is drawn is drawn from it.
    seed: Hash,
    rows: CalibrationRows,
    /// Calibration rows as the model's feature vectors.
    own: Features,
    /// The model's raw scores for the first of them, as many as are simulated.
    scores: Vec<Vec<f64>>,
    /// Rows on which the model gives the library's own predictions.
    expected_rows: Option<usize>,
    /// What was asked for.
    pub(crate) options: &'a Options,
}

impl Compilation<'_> {
    /// Bits of the scores, up to `most`, that the labels of the calibration rows need; `None` for a
    /// model that gives none.
    pub(crate) fn bits_for_labels(&self, most: f64) -> Result<Option<f64>, CompileError> {
        margins::bits_for_labels(&self.model, (&self.own.rows, &self.scores), self.seed, most)
    }

    /// Compiles with these options, those asked for or others.
    pub(crate) fn run(&self, options: &Options) -> Result<Compiled, CompileError> {
        let Self {
            model,
            seed,
            rows,
            own,
            scores,
            expected_rows,
            ..
        } = self;
        let (seed, mut notes) = (*seed, rows.notes.clone());
        // What the specs show of the model, and the circuit evaluates.
        let concealed = conceal::conceal(model, &rows.rows, options.features, seed)?;
        let (shown, encoded) = match &concealed {
            None => (model, None),
            Some(Concealed { model, mixed, sets }) => {
                let mut features = Features::of(model, &rows.columns, rows.rows.clone())?;
                features.decimals.clone_from(&own.decimals);
                features.mixed.clone_from(mixed);
                features.sets.clone_from(sets);
                (model, Some(features))
            }
        };
        if concealed.is_none() {
            notes.extend(conceal::note(model)?);
        }
        notes.extend(own.note_on_missing());
        notes.extend(own.note_on_fills());
        let regions = families::regions(&shown.estimators);
        let wanted = Wanted {
            model,
            regions: &regions,
            own,
            scores,
            encoded: encoded.as_ref().unwrap_or(own),
            options,
            seed,
        };
        let Assembled {
            backend,
            assembly,
            agreement,
            simulated,
            note,
        } = wanted.assemble()?;
        notes.extend(note);
        let targets = Targets {
            names: &rows.targets,
            cells: &rows.target_cells,
        };
        let (targets, mut result_warnings) = targets.assess(model, &simulated);
        result_warnings.extend(unseen::warning(model, &simulated));
        let simulated_scores = simulated.iter().map(|row| row.scores).collect();
        let mut families: Vec<_> = regions
            .iter()
            .map(|region| region.estimator.family().name())
            .collect();
        families.dedup();
        let report = Subject {
            model,
            options,
            family: families.join(" and "),
            backend,
            regions: &assembly.facts,
            relations: assembly.relations.len(),
            scores: &assembly.decoding.scores,
            deviation: assembly.deviation(),
            checks: Checks {
                agreement,
                targets,
                warnings: [rows.warnings.as_slice(), &result_warnings].concat(),
                doubts: self.doubts(),
                expected_rows: *expected_rows,
                rows: rows.count,
                gaps: rows.gaps.clone(),
                notes,
            },
        }
        .report()?;
        let Assembly {
            circuit,
            inputs,
            relations,
            decoding,
            facts,
            ..
        } = assembly;
        let key_parts = facts.iter().flat_map(|facts| &facts.key_parts);
        let key_parts: BTreeSet<_> = key_parts.map(|part| part.name.to_owned()).collect();
        let specs = SpecsDocument::new(ClientSpecs {
            model: ModelIdentity {
                name: report.model.name.clone(),
                family: report.model.family.clone(),
                task: report.model.task.clone(),
            },
            circuit: circuit.hash()?,
            parameter_set: ParameterSetRef {
                name: backend.set.name.to_owned(),
                hash: backend.set.hash(),
            },
            key_parts: key_parts.into_iter().collect(),
            columns: rows.columns.clone(),
            preprocess: shown.preprocess.clone(),
            inputs,
            relations,
            decoding,
            postprocess: model.postprocess.clone(),
            outputs: model.outputs.clone(),
        })?;
        let bundle = Bundle {
            circuit,
            specs: specs.bytes().to_vec(),
            specs_v1: specs.version_1()?.map(|document| document.bytes().to_vec()),
            report: serde_json::to_vec(&report).expect("a report is plain data"),
        };
        Ok(Compiled {
            bundle,
            specs,
            report,
            scores: simulated_scores,
        })
    }

    /// What an export may have lost, by the calibration rows and their target.
    fn doubts(&self) -> Vec<String> {
        if !self.model.summary.exported {
            return Vec::new();
        }
        let cells = self.rows.target_cells.iter();
        let doubts = Doubts {
            model: &self.model,
            features: &self.own,
            target: match self.rows.targets.len() {
                1 => cells.map(|cells| cells[0].as_str()).collect(),
                _ => Vec::new(),
            },
        };
        doubts.warnings()
    }
}
