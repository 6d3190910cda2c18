//! Logs, metrics and traces of a function, all on what AWS Lambda gives: JSON lines on standard
//! output, the embedded metric format in them, and datagrams to the X-Ray daemon. Nothing here ever
//! holds a key, a row or a presigned URL.

mod metrics;
mod trace;

pub use metrics::{Metric, Metrics};
pub use trace::Trace;

use crate::config;
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Starts logging; once a process.
///
/// [`config::LOG`] decides what this project's crates say. The others' (HTTP, the AWS SDK, the Lambda
/// runtime) say what goes wrong and no more, whatever it asks for: from `debug` on they log headers
/// and bodies, and with them tokens, presigned addresses and queries.
pub fn init() {
    let filter = config::text(config::LOG).and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    let silent = filter_fn(|metadata| {
        metadata.target().starts_with("cipherfn") || *metadata.level() <= Level::WARN
    });
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_filter(silent);
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}
