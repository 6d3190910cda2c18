//! Encryption of frames, decryption of what queries made of them.

use cipherfn_frame::pass::{COUNT_UNIT, Collect, Pass, ROOM_BITS};
use cipherfn_frame::schema::{Duplicates, LookupIndex, RowInput, Schema, TablePart};
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::parameters::{Depth, ParameterSet};
use cipherfn_scheme::query::{
    GroupForm, GroupShape, SelectorQueryShape, TableShape, ValueShape, encrypt_group,
    encrypt_tables, encrypt_values,
};
use cipherfn_scheme::reply::{Collection, ReplyShape};
use cipherfn_scheme::{SchemeError, SecretKey};

/// Rows of a table's entry at most: more could wrap around.
const MAX_DUPLICATES: u64 = 1 << (ROOM_BITS - 1);

/// Columns in the clear: of each column of a schema the cells' units, `None` where one is missing.
pub type Units = [Vec<Option<i64>>];

/// Why columns cannot be encrypted, or a reply not decrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Columns of the wrong number.
    #[error("the frame has {expected} columns, {found} were given")]
    Columns {
        /// Columns of the schema.
        expected: usize,
        /// Columns found.
        found: usize,
    },
    /// A column that is longer or shorter than the others.
    #[error("column {column:?} has {found} rows, the first column {expected}")]
    Length {
        /// The column.
        column: String,
        /// Rows of the first one.
        expected: usize,
        /// Rows of this one.
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
    /// Two rows of equal keys where a look-up refuses them.
    #[error(
        "rows {first} and {second} have equal keys in {columns:?}; make the keys unique, or set duplicates = \"sum\" for the look-up"
    )]
    Duplicate {
        /// The key columns.
        columns: Vec<String>,
        /// The earlier row, from 1.
        first: usize,
        /// The later row, from 1.
        second: usize,
    },
    /// More rows of equal keys than a sum has room for.
    #[error(
        "{rows} rows have equal keys in {columns:?}, a look-up adds up at most {most}; sum them before"
    )]
    TooManyDuplicates {
        /// The key columns.
        columns: Vec<String>,
        /// Their number.
        rows: u64,
        /// Most rows.
        most: u64,
    },
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

    /// Checks columns against the schema, of rows `first_row` (from 0) and on. Gives the number of rows.
    pub fn check(&self, columns: &Units, first_row: usize) -> Result<usize, FrameError> {
        let expected = self.schema.columns().len();
        if columns.len() != expected {
            return Err(FrameError::Columns {
                expected,
                found: columns.len(),
            });
        }
        let rows = columns.first().map_or(0, Vec::len);
        for (column, cells) in self.schema.columns().iter().zip(columns) {
            if cells.len() != rows {
                return Err(FrameError::Length {
                    column: column.name.clone(),
                    expected: rows,
                    found: cells.len(),
                });
            }
            let (min, max) = column.domain.range();
            for (row, cell) in (first_row + 1..).zip(cells) {
                let column = || column.name.clone();
                match cell {
                    Some(units) if (min..=max).contains(units) => {}
                    Some(units) => {
                        return Err(FrameError::Range {
                            column: column(),
                            row,
                            units: *units,
                            min,
                            max,
                        });
                    }
                    None => {}
                }
            }
            if let (false, Some(place)) = (column.nulls, cells.iter().position(Option::is_none)) {
                return Err(FrameError::Null {
                    column: column.name.clone(),
                    row: first_row + place + 1,
                });
            }
        }
        Ok(rows)
    }

    /// Encrypts rows `first_row` and on, of which the first `live` are rows and the others pad.
    pub fn rows(
        &self,
        columns: &Units,
        first_row: usize,
        live: usize,
    ) -> Result<EncryptedRows, FrameError> {
        let rows = self.check(columns, first_row)?;
        let inputs = self.schema.row_inputs().into_iter();
        let inputs = inputs.map(|input| self.input(input, columns, rows, live));
        Ok(EncryptedRows {
            rows,
            inputs: inputs.collect::<Result<_, _>>()?,
        })
    }

    fn input(
        &self,
        input: RowInput,
        columns: &Units,
        rows: usize,
        live: usize,
    ) -> Result<Vec<u8>, FrameError> {
        let form = form(rows);
        let bits: Vec<Vec<bool>> = match input {
            RowInput::Live => (0..rows).map(|row| vec![row < live]).collect(),
            RowInput::Presence(column) => columns[column]
                .iter()
                .map(|cell| vec![cell.is_some()])
                .collect(),
            RowInput::Code(column) => {
                let (count, cells) = (self.schema.bit_count(input), &columns[column]);
                let codes = cells.iter().map(|cell| self.code(column, *cell));
                codes
                    .map(|code| (0..count).map(|bit| code >> bit & 1 == 1).collect())
                    .collect()
            }
            RowInput::Limbs(column) => {
                let shape = ValueShape {
                    set: self.key.parameter_set(),
                    values: self.schema.columns()[column].limbs().len(),
                };
                let words: Vec<_> = columns[column]
                    .iter()
                    .map(|cell| self.words(column, *cell))
                    .collect();
                return Ok(encrypt_values(self.key, &shape, form, &words)?);
            }
        };
        let group = GroupShape {
            shape: SelectorQueryShape {
                set: self.key.parameter_set(),
                selectors: self.schema.bit_count(input) as usize,
                gadget: self.gadget,
                transport: Transport::Packed,
            },
            depth: form.depth,
            rows,
        };
        Ok(encrypt_group(self.key, &group, &bits)?)
    }

    /// A checked cell's code; that behind the last one of a missing cell.
    fn code(&self, column: usize, cell: Option<i64>) -> u64 {
        let domain = &self.schema.columns()[column].domain;
        cell.map_or(domain.size(), |units| units.abs_diff(domain.range().0))
    }

    /// A checked cell's limbs as torus words; zero of a missing cell.
    fn words(&self, column: usize, cell: Option<i64>) -> Vec<u64> {
        let column = &self.schema.columns()[column];
        let unit = u64::BITS - ROOM_BITS - column.limb_bits;
        match cell {
            Some(units) => {
                let limbs = column.domain.split(units, column.limb_bits);
                limbs
                    .into_iter()
                    .map(|limb| (limb << unit) as u64)
                    .collect()
            }
            None => vec![0; column.limbs().len()],
        }
    }

    /// Encrypts the tables of the schema's look-ups over all rows of the frame, an entry a look-up.
    /// Rows with a missing key are in none.
    pub fn tables(&self, columns: &Units) -> Result<Vec<Vec<u8>>, FrameError> {
        self.check(columns, 0)?;
        let lookups = self.schema.lookups().iter();
        lookups.map(|lookup| self.table(lookup, columns)).collect()
    }

    fn table(&self, lookup: &LookupIndex, columns: &Units) -> Result<Vec<u8>, FrameError> {
        let size = self.schema.lookup_size(lookup) as usize;
        let parts = self.schema.tables(lookup);
        let shape = TableShape::in_blocks(self.key.parameter_set(), parts.len(), size);
        let keys = self.keys(lookup, columns)?;
        let mut tables = vec![vec![0_u64; shape.entries]; shape.tables];
        for (index, part) in parts.iter().enumerate() {
            for (row, key) in keys.iter().enumerate() {
                let Some(key) = key else { continue };
                let word = match *part {
                    TablePart::Matched => 1 << (u64::BITS - COUNT_UNIT),
                    TablePart::Presence(column) => {
                        u64::from(columns[column][row].is_some()) << (u64::BITS - COUNT_UNIT)
                    }
                    TablePart::Limb(column, limb) => self.words(column, columns[column][row])[limb],
                };
                let table = &mut tables[shape.block(index, size, key / shape.entries)];
                let entry = &mut table[key % shape.entries];
                *entry = entry.wrapping_add(word);
            }
        }
        Ok(encrypt_tables(self.key, &shape, &tables)?)
    }

    /// The entry of each row; `None` where a key is missing.
    fn keys(
        &self,
        lookup: &LookupIndex,
        columns: &Units,
    ) -> Result<Vec<Option<usize>>, FrameError> {
        let by: Vec<usize> = lookup
            .by
            .iter()
            .filter_map(|name| self.schema.position(name))
            .collect();
        let rows = columns.first().map_or(0, Vec::len);
        let strides = self.schema.lookup_layout(lookup).strides;
        let key = |row: usize| {
            let mut key = 0;
            for (column, stride) in by.iter().zip(&strides) {
                let cell = columns[*column][row]?;
                key += self.code(*column, Some(cell)) * stride;
            }
            Some(key as usize)
        };
        let keys: Vec<Option<usize>> = (0..rows).map(key).collect();
        // First row and number of rows of each entry.
        let mut seen = vec![(0_usize, 0_u64); self.schema.lookup_size(lookup) as usize];
        for (row, key) in keys.iter().enumerate() {
            let Some(key) = key else { continue };
            let (first, count) = &mut seen[*key];
            if *count > 0 && lookup.duplicates == Duplicates::Refuse {
                return Err(FrameError::Duplicate {
                    columns: lookup.by.clone(),
                    first: *first + 1,
                    second: row + 1,
                });
            }
            if *count == 0 {
                *first = row;
            }
            *count += 1;
        }
        let most = seen.iter().map(|(_, count)| *count).max().unwrap_or(0);
        if most > MAX_DUPLICATES {
            return Err(FrameError::TooManyDuplicates {
                columns: lookup.by.clone(),
                rows: most,
                most: MAX_DUPLICATES,
            });
        }
        Ok(keys)
    }
}

/// How rows of a chunk lie together.
const fn form(rows: usize) -> GroupForm {
    GroupForm {
        depth: Depth::new(11),
        rows,
    }
}

/// Decrypts a reply: the ciphertexts of a query's last pass over `rows` rows, output by output. Gives
/// of each result (a block of rows, or a sum) of each output its words, rounded to what is
/// guaranteed: `errors` are the largest errors of the outputs, as fractions of the torus.
pub fn decrypt_reply(
    key: &SecretKey,
    pass: &Pass,
    rows: usize,
    errors: &[f64],
    reply: &[Vec<u8>],
) -> Result<Vec<Vec<Vec<u64>>>, FrameError> {
    let set = ParameterSet::by_name(&pass.circuit.parameter_set)?;
    let collection = match pass.collect {
        Collect::Rows => Collection::Blocks,
        Collect::Sum { rows } => Collection::Sums {
            rows: rows as usize,
        },
    };
    let mut shapes = Vec::new();
    for (output, error) in pass.circuit.outputs.iter().zip(errors) {
        let row = ReplyShape {
            set,
            coefficients: output.coefficients as usize,
            stride: output.stride as usize,
            bits: output.reply_bits,
        };
        shapes.push((collection.shapes(row, rows), *error));
    }
    let shapes: Vec<_> = shapes
        .into_iter()
        .map(|(shapes, error)| (shapes.collect::<Vec<_>>(), error))
        .collect();
    let expected = shapes.iter().map(|(shapes, _)| shapes.len()).sum();
    if reply.len() != expected {
        return Err(FrameError::Reply {
            expected,
            found: reply.len(),
        });
    }
    let results = shapes.first().map_or(0, |(shapes, _)| shapes.len());
    let mut words = vec![Vec::with_capacity(shapes.len()); results];
    let mut ciphertexts = reply.iter();
    for (shapes, error) in &shapes {
        for ((shape, ciphertext), words) in shapes.iter().zip(&mut ciphertexts).zip(&mut words) {
            let phases = shape.decrypt(key, ciphertext)?;
            words.push(
                phases
                    .into_iter()
                    .map(|phase| rounded(phase, *error))
                    .collect(),
            );
        }
    }
    Ok(words)
}

/// A phase to the nearest multiple of the smallest power of two that an error cannot reach half of.
fn rounded(phase: i64, error: f64) -> u64 {
    let step = (2.0 * error).log2().ceil().clamp(-63.0, -1.0);
    let shift = (64.0 + step) as u32;
    ((phase as u64).wrapping_add(1 << (shift - 1)) >> shift) << shift
}
