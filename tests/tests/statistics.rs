//! Ten owners' sums under one public key give what scikit-learn fits to their pooled rows
//! (`tests/training/make.py`).

use cipherfn_client::training::{StatisticsError, contribute, error, open};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_serving::training::{Total, TotalError};
use cipherfn_tests::library_models;
use cipherfn_training::descent::Training;
use cipherfn_training::fit::Fit;
use cipherfn_training::{
    Contribution, FittedFunction, FittedModel, Moments, StatisticsSpec, Sums, TrainingError,
};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const OWNERS: usize = 10;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("training")
}

/// A table: header, and rows of texts.
struct Csv {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Csv {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let cells = |line: &str| line.split(',').map(String::from).collect::<Vec<_>>();
        let mut lines = text.lines();
        Self {
            header: cells(lines.next().unwrap()),
            rows: lines.map(cells).collect(),
        }
    }

    fn numbers(row: &[String]) -> Vec<f64> {
        row.iter().map(|cell| cell.parse().unwrap()).collect()
    }
}

/// `target` is the document's last table.
fn numeric_spec(csv: &Csv, ranges: &[(f64, f64)], target: &str) -> StatisticsSpec {
    let mut text = format!("format = 1\nname = \"t\"\nrows = {}\n", csv.rows.len());
    let names = &csv.header[..csv.header.len() - 1];
    assert_eq!(names.len(), ranges.len());
    for (name, (low, high)) in names.iter().zip(ranges) {
        write!(
            text,
            "[[column]]\nname = {name:?}\nlow = {low:?}\nhigh = {high:?}\n"
        )
        .unwrap();
    }
    StatisticsSpec::from_toml(&format!("{text}[target]\nname = \"target\"\n{target}")).unwrap()
}

/// The whole numbers that each column but the last lies between, as those who know a column declare it.
fn ranges(csv: &Csv) -> Vec<(f64, f64)> {
    let values = |column: usize| {
        let cells = csv.rows.iter().map(move |row| &row[column]);
        cells.map(|cell| cell.parse::<f64>().unwrap())
    };
    let of = |column| {
        let low = values(column).fold(f64::INFINITY, f64::min);
        let high = values(column).fold(f64::NEG_INFINITY, f64::max);
        (low.floor(), high.ceil())
    };
    (0..csv.header.len() - 1).map(of).collect()
}

/// Key holder and public key.
fn keys() -> (SecretKey, PublicKey) {
    let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
    let secret = SecretKey::generate(set).unwrap();
    let public = PublicKey::generate(&secret).unwrap();
    let public = PublicKey::from_file_bytes(&public.to_file_bytes()).unwrap();
    (secret, public)
}

/// Every tenth row is an owner's; only files lie between owners, server and key holder.
fn pooled(spec: &StatisticsSpec, csv: &Csv, most_bytes: usize, class: bool) -> Moments {
    let (secret, public) = keys();
    let mut total = Total::new(spec);
    for owner in 0..OWNERS {
        let mut sums = Sums::new(spec);
        for row in csv.rows.iter().skip(owner).step_by(OWNERS) {
            let (last, features) = row.split_last().unwrap();
            if spec.numbers().is_empty() {
                let texts: Vec<&str> = row.iter().map(String::as_str).collect();
                sums.add(&[], &texts).unwrap();
            } else if class {
                sums.add(&Csv::numbers(features), &[last]).unwrap();
            } else {
                sums.add(&Csv::numbers(row), &[]).unwrap();
            }
        }
        assert_eq!(sums.clipped().count(), 0);
        let bytes = contribute(&public, spec, &sums).unwrap().to_file_bytes();
        assert!(bytes.len() <= most_bytes, "{}", bytes.len());
        total
            .add(&Contribution::from_file_bytes(&bytes).unwrap())
            .unwrap();
    }
    let total = total.finish().unwrap().to_file_bytes();
    let total = Contribution::from_file_bytes(&total).unwrap();
    assert_eq!(total.owners as usize, OWNERS);
    let moments = open(&secret, spec, &total).unwrap();
    assert_eq!(moments.count() as usize, csv.rows.len());
    moments
}

fn reference() -> Value {
    let text = std::fs::read(folder().join("reference.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A list of numbers, or a list of such lists one after the other.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// Within 10^-6 of the largest.
fn check(what: &str, found: &[f64], expected: &Value) {
    check_within(1e-6, what, found, expected);
}

fn check_within(most: f64, what: &str, found: &[f64], expected: &Value) {
    let expected = flat(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(0.0, |most: f64, value| most.max(value.abs()));
    let off = found
        .iter()
        .zip(&expected)
        .map(|(one, other)| (one - other).abs());
    let worst = off.fold(0.0, f64::max) / largest;
    println!("{what}: {worst:.1e} of the largest number");
    assert!(worst < most, "{what}: {worst:e}");
}

fn check_linear(most: f64, what: &str, model: &FittedModel, expected: &Value) {
    let (weights, intercepts) = model.raw_weights().unwrap();
    // Of two classes the difference.
    let (weights, intercept) = match &weights[..] {
        [only] => (only.clone(), intercepts[0]),
        [first, second] => {
            let pairs = second.iter().zip(first);
            let weights = pairs.map(|(second, first)| second - first).collect();
            (weights, intercepts[1] - intercepts[0])
        }
        _ => panic!("{what}"),
    };
    check_within(most, what, &weights, &expected["weights"]);
    check_within(most, what, &[intercept], &expected["intercept"]);
}

/// Scores of a row less those of the first class.
fn scores(model: &FittedModel, numbers: &[f64], texts: &[String]) -> Vec<f64> {
    let columns = model.numbers.iter().zip(numbers);
    let scaled: Vec<f64> = columns
        .map(|(column, value)| (value - column.offset) * column.scale)
        .collect();
    let mut features = scaled.clone();
    if model.squares {
        features.extend(scaled.iter().map(|value| value * value));
    }
    for (column, text) in model.categories.iter().zip(texts) {
        let own = column.categories.iter();
        features.extend(own.map(|category| f64::from(u8::from(category == text))));
    }
    let FittedFunction::Classifier {
        weights,
        intercepts,
        ..
    } = &model.function
    else {
        panic!("no classifier")
    };
    let score = |(row, intercept): (&Vec<f64>, &f64)| {
        let products = row.iter().zip(&features);
        intercept
            + products
                .map(|(weight, feature)| weight * feature)
                .sum::<f64>()
    };
    let all: Vec<f64> = weights.iter().zip(intercepts).map(score).collect();
    all[1..].iter().map(|score| score - all[0]).collect()
}

#[test]
fn regressions_are_those_of_the_pooled_rows() {
    let reference = reference();
    let csv = Csv::read(&library_models().join("ridge_diabetes/train.csv"));
    let spec = numeric_spec(&csv, &[(-8.0, 8.0); 10], "low = 0.0\nhigh = 400.0");
    let moments = pooled(&spec, &csv, 16_000, false);
    let linear = Fit::Linear { penalty: 0.0 }.of(&spec, &moments).unwrap();
    check_linear(1e-6, "linear", &linear, &reference["linear_diabetes"]);
    let ridge = Fit::Linear { penalty: 10.0 }.of(&spec, &moments).unwrap();
    check_linear(1e-6, "ridge", &ridge, &reference["ridge_diabetes"]);
    let columns = moments.columns(&spec);
    let (means, deviations): (Vec<f64>, Vec<f64>) = columns[..10].iter().copied().unzip();
    check("deviations", &deviations, &reference["deviations_diabetes"]);
    let scaler = Fit::Standardise.of(&spec, &moments).unwrap();
    let (offsets, scales): (Vec<f64>, Vec<f64>) = scaler
        .numbers
        .iter()
        .map(|own| (own.offset, 1.0 / own.scale))
        .unzip();
    check("scales", &scales, &reference["deviations_diabetes"]);
    assert_eq!(offsets, means[..10]);
    // The means of standardised columns are close to zero, so they are compared with the range.
    for (mean, expected) in means.iter().zip(flat(&reference["means_diabetes"])) {
        assert!((mean - expected).abs() < 1e-9, "{mean} {expected}");
    }
    let correlations = moments.correlations(&spec);
    let correlations: Vec<f64> = correlations[..10]
        .iter()
        .flat_map(|row| row[..10].to_vec())
        .collect();
    check(
        "correlations",
        &correlations,
        &reference["correlations_diabetes"],
    );
}

/// 30 columns that depend on each other nearly.
#[test]
fn thirty_columns_fit_sixteen_kilobytes() {
    let reference = reference();
    let csv = Csv::read(&library_models().join("logreg_bc/train.csv"));
    let spec = numeric_spec(&csv, &ranges(&csv), "low = 0.0\nhigh = 1.0");
    let moments = pooled(&spec, &csv, 16_000, false);
    let ridge = Fit::Linear { penalty: 1.0 }.of(&spec, &moments).unwrap();
    check_linear(1e-6, "ridge", &ridge, &reference["ridge_breast"]);
    let components = Fit::Components { count: 5 }.of(&spec, &moments).unwrap();
    let FittedFunction::Map { weights } = &components.function else {
        panic!("no map")
    };
    check(
        "components",
        &weights.concat(),
        &reference["components_breast"],
    );
}

#[test]
fn classifiers_are_those_of_the_pooled_rows() {
    let reference = reference();
    let csv = Csv::read(&library_models().join("logreg_bc/train.csv"));
    let spec = numeric_spec(&csv, &ranges(&csv), "classes = [\"0\", \"1\"]");
    let moments = pooled(&spec, &csv, 16_000, true);
    let discriminant = Fit::Discriminant.of(&spec, &moments).unwrap();
    // Without a penalty nearly dependent columns lose a digit more.
    check_linear(
        1e-5,
        "discriminant",
        &discriminant,
        &reference["discriminant_breast"],
    );
    let bayes = Fit::NaiveBayes {
        smoothing: 1e-9,
        alpha: 1.0,
    };
    let bayes = bayes.of(&spec, &moments).unwrap();
    let rows = csv.rows[..20].iter();
    let found: Vec<f64> = rows
        .flat_map(|row| scores(&bayes, &Csv::numbers(&row[..30]), &[]))
        .collect();
    check(
        "Gaussian naive Bayes",
        &found,
        &reference["gaussian_breast"],
    );
}

#[test]
fn categories_are_counted() {
    let path = folder().with_file_name("cases/categorical-naive-bayes/train.csv");
    let csv = Csv::read(&path);
    let mut text = format!("format = 1\nname = \"t\"\nrows = {}\n", csv.rows.len());
    // As scikit-learn: every number up to the largest is a category.
    let listed = |column: usize| -> Vec<String> {
        let mut all: Vec<String> = csv.rows.iter().map(|row| row[column].clone()).collect();
        all.sort_unstable();
        all.dedup();
        if column + 1 < csv.header.len() {
            let largest = all.iter().map(|cell| cell.parse::<f64>().unwrap() as u32);
            all = (0..=largest.max().unwrap())
                .map(|code| format!("{code}.0"))
                .collect();
        }
        all
    };
    for (column, name) in csv.header.iter().enumerate() {
        let (table, list) = if column + 1 == csv.header.len() {
            ("[target]", "classes")
        } else {
            ("[[column]]", "categories")
        };
        let values = listed(column);
        write!(text, "{table}\nname = {name:?}\n{list} = {values:?}\n").unwrap();
    }
    let spec = StatisticsSpec::from_toml(&text).unwrap();
    let moments = pooled(&spec, &csv, 16_000, true);
    for (class, name) in listed(csv.header.len() - 1).into_iter().enumerate() {
        let rows = csv.rows.iter().filter(|row| row.last().unwrap() == &name);
        assert_eq!(moments.class_count(class) as usize, rows.count());
    }
    let bayes = Fit::NaiveBayes {
        smoothing: 0.0,
        alpha: 0.5,
    };
    let bayes = bayes.of(&spec, &moments).unwrap();
    let rows = csv.rows[..20].iter();
    let found: Vec<f64> = rows.flat_map(|row| scores(&bayes, &[], row)).collect();
    check(
        "categorical naive Bayes",
        &found,
        &reference()["categorical"],
    );
}

/// Owners know what they have contributed, so no two totals of the same rows may tell their errors apart.
#[test]
fn the_same_rows_show_the_same_numbers() {
    let (secret, public) = keys();
    // Room that makes the step nearly twice the error's bound, and sums of multiples of it: an error that
    // reaches half of a step has a probability below 2^-40.
    let bound = error(secret.parameter_set(), 1) / 0.49;
    let rows = (2f64.powi(-21) / bound).ceil() as u64 + 1;
    let spec = small_spec(rows);
    let shown = || {
        let rows = [[0.25, 0.75, 0.25], [0.75, 0.25, 0.75]];
        let moments = open(&secret, &spec, &own(&spec, &public, &rows)).unwrap();
        assert!(moments.error() < 2f64.powi(-19));
        (moments.columns(&spec), moments.correlations(&spec))
    };
    let (columns, correlations) = shown();
    assert_eq!(columns, [(0.5, 0.25); 3]);
    assert_eq!(
        correlations,
        [[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]]
    );
    for _ in 0..3 {
        assert_eq!(shown(), (columns.clone(), correlations.clone()));
    }
}

#[test]
fn sixty_columns_fit_twenty_four_kilobytes() {
    let (_, public) = keys();
    for (target, numbers, texts) in [
        ("low = 0.0\nhigh = 1.0", 61, vec![]),
        ("classes = [\"0\", \"1\"]", 60, vec!["1"]),
    ] {
        let csv = Csv {
            header: (0..61).map(|column| format!("c{column}")).collect(),
            rows: vec![vec![]; 10_000],
        };
        let spec = numeric_spec(&csv, &[(-1.0, 1.0); 60], target);
        let mut sums = Sums::new(&spec);
        sums.add(&vec![0.5; numbers], &texts).unwrap();
        let bytes = contribute(&public, &spec, &sums).unwrap().to_file_bytes();
        assert!(bytes.len() <= 24_100, "{target}: {}", bytes.len());
    }
}

fn small_spec(rows: u64) -> StatisticsSpec {
    StatisticsSpec::from_toml(&format!(
        "format = 1\nname = \"t\"\nrows = {rows}\n[[column]]\nname = \"a\"\nlow = 0\nhigh = 1\n[[column]]\nname = \"b\"\nlow = 0\nhigh = 1\n[target]\nname = \"y\"\nlow = 0\nhigh = 1"
    ))
    .unwrap()
}

fn own(spec: &StatisticsSpec, key: &PublicKey, rows: &[[f64; 3]]) -> Contribution {
    let mut sums = Sums::new(spec);
    for row in rows {
        sums.add(row, &[]).unwrap();
    }
    contribute(key, spec, &sums).unwrap()
}

/// A model is never made of sums that wrapped around or that no rows have.
#[test]
fn what_does_not_add_up_is_refused() {
    let (secret, public) = keys();
    let spec = small_spec(4);
    let rows = [[0.1, 0.9, 0.2], [0.4, 0.3, 0.5], [0.8, 0.1, 0.9]];
    let (one, two) = (own(&spec, &public, &rows), own(&spec, &public, &rows));
    // Six rows where four have room: the counts wrapped around, the first word tells.
    let mut total = Total::new(&spec);
    total.add(&one).unwrap();
    assert!(matches!(
        total.add(&one),
        Err(TotalError::Training(TrainingError::Doubled {
            first: 1,
            second: 2
        }))
    ));
    total.add(&two).unwrap();
    assert!(matches!(
        open(&secret, &spec, &total.finish().unwrap()),
        Err(StatisticsError::Training(
            TrainingError::TooManyRowsTogether { limit: 4 }
        ))
    ));
    assert!(matches!(
        Total::new(&spec).finish(),
        Err(TotalError::Training(TrainingError::Nothing))
    ));
    // Another spec, another key holder.
    assert!(matches!(
        Total::new(&small_spec(5)).add(&one),
        Err(TotalError::Training(TrainingError::OtherSpec { .. }))
    ));
    let (other, other_public) = keys();
    assert!(matches!(
        open(&other, &spec, &one),
        Err(StatisticsError::Training(TrainingError::OtherKey { .. }))
    ));
    let mut total = Total::new(&spec);
    total.add(&one).unwrap();
    assert!(matches!(
        total.add(&own(&spec, &other_public, &rows)),
        Err(TotalError::Training(TrainingError::OtherKey { .. }))
    ));
    // Garbage in place of sums.
    let mut garbage = one.clone();
    let len = garbage.ciphertexts.len();
    for byte in &mut garbage.ciphertexts[len / 3..len - 20] {
        *byte = byte.wrapping_mul(31).wrapping_add(7);
    }
    assert!(matches!(
        open(&secret, &spec, &garbage),
        Err(StatisticsError::Training(
            TrainingError::Impossible { .. } | TrainingError::TooManyRowsTogether { .. }
        ))
    ));
    let mut cut = one;
    cut.ciphertexts.pop();
    assert!(matches!(
        open(&secret, &spec, &cut),
        Err(StatisticsError::Scheme(_))
    ));
}

#[test]
fn what_cannot_be_fitted_is_named() {
    let (secret, public) = keys();
    let spec = small_spec(10);
    let fit = |rows: &[[f64; 3]]| {
        let moments = open(&secret, &spec, &own(&spec, &public, rows)).unwrap();
        let error = Fit::Linear { penalty: 0.0 }.of(&spec, &moments);
        error.unwrap_err().to_string()
    };
    let constant = fit(&[[0.5, 0.1, 0.2], [0.5, 0.7, 0.3], [0.5, 0.2, 0.9]]);
    assert!(constant.contains("column \"a\" is constant"), "{constant}");
    // Components take it: it has no part in the first of them.
    let moments = [[0.5, 0.1, 0.2], [0.5, 0.7, 0.3], [0.5, 0.2, 0.9]];
    let moments = open(&secret, &spec, &own(&spec, &public, &moments)).unwrap();
    let components = Fit::Components { count: 2 }.of(&spec, &moments).unwrap();
    let FittedFunction::Map { weights } = components.function else {
        panic!("components are a map");
    };
    assert!(
        weights[0][0].abs() < 1e-6 && weights[0][1] > 0.999,
        "{weights:?}"
    );
    let dependent = fit(&[[0.1, 0.2, 0.2], [0.2, 0.4, 0.3], [0.3, 0.6, 0.9]]);
    assert!(dependent.contains("column \"b\" follows"), "{dependent}");
    let moments = own(&spec, &public, &[[0.1, 0.2, 0.3], [0.9, 0.1, 0.2]]);
    let moments = open(&secret, &spec, &moments).unwrap();
    let error = Fit::Discriminant.of(&spec, &moments).unwrap_err();
    assert!(error.to_string().contains("no classes"), "{error}");
    let mut sums = Sums::new(&spec);
    let error = sums.add(&[0.1, f64::NAN, 0.2], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 1, column \"b\": NaN is no finite number; leave the row out"
    );
    sums.add(&[0.1, 7.0, 0.2], &[]).unwrap();
    assert_eq!(sums.clipped().collect::<Vec<_>>(), [("b", 1)]);
}

fn golden(name: &str) -> PathBuf {
    cipherfn_tests::golden().with_file_name(name)
}

fn golden_spec() -> StatisticsSpec {
    let text = std::fs::read_to_string(golden("v3/statistics.toml")).unwrap();
    StatisticsSpec::from_toml(&text).unwrap()
}

fn golden_key() -> SecretKey {
    SecretKey::from_file_bytes(&std::fs::read(golden("v2/wide/secret.cfk")).unwrap()).unwrap()
}

/// Two owners' files, added, keep being read, and written as they were.
#[test]
fn files_keep_their_bytes() {
    let bytes = std::fs::read(golden("v3/public.cfu")).unwrap();
    let public = PublicKey::from_file_bytes(&bytes).unwrap();
    assert_eq!(public.to_file_bytes(), bytes);
    assert_eq!(public.id(), golden_key().id());
    let spec = golden_spec();
    let bytes = std::fs::read(golden("v3/total.cft")).unwrap();
    let mut total = Total::new(&spec);
    total
        .add(&Contribution::from_file_bytes(&bytes).unwrap())
        .unwrap();
    let total = total.finish().unwrap();
    assert_eq!(total.to_file_bytes(), bytes);
    let moments = open(&golden_key(), &spec, &total).unwrap();
    assert_eq!((moments.class_count(0), moments.class_count(1)), (1.0, 2.0));
    let (mean, deviation) = moments.columns(&spec)[0];
    assert!((mean - 40.0).abs() < 1e-6 && (deviation - 200f64.sqrt() / 3f64.sqrt()).abs() < 1e-6);
    let program = std::fs::read(golden("v3/training.cfn")).unwrap();
    let training = Training::from_json(&program).unwrap();
    assert_eq!(training.to_json().unwrap(), program);
}

/// Made the files of [`files_keep_their_bytes`], once.
#[test]
#[ignore = "writes golden files anew"]
fn make_golden_files() {
    let public = PublicKey::generate(&golden_key()).unwrap();
    std::fs::write(golden("v3/public.cfu"), public.to_file_bytes()).unwrap();
    let spec = golden_spec();
    let mut total = Total::new(&spec);
    for rows in [
        &[(30.0, "red", "no"), (50.0, "blue", "yes")][..],
        &[(40.0, "blue", "yes")],
    ] {
        let mut sums = Sums::new(&spec);
        for (age, colour, ill) in rows {
            sums.add(&[*age], &[colour, ill]).unwrap();
        }
        total
            .add(&contribute(&public, &spec, &sums).unwrap())
            .unwrap();
    }
    let total = total.finish().unwrap();
    std::fs::write(golden("v3/total.cft"), total.to_file_bytes()).unwrap();
}

/// Times of ten owners with 30 columns, for docs/benchmarks.md.
#[test]
#[ignore = "a measurement: --ignored --nocapture"]
fn figures() {
    let csv = Csv::read(&library_models().join("logreg_bc/train.csv"));
    let spec = numeric_spec(&csv, &ranges(&csv), "low = 0.0\nhigh = 1.0");
    let (secret, public) = keys();
    let mut sums = Sums::new(&spec);
    for row in &csv.rows {
        sums.add(&Csv::numbers(row), &[]).unwrap();
    }
    let timed = |what: &str, run: &mut dyn FnMut()| {
        let best = (0..20).map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        });
        println!("{what}: {:.2?}", best.min().unwrap());
    };
    timed("encrypt a contribution", &mut || {
        contribute(&public, &spec, &sums).unwrap();
    });
    let files: Vec<Vec<u8>> = (0..OWNERS)
        .map(|_| contribute(&public, &spec, &sums).unwrap().to_file_bytes())
        .collect();
    let add = || {
        let mut total = Total::new(&spec);
        for file in &files {
            total
                .add(&Contribution::from_file_bytes(file).unwrap())
                .unwrap();
        }
        total.finish().unwrap()
    };
    timed("read and add ten", &mut || drop(add()));
    let one = contribute(&public, &spec, &sums).unwrap();
    timed("decrypt, and fit ridge regression", &mut || {
        let moments = open(&secret, &spec, &one).unwrap();
        Fit::Linear { penalty: 1.0 }.of(&spec, &moments).unwrap();
    });
    println!("a contribution: {} bytes", files[0].len());
}
