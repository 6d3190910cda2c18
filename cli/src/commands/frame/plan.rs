//! A plan for frames, and what its answer is worth.

use crate::files::InputSource;
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_frame::Passes;
use cipherfn_frame::file::FileHead;
use cipherfn_frame::pass::{CircuitForm, Collect, Pass};
use cipherfn_frame::plan::{Plan, PlanStep};
use cipherfn_frame::reply::query_hash;
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::Bits;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::frames::{self, ColumnPrecision, OutputPrecision};

/// Largest plan.
const MAX_BYTES: u64 = 1 << 20;
/// Bits of a reply's coefficient.
const REPLY_BITS: u32 = 26;

/// How a plan is evaluated.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct PlanOptions {
    /// Rows that are summed in one ciphertext, beyond which decryption adds: fewer make sums more
    /// exact and the reply larger
    #[arg(long, value_name = "ROWS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub(super) rows_per_sum: u32,
}

/// What a pass takes.
pub(super) struct PassFigures {
    /// Time of all rows on one core, about.
    pub(super) seconds: f64,
    /// Bytes of its results.
    pub(super) bytes: u64,
}

/// A plan that was made circuits of.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) passes: Passes,
    /// Places of the passes' frames among those that were given.
    pub(super) places: Vec<usize>,
    pub(super) set: &'static ParameterSet,
    pub(super) key: KeyId,
    pub(super) hash: Hash,
    /// Rows of each of the passes' frames.
    pub(super) rows: Vec<usize>,
    pub(super) schemas: Vec<Schema>,
    pub(super) figures: Vec<PassFigures>,
    /// Largest errors of the last pass's outputs.
    pub(super) errors: Vec<OutputPrecision>,
    pub(super) columns: Vec<ColumnPrecision>,
}

impl Prepared {
    /// A plan for frames of these heads and numbers of rows.
    pub(super) fn new(
        source: &InputSource,
        heads: &[(FileHead, usize)],
        rows_per_sum: u32,
    ) -> Result<Self> {
        let Some(((first, _), others)) = heads.split_first() else {
            bail_usage!("give the frames that the plan names");
        };
        for (other, _) in others {
            let what = match other {
                other if other.key != first.key => "encrypted under another key",
                other if other.parameter_set != first.parameter_set => "of another parameter set",
                other if other.gadget != first.gadget => "encrypted with another gadget",
                _ => continue,
            };
            bail!(
                "frame {:?} is {what} than frame {:?}; encrypt both alike, with one key ring",
                other.schema.name(),
                first.schema.name()
            );
        }
        let set = ParameterSet::by_tag(first.parameter_set, "data frame")?;
        let schemas: Vec<Schema> = heads.iter().map(|(head, _)| head.schema.clone()).collect();
        let plan = read(source, &schemas)?;
        let form = CircuitForm {
            parameter_set: set.name.into(),
            gadget: first.gadget,
            reply_bits: Bits::new(REPLY_BITS),
            rows_per_sum,
        };
        let passes = plan.resolve(&schemas)?.lower(&form)?;
        let place = |name: &String| schemas.iter().position(|schema| schema.name() == name);
        let places: Vec<usize> = passes.frames.iter().filter_map(place).collect();
        let rows: Vec<usize> = places.iter().map(|place| heads[*place].1).collect();
        let noises = frames::pass_noise(&passes.passes, &rows)?;
        let (Some(last), Some(noise)) = (passes.passes.last(), noises.last()) else {
            bail!("the plan has no pass");
        };
        let errors = frames::precisions(last, noise)?;
        let figures = passes.passes.iter().map(|pass| {
            let rows = rows[pass.over];
            Ok(PassFigures {
                seconds: frames::seconds(pass, rows),
                bytes: frames::result_bytes(pass, rows)? as u64,
            })
        });
        let figures = figures.collect::<Result<_>>()?;
        let results = sums(last, rows[last.over]);
        let columns = frames::columns(&passes.answer, &errors, results);
        let named: Vec<&Schema> = places.iter().map(|place| &schemas[*place]).collect();
        let hash = query_hash(&plan, &named)?;
        Ok(Self {
            key: first.key,
            plan,
            figures,
            places,
            set,
            hash,
            rows,
            errors,
            columns,
            passes,
            schemas,
        })
    }

    /// Its last pass, which has the results.
    pub(super) fn last(&self) -> &Pass {
        self.passes.passes.last().expect("checked: there is one")
    }

    /// Refuses a plan of which a column has fewer bits.
    pub(super) fn require(&self, least: f64) -> Result<()> {
        let short = |column: &&ColumnPrecision| column.bits.is_some_and(|bits| bits < least);
        let Some(column) = self.columns.iter().find(short) else {
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
            Collect::Sum { rows } => format!(
                "sums {} rows of {} choices each: fewer rows a sum (--rows-per-sum), smaller limbs (limb-bits) or a finer gadget make it more exact",
                self.rows[last.over].min(rows as usize),
                choices(last)
            ),
            Collect::Rows => format!(
                "takes {} choices a row: smaller limbs (limb-bits) or a finer gadget make it more exact",
                choices(last)
            ),
        };
        bail!(
            "column {:?} would have {:.1} bits of its range, {least} were asked for; {step} {spent}",
            column.name,
            column.bits.unwrap_or_default()
        )
    }
}

/// Reads a plan, JSON or SQL.
fn read(source: &InputSource, schemas: &[Schema]) -> Result<Plan> {
    let bytes = source.read_all(MAX_BYTES)?;
    let plan = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Plan::from_json(&bytes),
        _ => Plan::from_sql(&String::from_utf8_lossy(&bytes), schemas),
    };
    plan.with_context(|| source.name())
}

/// Ciphertexts of each output, whose numbers are added.
fn sums(pass: &Pass, rows: usize) -> usize {
    match pass.collect {
        Collect::Rows => 1,
        Collect::Sum { rows: most } => rows.div_ceil(most.max(1) as usize).max(1),
    }
}

/// CMUXes of a row.
pub(super) fn choices(pass: &Pass) -> usize {
    use cipherfn_circuit::circuit::Node;
    let nodes = pass.circuit.nodes.iter();
    let of = |node: &Node| match node {
        Node::Sum(sum) => sum.selects.len(),
        Node::Lookup(lookup) => lookup.form.len(),
        _ => 0,
    };
    nodes.map(of).sum()
}

/// Bits of a column for people.
pub(super) fn bits(column: &ColumnPrecision) -> String {
    match column.bits {
        None => "exact".into(),
        Some(bits) => format!("{bits:.1} bits"),
    }
}
