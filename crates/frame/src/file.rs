//! Encrypted frames and answers as files.

use crate::plan::Plan;
use crate::schema::{Schema, SchemaError};
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};

/// Largest file that is read or written.
pub const MAX_BYTES: u64 = 1 << 30;
/// Versions of both kinds.
const VERSIONS: &[u16] = &[1];

/// An encrypted frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameFile {
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Id of the secret key, which its evaluation key has as well.
    pub key: KeyId,
    /// Gadget of all selectors.
    pub gadget: Gadget,
    /// What is public of it.
    pub schema: Schema,
    /// The file of the evaluation key, where the frame carries it.
    pub evaluation_key: Option<Vec<u8>>,
    /// Chunks of rows.
    pub chunks: Vec<ChunkFile>,
    /// The tables of each look-up.
    pub tables: Vec<Vec<u8>>,
}

/// Rows whose ciphertexts lie together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkFile {
    /// Number of rows.
    pub rows: u32,
    /// Ciphertexts of each of the schema's row inputs.
    pub inputs: Vec<Vec<u8>>,
}

/// What a query made of frames.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerFile {
    /// Parameter set of the ciphertexts.
    pub parameter_set: ParameterSetTag,
    /// Id of the key that opens it.
    pub key: KeyId,
    /// Of the plan and the schemas: [`query_hash`].
    pub query: Hash,
    /// Most rows of a sum.
    pub rows_per_sum: u32,
    /// The ciphertexts of the last pass.
    pub ciphertexts: Vec<Vec<u8>>,
}

/// Why bytes are not such a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Not a file of this kind and version.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The schema in it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The rest does not parse.
    #[error("the file is corrupt: {what} does not fit; make it anew with this build")]
    Corrupt {
        /// What.
        what: &'static str,
    },
}

impl FrameFile {
    /// The file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileError> {
        let mut out = self.key.as_bytes().to_vec();
        let (base_log, levels) = (self.gadget.base_log.get(), self.gadget.levels.get());
        out.extend([base_log as u8, levels as u8]);
        put(&mut out, &self.schema.to_json()?);
        put(&mut out, self.evaluation_key.as_deref().unwrap_or_default());
        number(&mut out, self.chunks.len());
        for chunk in &self.chunks {
            out.extend(chunk.rows.to_le_bytes());
            list(&mut out, &chunk.inputs);
        }
        list(&mut out, &self.tables);
        Ok(frame::encode(
            FrameKind::DataFrame,
            1,
            self.parameter_set,
            &out,
        ))
    }

    /// Reads a file; whether its ciphertexts are those of its schema is the reader's to check.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        let frame = frame::decode(bytes, FrameKind::DataFrame, VERSIONS, MAX_BYTES)?;
        let mut rest = Rest(&frame.payload);
        let key = KeyId::from_bytes(rest.take("key id")?);
        let [base_log, levels] = rest.take("gadget")?;
        let schema = Schema::from_json(rest.bytes("schema")?)?;
        let evaluation_key = rest.bytes("evaluation key")?;
        let mut chunks = Vec::new();
        for _ in 0..rest.number("number of chunks")? {
            let rows = u32::from_le_bytes(rest.take("number of rows")?);
            let inputs = rest.list("row inputs")?;
            chunks.push(ChunkFile { rows, inputs });
        }
        let tables = rest.list("tables")?;
        rest.end()?;
        Ok(Self {
            parameter_set: frame.parameter_set,
            key,
            gadget: Gadget::new(BaseLog::new(base_log.into()), Levels::new(levels.into())),
            schema,
            evaluation_key: (!evaluation_key.is_empty()).then(|| evaluation_key.to_vec()),
            chunks,
            tables,
        })
    }
}

impl AnswerFile {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.key.as_bytes().to_vec();
        out.extend(self.query.as_bytes());
        out.extend(self.rows_per_sum.to_le_bytes());
        list(&mut out, &self.ciphertexts);
        frame::encode(FrameKind::Answer, 1, self.parameter_set, &out)
    }

    /// Reads a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        let frame = frame::decode(bytes, FrameKind::Answer, VERSIONS, MAX_BYTES)?;
        let mut rest = Rest(&frame.payload);
        let key = KeyId::from_bytes(rest.take("key id")?);
        let query = Hash::from_bytes(rest.take("hash of the query")?);
        let rows_per_sum = u32::from_le_bytes(rest.take("rows of a sum")?);
        let ciphertexts = rest.list("ciphertexts")?;
        rest.end()?;
        Ok(Self {
            parameter_set: frame.parameter_set,
            key,
            query,
            rows_per_sum,
            ciphertexts,
        })
    }
}

/// Names a query: a plan and the schemas of its frames, in the order in which it names them.
pub fn query_hash(plan: &Plan, schemas: &[&Schema]) -> Result<Hash, SchemaError> {
    let mut bytes = Vec::new();
    put(&mut bytes, format!("{plan:?}").as_bytes());
    for schema in schemas {
        put(&mut bytes, &schema.to_json()?);
    }
    Ok(Hash::of(&bytes))
}

fn number(out: &mut Vec<u8>, number: usize) {
    // Files are below a gigabyte.
    out.extend((number as u32).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn list(out: &mut Vec<u8>, items: &[Vec<u8>]) {
    number(out, items.len());
    items.iter().for_each(|item| put(out, item));
}

/// What is left of a payload.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FileError> {
        let corrupt = FileError::Corrupt { what };
        let (taken, rest) = self.0.split_first_chunk().ok_or(corrupt)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self, what: &'static str) -> Result<usize, FileError> {
        Ok(u32::from_le_bytes(self.take(what)?) as usize)
    }

    fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], FileError> {
        let len = self.number(what)?;
        let corrupt = FileError::Corrupt { what };
        let (taken, rest) = self.0.split_at_checked(len).ok_or(corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    fn list(&mut self, what: &'static str) -> Result<Vec<Vec<u8>>, FileError> {
        let count = self.number(what)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.bytes(what)?.to_vec());
        }
        Ok(items)
    }

    fn end(&self) -> Result<(), FileError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(FileError::Corrupt {
            what: "what follows the last part",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerFile, ChunkFile, FileError, FrameFile};
    use crate::schema::Schema;
    use cipherfn_protocol::frame::ParameterSetTag;
    use cipherfn_protocol::hash::Hash;
    use cipherfn_protocol::message::KeyId;
    use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};

    fn frame() -> FrameFile {
        let schema =
            "name = \"t\"\n[[column]]\nname = \"a\"\ntype = \"boolean\"\nroles = [\"key\"]\n";
        FrameFile {
            parameter_set: ParameterSetTag::NONE,
            key: KeyId::from_bytes([7; 16]),
            gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
            schema: Schema::from_toml(&format!("format = 1\n{schema}")).expect("a schema"),
            evaluation_key: Some(vec![1, 2, 3]),
            chunks: vec![ChunkFile {
                rows: 2,
                inputs: vec![vec![4, 5], Vec::new()],
            }],
            tables: vec![vec![6]],
        }
    }

    #[test]
    fn files_come_back() {
        let bytes = frame().to_bytes().expect("a file");
        assert_eq!(FrameFile::from_bytes(&bytes).expect("the frame"), frame());
        let answer = AnswerFile {
            parameter_set: ParameterSetTag::NONE,
            key: KeyId::from_bytes([8; 16]),
            query: Hash::of(b"query"),
            rows_per_sum: 5,
            ciphertexts: vec![vec![1], vec![2, 3]],
        };
        let found = AnswerFile::from_bytes(&answer.to_bytes()).expect("the answer");
        assert_eq!(found, answer);
        assert!(matches!(
            FrameFile::from_bytes(&answer.to_bytes()),
            Err(FileError::Frame(_))
        ));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let bytes = frame().to_bytes().expect("a file");
        let payload = bytes[cipherfn_protocol::frame::HEADER_LEN..].to_vec();
        for len in 0..payload.len() {
            let cut = cipherfn_protocol::frame::encode(
                cipherfn_protocol::frame::FrameKind::DataFrame,
                1,
                ParameterSetTag::NONE,
                &payload[..len],
            );
            assert!(FrameFile::from_bytes(&cut).is_err(), "{len}");
        }
    }
}
