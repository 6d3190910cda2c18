use super::{
    DescentStart, KeptWeights, Simulation, StepNoise, Training, simulate, simulate_from, synthetic,
};
use cipherfn_protocol::hash::Hash;

const QUIET: StepNoise = StepNoise {
    of_z: 0.0,
    of_residual: 0.0,
    of_update: 0.0,
};

fn text(rest: &str) -> String {
    format!(
        "format = 1\nname = \"t\"\nalgorithm = \"logistic\"\nbatch = 64\nepochs = 3\n{rest}\n[[column]]\nname = \"a\"\nlow = 0\nhigh = 10\n[[column]]\nname = \"b\"\nlow = -1\nhigh = 1\n[target]\nname = \"y\"\nclasses = [\"no\", \"yes\"]"
    )
}

pub(super) fn training(rest: &str) -> Training {
    Training::from_toml(&text(rest)).unwrap()
}

#[test]
fn programs_survive() {
    let own = training("rate = 1.0");
    let again = Training::from_json(&own.to_json().unwrap()).unwrap();
    assert_eq!(again, own);
    assert_eq!(Training::from_json(own.canonical()).unwrap(), own);
    assert_eq!(own.hash(), Hash::of(own.canonical()));
    assert_ne!(own.hash(), training("rate = 2.0").hash());
    let (features, clipped) = own.encode(1, &[5.0, 7.0]).unwrap();
    assert_eq!((features, clipped), (vec![0, 12, 4], vec![1]));
    let mut order = Training::order(100);
    assert_ne!(order[..3], [0, 1, 2]);
    order.sort_unstable();
    assert!(order.into_iter().eq(0..100));
}

#[test]
fn bad_programs_are_refused() {
    for (rest, expected) in [
        ("rate = 0.0", "\"rate\" is 0"),
        ("rate = nan", "\"rate\" is NaN"),
        ("rate = 1.0\npenalty = 1.0", "diverges"),
        ("rate = 1.0\nmomentum = 0.9", "unknown field"),
        ("rate = 1.0\ndecay = -1.0", "\"decay\" is -1"),
    ] {
        let error = Training::from_toml(&text(rest)).unwrap_err().to_string();
        assert!(error.contains(expected), "{rest}: {error}");
    }
    let endless = text("rate = 1.0").replace("high = 10", "");
    let error = Training::from_toml(&endless).unwrap_err().to_string();
    assert!(error.ends_with("give \"low\" and \"high\""), "{error}");
    // Of a later format only the number is looked at.
    let later = text("speed = 1.0").replace("format = 1", "format = 2");
    let error = Training::from_toml(&later).unwrap_err().to_string();
    assert!(error.contains("format 2"), "{error}");
    let error = Training::from_json(b"{\"format\": 3, \"speed\": 1}").unwrap_err();
    assert!(error.to_string().contains("format 3"), "{error}");
    let large = text("rate = 1.0").replace("batch = 64", "batch = 513");
    let error = Training::from_toml(&large).unwrap_err().to_string();
    assert!(error.contains("1 to 512 rows"), "{error}");
}

/// A model shows its weights to steps as large as their errors: those of several keys are one file.
#[test]
fn weights_are_rounded_to_what_they_may_be_off_by() {
    let own = training("rate = 1.0");
    let machine = Training::from_toml(&text("rate = 1.0").replace("logistic", "svm")).unwrap();
    let noise = StepNoise {
        of_z: 0.15 / 64.0,
        of_residual: 2f64.powi(-22),
        of_update: 0.0,
    };
    for own in [own, machine] {
        let found = simulate(&own, &synthetic(&own, 320), &noise).unwrap();
        assert!((found.error / found.deviation - 8.0).abs() < 1e-9);
        for (rounded, exact) in found.sets[0].iter().zip(&found.unrounded[0]) {
            let steps = rounded / found.error;
            assert!((steps - steps.round()).abs() < 1e-9, "{rounded}");
            assert!((rounded - exact).abs() <= found.error / 2.0);
        }
    }
}

/// A step is that of the textbook, with rate, decay and penalty.
#[test]
fn steps_are_those_of_gradient_descent() {
    let own = training("rate = 0.5\ndecay = 0.1\npenalty = 0.05");
    let rows = synthetic(&own, 100);
    let found = simulate(&own, &rows, &QUIET).unwrap();
    let mut weights = [0.0; 3];
    for step in 0..6 {
        let batch = if step % 2 == 0 {
            &rows[..64]
        } else {
            &rows[64..]
        };
        let rate = 0.5 / (1.0 + 0.1 * f64::from(step));
        let mut gradient = weights.map(|weight| 0.05 * weight);
        for (features, class) in batch {
            let x: Vec<f64> = features.iter().map(|x| f64::from(*x) / 4.0).collect();
            let z: f64 = x.iter().zip(&weights).map(|(x, weight)| x * weight).sum();
            let residual = 1.0 / (1.0 + (-z).exp()) - *class as f64;
            for (gradient, x) in gradient.iter_mut().zip(&x) {
                *gradient += residual * x / batch.len() as f64;
            }
        }
        for (weight, gradient) in weights.iter_mut().zip(gradient) {
            *weight -= rate * gradient;
        }
    }
    for (found, expected) in found.sets[0].iter().zip(weights) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    assert!(found.accuracy > 0.55, "{}", found.accuracy);
}

/// The last batch of an epoch is what is left of the rows: each of them is looked up once.
#[test]
fn epochs_take_each_row_once() {
    let own = training("rate = 1.0");
    let steps = own.schedule(100).unwrap();
    let rows: Vec<usize> = steps.iter().map(|step| step.rows).collect();
    assert_eq!(rows, [64, 36, 64, 36, 64, 36]);
}

/// Two epochs in one training, or the second one from the weights of the first: whether they were kept as the
/// model's own or divided by what the penalty has left of them.
#[test]
fn epochs_can_be_run_one_by_one() {
    let both = text("rate = 0.5\ndecay = 0.1\npenalty = 0.05").replace("epochs = 3", "epochs = 2");
    let both = Training::from_toml(&both).unwrap();
    let one = text("rate = 0.5\ndecay = 0.1\npenalty = 0.05").replace("epochs = 3", "epochs = 1");
    let one = Training::from_toml(&one).unwrap();
    let rows = synthetic(&one, 100);
    let expected = simulate(&both, &rows, &QUIET).unwrap();
    let first = simulate(&one, &rows, &QUIET).unwrap();
    let start = DescentStart {
        before: 2,
        ..one.start(&first.sets).unwrap()
    };
    let steps = one.schedule(rows.len()).unwrap();
    let shrunk = steps[1].shrunk_after;
    let held: Vec<f64> = start.fractions[0].iter().map(|own| own / shrunk).collect();
    let noisy = DescentStart::after((0, &steps), std::slice::from_ref(&held), 0.5);
    assert_eq!((noisy.before, noisy.deviation), (2, 0.5 * shrunk));
    let kept = DescentStart::after((0, &steps), &[held], 0.0);
    for start in [start, kept] {
        let found = simulate_from(&one, &rows, &QUIET, &start).unwrap();
        for (found, expected) in found.sets[0].iter().zip(&expected.sets[0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert!((found.accuracy - expected.accuracy).abs() < 1e-12);
    }
}

#[test]
fn starts_without_room_are_refused() {
    let own = training("rate = 1.0");
    let rows = synthetic(&own, 100);
    let refused = |sets: &[Vec<f64>]| own.start(sets).unwrap_err().to_string();
    assert!(refused(&[]).contains("1 sets of weights, the start has 0"));
    assert!(refused(&[vec![0.0; 4]]).contains("has 3 weights with the constant"));
    // Half of the range, 5, is three units.
    let error = refused(&[vec![33.0, 0.0, 0.0]]);
    let expected = "column \"a\" for class \"yes\" is 33.0 for a unit of 1.66";
    assert!(error.contains(expected), "{error}");
    assert!(refused(&[vec![0.0, 0.0, f64::NAN]]).contains("the constant"));
    let steep = own.start(&[vec![30.0, 0.0, 0.0]]).unwrap();
    let error = simulate_from(&own, &rows, &QUIET, &steep).unwrap_err();
    assert!(
        error.to_string().contains("starts from lead to |z|"),
        "{error}"
    );
    let late = DescentStart {
        before: 999_999,
        ..DescentStart::zero(&own)
    };
    let error = simulate_from(&own, &rows, &QUIET, &late).unwrap_err();
    assert!(
        error.to_string().contains("with the 999999 before it"),
        "{error}"
    );
}

#[test]
fn what_diverges_or_drowns_is_refused() {
    let rows = synthetic(&training("rate = 1.0"), 200);
    let error = simulate(&training("rate = 300.0"), &rows, &QUIET).unwrap_err();
    assert!(error.to_string().contains("lower \"rate\""), "{error}");
    let both = training("rate = 300.0\npenalty = 0.001");
    let error = simulate(&both, &rows, &QUIET).unwrap_err();
    assert!(error.to_string().contains("lower \"rate\""), "{error}");
    // z stays far within the table, but weights are kept as 2^11 times what they are.
    let shrinking = training("rate = 1.0\npenalty = 0.5");
    let error = simulate(&shrinking, &rows, &QUIET).unwrap_err().to_string();
    assert!(error.contains("lower \"penalty\""), "{error}");
    assert!(error.contains("4.9e-4"), "{error}");
    // Not in three hundred digits.
    let endless = text("rate = 1.0\npenalty = 0.5").replace("epochs = 3", "epochs = 200");
    let endless = Training::from_toml(&endless).unwrap();
    let error = simulate(&endless, &rows, &QUIET).unwrap_err().to_string();
    assert!(error.len() < 400, "{error}");
    let noisy = StepNoise {
        of_residual: 2f64.powi(-22),
        ..QUIET
    };
    assert!(simulate(&training("rate = 1.0"), &rows, &noisy).is_ok());
    let error = simulate(&training("rate = 0.01"), &rows, &noisy).unwrap_err();
    assert!(error.to_string().contains("raise \"rate\""), "{error}");
    let error = simulate(&training("rate = 1.0"), &rows[..10], &QUIET).unwrap_err();
    assert!(error.to_string().contains("fewer than a batch"), "{error}");
}

#[test]
fn three_classes_have_three_sets() {
    let text = text("rate = 2.0").replace("[\"no\", \"yes\"]", "[\"a\", \"b\", \"c\"]");
    for text in [text.clone(), text.replace("logistic", "svm")] {
        let own = Training::from_toml(&text).unwrap();
        let rows = synthetic(&own, 300);
        let found = simulate(&own, &rows, &QUIET).unwrap();
        assert_eq!(found.sets.len(), 3);
        assert!(found.accuracy > 0.5, "{}", found.accuracy);
        assert_eq!(own.fitted(&found.sets).raw_weights().unwrap().0.len(), 3);
    }
}

/// A row near z = 1 is a support vector or none, as the noise of z has it: weights are off by that, which no
/// noise of residuals and updates tells.
#[test]
fn weights_are_stated_to_be_off_by_what_they_are() {
    for (algorithm, at_least) in [("logistic", 0.0), ("svm", 0.01)] {
        let own = text("rate = 1.0").replace("logistic", algorithm);
        let own = Training::from_toml(&own).unwrap();
        let rows = synthetic(&own, 320);
        let noise = StepNoise {
            of_z: 0.15 / 64.0,
            of_residual: 0.0,
            of_update: 0.0,
        };
        let exact = simulate(&own, &rows, &QUIET).unwrap();
        let found = simulate(&own, &rows, &noise).unwrap();
        let off = found.unrounded[0].iter().zip(&exact.unrounded[0]);
        let squares: f64 = off.map(|(found, exact)| (found - exact).powi(2)).sum();
        let off = (squares / 3.0).sqrt();
        assert!(
            off < 4.0 * found.deviation,
            "{algorithm}: {off}, stated {}",
            found.deviation
        );
        assert!(
            found.deviation > at_least,
            "{algorithm}: {}",
            found.deviation
        );
    }
}

/// What a service gives as kept weights is held to how far these can reach.
#[test]
fn weights_beyond_what_is_remembered_are_told() {
    let own = training("rate = 1.0");
    let near = kept(&own, vec![vec![3.0, -5.0, 7.0]]).unwrap();
    let fractions = |weights: [f64; 3]| vec![weights.map(|own| own / 256.0).to_vec()];
    assert!(near.holds(&fractions([3.0, -5.0, 7.0])));
    assert!(near.holds(&fractions([5.0, 1.0, -7.0])));
    assert!(!near.holds(&fractions([9.0, 0.0, 7.0])));
    assert!(!near.holds(&fractions([f64::NAN, 0.0, 0.0])));
}

fn kept(training: &Training, sets: Vec<Vec<f64>>) -> Result<KeptWeights, String> {
    let simulated = Simulation {
        sets: sets.clone(),
        unrounded: sets,
        largest: 1.0,
        accuracy: 1.0,
        deviation: 0.0,
        error: 0.0,
    };
    let begun = (&DescentStart::zero(training), 100);
    KeptWeights::of(training, begun, &simulated).map_err(|error| error.to_string())
}

/// Digits make up the row, and forms of digits the form of the row, for every value of a feature.
#[test]
fn rows_are_asked_in_digits_where_forms_could_go_around() {
    let own = training("rate = 1.0");
    // Three units at the ends: 3 (3 + 5) + 7 = 31, just within the torus's 32.
    let near = kept(&own, vec![vec![3.0, -5.0, 7.0]]).unwrap();
    assert!((near.reach - 31.0 / 64.0).abs() < 1e-12, "{}", near.reach);
    assert_eq!(near.digits(), 1);
    assert_eq!(near.asked(&[12, -7, 4]), [[12, -7, 4]]);
    let far = kept(&own, vec![vec![12.0, -20.0, 7.0]]).unwrap();
    assert_eq!((far.digits(), far.steps), (2, 6));
    for x in -12..=12 {
        let digits = far.asked(&[x, -x, 4]);
        for (place, whole) in [x, -x, 4].into_iter().enumerate() {
            assert_eq!(digits[0][place] + 5 * digits[1][place], whole);
            assert!(digits.iter().all(|digit| digit[place].abs() <= 2));
        }
        let weights = [12.0, -20.0, 7.0].map(|weight| weight / 256.0);
        let form = |digit: &Vec<i32>| {
            let products = digit.iter().zip(weights);
            products.map(|(x, weight)| f64::from(*x) * weight).sum()
        };
        let forms: Vec<f64> = digits.iter().map(form).collect();
        assert!(forms.iter().all(|form| form.abs() < 0.5), "{forms:?}");
        let found = far.prediction(&own, &[forms], 0.0);
        let expected = f64::from(x) / 4.0 * 32.0 + 7.0;
        assert!((found.scores[0] - expected).abs() < 1e-9, "{found:?}");
        assert_eq!(found.class, usize::from(expected > 0.0));
        // Errors of up to 0.003 in each digit's form are no more than their bound, and cannot be seen.
        let off: Vec<f64> = far
            .asked(&[x, -x, 4])
            .iter()
            .map(form)
            .map(|own| own + 1e-5)
            .collect();
        let found = far.prediction(&own, &[off], 2e-5);
        let step = 2f64.powi(-7);
        assert!((found.scores[0] - expected).abs() <= 6.0 * 64.0 * 2e-5 + step / 2.0);
        assert!((found.scores[0] / step).fract().abs() < 1e-9, "{found:?}");
        let chance = 1.0 / (1.0 + (-expected).exp());
        assert!((found.numbers[1].value - chance).abs() < 1e-12);
    }
    let error = kept(&own, vec![vec![30.0, -20.0, 7.0]]).unwrap_err();
    assert!(
        error.contains("up to 157") && error.contains("above 125"),
        "{error}"
    );
}

/// What a margin says of probabilities holds at both ends of a form's error.
#[test]
fn margins_cover_what_errors_of_forms_make() {
    let classes = text("rate = 1.0").replace("[\"no\", \"yes\"]", "[\"a\", \"b\", \"c\"]");
    let three = Training::from_toml(&classes).unwrap();
    assert_eq!(
        three.prediction_columns(),
        ["label", "probability_a", "probability_b", "probability_c"]
    );
    let weights = kept(&three, vec![vec![1.0; 3]; 3]).unwrap();
    let off = 1e-4;
    for z in [[0.0, 1.0, -2.0], [5.0, 4.9, -9.0], [-8.0, -8.5, -7.0]] {
        let ask = |signs: [f64; 3]| {
            let forms = [0, 1, 2].map(|set| vec![(z[set] + signs[set] * off * 64.0) / 64.0]);
            weights.prediction(&three, &forms, off)
        };
        let whole = ask([0.0; 3]);
        let sum: f64 = whole.numbers.iter().map(|number| number.value).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        for signs in [[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [1.0, 1.0, -1.0]] {
            for (number, moved) in whole.numbers.iter().zip(ask(signs).numbers) {
                let distance = (number.value - moved.value).abs();
                assert!(distance <= number.margin, "{z:?}: {number:?} {moved:?}");
            }
        }
    }
}
