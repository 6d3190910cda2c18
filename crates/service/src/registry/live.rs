//! Which version of a model answers, of a training program trains or of a table is merged with, and
//! whether a frame is there.

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
    let unknown = |detail| Problem::new(ProblemType::UnknownModel, detail);
    let there = "GET /v2/models lists those that there are";
    let model = model.ok_or_else(|| unknown(format!("there is no model {name}; {there}")))?;
    if model.kind != PublishedKind::Model {
        let kind = model.kind;
        return Err(unknown(format!(
            "{name} is a {kind}, and no model that predicts; {there}"
        )));
    }
    if let Some(version) = model.version(specs) {
        return Ok(version);
    }
    Err(stale(
        ProblemType::StaleSpecs,
        model.current(api),
        |current| {
            format!(
                "the query was made for specs {} of model {name}, which are not live; fetch the current specs{current} and encrypt the rows again",
                specs.short()
            )
        },
    ))
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
    let model = model.filter(|model| model.kind == PublishedKind::Table);
    let model = model.ok_or_else(unknown)?;
    if let Some(version) = model.version(specs) {
        return Ok(version);
    }
    let current = Some(model.current);
    Err(stale(ProblemType::StaleSpecs, current, |current| {
        format!(
            "the query was made for version {} of table {name}, which is not live; fetch the current one{current} and ask again",
            specs.short()
        )
    }))
}

/// That a version is not live, and which one is current.
fn stale(
    kind: ProblemType,
    current: Option<SpecsHash>,
    detail: impl FnOnce(String) -> String,
) -> Problem {
    let text = current.map_or_else(String::new, |hash| format!(" ({})", hash.short()));
    let mut problem = Problem::new(kind, detail(text));
    problem.current_specs = current;
    problem
}

/// The version of a training program with this hash, which must be live; otherwise what to tell a client.
pub fn live_program<'a>(
    program: Option<&'a Model>,
    name: &ModelName,
    hash: SpecsHash,
) -> Result<&'a LiveVersion, Problem> {
    let program = program.filter(|program| program.kind == PublishedKind::Program);
    let program = program.ok_or_else(|| unknown_program(name))?;
    program.version(hash).ok_or_else(|| {
        stale(ProblemType::StaleProgram, Some(program.current), |current| {
            format!(
                "version {} of training program {name} is not live; fetch the current one{current} and encrypt the rows again",
                hash.short()
            )
        })
    })
}

/// What to tell a client where there is no such program.
pub fn unknown_program(name: &ModelName) -> Problem {
    let detail =
        format!("there is no training program {name}; GET /v2/programs lists those that there are");
    Problem::new(ProblemType::UnknownProgram, detail)
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
