//! Categories of columns as they stand in a data frame (version 3.1 and later): the library maps
//! them to the codes that its trees ask for. Without them the rows hold the codes.

use super::LIBRARY;
use super::file::{Categories, Encoding};
use crate::error::CompileError;
use crate::read::features::{Cells, FeatureCollector};

/// Says which columns hold which categories.
pub(super) fn read(
    categories: Option<&Categories>,
    types: &[String],
    features: &mut FeatureCollector,
    notes: &mut Vec<String>,
) -> Result<(), CompileError> {
    let encodings = categories.map_or(&[][..], |categories| &categories.enc);
    for (column, encoding) in encodings.iter().enumerate() {
        if encoding.values.is_empty() {
            continue;
        }
        let place = format!("categories of {}", features.names().show(column));
        if types.get(column).is_some_and(|kind| kind != "c") {
            return Err(LIBRARY.invalid(place, "the column is not categorical"));
        }
        let cells = match &encoding.offsets {
            Some(offsets) => Cells::Texts(texts(&place, offsets, encoding)?),
            None => Cells::Listed(encoding.values.clone()),
        };
        features.set_cells(column, cells)?;
    }
    let listed = |column: usize| {
        encodings
            .get(column)
            .is_some_and(|own| !own.values.is_empty())
    };
    let coded = types
        .iter()
        .enumerate()
        .filter(|(column, kind)| *kind == "c" && !listed(*column));
    let coded: Vec<String> = coded
        .map(|(column, _)| features.names().show(column))
        .collect();
    if !coded.is_empty() {
        notes.push(format!(
            "the file does not list the categories of {}: rows hold their codes, \
             frame[column].cat.codes",
            coded.join(", ")
        ));
    }
    Ok(())
}

/// Texts whose bytes stand one after the other.
fn texts(place: &str, offsets: &[usize], encoding: &Encoding) -> Result<Vec<String>, CompileError> {
    let byte = |&value: &f64| {
        // Signed bytes in some versions.
        let byte = if value < 0.0 { value + 256.0 } else { value };
        (byte.fract() == 0.0 && (0.0..256.0).contains(&byte)).then_some(byte as u8)
    };
    let bytes = encoding
        .values
        .iter()
        .map(byte)
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| LIBRARY.invalid(place, "a value is not a byte"))?;
    offsets
        .windows(2)
        .map(|ends| {
            let text = bytes.get(ends[0]..ends[1]);
            let text = text.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            text.ok_or_else(|| LIBRARY.invalid(place, "a category is no UTF-8 text"))
        })
        .collect()
}
