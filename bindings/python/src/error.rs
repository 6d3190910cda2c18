//! Errors as exceptions of `cipherfn.errors`, with the remedy in words of Python.

use cipherfn_circuit::Bundle;
use cipherfn_client::{ClientError, Remedy, RowError};
use cipherfn_client_http::{KeyRingError, ServiceError};
use cipherfn_compiler::CompileError;
use cipherfn_engine::EngineError;
use cipherfn_scheme::SchemeError;
use cipherfn_serving::ModelError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::error::Error;

/// Why something could not be done, before it is an exception.
#[derive(Debug)]
pub(crate) enum Failure {
    Client(ClientError),
    Compile(Box<CompileError>),
    KeyRing(Box<KeyRingError>),
    Service(Box<ServiceError>),
    /// A table that cannot be read.
    Table(String),
    /// A value of an argument that means nothing.
    Argument(String),
    /// A bundle, key or circuit.
    Other(String),
    /// What a module says itself: the exception's class, its message, and what to do.
    Named {
        class: &'static str,
        message: String,
        remedy: Option<String>,
    },
    /// An exception of a function that was called.
    Python(PyErr),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// An error as an exception of a class.
    pub(crate) fn named(class: &'static str, error: &dyn Error, remedy: Option<String>) -> Self {
        Self::Named {
            class,
            message: chain(error),
            remedy,
        }
    }

    /// The exception's class, and what to do.
    fn class(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Client(error) => {
                let class = match error {
                    ClientError::MissingColumns { .. } | ClientError::ColumnType { .. } => {
                        "TableError"
                    }
                    ClientError::KeySet { .. } | ClientError::OtherKey { .. } => "KeysError",
                    _ => "CipherfnError",
                };
                (class, error.remedy().as_ref().and_then(words))
            }
            Self::Compile(error) => {
                let class = match **error {
                    CompileError::Disagreement { .. } | CompileError::Incomparable { .. } => {
                        "WrongExportError"
                    }
                    _ => "CompileError",
                };
                (class, error.remedy().and_then(compile_words))
            }
            Self::KeyRing(error) => {
                let class = match **error {
                    KeyRingError::Trust(_) => "TrustError",
                    _ => "KeysError",
                };
                (class, error.remedy().as_ref().and_then(words))
            }
            Self::Service(error) => {
                let class = match **error {
                    ServiceError::KeyRing(ref own) if matches!(**own, KeyRingError::Trust(_)) => {
                        "TrustError"
                    }
                    ServiceError::KeyRing(_) => "KeysError",
                    ServiceError::Unreachable { .. } => "UnreachableError",
                    _ => "ServiceError",
                };
                (class, error.remedy().as_ref().and_then(words))
            }
            Self::Named { class, remedy, .. } => (class, remedy.clone()),
            Self::Table(_) => ("TableError", None),
            Self::Argument(_) => ("ArgumentError", None),
            Self::Other(_) | Self::Python(_) => ("CipherfnError", None),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Client(error) => chain(error),
            // Options have the names that Python gives them.
            Self::Compile(error) => match &**error {
                CompileError::Option {
                    option,
                    found,
                    expected,
                } => format!("{} is {found}; give {expected}", option.replace('-', "_")),
                error => chain(error),
            },
            Self::KeyRing(error) => chain(&**error),
            Self::Service(error) => chain(&**error),
            Self::Table(text)
            | Self::Argument(text)
            | Self::Other(text)
            | Self::Named { message: text, .. } => text.clone(),
            Self::Python(error) => error.to_string(),
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        if let Failure::Python(error) = failure {
            return error;
        }
        let (class, remedy) = failure.class();
        let message = failure.message();
        Python::attach(|py| {
            let made = || {
                let class = py.import("cipherfn.errors")?.getattr(class)?;
                let remedy_of = PyDict::new(py);
                remedy_of.set_item("remedy", remedy)?;
                class.call((message,), Some(&remedy_of))
            };
            made().map_or_else(|error| error, Self::from_value)
        })
    }
}

macro_rules! from {
    ($error:ty, $variant:ident, boxed) => {
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    };
    ($error:ty, other) => {
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Other(chain(&error))
            }
        }
    };
}
from!(CompileError, Compile, boxed);
from!(KeyRingError, KeyRing, boxed);
from!(ServiceError, Service, boxed);
from!(EngineError, other);
from!(SchemeError, other);
from!(ModelError, other);
from!(RowError, other);

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// An error and its causes, as far as they are not in its own words.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// A remedy as Python.
fn words(remedy: &Remedy) -> Option<String> {
    Some(match remedy {
        Remedy::FetchSpecs => {
            "call Client.predict again: it fetches the specs; with a bundle, cipherfn.load it anew"
                .to_owned()
        }
        Remedy::CompileAnew => {
            "use the release that compiled the model, or cipherfn.compile it again".to_owned()
        }
        Remedy::CompileSmallerKey => "cipherfn.compile(..., profile=\"compact\")".to_owned(),
        Remedy::CompileSmallerQuery => "cipherfn.compile(..., profile=\"balanced\")".to_owned(),
        Remedy::MakeKeys { .. } => {
            "give another folder as keys=: it is filled with keys of that set".to_owned()
        }
        Remedy::RegisterKey { .. } => {
            "Client.register(model) does it, and Client.predict where a key is missing".to_owned()
        }
        Remedy::DeleteKey { key } => {
            format!("Client.keys() lists what you have registered, Client.delete_key(\"{key}\") deletes one")
        }
        Remedy::UseKeysOfQuery { .. } => "give the folder of that key as keys=".to_owned(),
        Remedy::ReplaceKeys => "give a new folder as keys=".to_owned(),
        Remedy::Restrict { path } => format!("os.chmod({path:?}, 0o700) for a folder, 0o600 for a file"),
        Remedy::ListModels => "Client.models() lists those that it has".to_owned(),
        Remedy::RenameColumns { names } => {
            format!("df.rename(columns={{...: {:?}}}), or add what is missing", names.first()?)
        }
        Remedy::AcceptSpecs => {
            "ask the developer; then Client(..., trust=KEY) takes specs that this key has signed, trust=\"offered\" those that the service has".to_owned()
        }
        Remedy::TryAgain => "the same call again, later".to_owned(),
        _ => return None,
    })
}

/// A remedy as arguments of `cipherfn.compile`.
fn compile_words(remedy: &cipherfn_compiler::Remedy) -> Option<String> {
    use cipherfn_compiler::Remedy;
    Some(match remedy {
        Remedy::NameTarget { column } => {
            format!("drop column {column:?} from X, and give it as y if the model predicts it")
        }
        Remedy::LeaveOut => "drop the columns from X that are no input of the model".to_owned(),
        Remedy::Order { columns } => format!("X = X[{columns:?}] puts them in order"),
        Remedy::FinerGrid { bits } => format!(
            "features=\"grid:{bits}\" or features=\"exact\"; min_agreement=PERCENT allows other labels"
        ),
        Remedy::MorePrecision { than } => {
            format!("precision above {than:.1}, if the model reaches more; min_agreement=PERCENT allows other labels")
        }
        Remedy::LessPrecision { best, keyless } => {
            let other = if *keyless {
                ", or profile=\"keyless\""
            } else {
                ""
            };
            format!("precision={best:.1} or less{other}")
        }
        _ => return None,
    })
}

/// A bundle's bytes.
pub(crate) fn read_bundle(bytes: &[u8]) -> Result<Bundle> {
    Ok(cipherfn_engine::bundle::read(bytes)?)
}
