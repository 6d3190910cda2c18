use super::*;
use cipherfn_protocol::specs::ColumnKind;

fn inputs(widths: &[(&str, usize)]) -> Vec<Column> {
    widths
        .iter()
        .map(|(name, width)| Column {
            name: (*name).to_owned(),
            kind: ColumnKind::Float32,
            width: *width,
            missing: false,
        })
        .collect()
}

fn header(names: &str) -> Vec<String> {
    names.split(',').map(str::to_owned).collect()
}

fn source(targets: &str, dropped: &str) -> ColumnSource {
    let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    ColumnSource {
        targets: names(targets),
        dropped: names(dropped),
        order: Vec::new(),
    }
}

fn matched(
    widths: &[(&str, usize)],
    names: &str,
    source: &ColumnSource,
) -> Result<(String, Vec<String>), CompileError> {
    let found = match_with("rows.csv", &inputs(widths), &header(names), source)?;
    let columns: Vec<String> = found
        .columns
        .into_iter()
        .map(|column| column.name)
        .collect();
    Ok((columns.join(","), found.notes))
}

#[test]
fn named_inputs_find_their_columns_in_any_order() {
    let widths = [("a", 1), ("b", 1)];
    let (columns, notes) = matched(&widths, "b,id,y,a", &source("y", "id")).unwrap();
    assert_eq!((columns.as_str(), notes.len()), ("a,b", 0));
    let (columns, _) = matched(&widths, "b,unused,a", &source("", "")).unwrap();
    assert_eq!(columns, "a,b", "other columns are no inputs");
}

#[test]
fn names_that_an_exporter_changed_are_found_where_they_are_unique() {
    let widths = [("Age__years_", 1), ("city", 1)];
    let (columns, notes) = matched(&widths, "city,Age (years),y", &source("y", "")).unwrap();
    assert_eq!(columns, "Age (years),city");
    assert!(
        notes[0].contains("Age__years_") && notes[0].contains("Age (years)"),
        "{notes:?}"
    );
    let error = matched(&widths, "city,Age (years),Age [years]", &source("", "")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("[\"Age (years)\", \"Age [years]\"] may be the input"),
        "{text}"
    );
    let (columns, _) = matched(&widths, "Age [years],Age__years_,city", &source("", "")).unwrap();
    assert_eq!(columns, "Age__years_,city", "the name itself comes first");
}

#[test]
fn an_input_without_names_takes_what_is_left() {
    let wide = [("input", 3)];
    let (columns, notes) = matched(&wide, "c,a,y,b", &source("y", "")).unwrap();
    assert_eq!(columns, "c,a,b");
    assert!(
        notes[0].contains("the file's order") && notes[0].contains("c, a, b"),
        "{notes:?}"
    );
    let (columns, notes) = matched(&wide, ",c,a,b", &source("", "")).unwrap();
    assert_eq!(columns, "c,a,b");
    assert!(notes[0].contains("without a name"), "{notes:?}");
    let order = ColumnSource {
        order: header("a,b,c"),
        ..source("y", "")
    };
    assert_eq!(matched(&wide, "c,a,y,b", &order).unwrap().0, "a,b,c");
    let mixed = [("x", 2), ("city", 1)];
    assert_eq!(
        matched(&mixed, "a,city,b", &source("", "")).unwrap().0,
        "a,b,city"
    );
    assert_eq!(
        matched(&[("X", 1)], "age", &source("", "")).unwrap().0,
        "age"
    );
}

#[test]
fn columns_that_do_not_fit_are_refused_with_the_way_out() {
    let wide = [("input", 3)];
    let text =
        |names, source: &ColumnSource| matched(&wide, names, source).unwrap_err().to_string();
    let one = text("a,b,y,c", &source("", ""));
    assert!(one.contains("it may be \"y\""), "{one}");
    let more = text("id,a,b,y,c", &source("", ""));
    assert!(
        more.contains("2 are too many") && !more.contains("--"),
        "{more}"
    );
    let unknown = text("a,b,c", &source("", "id"));
    assert!(unknown.contains("no column \"id\""), "{unknown}");
}

#[test]
fn a_first_line_of_numbers_is_no_header() {
    let check = |widths: &[(&str, usize)], names: &str| {
        super::check_header("train.csv", &inputs(widths), &header(names)).is_ok()
    };
    assert!(!check(&[("a", 1), ("b", 1)], "5.1,3.5"));
    assert!(!check(&[("a", 1), ("b", 1)], "1,2"));
    assert!(check(&[("1", 1), ("2", 1)], "1,2"), "the model's own names");
    assert!(!check(&[("X", 4)], "5.1,3.5,1.4,0.2"));
    assert!(!check(&[("X", 4)], "5,3,5,0"));
    assert!(check(&[("X", 4)], "0,1,2,3"), "a data frame's count");
    assert!(check(&[("X", 2)], "a,1"));
}
