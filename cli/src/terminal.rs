//! What people and programs see: tables, JSON, notices, progress, sizes and times.

use crate::remedies;
use anyhow::Result;
pub(crate) use cipherfn_report::quantity::{bytes, seconds, significant};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;
use time::OffsetDateTime;

/// Form of a command's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text and tables.
    Text,
    /// One JSON document.
    Json,
}

/// Width of texts for people.
const COLUMNS: usize = 100;

/// What standard error is told: set once, as remarks come from everywhere.
#[derive(Clone, Copy, Debug)]
struct Remarks {
    form: Form,
    quiet: bool,
}

static REMARKS: OnceLock<Remarks> = OnceLock::new();
/// All progress bars, so that a remark does not break into one.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Where results go: standard output, unless a command's data goes there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    form: Form,
    quiet: bool,
    stdout_is_taken: bool,
}

impl Terminal {
    /// Results in `form`, and remarks too; the latter not at all if `quiet`.
    pub(crate) fn new(form: Form, quiet: bool) -> Self {
        let _ = REMARKS.set(Remarks { form, quiet });
        Self {
            form,
            quiet,
            stdout_is_taken: false,
        }
    }

    /// Leaves standard output to the data if `taken`: results then go to standard error.
    #[must_use]
    pub(crate) const fn beside_data(self, taken: bool) -> Self {
        Self {
            stdout_is_taken: taken,
            ..self
        }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(self) -> bool {
        self.form == Form::Json
    }

    /// Whether summaries are left out.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet && !self.is_json()
    }

    /// Writes a result: `value` as JSON, or `text`.
    pub(crate) fn report(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        let text = match self.form {
            Form::Json => escaped(&serde_json::to_string_pretty(value)?),
            Form::Text if self.has_colours() => coloured(&printable(&text())),
            Form::Text => printable(&text()),
        };
        self.write(text.trim_end())
    }

    /// Writes what a command has done, whose result is a file. Quiet asks for no such text.
    pub(crate) fn summary(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.is_quiet() {
            return Ok(());
        }
        self.report(value, text)
    }

    /// Whether results go to a terminal that has colours, and whose user has not asked for none
    /// (<https://no-color.org>).
    fn has_colours(self) -> bool {
        let terminal = if self.stdout_is_taken {
            io::stderr().is_terminal()
        } else {
            io::stdout().is_terminal()
        };
        let told = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = told("TERM").is_some_and(|term| term == "dumb");
        terminal && !is_dumb && told("NO_COLOR").is_none()
    }

    /// Writes text to where results go.
    fn write(self, text: &str) -> Result<()> {
        if self.stdout_is_taken {
            writeln!(io::stderr(), "{text}")?;
        } else {
            let mut out = io::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()?;
        }
        Ok(())
    }

    /// Progress through `len` units, drawn on standard error if that is a terminal.
    pub(crate) fn progress(self, len: Option<u64>, unit: Unit, what: &'static str) -> ProgressBar {
        if self.is_json() || self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = len.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let bar = BARS.add(bar);
        let template = match (len, unit) {
            (None, _) => "{prefix} {spinner} {elapsed} {msg}",
            (Some(_), Unit::Bytes) => "{prefix} [{bar:30}] {bytes}/{total_bytes} {eta} {msg}",
            (Some(_), Unit::Steps) => "{prefix} [{bar:30}] {pos}/{len} {msg}",
            (Some(_), Unit::Rows) => "{prefix} [{bar:30}] {pos}/{len} rows {eta} {msg}",
        };
        bar.set_style(
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Reads `input` under a progress bar.
    pub(crate) fn watch(
        self,
        input: Box<dyn Read + Send>,
        len: Option<u64>,
        what: &'static str,
    ) -> (impl Read + Send, ProgressBar) {
        let bar = self.progress(len, Unit::Bytes, what);
        (bar.wrap_read(input), bar)
    }
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of an input.
    Bytes,
    /// Rows of a table.
    Rows,
    /// Steps of a demonstration.
    Steps,
}

/// A remark on standard error, which `--quiet` silences.
pub(crate) fn notice(text: &str) {
    if !REMARKS.get().is_some_and(|remarks| remarks.quiet) {
        remark("note", text);
    }
}

/// A warning on standard error.
pub(crate) fn warning(text: &str) {
    remark("warning", text);
}

fn remark(kind: &str, text: &str) {
    match REMARKS.get().map(|remarks| remarks.form) {
        Some(Form::Json) => say(&serde_json::json!({ kind: text }).to_string()),
        _ => say(&format!("{kind}: {text}")),
    }
}

/// A line that another process wrote.
pub(crate) fn log(process: &str, line: &str) {
    match REMARKS.get().map(|remarks| remarks.form) {
        Some(Form::Json) => {
            say(&serde_json::json!({ "process": process, "log": line }).to_string());
        }
        _ => say(&format!("{process}: {line}")),
    }
}

/// Writes a line to standard error. That nobody listens is no failure.
fn say(text: &str) {
    BARS.suspend(|| {
        let _ = writeln!(io::stderr(), "{}", printable(text));
    });
}

/// Text without what a terminal would obey: parts of it may come from a file or a service.
pub(crate) fn printable(text: &str) -> String {
    text.replace(
        |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t'),
        " ",
    )
}

/// JSON whose strings have no control characters left: JSON itself demands it of the first 32 alone,
/// and a terminal obeys those from U+0080 on as well.
fn escaped(json: &str) -> String {
    json.chars()
        .fold(String::new(), |text, letter| match letter {
            '\u{7f}'..='\u{9f}' => format!("{text}\\u{:04x}", u32::from(letter)),
            _ => text + letter.encode_utf8(&mut [0; 4]),
        })
}

/// Text whose lines that begin with the sign of a mark have its colour there.
fn coloured(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let colour = match line.chars().next() {
            Some('✓') => "32",
            Some('!') => "33",
            Some('✗') => "31",
            _ => return line.to_owned(),
        };
        let sign = line.chars().next().map_or(0, char::len_utf8);
        format!(
            "\u{1b}[{colour}m{}\u{1b}[0m{}",
            &line[..sign],
            &line[sign..]
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Text of at most 100 columns: longer lines go on below where their values start, 12 columns in,
/// or 4 in where they are indented themselves.
pub(crate) fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = if line.starts_with("  ") && !line.starts_with("   ") {
            4
        } else {
            12
        };
        let mut rest = line.to_owned();
        while rest.chars().count() > COLUMNS {
            let end = rest
                .char_indices()
                .nth(COLUMNS)
                .map_or(rest.len(), |(at, _)| at);
            // A word that is longer than a line stays whole.
            let start = rest.len() - rest.trim_start().len();
            let Some(space) = rest[start..end]
                .rfind(' ')
                .map(|at| start + at)
                .filter(|at| *at > indent)
            else {
                break;
            };
            lines.push(rest[..space].trim_end().to_owned());
            rest = format!("{:indent$}{}", "", rest[space..].trim_start());
        }
        lines.push(rest);
    }
    lines.join("\n")
}

/// A table without rules, numbers (every column but the first) to the right.
pub(crate) fn table(header: Vec<String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Names and values below each other.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let facts: Vec<_> = facts.into_iter().collect();
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> = facts
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .collect();
    lines.join("\n")
}

/// `2026-11-25 14:30 UTC`.
pub(crate) fn date(time: OffsetDateTime) -> String {
    let (date, time) = (time.date(), time.time());
    format!("{date} {:02}:{:02} UTC", time.hour(), time.minute())
}

/// An error with its causes; one that the text before it already tells is not repeated.
fn explain(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            told if told.contains(&cause) => text,
            told => format!("{told}: {cause}"),
        }
    })
}

/// An error on standard error, with its causes.
pub(crate) fn error(terminal: Terminal, error: &anyhow::Error) {
    let text = explain(error);
    let advice = remedies::advice(error);
    if terminal.is_json() {
        error_json(&text, advice.as_deref());
    } else {
        say(&format!("error: {text}"));
        if let Some(advice) = advice {
            say(&format!("help: {advice}"));
        }
    }
}

/// An error as a JSON document.
pub(crate) fn error_json(text: &str, help: Option<&str>) {
    let value = match help {
        Some(help) => serde_json::json!({ "error": text, "help": help }),
        None => serde_json::json!({ "error": text }),
    };
    say(&escaped(&value.to_string()));
}

#[cfg(test)]
mod tests {
    use super::{coloured, escaped, printable, wrapped};

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "a\u{1b}[2J\u{9b}2J\u{7f}\u{85}\u{7}é";
        let json = escaped(&serde_json::to_string_pretty(&[hostile]).unwrap());
        assert!(
            !json.replace('\n', "").contains(char::is_control),
            "{json:?}"
        );
        let read: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, [hostile]);
        assert_eq!(printable(hostile), "a [2J 2J   é");
    }

    #[test]
    fn long_lines_go_on_below_their_values() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let long = format!(
            "note        {}",
            "seven words that make a long line ".repeat(9)
        );
        let advice = format!("  {}", "--features grid:6 and more ".repeat(9));
        for (text, indent) in [(&long, 12), (&advice, 4)] {
            let found = wrapped(text);
            assert!(
                found.lines().all(|line| line.chars().count() <= 100),
                "{found}"
            );
            let second = found.lines().nth(1).unwrap();
            assert_eq!(second.len() - second.trim_start().len(), indent);
            assert_eq!(words(&found), words(text));
        }
        // What cannot be broken, and what need not be, stays as it is.
        let word = format!("note        {}", "é".repeat(300));
        for text in [word.as_str(), "short", "", "a\n\nb"] {
            assert_eq!(wrapped(text), text);
        }
    }

    #[test]
    fn marks_have_colours_and_the_rest_has_none() {
        assert_eq!(
            coloured("✓ time\nx ✓\n✗ y"),
            "\u{1b}[32m✓\u{1b}[0m time\nx ✓\n\u{1b}[31m✗\u{1b}[0m y"
        );
    }
}
