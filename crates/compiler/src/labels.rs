//! Labels as people write them.

use crate::model::Model;
use cipherfn_protocol::specs::OutputField;

/// Whether a row gets one label, which names a class.
pub(crate) fn has_one(model: &Model) -> bool {
    let is_label = |field: &&OutputField| **field == OutputField::Label;
    model.outputs.iter().filter(is_label).count() == 1
}

/// `1`, `1.0` and `True` are one label, as data frames write them.
pub(crate) fn same_label(wanted: &str, label: &str) -> bool {
    let (wanted, label) = (wanted.trim(), label.trim());
    let equal = |a: f64, b: f64| a.total_cmp(&b).is_eq();
    wanted == label
        || matches!((number(wanted), number(label)), (Some(a), Some(b)) if equal(a + 0.0, b + 0.0))
}

/// In a column that holds the numbers of classes, from 0, puts the names that the classes were
/// given. A column that holds names stays as it is.
pub(crate) fn name_codes(rows: &mut [Vec<String>], column: usize, classes: &[String]) {
    let of_code = |cell: &str| {
        let code = number(cell.trim()).filter(|code| *code >= 0.0 && code.fract() == 0.0)?;
        classes.get(code as usize)
    };
    let is_name = |cell: &String| classes.iter().any(|class| same_label(cell, class));
    let cells = rows.iter().filter_map(|row| row.get(column));
    let mut cells = cells.filter(|cell| !cell.trim().is_empty());
    if !cells.all(|cell| of_code(cell).is_some() && !is_name(cell)) {
        return;
    }
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
        if let Some(name) = of_code(cell) {
            *cell = name.clone();
        }
    }
}

/// The number that a label is, in any of its spellings.
pub(crate) fn number(text: &str) -> Option<f64> {
    match text {
        "True" | "true" | "TRUE" => Some(1.0),
        "False" | "false" | "FALSE" => Some(0.0),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_truths_are_labels_in_any_spelling() {
        for (wanted, label) in [("1", "1.0"), ("True", "1"), (" 0", "false"), ("a", "a ")] {
            assert!(same_label(wanted, label), "{wanted:?} {label:?}");
        }
        for (wanted, label) in [("1", "2"), ("True", "0"), ("a", "A"), ("", "0")] {
            assert!(!same_label(wanted, label), "{wanted:?} {label:?}");
        }
    }

    #[test]
    fn numbers_of_classes_become_their_names() {
        let named = |cells: [&str; 3], classes: [&str; 2]| {
            let mut rows: Vec<Vec<String>> = cells.map(|cell| vec![cell.to_owned()]).into();
            name_codes(&mut rows, 0, &classes.map(str::to_owned));
            rows.concat()
        };
        assert_eq!(named(["0", "1.0", ""], ["no", "yes"]), ["no", "yes", ""]);
        assert_eq!(
            named(["True", "0", "1"], ["no", "yes"]),
            ["yes", "no", "yes"]
        );
        assert_eq!(named(["0", "2", "1"], ["no", "yes"]), ["0", "2", "1"]);
        assert_eq!(named(["no", "1", "0"], ["no", "yes"]), ["no", "1", "0"]);
        assert_eq!(named(["0", "1", "1"], ["1", "0"]), ["0", "1", "1"], "names");
    }
}
