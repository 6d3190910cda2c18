//! Wrong usage, which has an exit code of its own.

use cipherfn_compiler::CompileError;
use std::fmt;

/// Exit code of wrong usage, as `clap` has it.
pub(crate) const CODE: u8 = 2;

/// Arguments that make no sense, or not beside each other: nothing was tried.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Returns with an error of wrong usage.
macro_rules! bail_usage {
    ($($words:tt)*) => {
        return Err(anyhow::Error::new($crate::usage::Usage(format!($($words)*))))
    };
}
pub(crate) use bail_usage;

/// Whether `error` is one of wrong usage.
pub(crate) fn is_usage(error: &anyhow::Error) -> bool {
    let compile = error.downcast_ref::<CompileError>();
    error.is::<Usage>() || compile.is_some_and(CompileError::is_usage)
}
