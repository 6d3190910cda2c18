//! Why an emulator does not start.

use std::io;
use std::path::PathBuf;

/// Why an emulator does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The data directory cannot be used.
    #[error("cannot use {path} for the embedded S3: {source}; choose a directory that can be written", path = path.display())]
    Data {
        /// File or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the data directory.
    #[error("{path} is in use by another emulator; stop it or choose another directory", path = path.display())]
    InUse {
        /// Data directory.
        path: PathBuf,
    },
    /// The credentials file is damaged.
    #[error("{path} is not an access key file; delete it to get a new key", path = path.display())]
    Credentials {
        /// Credentials file.
        path: PathBuf,
    },
    /// The bucket's name is not one.
    #[error("{0:?} is not a bucket name: 3 to 63 lower-case letters, digits, `-` and `.`")]
    Bucket(String),
    /// A port is taken.
    #[error(
        "cannot listen on 127.0.0.1:{port}: {source}; choose another port, or 0 for a free one"
    )]
    Listen {
        /// Port asked for.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// A function's description is wrong.
    #[error("function {name:?}: {problem}")]
    Function {
        /// Function.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A route is wrong.
    #[error("route {method} {path}: {problem}")]
    Route {
        /// Method of the route.
        method: String,
        /// Path of the route.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is wrong with a tenants file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenantsError {
    /// Not the expected JSON.
    #[error(
        "not a tenants file: {0}; expected {{\"tenants\": [{{\"name\": \"alice\", \"token\": \"...\"}}]}}"
    )]
    Json(#[from] serde_json::Error),
    /// No tenant at all.
    #[error("the tenants file has no tenants")]
    Empty,
    /// An entry has a bad field.
    #[error("tenant {entry} ({name:?}): `{field}` {problem}")]
    Field {
        /// Position, from 1.
        entry: usize,
        /// Name given.
        name: String,
        /// Field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}
