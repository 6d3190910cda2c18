//! Layout of the text: a header, one section a tree, parameters, and what pandas knew.

use super::LIBRARY;
use crate::error::CompileError;
use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

/// A file's sections.
#[derive(Debug)]
pub(super) struct LightGbmFile<'a> {
    pub(super) header: Section<'a>,
    pub(super) trees: Vec<Section<'a>>,
    /// JSON: categories of each of a data frame's categorical columns.
    pub(super) pandas_categorical: Option<&'a str>,
}

/// Lines `key=value`; a line without `=` is a key with an empty value.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Name for errors.
    place: String,
    fields: HashMap<&'a str, &'a str>,
}

impl<'a> LightGbmFile<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, CompileError> {
        let mut header = Section::new("the header".into());
        let mut trees: Vec<Section<'a>> = Vec::new();
        let mut pandas_categorical = None;
        let mut ended = false;
        for line in text.lines().map(str::trim_end).skip(1) {
            if let Some(json) = line.strip_prefix("pandas_categorical:") {
                pandas_categorical = Some(json);
                continue;
            }
            if ended || line.is_empty() {
                continue;
            }
            if line == "end of trees" {
                ended = true;
                continue;
            }
            if let Some(number) = line.strip_prefix("Tree=") {
                if number.parse() != Ok(trees.len()) {
                    let problem = format!("it stands where tree {} is due", trees.len());
                    return Err(LIBRARY.invalid(format!("tree {number}"), problem));
                }
                trees.push(Section::new(format!("tree {number}")));
                continue;
            }
            let section = trees.last_mut().unwrap_or(&mut header);
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if section.fields.insert(key, value).is_some() {
                return Err(LIBRARY.invalid(&section.place, format!("{key} stands there twice")));
            }
        }
        if !ended {
            let problem = "it ends before \"end of trees\": it was cut short";
            return Err(LIBRARY.invalid("the file", problem));
        }
        Ok(Self {
            header,
            trees,
            pandas_categorical: pandas_categorical.filter(|json| *json != "null"),
        })
    }
}

impl<'a> Section<'a> {
    fn new(place: String) -> Self {
        Self {
            place,
            fields: HashMap::new(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.fields.get(key).copied()
    }

    pub(super) fn required(&self, key: &str) -> Result<&'a str, CompileError> {
        self.get(key)
            .ok_or_else(|| self.invalid(format!("{key} is missing")))
    }

    /// A count.
    pub(super) fn count(&self, key: &str) -> Result<usize, CompileError> {
        let value = self.required(key)?;
        value
            .trim()
            .parse()
            .map_err(|_| self.invalid(format!("{key} is {value:?}, not a count")))
    }

    /// A list of `len` numbers; an absent one is empty.
    pub(super) fn list<T: FromStr>(&self, key: &str, len: usize) -> Result<Vec<T>, CompileError> {
        let text = self.get(key).unwrap_or("");
        let words = text.split_ascii_whitespace();
        let list = words
            .enumerate()
            .map(|(at, word)| {
                word.parse()
                    .map_err(|_| self.invalid(format!("entry {at} of {key} is {word:?}")))
            })
            .collect::<Result<Vec<T>, _>>()?;
        if list.len() != len {
            let problem = format!("{key} has {} entries, {len} are due", list.len());
            return Err(self.invalid(problem));
        }
        Ok(list)
    }

    pub(super) fn invalid(&self, problem: impl Display) -> CompileError {
        LIBRARY.invalid(&self.place, problem)
    }
}
