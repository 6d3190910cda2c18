//! Logs, metrics and traces of a function, all on what AWS Lambda gives: JSON lines on standard
//! output, the embedded metric format in them, and datagrams to the X-Ray daemon. Nothing here ever
//! holds a key, a row or a presigned URL.

mod metrics;
mod trace;

pub use metrics::{Metric, Metrics};
pub use trace::Trace;

use crate::config;
use tracing_subscriber::EnvFilter;

/// Starts logging; once a process.
pub fn init() {
    let filter = config::text(config::LOG).and_then(|text| EnvFilter::try_new(text).ok());
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new("info")))
        .with_current_span(false)
        .with_span_list(false)
        .try_init();
}
