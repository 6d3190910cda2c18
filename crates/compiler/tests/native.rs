//! The libraries' own files against the libraries' own predictions.
//!
//! `tests/native` holds small cases, made by `tests/models/native.py`. The same script makes random
//! models of every kind in a folder of its own; the ignored test compares them.

use cipherfn_compiler::model::{Estimator, Model};
use cipherfn_compiler::read::{read_model, read_model_with_classes};
use cipherfn_compiler::{Calibration, Compiled, FeatureMode, Options, compile};
use cipherfn_program::{EntryKind, Op, RowProgram, Tensor};
use cipherfn_protocol::specs::OutputField;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/native")
}

fn model_file(folder: &Path) -> Option<PathBuf> {
    let names = ["model.json", "model.ubj", "model.txt"];
    let files = names.map(|name| folder.join(name));
    files.into_iter().find(|file| file.exists())
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|folder| model_file(folder).is_some())
        .collect();
    folders.sort();
    folders
}

/// Cells of a CSV file without quotes, header apart.
fn table(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text
        .lines()
        .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    (header, lines.collect())
}

/// A row's cells as the model's inputs: by name where the file has names, else in order.
fn inputs(model: &Model, header: &[String], cells: &[String]) -> Vec<Tensor> {
    let types = model.preprocess.inputs();
    let of = |(column, kind): (&cipherfn_compiler::model::Column, EntryKind)| {
        let cells: Vec<&String> = if model.columns.len() == 1 && column.width == header.len() {
            cells.iter().collect()
        } else {
            let at = header.iter().position(|name| *name == column.name);
            vec![&cells[at.unwrap_or_else(|| panic!("no column {}", column.name))]]
        };
        let numbers = cells.iter().map(|cell| match cell.as_str() {
            "" => f64::NAN,
            cell => cell.parse().unwrap(),
        });
        match kind {
            // Narrowed once, as by the libraries.
            EntryKind::F32 => Tensor::F32(numbers.map(|number| number as f32).collect()),
            EntryKind::F64 => Tensor::F64(numbers.collect()),
            EntryKind::I64 => panic!("no library takes integers"),
            EntryKind::Text => Tensor::Text(cells.into_iter().cloned().collect()),
        }
    };
    let kinds = types.iter().map(|input| input.kind);
    model.columns.iter().zip(kinds).map(of).collect()
}

/// The number of values compared, or the first difference.
fn compare(folder: &Path) -> Result<usize, String> {
    let file = model_file(folder).unwrap();
    let model = read_model(&fs::read(file).unwrap()).map_err(|error| error.to_string())?;
    let (header, rows) = table(&folder.join("rows.csv"));
    let (names, expected) = table(&folder.join("expected.csv"));
    if rows.len() != expected.len() {
        return Err(format!("{} rows, {} expected", rows.len(), expected.len()));
    }
    // Linear leaves weigh 32-bit numbers.
    let tolerance = match model.estimators.as_slice() {
        [Estimator::LinearTrees(_)] => 2e-5,
        _ => 2e-6,
    };
    let mut compared = 0;
    for (number, (row, expected)) in rows.iter().zip(&expected).enumerate() {
        let outputs = model
            .predict(inputs(&model, &header, row))
            .map_err(|error| format!("row {number}: {error}"))?;
        for (field, output) in model.outputs.iter().zip(&outputs) {
            let prefix = match field {
                OutputField::Label => "label",
                OutputField::Probabilities(_) => "p",
                OutputField::Prediction => "y",
                OutputField::Scores(_) | OutputField::Deviation(_) => return Err("scores".into()),
            };
            let wanted: Vec<&String> = names
                .iter()
                .zip(expected)
                .filter(|(name, _)| name.starts_with(prefix))
                .map(|(_, cell)| cell)
                .collect();
            if *field == OutputField::Label && wanted.is_empty() {
                continue;
            }
            let found = output.to_texts();
            let same = found.len() == wanted.len()
                && match output.to_f64() {
                    Some(found) => found.iter().zip(&wanted).all(|(found, wanted)| {
                        let wanted: f64 = wanted.parse().unwrap();
                        (found - wanted).abs() <= tolerance * wanted.abs().max(1.0)
                    }),
                    None => found
                        .iter()
                        .zip(&wanted)
                        .all(|(found, wanted)| found == *wanted),
                };
            if !same {
                let row = row.join(",");
                return Err(format!(
                    "row {number} ({row}): {found:?}, library {wanted:?}"
                ));
            }
            compared += found.len();
        }
    }
    Ok(compared)
}

fn compare_all(folders: &[PathBuf]) {
    let mut failed = Vec::new();
    for folder in folders {
        match std::panic::catch_unwind(|| compare(folder)) {
            Ok(Ok(compared)) if compared > 0 => {}
            Ok(Ok(_)) => failed.push(format!("{}: nothing compared", folder.display())),
            Ok(Err(problem)) => failed.push(format!("{}: {problem}", folder.display())),
            Err(_) => failed.push(format!("{}: panic", folder.display())),
        }
    }
    let count = folders.len();
    assert!(
        failed.is_empty(),
        "{} of {count}:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// With decoys and in a grid the specs hold none of the model's sets of categories, and the circuit
/// none the less asks for them.
#[test]
fn sets_of_categories_are_hidden_where_split_points_are() {
    let sets = |program: &RowProgram| {
        let zero = Some(Tensor::F32(vec![0.0]));
        let steps = program.steps().iter();
        let is_set = |op: &Op| matches!(op, Op::Encode { default, .. } if *default == zero);
        steps.filter(|step| is_set(&step.op)).count()
    };
    for name in ["lgbm-codes", "lgbm-texts", "xgb-codes", "xgb-texts"] {
        let folder = cases().join(name);
        let (bytes, rows) = (
            fs::read(model_file(&folder).unwrap()).unwrap(),
            fs::read(folder.join("rows.csv")).unwrap(),
        );
        let compile = |features| {
            let options = Options {
                features,
                // These rows lie beside 64-bit split points, on sides that a grid cannot tell.
                min_agreement: 0.9,
                ..Options::new(name)
            };
            let calibration = Calibration::new("rows.csv", rows.as_slice());
            compile(&bytes, calibration, &options).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let shown = compile(FeatureMode::Exact { decoys: 0 });
        assert!(sets(&shown.specs.specs().preprocess) > 0, "{name}");
        let is_note = |note: &String| note.contains("specs show the sets");
        assert!(shown.report.notes.iter().any(is_note), "{name}");
        let decoys = compile(FeatureMode::Exact { decoys: 3 });
        let grid = compile(FeatureMode::Grid { bits: 8 });
        for hidden in [&decoys, &grid] {
            assert_eq!(sets(&hidden.specs.specs().preprocess), 0, "{name}");
            assert!(!hidden.report.notes.iter().any(is_note), "{name}");
        }
        let agreement = decoys.report.agreement;
        assert_eq!(
            agreement.within_precision, shown.report.agreement.rows,
            "{name}"
        );
    }
}

#[test]
fn files_give_the_predictions_of_their_libraries() {
    let folders = folders(&cases());
    assert!(folders.len() >= 20, "{} cases", folders.len());
    compare_all(&folders);
}

#[test]
#[ignore = "compares the folder that CIPHERFN_NATIVE_CASES names, made by tests/models/native.py"]
fn campaign() {
    let root = std::env::var_os("CIPHERFN_NATIVE_CASES").expect("CIPHERFN_NATIVE_CASES");
    let folders = folders(Path::new(&root));
    println!("{} cases", folders.len());
    compare_all(&folders);
}

/// The whole way: calibration, circuit, client specs, and the circuit in the clear with noise of
/// the predicted size.
#[test]
fn compiled_files_stay_within_their_precision() {
    for case in [
        "xgb-linear-classes",
        "xgb-texts",
        "xgb-vector-leaves",
        "lgbm-linear",
        "lgbm-linear-codes",
        "lgbm-moments",
        "lgbm-stumps",
        "lgbm-texts",
        "lgbm-zero-is-missing",
        "catboost-lossguide",
    ] {
        let compiled = compiled(&cases().join(case), &Options::new(case));
        let agreement = &compiled.report.agreement;
        assert!(agreement.rows > 10, "{case}: {agreement:?}");
        assert_eq!(agreement.within_precision, agreement.rows, "{case}");
    }
}

/// The model of a case, with its finite rows for calibration.
fn compiled(folder: &Path, options: &Options) -> Compiled {
    let rows = fs::read_to_string(folder.join("rows.csv")).unwrap();
    let finite: Vec<&str> = rows.lines().filter(|row| !row.contains("inf")).collect();
    let finite = finite.join("\n");
    let calibration = Calibration::new("rows.csv", finite.as_bytes());
    let bytes = fs::read(model_file(folder).unwrap()).unwrap();
    compile(&bytes, calibration, options)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

#[test]
#[ignore = "compiles the folder that CIPHERFN_NATIVE_CASES names, made by tests/models/native.py"]
fn compiled_campaign() {
    let root = std::env::var_os("CIPHERFN_NATIVE_CASES").expect("CIPHERFN_NATIVE_CASES");
    for folder in folders(Path::new(&root)) {
        let options = Options {
            min_agreement: 0.0,
            ..Options::new("model")
        };
        let compiled = compiled(&folder, &options);
        println!("{}\n{}", folder.display(), compiled.report);
        let agreement = &compiled.report.agreement;
        assert!(agreement.rows > 10, "{}", folder.display());
        assert_eq!(
            agreement.within_precision,
            agreement.rows,
            "{}",
            folder.display()
        );
    }
}

#[test]
fn classes_are_named_by_hand() {
    let bytes = fs::read(cases().join("lgbm-forest/model.txt")).unwrap();
    let names = ["low".to_owned(), "high".to_owned()];
    let model = read_model_with_classes(&bytes, &names).unwrap();
    assert_eq!(
        model.outputs,
        [
            OutputField::Label,
            OutputField::Probabilities(names.to_vec())
        ]
    );
    let one = read_model_with_classes(&bytes, &names[..1]).unwrap_err();
    assert!(
        one.to_string().contains("1 names for a model of 2 classes") && one.is_usage(),
        "{one}"
    );
}

#[test]
fn files_without_names_take_columns_in_order_and_say_so() {
    let text = fs::read_to_string(cases().join("lgbm-forest/model.txt")).unwrap();
    let names = "feature_names=amount age ratio visits score";
    assert!(text.contains(names));
    let unnamed = "feature_names=Column_0 Column_1 Column_2 Column_3 Column_4";
    let model = read_model(text.replace(names, unnamed).as_bytes()).unwrap();
    assert_eq!(model.columns.len(), 1);
    assert_eq!(model.columns[0].width, 5);
    let says = |model: &Model| {
        let notes = &model.summary.notes;
        notes.iter().any(|note| note.contains("names no columns"))
    };
    assert!(says(&model));
    assert!(!says(&read_model(text.as_bytes()).unwrap()));
}

/// Edits of a file, and a part of the error that each gets.
fn refused(case: &str, edits: &[(&str, &str, &str)]) {
    let file = model_file(&cases().join(case)).unwrap();
    let text = fs::read_to_string(file).unwrap();
    for (from, to, part) in edits {
        let at = text
            .find(from)
            .unwrap_or_else(|| panic!("{case} has no {from:?}"));
        let edited = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        let error = match read_model(edited.as_bytes()) {
            Ok(_) => panic!("{case}: {from:?} -> {to:?} is read"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(part), "{from:?} -> {to:?}: {error}");
    }
}

#[test]
fn broken_linear_leaves_get_an_error_with_their_place() {
    refused(
        "lgbm-linear",
        &[
            (
                "num_features=2 3",
                "num_features=1 3",
                "tree 1: leaf_features has 21 entries, 20 are due",
            ),
            (
                "num_features=2 3",
                "num_features=2 9999999999",
                "num_features: 10000000017 coefficients, more than",
            ),
            (
                "num_features=2 3",
                "num_features=2 -3",
                "tree 1: entry 1 of num_features is \"-3\"",
            ),
            (
                "leaf_features=0 1",
                "leaf_features=0 0",
                "tree 1: leaf 0 has column 0 twice",
            ),
            (
                "leaf_features=0 1",
                "leaf_features=0 5",
                "tree 1: leaf 0 has column 5 of 5",
            ),
            (
                "leaf_coeff=0.0066",
                "leaf_coeff=inf 0.0066",
                "tree 1: leaf_coeff has 22 entries, 21 are due",
            ),
            (
                "leaf_coeff=0.0066762667302064926",
                "leaf_coeff=inf",
                "tree 1, node 15: its coefficient is inf",
            ),
            (
                "leaf_const=-0.880971683022156",
                "leaf_const=NaN",
                "tree 1, node 15: its value is NaN",
            ),
            (
                "leaf_const=-0.880971683022156",
                "leaf_constant=-0.880971683022156",
                "tree 1: leaf_const has 0 entries, 8 are due",
            ),
        ],
    );
}

#[test]
fn leaves_weigh_no_texts() {
    let text = fs::read_to_string(cases().join("lgbm-linear-codes/model.txt")).unwrap();
    let texts = text.replace("pandas_categorical:[]", "pandas_categorical:[[\"a\"]]");
    read_model(texts.as_bytes()).unwrap();
    let weighed = texts.replace("leaf_features=0 ", "leaf_features=5 ");
    assert_ne!(weighed, texts);
    let error = read_model(weighed.as_bytes()).unwrap_err().to_string();
    assert!(
        error.contains("it weighs region, which holds categories"),
        "{error}"
    );
}

#[test]
fn broken_xgboost_files_get_an_error_with_its_place() {
    refused(
        "xgb-base-score",
        &[
            (
                "\"left_children\":[1,",
                "\"left_children\":[0,",
                "tree 0, node 0: two branches",
            ),
            (
                "\"left_children\":[1,",
                "\"left_children\":[99,",
                "tree 0: a branch leads to node 99",
            ),
            (
                "\"left_children\":[1,",
                "\"left_children\":[-7,",
                "node 0: its left child is -7",
            ),
            (
                "\"left_children\":[1,",
                "\"left_children\":[1,1,",
                "tree 0: right_children has",
            ),
            (
                "\"split_indices\":[",
                "\"split_indices\":[99,",
                "split_indices has",
            ),
            (
                "\"split_type\":[0",
                "\"split_type\":[1",
                "tree 0, node 0: it has no set",
            ),
            (
                "\"split_type\":[0",
                "\"split_type\":[2",
                "its split type is 2",
            ),
            (
                "\"tree_info\":[0",
                "\"tree_info\":[5",
                "tree_info of tree 0: score 5 of 1",
            ),
            (
                "\"tree_info\":[0,",
                "\"tree_info\":[",
                "tree_info: 3 entries for 4 trees",
            ),
            (
                "\"name\":\"gbtree\"",
                "\"name\":\"other\"",
                "none of gbtree, dart, gblinear",
            ),
            (
                "binary:logistic",
                "binary:other",
                "\"binary:other\" is not known",
            ),
            ("\"base_score\":\"", "\"base_score\":\"x", "base_score"),
            (
                "\"num_feature\":\"5\",\"num_target",
                "\"num_feature\":\"4\",\"num_target",
                "5 names",
            ),
            (
                "\"num_class\":\"0\"",
                "\"num_class\":\"999999\"",
                "999999 scores, more than 4096",
            ),
            ("\"amount\"", "\"age\"", "two columns have the name \"age\""),
            ("\"version\":", "\"version\":x", "column"),
        ],
    );
}

#[test]
fn broken_lightgbm_files_get_an_error_with_its_place() {
    refused(
        "lgbm-codes",
        &[
            (
                "left_child=1 ",
                "left_child=0 ",
                "tree 0, node 0: two branches",
            ),
            (
                "left_child=1 ",
                "left_child=77 ",
                "tree 0, node 0: a branch leads to 77",
            ),
            (
                "left_child=1 ",
                "left_child=-77 ",
                "tree 0, node 0: a branch leads to -77",
            ),
            ("left_child=1 ", "left_child= ", "tree 0: left_child has"),
            (
                "left_child=1 ",
                "left_child=x ",
                "tree 0: entry 0 of left_child is \"x\"",
            ),
            (
                "split_feature=",
                "split_feature=8",
                "tree 0, node 0: feature 8",
            ),
            ("leaf_value=", "leaf_value=1e999 ", "tree 0: leaf_value has"),
            ("num_leaves=", "num_leaves=9999999", "leaves, more than"),
            ("end of trees", "", "cut short"),
            ("Tree=1", "Tree=7", "tree 7: it stands where tree 1 is due"),
            ("binary sigmoid:1", "binary sigmoid:0", "sigmoid is \"0\""),
            ("binary sigmoid:1", "other", "\"other\" is not known"),
            ("is_linear=0", "is_linear=2", "tree 0: is_linear is \"2\""),
            (
                "is_linear=0",
                "is_linear=1",
                "tree 0: num_features has 0 entries, 8 are due",
            ),
            (
                "max_feature_idx=5",
                "max_feature_idx=7",
                "6 names, max_feature_idx is 7",
            ),
            (
                "num_tree_per_iteration=1",
                "num_tree_per_iteration=3",
                "has one score",
            ),
        ],
    );
}

#[test]
fn broken_catboost_files_get_an_error_with_its_place() {
    refused(
        "catboost-lossguide",
        &[
            (
                "\"cat_features_hash\"",
                "\"other\"",
                "does not list its text",
            ),
            ("\"OneHotFeature\"", "\"OnlineCtr\"", "hashed categories"),
            (
                "\"type\":\"MultiClass\"",
                "\"type\":\"Other\"",
                "\"Other\" is not known",
            ),
            (
                "\"trees\"",
                "\"trees_\"",
                "neither oblivious_trees nor trees",
            ),
            (
                "\"float_feature_index\":",
                "\"float_feature_index\":9",
                "float_feature_index Some(9",
            ),
            (
                "\"class_names\"",
                "\"class_names\": [\"a\", \"b\"], \"other\"",
                "2 names for a model of 3 classes",
            ),
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Bytes changed, cut and doubled: an answer or an error, never a panic.
    #[test]
    fn mutated_files_never_panic(
        case in prop::sample::select(folders(&cases())),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
    ) {
        let mut bytes = fs::read(model_file(&case).unwrap()).unwrap();
        for (at, value, how) in edits {
            let at = at.index(bytes.len().max(1));
            match how {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = value,
                // A digit keeps the syntax, so that the change reaches what is behind the parser.
                1 => if bytes[at].is_ascii_digit() { bytes[at] = b'0' + value % 10 },
                2 => { bytes.remove(at); }
                _ => bytes.truncate(bytes.len().max(1) * 7 / 8 + at / 8),
            }
        }
        let _ = read_model(&bytes);
    }
}
