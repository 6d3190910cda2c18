//! Frames and tables as whoever evaluates has them.

use super::FrameError;
use cipherfn_frame::plain::PlainTable;
use cipherfn_frame::schema::{RowInput, Schema, TablePart};
use cipherfn_frame::totals::Totals;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::{PublicCiphertext, PublicTableShape};
use cipherfn_scheme::query::{TableShape, decode_tables};
use cipherfn_scheme::{Glwe, SchemeError};
use std::collections::BTreeMap;
use std::ops::Range;

/// An encrypted frame, or a table in the clear, as whoever evaluates has it.
pub struct StoredFrame {
    pub(super) schema: Schema,
    inputs: Vec<RowInput>,
    pub(super) chunks: Vec<StoredRows>,
    tables: LookupTables,
}

/// The tables of a frame's look-ups.
enum LookupTables {
    /// Of each look-up.
    Encrypted(Vec<(TableShape, Vec<Glwe>)>),
    /// Those of the one look-up of owners' sums, under a public key.
    Summed(PublicTableShape, PublicCiphertext),
    /// Those of a table in the clear.
    Plain(&'static ParameterSet, PlainTable),
}

/// Rows whose ciphertexts lie together.
#[derive(Clone, Debug)]
pub struct StoredRows {
    /// Number of rows.
    pub rows: usize,
    /// Ciphertexts of each of the schema's row inputs.
    pub inputs: Vec<Vec<u8>>,
}

/// Columns that somebody added beside the rows of a frame.
#[derive(Debug)]
pub struct StoredColumns {
    /// For people, what they came by.
    pub name: String,
    /// How many inputs of rows they are.
    pub inputs: usize,
    /// Their chunks by the number of their first row, as many as are at hand.
    pub chunks: BTreeMap<u64, StoredRows>,
}

impl StoredColumns {
    /// Puts their inputs behind those of a frame's chunks. Rows outside of `needed` may be missing on
    /// either side: they get none.
    ///
    /// # Errors
    /// Rows that share ciphertexts here and not there: a row is read from one chunk.
    pub fn put_beside(
        mut self,
        chunks: &mut [StoredRows],
        needed: &Range<u64>,
    ) -> Result<(), FrameError> {
        let mut first = 0;
        for chunk in chunks {
            let end = first + chunk.rows as u64;
            let own = self.chunks.remove(&first);
            let own = own.filter(|own| own.rows == chunk.rows);
            let is_needed = first < needed.end && needed.start < end;
            match own {
                Some(own) => chunk.inputs.extend(own.inputs),
                None if is_needed => {
                    return Err(FrameError::Columns {
                        columns: self.name,
                        first: first + 1,
                        last: end,
                    });
                }
                None => chunk
                    .inputs
                    .resize(chunk.inputs.len() + self.inputs, Vec::new()),
            }
            first = end;
        }
        Ok(())
    }
}

impl StoredFrame {
    /// Of a schema, chunks of rows, and the tables of its look-ups, in its order.
    pub fn new(
        set: &'static ParameterSet,
        schema: Schema,
        chunks: Vec<StoredRows>,
        tables: &[impl AsRef<[u8]>],
    ) -> Result<Self, FrameError> {
        let mut frame = Self::without_tables(schema, chunks)?;
        let schema = &frame.schema;
        frame.count("look-ups", schema.lookups().len(), tables.len())?;
        if let (Ok(totals), [bytes]) = (Totals::of(schema), tables) {
            let shape = PublicTableShape {
                set,
                tables: totals.tables(),
                entries: totals.entries(),
            };
            let sum = PublicCiphertext::from_bytes(set, shape.words()?, bytes.as_ref())?;
            frame.tables = LookupTables::Summed(shape, sum);
            return Ok(frame);
        }
        let tables = schema.lookups().iter().zip(tables).map(|(lookup, bytes)| {
            let size = schema.lookup_layout(lookup).places as usize;
            let shape = TableShape::in_blocks(set, schema.tables(lookup).len(), size);
            Ok((shape, decode_tables(&shape, bytes.as_ref())?))
        });
        frame.tables = LookupTables::Encrypted(tables.collect::<Result<_, SchemeError>>()?);
        Ok(frame)
    }

    /// A table in the clear, for rows that are encrypted under a parameter set to look cells up in. It
    /// has no rows that a pass could go over.
    pub fn plain(set: &'static ParameterSet, table: PlainTable) -> Self {
        Self {
            schema: table.schema().clone(),
            inputs: Vec::new(),
            chunks: Vec::new(),
            tables: LookupTables::Plain(set, table),
        }
    }

    /// One whose look-ups are not read.
    pub fn without_tables(schema: Schema, chunks: Vec<StoredRows>) -> Result<Self, FrameError> {
        let inputs = schema.row_inputs();
        let frame = Self {
            schema,
            inputs,
            chunks,
            tables: LookupTables::Encrypted(Vec::new()),
        };
        frame.check_chunks()?;
        Ok(frame)
    }

    /// The table, where it is one in the clear.
    pub(super) const fn in_the_clear(&self) -> Option<&PlainTable> {
        match &self.tables {
            LookupTables::Plain(_, table) => Some(table),
            LookupTables::Encrypted(_) | LookupTables::Summed(..) => None,
        }
    }

    /// What is public of it.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    fn check_chunks(&self) -> Result<(), FrameError> {
        let mut chunks = self.chunks.iter();
        chunks.try_for_each(|chunk| {
            let what = "inputs of a chunk of rows";
            self.count(what, self.inputs.len(), chunk.inputs.len())
        })
    }

    fn count(&self, what: &str, expected: usize, found: usize) -> Result<(), FrameError> {
        if expected == found {
            return Ok(());
        }
        Err(FrameError::Count {
            frame: self.schema.name().into(),
            what: what.into(),
            expected,
            found,
        })
    }

    /// Number of its rows.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows).sum()
    }

    /// Bytes of its ciphertexts.
    pub fn bytes(&self) -> usize {
        let inputs = self.chunks.iter().flat_map(|chunk| &chunk.inputs);
        let tables = match &self.tables {
            LookupTables::Encrypted(tables) => tables.iter().map(|(shape, _)| shape.bytes()).sum(),
            LookupTables::Summed(shape, _) => shape.bytes(),
            LookupTables::Plain(..) => 0,
        };
        inputs.map(Vec::len).sum::<usize>() + tables
    }

    pub(super) fn input(
        &self,
        chunk: &'_ StoredRows,
        input: RowInput,
    ) -> Result<Vec<u8>, FrameError> {
        let place = self.inputs.iter().position(|own| *own == input);
        let bytes = place.map(|place| chunk.inputs[place].clone());
        bytes.ok_or_else(|| self.missing(format!("{input:?}")))
    }

    pub(super) fn table(
        &self,
        lookup: usize,
        part: TablePart,
        block: u32,
    ) -> Result<Glwe, FrameError> {
        let missing = || self.missing(format!("table {part:?} of look-up {}", lookup + 1));
        let index = self.schema.lookups().get(lookup).ok_or_else(missing)?;
        let parts = self.schema.tables(index);
        let place = parts.iter().position(|own| *own == part);
        let place = place.ok_or_else(missing)?;
        let found = match &self.tables {
            LookupTables::Encrypted(tables) => tables.get(lookup).and_then(|(shape, tables)| {
                let size = self.schema.lookup_layout(index).places as usize;
                let table = tables.get(shape.block(place, size, block as usize));
                table.cloned()
            }),
            LookupTables::Summed(shape, sum) => shape.table(sum, place, block as usize),
            LookupTables::Plain(set, table) => {
                let entries = table.block(lookup, part, block);
                entries.map(|entries| trivial(set, entries, self.schema.unit(index, part)))
            }
        };
        found.ok_or_else(missing)
    }

    fn missing(&self, what: String) -> FrameError {
        FrameError::Missing {
            frame: self.schema.name().into(),
            what,
        }
    }
}

/// A ciphertext without mask, and so without noise, of entries in units of `2^-unit`.
fn trivial(set: &ParameterSet, entries: &[i32], unit: u32) -> Glwe {
    let mut body = vec![0; set.ring.polynomial_size];
    for (word, entry) in body.iter_mut().zip(entries) {
        *word = (i64::from(*entry) << (u64::BITS - unit)) as u64;
    }
    Glwe {
        mask: vec![0; set.mask_len()],
        body,
    }
}
