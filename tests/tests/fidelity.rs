//! Every model of the kinds that are supported, every test row, in the clear and really encrypted:
//! labels are the library's own wherever its margin exceeds the stated precision, and values lie
//! within it.

use cipherfn_client::Client;
use cipherfn_compiler::Compiled;
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_tests::{
    Clear, Encrypted, EncryptedElsewhere, Evaluator, Result, Server, compile, library_models,
    own_models, predict,
};
use std::path::{Path, PathBuf};

/// `expected.csv` has 32-bit values in decimal.
const FLOAT_ERROR: f64 = 2e-5;

const MODELS: [&str; 14] = [
    "dt_bc",
    "gbc_bc",
    "lgbm_bc",
    "linearsvc_bc",
    "linreg_diabetes",
    "logreg_bc",
    "logreg_digits",
    "pipeline_scaler_logreg_bc",
    "rf_bc",
    "rfreg_diabetes",
    "ridge_diabetes",
    "xgb_bc",
    "xgb_wine",
    "xgbreg_diabetes",
];

struct Predictions {
    labels: Option<Vec<String>>,
    values: Vec<Vec<f64>>,
}

fn parse(text: &[u8], label: &str) -> Result<Predictions> {
    let mut reader = csv::Reader::from_reader(text);
    let label = reader.headers()?.iter().position(|name| name == label);
    let mut predictions = Predictions {
        labels: label.map(|_| Vec::new()),
        values: Vec::new(),
    };
    for record in reader.records() {
        let record = record?;
        let values = record
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != label);
        predictions.values.push(
            values
                .map(|(_, cell)| cell.parse())
                .collect::<std::result::Result<_, _>>()?,
        );
        if let (Some(labels), Some(label)) = (&mut predictions.labels, label) {
            labels.push(record[label].to_owned());
        }
    }
    Ok(predictions)
}

/// Distance of the two largest values; of one value, from the decision boundary at 0.
fn margin(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted
        .get(1)
        .map_or(values[0].abs(), |second| sorted[0] - second)
}

/// The header and the first `rows` rows of a CSV file without line breaks in cells.
fn head(csv: &str, rows: usize) -> String {
    csv.split_inclusive('\n')
        .take(rows.saturating_add(1))
        .collect()
}

/// Compares at most `rows` rows, in the clear and encrypted. `label` names the column of
/// `expected.csv` that holds a classifier's label.
fn check(folder: &Path, rows: usize, label: &str) -> Result<()> {
    let compiled = compile(folder, |_| ())?;
    let client = Client::new(compiled.specs.clone())?;
    let secret = SecretKey::generate(client.parameter_set()).expect("random bytes");
    let key = (!client.key_parts().is_empty())
        .then(|| EvaluationKey::generate(&secret))
        .transpose()?;
    let bundle = cipherfn_engine::bundle::write(&compiled.bundle)?;
    let server = Server::new(&bundle, key.map(|key| key.to_file_bytes()).as_deref())?;
    let bound = Bound::of(&compiled);
    let clear = Clear::new(&client, &secret, &bundle)?;
    check_with(&clear, folder, rows, label, bound)?;
    let encrypted = Encrypted {
        client: &client,
        secret: &secret,
        server: &server,
    };
    check_with(&encrypted, folder, rows, label, bound)
}

/// How far values may be from the library's.
#[derive(Clone, Copy)]
struct Bound {
    /// Of the scores.
    precision: f64,
    /// Whether values without labels are the scores' exponentials, as counts and amounts are.
    exponential: bool,
}

impl Bound {
    /// What the report promises.
    fn of(compiled: &Compiled) -> Self {
        let report = &compiled.report;
        let mut operators = report.model.operators.iter();
        Self {
            precision: report.precision.scores.iter().copied().fold(0.0, f64::max),
            exponential: operators.any(|name| name.starts_with("Exp ")),
        }
    }

    /// For a value behind the link. Logistic and softmax have slopes below 1, so a probability is
    /// off by less than its score; an exponential's slope is the value itself.
    fn around(self, wanted: f64, labelled: bool) -> f64 {
        let slope = if self.exponential && !labelled {
            wanted.abs() * self.precision.exp()
        } else {
            1.0
        };
        self.precision * slope + FLOAT_ERROR * wanted.abs().max(1.0)
    }
}

/// Holds an evaluator to the library's values, up to `bound`.
fn check_with(
    evaluator: &dyn Evaluator,
    folder: &Path,
    rows: usize,
    label: &str,
    bound: Bound,
) -> Result<()> {
    let name = folder.display();
    let read = |file| std::fs::read_to_string(folder.join(file)).map(|text| head(&text, rows));
    let found = predict(evaluator, read("test.csv")?.as_bytes())?;
    let found = parse(found.as_bytes(), "label")?;
    let label = if found.labels.is_some() { label } else { "" };
    let wanted = parse(read("expected.csv")?.as_bytes(), label)?;
    assert_eq!(found.values.len(), wanted.values.len(), "{name}: rows");
    let labelled = found.labels.is_some();
    for (row, (found, wanted)) in found.values.iter().zip(&wanted.values).enumerate() {
        // A linear SVM's one decision value is our scores -d and d.
        let found = &found[found.len() - wanted.len()..];
        for (found, wanted) in found.iter().zip(wanted) {
            let bound = bound.around(*wanted, labelled);
            assert!(
                (found - wanted).abs() <= bound,
                "{name}, row {row}: {found} instead of {wanted}, bound {bound}"
            );
        }
    }
    if let (Some(found), Some(labels)) = (&found.labels, &wanted.labels) {
        for (row, ((found, label), values)) in
            found.iter().zip(labels).zip(&wanted.values).enumerate()
        {
            assert!(
                found == label || margin(values) <= bound.precision,
                "{name}, row {row}: label {found} instead of {label}"
            );
        }
    }
    Ok(())
}

fn check_all(models: impl Iterator<Item = PathBuf>, rows: usize, label: &str) {
    let failure = |folder: PathBuf| {
        check(&folder, rows, label)
            .err()
            .map(|error| format!("{}: {error}", folder.display()))
    };
    let failures: Vec<String> = models.filter_map(failure).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn predictions_are_the_librarys() {
    check_all(
        MODELS.iter().map(|name| library_models().join(name)),
        usize::MAX,
        "label",
    );
}

/// Models of every exporter, branch mode, post-transform and pre-processing step, against ONNX
/// Runtime's outputs: the label first.
#[test]
fn predictions_are_onnx_runtimes() {
    let folders = std::fs::read_dir(own_models()).expect("the models lie in the repository");
    let mut models: Vec<PathBuf> = folders
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_dir())
        .collect();
    models.sort();
    assert!(models.len() > 80, "{} models", models.len());
    check_all(models.into_iter(), 6, "o0_0");
}

/// Rows that somebody encrypted under a public key are predicted as exactly as rows under the secret key,
/// one alone and many that share ciphertexts.
#[test]
fn rows_encrypted_elsewhere_are_predicted_as_exactly() -> Result<()> {
    for (name, rows) in [
        ("logreg_bc", 150),
        ("linreg_diabetes", 150),
        ("linearsvc_bc", 40),
        ("dt_bc", 12),
        ("xgb_wine", 4),
    ] {
        let folder = library_models().join(name);
        // Linear models have more bits by default than rows under a public key.
        let bits = name.starts_with('l').then_some(10.0);
        let compiled = compile(&folder, |options| options.precision = bits)?;
        let client = Client::new(compiled.specs.clone())?;
        let secret = SecretKey::generate(client.parameter_set())?;
        let key = (!client.key_parts().is_empty())
            .then(|| EvaluationKey::generate(&secret))
            .transpose()?;
        let key = key.map(|key| key.to_file_bytes());
        let bundle = cipherfn_engine::bundle::write(&compiled.bundle)?;
        let elsewhere = EncryptedElsewhere {
            holder: Encrypted {
                client: &client,
                secret: &secret,
                server: &Server::new(&bundle, key.as_deref())?,
            },
            public: PublicKey::generate(&secret)?,
        };
        for rows in [1, rows] {
            check_with(&elsewhere, &folder, rows, "label", Bound::of(&compiled))?;
        }
    }
    Ok(())
}

/// Standard deviations beside means, really encrypted, within what the precision of both scores says.
#[test]
fn deviations_are_those_of_the_librarys_trees() -> Result<()> {
    let folder = own_models().join("../cases/forest-uncertainty");
    let compiled = compile(&folder, |options| options.uncertainty = true)?;
    let client = Client::new(compiled.specs.clone())?;
    let secret = SecretKey::generate(client.parameter_set()).expect("random bytes");
    let key = EvaluationKey::generate(&secret)?.to_file_bytes();
    let bundle = cipherfn_engine::bundle::write(&compiled.bundle)?;
    let encrypted = Encrypted {
        client: &client,
        secret: &secret,
        server: &Server::new(&bundle, Some(&key))?,
    };
    let read = |file| std::fs::read_to_string(folder.join(file)).map(|text| head(&text, 8));
    let found = predict(&encrypted, read("rows.csv")?.as_bytes())?;
    assert!(found.starts_with("prediction,prediction_std\n"), "{found}");
    let found = parse(found.as_bytes(), "label")?.values;
    let wanted = parse(read("expected.csv")?.as_bytes(), "label")?.values;
    let [mean, squares] = compiled.specs.specs().decoding.scores.as_slice() else {
        return Err("a mean and a mean of squares".into());
    };
    let precisions = (mean.precision.get(), squares.precision.get());
    let distance = (mean.range.1.get() - mean.range.0.get()) / 2.0;
    assert_eq!(found.len(), 8);
    let mut telling = 0;
    for (found, wanted) in found.iter().zip(&wanted) {
        // What is printed is off by at most half as much again.
        assert!((found[0] - wanted[0]).abs() <= 1.5 * precisions.0 + FLOAT_ERROR * wanted[0]);
        // The variance is off by the squares' error and by twice the distance from the middle times
        // the mean's.
        let error = precisions.1 + 2.0 * distance * precisions.0;
        let variance = wanted[1].powi(2);
        let (low, high) = (
            (variance - error).max(0.0).sqrt(),
            (variance + error).sqrt(),
        );
        let room = (high - low) / 2.0;
        assert!(
            (low - room..=high + room).contains(&found[1]),
            "{} instead of {}",
            found[1],
            wanted[1]
        );
        telling += usize::from(room < wanted[1] / 8.0);
    }
    assert!(telling >= 4, "most deviations are far above their error");
    Ok(())
}
