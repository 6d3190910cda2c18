//! Leaves of trees refitted to encrypted rows: counts and means are those of scikit-learn's own
//! `tree.apply` on the same rows.

mod passes;

use cipherfn_client::training::leaves::{LeafError, decrypt_counts, encrypt_rows, sums_bytes};
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::structure::{boosted_structure, structure};
use cipherfn_compiler::write::write_onnx;
use cipherfn_program::Tensor;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::training::SET;
use cipherfn_serving::training::leaves::{
    LeafCounter, choose_sums, key_parts, noise, require_exact,
};
use cipherfn_training::leaves::{
    LeafCounts, LeafNode, LeafRow, LeafRowEncoder, LeafSpec, LeafTraining, REPLY_BITS, Structure,
    StructureNode, TreeSum,
};
use cipherfn_training::{FittedFunction, FittedNode};
use serde_json::Value;
use std::cell::OnceCell;
use std::fmt::Write;
use std::path::Path;

fn set() -> &'static ParameterSet {
    ParameterSet::by_name(SET).unwrap()
}

fn keys() -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(set()).unwrap();
    let parts = key_parts(set()).unwrap();
    let [part] = &parts[..] else {
        panic!("counting takes the expansion alone");
    };
    let key = EvaluationKey::generate_part(&secret, part.name).unwrap();
    (secret, key.expand().unwrap())
}

fn reference(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("training/leaves.json");
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document[name].clone()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// The structure that the reference has.
fn learned(reference: &Value) -> Structure {
    let node = |node: &Value| {
        if node["rows"].is_u64() {
            return StructureNode::Leaf;
        }
        StructureNode::Split {
            feature: number(&node["feature"]),
            threshold: node["threshold"].as_f64().unwrap() as f32,
            above: number(&node["above"]),
            below: number(&node["below"]),
            missing_above: false,
        }
    };
    let trees = reference["trees"].as_array().unwrap().iter();
    let nodes = trees.map(|tree| tree.as_array().unwrap().iter().map(node).collect());
    Structure {
        features: reference["columns"].as_array().unwrap().len(),
        names: None,
        trees: nodes.collect(),
        sum: None,
    }
}

fn spec(reference: &Value, target: &str) -> LeafSpec {
    spec_of("leaves\"", reference, target)
}

/// `algorithm` ends its own text, and may be followed by lines.
fn spec_of(algorithm: &str, reference: &Value, target: &str) -> LeafSpec {
    let mut text = format!("format = 1\nname = \"t\"\nalgorithm = \"{algorithm}\n");
    for column in reference["columns"].as_array().unwrap() {
        writeln!(text, "[[column]]\nname = {column}").unwrap();
    }
    writeln!(text, "[target]\nname = {}\n{target}", reference["target"]).unwrap();
    LeafSpec::from_toml(&text).unwrap()
}

/// The reference's rows.
fn rows(training: &LeafTraining, reference: &Value, is_class: bool) -> Vec<LeafRow> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(reference["table"].as_str().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    let mut encoder = LeafRowEncoder::new(training);
    let count = number(&reference["rows"]) as usize;
    for line in text.lines().skip(1).take(count) {
        let mut cells: Vec<&str> = line.split(',').collect();
        let class = is_class.then(|| cells.pop().unwrap());
        let numbers: Vec<f64> = cells.iter().map(|cell| cell.parse().unwrap()).collect();
        encoder.add(&numbers, class).unwrap();
    }
    let (rows, clipped) = encoder.finish().unwrap();
    assert_eq!((rows.len(), clipped), (count, 0));
    rows
}

/// The program with sums that are exact, as it is read again.
fn exact(training: &LeafTraining) -> LeafTraining {
    let training = choose_sums(training, set()).unwrap();
    assert!(noise(&training, set(), 1_000_000).unwrap().error < 0.5);
    require_exact(&training, set(), 1000).unwrap();
    LeafTraining::from_json(&training.to_json().unwrap()).unwrap()
}

/// Encrypted counts and refitted leaves of a reference.
fn check(name: &str, target: &str, is_class: bool) {
    let reference = reference(name);
    let training = spec(&reference, target).with(&learned(&reference));
    let training = exact(&training.unwrap());
    let rows = rows(&training, &reference, is_class);
    let (secret, key) = keys();
    let encrypted = encrypt_rows(&secret, &training, &rows).unwrap();
    let counter = LeafCounter::new(&training, set()).unwrap();
    let sums = counter.sums(&key, &encrypted, rows.len()).unwrap();
    let counts = decrypt_counts(&secret, &training, rows.len(), &sums).unwrap();
    assert_eq!(counts, LeafCounts::of(&training, &rows));
    let refitted = training.refit(rows.len(), &counts).unwrap();
    let FittedFunction::Trees { trees, .. } = &refitted.model.function else {
        panic!("it is trees");
    };
    let expected = reference["trees"].as_array().unwrap();
    for ((tree, counts), expected) in trees.iter().zip(&counts).zip(expected) {
        let mut leaves = counts.rows.iter();
        for (node, expected) in tree.iter().zip(expected.as_array().unwrap()) {
            let FittedNode::Leaf(values) = node else {
                continue;
            };
            assert_eq!(*leaves.next().unwrap(), expected["rows"].as_u64().unwrap());
            // Where no row ended scikit-learn has no mean.
            for (value, expected) in expected["says"]
                .as_array()
                .into_iter()
                .flatten()
                .zip(values)
            {
                assert!((value.as_f64().unwrap() - expected).abs() < 1e-9);
            }
        }
    }
    // What is written is read again, and says the mean of the leaves that a row reaches.
    let model = read_model(&write_onnx(&refitted.model)).unwrap();
    assert_eq!(structure(&model).unwrap().trees.len(), trees.len());
    let inputs = model.columns.iter().map(|_| Tensor::F32(vec![0.0]));
    let found = model.predict(inputs.collect()).unwrap();
    let zero = training
        .cuts()
        .iter()
        .map(|cuts| cuts.partition_point(|cut| 0.0 > *cut) as u32);
    let zero: Vec<u32> = zero.collect();
    let said = trees.iter().zip(training.trees()).map(|(nodes, tree)| {
        let FittedNode::Leaf(values) = &nodes[tree.reach(&zero)] else {
            panic!("rows end in leaves");
        };
        *values.last().unwrap()
    });
    let mean = said.sum::<f64>() / trees.len() as f64;
    let last = match found.last().unwrap() {
        Tensor::F32(values) => f64::from(*values.last().unwrap()),
        Tensor::F64(values) => *values.last().unwrap(),
        other => panic!("{other:?} is no score"),
    };
    assert!(
        (last - mean).abs() < 1e-5 * mean.abs().max(1.0),
        "{last} {mean}"
    );
    refuse(&training, (&secret, &key), (&encrypted, rows.len()), sums);
}

/// Sums that are not those of the rows are refused.
fn refuse(
    training: &LeafTraining,
    (secret, key): (&SecretKey, &ExpandedEvaluationKey),
    (encrypted, rows): (&[u8], usize),
    mut sums: Vec<Vec<u8>>,
) {
    let counter = LeafCounter::new(training, set()).unwrap();
    let short = counter.sums(key, &encrypted[1..], rows);
    assert!(short.is_err(), "bytes are missing");
    let other = SecretKey::generate(set()).unwrap();
    let error = decrypt_counts(&other, training, rows, &sums);
    let refused = error.and_then(|counts| Ok(training.refit(rows, &counts)?));
    assert!(refused.is_err(), "another key has no such counts");
    // The last sum has fewer rows than the others.
    let in_sum = training.sums().rows();
    assert_ne!(rows % in_sum, 0, "{in_sum} rows a sum");
    let last = sums.len() - sums.len() / rows.div_ceil(in_sum);
    sums.swap(0, last);
    let error = decrypt_counts(secret, training, rows, &sums).unwrap_err();
    let is_first = |of: &str| of == "tree 1";
    assert!(
        matches!(&error, LeafError::OtherRows { sum: 1, of, .. } if is_first(of)),
        "{error}"
    );
    sums.pop();
    let error = decrypt_counts(secret, training, rows, &sums).unwrap_err();
    assert!(matches!(error, LeafError::Sums { .. }), "{error}");
}

#[test]
fn forests_count_classes_as_scikit_learn() {
    check("forest", "classes = [\"0\", \"1\"]", true);
}

#[test]
fn extra_trees_have_the_means_of_scikit_learn() {
    check("extra_trees", "low = 25\nhigh = 346", false);
}

/// scikit-learn's gradient boosting, whose residuals are encrypted as labels.
#[test]
fn boosted_leaves_take_the_step_that_scikit_learns_residuals_say() {
    let reference = reference("boosted");
    let trees = reference["trees"].as_array().unwrap();
    let of_leaves = |field: &'static str| {
        let tree = move |tree: &Value| {
            let nodes = tree.as_array().unwrap().iter();
            let values = nodes.filter_map(move |node| match &node[field] {
                Value::Array(values) => values[0].as_f64(),
                value => value.as_f64(),
            });
            values.collect::<Vec<f64>>()
        };
        trees.iter().map(tree).collect::<Vec<_>>()
    };
    let mut structure = learned(&reference);
    let algorithm = format!(
        "boosted-leaves\"\nrate = {:.1}\npenalty = {:.1}",
        reference["rate"], reference["penalty"]
    );
    let target = format!("low = 25\nhigh = 346\nstep = {}", reference["step"]);
    let spec = spec_of(&algorithm, &reference, &target);
    let error = spec.with(&structure).unwrap_err().to_string();
    assert!(error.contains("have no \"start\""), "{error}");
    structure.sum = Some(TreeSum {
        base: reference["base"].as_f64().unwrap(),
        leaves: of_leaves("said"),
    });
    let training = exact(&spec.with(&structure).unwrap());
    // 1,284 steps from -321 to 321.
    assert_eq!(training.target().bits(), 11);
    let rows = rows(&training, &reference, false);
    let (secret, key) = keys();
    let encrypted = encrypt_rows(&secret, &training, &rows).unwrap();
    let counter = LeafCounter::new(&training, set()).unwrap();
    let sums = counter.sums(&key, &encrypted, rows.len()).unwrap();
    let counts = decrypt_counts(&secret, &training, rows.len(), &sums).unwrap();
    assert_eq!(counts, LeafCounts::of(&training, &rows));

    let refitted = training.refit(rows.len(), &counts).unwrap().model;
    let FittedFunction::Boosted { base, trees: found } = &refitted.function else {
        panic!("they add up");
    };
    let leaves = found.iter().map(|nodes| {
        let leaves = nodes.iter().filter_map(|node| match node {
            FittedNode::Leaf(values) => Some(values[0]),
            FittedNode::Split { .. } => None,
        });
        leaves.collect::<Vec<f64>>()
    });
    let leaves: Vec<Vec<f64>> = leaves.collect();
    let pairs = leaves.iter().flatten();
    for (found, expected) in pairs.zip(of_leaves("says").iter().flatten()) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
    assert_eq!(
        leaves.iter().map(Vec::len).collect::<Vec<_>>(),
        of_leaves("says").iter().map(Vec::len).collect::<Vec<_>>()
    );
    let (before, after) = training.residuals(&rows, &refitted).unwrap();
    for (found, field) in [(before, "before"), (after, "after")] {
        let expected = reference[field].as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-6,
            "{field}: {found} {expected}"
        );
    }
    // What is written is the structure of a next step, and says what it was written from: at the cuts
    // themselves, and beyond the last ones.
    let model = read_model(&write_onnx(&refitted)).unwrap();
    let next = boosted_structure(&model).unwrap();
    assert!((next.sum.unwrap().base - base).abs() < 1e-5 * base.abs());
    for row in &rows {
        let cells = training.cuts().iter().zip(&row.bins).map(|(cuts, bin)| {
            let last = cuts.last().map_or(0.0, |cut| cut + 1.0);
            Tensor::F32(vec![*cuts.get(*bin as usize).unwrap_or(&last)])
        });
        let predicted = model.predict(cells.collect()).unwrap();
        let predicted = predicted[0].to_f64().unwrap()[0];
        let added = found.iter().zip(training.trees()).map(|(nodes, tree)| {
            let FittedNode::Leaf(values) = &nodes[tree.reach(&row.bins)] else {
                panic!("rows end in leaves");
            };
            values[0]
        });
        let expected = base + added.sum::<f64>();
        assert!(
            (predicted - expected).abs() < 1e-3,
            "{predicted} {expected}"
        );
    }
}

/// Rows of a reference's table: the cells of its columns, and the label.
fn cells(reference: &Value) -> Vec<(Vec<f64>, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(reference["table"].as_str().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let columns = reference["columns"].as_array().unwrap().iter();
    let places: Vec<usize> = columns
        .map(|name| header.iter().position(|own| name == own).unwrap())
        .collect();
    let rows = text.lines().skip(1).map(|line| {
        let row: Vec<&str> = line.split(',').collect();
        let cells = places.iter().map(|place| row[*place].parse().unwrap());
        (cells.collect(), row[row.len() - 1].to_owned())
    });
    rows.take(number(&reference["rows"]) as usize).collect()
}

/// Grows a tree by counts of each level, and compares it with scikit-learn's.
fn grow(
    name: &str,
    reference: &Value,
    count: impl Fn(&LeafTraining, &[LeafRow]) -> Vec<LeafCounts>,
) {
    let mut text = format!(
        "format = 1\nname = \"t\"\nalgorithm = \"tree\"\ndepth = {}\nrows_a_leaf = {}\n",
        reference["depth"], reference["rows_a_leaf"]
    );
    let columns = reference["columns"].as_array().unwrap().iter();
    for (name, cuts) in columns.zip(reference["cuts"].as_array().unwrap()) {
        writeln!(text, "[[column]]\nname = {name}\ncuts = {cuts}").unwrap();
    }
    let nodes = reference["nodes"].as_array().unwrap();
    let classes = nodes.iter().find_map(|node| node["says"].as_array());
    let classes = classes.unwrap().len();
    let is_class = classes > 1;
    let target = if is_class {
        let classes: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
        format!("classes = {classes:?}")
    } else {
        "low = 25\nhigh = 346".to_owned()
    };
    writeln!(text, "[target]\nname = {}\n{target}", reference["target"]).unwrap();
    let seed = LeafSpec::from_toml(&text).unwrap().seed().unwrap();
    let mut training = exact(&seed);
    let mut encoder = LeafRowEncoder::new(&training);
    for (mut row, label) in cells(reference) {
        if !is_class {
            row.push(label.parse().unwrap());
        }
        encoder.add(&row, is_class.then_some(&*label)).unwrap();
    }
    let (rows, _) = encoder.finish().unwrap();
    let mut leaves = None;
    for level in 1..=number(&reference["depth"]) {
        let counts = count(&training, &rows);
        assert_eq!(
            counts,
            LeafCounts::of(&training, &rows),
            "{name}, level {level}"
        );
        let grown = training.grow(rows.len(), &counts).unwrap();
        assert!(grown.split > 0, "{name} has leaves in level {level}");
        (training, leaves) = (grown.training, Some(grown.counts));
    }
    let refitted = training.refit(rows.len(), &[leaves.unwrap()]).unwrap();
    let FittedFunction::Trees { trees, .. } = &refitted.model.function else {
        panic!("it is a tree");
    };
    // The same nodes in another order.
    let mut pairs = vec![(0, 0)];
    let mut compared = 0;
    while let Some((own, other)) = pairs.pop() {
        let expected = &nodes[other];
        match (&training.trees()[0].nodes[own], &trees[0][own]) {
            (
                LeafNode::Split {
                    column,
                    cut,
                    above,
                    below,
                    ..
                },
                _,
            ) => {
                let question = [number(&expected["feature"]), number(&expected["cut"])];
                assert_eq!([*column, *cut], question, "{name}, node {other}");
                pairs.push((*above as usize, number(&expected["above"]) as usize));
                pairs.push((*below as usize, number(&expected["below"]) as usize));
            }
            (LeafNode::Leaf, FittedNode::Leaf(values)) => {
                let says = expected["says"].as_array().unwrap();
                for (found, expected) in values.iter().zip(says) {
                    assert!(
                        (found - expected.as_f64().unwrap()).abs() < 1e-9,
                        "{name}, node {other}"
                    );
                }
            }
            other => panic!("{other:?}"),
        }
        compared += 1;
    }
    assert_eq!(compared, nodes.len(), "{name}");
}

/// That the errors of counts are no larger than those that sums are chosen for: the root of their mean
/// square, of thousands, against that of the longest way.
fn check_errors(name: &str, secret: &SecretKey, training: &LeafTraining, sums: &[Vec<u8>]) {
    let (places, labels) = (training.counted(), training.target().bits());
    let blocks = training.blocks(set().ring.polynomial_size);
    let unit = f64::from(training.sums().count_bits).exp2();
    let (mut squares, mut count) = (0.0, 0.0);
    for (number, bytes) in sums.iter().enumerate() {
        let block = blocks[number / (1 + labels) % blocks.len()].clone();
        let shape = ReplyShape {
            set: set(),
            coefficients: places[block].iter().sum(),
            stride: 1,
            bits: REPLY_BITS,
        };
        for phase in reply::decrypt(secret, &shape, bytes).unwrap() {
            let found = phase as f64 * 2f64.powi(-64) * unit;
            squares += (found - found.round()).powi(2);
            count += 1.0;
        }
    }
    let found = (squares / count).sqrt();
    let rows = training.sums().rows() as f64;
    let expected = noise(training, set(), 1).unwrap().of_row * rows.sqrt() * unit;
    println!("{name}: errors of {found:.4}, expected at most {expected:.4}");
    assert!(found < expected, "{name}: {found} {expected}");
}

#[test]
fn trees_that_are_grown_are_those_of_scikit_learn() {
    let mut encrypted = 0;
    for (name, reference) in reference("grown").as_object().unwrap() {
        if !name.ends_with("encrypted") {
            grow(name, reference, LeafCounts::of);
            continue;
        }
        encrypted += 1;
        // Rows go up once, for all levels.
        let (secret, key) = keys();
        let uploaded = OnceCell::new();
        grow(name, reference, |training, rows| {
            let bytes = uploaded.get_or_init(|| encrypt_rows(&secret, training, rows).unwrap());
            let counter = LeafCounter::new(training, set()).unwrap();
            let sums = counter.sums(&key, bytes, rows.len()).unwrap();
            let places = training.counted();
            let expected = sums_bytes(set(), training, &places, rows.len());
            assert_eq!(sums.iter().map(Vec::len).sum::<usize>(), expected);
            check_errors(name, &secret, training, &sums);
            decrypt_counts(&secret, training, rows.len(), &sums).unwrap()
        });
    }
    assert_eq!(encrypted, 2);
}

/// By counts that are none, and by specs that no ciphertext has room for.
#[test]
fn trees_are_not_grown_by_counts_of_other_rows() {
    let spec = |depth: u32, column: &str| {
        let text = format!(
            "format = 1\nname = \"t\"\nalgorithm = \"tree\"\ndepth = {depth}\n[[column]]\nname = \"a\"\ncuts = [0, 1, 2]\n[[column]]\nname = \"b\"\n{column}\n[target]\nname = \"y\"\nclasses = [\"u\", \"v\"]\n"
        );
        LeafSpec::from_toml(&text).and_then(|spec| spec.seed())
    };
    let training = spec(3, "cuts = [5]").unwrap();
    let mut encoder = LeafRowEncoder::new(&training);
    for (row, class) in [([0.5, 4.0], "u"), ([3.0, 6.0], "v"), ([1.5, 6.0], "u")] {
        encoder.add(&row, Some(class)).unwrap();
    }
    let (rows, _) = encoder.finish().unwrap();
    let sound = LeafCounts::of(&training, &rows);
    assert_eq!(training.grow(3, &sound).unwrap().split, 1);
    let refused = |rows: usize, change: &dyn Fn(&mut Vec<LeafCounts>)| {
        let mut counts = sound.clone();
        change(&mut counts);
        training.grow(rows, &counts).unwrap_err().to_string()
    };
    assert!(refused(4, &|_| ()).contains("column \"a\" has counts that 4 rows do not leave"));
    assert!(refused(3, &|counts| counts.truncate(1)).contains("other bins"));
    assert!(refused(3, &|counts| counts[1].rows.truncate(1)).contains("other bins"));
    // More labels than rows in a bin, and columns that contradict each other.
    assert!(refused(3, &|counts| counts[0].labels[0][0] += 2).contains("column \"a\""));
    assert!(refused(3, &|counts| counts[1].labels[0][1] += 1).contains("column \"b\""));
    // Counts that cancel in every total, which only the rows show.
    let mut moved = sound.clone();
    for counts in &mut moved {
        let from = counts.rows.iter().position(|rows| *rows > 1);
        if let Some(from) = from {
            counts.rows[from] -= 1;
            let to = usize::from(from == 0);
            counts.rows[to] += 1;
        }
    }
    assert_ne!(moved, sound);
    assert_eq!(training.grow(3, &moved).unwrap().split, 1);
    training.require_counts_of(&rows, &sound).unwrap();
    let error = training.require_counts_of(&rows, &moved).unwrap_err();
    assert!(
        error.to_string().contains("other counts than the rows"),
        "{error}"
    );
    // A level is held to the splits before it: column a has put the rows of u below its second cut.
    let grown = training.grow(3, &sound).unwrap();
    let next = LeafCounts::of(&grown.training, &rows);
    assert!(grown.grow(3, &next).is_ok());
    let mut swapped = next.clone();
    for counts in &mut swapped {
        let mut both = vec![&mut counts.rows];
        both.extend(&mut counts.labels);
        // The leaves of each bin change places.
        for own in both {
            own.chunks_mut(2).for_each(<[u64]>::reverse);
        }
    }
    assert!(grown.training.grow(3, &swapped).is_ok());
    let error = grown.grow(3, &swapped).unwrap_err().to_string();
    assert!(error.contains("the splits that made them"), "{error}");

    for (depth, column, expected) in [
        (0, "cuts = [5]", "not 1 to 11"),
        (12, "cuts = [5]", "not 1 to 11"),
        (2, "", "no \"cuts\""),
    ] {
        let error = spec(depth, column).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = choose_sums(&spec(11, "cuts = [5]").unwrap(), set()).unwrap_err();
    let expected = "column \"a\" has 4 bins, 4096 in the leaves of the last level";
    assert!(error.to_string().contains(expected), "{error}");
}

/// What the libraries' own models predict is what boosted leaves begin with.
#[test]
fn residuals_are_what_the_libraries_leave() {
    for (path, header) in [
        ("models/gbr_diabetes", "X_"),
        ("models/xgb_regressor", "X_"),
        ("models/lgbm_regressor", "X_"),
        ("models/catboost_regressor", "features_"),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let table = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let lines = text.lines().skip(1);
            let cells =
                lines.map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect());
            cells.collect::<Vec<Vec<f64>>>()
        };
        let (rows, expected) = (table("test.csv"), table("expected.csv"));
        let model = read_model(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
        let structure = boosted_structure(&model).unwrap();
        let columns: Vec<String> = (0..rows[0].len())
            .map(|index| format!("{header}{index}"))
            .collect();
        let reference = serde_json::json!({ "columns": columns, "target": "y" });
        let target = "low = 0\nhigh = 1000\nstep = 0.001";
        let spec = spec_of("boosted-leaves\"", &reference, target);
        let training = spec.with(&structure).unwrap();
        let mut encoder = LeafRowEncoder::new(&training);
        for row in &rows {
            encoder
                .add(&[row.as_slice(), &[500.0]].concat(), None)
                .unwrap();
        }
        let (found, clipped) = encoder.finish().unwrap();
        assert_eq!(clipped, 0);
        for (row, expected) in found.iter().zip(&expected) {
            let residual = 0.001 * row.label as f64 - 1000.0;
            let said = 500.0 - residual;
            assert!(
                (said - expected[0]).abs() < 0.001,
                "{path}: {said} {expected:?}"
            );
        }
    }
}

/// Of boosted models that are no sum, and of steps that could make errors larger.
#[test]
fn steps_that_are_none_are_refused() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        boosted_structure(&read_model(&std::fs::read(path).unwrap()).unwrap())
    };
    for (path, expected) in [
        (
            "models/xgb_poisson/model.onnx",
            "another function of the trees' sum",
        ),
        ("models/gbc_iris/model.onnx", "scores"),
        ("models/rf_multi_output/model.onnx", "scores"),
        ("models/lgbm_binary/model.onnx", "predicts classes"),
        ("native/xgb-base-score/model.json", "predicts classes"),
        ("models/ridge_classifier/model.onnx", "no ensemble of trees"),
    ] {
        let error = read(path).unwrap_err().to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    let spec = |algorithm: &str, target: &str| {
        let text = format!(
            "format = 1\nname = \"t\"\nalgorithm = {algorithm}\n[[column]]\nname = \"a\"\n[target]\nname = \"y\"\n{target}\n"
        );
        LeafSpec::from_toml(&text).unwrap_err().to_string()
    };
    let number = "low = 0\nhigh = 1";
    for (algorithm, target, expected) in [
        ("\"boosted-leaves\"\nrate = 2.5", number, "at most 2"),
        ("\"boosted-leaves\"\nrate = 0.0", number, "above 0"),
        ("\"boosted-leaves\"\npenalty = -1.0", number, "from 0 on"),
        (
            "\"boosted-leaves\"",
            "classes = [\"a\", \"b\"]",
            "instead of \"classes\"",
        ),
        (
            "\"leaves\"\nrate = 1.0",
            number,
            "of \"algorithm\" \"boosted-leaves\"",
        ),
        (
            "\"leafs\"",
            number,
            "not \"leaves\", \"boosted-leaves\" or \"tree\"",
        ),
    ] {
        let error = spec(algorithm, target);
        assert!(error.contains(expected), "{algorithm} {target}: {error}");
    }
}

/// Exported files do not say whether their trees were boosted, and are told by what they add: of many
/// libraries, whatever they predict. No forest is taken for one.
#[test]
fn boosted_models_are_told_from_forests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = |model: &str| {
        let bytes = std::fs::read(folder.join(model).join("model.onnx")).unwrap();
        structure(&read_model(&bytes).unwrap()).map_err(|error| error.to_string())
    };
    for boosted in [
        "libraries/gbc_bc",
        "libraries/lgbm_bc",
        "libraries/lgbm_all_leaves_positive",
        "libraries/xgb_bc",
        "libraries/xgb_wine",
        "libraries/xgbreg_diabetes",
        "models/catboost_binary",
        "models/catboost_iris",
        "models/catboost_regressor",
        "models/gbc_breast_decision",
        "models/gbc_iris",
        "models/gbr_diabetes",
        "models/hgb_iris",
        "models/lgbm_poisson",
        "models/lgbm_regressor",
    ] {
        let error = found(boosted).unwrap_err();
        assert!(error.contains("\"boosted-leaves\""), "{boosted}: {error}");
    }
    for forest in [
        "libraries/dt_bc",
        "libraries/rf_bc",
        "libraries/rfreg_diabetes",
        "models/et_regressor",
        "models/et_wine",
        "models/rf_breast_names",
        "models/rf_classifier_double",
        "models/rf_iris",
        "models/rf_multi_output",
        "models/tree_version_5",
        "cases/forest-uncertainty",
        "cases/forest-uncertainty-classes",
    ] {
        if let Err(error) = found(forest) {
            panic!("{forest}: {error}");
        }
    }
}

/// Of models whose leaves count something else, and of columns in another order.
#[test]
fn structures_that_rows_would_not_fit_are_refused() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        read_model(&std::fs::read(path).unwrap()).unwrap()
    };
    for (path, expected) in [
        (
            "models/imputer_forest/model.onnx",
            "scaled, encoded or imputed",
        ),
        ("native/xgb-base-score/model.json", "boosted"),
    ] {
        let error = structure(&read(path)).unwrap_err().to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    let reference = reference("forest");
    let spec = spec(&reference, "classes = [\"0\", \"1\"]");
    let columns = reference["columns"].as_array().unwrap().iter();
    let mut names: Vec<String> = columns
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let mut forest = learned(&reference);
    forest.names = Some(names.clone());
    spec.with(&forest).unwrap();
    names.swap(0, 1);
    forest.names = Some(names);
    let error = spec.with(&forest).unwrap_err().to_string();
    assert!(error.contains("column 1"), "{error}");
}
