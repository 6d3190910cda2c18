//! Which column of the file feeds which input of the model.
//!
//! Names decide wherever the model has them: an input of width 1 is the column of its name, or the
//! only column whose name an exporter would have turned into it. An input of several entries names
//! none; it takes the columns that are left over in the file's order, and the report lists them.

use crate::error::{CompileError, Remedy};
use crate::model::Column;
use cipherfn_protocol::specs::InputColumn;

#[cfg(test)]
mod tests;

/// What the developer says of a file's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSource {
    /// Columns that hold what the model should predict.
    pub targets: Vec<String>,
    /// Columns that are left out.
    pub dropped: Vec<String>,
    /// The columns that feed an input without names, in its order; empty for the file's order.
    pub order: Vec<String>,
}

/// Columns for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    /// One for each entry of each input.
    pub columns: Vec<InputColumn>,
    /// What to know about the match.
    pub notes: Vec<String>,
}

/// Names that people give to what they predict.
const TARGET_NAMES: [&str; 8] = [
    "target", "label", "y", "class", "outcome", "response", "price", "species",
];

/// Matches the columns in `header` with the model's inputs.
pub(super) fn match_with(
    source_name: &str,
    inputs: &[Column],
    header: &[String],
    source: &ColumnSource,
) -> Result<Matched, CompileError> {
    let said = [&source.targets, &source.dropped, &source.order];
    if let Some(unknown) = said
        .into_iter()
        .flatten()
        .find(|name| !header.contains(name))
    {
        return Err(CompileError::NoSuchColumn {
            source_name: source_name.into(),
            column: unknown.clone(),
            found: header.join(", "),
            remedy: misread(header).map(|(_, remedy)| remedy),
        });
    }
    let is_left_out =
        |name: &String| source.targets.contains(name) || source.dropped.contains(name);
    let free: Vec<&String> = header.iter().filter(|name| !is_left_out(name)).collect();
    // The only input of a graph is often called `X` or `input`: that names no column.
    let is_named = |input: &&Column| {
        let alike = |name: &&String| sanitised(name) == sanitised(&input.name);
        input.width == 1 && (inputs.len() > 1 || free.iter().any(alike))
    };
    let (named, unnamed): (Vec<&Column>, Vec<&Column>) = inputs.iter().partition(is_named);
    let mut matcher = Matcher {
        source_name,
        free: free.clone(),
        notes: Vec::new(),
    };
    let mut by_name = matcher.by_name(&named)?.into_iter();
    let mut by_position = matcher.by_position(&unnamed, &source.order)?.into_iter();
    let columns = inputs.iter().flat_map(|input| {
        let names: Vec<String> = if is_named(&input) {
            by_name.by_ref().take(1).collect()
        } else {
            by_position.by_ref().take(input.width).collect()
        };
        names.into_iter().map(|name| InputColumn {
            name,
            kind: input.kind,
            missing: input.missing,
        })
    });
    Ok(Matched {
        columns: columns.collect(),
        notes: matcher.notes,
    })
}

/// What exporters make of a name: `Age (years)` becomes `Age__years_`.
fn sanitised(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// A name without anything that an exporter may have replaced or dropped.
fn bare(name: &str) -> String {
    name.replace(|c: char| !c.is_alphanumeric(), "")
}

struct Matcher<'a> {
    source_name: &'a str,
    /// Columns of the file without an input, in its order.
    free: Vec<&'a String>,
    notes: Vec<String>,
}

impl Matcher<'_> {
    /// Columns for the inputs that have names, which are no longer free afterwards.
    fn by_name(&mut self, inputs: &[&Column]) -> Result<Vec<String>, CompileError> {
        let mut found: Vec<Option<String>> = vec![None; inputs.len()];
        let readings: [fn(&str) -> String; 3] = [str::to_owned, sanitised, bare];
        for (round, reading) in readings.into_iter().enumerate() {
            let open: Vec<String> = inputs
                .iter()
                .zip(&found)
                .filter(|(_, found)| found.is_none())
                .map(|(input, _)| reading(&input.name))
                .collect();
            for (input, found) in inputs.iter().zip(&mut found) {
                let key = reading(&input.name);
                let mut alike = self.free.iter().filter(|name| reading(name) == key);
                let (Some(name), None, None) = (alike.next().copied(), alike.next(), &found) else {
                    continue;
                };
                if open.iter().filter(|other| **other == key).count() > 1 {
                    continue;
                }
                if round > 0 {
                    self.notes.push(format!(
                        "the model's input {:?} is the column {name:?}, the only one whose name \
                         an exporter turns into it",
                        input.name
                    ));
                }
                *found = Some(name.clone());
            }
            self.free
                .retain(|name| !found.iter().flatten().any(|taken| taken == *name));
        }
        let missing: Vec<&str> = inputs
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(input, _)| input.name.as_str())
            .collect();
        if !missing.is_empty() {
            let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(self.mismatch(
                format!("the inputs {}", names.join(", ")),
                self.none_for(&missing),
                None,
            ));
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Columns for the inputs that have no names.
    fn by_position(
        &mut self,
        inputs: &[&Column],
        order: &[String],
    ) -> Result<Vec<String>, CompileError> {
        let wanted: usize = inputs.iter().map(|input| input.width).sum();
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = match order {
            [] => self.free.iter().map(ToString::to_string).collect(),
            order => order.to_vec(),
        };
        let unnamed = names.len();
        // Data frames write their index as a first column without a name.
        if names.len() > wanted {
            names.retain(|name| !name.is_empty());
        }
        if names.len() < unnamed {
            self.notes
                .push("the column without a name is left out".to_owned());
        }
        if names.len() != wanted {
            let inputs: Vec<_> = inputs
                .iter()
                .map(|input| format!("{:?} of {} entries", input.name, input.width))
                .collect();
            let (problem, remedy) = problem(&names, wanted);
            let model = format!("the input {}", inputs.join(" and "));
            return Err(self.mismatch(model, problem, remedy));
        }
        if wanted > 1 {
            let how = if order.is_empty() {
                "the file's order"
            } else {
                "the order given"
            };
            self.notes.push(format!(
                "the model names no features: columns feed them in {how}, which must be that of \
                 the training: {}",
                names.join(", ")
            ));
        }
        Ok(names)
    }

    /// Why inputs have no column: none is like them, or several are.
    fn none_for(&self, missing: &[&str]) -> String {
        let rivals = missing.iter().find_map(|input| {
            let alike = |name: &&&String| bare(name) == bare(input);
            let alike: Vec<&str> = self
                .free
                .iter()
                .filter(alike)
                .map(|name| name.as_str())
                .collect();
            (alike.len() > 1).then_some((input, alike))
        });
        match rivals {
            Some((input, alike)) => format!(
                "any of the columns {alike:?} may be the input {input:?}: rename them, or leave \
                 all but one out"
            ),
            None => format!("there is none for {}: rename columns", missing.join(", ")),
        }
    }

    fn mismatch(&self, model: String, problem: String, remedy: Option<Remedy>) -> CompileError {
        let found: Vec<&str> = self.free.iter().map(|name| name.as_str()).collect();
        let (problem, remedy) = match misread(&found) {
            Some((problem, remedy)) => (problem, Some(remedy)),
            None => (problem, remedy),
        };
        CompileError::Columns {
            source_name: self.source_name.into(),
            model,
            count: found.len(),
            found: found.join(", "),
            problem,
            remedy,
        }
    }
}

/// What a header shows of a table that is written in another way than it was read: names in one, or
/// a comment.
fn misread<S: AsRef<str>>(names: &[S]) -> Option<(String, Remedy)> {
    if let Some(mark) = cipherfn_table::comment(names) {
        let shown = char::from(mark);
        let problem = format!("its first line seems to be a comment, marked by {shown:?}");
        return Some((problem, Remedy::Comment { mark }));
    }
    let [only] = names else { return None };
    let mut separators = [b';', b'\t', b'|'].into_iter();
    let found = separators.find(|found| only.as_ref().contains(char::from(*found)))?;
    let problem = format!("{:?} seems to separate its columns", char::from(found));
    Some((problem, Remedy::Separator { found }))
}

/// What is wrong with columns that are too many or too few, and what helps.
fn problem(names: &[String], wanted: usize) -> (String, Option<Remedy>) {
    let is_target = |name: &&String| TARGET_NAMES.contains(&name.to_ascii_lowercase().as_str());
    match names.len().checked_sub(wanted) {
        None | Some(0) => ("add the missing columns".to_owned(), None),
        Some(1) => {
            let likely = names.iter().find(is_target).or(names.last());
            let column = likely.cloned().unwrap_or_default();
            (
                format!(
                    "one is too many: it may be {column:?}, if that is what the model predicts"
                ),
                Some(Remedy::NameTarget { column }),
            )
        }
        Some(more) => (
            format!("{more} are too many: what the model predicts, and others"),
            Some(Remedy::LeaveOut),
        ),
    }
}

/// Refuses a first line of numbers, unless they are the model's own names or count the columns.
pub(super) fn check_header(
    source_name: &str,
    inputs: &[Column],
    header: &[String],
) -> Result<(), CompileError> {
    let is_number = |name: &String| name.parse::<f64>().is_ok();
    let is_count = |name: &String| name.parse::<u32>().is_ok();
    let is_named = |input: &Column| header.contains(&input.name);
    let mut sorted = header.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let counts = header.iter().all(is_count) && sorted.len() == header.len();
    let names = if inputs.len() > 1 {
        inputs.iter().all(is_named)
    } else {
        counts
    };
    if !header.iter().all(is_number) || names {
        return Ok(());
    }
    Err(CompileError::NoHeader {
        source_name: source_name.into(),
    })
}
