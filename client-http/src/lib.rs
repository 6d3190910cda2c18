//! The client over HTTP, and its key ring in files: what the core crate `cipherfn-client` leaves
//! out because it reads no files and opens no connections.
//!
//! [`KeyRing`] keeps one secret key and parts of its evaluation key a parameter set in a directory.
//! [`Service`] registers the parts once and sends rows in as many requests as it takes.

mod error;
mod keyring;
mod service;
mod unfinished;

pub use error::KeyRingError;
pub use keyring::{
    Directory, Existing, Filled, KeptTraining, KeyPartFile, KeyRing, KnownQuery, Made, Refused,
    State,
};
pub use service::{
    Authentication, Bulk, BulkDone, BulkExpectation, BulkPass, BulkProgress, BulkReport, Fetched,
    FetchedProgram, FetchedScore, FetchedTable, GoingOn, ManifestError, OwnSums, ParseTokenError,
    Registered, Retry, RetryListener, Retrying, RowsName, RowsUpload, SameTraining, Service,
    ServiceError, ServiceOptions, Skew, Timeouts, Token, Uploaded, UploadedRows, public_key_hash,
};
pub use unfinished::{Readers, unfinished_file};
