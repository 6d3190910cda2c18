//! Plans as whoever evaluates gets them.

use super::FrameQueryError;
use cipherfn_frame::plan::Plan;
use cipherfn_frame::schema::Schema;

/// A plan as it is sent, which the schemas as they are sent have to allow: dictionaries that are equal
/// here differ there if one of them is hashed.
pub(super) fn as_sent(plan: &Plan, schemas: &[Schema]) -> Result<Plan, FrameQueryError> {
    let sent = plan.sent(schemas);
    if let Some(hasher) = schemas.iter().find_map(Schema::hasher) {
        let schemas: Vec<Schema> = schemas.iter().map(|own| own.as_sent().clone()).collect();
        let allowed = sent.resolve(&schemas);
        allowed.map_err(|error| FrameQueryError::Hashed {
            problem: hasher.shown(&error.to_string()),
        })?;
    }
    Ok(sent)
}
