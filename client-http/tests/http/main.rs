//! The key ring, and the client over HTTP against a real server on loopback.

// One echo model serves both crates' tests.
mod bulk;
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
mod trust;

use cipherfn_client::{Accept, Answer, Client, InputRow};
use cipherfn_client_http::{Existing, KeyRing, Retry, Service, ServiceError, ServiceOptions};
use cipherfn_program::Tensor;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::message::KeyId;
use server::Server;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;

/// Attempts of a request in tests.
const ATTEMPTS: u32 = 4;

static CLIENT: LazyLock<Arc<Client>> =
    LazyLock::new(|| Arc::new(Client::from_specs(&echo::specs("echo")).unwrap()));
/// Keys of the echo model.
static KEYS: LazyLock<(TempDir, KeyRing)> = LazyLock::new(|| keys(&CLIENT));

/// A key ring with what a client's model needs.
fn keys(client: &Client) -> (TempDir, KeyRing) {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path());
    ring.fill(client, Existing::Keep).unwrap();
    (directory, ring)
}

/// Id of the secret key.
fn key() -> KeyId {
    KEYS.1.secret_key(echo::set()).unwrap().id()
}

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

/// The client of whatever the service offers.
async fn fetch(service: &Service) -> Result<Arc<Client>, ServiceError> {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path());
    let fetched = service.client(&model(), &ring, &Accept::Pinned).await;
    fetched.map(|fetched| fetched.client)
}

/// Value of a row, exact after its way through the model.
fn value(row: usize) -> f64 {
    f64::from(row as u32 % 33) / 8.0 - 2.0
}

fn table(rows: usize) -> Vec<InputRow> {
    (0..rows)
        .map(|row| Ok(vec![Tensor::F32(vec![value(row) as f32])]))
        .collect()
}

/// What a table of these rows becomes.
fn predictions(rows: usize) -> Vec<Option<f64>> {
    (0..rows).map(|row| Some(value(row))).collect()
}

/// The answers to rows, and what ended them.
async fn answers(
    service: &Service,
    rows: Vec<InputRow>,
) -> (Result<u64, ServiceError>, Vec<Answer>) {
    let mut answers = Vec::new();
    let take = |more| {
        answers.extend(more);
        Ok(())
    };
    let rows = rows.into_iter().map(Ok);
    let result = service
        .predict(&model(), &CLIENT, &KEYS.1, rows, take)
        .await;
    (result, answers)
}

fn values(answers: &[Answer]) -> Vec<Option<f64>> {
    let value = |answer: &Answer| Some(answer.prediction.as_ref()?.scores[0]);
    answers.iter().map(value).collect()
}

async fn predict(service: &Service, rows: usize) -> Result<Vec<Option<f64>>, ServiceError> {
    let (result, answers) = answers(service, table(rows)).await;
    result.map(|count| {
        assert_eq!(count, rows as u64);
        values(&answers)
    })
}
