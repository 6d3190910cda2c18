//! Schemas as documents: TOML for people, JSON in files.

use super::{
    ADDED_ROWS, Column, Domain, Duplicates, LIMB_BITS, LookupIndex, NameForm, Roles, Rows, Schema,
    SchemaError,
};
use crate::date::Date;
use crate::number::{Number, Written};
use cipherfn_protocol::hash::{Hash, NamesId};
use cipherfn_protocol::versions::{Versions, json_version};
use serde::{Deserialize, Serialize};

/// Largest document.
pub(crate) const MAX_BYTES: usize = 16 << 20;

cipherfn_protocol::versions! {
    /// Schemas as JSON.
    enum SchemaVersions, read by serde_json::from_slice, error serde_json::Error {
        /// The first.
        V1(SchemaV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SchemaV1 {
    format: u16,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(default, skip_serializing_if = "is_false")]
    padded: bool,
    /// Of a table in the clear: commits to its cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cells: Option<Hash>,
    /// Of sums under a public key: how many owners' they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owners: Option<u32>,
    /// Whether names and texts are to be hashed before they are sent.
    #[serde(default, skip_serializing_if = "is_false")]
    hash_names: bool,
    /// The secret by which they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<NamesId>,
    column: Vec<ColumnV1>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lookup: Vec<LookupV1>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ColumnV1 {
    name: String,
    r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<BoundV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<BoundV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    places: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dictionary: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_false")]
    nulls: bool,
    #[serde(default)]
    roles: Vec<RoleV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limb_bits: Option<u32>,
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum BoundV1 {
    Number(Written),
    Text(String),
    /// A date without quotes.
    Day(toml::value::Datetime),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RoleV1 {
    Value,
    Key,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LookupV1 {
    by: Vec<String>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    duplicates: DuplicatesV1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DuplicatesV1 {
    #[default]
    Refuse,
    Sum,
}

impl Schema {
    /// Reads TOML.
    pub fn from_toml(text: &str) -> Result<Self, SchemaError> {
        #[derive(Deserialize)]
        struct Format {
            format: Option<u16>,
        }
        check_len(text.len())?;
        let document = |error: toml::de::Error| SchemaError::Document {
            problem: toml_problem(text, &error),
        };
        let found = toml::from_str::<Format>(text).map_err(document)?.format;
        check_format(found.unwrap_or(1))?;
        toml::from_str::<SchemaV1>(text)
            .map_err(document)?
            .try_into()
    }

    /// Writes TOML, for people, with names as they are known here.
    pub fn to_toml(&self) -> Result<String, SchemaError> {
        toml::to_string(&SchemaV1::from(self)).map_err(|error| SchemaError::Document {
            problem: error.to_string(),
        })
    }

    /// Writes JSON as [`Schema::to_toml`] writes TOML: to be edited, and not to be sent.
    pub fn to_editable_json(&self) -> Result<Vec<u8>, SchemaError> {
        serde_json::to_vec(&SchemaV1::from(self)).map_err(|error| document(&error))
    }

    /// Reads what [`Schema::to_editable_json`] writes, edited.
    pub fn from_editable_json(bytes: &[u8]) -> Result<Self, SchemaError> {
        let SchemaVersions::V1(schema) = versions(bytes)?;
        schema.try_into()
    }

    /// Reads the JSON of a frame file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SchemaError> {
        match versions(bytes)? {
            SchemaVersions::V1(SchemaV1 {
                hash_names: true, ..
            }) => Err(SchemaError::frame(
                "hash-names",
                "is true in what was sent, and no names were hashed; encrypt with the secret for names",
            )),
            SchemaVersions::V1(schema) => schema.try_into(),
        }
    }

    /// Writes the JSON of a frame file: what is sent, hashes where names are hashed.
    ///
    /// # Errors
    /// Names that are to be hashed and were not.
    pub fn to_json(&self) -> Result<Vec<u8>, SchemaError> {
        if self.names == NameForm::ToHash {
            let problem =
                "is true, and the names were not hashed; encrypt with the secret for names";
            return Err(SchemaError::frame("hash-names", problem));
        }
        serde_json::to_vec(&SchemaV1::from(self.as_sent())).map_err(|error| document(&error))
    }
}

/// JSON of any format.
fn versions(bytes: &[u8]) -> Result<SchemaVersions, SchemaError> {
    check_len(bytes.len())?;
    let found = json_version(bytes).map_err(|error| document(&error.into()))?;
    let versions = SchemaVersions::read(found, bytes).ok_or_else(|| format_error(found))?;
    versions.map_err(|error| document(&error))
}

fn document(error: &serde_json::Error) -> SchemaError {
    SchemaError::Document {
        problem: error.to_string(),
    }
}

fn check_len(len: usize) -> Result<(), SchemaError> {
    if len > MAX_BYTES {
        return Err(SchemaError::TooLarge {
            len,
            limit: MAX_BYTES,
        });
    }
    Ok(())
}

fn check_format(found: u16) -> Result<(), SchemaError> {
    if SchemaVersions::VERSIONS.contains(&found) {
        Ok(())
    } else {
        Err(format_error(found))
    }
}

fn format_error(found: u16) -> SchemaError {
    let known: Vec<String> = SchemaVersions::VERSIONS
        .iter()
        .map(u16::to_string)
        .collect();
    SchemaError::Format {
        found,
        known: known.join(", "),
    }
}

/// Line and message, without the excerpt, which may be long.
fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        }
        None => error.message().to_owned(),
    }
}

impl TryFrom<SchemaV1> for Schema {
    type Error = SchemaError;

    fn try_from(document: SchemaV1) -> Result<Self, SchemaError> {
        let rows = Rows {
            count: document.rows,
            padded: document.padded,
        };
        let columns: Result<_, _> = document.column.into_iter().map(column).collect();
        let lookups = document.lookup.into_iter().enumerate().map(lookup);
        let lookups: Result<_, _> = lookups.collect();
        let mut schema = Self::new(document.name, rows, columns?, lookups?)?;
        schema.names = NameForm::said(document.hash_names, document.names)?;
        match (document.cells, document.owners, rows.count) {
            (None, None, _) => Ok(schema),
            (None, Some(owners), _) => schema.summed(owners),
            (Some(cells), None, Some(count)) => schema.in_the_clear(count, cells),
            (Some(_), None, None) => Err(SchemaError::frame(
                "rows",
                "is missing, and how many rows a table in the clear has is public",
            )),
            (Some(_), Some(_), _) => Err(SchemaError::frame(
                "owners",
                "is there beside \"cells\", and a table in the clear is nobody's sum; take one of the two out",
            )),
        }
    }
}

fn lookup((index, document): (usize, LookupV1)) -> Result<LookupIndex, SchemaError> {
    let duplicates = match document.duplicates {
        DuplicatesV1::Refuse => Duplicates::Refuse,
        DuplicatesV1::Sum => Duplicates::Sum,
    };
    if duplicates == Duplicates::Refuse && document.rows.is_some() {
        let problem = "is how many rows of a key are added, and duplicates are refused; leave it out, or say duplicates = \"sum\"";
        return Err(SchemaError::lookup(index, "rows", problem));
    }
    Ok(LookupIndex {
        by: document.by,
        columns: document.columns,
        duplicates,
        rows: document.rows.unwrap_or(ADDED_ROWS),
    })
}

fn column(document: ColumnV1) -> Result<Column, SchemaError> {
    let domain = domain(&document)
        .map_err(|(field, problem)| SchemaError::column(&document.name, field, problem))?;
    let has = |role| document.roles.contains(&role);
    Ok(Column {
        roles: Roles {
            value: has(RoleV1::Value),
            key: has(RoleV1::Key),
        },
        domain,
        nulls: document.nulls,
        limb_bits: document.limb_bits.unwrap_or(LIMB_BITS),
        name: document.name,
    })
}

fn domain(column: &ColumnV1) -> Result<Domain, (&'static str, String)> {
    let kind = column.r#type.as_str();
    let unwanted = |field, is_there: bool| {
        if is_there {
            Err((
                field,
                format!("does not belong to type {kind:?}; leave it out"),
            ))
        } else {
            Ok(())
        }
    };
    let is_range = matches!(kind, "integer" | "decimal" | "date");
    unwanted("min", column.min.is_some() && !is_range)?;
    unwanted("max", column.max.is_some() && !is_range)?;
    unwanted("places", column.places.is_some() && kind != "decimal")?;
    unwanted("dictionary", column.dictionary.is_some() && kind != "text")?;
    match kind {
        "integer" => Ok(Domain::Integer {
            min: number("min", column.min.as_ref(), 0)?,
            max: number("max", column.max.as_ref(), 0)?,
        }),
        "decimal" => {
            let places = column.places.ok_or_else(|| missing("places"))?;
            Ok(Domain::Decimal {
                min: number("min", column.min.as_ref(), places)?,
                max: number("max", column.max.as_ref(), places)?,
                places,
            })
        }
        "boolean" => Ok(Domain::Boolean),
        "date" => Ok(Domain::Date {
            min: day("min", column.min.as_ref())?,
            max: day("max", column.max.as_ref())?,
        }),
        "text" => Ok(Domain::Text {
            dictionary: column
                .dictionary
                .clone()
                .ok_or_else(|| missing("dictionary"))?,
        }),
        _ => Err((
            "type",
            format!(
                "is {kind:?}; it is \"integer\", \"decimal\", \"boolean\", \"date\" or \"text\""
            ),
        )),
    }
}

fn missing(field: &'static str) -> (&'static str, String) {
    (field, "is missing; a column of this type needs it".into())
}

fn number(
    field: &'static str,
    bound: Option<&BoundV1>,
    places: u8,
) -> Result<i64, (&'static str, String)> {
    let written = match bound {
        Some(BoundV1::Number(written)) => written.clone(),
        Some(BoundV1::Text(text)) => {
            return Err((field, format!("is the text {text:?}; write a number")));
        }
        Some(BoundV1::Day(day)) => {
            return Err((field, format!("is the date {day}; write a number")));
        }
        None => return Err(missing(field)),
    };
    let number = Number::try_from(written).map_err(|problem| (field, format!("is {problem}")))?;
    number.units(places).ok_or_else(|| {
        let problem = if number.places() > places {
            format!("is {number}, which has more than {places} decimals")
        } else {
            format!("is {number}, which is more than 2^48 units of {places} decimals from zero; have fewer decimals, or narrow the range")
        };
        (field, problem)
    })
}

fn day(field: &'static str, bound: Option<&BoundV1>) -> Result<Date, (&'static str, String)> {
    let text = match bound {
        Some(BoundV1::Text(text)) => text.clone(),
        Some(BoundV1::Day(day)) => day.to_string(),
        Some(BoundV1::Number(written)) => match Number::try_from(written.clone()) {
            Ok(number) => number.to_string(),
            Err(problem) => return Err((field, format!("is {problem}, and no date"))),
        },
        None => return Err(missing(field)),
    };
    text.parse()
        .map_err(|error| (field, format!("is {text:?}, which {error}")))
}

impl From<&Schema> for SchemaV1 {
    fn from(schema: &Schema) -> Self {
        let lookups = schema.lookups.iter().map(|lookup| LookupV1 {
            by: lookup.by.clone(),
            columns: lookup.columns.clone(),
            duplicates: match lookup.duplicates {
                Duplicates::Refuse => DuplicatesV1::Refuse,
                Duplicates::Sum => DuplicatesV1::Sum,
            },
            rows: (lookup.rows != ADDED_ROWS).then_some(lookup.rows),
        });
        Self {
            format: 1,
            name: schema.name.clone(),
            rows: schema.rows.count,
            padded: schema.rows.padded,
            cells: schema.cells,
            owners: schema.owners,
            hash_names: matches!(schema.names, NameForm::ToHash | NameForm::Revealed(_)),
            names: match schema.names {
                NameForm::Hashed(id) => Some(id),
                _ => None,
            },
            column: schema.columns.iter().map(ColumnV1::from).collect(),
            lookup: lookups.collect(),
        }
    }
}

impl From<&Column> for ColumnV1 {
    fn from(column: &Column) -> Self {
        let domain = &column.domain;
        let places = domain.places();
        let number =
            |units| Number::new(units, places).map(|number| BoundV1::Number(number.into()));
        let (min, max) = match domain {
            Domain::Integer { min, max } | Domain::Decimal { min, max, .. } => {
                (number(*min), number(*max))
            }
            Domain::Date { min, max } => {
                let bound = |date: &Date| Some(BoundV1::Text(date.to_string()));
                (bound(min), bound(max))
            }
            Domain::Boolean | Domain::Text { .. } => (None, None),
        };
        let roles = [
            column.roles.value.then_some(RoleV1::Value),
            column.roles.key.then_some(RoleV1::Key),
        ];
        Self {
            name: column.name.clone(),
            r#type: domain.type_name().into(),
            min,
            max,
            places: matches!(domain, Domain::Decimal { .. }).then_some(places),
            dictionary: match domain {
                Domain::Text { dictionary } => Some(dictionary.clone()),
                _ => None,
            },
            nulls: column.nulls,
            roles: roles.into_iter().flatten().collect(),
            limb_bits: (column.limb_bits != LIMB_BITS).then_some(column.limb_bits),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
const fn is_false(value: &bool) -> bool {
    !*value
}
