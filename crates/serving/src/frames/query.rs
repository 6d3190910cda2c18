//! A plan for encrypted frames: what it becomes, what it takes and what its answer is worth, before
//! anything is evaluated.

use super::heads::{MOST_ROWS, circuit_form, leading, schemas};
use super::{
    ColumnPrecision, Demand, FrameError, FrameQueryError, OutputPrecision, PassResults,
    StoredFrame, SumRows, columns, compress, pass_noise, precisions, result_bytes, seconds, sent,
};
use cipherfn_circuit::circuit::Node;
use cipherfn_frame::Passes;
use cipherfn_frame::answer::{Table, Words};
use cipherfn_frame::file::FileHead;
use cipherfn_frame::pass::{CircuitForm, Collect, Pass};
use cipherfn_frame::plain::PlainTable;
use cipherfn_frame::plan::{Plan, PlanStep, PublishedScore};
use cipherfn_frame::reply::{Reply, query_hash};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::parameters::ParameterSet;
use std::sync::Arc;

/// A plan that was made circuits of.
#[derive(Debug)]
pub struct PreparedQuery {
    /// The plan as everybody knows it.
    pub plan: Plan,
    /// The plan as whoever evaluates gets it: with hashes in place of names that are hashed.
    pub sent: Plan,
    /// The published models whose scores it takes, with their weights where the plan had them.
    pub models: Vec<Arc<PublishedScore>>,
    /// What it becomes.
    pub passes: Passes,
    /// Places of the passes' frames among those that were given: frames, then tables in the clear.
    pub places: Vec<usize>,
    /// Parameter set of all frames.
    pub set: &'static ParameterSet,
    /// The key that they are encrypted under.
    pub key: KeyId,
    /// Names the query.
    pub hash: Hash,
    /// Rows of each of the passes' frames.
    pub rows: Vec<usize>,
    /// Most rows of a sum.
    pub rows_per_sum: u32,
    /// Whether that number was given. Where it was fitted, another one is worth no more.
    rows_were_given: bool,
    /// Schemas of the frames that were given, then of the tables in the clear.
    pub schemas: Vec<Schema>,
    /// The form of its circuits.
    pub(super) form: CircuitForm,
    /// What each pass takes.
    pub figures: Vec<PassFigures>,
    /// Largest errors of the last pass's outputs.
    pub errors: Vec<OutputPrecision>,
    /// How exact the answer's columns are.
    pub columns: Vec<ColumnPrecision>,
}

/// What a pass takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassFigures {
    /// Time of all rows on one core, about.
    pub seconds: f64,
    /// Bytes of its results.
    pub bytes: u64,
}

/// A plan's passes, and what their answer is worth.
pub(super) struct Candidate {
    pub(super) passes: Passes,
    pub(super) rows: Vec<usize>,
    errors: Vec<OutputPrecision>,
    pub(super) columns: Vec<ColumnPrecision>,
}

impl Candidate {
    fn new(
        passes: Passes,
        heads: &[(FileHead, usize)],
        tables: &[Schema],
    ) -> Result<Self, FrameQueryError> {
        let rows = passes.frames.iter().filter_map(|name| {
            let head = heads.iter().find(|(head, _)| head.schema.name() == name);
            let table = || tables.iter().find(|schema| schema.name() == name);
            let of_table = |schema: &Schema| schema.rows().count.unwrap_or_default() as usize;
            head.map(|(_, rows)| *rows)
                .or_else(|| table().map(of_table))
        });
        let rows = rows.collect();
        Self::over(passes, rows)
    }

    /// The same over so many rows of each of the passes' frames.
    pub(super) fn over(passes: Passes, rows: Vec<usize>) -> Result<Self, FrameQueryError> {
        let noises = pass_noise(&passes.passes, &rows)?;
        let (Some(last), Some(noise)) = (passes.passes.last(), noises.last()) else {
            return Err(FrameQueryError::NoPass);
        };
        let errors = precisions(last, noise)?;
        let columns = columns(&passes.answer, &errors, sums(last, rows[last.over]));
        Ok(Self {
            passes,
            rows,
            errors,
            columns,
        })
    }

    /// The column that is worth least, if that is less than was demanded.
    fn short(&self, demand: Demand) -> Option<&ColumnPrecision> {
        short(&self.columns, demand)
    }

    /// Whether it has another worth with other numbers of rows a sum.
    fn depends_on_sums(&self) -> bool {
        let is_sum = |pass: &Pass| matches!(pass.collect, Collect::Sum { .. });
        self.passes.passes.len() == 1 && self.passes.passes.iter().all(is_sum)
    }
}

/// The column that is worth least, if that is less than was demanded.
fn short(columns: &[ColumnPrecision], demand: Demand) -> Option<&ColumnPrecision> {
    let inexact = columns.iter().filter_map(|own| Some((own, own.bits?)));
    let least = inexact.min_by(|one, other| one.1.total_cmp(&other.1));
    least
        .filter(|(_, bits)| match demand {
            Demand::Exact => true,
            // Cells of a column of which nothing is guaranteed look like any others.
            Demand::Bits(wanted) => *bits < wanted || *bits <= 0.0,
        })
        .map(|(column, _)| column)
}

impl PreparedQuery {
    /// A plan for frames of these heads and numbers of rows, and tables in the clear of these schemas.
    pub fn new(
        plan: Plan,
        heads: &[(FileHead, usize)],
        tables: &[Schema],
        sums: SumRows,
    ) -> Result<Self, FrameQueryError> {
        let first = leading(heads)?;
        for (other, _) in heads {
            let has_gadget = other.schema.owners().is_none();
            let what = match other {
                other if other.key != first.key => "encrypted under another key",
                other if other.parameter_set != first.parameter_set => "of another parameter set",
                other if has_gadget && other.gadget != first.gadget => {
                    "encrypted with another gadget"
                }
                _ => continue,
            };
            return Err(FrameQueryError::Unlike {
                frame: other.schema.name().into(),
                what,
                first: first.schema.name().into(),
            });
        }
        let set = ParameterSet::by_tag(first.parameter_set, "data frame")?;
        let schemas = schemas(heads, tables);
        let models = plan.published_models();
        // What is said of an answer is the same whether or not weights are at hand.
        let plan = plan.without_weights();
        let resolved = plan.resolve(&schemas)?;
        let sent = sent::as_sent(&plan, &schemas)?;
        let candidate = |rows_per_sum| {
            let form = circuit_form(set, first, rows_per_sum);
            Candidate::new(resolved.lower(&form)?, heads, tables)
        };
        let rows_were_given = matches!(sums, SumRows::Given(_));
        let (rows_per_sum, chosen) = match sums {
            SumRows::Given(rows) => (rows, candidate(rows)?),
            SumRows::Fitting(demand) => fitting(demand, candidate)?,
        };
        let Candidate {
            passes,
            rows,
            errors,
            columns,
        } = chosen;
        let place = |name: &String| schemas.iter().position(|schema| schema.name() == name);
        let places: Vec<usize> = passes.frames.iter().filter_map(place).collect();
        let figures = passes.passes.iter().map(|pass| {
            let rows = rows[pass.over];
            Ok::<_, FrameError>(PassFigures {
                seconds: seconds(pass, rows),
                bytes: result_bytes(pass, rows)? as u64,
            })
        });
        let figures = figures.collect::<Result<_, _>>()?;
        let named: Vec<&Schema> = places.iter().map(|place| &schemas[*place]).collect();
        let hash = query_hash(&sent, &named, rows_per_sum)?;
        Ok(Self {
            key: first.key,
            models,
            plan,
            sent,
            figures,
            places,
            set,
            hash,
            rows,
            form: circuit_form(set, first, rows_per_sum),
            rows_per_sum,
            rows_were_given,
            errors,
            columns,
            passes,
            schemas,
        })
    }

    /// The passes as they are evaluated by one who has frames and tables, in the order of
    /// [`PreparedQuery::places`], and published models with their weights, which the plan may have had: what is chosen by columns of a
    /// table in the clear depends on its cells, and scores on weights, which nobody else has. Precision and
    /// form of the results do not.
    ///
    /// # Errors
    /// Cells that take more choices than a row may have; a model that is missing.
    pub fn passes_of(
        &self,
        frames: &[&StoredFrame],
        models: &[Arc<PublishedScore>],
    ) -> Result<Vec<Pass>, FrameQueryError> {
        let passes = &self.passes.passes;
        if !passes.iter().any(Pass::is_assumed) {
            return Ok(passes.clone());
        }
        let tables = frames.iter().filter_map(|frame| frame.in_the_clear());
        let tables: Vec<&PlainTable> = tables.collect();
        let plan = self.plan.with_weights(&self.models).with_weights(models);
        let mut named = plan.published_models().into_iter();
        if let Some(missing) = named.find(|own| !own.has_weights()) {
            return Err(FrameQueryError::NoWeights {
                model: missing.name().to_owned(),
            });
        }
        let resolved = plan.resolve(&self.schemas)?.with_cells(&tables);
        let own = resolved.lower(&self.form)?;
        let is_alike = own.answer == self.passes.answer
            && own.passes.len() == passes.len()
            && own
                .passes
                .iter()
                .zip(passes)
                .all(|(one, other)| one.is_alike(other));
        let noises = pass_noise(&own.passes, &self.rows)?;
        let (Some(last), Some(noise), true) = (own.passes.last(), noises.last(), is_alike) else {
            return Err(FrameQueryError::Form);
        };
        let errors = precisions(last, noise)?;
        let mut both = errors.iter().zip(&self.errors);
        if both.any(|(own, said)| own.error > said.error || own.total > said.total) {
            return Err(FrameQueryError::Form);
        }
        Ok(own.passes)
    }

    /// Its last pass, which has the results.
    ///
    /// # Panics
    /// Never: a query without passes is refused.
    pub fn last(&self) -> &Pass {
        self.passes.passes.last().expect("checked: there is one")
    }

    /// Rows that a pass goes over.
    pub fn rows_of(&self, pass: &Pass) -> usize {
        self.rows[pass.over]
    }

    /// The answer, of what became of all rows of the last pass.
    pub fn reply(&self, results: &PassResults) -> Result<Reply, FrameError> {
        Ok(Reply {
            parameter_set: self.set.tag(),
            key: self.key,
            query: self.hash,
            rows_per_sum: self.rows_per_sum,
            ciphertexts: compress(self.last(), results)?,
        })
    }

    /// Whether a reply says that it is of this query, and of this form.
    pub fn is_answered_by(&self, reply: &Reply) -> bool {
        (
            reply.query,
            reply.key,
            reply.rows_per_sum,
            reply.parameter_set,
        ) == (self.hash, self.key, self.rows_per_sum, self.set.tag())
    }

    /// The rows of its decrypted answer.
    pub fn table(&self, words: &Words) -> Table {
        let errors: Vec<f64> = self.columns.iter().map(|own| own.error).collect();
        self.passes.answer.table(words, &errors)
    }

    /// Refuses a plan of which a column is worth less, by the step that spends it.
    pub fn require(&self, demand: Demand) -> Result<(), FrameQueryError> {
        let Some(column) = short(&self.columns, demand) else {
            return Ok(());
        };
        let last = self.last();
        // Selecting and renaming spend nothing.
        let spends = |step: &PlanStep| match last.collect {
            Collect::Sum { .. } => matches!(step, PlanStep::GroupBy(_)),
            Collect::Rows => !matches!(step, PlanStep::Select(_) | PlanStep::Rename(_)),
        };
        let steps = self.plan.steps.iter().enumerate();
        let step = steps.rev().find(|(_, step)| spends(step));
        let step = step.map_or_else(
            || "the scan".to_owned(),
            |(number, step)| format!("step {} ({step})", number + 1),
        );
        let spent = match last.collect {
            Collect::Sum { .. } if self.passes.passes.len() > 1 => format!(
                "reads for each of {} rows what {} rows of {:?} were added to, and errors of what is read add up: have the merged rows decrypted before they are grouped, in stages, or encrypt parts of the frames and add their answers",
                self.rows_of(last),
                self.rows_of(&self.passes.passes[0]),
                self.passes.frames[self.passes.passes[0].over],
            ),
            Collect::Sum { rows } => format!(
                "sums {} rows of {} choices each: {}smaller limbs (limb-bits) or a finer gadget make it more exact",
                self.rows_of(last).min(rows as usize),
                choices(last),
                if self.rows_were_given && rows > 1 {
                    "fewer rows a sum, "
                } else {
                    ""
                }
            ),
            Collect::Rows => format!(
                "takes {} choices a row: smaller limbs (limb-bits) or a finer gadget make it more exact",
                choices(last)
            ),
        };
        Err(FrameQueryError::TooImprecise {
            column: column.name.clone(),
            bits: column.bits.unwrap_or_default(),
            demand,
            step,
            spent,
        })
    }
}

/// The largest number of rows a sum with which a demand is met, as the answer then is the smallest, or
/// that with which least is missing.
fn fitting(
    demand: Demand,
    candidate: impl Fn(u32) -> Result<Candidate, FrameQueryError>,
) -> Result<(u32, Candidate), FrameQueryError> {
    let mut rows = MOST_ROWS;
    let mut best = candidate(rows)?;
    let mut best_rows = rows;
    let worth = |own: &Candidate| own.short(demand).and_then(|column| column.bits);
    while rows > 1 && best.depends_on_sums() {
        let Some(least) = worth(&best) else { break };
        // Two steps an octave.
        rows = if rows.is_power_of_two() {
            (rows / 4 * 3).max(1)
        } else {
            rows / 3 * 2
        };
        let next = candidate(rows)?;
        if worth(&next).is_none_or(|bits| bits > least) {
            (best, best_rows) = (next, rows);
        }
    }
    Ok((best_rows, best))
}

/// Ciphertexts of each output, whose numbers are added.
fn sums(pass: &Pass, rows: usize) -> usize {
    match pass.collect {
        Collect::Rows => 1,
        Collect::Sum { rows: most } => rows.div_ceil(most.max(1) as usize).max(1),
    }
}

/// CMUXes of a row.
pub fn choices(pass: &Pass) -> usize {
    let nodes = pass.circuit.nodes.iter();
    let of = |node: &Node| match node {
        Node::Sum(sum) => sum.selects.len(),
        Node::Lookup(lookup) => lookup.form.len(),
        _ => 0,
    };
    nodes.map(of).sum()
}
