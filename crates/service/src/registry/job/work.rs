//! What jobs do.

use super::Job;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::frames::FrameQuery;
use cipherfn_protocol::api::job::{
    ChunkFile, IdempotencyKey, JobDeclaration, JobKind, UploadFolder,
};
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use std::ops::Range;

/// A job as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct JobOrder {
    /// The declaration's name.
    pub idempotency_key: IdempotencyKey,
    /// The key that all is encrypted under.
    pub key: KeyId,
    /// What is to be done.
    pub work: Work,
    /// In how many parts a chunk is worked on, at least 1.
    pub parts: u32,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Answers queries to a model, each a chunk.
    Predict(UploadedWork),
    /// Answers a query over stored frames: one chunk, in parts that are rows of passes.
    Query(SharedQuery),
    /// Trains by a program on the rows of all chunks together: one result.
    Train(UploadedWork),
}

/// Chunks, and what is done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedWork {
    /// The model, or the training program.
    pub model: ModelName,
    /// The version that the chunks were made for.
    pub specs: SpecsHash,
    /// Where the chunks were uploaded to.
    pub upload: UploadFolder,
    /// The chunks in order.
    pub chunks: Vec<ChunkFile>,
}

/// A query that several invocations share. Its parts are numbered pass by pass.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedQuery {
    /// The query.
    pub query: FrameQuery,
    /// Rows of each pass.
    pub passes: Vec<u64>,
    /// Rows of a part; the last one of a pass may have fewer.
    pub rows_a_part: u64,
}

/// Of predictions or of a training: queries over frames are declared by another document.
impl From<&JobDeclaration> for JobOrder {
    fn from(declaration: &JobDeclaration) -> Self {
        let uploaded = UploadedWork {
            model: declaration.model.clone(),
            specs: declaration.specs,
            upload: declaration.upload,
            chunks: declaration.chunks.clone(),
        };
        Self {
            idempotency_key: declaration.idempotency_key,
            key: declaration.key,
            work: match declaration.kind {
                JobKind::Train => Work::Train(uploaded),
                JobKind::Predict | JobKind::Query => Work::Predict(uploaded),
            },
            parts: declaration.parts,
        }
    }
}

impl From<&Self> for JobOrder {
    fn from(order: &Self) -> Self {
        order.clone()
    }
}

impl Work {
    /// As the API says it.
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Predict(_) => JobKind::Predict,
            Self::Query(_) => JobKind::Query,
            Self::Train(_) => JobKind::Train,
        }
    }

    /// The chunks that it is on, where any were uploaded for it.
    pub const fn uploaded(&self) -> Option<&UploadedWork> {
        match self {
            Self::Predict(work) | Self::Train(work) => Some(work),
            Self::Query(_) => None,
        }
    }
}

impl SharedQuery {
    /// Parts of a pass; one of a pass without rows.
    fn parts_of(&self, rows: u64) -> u64 {
        rows.div_ceil(self.rows_a_part.max(1)).max(1)
    }

    /// Parts of all passes.
    pub fn parts(&self) -> u64 {
        self.passes.iter().map(|rows| self.parts_of(*rows)).sum()
    }

    /// Numbers of the parts of a pass.
    pub fn parts_of_pass(&self, pass: usize) -> Range<u32> {
        let before = self.passes.iter().take(pass);
        let first: u64 = before.map(|rows| self.parts_of(*rows)).sum();
        let own = self.passes.get(pass).map_or(0, |rows| self.parts_of(*rows));
        first as u32..(first + own) as u32
    }

    /// The pass that a part is of, and its rows.
    pub fn part(&self, part: u32) -> Option<(usize, Range<u64>)> {
        let pass = (0..self.passes.len()).find(|pass| self.parts_of_pass(*pass).contains(&part))?;
        let number = u64::from(part - self.parts_of_pass(pass).start);
        let start = number * self.rows_a_part;
        Some((
            pass,
            start..(start + self.rows_a_part).min(self.passes[pass]),
        ))
    }
}

impl Job {
    /// How many chunks it has that are worked on each for itself.
    pub fn chunks(&self) -> usize {
        match &self.work {
            Work::Predict(prediction) => prediction.chunks.len(),
            Work::Query(_) | Work::Train(_) => 1,
        }
    }

    /// Whether chunks are worked on in parts: queries are, however few.
    pub const fn is_in_parts(&self) -> bool {
        self.parts > 1 || matches!(self.work, Work::Query(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_row_of_every_pass_once() {
        for (passes, rows_a_part) in [
            (vec![1000, 64], 64),
            (vec![0, 130], 64),
            (vec![5], 640),
            (vec![128, 128, 1], 128),
        ] {
            let shared = SharedQuery {
                query: FrameQuery {
                    frames: Vec::new(),
                    tables: Vec::new(),
                    models: Vec::new(),
                    plan: serde_json::Value::Null,
                    rows_per_sum: 1,
                    min_bits: 0.0,
                },
                passes: passes.clone(),
                rows_a_part,
            };
            let mut next = vec![0; passes.len()];
            for part in 0..shared.parts() as u32 {
                let (pass, rows) = shared.part(part).expect("a part");
                assert_eq!(rows.start, next[pass], "{passes:?}");
                assert!(shared.parts_of_pass(pass).contains(&part));
                next[pass] = rows.end;
            }
            assert_eq!(next, passes);
            assert_eq!(shared.part(shared.parts() as u32), None);
        }
    }
}
