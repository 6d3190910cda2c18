//! Wrong usage, which has an exit code of its own.

use crate::terminal;
use cipherfn_compiler::CompileError;
use std::process::ExitCode;
use std::{env, fmt};

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

/// Says what `clap` finds wrong with the command line, as JSON if that is on it, or shows the help
/// that was asked for.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    let json = env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit()
    }
    let text = error.render().to_string();
    let text = text.trim_start_matches("error: ");
    // What follows the first of these is about the whole command.
    let (text, help) = text.split_once("\n\nUsage: ").unwrap_or((text, ""));
    let help = words(help);
    terminal::error_json(&words(text), (!help.is_empty()).then_some(help.as_str()));
    CODE.into()
}

/// Text of several lines as one.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `error` is one of wrong usage.
pub(crate) fn is_usage(error: &anyhow::Error) -> bool {
    let compile = error.downcast_ref::<CompileError>();
    error.is::<Usage>() || compile.is_some_and(CompileError::is_usage)
}
