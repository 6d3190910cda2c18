//! Encryption of frames, decryption of what queries made of them.

#[cfg(feature = "arrow")]
mod arrow;
mod file;
mod owners;
mod refresh;
mod tables;

#[cfg(feature = "arrow")]
pub use arrow::{ColumnError, answer_columns, values};
pub use file::{EncryptedFile, FrameFileError};
pub use owners::{OwnerSums, OwnersError, decrypt_total};
pub use refresh::{Behind, KeyHolder, RefreshFrameError, refresh_bytes};
pub use tables::Tables;

use cipherfn_frame::cells::Units;
use cipherfn_frame::pass::{Collect, Pass, ROOM_BITS};
use cipherfn_frame::schema::{Column, LookupIndex, RowInput, Schema};
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::parameters::{Depth, ParameterSet};
use cipherfn_scheme::query::{
    Encryption, GroupForm, GroupShape, SelectorQueryShape, TableShape, ValueShape, encrypt_group,
    encrypt_tables, encrypt_values,
};
use cipherfn_scheme::reply::{Collection, ReplyShape};
use cipherfn_scheme::{SchemeError, SecretKey};

/// Parameter set of the frames that are made here.
pub const SET: &str = "cipherfn-128-n2048-m11-v1";

/// Why rows cannot be encrypted, or a reply not decrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A row of another number of cells than columns.
    #[error("row {row} has {found} cells where the schema has {expected} columns")]
    Cells {
        /// The row, from 1.
        row: usize,
        /// Columns of the schema.
        expected: usize,
        /// Cells found.
        found: usize,
    },
    /// A value that the column's domain does not have.
    #[error(
        "row {row} of column {column:?}: {units} is not in the range of {min} to {max} (units); widen the schema's range and encrypt the frame again"
    )]
    Range {
        /// The column.
        column: String,
        /// The row, from 1.
        row: usize,
        /// The value.
        units: i64,
        /// Least value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A missing cell in a column that has none.
    #[error(
        "row {row} of column {column:?} is missing, and the schema says that none is; set nulls = true"
    )]
    Null {
        /// The column.
        column: String,
        /// The row, from 1.
        row: usize,
    },
    /// Two rows of one key.
    #[error(
        "rows {first} and {second} have equal keys ({columns}), by which the frame is looked up; remove one, or let the look-up have duplicates = \"sum\""
    )]
    Duplicate {
        /// The first row, from 1.
        first: u64,
        /// The second.
        second: u64,
        /// The key columns.
        columns: String,
    },
    /// More rows of one key than limbs have room for.
    #[error(
        "more than {limit} rows have equal keys ({columns}), by which the frame is looked up; let the look-up have room for as many (rows = {limit} now, 1048576 at most)"
    )]
    TooMany {
        /// Most rows.
        limit: u64,
        /// The key columns.
        columns: String,
    },
    /// The schema of owners' sums.
    #[error(
        "the schema says owners, which is of sums under a public key; take that line out to encrypt rows, or let the owner contribute (cipherfn frame contribute)"
    )]
    Sums,
    /// Rows that pad in a frame that has none.
    #[error("rows that pad hide how many there are only where the schema says padded = true")]
    Padding,
    /// A reply that is not the plan's.
    #[error(
        "the reply has {found} ciphertexts, the plan's answer {expected}; decrypt it with the plan and the frames that it was made of"
    )]
    Reply {
        /// Ciphertexts of the plan's answer.
        expected: usize,
        /// Ciphertexts found.
        found: usize,
    },
    /// Encryption or decryption.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}

/// Encrypted rows: the ciphertexts of each of the schema's row inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedRows {
    /// Number of rows.
    pub rows: usize,
    /// One entry an entry of [`Schema::row_inputs`].
    pub inputs: Vec<Vec<u8>>,
}

/// Makes frames of one schema, gadget and key.
#[derive(Clone, Copy)]
pub struct FrameEncryptor<'a> {
    key: &'a SecretKey,
    schema: &'a Schema,
    gadget: Gadget,
}

impl<'a> FrameEncryptor<'a> {
    /// All selectors of a frame have one gadget, and queries take frames of one.
    pub const fn new(key: &'a SecretKey, schema: &'a Schema, gadget: Gadget) -> Self {
        Self {
            key,
            schema,
            gadget,
        }
    }

    /// Encrypts rows, of which the first one is `first_row` (from 0) of the frame; None pads.
    pub fn rows(
        &self,
        rows: &[Option<Units>],
        first_row: usize,
    ) -> Result<EncryptedRows, FrameError> {
        for (row, cells) in (first_row + 1..).zip(rows) {
            match cells {
                Some(cells) => check(self.schema, row, cells)?,
                None if self.schema.rows().padded => {}
                None => return Err(FrameError::Padding),
            }
        }
        let inputs = self.schema.row_inputs().into_iter();
        let inputs = inputs.map(|input| self.input(input, rows));
        Ok(EncryptedRows {
            rows: rows.len(),
            inputs: inputs.collect::<Result<_, _>>()?,
        })
    }

    /// Encrypts the tables of a look-up, with whatever rows they have.
    pub fn tables(&self, lookup: &LookupIndex, tables: Tables<'_>) -> Result<Vec<u8>, FrameError> {
        if self.schema.owners().is_some() {
            return Err(FrameError::Sums);
        }
        let places = self.schema.lookup_layout(lookup).places as usize;
        let parts: Vec<_> = tables.finish().collect();
        let shape = TableShape::in_blocks(self.key.parameter_set(), parts.len(), places);
        let mut words = vec![vec![0_u64; shape.entries]; shape.tables];
        for (index, (part, entries)) in parts.into_iter().enumerate() {
            let unit = self.schema.unit(lookup, part);
            for (place, entry) in entries.into_iter().enumerate() {
                let table = shape.block(index, places, place / shape.entries);
                words[table][place % shape.entries] = (entry << (u64::BITS - unit)) as u64;
            }
        }
        Ok(encrypt_tables(self.key, &shape, &words)?)
    }

    fn input(&self, input: RowInput, rows: &[Option<Units>]) -> Result<Vec<u8>, FrameError> {
        let (form, set) = (form(rows.len()), self.key.parameter_set());
        if let RowInput::Limbs(column) = input {
            let unit = u64::BITS - self.unit(column);
            let words = |row: &Option<Units>| {
                let limbs = self.limbs(column, row.as_ref()).into_iter();
                limbs.map(|limb| (limb << unit) as u64).collect::<Vec<_>>()
            };
            let words: Vec<_> = rows.iter().map(words).collect();
            let values = self.schema.columns()[column].limbs().len();
            let shape = ValueShape { set, values };
            return Ok(encrypt_values(self.key, &shape, form, &words)?);
        }
        let bits: Vec<_> = rows
            .iter()
            .map(|row| self.bits(input, row.as_ref()))
            .collect();
        let group = GroupShape {
            shape: SelectorQueryShape {
                set,
                selectors: self.schema.bit_count(input) as usize,
                gadget: self.gadget,
                transport: Transport::Packed,
            },
            depth: form.depth,
            rows: rows.len(),
        };
        Ok(encrypt_group(self.key, &group, &bits)?)
    }

    /// The bits of an input of a row; of a row that pads, without units.
    fn bits(&self, input: RowInput, row: Option<&Units>) -> Vec<bool> {
        let cell = |column: usize| row.and_then(|row| row[column]);
        match input {
            RowInput::Live => vec![row.is_some()],
            RowInput::Presence(column) => vec![cell(column).is_some()],
            RowInput::Code(column) => {
                let own = &self.schema.columns()[column];
                let code = cell(column).map(|units| code(own, units));
                // A row that pads is left out by its own bit: any code will do.
                let code = code.unwrap_or(if own.nulls { own.domain.size() } else { 0 });
                (0..own.code_bits())
                    .map(|bit| code >> bit & 1 == 1)
                    .collect()
            }
            RowInput::Limbs(_) => Vec::new(),
        }
    }

    /// The limbs of a column of a row; zero where the cell is missing.
    fn limbs(&self, column: usize, row: Option<&Units>) -> Vec<i64> {
        let own = &self.schema.columns()[column];
        match row.and_then(|row| row[column]) {
            Some(units) => own.domain.split(units, own.limb_bits),
            None => vec![0; own.limbs().len()],
        }
    }

    /// A limb of 1 of a column is the torus fraction 2^-this.
    fn unit(&self, column: usize) -> u32 {
        ROOM_BITS + self.schema.columns()[column].limb_bits
    }
}

/// Refuses a row, by its number from 1, that is none of the schema's.
fn check(schema: &Schema, row: usize, cells: &Units) -> Result<(), FrameError> {
    let expected = schema.columns().len();
    if cells.len() != expected {
        return Err(FrameError::Cells {
            row,
            expected,
            found: cells.len(),
        });
    }
    for (column, cell) in schema.columns().iter().zip(cells) {
        let (min, max) = column.domain.range();
        let name = || column.name.clone();
        match cell {
            Some(units) if !(min..=max).contains(units) => {
                return Err(FrameError::Range {
                    column: name(),
                    row,
                    units: *units,
                    min,
                    max,
                });
            }
            None if !column.nulls => {
                return Err(FrameError::Null {
                    column: name(),
                    row,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The code of units in a column's range.
fn code(column: &Column, units: i64) -> u64 {
    units.abs_diff(column.domain.range().0)
}

/// How rows of a chunk lie together.
const fn form(rows: usize) -> GroupForm {
    GroupForm {
        depth: Depth::new(11),
        rows,
        encryption: Encryption::Secret,
    }
}

/// Decrypts a reply: the ciphertexts of a query's last pass over `rows` rows, output by output. Gives
/// of each result (a block of rows, or a sum) of each output its words with their noise, which the
/// cells of an answer leave out: nobody else has any business with words.
pub fn decrypt_reply(
    key: &SecretKey,
    pass: &Pass,
    rows: usize,
    reply: &[Vec<u8>],
) -> Result<Vec<Vec<Vec<u64>>>, FrameError> {
    let set = ParameterSet::by_name(&pass.circuit.parameter_set)?;
    let outputs = pass.circuit.outputs.iter().map(|output| ReplyShape {
        set,
        coefficients: output.coefficients as usize,
        stride: output.stride as usize,
        bits: output.reply_bits,
    });
    let outputs: Vec<ReplyShape> = outputs.collect();
    let expected = collection(pass).count(&outputs, rows);
    if reply.len() != expected {
        return Err(FrameError::Reply {
            expected,
            found: reply.len(),
        });
    }
    let shapes = collection(pass).shapes(&outputs, rows);
    let phases = shapes.zip(reply);
    let phases = phases.map(|(shape, bytes)| shape.decrypt(key, bytes));
    let phases = phases.collect::<Result<Vec<_>, _>>()?;
    let count = outputs.len().max(1);
    let words = |phases: &mut dyn Iterator<Item = &i64>| {
        phases.map(|phase| *phase as u64).collect::<Vec<_>>()
    };
    Ok(match pass.collect {
        Collect::Rows => {
            let items = phases.concat();
            let outputs = 0..outputs.len();
            let outputs =
                outputs.map(|output| words(&mut items.iter().skip(output).step_by(count)));
            vec![outputs.collect()]
        }
        Collect::Sum { .. } => phases
            .chunks(count)
            .map(|sum| sum.iter().map(|own| words(&mut own.iter())).collect())
            .collect(),
    })
}

const fn collection(pass: &Pass) -> Collection {
    match pass.collect {
        Collect::Rows => Collection::Blocks,
        Collect::Sum { rows } => Collection::Sums {
            rows: rows as usize,
        },
    }
}
