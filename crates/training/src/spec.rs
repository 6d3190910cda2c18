//! What is summed: columns with their ranges, a target, and room for so many rows.

use crate::contribution::MAX_WORDS;
use crate::error::TrainingError;
use crate::layout::Layout;
use cipherfn_protocol::hash::Hash;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Most rows of all owners together.
const MAX_ROWS: u64 = 1 << 30;
/// Most numeric columns: their products are 500 500 / 2 numbers.
const MAX_NUMBERS: usize = 500;
/// Most listed values of a column.
const MAX_CATEGORIES: usize = 1000;

/// The field of a document that is read first: later formats may have other ones.
#[derive(Deserialize)]
pub(crate) struct Version {
    format: u16,
}

impl Version {
    /// That this build reads the format.
    pub(crate) fn require(&self) -> Result<(), TrainingError> {
        match self.format {
            1 => Ok(()),
            found => Err(TrainingError::Format { found }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecV1 {
    format: u16,
    name: String,
    rows: u64,
    column: Vec<ColumnV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<ColumnV1>,
}

/// A column has either a range or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnV1 {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) low: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) high: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) categories: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) classes: Option<Vec<String>>,
}

/// A column of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericColumn {
    /// Header name.
    pub name: String,
    /// Least value; smaller ones count as this.
    pub low: f64,
    /// Largest value; larger ones count as this.
    pub high: f64,
}

impl NumericColumn {
    /// Middle of the range.
    pub fn middle(&self) -> f64 {
        self.low.midpoint(self.high)
    }

    /// Whether a value is in the range, its ends included: scaling rounds, and would have some of them
    /// outside.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Half of the range's length.
    pub fn half(&self) -> f64 {
        self.high / 2.0 - self.low / 2.0
    }
}

/// A column of listed texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoricalColumn {
    /// Header name.
    pub name: String,
    /// What its cells can be.
    pub categories: Vec<String>,
}

/// What is to be predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing.
    None,
    /// A number.
    Number(NumericColumn),
    /// A class.
    Class(CategoricalColumn),
}

/// A checked spec. It is public, and the same for all owners.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsSpec {
    name: String,
    rows: u64,
    numbers: Vec<NumericColumn>,
    categories: Vec<CategoricalColumn>,
    target: Target,
    /// The document, field by field in one order, whatever its order and white space were.
    canonical: Vec<u8>,
}

/// What tells specs of statistics from those of other trainings, which name an algorithm and have no room.
#[derive(Deserialize)]
struct AlgorithmField {
    #[serde(rename = "rows")]
    _rows: IgnoredAny,
    algorithm: Option<IgnoredAny>,
}

impl StatisticsSpec {
    /// Reads a TOML document.
    ///
    /// # Errors
    /// Text that is no spec, with the field at fault.
    pub fn from_toml(text: &str) -> Result<Self, TrainingError> {
        let version: Version = toml::from_str(text).map_err(TrainingError::Document)?;
        version.require()?;
        Self::check(toml::from_str(text).map_err(TrainingError::Document)?)
    }

    /// Whether a TOML document is meant as one.
    pub fn is_spec(text: &str) -> bool {
        toml::from_str(text).is_ok_and(|kind: AlgorithmField| kind.algorithm.is_none())
    }

    /// Whether a program, JSON, is meant as one.
    pub fn is_program(bytes: &[u8]) -> bool {
        serde_json::from_slice(bytes).is_ok_and(|kind: AlgorithmField| kind.algorithm.is_none())
    }

    /// Reads a spec as it is published, JSON.
    ///
    /// # Errors
    /// Bytes that are no spec, with the field at fault.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TrainingError> {
        let version: Version = serde_json::from_slice(bytes).map_err(TrainingError::Program)?;
        version.require()?;
        Self::check(serde_json::from_slice(bytes).map_err(TrainingError::Program)?)
    }

    fn check(document: SpecV1) -> Result<Self, TrainingError> {
        let canonical = serde_json::to_vec(&document)
            .map_err(|error| TrainingError::field("document", error.to_string()))?;
        if !(1..=MAX_ROWS).contains(&document.rows) {
            let problem = format!("\"rows\" is {}, not from 1 to {MAX_ROWS}", document.rows);
            return Err(TrainingError::field("document", problem));
        }
        let mut names = HashSet::new();
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for column in &document.column {
            let place = format!("column {:?}", column.name);
            unique(&mut names, column, &place)?;
            if column.classes.is_some() {
                let problem = "\"classes\" is for the target; a column has \"categories\"";
                return Err(TrainingError::field(place, problem));
            }
            match &column.categories {
                Some(listed) => categories.push(list(column, listed, &place)?),
                None => numbers.push(range(column, &place, Some("categories"))?),
            }
        }
        let target = match &document.target {
            None => Target::None,
            Some(column) => {
                let place = format!("target {:?}", column.name);
                unique(&mut names, column, &place)?;
                if column.categories.is_some() {
                    let problem = "a target has \"classes\" where a column has \"categories\"";
                    return Err(TrainingError::field(place, problem));
                }
                match &column.classes {
                    Some(listed) => Target::Class(list(column, listed, &place)?),
                    None => Target::Number(range(column, &place, Some("classes"))?),
                }
            }
        };
        if numbers.len() > MAX_NUMBERS {
            let problem = format!(
                "there are {} numeric columns, at most {MAX_NUMBERS} can be summed",
                numbers.len()
            );
            return Err(TrainingError::field("document", problem));
        }
        if numbers.is_empty() && categories.is_empty() {
            return Err(TrainingError::field("document", "there are no columns"));
        }
        if !categories.is_empty() && !matches!(target, Target::Class(_)) {
            let problem = "columns with \"categories\" need a target with \"classes\"; give their indicators as numeric columns instead";
            return Err(TrainingError::field("document", problem));
        }
        let spec = Self {
            name: document.name,
            rows: document.rows,
            numbers,
            categories,
            target,
            canonical,
        };
        let sums = Layout::of(&spec).len();
        if sums > MAX_WORDS {
            let problem = format!(
                "{} classes and these columns are {sums} sums, at most {MAX_WORDS} fit a contribution; list fewer \"classes\" or \"categories\", or leave columns out",
                spec.classes()
            );
            return Err(TrainingError::field("document", problem));
        }
        Ok(spec)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Most rows of all owners together.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns of numbers, without the target.
    pub fn numbers(&self) -> &[NumericColumn] {
        &self.numbers
    }

    /// Columns of listed texts, without the target.
    pub fn categories(&self) -> &[CategoricalColumn] {
        &self.categories
    }

    /// What is to be predicted.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Every numeric column, a numeric target last.
    pub fn summed(&self) -> impl ExactSizeIterator<Item = &NumericColumn> {
        let target = match &self.target {
            Target::Number(column) => std::slice::from_ref(column),
            Target::None | Target::Class(_) => &[],
        };
        let all: Vec<_> = self.numbers.iter().chain(target).collect();
        all.into_iter()
    }

    /// Classes of the target; one for all rows where it has none.
    pub fn classes(&self) -> usize {
        match &self.target {
            Target::Class(column) => column.categories.len(),
            Target::None | Target::Number(_) => 1,
        }
    }

    /// Hash of everything in it: contributions carry it.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.canonical)
    }

    /// As it is published: bytes whose hash is the spec's.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }
}

pub(crate) fn unique<'a>(
    names: &mut HashSet<&'a str>,
    column: &'a ColumnV1,
    place: &str,
) -> Result<(), TrainingError> {
    if column.name.is_empty() {
        let problem = "its \"name\" is empty; give the name that the table's header has";
        return Err(TrainingError::field(place, problem));
    }
    if names.insert(&column.name) {
        return Ok(());
    }
    Err(TrainingError::field(place, "another column has this name"))
}

pub(crate) fn list(
    column: &ColumnV1,
    listed: &[String],
    place: &str,
) -> Result<CategoricalColumn, TrainingError> {
    if column.low.is_some() || column.high.is_some() {
        let problem = "it has a list and a range; give one of them";
        return Err(TrainingError::field(place, problem));
    }
    let distinct: HashSet<&String> = listed.iter().collect();
    if distinct.len() != listed.len() {
        return Err(TrainingError::field(place, "a value is listed twice"));
    }
    if !(2..=MAX_CATEGORIES).contains(&listed.len()) {
        let problem = format!(
            "it lists {} values, not from 2 to {MAX_CATEGORIES}",
            listed.len()
        );
        return Err(TrainingError::field(place, problem));
    }
    Ok(CategoricalColumn {
        name: column.name.clone(),
        categories: listed.to_vec(),
    })
}

/// The column's range. `list` is what it may have instead.
pub(crate) fn range(
    column: &ColumnV1,
    place: &str,
    list: Option<&str>,
) -> Result<NumericColumn, TrainingError> {
    let (Some(low), Some(high)) = (column.low, column.high) else {
        let instead = list.map(|list| format!(", or \"{list}\""));
        let instead = instead.unwrap_or_default();
        let problem = format!("give \"low\" and \"high\"{instead}");
        return Err(TrainingError::field(place, problem));
    };
    // A length that is no finite number is none either.
    if !(low < high && (high - low).is_finite()) {
        let problem = format!("its range is {low:?} to {high:?}; \"low\" must be below \"high\"");
        return Err(TrainingError::field(place, problem));
    }
    Ok(NumericColumn {
        name: column.name.clone(),
        low,
        high,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{NumericColumn, StatisticsSpec, Target};

    /// Of two numeric columns and a target.
    pub(crate) fn spec(target: &str) -> StatisticsSpec {
        let text = format!(
            "format = 1\nname = \"t\"\nrows = 1000\n[[column]]\nname = \"a\"\nlow = 0\nhigh = 10\n[[column]]\nname = \"b\"\nlow = -1\nhigh = 1\n{target}"
        );
        StatisticsSpec::from_toml(&text).unwrap()
    }

    #[test]
    fn ends_are_in_their_range() {
        let column = NumericColumn {
            name: "a".into(),
            low: 4.3,
            high: 7.9,
        };
        assert!((7.9 - column.middle()) / column.half() > 1.0, "it rounds");
        assert!([4.3, 5.0, 7.9].iter().all(|value| column.contains(*value)));
        assert!(
            ![4.29, 7.91, f64::NAN]
                .iter()
                .any(|value| column.contains(*value))
        );
    }

    #[test]
    fn documents_are_read() {
        let own = spec("[target]\nname = \"y\"\nclasses = [\"no\", \"yes\"]");
        assert_eq!(
            (own.rows(), own.classes(), own.summed().len()),
            (1000, 2, 2)
        );
        assert_eq!(own.numbers()[0].half().to_bits(), 5.0f64.to_bits());
        let number = spec("[target]\nname = \"y\"\nlow = 0.0\nhigh = 1.0");
        assert!(matches!(number.target(), Target::Number(_)));
        assert_eq!((number.classes(), number.summed().len()), (1, 3));
        assert_ne!(number.hash(), own.hash());
        assert_eq!(spec("  ").hash(), spec("\n\n").hash());
        assert_eq!(StatisticsSpec::from_json(own.canonical()).unwrap(), own);
    }

    #[test]
    fn bad_documents_are_refused() {
        let head = "format = 1\nname = \"t\"\nrows = 10\n";
        for (text, expected) in [
            ("name = 1", "format"),
            ("format = 2", "format 2"),
            (&format!("{head}column = []"), "no columns"),
            (
                &format!("{head}[[column]]\nname = \"a\"\nlow = 1"),
                "column \"a\": give \"low\" and \"high\", or \"categories\"",
            ),
            (
                &format!("{head}[[column]]\nname = \"\"\nlow = 0\nhigh = 1"),
                "\"name\" is empty",
            ),
            ("format = 2\nsubject = \"t\"", "format 2"),
            (
                &format!("{head}[[column]]\nname = \"a\"\nlow = 1\nhigh = 1"),
                "must be below",
            ),
            (
                &format!("{head}[[column]]\nname = \"a\"\nlow = 0\nhigh = nan"),
                "must be below",
            ),
            (
                &format!(
                    "{head}[[column]]\nname = \"a\"\nlow = 0\nhigh = 1\n[target]\nname = \"a\"\nlow = 0\nhigh = 1"
                ),
                "target \"a\": another",
            ),
            (
                &format!("{head}[[column]]\nname = \"a\"\ncategories = [\"x\", \"y\"]"),
                "need a target",
            ),
            (
                &format!("{head}[[column]]\nname = \"a\"\ncategories = [\"x\", \"x\"]"),
                "listed twice",
            ),
            (
                &format!("{head}[[column]]\nname = \"a\"\nlow = 0\nhigh = 1\nwidth = 2"),
                "unknown field",
            ),
            (
                &head.replace("10", "0").replace("rows", "column = []\nrows"),
                "from 1 to",
            ),
        ] {
            let error = StatisticsSpec::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    /// A thousand classes of a thousand categories fit a contribution, of twice as many they do not:
    /// that is said before anything of this size is made.
    #[test]
    fn specs_have_room_in_a_contribution() {
        let listed: Vec<String> = (0..1000).map(|index| format!("\"{index}\"")).collect();
        let listed = listed.join(", ");
        let text = |columns: usize| {
            let columns: Vec<String> = (0..columns)
                .map(|index| format!("[[column]]\nname = \"{index}\"\ncategories = [{listed}]\n"))
                .collect();
            let columns = columns.concat();
            format!(
                "format = 1\nname = \"t\"\nrows = 10\n{columns}[target]\nname = \"y\"\nclasses = [{listed}]"
            )
        };
        StatisticsSpec::from_toml(&text(1)).unwrap();
        let error = StatisticsSpec::from_toml(&text(2)).unwrap_err().to_string();
        assert!(error.contains("2001001 sums"), "{error}");
        assert!(error.contains("fewer \"classes\""), "{error}");
    }
}
