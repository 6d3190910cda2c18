use super::circuits;
use cipherfn_engine::ClearCircuit;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::InputValues;
use cipherfn_training::TrainingError;
use cipherfn_training::leaves::{
    LeafCounts, LeafRow, LeafSpec, LeafTraining, Structure, StructureNode, SumForm,
};

const SPEC: &str = "format = 1\nname = \"t\"\nalgorithm = \"leaves\"\n[[column]]\nname = \"a\"\n[[column]]\nname = \"b\"\n[target]\nname = \"y\"\nclasses = [\"u\", \"v\", \"w\"]\n";

const fn split(feature: u32, threshold: f32, above: u32, below: u32) -> StructureNode {
    StructureNode::Split {
        feature,
        threshold,
        above,
        below,
        missing_above: false,
    }
}

fn training() -> LeafTraining {
    let leaf = StructureNode::Leaf;
    let structure = Structure {
        features: 2,
        names: None,
        trees: vec![
            // The second question of feature 0 is decided on one side, the third nowhere.
            vec![
                split(0, 2.0, 1, 2),
                split(0, 4.0, 3, 4),
                split(1, 0.5, 5, 6),
                leaf,
                split(1, 1.5, 7, 8),
                leaf,
                split(0, 3.0, 9, 10),
                leaf,
                leaf,
                leaf,
                leaf,
            ],
            vec![split(0, 2.0, 1, 2), leaf, split(0, 1.0, 3, 4), leaf, leaf],
            vec![leaf],
        ],
        sum: None,
    };
    let form = SumForm {
        base_log: 9,
        levels: 2,
        count_bits: 4,
    };
    let spec = LeafSpec::from_toml(SPEC).unwrap();
    let training = spec.with(&structure).unwrap();
    training.with_sums(form).unwrap()
}

/// On every combination of bins and classes the circuits have a count where the row ends, and nothing
/// elsewhere.
#[test]
fn circuits_count_what_trees_say() {
    let training = training();
    let set = ParameterSet::by_name(super::super::super::SET).unwrap();
    let [own] = &circuits(&training, set).unwrap()[..] else {
        panic!("one circuit has room");
    };
    let clear = ClearCircuit::new(own.circuit.clone()).unwrap();
    for (a, b, label) in
        (0..5).flat_map(|a| (0..3).flat_map(move |b| (0..3).map(move |y| (a, b, y))))
    {
        let row = LeafRow {
            bins: vec![a, b],
            label,
        };
        let bits = InputValues::Bits(training.bits(&row));
        let found = clear.evaluate(&[bits]).unwrap();
        let found: Vec<u64> = found.iter().map(|word| word >> 60).collect();
        let counts = LeafCounts::of(&training, &[row]);
        let mut expected: Vec<u64> = counts.iter().flat_map(|own| own.rows.clone()).collect();
        for label in 0..2 {
            let labels = counts.iter().flat_map(|own| own.labels[label].clone());
            expected.extend(labels);
        }
        assert_eq!(found, expected, "{a} {b} {label}");
    }
}

/// The same in the bins of each column, level by level, with no way longer than those that sums are
/// chosen for.
#[test]
fn circuits_count_bins_of_trees_that_grow() {
    let text = SPEC
        .replace("\"leaves\"", "\"tree\"\ndepth = 3")
        .replacen("name = \"a\"", "name = \"a\"\ncuts = [1, 2, 3, 4]", 1)
        .replacen("name = \"b\"", "name = \"b\"\ncuts = [0, 1]", 1);
    let set = ParameterSet::by_name(super::super::super::SET).unwrap();
    let form = SumForm {
        base_log: 9,
        levels: 2,
        count_bits: 4,
    };
    let seed = LeafSpec::from_toml(&text).unwrap().seed().unwrap();
    let mut training = seed.with_sums(form).unwrap();
    let all: Vec<LeafRow> = (0..5)
        .flat_map(|a| (0..3).flat_map(move |b| (0..3).map(move |label| (a, b, label))))
        .map(|(a, b, label)| LeafRow {
            bins: vec![a, b],
            // Classes that no one column tells apart.
            label: if a * b % 4 < 2 { label } else { 2 },
        })
        .collect();
    let longest = training.growth().unwrap();
    let longest = longest.longest_path(&training, set.ring.polynomial_size);
    for leaves in [1, 2, 4] {
        assert_eq!(training.trees()[0].leaves(), leaves);
        let [own] = &circuits(&training, set).unwrap()[..] else {
            panic!("one circuit has room");
        };
        assert!(own.path <= longest, "{} {longest}", own.path);
        let clear = ClearCircuit::new(own.circuit.clone()).unwrap();
        for row in &all {
            let bits = InputValues::Bits(training.bits(row));
            let found = clear.evaluate(&[bits]).unwrap();
            let found: Vec<u64> = found.iter().map(|word| word >> 60).collect();
            let counts = LeafCounts::of(&training, std::slice::from_ref(row));
            let mut expected: Vec<u64> = counts.iter().flat_map(|own| own.rows.clone()).collect();
            for label in 0..2 {
                let labels = counts.iter().flat_map(|own| own.labels[label].clone());
                expected.extend(labels);
            }
            assert_eq!(found, expected, "{row:?}");
        }
        let counts = LeafCounts::of(&training, &all);
        training = training.grow(all.len(), &counts).unwrap().training;
    }
}

#[test]
fn thresholds_are_cuts() {
    let text = SPEC.replacen("name = \"a\"", "name = \"a\"\ncuts = [1.0, 2.5]", 1);
    let spec = LeafSpec::from_toml(&text).unwrap();
    let structure = Structure {
        features: 2,
        names: None,
        trees: vec![vec![
            split(0, 2.0, 1, 2),
            StructureNode::Leaf,
            StructureNode::Leaf,
        ]],
        sum: None,
    };
    let error = spec.with(&structure).unwrap_err().to_string();
    assert!(
        error.contains("column \"a\": the structure asks for 2"),
        "{error}"
    );
}

/// A program of one tree whose questions are one behind the other: `questions` on columns of 255 cuts in turn, which
/// have 8 bits.
fn chain(questions: usize, algorithm: &str) -> Result<LeafTraining, TrainingError> {
    let cuts: Vec<String> = (0..255).map(|cut| format!("{cut}.0")).collect();
    let column = |number: usize| {
        let cuts = cuts.join(",");
        format!("{{\"name\":\"k{number}\",\"cuts\":[{cuts}]}}")
    };
    let columns: Vec<String> = (0..questions.max(1)).map(column).collect();
    let mut nodes: Vec<String> = (0..questions)
        .flat_map(|number| {
            let (above, below) = (2 * number + 2, 2 * number + 1);
            let split = format!(
                "{{\"split\":{{\"column\":{number},\"cut\":76,\"above\":{above},\"below\":{below}}}}}"
            );
            [split, "\"leaf\"".to_owned()]
        })
        .collect();
    nodes.push("\"leaf\"".to_owned());
    let text = format!(
        "{{\"format\":1,\"spec\":{{\"format\":1,\"name\":\"deep\",\"algorithm\":{algorithm},\"column\":[{}],\"target\":{{\"name\":\"y\",\"classes\":[\"no\",\"yes\"]}}}},\"sums\":{{\"base_log\":9,\"levels\":2,\"count_bits\":1}},\"tree\":[{{\"nodes\":[{}]}}]}}",
        columns.join(","),
        nodes.join(",")
    );
    LeafTraining::from_json(text.as_bytes())
}

/// The longest way that a program may have is made a circuit on a test's thread, of 2 MiB as those of a worker; a
/// longer one is refused when it is read.
#[test]
fn ways_are_no_longer_than_a_stack_has_room_for() {
    let longest = chain(64, "\"leaves\"").unwrap();
    let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
    let made = circuits(&longest, set).unwrap();
    assert!(made[0].path >= 500, "{}", made[0].path);
    let error = chain(65, "\"leaves\"").unwrap_err().to_string();
    assert!(error.contains("520 bits, at most 512"), "{error}");
}

/// What levels need is reckoned from a tree of one leaf.
#[test]
fn programs_of_grown_trees_begin_with_a_leaf() {
    chain(0, "\"tree\",\"depth\":3").unwrap();
    let error = chain(1, "\"tree\",\"depth\":3").unwrap_err().to_string();
    assert!(error.contains("begins with one leaf"), "{error}");
}
