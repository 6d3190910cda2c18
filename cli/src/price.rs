//! What jobs cost at AWS's list prices, which infra/prices.json holds. infra/cost has the same formula.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

const MILLION: f64 = 1e6;
const GB: f64 = 1e9;

static PRICES: LazyLock<PriceList> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../infra/prices.json"))
        .expect("infra/prices.json is what a test reads")
});

#[derive(Deserialize)]
struct PriceList {
    region: String,
    bulk: RequestCounts,
    prices: Prices,
}

/// Requests for a chunk.
#[derive(Deserialize)]
struct RequestCounts {
    executions: f64,
    api_requests: f64,
    puts: f64,
    gets: f64,
    transitions: f64,
}

#[derive(Deserialize)]
struct Prices {
    /// By architecture; also texts about their source.
    lambda_gb_second: BTreeMap<String, serde_json::Value>,
    lambda_million_requests: Price,
    step_functions_million_transitions: Price,
    http_api_million_requests: Price,
    s3_million_gets: Price,
    s3_million_puts: Price,
    transfer_out_gb: Price,
}

#[derive(Deserialize)]
struct Price {
    value: f64,
}

/// Work of jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) chunks: u64,
    pub(crate) downloaded_bytes: u64,
    pub(crate) worker_seconds: f64,
    pub(crate) worker_memory_mb: u64,
    pub(crate) architecture: &'a str,
}

/// Where the prices are those of.
pub(crate) fn region() -> &'static str {
    &PRICES.region
}

/// Dollars; `None` for an architecture without a price.
pub(crate) fn dollars(work: &Work<'_>) -> Option<f64> {
    let PriceList { bulk, prices, .. } = &*PRICES;
    let gb_second = prices.lambda_gb_second.get(work.architecture)?.as_f64()?;
    let gb_seconds = work.worker_seconds * work.worker_memory_mb as f64 / 1024.0;
    let a_chunk = bulk.executions * prices.lambda_million_requests.value
        + bulk.api_requests * prices.http_api_million_requests.value
        + bulk.puts * prices.s3_million_puts.value
        + bulk.gets * prices.s3_million_gets.value
        + bulk.transitions * prices.step_functions_million_transitions.value;
    let transfer = work.downloaded_bytes as f64 / GB * prices.transfer_out_gb.value;
    Some(gb_seconds * gb_second + work.chunks as f64 * a_chunk / MILLION + transfer)
}

/// Dollars as people read them.
pub(crate) fn text(dollars: f64) -> String {
    if dollars < 0.01 {
        "less than $0.01".to_owned()
    } else {
        format!("${dollars:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Work, dollars, text};

    /// 1,000 hours of a gigabyte, a thousand chunks, 10 GB: $60, $0.15 and $0.90.
    #[test]
    fn what_is_paid_for_is_time_requests_and_bytes() {
        let work = Work {
            chunks: 1000,
            downloaded_bytes: 10_000_000_000,
            worker_seconds: 3.6e6,
            worker_memory_mb: 1024,
            architecture: "x86_64",
        };
        let price = dollars(&work).unwrap();
        let requests = 0.6 + 2.0 + 30.0 + 16.0 + 100.0;
        let expected = 3.6e6 * 0.000_016_666_7 + requests / 1e3 + 0.9;
        assert!((price - expected).abs() < 1e-9, "{price} {expected}");
        let arm = Work {
            architecture: "arm64",
            ..work
        };
        assert!(dollars(&arm).unwrap() < price);
        let other = Work {
            architecture: "source",
            ..work
        };
        assert_eq!(dollars(&other), None);
    }

    #[test]
    fn small_prices_are_not_nothing() {
        assert_eq!(text(0.001), "less than $0.01");
        assert_eq!(text(12.345), "$12.35");
    }
}
