//! The service's functions in one program, as the emulator starts them for tests:
//! `cipherfn-test-function NAME`.

use cipherfn_protocol::api::Function;
use cipherfn_service::http;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    match std::env::args().nth(1).as_deref() {
        Some("specs") => cipherfn_function_specs::run().await,
        Some("register-key") => cipherfn_function_register_key::run().await,
        Some("infer") => cipherfn_function_infer::run().await,
        Some("jobs") => cipherfn_function_jobs::run().await,
        Some("worker") => cipherfn_function_worker::run().await,
        Some("panic") => panicking().await,
        other => Err(format!("there is no function {other:?}").into()),
    }
}

/// A function with a bug: it panics at a request that says so, and answers every other with the id
/// of its process.
async fn panicking() -> Result<(), Error> {
    cipherfn_service::run(Function::Specs, |request, _| async move {
        assert!(!request.uri().path().ends_with("/panic"), "a bug");
        let answer = Body::Text(std::process::id().to_string());
        Ok(http::response(StatusCode::OK, "text/plain", answer))
    })
    .await
}
