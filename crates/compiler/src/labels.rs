//! Labels as people write them.

/// `1`, `1.0` and `True` are one label, as data frames write them.
pub(crate) fn same_label(wanted: &str, label: &str) -> bool {
    let number = |text: &str| match text {
        "True" | "true" | "TRUE" => Ok(1.0),
        "False" | "false" | "FALSE" => Ok(0.0),
        _ => text.parse::<f64>(),
    };
    let (wanted, label) = (wanted.trim(), label.trim());
    let equal = |a: f64, b: f64| a.total_cmp(&b).is_eq();
    wanted == label
        || matches!((number(wanted), number(label)), (Ok(a), Ok(b)) if equal(a + 0.0, b + 0.0))
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
}
