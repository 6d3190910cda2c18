//! What a million rows cost: the sum of `infra/cost`, on `x86_64` with one vCPU, for whoever has only
//! the command.

use cipherfn_compiler::Report;

/// Memory of `infer` unless the template's parameter says otherwise, in MB: one vCPU.
const FUNCTION_MB: f64 = 1769.0;

/// Dollars for a million rows that take `seconds` each, in requests of `rows`, by part.
pub(crate) fn dollars_a_million(
    report: &Report,
    seconds: f64,
    rows: f64,
) -> [(&'static str, f64); 8] {
    let sizes = report.sizes;
    let a_row = |alone: usize, shared: Option<usize>| {
        shared.map_or(alone as f64, |shared| {
            (shared as f64).max(alone as f64 / rows).min(alone as f64)
        })
    };
    let query = rows * a_row(sizes.query_row, sizes.shared.map(|it| it.query_row));
    let reply = rows * a_row(sizes.reply_row, sizes.shared.map(|it| it.reply_row));
    // In millions.
    let requests = 1.0 / rows;
    let computed = rows * seconds * 1000.0;
    let warm = (assumed::OVERHEAD_MS + computed.max(assumed::S3_WAIT_MS)).ceil();
    let billed = warm + assumed::COLD_SHARE * assumed::COLD_MS;
    let gigabyte_seconds = requests * 1e3 * FUNCTION_MB / 1024.0 * billed;
    let key = sizes.evaluation_key;
    let record = f64::from(u8::from(key == 0));
    let gets = assumed::GETS_WARM + assumed::COLD_SHARE * assumed::GETS_COLD - record;
    let keys = if key > 0 {
        1e6 / assumed::PREDICTIONS_A_KEY
    } else {
        0.0
    };
    let a_key = key as f64 * 1e-9 * price::S3_GB_MONTH + PUTS_A_KEY * 1e-6 * price::S3_PUTS;
    let increments = (query.max(reply) / price::API_INCREMENT).ceil().max(1.0);
    let sent = (reply + assumed::FRAMING_BYTES) * 1e-3;
    let logs = assumed::LOG_BYTES * 1e-3 * (price::LOGS_GB + price::LOGS_GB_MONTH);
    [
        ("Lambda, computing", gigabyte_seconds * price::GB_SECOND),
        ("Lambda, requests", requests * price::REQUESTS),
        ("HTTP API", requests * increments * price::API_REQUESTS),
        ("S3, reads", requests * gets * price::S3_GETS),
        ("transfer of replies", requests * sent * price::TRANSFER_GB),
        ("logs", requests * logs),
        ("traces", requests * assumed::TRACED * price::TRACES),
        ("keys", keys * a_key),
    ]
}

/// Writes that a registered key takes, once.
const PUTS_A_KEY: f64 = 5.0;

/// Dollars: `infra/prices.json`. A test compares.
mod price {
    pub(super) const GB_SECOND: f64 = 0.000_016_666_7;
    /// A million.
    pub(super) const REQUESTS: f64 = 0.2;
    /// A million, of at most so many bytes.
    pub(super) const API_REQUESTS: f64 = 1.0;
    pub(super) const API_INCREMENT: f64 = 524_288.0;
    /// A million.
    pub(super) const S3_GETS: f64 = 0.4;
    /// A million.
    pub(super) const S3_PUTS: f64 = 5.0;
    pub(super) const S3_GB_MONTH: f64 = 0.023;
    pub(super) const TRANSFER_GB: f64 = 0.09;
    pub(super) const LOGS_GB: f64 = 0.5;
    pub(super) const LOGS_GB_MONTH: f64 = 0.03;
    /// A million.
    pub(super) const TRACES: f64 = 5.0;
}

/// What `infra/measurements.json` assumes. A test compares.
mod assumed {
    pub(super) const OVERHEAD_MS: f64 = 1.0;
    pub(super) const S3_WAIT_MS: f64 = 20.0;
    pub(super) const COLD_SHARE: f64 = 0.01;
    pub(super) const COLD_MS: f64 = 250.0;
    pub(super) const GETS_WARM: f64 = 2.0;
    pub(super) const GETS_COLD: f64 = 2.0;
    pub(super) const LOG_BYTES: f64 = 2000.0;
    pub(super) const FRAMING_BYTES: f64 = 1000.0;
    pub(super) const TRACED: f64 = 0.05;
    pub(super) const PREDICTIONS_A_KEY: f64 = 10_000.0;
}

#[cfg(test)]
mod tests {
    use super::{assumed, dollars_a_million, price};
    use crate::verdict::tests::{report, value};
    use serde_json::{Value, json};

    /// The totals that `infra/cost` gives for the same reports.
    #[test]
    fn money_is_that_of_the_cost_script() {
        let mut value = value(23_177.3, 73, 10_256);
        let mut check = |key: usize, shared: Value, expected: [f64; 2]| {
            value["sizes"]["evaluation_key"] = key.into();
            value["sizes"]["shared"] = shared;
            for (rows, expected) in [1.0, 50.0].into_iter().zip(expected) {
                let parts = dollars_a_million(&report(value.clone()), 0.023_177_3, rows);
                let total: f64 = parts.iter().map(|part| part.1).sum();
                assert!(
                    (total - expected).abs() < 1e-9,
                    "{rows}: {total}, not {expected}"
                );
            }
        };
        check(
            1_339_476,
            Value::Null,
            [4.643_401_115_356_641, 1.181_193_520_361_523_4],
        );
        let shared = json!({"query_row": 1300, "reply_row": 9});
        check(
            1_900_000,
            shared,
            [4.644_690_320_556_64, 0.753_213_325_561_523_4],
        );
        check(
            0,
            Value::Null,
            [4.237_820_320_556_64, 1.167_612_725_561_523_4],
        );
    }

    #[test]
    fn prices_and_assumptions_are_those_of_the_cost_script() {
        let json = |text| serde_json::from_str::<Value>(text).unwrap();
        let prices = &json(include_str!("../../../../infra/prices.json"))["prices"];
        let measured = json(include_str!("../../../../infra/measurements.json"));
        for (path, ours) in [
            ("/lambda_gb_second/x86_64", price::GB_SECOND),
            ("/lambda_million_requests/value", price::REQUESTS),
            ("/http_api_million_requests/value", price::API_REQUESTS),
            ("/s3_million_gets/value", price::S3_GETS),
            ("/s3_million_puts/value", price::S3_PUTS),
            ("/s3_gb_month/value", price::S3_GB_MONTH),
            ("/transfer_out_gb/value", price::TRANSFER_GB),
            ("/logs_gb/value", price::LOGS_GB),
            ("/logs_gb_month/value", price::LOGS_GB_MONTH),
            ("/xray_million_traces/value", price::TRACES),
        ] {
            assert_eq!(
                prices.pointer(path).and_then(Value::as_f64),
                Some(ours),
                "{path}"
            );
        }
        let increment = prices.pointer("/http_api_million_requests/increment_bytes");
        assert_eq!(
            increment.and_then(Value::as_f64),
            Some(price::API_INCREMENT)
        );
        for (name, ours) in [
            ("function_overhead_ms", assumed::OVERHEAD_MS),
            ("s3_wait_ms", assumed::S3_WAIT_MS),
            ("cold_share", assumed::COLD_SHARE),
            ("cold_more_ms", assumed::COLD_MS),
            ("gets_warm", assumed::GETS_WARM),
            ("gets_cold_more", assumed::GETS_COLD),
            ("log_bytes_a_request", assumed::LOG_BYTES),
            ("log_stored_months", 1.0),
            ("reply_framing_bytes", assumed::FRAMING_BYTES),
            ("traced_share", assumed::TRACED),
            ("predictions_a_key_a_month", assumed::PREDICTIONS_A_KEY),
        ] {
            let theirs = measured["assumed"][name].as_f64();
            assert_eq!(theirs, Some(ours), "{name}");
        }
    }
}
