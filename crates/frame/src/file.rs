//! Encrypted frames as files: a sequence of the project's frames of kind
//! [`DataFrame`](FrameKind::DataFrame), written and read one by one.
//!
//! ```text
//! payload, version 1 (integers little endian): a byte that says which part it is, then
//! 0 head    key id (16), gadget: base log (1) and levels (1), schema as JSON
//! 1 key     a file of a part of the evaluation key, whole
//! 2 tables  a look-up's ciphertexts
//! 3 rows    number of the first row, from 0 (8), rows (4), of each input: length (4), ciphertexts
//! 4 end     rows (8)
//! ```
//!
//! In this order: a head; parts of the key, or none; a part of tables for each look-up of the schema,
//! in its order; rows; an end, without which a file is truncated.

use crate::schema::{NameHasher, Schema, SchemaError};
use cipherfn_protocol::api::frames::GadgetDocument;
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::Gadget;
use std::io::{self, Read, Write};

const VERSIONS: &[u16] = &[1];
/// Largest part: the tables of a look-up of some hundred limbs.
const MAX_PART: u64 = 1 << 30;
/// Most parts of an evaluation key.
const MAX_KEYS: usize = 16;

/// What is public of an encrypted frame, and of the key that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileHead {
    /// Names, types, roles and number of rows.
    pub schema: Schema,
    /// The secret key.
    pub key: KeyId,
    /// The parameter set's hash, its first half.
    pub parameter_set: ParameterSetTag,
    /// The gadget of its selectors.
    pub gadget: Gadget,
}

impl FileHead {
    /// With its names, as far as a key ring knows them by their hashes.
    #[must_use]
    pub fn revealed(self, hasher: Option<&NameHasher>) -> Self {
        match hasher {
            Some(hasher) => Self {
                schema: hasher.reveal(&self.schema),
                ..self
            },
            None => self,
        }
    }

    /// The same of a head that a service says.
    ///
    /// # Errors
    /// Names in the clear of what the key ring has hashed ([`NameHasher::reveal_said`]).
    pub fn revealed_said(self, hasher: Option<&NameHasher>) -> Result<Self, SchemaError> {
        match hasher {
            Some(hasher) => Ok(Self {
                schema: hasher.reveal_said(&self.schema)?,
                ..self
            }),
            None => Ok(self),
        }
    }
}

/// Consecutive rows, encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRows {
    /// The first one's number, from 0.
    pub first: u64,
    /// How many.
    pub rows: u32,
    /// The ciphertexts of each entry of [`Schema::row_inputs`].
    pub inputs: Vec<Vec<u8>>,
}

/// Why bytes are no encrypted frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Not the container, or of another kind or version.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The schema in the head.
    #[error("the head of the data frame: {0}")]
    Schema(#[from] SchemaError),
    /// A part that is not as its kind has to be.
    #[error("part {part} of the data frame {problem}; encrypt the frame again")]
    Part {
        /// Its number, from 1.
        part: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// It ends before its end.
    #[error(
        "the data frame is truncated: it ends after {rows} rows, before its end; transfer it again"
    )]
    Truncated {
        /// Rows that it has.
        rows: u64,
    },
    /// It cannot be written.
    #[error("writing the data frame failed: {0}")]
    Write(#[from] io::Error),
}

/// Writes an encrypted frame, part by part.
#[derive(Debug)]
pub struct FrameWriter<W> {
    output: W,
    parameter_set: ParameterSetTag,
    inputs: usize,
    rows: u64,
}

impl<W: Write> FrameWriter<W> {
    /// Writes the head, and parts of the evaluation key if the file is to suffice for a server.
    pub fn new(output: W, head: &FileHead, keys: &[Vec<u8>]) -> Result<Self, FileError> {
        let mut writer = Self {
            output,
            parameter_set: head.parameter_set,
            inputs: head.schema.row_inputs().len(),
            rows: 0,
        };
        let mut payload = vec![0];
        payload.extend_from_slice(head.key.as_bytes());
        payload.push(head.gadget.base_log.get() as u8);
        payload.push(head.gadget.levels.get() as u8);
        payload.extend(head.schema.to_json()?);
        writer.part(&payload)?;
        for key in keys {
            writer.part(&[&[1], key.as_slice()].concat())?;
        }
        Ok(writer)
    }

    /// Writes the tables of the next look-up.
    pub fn tables(&mut self, tables: &[u8]) -> Result<(), FileError> {
        self.part(&[&[2], tables].concat())
    }

    /// Writes the rows that follow.
    ///
    /// # Panics
    /// If there are not as many inputs as the schema has.
    pub fn rows(&mut self, rows: u32, inputs: &[Vec<u8>]) -> Result<(), FileError> {
        assert_eq!(inputs.len(), self.inputs, "inputs are those of the schema");
        let mut payload = vec![3];
        payload.extend_from_slice(&self.rows.to_le_bytes());
        payload.extend_from_slice(&rows.to_le_bytes());
        for input in inputs {
            payload.extend_from_slice(&(input.len() as u32).to_le_bytes());
            payload.extend_from_slice(input);
        }
        self.rows += u64::from(rows);
        self.part(&payload)
    }

    /// Writes the end.
    pub fn finish(mut self) -> Result<W, FileError> {
        let mut payload = vec![4];
        payload.extend_from_slice(&self.rows.to_le_bytes());
        self.part(&payload)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn part(&mut self, payload: &[u8]) -> Result<(), FileError> {
        let bytes = frame::encode(FrameKind::DataFrame, 1, self.parameter_set, payload);
        Ok(self.output.write_all(&bytes)?)
    }
}

/// Reads an encrypted frame: head, key and tables at once, rows one part after the other.
#[derive(Debug)]
pub struct FrameReader<R> {
    input: R,
    head: FileHead,
    keys: Vec<Vec<u8>>,
    tables: Vec<Vec<u8>>,
    /// A part that was read and not yet given.
    next: Option<Vec<u8>>,
    inputs: usize,
    parts: u64,
    rows: u64,
    done: bool,
}

impl FileHead {
    /// Reads a file's first part alone.
    pub fn read(mut input: impl Read) -> Result<Self, FileError> {
        let first = frame::read(&mut input, FrameKind::DataFrame, VERSIONS, MAX_PART)?;
        let first = first.ok_or(FileError::Truncated { rows: 0 })?;
        head(&first.payload, first.parameter_set)
    }

    /// Reads the first parts of a file that carries no key, and whether it has any tables.
    pub fn read_bare(mut input: impl Read) -> Result<(Self, bool), FileError> {
        let head = Self::read(&mut input)?;
        let mut has_tables = false;
        for part in (2..).take(head.schema.lookups().len()) {
            let next = frame::read(&mut input, FrameKind::DataFrame, VERSIONS, MAX_PART)?;
            let next = next.ok_or(FileError::Truncated { rows: 0 })?;
            match next.payload.split_first() {
                Some((2, tables)) => has_tables |= !tables.is_empty(),
                _ => {
                    return Err(FileError::Part {
                        part,
                        problem: "is not what has to follow there".into(),
                    });
                }
            }
        }
        Ok((head, has_tables))
    }
}

impl<R: Read> FrameReader<R> {
    /// Reads all that stands before the rows.
    pub fn open(mut input: R) -> Result<Self, FileError> {
        let head = FileHead::read(&mut input)?;
        let mut reader = Self {
            input,
            inputs: head.schema.row_inputs().len(),
            keys: Vec::new(),
            tables: Vec::with_capacity(head.schema.lookups().len()),
            head,
            next: None,
            parts: 1,
            rows: 0,
            done: false,
        };
        loop {
            let part = reader.part()?;
            match part.first() {
                Some(1) if reader.tables.is_empty() && reader.keys.len() < MAX_KEYS => {
                    reader.keys.push(part[1..].to_vec());
                }
                Some(2) if reader.tables.len() < reader.head.schema.lookups().len() => {
                    reader.tables.push(part[1..].to_vec());
                }
                Some(3 | 4) if reader.tables.len() == reader.head.schema.lookups().len() => {
                    reader.next = Some(part);
                    return Ok(reader);
                }
                _ => return Err(reader.wrong("is not what has to follow there")),
            }
        }
    }

    /// What is public of it.
    pub const fn head(&self) -> &FileHead {
        &self.head
    }

    /// Files of parts of the evaluation key; none if the file does not carry it.
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    /// The ciphertexts of each look-up.
    pub fn tables(&self) -> &[Vec<u8>] {
        &self.tables
    }

    /// The next rows; `None` behind the last ones.
    pub fn next_rows(&mut self) -> Result<Option<FileRows>, FileError> {
        if self.done {
            return Ok(None);
        }
        let part = match self.next.take() {
            Some(part) => part,
            None => self.part()?,
        };
        let mut rest = Fields(part.get(1..).unwrap_or_default());
        match part.first() {
            Some(3) => {
                let (Some(first), Some(rows)) = (rest.u64(), rest.u32()) else {
                    return Err(self.wrong("is too short"));
                };
                if first != self.rows || rows == 0 {
                    return Err(self.wrong(&format!(
                        "has rows from {first} on, {} come next",
                        self.rows
                    )));
                }
                let mut inputs = Vec::with_capacity(self.inputs);
                for _ in 0..self.inputs {
                    let bytes = rest.u32().and_then(|len| rest.take(len as usize));
                    inputs.push(bytes.ok_or_else(|| self.wrong("is too short"))?.to_vec());
                }
                if !rest.0.is_empty() {
                    return Err(self.wrong("is too long"));
                }
                self.rows += u64::from(rows);
                if self
                    .head
                    .schema
                    .rows()
                    .count
                    .is_some_and(|count| self.rows > count)
                {
                    return Err(self.other_rows());
                }
                Ok(Some(FileRows {
                    first,
                    rows,
                    inputs,
                }))
            }
            Some(4) if rest.u64() == Some(self.rows) && rest.0.is_empty() => {
                if self
                    .head
                    .schema
                    .rows()
                    .count
                    .is_some_and(|count| self.rows != count)
                {
                    return Err(self.other_rows());
                }
                self.done = true;
                match frame::read(&mut self.input, FrameKind::DataFrame, VERSIONS, 0) {
                    Ok(None) => Ok(None),
                    _ => Err(self.wrong("is the end, and bytes follow it")),
                }
            }
            Some(4) => Err(self.wrong(&format!(
                "is the end of another number of rows than {}",
                self.rows
            ))),
            _ => Err(self.wrong("is no part of rows")),
        }
    }

    /// That there are not as many rows as the head says.
    fn other_rows(&self) -> FileError {
        self.wrong(&format!(
            "makes {} rows, of which the head says that there are {}",
            self.rows,
            self.head.schema.rows().count.unwrap_or_default()
        ))
    }

    fn part(&mut self) -> Result<Vec<u8>, FileError> {
        let next = frame::read(&mut self.input, FrameKind::DataFrame, VERSIONS, MAX_PART)?;
        let next = next.ok_or(FileError::Truncated { rows: self.rows })?;
        self.parts += 1;
        if next.parameter_set != self.head.parameter_set {
            return Err(self.wrong("is of another parameter set"));
        }
        Ok(next.payload)
    }

    fn wrong(&self, problem: &str) -> FileError {
        FileError::Part {
            part: self.parts,
            problem: problem.into(),
        }
    }
}

fn head(payload: &[u8], parameter_set: ParameterSetTag) -> Result<FileHead, FileError> {
    let wrong = |problem: &str| FileError::Part {
        part: 1,
        problem: problem.into(),
    };
    let (Some(0), Some(rest)) = (payload.first(), payload.get(1..)) else {
        return Err(wrong("is no head"));
    };
    let mut rest = Fields(rest);
    let (Some(key), Some(&[base, levels])) = (rest.take(16), rest.take(2)) else {
        return Err(wrong("is too short"));
    };
    let mut id = [0; 16];
    id.copy_from_slice(key);
    let gadget = GadgetDocument {
        base_log: base.into(),
        levels: levels.into(),
    };
    let gadget = Gadget::try_from(gadget);
    let gadget =
        gadget.map_err(|_| wrong(&format!("has a gadget of {levels} levels of {base} bits")))?;
    let schema = Schema::from_json(rest.0)?;
    if schema.cells().is_some() {
        return Err(wrong("has the schema of a table in the clear"));
    }
    Ok(FileHead {
        schema,
        key: KeyId::from_bytes(id),
        parameter_set,
        gadget,
    })
}

/// What is left of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::specs::{BaseLog, Levels};

    const SCHEMA: &str = "format = 1\nname = \"f\"\n[[column]]\nname = \"k\"\ntype = \"boolean\"\nroles = [\"key\", \"value\"]\n[[lookup]]\nby = [\"k\"]\n";

    fn head() -> FileHead {
        FileHead {
            schema: Schema::from_toml(SCHEMA).expect("a schema"),
            key: KeyId::from_bytes([7; 16]),
            parameter_set: ParameterSetTag::NONE,
            gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
        }
    }

    fn file() -> Vec<u8> {
        let mut writer = FrameWriter::new(Vec::new(), &head(), &[vec![1, 2]]).expect("memory");
        writer.tables(&[9; 5]).expect("memory");
        writer.rows(2, &[vec![3; 4], vec![]]).expect("memory");
        writer.rows(1, &[vec![5], vec![6]]).expect("memory");
        writer.finish().expect("memory")
    }

    fn read(bytes: &[u8]) -> Result<Vec<FileRows>, FileError> {
        let mut reader = FrameReader::open(bytes)?;
        let mut rows = Vec::new();
        while let Some(more) = reader.next_rows()? {
            rows.push(more);
        }
        Ok(rows)
    }

    #[test]
    fn files_hold_what_was_written() {
        let bytes = file();
        let reader = FrameReader::open(bytes.as_slice()).expect("a frame");
        assert_eq!(reader.head(), &head());
        assert_eq!(
            (reader.keys(), reader.tables()),
            (&[vec![1, 2]][..], &[vec![9; 5]][..])
        );
        let rows = read(&bytes).expect("rows");
        assert_eq!(
            rows[0],
            FileRows {
                first: 0,
                rows: 2,
                inputs: vec![vec![3; 4], vec![]]
            }
        );
        assert_eq!((rows.len(), rows[1].first), (2, 2));
    }

    #[test]
    fn every_cut_is_found() {
        let bytes = file();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len}");
        }
        let more = [bytes.as_slice(), &[0]].concat();
        assert!(read(&more).is_err());
    }

    #[test]
    fn rows_are_as_many_as_the_head_says() {
        let with = |rows: &[u32]| {
            let mut head = head();
            head.schema = Schema::from_toml(&format!("rows = 3\n{SCHEMA}")).expect("a schema");
            let mut writer = FrameWriter::new(Vec::new(), &head, &[]).expect("memory");
            writer.tables(&[]).expect("memory");
            for rows in rows {
                writer.rows(*rows, &[vec![], vec![]]).expect("memory");
            }
            read(&writer.finish().expect("memory"))
        };
        assert!(with(&[2, 1]).is_ok());
        for rows in [&[2][..], &[2, 2], &[]] {
            let error = with(rows).expect_err("another number").to_string();
            assert!(error.contains("the head says that there are 3"), "{error}");
        }
    }

    #[test]
    fn parts_out_of_order_are_named() {
        let mut writer = FrameWriter::new(Vec::new(), &head(), &[]).expect("memory");
        writer.rows(1, &[vec![], vec![]]).expect("memory");
        let bytes = writer.finish().expect("memory");
        let error = read(&bytes).expect_err("tables are missing").to_string();
        assert!(
            error.starts_with("part 2 of the data frame is not what has to follow"),
            "{error}"
        );
    }
}
