//! What the functions share: storage, tenants, configuration, telemetry, and problems over HTTP. No
//! cryptography.
//!
//! ```text
//!   event ──► run ──► Call (tenant, deadline, metrics, trace) ──► handler ──► Response or Problem
//!                                                                   │
//!                                  Registry: models and keys as documents, changed by compare-and-swap
//!                                                                   │
//!                                  Bucket: objects in S3, or in memory
//! ```
//!
//! A function's binary calls [`run()`] with its name and a handler; locally and deployed it is the
//! same loop over the same AWS SDK.

pub mod bucket;
pub mod config;
pub mod http;
pub mod registry;
mod run;
pub mod telemetry;
mod tenant;
mod workers;

pub use bucket::{S3, StorageError};
pub use registry::Registry;
pub use run::{Call, Failure, run, run_events};
pub use tenant::Tenant;
pub use workers::Workers;
