//! Training by descent on encrypted rows: as in the clear, as good as the simulation says, and the
//! same bits after an interruption.

use cipherfn_client::training::{decrypt_weights, encrypt_rows};
use cipherfn_compiler::write::write_onnx;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::{Descent, DescentError, SET, noise, required_parts};
use cipherfn_tests::library_models;
use cipherfn_training::descent::{StepNoise, Training, accuracy, simulate, synthetic};
use std::fmt::Write;

fn keys() -> (SecretKey, ExpandedEvaluationKey) {
    let set = ParameterSet::by_name(SET).unwrap();
    let secret = SecretKey::generate(set).unwrap();
    let made = |name: &str| EvaluationKey::generate_part(&secret, name).unwrap();
    let parts = required_parts(set).unwrap();
    let mut key = made(parts[0].name).expand().unwrap();
    for part in &parts[1..] {
        key.add(&made(part.name)).unwrap();
    }
    (secret, key)
}

fn training(batch: usize, epochs: u32, columns: &[&str], end: f64) -> Training {
    let mut text = format!(
        "format = 1\nname = \"t\"\nalgorithm = \"logistic\"\nbatch = {batch}\nepochs = {epochs}\nrate = 1.0\ndecay = 0.05\n[target]\nname = \"target\"\nclasses = [\"0\", \"1\"]\n"
    );
    for name in columns {
        write!(
            text,
            "[[column]]\nname = {name:?}\nlow = -{end:?}\nhigh = {end:?}\n"
        )
        .unwrap();
    }
    Training::from_toml(&text).unwrap()
}

fn mean_square(rows: &[(Vec<i32>, usize)]) -> f64 {
    let values = rows.iter().flat_map(|(features, _)| features);
    let squares: f64 = values.clone().map(|x| f64::from(x * x)).sum();
    squares / values.count() as f64
}

/// Two epochs of 24 rows in batches of 16: a run that was interrupted after each step, on one thread,
/// gives the bits of one that was not, on all.
#[test]
fn interruptions_leave_no_trace() {
    let training = training(16, 2, &["a", "b", "c"], 3.0);
    let rows = synthetic(&training, 24);
    let (secret, key) = keys();
    let uploads = encrypt_rows(&secret, &training, &rows).unwrap();
    let begin = || Descent::new(&training, &key, rows.len(), &uploads).unwrap();
    let mut whole = begin();
    while whole.step().unwrap() {}
    assert_eq!(whole.progress(), (4, 4));
    let mut state = begin().state();
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    one.install(|| {
        loop {
            let mut again = begin();
            again.resume(&state).unwrap();
            if !again.step().unwrap() {
                break;
            }
            state = again.state();
        }
    });
    assert_eq!(state, whole.state());

    // What is no state of this training is refused, and nothing is passed off as trained.
    let mut other = begin();
    assert!(matches!(
        begin().finish(),
        Err(DescentError::Unfinished { done: 0, all: 4 })
    ));
    let anew = encrypt_rows(&secret, &training, &rows).unwrap();
    let mut elsewhere = Descent::new(&training, &key, rows.len(), &anew).unwrap();
    assert!(matches!(
        elsewhere.resume(&state),
        Err(DescentError::OtherState {
            what: "upload of rows"
        })
    ));
    assert!(matches!(
        other.resume(&state[..99]),
        Err(DescentError::Frame(_))
    ));
    let missing = [anew[0][..1].to_vec()];
    assert!(matches!(
        Descent::new(&training, &key, rows.len(), &missing),
        Err(DescentError::Batches {
            set: 1,
            expected: 2,
            found: 1
        })
    ));
    let few = Descent::new(&training, &key, 8, &anew);
    assert!(few.unwrap_err().to_string().contains("lower \"batch\""));

    // The weights are those of the clear, up to nine of the deviations predicted for their feature's
    // squares: with an eighth more under this key eight, which one of four weights passes with a
    // probability below 2^-40.
    let set = ParameterSet::by_name(SET).unwrap();
    let noise = noise(&training, set, mean_square(&rows)).unwrap();
    let quiet = StepNoise {
        of_z: 0.0,
        of_residual: 0.0,
        of_update: 0.0,
    };
    let clear = simulate(&training, &rows, &quiet).unwrap();
    let predicted = simulate(&training, &rows, &noise).unwrap().deviation;
    let steps = training.schedule(rows.len()).unwrap();
    let found = decrypt_weights(&secret, &training, &whole.finish().unwrap()).unwrap();
    let found = training.weights(&steps, &found[0], 0.0);
    assert!(predicted < 0.2);
    for (index, (found, clear)) in found.iter().zip(&clear.sets[0]).enumerate() {
        let squares: f64 = rows.iter().map(|row| f64::from(row.0[index].pow(2))).sum();
        let own = squares / rows.len() as f64 / mean_square(&rows);
        let predicted = predicted * own.sqrt().max(1.0);
        println!("{found:.4} {clear:.4}, predicted deviation {predicted:.4}");
        assert!((found - clear).abs() < 9.0 * predicted, "{found} {clear}");
    }
}

/// The rows of a table, in the order of descent.
fn table(training: &Training, file: &str) -> Vec<(Vec<i32>, usize)> {
    let text = std::fs::read_to_string(library_models().join(file)).unwrap();
    let rows: Vec<(Vec<i32>, usize)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (numbers, class) = line.rsplit_once(',').unwrap();
            let numbers: Vec<f64> = numbers
                .split(',')
                .map(|cell| cell.parse().unwrap())
                .collect();
            let class = training.class(1, class.trim_end_matches(".0")).unwrap();
            (training.encode(1, &numbers).unwrap().0, class)
        })
        .collect();
    let order = Training::order(rows.len()).into_iter();
    order.map(|place| rows[place].clone()).collect()
}

/// One epoch on breast cancer, 30 features, encrypted: as many rows right as simulated, and of the rows
/// that were kept apart as many as scikit-learn's logistic regression but for some.
#[test]
fn breast_cancer_is_learned() {
    let folder = library_models().join("logreg_bc");
    let header = std::fs::read_to_string(folder.join("train.csv")).unwrap();
    let columns: Vec<&str> = header.lines().next().unwrap().split(',').collect();
    let training = training(64, 1, &columns[..30], 3.0);
    let rows = table(&training, "logreg_bc/train.csv");
    let apart = table(&training, "logreg_bc/test.csv");
    let set = ParameterSet::by_name(SET).unwrap();
    let noise = noise(&training, set, mean_square(&rows)).unwrap();
    let simulated = simulate(&training, &rows, &noise).unwrap();
    let (secret, key) = keys();
    let uploads = encrypt_rows(&secret, &training, &rows).unwrap();
    let mut descent = Descent::new(&training, &key, rows.len(), &uploads).unwrap();
    while descent.step().unwrap() {}
    let weights = decrypt_weights(&secret, &training, &descent.finish().unwrap()).unwrap();
    let steps = training.schedule(rows.len()).unwrap();
    let sets = [training.weights(&steps, &weights[0], 0.0)];
    let (own, other) = (
        accuracy(&training, &sets, &rows),
        accuracy(&training, &sets, &apart),
    );
    println!(
        "trained {own:.4}, apart {other:.4}, simulated {:.4}",
        simulated.accuracy
    );
    // In 300 simulations 10 of the 200 rows, and 4 of the 143 that were kept apart, had a score within
    // 8.4 standard deviations of zero: 7.5, which is 2^-43, and the eighth that a key may have more.
    // Without noise 137 are right of those apart. So these fail, whatever the keys, with a probability
    // below 2^-40.
    assert!((own - simulated.accuracy).abs() < 10.5 / 200.0);
    assert!(other > 132.5 / 143.0, "{other}");
    assert!(!write_onnx(&training.fitted(&sets)).is_empty());
}
