//! The key ring, and the client over HTTP against a real server on loopback.

// One echo model serves both crates' tests.
#[path = "../../../client/tests/client/echo.rs"]
mod echo;
mod identity;
mod keyring;
mod predict;
mod refusals;
mod register;
mod registry;
mod server;
mod specs;

use cipherfn_client::{Client, Decrypted};
use cipherfn_client_http::{Retry, Service, ServiceError, ServiceOptions};
use cipherfn_protocol::api::ModelName;
use cipherfn_scheme::SecretKey;
use cipherfn_table::Table;
use server::Server;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Attempts of a request in tests.
const ATTEMPTS: u32 = 4;

static CLIENT: LazyLock<Arc<Client>> =
    LazyLock::new(|| Arc::new(Client::from_specs(&echo::specs("echo")).unwrap()));
static SECRET: LazyLock<Arc<SecretKey>> =
    LazyLock::new(|| Arc::new(SecretKey::generate(echo::set())));

fn model() -> ModelName {
    "echo".parse().unwrap()
}

/// As a user's, but never waiting for long.
fn options() -> ServiceOptions {
    ServiceOptions {
        retry: Retry {
            attempts: NonZeroU32::new(ATTEMPTS).unwrap(),
            base: Duration::from_millis(1),
            longest: Duration::from_millis(2),
        },
        ..ServiceOptions::default()
    }
}

fn service(server: &Server) -> Service {
    Service::new(&server.url, options()).unwrap()
}

/// Value of a row, exact after its way through the model.
fn value(row: usize) -> f64 {
    f64::from(row as u32 % 33) / 8.0 - 2.0
}

fn table(rows: usize) -> String {
    (0..rows).fold("x\n".to_owned(), |csv, row| {
        csv + &format!("{}\n", value(row))
    })
}

/// What a table of these rows becomes.
fn predictions(rows: usize) -> String {
    (0..rows).fold("prediction\n".to_owned(), |csv, row| {
        csv + &format!("{:?}\n", value(row))
    })
}

/// Predicts a CSV table; gives what was written too.
async fn predict_csv(service: &Service, csv: String) -> (Result<Decrypted, ServiceError>, String) {
    let mut written = Vec::new();
    let rows = CLIENT
        .rows(Table::open("rows.csv", std::io::Cursor::new(csv)).unwrap())
        .unwrap();
    let result = service
        .predict(&model(), &CLIENT, &SECRET, rows, &mut written, |_| ())
        .await;
    (result, String::from_utf8(written).unwrap())
}

async fn predict(service: &Service, rows: usize) -> Result<String, ServiceError> {
    let (result, written) = predict_csv(service, table(rows)).await;
    result.map(|decrypted| {
        assert_eq!((decrypted.rows, decrypted.failed), (rows as u64, 0));
        written
    })
}
