//! Frames that tenants keep here: declared over uploaded pieces, listed, deleted.

use crate::{Jobs, check};
use cipherfn_frame::file::{FileError, FileHead};
use cipherfn_frame::schema::{MAX_ROWS, Rows, Schema};
use cipherfn_protocol::api::frames::{FrameDeclaration, FrameId, FrameList, MAX_PIECES};
use cipherfn_protocol::api::job::ChunkFile;
use cipherfn_protocol::api::{self, Problem, ProblemType};
use cipherfn_protocol::frame::FrameError;
use cipherfn_service::registry::{
    FrameDeclared, FramePiece, StoredFrame, live_frame, unknown_frame,
};
use cipherfn_service::{Call, Failure, Tenant, http};
use futures_util::{StreamExt, TryStreamExt, stream};
use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Request, Response};
use serde_json::Value;

/// Bytes of a piece within which its head ends: a schema has at most a MiB.
const MAX_HEAD: u64 = (1 << 20) + 4096;
/// Pieces that are looked at side by side.
pub(crate) const IN_FLIGHT: usize = 16;

impl Jobs {
    /// The tenant's frames.
    pub(crate) async fn frames(
        &self,
        tenant: &Tenant,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let frames = self.registry.frames(tenant, call.now).await?;
        let list = FrameList {
            tenant: tenant.id(),
            frames: frames.iter().map(StoredFrame::listed).collect(),
        };
        Ok(http::json(StatusCode::OK, &list))
    }

    /// Takes a frame, after a look at the head of every piece. What lies behind it is read by whoever
    /// evaluates.
    pub(crate) async fn declare_frame(
        &self,
        tenant: &Tenant,
        request: &Request,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let FrameDeclaration { frame: id, pieces } = http::json_body(request)?;
        check::chunks(&pieces, MAX_PIECES)?;
        let missing = self.registry.missing_piece(tenant, id, &pieces).await?;
        if let Some(number) = missing {
            return Err(gone(number).into());
        }
        let heads = (0..).zip(&pieces);
        let heads = heads.map(|(number, file)| self.head(tenant, id, (number, *file)));
        let heads: Vec<_> = heads.collect();
        let heads: Vec<FileHead> = stream::iter(heads)
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        let frame = assemble(tenant, id, (&pieces, heads), call, self)?;
        let declared = self
            .registry
            .declare_frame(&frame, &self.frame_rules, call.now)
            .await?;
        let (status, frame) = match declared {
            FrameDeclared::New => (StatusCode::CREATED, frame),
            FrameDeclared::Known(known) => {
                let id = known.id;
                (StatusCode::OK, live_frame(Some(*known), id, call.now)?)
            }
            FrameDeclared::Quota => {
                let detail = format!(
                    "you have {} frames, as many as you may; delete one: DELETE /v2/frames/ID",
                    self.frame_rules.quota
                );
                return Err(Problem::new(ProblemType::FrameQuota, detail).into());
            }
            FrameDeclared::Conflict => {
                let detail =
                    "frame: another frame was declared in this folder; upload to a new one";
                return Err(Problem::new(ProblemType::MalformedRequest, detail).into());
            }
        };
        Ok(http::json(status, &frame.status()))
    }

    pub(crate) async fn frame_status(
        &self,
        tenant: &Tenant,
        id: FrameId,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let frame = self.frame(tenant, id, call).await?;
        Ok(http::json(StatusCode::OK, &frame.status()))
    }

    pub(crate) async fn delete_frame(
        &self,
        tenant: &Tenant,
        id: FrameId,
    ) -> Result<Response<Body>, Failure> {
        if !self.registry.delete_frame(tenant, id).await? {
            return Err(unknown_frame(id).into());
        }
        let mut response = http::response(StatusCode::NO_CONTENT, api::JSON, Body::Empty);
        response.headers_mut().remove(header::CONTENT_TYPE);
        Ok(response)
    }

    /// A frame of the tenant's that has not run out.
    pub(crate) async fn frame(
        &self,
        tenant: &Tenant,
        id: FrameId,
        call: &Call,
    ) -> Result<StoredFrame, Failure> {
        let frame = self.registry.frame(tenant, id).await?;
        Ok(live_frame(frame, id, call.now)?)
    }

    /// The head of a piece, which has no tables unless it is the first.
    pub(crate) async fn head(
        &self,
        tenant: &Tenant,
        id: FrameId,
        (number, file): (usize, ChunkFile),
    ) -> Result<FileHead, Failure> {
        let start = self
            .registry
            .piece_start(tenant, id, (file, MAX_HEAD))
            .await?
            .ok_or_else(|| gone(number))?;
        // Of a large piece no more than its start is there: an end in it is no end of the piece.
        let is_cut = |error: &FileError| {
            let is_end = matches!(
                error,
                FileError::Truncated { .. } | FileError::Frame(FrameError::Truncated { .. })
            );
            is_end && file.bytes > MAX_HEAD
        };
        let head = FileHead::read(start.as_ref()).map_err(|error| {
            if is_cut(&error) {
                let problem = "its schema is larger than 1 MiB; encrypt the frame with shorter names or smaller dictionaries, or with codes or hashes in place of long texts";
                return malformed(number, problem);
            }
            malformed(number, &error.to_string())
        })?;
        if number == 0 {
            return Ok(head);
        }
        let has_tables = match FileHead::read_bare(start.as_ref()) {
            Ok((_, has_tables)) => has_tables,
            // Tables of that size.
            Err(error) if is_cut(&error) => true,
            Err(error) => return Err(malformed(number, &error.to_string()).into()),
        };
        if has_tables {
            // Rows would be looked up in a part of the frame.
            let problem = "it has tables of look-ups, which come with piece 0; encrypt the whole frame at once";
            return Err(malformed(number, problem).into());
        }
        Ok(head)
    }
}

/// One frame of pieces that go together.
fn assemble(
    tenant: &Tenant,
    id: FrameId,
    (files, heads): (&[ChunkFile], Vec<FileHead>),
    call: &Call,
    jobs: &Jobs,
) -> Result<StoredFrame, Problem> {
    let mut pieces = Vec::with_capacity(files.len());
    let mut whole: Option<FileHead> = None;
    let mut rows = 0;
    for (number, (file, head)) in files.iter().zip(heads).enumerate() {
        let own = head.schema.rows();
        let count = own
            .count
            .ok_or_else(|| malformed(number, "its schema does not say how many rows it has"))?;
        rows += count;
        pieces.push(FramePiece {
            file: *file,
            rows: count,
        });
        let head = FileHead {
            schema: uncounted(head.schema),
            ..head
        };
        match &whole {
            None => whole = Some(head),
            Some(first) if *first == head => {}
            Some(first) => {
                let what = match first {
                    first if first.key != head.key => "is encrypted under another key",
                    first if first.schema != head.schema => "has another schema",
                    _ => "has another parameter set or gadget",
                };
                let problem = format!("it {what} than piece 0; encrypt the whole frame at once");
                return Err(malformed(number, &problem));
            }
        }
    }
    if rows > MAX_ROWS {
        let problem = format!("its pieces have {rows} rows, a frame at most {MAX_ROWS}");
        return Err(Problem::new(ProblemType::MalformedFrame, problem));
    }
    let head = whole.ok_or_else(|| malformed(0, "there is none"))?;
    let padded = head.schema.rows().padded;
    let schema = head.schema.with_rows(Rows {
        count: Some(rows),
        padded,
    });
    let schema = schema.to_json().ok();
    let schema = schema.and_then(|json| serde_json::from_slice(&json).ok());
    Ok(StoredFrame {
        id,
        tenant: tenant.clone(),
        schema: schema.ok_or_else(|| malformed(0, "its schema cannot be written"))?,
        key: head.key,
        parameter_set: head.parameter_set,
        gadget: head.gadget.into(),
        pieces,
        created: call.now,
        until: call.now + jobs.frame_rules.lifetime,
        grants: Vec::new(),
        columns: Vec::new(),
    })
}

/// The schema of a frame's rows, without columns that others added.
pub(crate) fn schema_of(frame: &StoredFrame) -> Result<Schema, Failure> {
    stored(frame, &frame.schema)
}

/// The schema of a frame with columns that others added.
pub(crate) fn whole_schema_of(frame: &StoredFrame) -> Result<Schema, Failure> {
    stored(frame, &frame.whole_schema())
}

fn stored(frame: &StoredFrame, schema: &Value) -> Result<Schema, Failure> {
    let json = serde_json::to_vec(schema);
    let json = json.map_err(|error| Failure::Internal(error.to_string()))?;
    Schema::from_json(&json).map_err(|error| {
        Failure::Internal(format!("the stored schema of frame {}: {error}", frame.id))
    })
}

/// What pieces have in common.
pub(crate) fn uncounted(schema: Schema) -> Schema {
    let padded = schema.rows().padded;
    schema.with_rows(Rows {
        count: None,
        padded,
    })
}

fn gone(number: usize) -> Problem {
    let detail = format!(
        "piece {number} is not there; upload it (POST /v2/uploads with the purpose frame, then PUT) and declare the frame again"
    );
    Problem::new(ProblemType::UploadMissing, detail)
}

pub(crate) fn malformed(number: usize, problem: &str) -> Problem {
    Problem::new(
        ProblemType::MalformedFrame,
        format!("piece {number}: {problem}"),
    )
}
