//! Metrics of one invocation, as one line of CloudWatch's embedded metric format.

use serde_json::{Map, Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is measured. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// 1 for the first invocation of an environment, 0 for the others.
    ColdStart,
    /// Time to fetch an evaluation key.
    KeyFetch,
    /// Time to bring it into the Fourier domain.
    KeyExpand,
    /// Time to fetch a bundle.
    ModelFetch,
    /// Time to prepare it.
    ModelPrepare,
    /// Time in the engine.
    Evaluate,
    /// The whole handler.
    Duration,
    /// Rows answered.
    Rows,
    /// Rows without an answer.
    RowsFailed,
    /// Bytes of the request's body.
    RequestBytes,
    /// Bytes of the response's body.
    ReplyBytes,
    /// 1 where the request was refused: status 400 to 499.
    Rejected,
    /// 1 where the service failed: status 500 and up.
    Failed,
    /// 1 where a handler panicked.
    Panics,
}

impl Metric {
    const fn unit(self) -> &'static str {
        match self {
            Self::KeyFetch
            | Self::KeyExpand
            | Self::ModelFetch
            | Self::ModelPrepare
            | Self::Evaluate
            | Self::Duration => "Milliseconds",
            Self::RequestBytes | Self::ReplyBytes => "Bytes",
            _ => "Count",
        }
    }
}

/// What an invocation has measured so far.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Vec<(Metric, f64)>>);

impl Metrics {
    /// Adds to a metric.
    pub fn add(&self, metric: Metric, value: f64) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match values.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, sum)) => *sum += value,
            None => values.push((metric, value)),
        }
    }

    /// Adds a time.
    pub fn add_time(&self, metric: Metric, time: Duration) {
        self.add(metric, time.as_secs_f64() * 1e3);
    }

    /// The line, with `properties` beside the metrics.
    pub fn line(&self, function: &str, properties: Map<String, Value>) -> String {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let definitions: Vec<Value> = values
            .iter()
            .map(|(metric, _)| json!({ "Name": format!("{metric:?}"), "Unit": metric.unit() }))
            .collect();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut line = properties;
        line.insert("FunctionName".into(), function.into());
        for (metric, value) in values.iter() {
            line.insert(format!("{metric:?}"), (*value).into());
        }
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": now.as_millis() as u64,
                "CloudWatchMetrics": [{ "Namespace": "cipherfn", "Dimensions": [["FunctionName"]], "Metrics": definitions }],
            }),
        );
        Value::Object(line).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_the_embedded_metric_format() {
        let metrics = Metrics::default();
        metrics.add(Metric::Rows, 2.0);
        metrics.add(Metric::Rows, 3.0);
        metrics.add_time(Metric::Evaluate, Duration::from_millis(25));
        let mut properties = Map::new();
        properties.insert("request_id".into(), "r".into());
        let line: Value = serde_json::from_str(&metrics.line("infer", properties)).unwrap();
        assert_eq!(line["Rows"], 5.0);
        assert_eq!(line["Evaluate"], 25.0);
        assert_eq!(line["FunctionName"], "infer");
        assert_eq!(line["request_id"], "r");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "cipherfn");
        assert_eq!(
            directive["Metrics"],
            json!([{"Name": "Rows", "Unit": "Count"}, {"Name": "Evaluate", "Unit": "Milliseconds"}])
        );
        // Every dimension and metric that is named is there.
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
    }
}
