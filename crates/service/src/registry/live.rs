//! Which version of a model answers or of a training program trains, and whether a frame does.

use super::{LiveVersion, Model, ModelKind, StoredFrame};
use cipherfn_protocol::api::frames::FrameId;
use cipherfn_protocol::api::{ApiVersion, ModelName, Problem, ProblemType};
use cipherfn_protocol::hash::SpecsHash;
use time::OffsetDateTime;

/// The version with these specs, which must be live; otherwise what to tell a client of a version of
/// the API.
pub fn live_version<'a>(
    model: Option<&'a Model>,
    (api, name): (ApiVersion, &ModelName),
    specs: SpecsHash,
) -> Result<&'a LiveVersion, Problem> {
    let Some(model) = model.filter(|model| model.kind == ModelKind::Model) else {
        let detail = format!("there is no model {name}; GET /v2/models lists those that there are");
        return Err(Problem::new(ProblemType::UnknownModel, detail));
    };
    if let Some(version) = model.version(specs) {
        return Ok(version);
    }
    let current = model.current(api);
    let current_text = current.map_or_else(String::new, |hash| format!(" ({})", hash.short()));
    let mut problem = Problem::new(
        ProblemType::StaleSpecs,
        format!(
            "the query was made for specs {} of model {name}, which are not live; fetch the current specs{current_text} and encrypt the rows again",
            specs.short()
        ),
    );
    problem.current_specs = current;
    Err(problem)
}

/// The version of a training program with this hash, which must be live; otherwise what to tell a client.
pub fn live_program<'a>(
    program: Option<&'a Model>,
    name: &ModelName,
    hash: SpecsHash,
) -> Result<&'a LiveVersion, Problem> {
    let program = program.filter(|program| program.kind == ModelKind::Program);
    let program = program.ok_or_else(|| unknown_program(name))?;
    program.version(hash).ok_or_else(|| {
        let current = program.current;
        let detail = format!(
            "version {} of training program {name} is not live; fetch the current one ({}) and encrypt the rows again",
            hash.short(),
            current.short()
        );
        let mut problem = Problem::new(ProblemType::StaleProgram, detail);
        problem.current_specs = Some(current);
        problem
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
