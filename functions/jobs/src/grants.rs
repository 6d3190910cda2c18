//! Rows and columns that others add to a tenant's frame, by grants of its owner; what they add to trainings
//! is in `joint`.
//!
//! Whoever presents a grant learns where that grant stands, and nothing of the frame beyond what the grant
//! says: not how many rows it has, not its schema, and not whether it is there for those whose grant is none.

use crate::frames::{IN_FLIGHT, malformed, schema_of, uncounted, whole_schema_of};
use crate::{Jobs, check};
use cipherfn_frame::file::FileHead;
use cipherfn_frame::schema::{MAX_COLUMNS, Rows, Schema, SchemaError};
use cipherfn_protocol::api::frames::{FrameId, MAX_PIECES};
use cipherfn_protocol::api::grant::{GrantId, GrantTarget, GrantedColumns, SignedGrant};
use cipherfn_protocol::api::grants::{GrantedPieces, Revocation};
use cipherfn_protocol::api::job::UploadPurpose;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::specs::Gadget;
use cipherfn_service::registry::{
    FramePiece, GrantRefusal, GrantedPiece, Granting, MAX_FRAME_COLUMNS, StoredFrame, unknown_frame,
};
use cipherfn_service::{Call, Failure, Tenant, http};
use cipherfn_signing::verify_grant;
use futures_util::{StreamExt, TryStreamExt, stream};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};

// The registry holds frames to what schemas have room for, which it does not read.
const _: () = assert!(MAX_FRAME_COLUMNS == MAX_COLUMNS);

impl Jobs {
    /// Takes a grant that the owner of a frame has signed.
    pub(crate) async fn offer_grant(
        &self,
        tenant: &Tenant,
        id: FrameId,
        (request, call): (&Request, &Call),
    ) -> Result<Response<Body>, Failure> {
        let grant = signed_grant(request)?;
        let frame = self.frame(tenant, id, call).await?;
        if let Some(columns) = grant.grant.target.columns() {
            let whole = columns_of(columns).and_then(|own| {
                whole_schema_of(&frame)?
                    .beside(&own)
                    .map_err(|error| refused(&error))
            });
            whole?;
        } else if !schema_of(&frame)?.lookups().is_empty() {
            let detail = "frame: it can be looked up, by tables that have to hold every row, so nobody can add some; put the rows together and upload that";
            return Err(Problem::new(ProblemType::MalformedRequest, detail).into());
        }
        let offered = self.registry.change_frame((tenant, id), |frame| {
            live(frame, call)?.offered(&grant, call.now)
        });
        let frame = changed(offered.await?)?.ok_or_else(|| unknown_frame(id))?;
        Ok(http::json(StatusCode::CREATED, &frame.status()))
    }

    /// Ends a grant of the tenant's.
    pub(crate) async fn revoke_grant(
        &self,
        tenant: &Tenant,
        id: FrameId,
        (request, call): (&Request, &Call),
    ) -> Result<Response<Body>, Failure> {
        let Revocation { grant, drop_rows } = http::json_body(request)?;
        let before = self.frame(tenant, id, call).await?;
        let revoked = self.registry.change_frame((tenant, id), |frame| {
            let revoked = frame.revoked(grant, drop_rows);
            once((&before, frame), grant, revoked)
        });
        let frame = changed(revoked.await?)?.ok_or_else(|| unknown_frame(id))?;
        // What never became rows, and what ceased to be.
        let pieces = before.held(grant).map(|held| held.pieces.clone());
        let files = pieces.into_iter().flatten().map(|piece| piece.file);
        self.registry.delete_pieces(&frame, files).await?;
        Ok(http::json(StatusCode::OK, &frame.status()))
    }

    /// Says where to upload pieces by a grant. They count from now on.
    pub(crate) async fn granted_uploads(
        &self,
        tenant: &Tenant,
        (request, call): (&Request, &Call),
    ) -> Result<Response<Body>, Failure> {
        let granted: GrantedPieces = http::json_body(request)?;
        check::chunks(&granted.pieces, MAX_PIECES)?;
        let id = match &granted.grant.grant.target {
            GrantTarget::Frame(frame) | GrantTarget::Columns(frame, _) => *frame,
            GrantTarget::Training(terms) => {
                let given = (&granted, terms.training);
                return self.training_uploads(tenant, given, call).await;
            }
        };
        let GrantedPieces { grant, pieces } = granted;
        let owner = Tenant::from(grant.grant.owner);
        let reserved = self.registry.change_frame((&owner, id), |frame| {
            frame.reserved(&grant, tenant, &pieces, call.now)
        });
        changed(reserved.await?)?.ok_or(Problem::from(GrantRefusal::Unknown))?;
        let place = (id.into(), UploadPurpose::Frame);
        self.transfers(&owner, place, &pieces, call).await
    }

    /// Adds uploaded pieces by a grant, after a look at their heads. No pieces add nothing, and the answer is
    /// as always where the grant stands.
    pub(crate) async fn add_rows(
        &self,
        tenant: &Tenant,
        (request, call): (&Request, &Call),
    ) -> Result<Response<Body>, Failure> {
        let granted: GrantedPieces = http::json_body(request)?;
        let id = match &granted.grant.grant.target {
            GrantTarget::Frame(frame) | GrantTarget::Columns(frame, _) => *frame,
            GrantTarget::Training(terms) => {
                let given = (&granted, terms.training);
                return self.add_training_rows(tenant, given, call).await;
            }
        };
        let GrantedPieces { grant, pieces } = granted;
        let owner = Tenant::from(grant.grant.owner);
        let frame = self.registry.frame(&owner, id).await?;
        let frame = frame.ok_or(Problem::from(GrantRefusal::Unknown))?;
        let held = frame.granted(&grant, tenant, call.now);
        let held = held.map_err(Problem::from)?;
        if pieces.is_empty() {
            return stand_of(&frame, &grant, tenant);
        }
        check::chunks(&pieces, MAX_PIECES)?;
        let looks = (0..).zip(&pieces).map(|(number, file)| {
            let known = held.pieces.iter().find(|piece| piece.file == *file);
            self.look((&frame, &grant), number, known)
        });
        let looks: Vec<_> = looks.collect();
        let pieces: Vec<FramePiece> = stream::iter(looks)
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        let added = self.registry.change_frame((&owner, id), |frame| {
            frame.added(&grant, tenant, &pieces, call.now)
        });
        let frame = changed(added.await?)?.ok_or(Problem::from(GrantRefusal::Unknown))?;
        stand_of(&frame, &grant, tenant)
    }

    /// What a piece is that was uploaded by a grant; one that was added before is as it was.
    async fn look(
        &self,
        (frame, presented): (&StoredFrame, &SignedGrant),
        number: usize,
        known: Option<&GrantedPiece>,
    ) -> Result<FramePiece, Failure> {
        let known = known.ok_or(Problem::from(GrantRefusal::NotDeclared(number)))?;
        let file = known.file;
        if let Some(rows) = known.rows {
            return Ok(FramePiece { file, rows });
        }
        let missing = self
            .registry
            .missing_piece(&frame.tenant, frame.id, &[file])
            .await?;
        if missing.is_some() {
            let detail = format!(
                "piece {number} is not there; upload it (POST /v2/grants/uploads, then PUT) and add it again"
            );
            return Err(Problem::new(ProblemType::UploadMissing, detail).into());
        }
        let head = self.head(&frame.tenant, frame.id, (number, file)).await?;
        let rows = head.schema.rows().count;
        let rows =
            rows.ok_or_else(|| malformed(number, "its schema does not say how many rows it has"))?;
        // The grant is one of the frame's, held to it when it was offered.
        let columns = presented.grant.target.columns().map(columns_of);
        match unlike(frame, head, columns.transpose()?)? {
            None => Ok(FramePiece { file, rows }),
            Some(what) => {
                let problem = format!(
                    "it {what} than the grant allows; encrypt it as the frame is, columns by the grant (--grant)"
                );
                Err(malformed(number, &problem).into())
            }
        }
    }
}

/// The schema of granted columns.
fn columns_of(columns: &GrantedColumns) -> Result<Schema, Failure> {
    let schema = Schema::from_json(columns.schema.as_bytes()).map_err(|error| refused(&error))?;
    let rows = Rows {
        count: Some(columns.rows()),
        padded: schema.rows().padded,
    };
    Ok(schema.with_rows(rows))
}

fn refused(error: &SchemaError) -> Failure {
    let detail = format!("columns: {error}");
    Problem::new(ProblemType::MalformedRequest, detail).into()
}

/// Why rows of a head do not go with a frame's, or with those of columns beside them.
fn unlike(
    frame: &StoredFrame,
    head: FileHead,
    columns: Option<Schema>,
) -> Result<Option<&'static str>, Failure> {
    let expected = match columns {
        Some(columns) => columns,
        None => schema_of(frame)?,
    };
    let gadget = Gadget::try_from(frame.gadget)
        .map_err(|error| Failure::Internal(format!("stored frame {}: {error}", frame.id)))?;
    Ok(if head.key != frame.key {
        Some("is encrypted under another key")
    } else if uncounted(head.schema) != uncounted(expected) {
        Some("has another schema")
    } else if head.parameter_set != frame.parameter_set || head.gadget != gadget {
        Some("has another parameter set or gadget")
    } else {
        None
    })
}

/// A frame that has not run out.
fn live<'f>(frame: &'f StoredFrame, call: &Call) -> Result<&'f StoredFrame, GrantRefusal> {
    if frame.is_expired(call.now) {
        return Err(GrantRefusal::Expired);
    }
    Ok(frame)
}

/// A grant that is offered, if its signature is right.
pub(crate) fn signed_grant(request: &Request) -> Result<SignedGrant, Failure> {
    let grant: SignedGrant = http::json_body(request)?;
    verify_grant(&grant).map_err(|error| {
        let detail = format!("signature: {error}; make the grant anew");
        Problem::new(ProblemType::MalformedRequest, detail)
    })?;
    Ok(grant)
}

/// What a change that grants allow or not has led to.
pub(crate) fn changed<T>(change: Option<Result<T, GrantRefusal>>) -> Result<Option<T>, Problem> {
    change.transpose().map_err(Problem::from)
}

/// A revocation of a grant that was there before: gone by now it is revoked, by this call, where storage lost the
/// answer, or by another one.
pub(crate) fn once<G: Granting>(
    (before, now): (&G, &G),
    grant: GrantId,
    revoked: Result<G, GrantRefusal>,
) -> Result<G, GrantRefusal> {
    match revoked {
        Err(GrantRefusal::Unknown) if before.held(grant).is_some() => Ok(now.clone()),
        revoked => revoked,
    }
}

/// Where a grant stands, for whoever presents it.
pub(crate) fn stand_of(
    granting: &impl Granting,
    grant: &SignedGrant,
    by: &Tenant,
) -> Result<Response<Body>, Failure> {
    let held = granting.held(grant.grant.id);
    let status = held.map(|held| granting.stand(held, by));
    let status = status.ok_or(Problem::from(GrantRefusal::Unknown))?;
    Ok(http::json(StatusCode::OK, &status))
}
