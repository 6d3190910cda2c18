//! Parts of the messages of errors.

use cipherfn_protocol::api::Problem;
use std::fmt;

/// How far this machine's clock is from the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Seconds that the service's clock is ahead of this one; negative where it is behind.
    pub ahead: i64,
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.ahead > 0 { "behind" } else { "ahead of" };
        let minutes = self.ahead.unsigned_abs() / 60;
        write!(
            f,
            "; this machine's clock is {minutes} minutes {direction} the service's: set it right"
        )
    }
}

/// What 401 and 403 mean.
pub(super) const fn refusal(status: u16) -> &'static str {
    if status == 401 {
        "does not know who is calling"
    } else {
        "does not let this caller in"
    }
}

pub(super) fn after(attempts: u32) -> String {
    if attempts > 1 {
        format!(" after {attempts} attempts")
    } else {
        String::new()
    }
}

pub(super) fn request_id(problem: &Problem) -> String {
    problem
        .request_id
        .as_ref()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}

pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text:?}")
    }
}
