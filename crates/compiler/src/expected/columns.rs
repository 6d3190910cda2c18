//! Which of the model's predictions the columns of a file of predictions stand for.

use crate::labels::same_label;
use cipherfn_program::PredictionColumn;

/// For each column of the file, the model's that it stands for: by its name, else labels by being
/// called so, and numbers by the class at the end of their names or in order. Labels may stand
/// alone, and of two classes the second.
pub(super) fn matched(
    header: &[String],
    columns: &[PredictionColumn],
    wanted: &[Vec<String>],
) -> Option<Vec<usize>> {
    if let Some(named) = by_name(header, columns) {
        return Some(named);
    }
    let is_label = |name: &String| name.to_lowercase().starts_with("label");
    let (labels, numbers): (Vec<usize>, Vec<usize>) =
        (0..columns.len()).partition(|column| columns[*column].is_label);
    if header.len() == labels.len()
        && (header.iter().any(is_label) || are_labels(columns, wanted) || numbers.is_empty())
    {
        return Some(labels);
    }
    let said: Vec<&String> = header.iter().filter(|name| !is_label(name)).collect();
    let count = header.len() - said.len();
    if count != 0 && count != labels.len() {
        return None;
    }
    let numbers = match (by_class(&said, columns, &numbers), numbers.as_slice()) {
        (Some(found), _) => found,
        (None, numbers) if said.len() == numbers.len() => numbers.to_vec(),
        (None, [only]) if said.len() == 1 => vec![*only],
        (None, [_, second]) if said.len() == 1 && columns[*second].class.is_some() => {
            vec![*second]
        }
        _ => return None,
    };
    let (mut labels, mut numbers) = (labels.into_iter(), numbers.into_iter());
    let next = |name: &String| {
        if is_label(name) {
            labels.next()
        } else {
            numbers.next()
        }
    };
    header.iter().map(next).collect()
}

/// The model's own names, in any order.
fn by_name(header: &[String], columns: &[PredictionColumn]) -> Option<Vec<usize>> {
    let place = |name: &String| {
        let is_it = |column: &PredictionColumn| column.name.eq_ignore_ascii_case(name);
        columns.iter().position(is_it)
    };
    distinct(header.iter().map(place).collect::<Option<_>>()?)
}

/// Names that end in the classes behind one prefix, in any order.
fn by_class(
    names: &[&String],
    columns: &[PredictionColumn],
    numbers: &[usize],
) -> Option<Vec<usize>> {
    if names.len() != numbers.len() && names.len() != 1 {
        return None;
    }
    let class = |number: usize| columns[number].class.as_deref();
    let first = names.first()?;
    let prefixes = numbers
        .iter()
        .filter_map(|number| first.strip_suffix(class(*number)?));
    let with = |prefix: &str| {
        let place = |name: &&String| {
            let rest = name.strip_prefix(prefix)?;
            numbers
                .iter()
                .copied()
                .find(|number| class(*number) == Some(rest))
        };
        distinct(names.iter().map(place).collect::<Option<_>>()?)
    };
    prefixes.filter(|prefix| !prefix.is_empty()).find_map(with)
}

fn distinct(found: Vec<usize>) -> Option<Vec<usize>> {
    let mut sorted = found.clone();
    sorted.sort_unstable();
    sorted.dedup();
    (sorted.len() == found.len()).then_some(found)
}

/// Whether all cells are names of classes, as far as the model names its classes.
fn are_labels(columns: &[PredictionColumn], wanted: &[Vec<String>]) -> bool {
    let classes: Vec<&String> = columns
        .iter()
        .filter_map(|own| own.class.as_ref())
        .collect();
    let is_class = |cell: &String| {
        let is_whole = cell
            .trim()
            .parse::<f64>()
            .map_or(true, |number| number.fract() == 0.0);
        is_whole || classes.iter().any(|class| same_label(cell, class))
    };
    classes.is_empty() || wanted.iter().flatten().all(is_class)
}

#[cfg(test)]
mod tests {
    use super::{PredictionColumn, matched};

    fn columns() -> Vec<PredictionColumn> {
        let number = |class: &str| PredictionColumn {
            name: format!("probability_{class}"),
            is_label: false,
            class: Some(class.to_owned()),
        };
        let label = PredictionColumn {
            name: "label".into(),
            is_label: true,
            class: None,
        };
        vec![label, number("1"), number("11")]
    }

    fn found(header: &[&str], cell: &str) -> Option<Vec<usize>> {
        let header: Vec<String> = header.iter().map(ToString::to_string).collect();
        matched(&header, &columns(), &[vec![cell.to_owned(); header.len()]])
    }

    #[test]
    fn names_decide_before_the_order() {
        assert_eq!(found(&["probability_11", "label"], "1"), Some(vec![2, 0]));
        assert_eq!(found(&["p_11", "p_1"], "0.5"), Some(vec![2, 1]));
        assert_eq!(found(&["p_11", "label", "p_1"], "1"), Some(vec![2, 0, 1]));
        assert_eq!(found(&["a", "b"], "0.5"), Some(vec![1, 2]), "in order");
        assert_eq!(
            found(&["label", "y"], "1"),
            Some(vec![0, 2]),
            "the second class"
        );
        assert_eq!(found(&["a", "b", "c", "d"], "1"), None);
    }

    #[test]
    fn cells_tell_what_an_only_column_is() {
        assert_eq!(found(&["y"], "11"), Some(vec![0]));
        assert_eq!(found(&["y"], "0.25"), Some(vec![2]));
        assert_eq!(found(&["p_1"], "0.25"), Some(vec![1]));
        assert_eq!(found(&["label"], "0.25"), Some(vec![0]));
    }
}
