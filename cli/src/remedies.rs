//! What to do about an error, in the words of the command line: the libraries only say which
//! remedy there is, as their callers may be in Python or in a browser.

use cipherfn_client::{ClientError, Remedy};
use cipherfn_client_http::{KeyRingError, ServiceError};
use cipherfn_compiler::CompileError;
use cipherfn_protocol::specs::SpecsError;
use cipherfn_serving::QueryError;
use cipherfn_table::{Hint, TableError};

/// What helps against the first cause of `error` that anything helps against.
pub(crate) fn advice(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let remedy = None
            .or_else(|| cause.downcast_ref::<ServiceError>()?.remedy())
            .or_else(|| cause.downcast_ref::<KeyRingError>()?.remedy())
            .or_else(|| cause.downcast_ref::<ClientError>()?.remedy());
        let compiling = cause.downcast_ref().and_then(CompileError::remedy);
        match (remedy, cause.downcast_ref()) {
            (Some(remedy), _) => words(&remedy),
            (None, _) if compiling.is_some() => compiling.and_then(compile_words),
            (None, Some(TableError::DecimalComma { .. })) => Some("use --decimal-comma".to_owned()),
            (None, Some(TableError::MissingColumns { hint, .. })) => hint_words(hint),
            (None, _) => {
                let other_specs =
                    matches!(cause.downcast_ref(), Some(QueryError::OtherSpecs { .. }));
                (other_specs || cause.is::<SpecsError>())
                    .then(|| words(&Remedy::FetchSpecs))
                    .flatten()
            }
        }
    })
}

/// A remedy as commands and options.
fn words(remedy: &Remedy) -> Option<String> {
    let text = match remedy {
        Remedy::FetchSpecs => {
            "`cipherfn specs BUNDLE -o SPECS` writes them; `cipherfn predict --service` fetches them"
        }
        Remedy::CompileAnew => {
            "use the release that compiled the model, or `cipherfn compile` again"
        }
        Remedy::CompileSmallerKey => "`cipherfn compile --profile compact` makes a smaller one",
        Remedy::CompileSmallerQuery => "`cipherfn compile --profile balanced` makes a smaller one",
        Remedy::MakeKeys { .. } => {
            "to decrypt, name the directory of the keys that encrypted; new ones are made by `cipherfn keygen SPECS -o KEYS`, another directory takes those of another set"
        }
        Remedy::RegisterKey { .. } => {
            "`cipherfn register --service URL --model NAME --keys KEYS` does it"
        }
        Remedy::DeleteKey { .. } => {
            "`cipherfn keys --service URL` lists the keys that you have registered, `--delete ID` deletes one"
        }
        Remedy::UseKeysOfQuery { .. } => "name its directory with --keys",
        Remedy::ReplaceKeys => "`cipherfn keygen SPECS -o KEYS --force` replaces all of them",
        Remedy::Restrict { path } => return Some(format!("`chmod go-rwx {path}` does it")),
        Remedy::AcceptSpecs => {
            "ask the developer; then --trust KEY takes specs that this key has signed, --accept-specs those that the service has"
        }
        Remedy::ListModels => "`cipherfn models --service URL` lists those that it has",
        _ => return None,
    };
    Some(text.to_owned())
}

/// What a header shows, as options of every command that reads a table.
fn hint_words(hint: &Hint) -> Option<String> {
    match hint {
        Hint::Separator(found) => Some(separator_words(*found)),
        Hint::Comment(mark) => Some(format!("--comment '{}' skips it", char::from(*mark))),
        _ => None,
    }
}

fn separator_words(found: u8) -> String {
    format!(
        "--separator '{}' reads it",
        char::from(found).escape_default()
    )
}

/// A remedy as options of `cipherfn compile`.
fn compile_words(remedy: &cipherfn_compiler::Remedy) -> Option<String> {
    use cipherfn_compiler::Remedy;
    Some(match remedy {
        Remedy::NameTarget { column } => format!(
            "--target {column:?} if the model predicts it; --drop COLUMN for one that is no input"
        ),
        Remedy::Separator { found } => separator_words(*found),
        Remedy::Comment { mark } => {
            format!("--comment '{}' skips it", char::from(*mark))
        }
        Remedy::LeaveOut => {
            "--target COLUMN for what the model predicts, --drop COLUMN for each that is no input"
                .to_owned()
        }
        Remedy::Order { columns } => format!("--columns {:?} does it", columns.join(",")),
        Remedy::FinerGrid { bits } => format!(
            "--features grid:{bits} or --features exact; --min-agreement PERCENT allows other labels"
        ),
        Remedy::MorePrecision { than } => format!(
            "--precision above the {than:.1} bits of now, if the model reaches more; --min-agreement PERCENT allows other labels"
        ),
        Remedy::LessPrecision { best, keyless } => {
            let other = if *keyless {
                ", or --profile keyless"
            } else {
                ""
            };
            if *best >= 1.0 {
                format!("--precision {best:.1} or less{other}")
            } else {
                format!("leave --precision out{other}")
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::advice;
    use anyhow::Context;
    use cipherfn_client::ClientError;

    #[test]
    fn a_remedy_is_found_under_other_words() {
        let error: anyhow::Result<()> = Err(ClientError::KeySet {
            found: "one",
            needed: "another",
        })
        .context("while predicting");
        let advice = advice(&error.unwrap_err()).unwrap();
        assert!(advice.contains("cipherfn keygen"), "{advice}");
        assert_eq!(super::advice(&anyhow::anyhow!("no idea")), None);
    }
}
