//! The service as it is deployed, on this machine: real function processes behind the emulator, a
//! real S3, and the client library.
//!
//! ```text
//!   client ──► Witness ──► emulator ──► function processes ──► (FaultProxy) ──► embedded S3
//!              every exchange is held to docs/openapi.json
//! ```

mod bootstraps;
mod bucket;
mod contract;
mod documents;
mod faults;
mod frames;
mod grants;
mod hostile;
mod jobs;
mod limits;
mod live;
mod load;
mod models;
mod pages;
mod races;
mod round_trip;
mod scores;
mod stack;
mod statements;
mod tables;
mod tenants;
mod uploads;
mod versions;
mod wire;
mod witness;
