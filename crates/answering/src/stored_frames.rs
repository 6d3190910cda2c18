//! Frames and their key from the bucket: records, and pieces as far as rows are needed.

use crate::Answering;
use crate::frames::{Asking, QuerySource, damaged};
use bytes::Bytes;
use cipherfn_frame::file::{FileHead, FrameReader};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::FrameId;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::message::KeyId;
use cipherfn_protocol::specs::{EXPANSION, Gadget};
use cipherfn_service::registry::{FramePiece, Input, StoredFrame, live_frame};
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure, Tenant};
use cipherfn_serving::WarmKey;
use cipherfn_serving::frames::{self, StoredColumns, StoredRows};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What of a frame is needed.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    pub(crate) rows: Range<u64>,
    /// Whether its look-ups are read.
    pub(crate) tables: bool,
}

impl Needed {
    /// Whether a piece has any of it: one of this number and of these rows.
    const fn is_in(&self, number: usize, own: &Range<u64>) -> bool {
        let has_rows = own.start < self.rows.end && self.rows.start < own.end;
        has_rows || (self.tables && number == 0)
    }

    /// Bytes of the pieces that are read for it.
    pub(crate) fn bytes(&self, pieces: &[FramePiece]) -> u64 {
        let (mut bytes, mut first) = (0, 0);
        for (number, piece) in pieces.iter().enumerate() {
            let own = first..first + piece.rows;
            first = own.end;
            if self.is_in(number, &own) {
                bytes += piece.file.bytes;
            }
        }
        bytes
    }
}

impl Answering {
    pub(crate) async fn stored_frame(
        &self,
        tenant: &Tenant,
        id: FrameId,
        call: &Call,
    ) -> Result<StoredFrame, Failure> {
        let frame = self.registry.frame(tenant, id).await?;
        Ok(live_frame(frame, id, call.time())?)
    }

    /// The key that frames are under, by what is registered now.
    pub(crate) async fn frame_key(
        &self,
        tenant: &Tenant,
        id: KeyId,
        asking: &Asking,
        call: &Call,
    ) -> Result<Arc<WarmKey>, Failure> {
        let parts = BTreeSet::from([EXPANSION.to_owned()]);
        let key = self.registered_key(tenant, id, parts, call).await?;
        of_set(key, asking)
    }

    /// The frames, with those rows and tables that are needed.
    pub(crate) async fn load_frames(
        &self,
        asking: &Asking,
        needed: &[Needed],
        call: &Call,
    ) -> Result<Vec<frames::StoredFrame>, Failure> {
        let fetch = async {
            let mut loaded = Vec::with_capacity(needed.len());
            for (source, needed) in asking.sources.iter().zip(needed) {
                loaded.push(match source {
                    QuerySource::Frame(frame) => {
                        self.load_frame((&**frame, asking), needed).await?
                    }
                    QuerySource::Table(table) if needed.tables => {
                        self.load_table(table, asking.prepared.set, call).await?
                    }
                    // A pass that does not read it has no use for its cells.
                    QuerySource::Table(table) => {
                        frames::StoredFrame::without_tables(table.schema.clone(), Vec::new())
                            .map_err(|error| damaged(&error))?
                    }
                });
            }
            Ok(loaded)
        };
        call.stage(Metric::ModelFetch, fetch).await
    }

    async fn load_frame(
        &self,
        (frame, asking): (&StoredFrame, &Asking),
        needed: &Needed,
    ) -> Result<frames::StoredFrame, Failure> {
        let head = head_of(frame, &frame.schema)?;
        let (tables, mut chunks) = self
            .load_rows(frame, (&head, &frame.pieces), needed)
            .await?;
        for columns in &frame.columns {
            let own = head_of(frame, &columns.schema)?;
            let needed = Needed {
                tables: false,
                ..needed.clone()
            };
            let pieces = (&own, columns.pieces.as_slice());
            let (_, added) = self.load_rows(frame, pieces, &needed).await?;
            let mut first = 0;
            let added = added.into_iter().map(|chunk| {
                let own = first;
                first += chunk.rows as u64;
                (own, chunk)
            });
            let added = StoredColumns {
                name: format!("the columns of grant {}", columns.grant),
                inputs: own.schema.row_inputs().len(),
                chunks: added.collect(),
            };
            let put = added.put_beside(&mut chunks, &needed.rows);
            put.map_err(|error| damaged(&error))?;
        }
        let schema = self::head(frame)?.schema;
        let loaded = if needed.tables {
            frames::StoredFrame::new(asking.prepared.set, schema, chunks, &tables)
        } else {
            frames::StoredFrame::without_tables(schema, chunks)
        };
        Ok(loaded.map_err(|error| damaged(&error))?)
    }

    /// Tables and chunks of pieces; those of which nothing is needed have none of their inputs.
    async fn load_rows(
        &self,
        frame: &StoredFrame,
        (head, pieces): (&FileHead, &[FramePiece]),
        needed: &Needed,
    ) -> Result<(Vec<Vec<u8>>, Vec<StoredRows>), Failure> {
        let inputs = head.schema.row_inputs().len();
        let mut tables = vec![Vec::new(); head.schema.lookups().len()];
        let (mut chunks, mut first) = (Vec::new(), 0);
        for (number, piece) in pieces.iter().enumerate() {
            let own = first..first + piece.rows;
            first = own.end;
            if !needed.is_in(number, &own) {
                // Rows that others evaluate keep their numbers.
                chunks.push(StoredRows {
                    rows: piece.rows as usize,
                    inputs: vec![Vec::new(); inputs],
                });
                continue;
            }
            let bytes = self.sound_piece(frame, (number, *piece)).await?;
            let read = read_piece(&bytes, head, piece.rows);
            let (own_tables, own_chunks) = read.map_err(|problem| {
                let detail = format!("piece {number} of frame {}: {problem}", frame.id);
                Problem::new(ProblemType::MalformedFrame, detail)
            })?;
            if number == 0 {
                tables = own_tables;
            }
            chunks.extend(own_chunks);
        }
        Ok((tables, chunks))
    }

    async fn sound_piece(
        &self,
        frame: &StoredFrame,
        (number, piece): (usize, FramePiece),
    ) -> Result<Bytes, Failure> {
        let how = match self.registry.piece(frame, piece).await? {
            Input::Sound(bytes) => return Ok(bytes),
            Input::Missing => "is gone".to_owned(),
            Input::Altered(how) => format!("was altered: {how}"),
        };
        let detail = format!(
            "piece {number} of frame {} {how}; delete the frame and upload it again",
            frame.id
        );
        Err(Problem::new(ProblemType::MalformedFrame, detail).into())
    }
}

/// What the record says is public of a frame, with columns that others added.
pub(crate) fn head(frame: &StoredFrame) -> Result<FileHead, Failure> {
    head_of(frame, &frame.whole_schema())
}

/// The head of files of this schema in a frame.
fn head_of(frame: &StoredFrame, schema: &Value) -> Result<FileHead, Failure> {
    let json = serde_json::to_vec(schema);
    let schema = json
        .map_err(|error| error.to_string())
        .and_then(|json| Schema::from_json(&json).map_err(|error| error.to_string()))
        .map_err(|error| {
            Failure::Internal(format!("the stored schema of frame {}: {error}", frame.id))
        })?;
    let gadget = Gadget::try_from(frame.gadget)
        .map_err(|error| Failure::Internal(format!("stored frame {}: {error}", frame.id)))?;
    Ok(FileHead {
        schema,
        key: frame.key,
        parameter_set: frame.parameter_set,
        gadget,
    })
}

/// Tables and rows of a piece.
fn read_piece(
    bytes: &[u8],
    head: &FileHead,
    rows: u64,
) -> Result<(Vec<Vec<u8>>, Vec<StoredRows>), String> {
    let mut reader = FrameReader::open(bytes).map_err(|error| error.to_string())?;
    let found = reader.head();
    let schema = found.schema.clone().with_rows(head.schema.rows());
    let same = FileHead {
        schema,
        ..found.clone()
    };
    if same != *head {
        return Err("it is of another frame; delete the frame and upload it again".to_owned());
    }
    let (mut chunks, mut count) = (Vec::new(), 0);
    while let Some(next) = reader.next_rows().map_err(|error| error.to_string())? {
        count += u64::from(next.rows);
        chunks.push(StoredRows {
            rows: next.rows as usize,
            inputs: next.inputs,
        });
    }
    if count != rows {
        return Err(format!(
            "it has {count} rows, its head says {rows}; encrypt the frame again"
        ));
    }
    Ok((reader.tables().to_vec(), chunks))
}

fn of_set(key: Arc<WarmKey>, asking: &Asking) -> Result<Arc<WarmKey>, Failure> {
    let (found, set) = (key.key.expanded().parameter_set(), asking.prepared.set);
    if found == set {
        return Ok(key);
    }
    let detail = format!(
        "key {} is registered for parameter set {}, the frames are of {}; register it for that",
        asking.prepared.key, found.name, set.name
    );
    Err(Problem::new(ProblemType::WrongParameterSet, detail).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::api::job::ChunkFile;
    use cipherfn_protocol::hash::Sha256;

    #[test]
    fn pieces_count_as_far_as_they_are_read() {
        let pieces = [1, 20, 300].map(|bytes| FramePiece {
            file: ChunkFile {
                bytes,
                sha256: Sha256::from_bytes([0; 32]),
            },
            rows: 64,
        });
        let bytes = |rows, tables| Needed { rows, tables }.bytes(&pieces);
        assert_eq!(bytes(0..192, true), 321);
        assert_eq!(bytes(0..64, false), 1);
        assert_eq!(bytes(64..128, true), 21);
        assert_eq!(bytes(100..150, false), 320);
        assert_eq!(bytes(0..0, true), 1);
        assert_eq!(bytes(0..0, false), 0);
    }
}
