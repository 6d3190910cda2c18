//! AWS on this machine, for development and tests: Lambda functions as processes, an HTTP API in
//! front of them, and an S3.
//!
//! ```text
//!  client --- HTTP ---> gateway --- event ---> pool ---- Runtime API ----> process (lambda_runtime)
//!                       routes, callers,       one a function,              |
//!                       limits                 cold and warm starts         |
//!                                              ^                            |
//!                          retries, dead letters `-- events --- Invoke API ---+
//!  client --- presigned URLs --------------> embedded S3 <------ S3 API ----+
//! ```
//!
//! Everything listens on the loopback address only. Functions are real processes that speak the
//! real Runtime API, and the S3 verifies real signatures, so that the code under test is the code
//! that is deployed. AWS's limits and its answers to failures are kept. Not emulated: the freezing
//! of idle environments, memory limits, and IAM policies (a signature that holds may do
//! everything).
//!
//! ```no_run
//! use cipherfn_emulator::{Config, Emulator, Function, Route};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new("data", "my-bucket");
//! config.functions = vec![Function::new("hello", "target/release/bootstrap")];
//! config.routes = vec![Route::new(http::Method::GET, "/hello/{name}", "hello")];
//! let emulator = Emulator::start(config).await?;
//! println!("{}/hello/world", emulator.url());
//! emulator.stop().await;
//! # Ok(())
//! # }
//! ```

mod account;
mod authorizer;
mod body;
mod config;
mod cors;
mod emulator;
mod error;
pub mod faults;
mod gateway;
mod lambda;
mod random;
mod s3;
mod server;
mod site;

pub use authorizer::{Authorizer, Tenants};
pub use config::{Config, Function, Lifecycle, Limits, LogSink, Map, Pages, Route};
pub use emulator::Emulator;
pub use error::{EmulatorError, TenantsError};
pub use lambda::{DeadLetter, InvokeError};
pub use s3::S3Server;
