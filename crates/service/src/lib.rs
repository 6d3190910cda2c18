//! What the functions share: storage, tenants, configuration, telemetry, and problems over HTTP. No
//! cryptography.
//!
//! ```text
//!   event ──► run ──► Call (tenant, deadline, metrics, trace) ──► handler ──► Response or Problem
//!                                                                   │
//!                                             Store: models/  keys/  quarantine/  (S3)
//! ```
//!
//! A function's binary calls [`run()`] with its name and a handler; locally and deployed it is the
//! same loop over the same AWS SDK.

pub mod config;
pub mod http;
mod run;
pub mod store;
pub mod telemetry;
mod tenant;

pub use run::{Call, Failure, run};
pub use store::{Store, StoreError};
pub use tenant::Tenant;
