//! Categories of a data frame's columns: the library maps them to codes by their place. Without
//! them the rows hold the codes.

use super::LIBRARY;
use super::text::LightGbmFile;
use crate::error::CompileError;
use crate::read::features::{Cells, FeatureCollector};
use serde_json::Value;

/// Says which columns hold which categories.
///
/// The file lists the categories in the order of the frame's categorical columns and does not say
/// which these are: they are the ones whose `feature_infos` are sets of codes, and possibly those
/// that were never used.
pub(super) fn read(
    file: &LightGbmFile<'_>,
    features: &mut FeatureCollector,
) -> Result<(), CompileError> {
    let Some(json) = file.pandas_categorical else {
        return Ok(());
    };
    let lists: Vec<Vec<Value>> =
        serde_json::from_str(json).map_err(|error| LIBRARY.invalid("pandas_categorical", error))?;
    if lists.is_empty() {
        return Ok(());
    }
    let infos: Vec<&str> = file
        .header
        .required("feature_infos")?
        .split_ascii_whitespace()
        .collect();
    if infos.len() != features.columns() {
        let problem = format!("{} entries for {} columns", infos.len(), features.columns());
        return Err(LIBRARY.invalid("feature_infos", problem));
    }
    let of = |wanted: fn(&str) -> bool| -> Vec<usize> {
        let places = infos.iter().enumerate();
        places
            .filter(|(_, info)| wanted(info))
            .map(|(column, _)| column)
            .collect()
    };
    let sets = of(is_set);
    let possible = of(|info| is_set(info) || info == "none");
    let columns = [sets, possible]
        .into_iter()
        .find(|columns| columns.len() == lists.len())
        .ok_or_else(|| {
            LIBRARY.unsupported(
                "pandas_categorical",
                format!(
                    "it has categories of {} columns, and the file does not say of which",
                    lists.len()
                ),
                "train on the columns' codes (frame[column].cat.codes), and give rows of codes",
            )
        })?;
    for (column, list) in columns.into_iter().zip(lists) {
        let cells = cells(&list).ok_or_else(|| {
            let place = format!("pandas_categorical of {}", features.names().show(column));
            LIBRARY.unsupported(
                place,
                "its categories are neither all texts nor all numbers",
                "categories of one kind",
            )
        })?;
        features.set_cells(column, cells)?;
    }
    Ok(())
}

/// Whether a column's info is a set of codes, `-1:3:0`, not a range, `[0:1]`.
fn is_set(info: &str) -> bool {
    info != "none" && !info.starts_with('[')
}

fn cells(list: &[Value]) -> Option<Cells> {
    let texts = || list.iter().map(text).collect::<Option<Vec<_>>>();
    let numbers = || list.iter().map(Value::as_f64).collect::<Option<Vec<_>>>();
    numbers()
        .map(Cells::Listed)
        .or_else(|| texts().map(Cells::Texts))
}

/// A category as a data frame is written to CSV.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        _ => None,
    }
}
