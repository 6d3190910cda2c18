//! Which version of a model answers, and whether a frame does.

use super::{LiveVersion, Model, StoredFrame};
use cipherfn_protocol::api::frames::FrameId;
use cipherfn_protocol::api::{ApiVersion, ModelName, Problem, ProblemType, PublishedKind};
use cipherfn_protocol::hash::SpecsHash;
use time::OffsetDateTime;

/// The version of a model with these specs, which must be live; otherwise what to tell a client of a
/// version of the API.
pub fn live_version<'a>(
    model: Option<&'a Model>,
    (api, name): (ApiVersion, &ModelName),
    specs: SpecsHash,
) -> Result<&'a LiveVersion, Problem> {
    let Some(model) = model else {
        let detail = format!("there is no model {name}; GET /v2/models lists those that there are");
        return Err(Problem::new(ProblemType::UnknownModel, detail));
    };
    match model.version(specs) {
        Some(version) if version.kind.is_model() => return Ok(version),
        Some(_) => {
            let detail = format!(
                "{name} is a table for queries over frames, and no model that predicts; GET /v2/models lists those that there are"
            );
            return Err(Problem::new(ProblemType::UnknownModel, detail));
        }
        None => {}
    }
    Err(stale(model.current(api), |current| {
        format!(
            "the query was made for specs {} of model {name}, which are not live; fetch the current specs{current} and encrypt the rows again",
            specs.short()
        )
    }))
}

/// The version of a table in the clear with this document, which must be live.
pub fn live_table<'a>(
    model: Option<&'a Model>,
    name: &ModelName,
    specs: SpecsHash,
) -> Result<&'a LiveVersion, Problem> {
    let unknown = || {
        let detail = format!("there is no table {name}; GET /v2/models lists those that there are");
        Problem::new(ProblemType::UnknownTable, detail)
    };
    let model = model.ok_or_else(unknown)?;
    match model.version(specs) {
        Some(version) if version.kind == PublishedKind::Table => return Ok(version),
        Some(_) => return Err(unknown()),
        None => {}
    }
    Err(stale(Some(model.current), |current| {
        format!(
            "the query was made for version {} of table {name}, which is not live; fetch the current one{current} and ask again",
            specs.short()
        )
    }))
}

/// That a version is not live, and which one is current.
fn stale(current: Option<SpecsHash>, detail: impl FnOnce(String) -> String) -> Problem {
    let text = current.map_or_else(String::new, |hash| format!(" ({})", hash.short()));
    let mut problem = Problem::new(ProblemType::StaleSpecs, detail(text));
    problem.current_specs = current;
    problem
}

/// A tenant's frame, which must not have run out; otherwise what to tell the tenant. Another tenant's is
/// as unknown as one that never was.
pub fn live_frame(
    frame: Option<StoredFrame>,
    id: FrameId,
    now: OffsetDateTime,
) -> Result<StoredFrame, Problem> {
    let frame = frame.ok_or_else(|| unknown_frame(id))?;
    if frame.is_expired(now) {
        let detail = format!("frame {id} has run out; upload it again");
        return Err(Problem::new(ProblemType::FrameExpired, detail));
    }
    Ok(frame)
}

/// What to tell a tenant that has no such frame.
pub fn unknown_frame(id: FrameId) -> Problem {
    let detail = format!("you have no frame {id}; GET /v2/frames lists those that you have");
    Problem::new(ProblemType::UnknownFrame, detail)
}
