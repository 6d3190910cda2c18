//! The report of a compiled model, from what its regions say.

use crate::backend::{Backend, FAILURE_LOG2};
use crate::error::{CompileError, Remedy};
use crate::families::Facts;
use crate::model::Model;
use crate::options::{FeatureMode, Options};
use crate::report::{
    Agreement, ModelReport, PrecisionReport, Report, SecurityReport, SizeReport, TargetReport,
};
use cipherfn_program::{Op, Tensor};
use cipherfn_protocol::specs::ScoreDecoding;
use cipherfn_scheme::noise::Deviation;

/// Numbers a column that scalers, imputers and encoders have: more are told.
const NUMBERS_A_COLUMN: usize = 8;
/// Nodes that are named.
const NODES_NAMED: usize = 4;

/// What the report is about.
pub(super) struct Subject<'a> {
    pub(super) model: &'a Model,
    pub(super) options: &'a Options,
    /// Families of the estimators, in words.
    pub(super) family: String,
    pub(super) backend: Backend,
    /// One entry a region, at least one.
    pub(super) regions: &'a [Facts],
    /// Number of relations between features in the specs.
    pub(super) relations: usize,
    pub(super) scores: &'a [ScoreDecoding],
    /// Standard deviation of the noisiest result coefficient.
    pub(super) deviation: Deviation,
    pub(super) checks: Checks,
}

/// What calibration rows and simulation show.
pub(super) struct Checks {
    pub(super) agreement: Agreement,
    pub(super) targets: Vec<TargetReport>,
    /// What is doubtful about columns and targets.
    pub(super) warnings: Vec<String>,
    /// What an export seems to have lost.
    pub(super) doubts: Vec<String>,
    /// Rows on which the model gives the library's own predictions.
    pub(super) expected_rows: Option<usize>,
    /// Calibration rows.
    pub(super) rows: usize,
    /// Names of columns with missing values that no node of the model mentions.
    pub(super) gaps: Vec<String>,
    /// How columns were matched.
    pub(super) notes: Vec<String>,
}

/// Below this part of equal labels a model is compiled with a warning.
const USUAL_AGREEMENT: f64 = 0.999;

impl Subject<'_> {
    /// The report; an error where too few labels agree.
    pub(super) fn report(self) -> Result<Report, CompileError> {
        let Self { model, options, .. } = self;
        let mut warnings = self.checks.warnings();
        warnings.extend(self.agreement_warning()?);
        if let FeatureMode::Grid { bits } = options.features
            && self.checks.rows < 1 << bits
        {
            warnings.push(format!(
                "the grid has {} bins a feature and {} calibration rows to take them from: give \
                 more rows, or a coarser grid",
                1_u32 << bits,
                self.checks.rows
            ));
        }
        let (first, others) = self.regions.split_first().expect("a model has a region");
        let facts = others
            .iter()
            .fold(first.clone(), |facts, other| facts.join(other));
        let mut features = facts.features;
        if self.relations > 0 {
            features.revealed = format!(
                "{}; {} relations between features that the calibration rows keep: directions in \
                 which these rows vary little, and how far, chosen by where rows that break them \
                 leave the model's tables",
                features.revealed, self.relations
            );
        }
        if let Some(prepared) = preparation(model) {
            features.revealed = format!("{}; {prepared}", features.revealed);
        }
        let mut notes = model.summary.notes.clone();
        notes.extend(self.checks.notes);
        if model.estimators.len() > 1 {
            notes.push(format!(
                "the model combines {} estimators: the server gives the scores of each, and the \
                 specs show how the client combines them",
                model.estimators.len()
            ));
        }
        let moved = self.checks.agreement.largest_error;
        let precision = self.scores.iter().map(|score| score.precision.get());
        let is_grid = matches!(options.features, FeatureMode::Grid { .. });
        if is_grid && moved > precision.fold(0.0, f64::max) {
            notes.push(format!(
                "the precision is that of the model on the grid; with what the grid moves, scores \
                 of the calibration rows differ from the model's by up to {moved:.3e}"
            ));
        }
        warnings.extend(facts.warnings);
        Ok(Report {
            model: ModelReport {
                name: options.name.clone(),
                family: self.family,
                task: model.summary.task.name().into(),
                producer: model.summary.producer.clone(),
                operators: model.summary.operators.clone(),
                features: model.features,
                scores: model.scores(),
                trees: facts.trees,
            },
            features,
            security: SecurityReport {
                parameter_set: self.backend.set.name.into(),
                bits: self.backend.set.ring.security_bits,
                source: self.backend.set.ring.source.into(),
                profile: options.profile.name().into(),
                needs_evaluation_key: !facts.key_parts.is_empty(),
            },
            precision: PrecisionReport {
                target_bits: facts.target_bits,
                guaranteed_bits: facts.bits,
                range_of: facts.range_of.into(),
                failure_log2: FAILURE_LOG2,
                bound: facts.bound,
                scores: self
                    .scores
                    .iter()
                    .map(|score| score.precision.get())
                    .collect(),
                noise_deviation: self.deviation.get(),
            },
            work: facts.work,
            sizes: SizeReport {
                evaluation_key: self.backend.file_bytes(facts.key_parts.iter().copied()),
                query_row: facts.query_bytes,
                reply_row: facts.reply_bytes,
                shared: facts.shared,
            },
            agreement: self.checks.agreement,
            layers: facts.layers,
            targets: self.checks.targets,
            fit: None,
            expected_rows: self.checks.expected_rows.map(|rows| rows as u64),
            notes,
            warnings,
        })
    }

    /// Whether the compiled model's labels are the model's.
    fn agreement_warning(&self) -> Result<Option<String>, CompileError> {
        let Agreement {
            rows,
            labels_equal: equal,
            has_labels,
            ..
        } = self.checks.agreement;
        let part = equal as f64 / rows as f64;
        if !has_labels || rows == 0 || part >= USUAL_AGREEMENT {
            return Ok(None);
        }
        let guaranteed = self.regions.iter().map(|facts| facts.bits);
        let (way_out, remedy) = match self.options.features {
            FeatureMode::Grid { bits } => (
                "use a finer grid, or the model's own split points",
                Remedy::FinerGrid {
                    bits: (bits + 2).min(16),
                },
            ),
            FeatureMode::Exact { .. } => (
                "guarantee more bits of the scores",
                Remedy::MorePrecision {
                    than: guaranteed.fold(f64::INFINITY, f64::min),
                },
            ),
        };
        if part < self.options.min_agreement {
            // A model that lost something often has scores next to each other.
            let way_out = match self.checks.doubts.first() {
                Some(doubt) => format!("see to the export first ({doubt}), or {way_out}"),
                None => way_out.to_owned(),
            };
            return Err(CompileError::Agreement {
                equal,
                rows,
                least: 100.0 * self.options.min_agreement,
                way_out,
                remedy,
            });
        }
        Ok(Some(format!(
            "the compiled model gives {} of {rows} calibration rows another label than the model; \
             to change that, {way_out}",
            rows - equal
        )))
    }
}

impl Checks {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = [self.warnings.as_slice(), &self.doubts].concat();
        if let Some((first, others)) = self.gaps.split_first() {
            let more = match others.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            warnings.push(format!(
                "the calibration rows have missing values that no node of the model mentions \
                 (column {first:?}{more}): they are accepted, and comparisons with them are false, \
                 as in ONNX Runtime. Exports of scikit-learn's trees drop the directions that the \
                 library has learned: compare with its predictions, or leave such rows out"
            ));
        }
        if self.agreement.skipped > 0 {
            warnings.push(format!(
                "{} calibration rows have missing or infinite values that the model gives no \
                 meaning",
                self.agreement.skipped
            ));
        }
        warnings
    }
}

/// The numbers of the client's preparation, where they mix columns or are more than scalers, imputers and
/// encoders have: a computation that whoever exported the model put before it, as principal components or
/// distances from points that it stores.
fn preparation(model: &Model) -> Option<String> {
    let mut nodes: Vec<&str> = Vec::new();
    let mut mixing: Vec<&str> = Vec::new();
    let mut numbers = 0;
    for step in model.preprocess.steps() {
        if let Op::Constant(own @ (Tensor::F32(_) | Tensor::F64(_))) = &step.op {
            numbers += own.len();
            if !nodes.contains(&step.node.as_str()) {
                nodes.push(&step.node);
            }
        }
        if let Op::MatMul { .. } = &step.op {
            mixing.push(&step.node);
        }
    }
    let columns: usize = model.columns.iter().map(|column| column.width).sum();
    let most = NUMBERS_A_COLUMN * columns.max(model.features);
    (!mixing.is_empty() || numbers > most).then(|| {
        nodes.sort_by_key(|node| !mixing.contains(node));
        nodes.truncate(NODES_NAMED);
        format!(
            "{numbers} numbers of what the client computes of the row before (nodes {})",
            nodes.join(", ")
        )
    })
}
