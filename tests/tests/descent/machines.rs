//! Support vector machines of several classes with a penalty: each a table, a number of sets and a factor that
//! logistic regression of two classes does without.

use super::{QUIET, keys};
use cipherfn_client::training::{DescentRow, RowsEncryption, decrypt_weights};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::{Descent, SET, noise};
use cipherfn_training::descent::{
    DescentStart, Simulation, Training, accuracy, mean_square, simulate,
};
use std::sync::Arc;

fn training(penalty: f64) -> Training {
    let text = format!(
        "format = 1\nname = \"t\"\nalgorithm = \"svm\"\nbatch = 8\nepochs = 1\nrate = 1.0\ndecay = 0.05\npenalty = {penalty:?}\n[[column]]\nname = \"a\"\nlow = -3\nhigh = 3\n[[column]]\nname = \"b\"\nlow = -3\nhigh = 3\n[target]\nname = \"y\"\nclasses = [\"north\", \"west\", \"east\"]\n"
    );
    Training::from_toml(&text).unwrap()
}

/// Rows around three points. All z are 0 in the first step and 2 or more on either side later, seven deviations of
/// z from where a row is a support vector or none; one row of the last batch has another's label.
fn rows() -> Vec<DescentRow> {
    let row = |number: i32| {
        let (class, others) = (number % 3, [number * 7 % 3 - 1, number * 5 % 3 - 1]);
        let middle = [[0, 12], [-10, -6], [10, -6]][class as usize];
        let place = |axis: usize| (middle[axis] + others[axis]).clamp(-12, 12);
        let class = if number == 20 { class + 1 } else { class };
        (vec![place(0), place(1), 4], class as usize % 3)
    };
    (0..24).map(row).collect()
}

#[test]
fn machines_of_three_classes_are_those_of_the_clear() {
    let (training, rows) = (training(0.1), rows());
    let (secret, key) = keys();
    let encryption =
        RowsEncryption::new(Arc::clone(&secret), &training, rows.as_slice().into(), None);
    let (upload, hash) = encryption.unwrap().upload().unwrap();
    let mut descent = Descent::new(&training, key, upload).unwrap();
    while descent.step(key).unwrap() {}
    assert_eq!(descent.progress(), (3, 3));
    let result = descent.finish().unwrap();
    let found = decrypt_weights(&secret, &training, (rows.len(), hash), &result).unwrap();

    let steps = training.schedule(rows.len()).unwrap();
    let weights = |error: f64| -> Vec<Vec<f64>> {
        let sets = found.iter();
        sets.map(|own| training.weights(&steps, own, error))
            .collect()
    };
    let set = ParameterSet::by_name(SET).unwrap();
    let noise = noise(&training, set, mean_square(&training, &rows)).unwrap();
    let zero = DescentStart::zero(&training);
    let own = training.require_weights_of(&rows, &noise, &zero, &found);
    own.unwrap();
    let clear = simulate(&training, &rows, &QUIET).unwrap();
    let Simulation {
        deviation, error, ..
    } = simulate(&training, &rows, &noise).unwrap();
    let exact = weights(0.0).concat();
    let off = |other: &[Vec<f64>]| {
        let other = other.concat();
        assert_eq!(exact.len(), other.len());
        let off = exact
            .iter()
            .zip(other)
            .map(|(one, other)| (one - other).abs());
        off.fold(0.0, f64::max)
    };
    let worst = off(&clear.unrounded);
    println!("off by {worst:.4} at most, predicted deviation {deviation:.4}");
    // As in `interruptions_leave_no_trace`, of a weight whose squares are four times the average.
    assert!(worst < 18.0 * deviation, "{worst} {deviation}");
    // The penalty has done more than that.
    let without = simulate(&self::training(0.0), &rows, &QUIET).unwrap();
    assert!(off(&without.unrounded) > 18.0 * deviation);

    let written = weights(error / training.weight_deviation(&steps, 1.0));
    let right = accuracy(&training, &written, &rows);
    assert!((right - 23.0 / 24.0).abs() < 1e-9, "{right}");
    let (model, _) = training.fitted(&written).raw_weights().unwrap();
    assert_eq!(model.len(), 3);
}
