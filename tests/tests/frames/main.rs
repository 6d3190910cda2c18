//! Encrypted frames: plans on ciphertexts against polars, and what a reply shows.

mod cases;
mod figures;
mod golden;
mod owners;
mod passes;
mod refusals;
mod scores;

use cipherfn_client::frames::{EncryptedRows, FrameEncryptor, Tables, decrypt_reply};
use cipherfn_frame::Passes;
use cipherfn_frame::answer::Cell;
use cipherfn_frame::cells::Units;
use cipherfn_frame::pass::{CircuitForm, Pass};
use cipherfn_frame::plain::{PlainTable, SALT_LEN};
use cipherfn_frame::plan::Plan;
use cipherfn_frame::schema::{Rows, Schema};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::frames::{
    ColumnPrecision, PassResults, StoredFrame, StoredRows, columns, compress, pass_noise,
    precisions,
};
use std::sync::LazyLock;

const SET: &str = "cipherfn-128-n2048-m11-v1";
const GADGET: Gadget = Gadget::new(BaseLog::new(6), Levels::new(4));

static KEYS: LazyLock<(SecretKey, ExpandedEvaluationKey)> = LazyLock::new(|| {
    let secret = SecretKey::generate(set()).unwrap();
    let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    (secret, key)
});

fn set() -> &'static ParameterSet {
    ParameterSet::by_name(SET).unwrap()
}

fn schema(text: &str) -> Schema {
    Schema::from_toml(text).unwrap()
}

/// Rows without missing cells.
fn rows<const N: usize>(rows: impl IntoIterator<Item = [i64; N]>) -> Vec<Units> {
    rows.into_iter().map(|row| row.map(Some).into()).collect()
}

/// Encrypts rows, and as many that pad, in chunks of so many.
fn encrypt(
    schema: &Schema,
    gadget: Gadget,
    rows: &[Units],
    padding: usize,
    chunk: usize,
) -> StoredFrame {
    let schema = schema.clone().with_rows(Rows {
        count: Some((rows.len() + padding) as u64),
        padded: padding > 0,
    });
    let encryptor = FrameEncryptor::new(&KEYS.0, &schema, gadget);
    let tables = schema.lookups().iter().map(|lookup| {
        let mut tables = Tables::new(&schema, lookup);
        for row in rows {
            tables.add(row).unwrap();
        }
        encryptor.tables(lookup, tables).unwrap()
    });
    let tables: Vec<_> = tables.collect();
    let padded = rows.iter().cloned().map(Some);
    let padded: Vec<_> = padded.chain(std::iter::repeat_n(None, padding)).collect();
    let chunks = padded
        .chunks(chunk)
        .zip((0..).step_by(chunk))
        .map(|(rows, first)| {
            let EncryptedRows { rows, inputs } = encryptor.rows(rows, first).unwrap();
            StoredRows { rows, inputs }
        });
    StoredFrame::new(set(), schema.clone(), chunks.collect(), &tables).unwrap()
}

/// Rows of a table that the server has in the clear.
fn plain(schema: &Schema, rows: &[Units]) -> PlainTable {
    let lookups = schema.lookups().iter().map(|lookup| {
        let mut tables = Tables::new(schema, lookup);
        for row in rows {
            tables.add(row).unwrap();
        }
        tables.into_entries()
    });
    let entries = lookups.collect();
    PlainTable::new(schema.clone(), rows.len() as u64, [1; SALT_LEN], entries).unwrap()
}

fn form(gadget: Gadget, rows_per_sum: u32) -> CircuitForm {
    CircuitForm {
        parameter_set: SET.into(),
        gadget,
        reply_bits: Bits::new(26),
        rows_per_sum,
    }
}

/// A plan's passes, and the frames in their order.
fn lower<'f>(
    plan: &Plan,
    frames: &'f [StoredFrame],
    gadget: Gadget,
    rows_per_sum: u32,
) -> (Passes, Vec<&'f StoredFrame>) {
    lower_with(plan, (frames, &[]), gadget, rows_per_sum)
}

/// The same with the cells of tables in the clear.
fn lower_with<'f>(
    plan: &Plan,
    (frames, tables): (&'f [StoredFrame], &[PlainTable]),
    gadget: Gadget,
    rows_per_sum: u32,
) -> (Passes, Vec<&'f StoredFrame>) {
    let schemas: Vec<Schema> = frames.iter().map(|frame| frame.schema().clone()).collect();
    let form = form(gadget, rows_per_sum);
    let tables: Vec<&PlainTable> = tables.iter().collect();
    let resolved = plan.resolve(&schemas).unwrap().with_cells(&tables);
    let passes = resolved.lower(&form).unwrap();
    let place = |name: &String| frames.iter().find(|frame| frame.schema().name() == name);
    let frames = passes.frames.iter().map(|name| place(name).unwrap());
    let frames = frames.collect();
    (passes, frames)
}

/// Largest errors of the last pass's outputs, and how exact the columns are.
fn worth(passes: &Passes, frames: &[&StoredFrame]) -> (Vec<f64>, Vec<ColumnPrecision>) {
    let rows: Vec<usize> = frames.iter().map(|frame| frame.rows()).collect();
    let noise = pass_noise(&passes.passes, &rows).unwrap();
    let last = last(passes);
    let errors = precisions(last, noise.last().unwrap()).unwrap();
    let sums = match last.collect {
        cipherfn_frame::pass::Collect::Rows => 1,
        cipherfn_frame::pass::Collect::Sum { rows: most } => {
            rows[last.over].div_ceil(most as usize)
        }
    };
    let columns = columns(&passes.answer, &errors, sums.max(1));
    (errors.iter().map(|output| output.error).collect(), columns)
}

fn last(passes: &Passes) -> &Pass {
    passes.passes.last().unwrap()
}

/// The answer of the last pass's results, by way of the bytes that travel.
fn open(passes: &Passes, frames: &[&StoredFrame], results: &PassResults) -> Vec<Vec<Cell>> {
    let reply = compress(last(passes), results).unwrap();
    let (_, columns) = worth(passes, frames);
    let errors: Vec<f64> = columns.iter().map(|column| column.error).collect();
    let words = decrypt_reply(&KEYS.0, last(passes), results.rows, &reply).unwrap();
    passes.answer.decode(&words, &errors)
}
