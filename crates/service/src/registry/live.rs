//! Which version of a model answers.

use super::{LiveVersion, Model};
use cipherfn_protocol::api::{ApiVersion, ModelName, Problem, ProblemType};
use cipherfn_protocol::hash::SpecsHash;

/// The version with these specs, which must be live; otherwise what to tell a client of a version of
/// the API.
pub fn live_version<'a>(
    model: Option<&'a Model>,
    (api, name): (ApiVersion, &ModelName),
    specs: SpecsHash,
) -> Result<&'a LiveVersion, Problem> {
    let Some(model) = model else {
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
