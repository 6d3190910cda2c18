//! The function that answers requests with an engine.
//!
//! | route | what |
//! |---|---|
//! | `POST /v2/models/{model}/predict` | a query in, a reply out |
//! | `POST /v2/jobs/{id}/predict` | encrypted rows in, their forms by the weights that the job has trained out |
//! | `POST /v2/frames/explain` | what a query over stored frames takes, and how exact its answer is |
//! | `POST /v2/frames/query` | its answer |
//!
//! Under `/v1` problems name specs of format 1; queries are answered in kind under both.

use cipherfn_answering::{Answering, Asked};
use cipherfn_protocol::api::frames::FrameQuery;
use cipherfn_protocol::api::{self, Function, ModelName, Requested, Route};
use cipherfn_service::{Call, Failure, http, telemetry};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Error, Request, Response};

/// The function: reads its configuration, then answers until the environment ends.
pub async fn run() -> Result<(), Error> {
    telemetry::init();
    let answering = &Answering::connect().await?;
    cipherfn_service::run(Function::Infer, move |request, call| async move {
        handle(answering, &request, &call).await
    })
    .await
}

async fn handle(
    answering: &Answering,
    request: &Request,
    call: &Call,
) -> Result<Response<Body>, Failure> {
    let Requested {
        version,
        parameter,
        route,
    } = http::route(Function::Infer, request)?;
    let tenant = call.tenant()?;
    if route == Route::ExplainQuery {
        let query: FrameQuery = http::json_body(request)?;
        let asking = answering.ask(tenant, &query, call).await?;
        return Ok(http::json(StatusCode::OK, &asking.figures()));
    }
    if route == Route::QueryFrames {
        let query: FrameQuery = http::json_body(request)?;
        let reply = Box::pin(answering.query(tenant, &query, call)).await?;
        return Ok(http::response(StatusCode::OK, api::ANSWER, reply));
    }
    if route == Route::PredictTrained {
        let job = http::id("job", parameter)?;
        let query = http::body(request, api::QUERY, api::MAX_REQUEST)?;
        let reply = answering.forms(tenant, (job, query.to_vec()), call);
        let reply = Box::pin(reply).await?;
        return Ok(http::response(StatusCode::OK, api::REPLY, reply));
    }
    let name: ModelName = http::id("model", parameter)?;
    let asked = Asked {
        api: version,
        model: &name,
        tenant,
        reply_limit: api::MAX_REPLY,
    };
    let query = cipherfn_answering::parse(http::body(request, api::QUERY, api::MAX_REQUEST)?)?;
    let reply = answering.answer(asked, &query, call).await?;
    Ok(http::response(StatusCode::OK, api::REPLY, reply.bytes))
}
