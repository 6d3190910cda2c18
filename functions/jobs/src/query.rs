//! Queries over frames as jobs. Plans are held to schemas here; what their answers are worth is found
//! by whoever has the engine, before anything is evaluated.

use crate::Jobs;
use crate::frames::whole_schema_of;
use cipherfn_frame::pass::CircuitForm;
use cipherfn_frame::plan::{ModelScore, Plan, PlanError, PublishedScore};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::{
    FrameQuery, MAX_QUERY_PARTS, QueryDeclaration, ROWS_TOGETHER,
};
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::specs::{Bits, Gadget, SpecsDocument};
use cipherfn_service::registry::{JobOrder, SharedQuery, StoredFrame, Work};
use cipherfn_service::{Call, Failure, Tenant, http};
use lambda_http::{Body, Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Jobs {
    /// Takes a query as a job, whose first pass begins.
    pub(crate) async fn declare_query(
        &self,
        tenant: &Tenant,
        request: &Request,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let declaration: QueryDeclaration = http::json_body(request)?;
        let rows_a_part = declaration.rows_a_part;
        if rows_a_part == 0 || !rows_a_part.is_multiple_of(ROWS_TOGETHER) {
            let detail = format!(
                "rows_a_part: {rows_a_part} rows; a part has a multiple of {ROWS_TOGETHER}, and one at least"
            );
            return Err(Problem::new(ProblemType::MalformedRequest, detail).into());
        }
        let query = declaration.query;
        query.check()?;
        let mut frames = Vec::with_capacity(query.frames.len());
        for id in &query.frames {
            frames.push(self.frame(tenant, *id, call).await?);
        }
        let mut tables = Vec::with_capacity(query.tables.len());
        for table in &query.tables {
            let (_, document) = self.registry.table(table).await?;
            let schema = Schema::from_json(&document);
            tables.push(schema.map_err(|error| {
                Failure::Internal(format!("the schema of table {}: {error}", table.name))
            })?);
        }
        let mut scores = BTreeMap::new();
        for model in &query.models {
            let (_, specs) = self.registry.scored(model).await?;
            let document = SpecsDocument::from_json_bytes(&specs).map_err(|error| {
                Failure::Internal(format!("the specs of model {}: {error}", model.name))
            })?;
            let score = PublishedScore::new(model.name.as_str(), &document);
            let score =
                score.map_err(|error| Problem::new(ProblemType::PlanRefused, error.to_string()))?;
            let name = model.name.as_str().to_owned();
            scores.insert(name, ModelScore::Published(Arc::new(score)));
        }
        let passes = rows_of_passes(&query, &frames, tables, &scores)?;
        let key = frames[0].key;
        let shared = SharedQuery {
            query,
            passes,
            rows_a_part,
        };
        let parts = shared.parts();
        if parts > MAX_QUERY_PARTS as u64 {
            let detail = format!(
                "rows_a_part: {rows_a_part} rows a part make {parts} parts; declare more rows a part, so that there are at most {MAX_QUERY_PARTS}"
            );
            return Err(Problem::new(ProblemType::MalformedRequest, detail).into());
        }
        let order = JobOrder {
            idempotency_key: declaration.idempotency_key,
            key,
            work: Work::Query(shared),
            parts: parts as u32,
        };
        self.begin(tenant, &order, call).await
    }
}

/// Rows that each pass of a query goes over.
fn rows_of_passes(
    query: &FrameQuery,
    frames: &[StoredFrame],
    tables: Vec<Schema>,
    scores: &BTreeMap<String, ModelScore>,
) -> Result<Vec<u64>, Failure> {
    let mut schemas = frames
        .iter()
        .map(whole_schema_of)
        .collect::<Result<Vec<_>, _>>()?;
    schemas.extend(tables);
    let json = serde_json::to_vec(&query.plan);
    let json = json.map_err(|error| Failure::Internal(error.to_string()))?;
    let gadget = Gadget::try_from(frames[0].gadget)
        .map_err(|error| Failure::Internal(format!("stored frame {}: {error}", frames[0].id)))?;
    // Which circuits there are does not depend on the parameter set, which only an engine knows.
    let form = CircuitForm {
        parameter_set: String::new(),
        gadget,
        reply_bits: Bits::new(1),
        rows_per_sum: query.rows_per_sum,
    };
    let plan = Plan::from_json(&json).and_then(|plan| plan.with_scores(scores));
    let lowered = plan.and_then(|plan| plan.resolve(&schemas)?.lower(&form));
    let passes = lowered
        .map_err(|error: PlanError| Problem::new(ProblemType::PlanRefused, error.to_string()))?;
    let rows = |name: &String| {
        let place = schemas.iter().position(|schema| schema.name() == name);
        // No pass goes over a table.
        let frame = place.and_then(|place| frames.get(place));
        frame.map_or(0, StoredFrame::rows)
    };
    let rows: Vec<u64> = passes.frames.iter().map(rows).collect();
    Ok(passes.passes.iter().map(|pass| rows[pass.over]).collect())
}
