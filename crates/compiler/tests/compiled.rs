//! Every model of `tests/models` and of `tests/libraries`, compiled: the client's arithmetic and
//! the circuit, evaluated in the clear, against the float model on the test rows; reports;
//! determinism.

use cipherfn_compiler::model::Model;
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::{
    Calibration, CompileError, Compiled, FeatureMode, Options, Profile, Report, compile,
};
use cipherfn_engine::ClearCircuit;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{Encoding, InputColumn, Predicate, SpecsDocument};
use cipherfn_scheme::query::InputValues;
use cipherfn_table::Table;
use std::fs;
use std::path::{Path, PathBuf};

/// Models of `tests/libraries` by family.
const TREES: [&str; 14] = [
    "dt_bc",
    "ebm_diabetes",
    "ebm_income",
    "forest_two_outputs",
    "gbc_bc",
    "isolation_forest",
    "lgbm_all_leaves_positive",
    "lgbm_bc",
    "rf_bc",
    "rfreg_diabetes",
    "stacking",
    "xgb_bc",
    "xgb_wine",
    "xgbreg_diabetes",
];
const LINEAR: [&str; 7] = [
    "linearsvc_bc",
    "linreg_diabetes",
    "logreg_bc",
    "logreg_digits",
    "pipeline_scaler_logreg_bc",
    "ridge_diabetes",
    "three_labels_a_row",
];

fn library(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/libraries")
        .join(name)
}

fn try_compile(folder: &Path, change: impl FnOnce(&mut Options)) -> Result<Compiled, CompileError> {
    let model = fs::read(folder.join("model.onnx")).unwrap();
    let rows = fs::read(folder.join("train.csv")).unwrap();
    let mut options = Options::new(folder.file_name().unwrap().to_str().unwrap());
    change(&mut options);
    let header = rows.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut calibration = Calibration::new("train.csv", rows.as_slice());
    if header.trim_ascii_end().ends_with(b",target") {
        calibration = calibration.with_target("target");
    }
    compile(&model, calibration, &options)
}

fn compiled(name: &str, change: impl FnOnce(&mut Options)) -> Compiled {
    try_compile(&library(name), change).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn float_model(folder: &Path) -> Model {
    read_model(&fs::read(folder.join("model.onnx")).unwrap()).unwrap()
}

/// Feature vectors of a file's rows.
fn rows(folder: &Path, file: &str, model: &Model, columns: &[InputColumn]) -> Vec<Vec<f32>> {
    let text = fs::read(folder.join(file)).unwrap();
    let rows = Table::open(file, text.as_slice())
        .unwrap()
        .select(columns, model.preprocess.inputs())
        .unwrap();
    rows.map(|row| model.features_of(row.unwrap()).unwrap())
        .collect()
}

/// Largest (error / precision - 1/2) of any score, without noise: what is left is the rounding of
/// leaves, weights and steps.
fn check_in_the_clear(name: &str, compiled: &Compiled) {
    let folder = library(name);
    let model = float_model(&folder);
    let specs = compiled.specs.specs();
    let circuit = ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap();
    let mut accepted = 0;
    for features in rows(&folder, "test.csv", &model, &specs.columns) {
        let values = InputValues::all(&specs.inputs, &features).unwrap();
        let phases = circuit.evaluate(&values).unwrap();
        let phases: Vec<i64> = phases.into_iter().map(|phase| phase as i64).collect();
        let exact = model.raw_scores(&features);
        for ((score, exact), decoding) in specs
            .decoding
            .scores(&phases)
            .iter()
            .zip(&exact)
            .zip(&specs.decoding.scores)
        {
            // The step's rounding, and what is not noise of the precision.
            let allowed = decoding.precision.get() - decoding.step.get() + 1e-9 * exact.abs();
            assert!(
                (score - exact).abs() <= allowed,
                "{name}: {score} instead of {exact}, allowed {allowed}"
            );
            assert!(
                decoding.range.0.get() <= *exact + 1e-9 && *exact <= decoding.range.1.get() + 1e-9,
                "{name}: {exact} outside {:?}",
                decoding.range
            );
        }
        accepted += 1;
    }
    assert!(accepted > 0);
}

#[test]
fn trees_are_exact_up_to_the_stated_rounding() {
    for name in TREES {
        for profile in [Profile::Balanced, Profile::Compact, Profile::Keyless] {
            let compiled = compiled(name, |options| options.profile = profile);
            check_in_the_clear(name, &compiled);
            println!("{}", compiled.report);
        }
    }
}

/// Rows of large requests share ciphertexts both ways.
#[test]
fn wide_circuits_have_few_bytes_a_row() {
    let [usual, wide] = [Profile::Balanced, Profile::Wide].map(|profile| {
        compiled("xgb_bc", |options| {
            options.profile = profile;
            options.precision = Some(if profile == Profile::Wide { 9.5 } else { 10.0 });
        })
    });
    println!("{}", wide.report);
    check_in_the_clear("xgb_bc", &wide);
    let shared = wide.report.sizes.shared.unwrap();
    assert!(shared.query_row <= 1450, "{shared:?}");
    assert!(shared.reply_row <= 60, "{shared:?}");
    let [before, after] = [&usual, &wide].map(|compiled| &compiled.report.work);
    assert!(
        after.predicted_microseconds.get() <= 1.1 * before.predicted_microseconds.get(),
        "{before:?} {after:?}"
    );
    assert!(wide.report.precision.guaranteed_bits >= 9.5);
    let linear = compiled("logreg_bc", |options| options.profile = Profile::Wide);
    let shared = linear.report.sizes.shared.unwrap();
    assert!(shared.reply_row <= 16, "{shared:?}");
    assert!(linear.report.precision.guaranteed_bits >= 12.0);
}

#[test]
fn linear_models_keep_twelve_bits_of_the_calibration_range() {
    for name in LINEAR {
        let compiled = compiled(name, |_| {});
        check_in_the_clear(name, &compiled);
        println!("{}", compiled.report);
        assert!(
            compiled.report.precision.guaranteed_bits >= 12.0,
            "{name}: {}",
            compiled.report.precision.guaranteed_bits
        );
        assert!(
            compiled.report.sizes.reply_row <= 6500,
            "{name}: {}",
            compiled.report.sizes.reply_row
        );
        assert_eq!(compiled.report.sizes.evaluation_key, 0);
        assert_eq!(
            compiled.report.agreement.within_precision,
            compiled.report.agreement.rows
        );
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for (name, decoys) in [("xgb_wine", 2), ("logreg_digits", 0)] {
        let [one, two] = [(), ()].map(|()| {
            compiled(name, |options| {
                options.features = FeatureMode::Exact { decoys }
            })
        });
        assert_eq!(
            cipherfn_engine::bundle::write(&one.bundle).unwrap(),
            cipherfn_engine::bundle::write(&two.bundle).unwrap()
        );
        let bundle =
            cipherfn_engine::bundle::read(&cipherfn_engine::bundle::write(&one.bundle).unwrap())
                .unwrap();
        assert_eq!(
            SpecsDocument::from_json_bytes(&bundle.specs).unwrap(),
            one.specs
        );
        assert_eq!(
            serde_json::from_slice::<Report>(&bundle.report).unwrap(),
            one.report
        );
        assert_eq!(one.specs.specs().circuit, bundle.circuit.hash().unwrap());
    }
}

/// The bits of `bins` bins in blocks of `length`.
fn in_blocks(bins: u32, length: u32) -> Vec<Predicate> {
    let starts = || (0..bins).step_by(length as usize);
    let coarse = starts().skip(1).map(|start| vec![(start, bins)]);
    let fine = (1..length).map(|place| {
        let ends = starts().map(|start| (start + place, (start + length).min(bins)));
        ends.filter(|(start, end)| start < end).collect()
    });
    coarse.chain(fine).map(Predicate::Within).collect()
}

#[test]
fn decoys_hide_which_split_points_are_used() {
    let (plain, hidden) = (
        compiled("xgb_bc", |_| {}),
        compiled("xgb_bc", |options| {
            options.features = FeatureMode::Exact { decoys: 5 }
        }),
    );
    check_in_the_clear("xgb_bc", &hidden);
    let selectors = |compiled: &Compiled| match &compiled.specs.specs().inputs[0] {
        Encoding::Selectors(encoding) => encoding.clone(),
        _ => panic!("a tree ensemble has selectors"),
    };
    let (plain, hidden) = (selectors(&plain), selectors(&hidden));
    assert_eq!(
        hidden.quantisers.len(),
        30,
        "every feature has split points"
    );
    for quantiser in &hidden.quantisers {
        let real = plain
            .quantisers
            .iter()
            .find(|other| other.feature == quantiser.feature)
            .map_or(&[][..], |other| &other.splits);
        assert_eq!(quantiser.splits.len(), real.len() + 5);
        assert!(real.iter().all(|split| quantiser.splits.contains(split)));
        // Bits of the index, or blocks of one length from one end to the other.
        let index = hidden
            .quantisers
            .iter()
            .position(|other| other == quantiser)
            .unwrap() as u32;
        let own: Vec<&Predicate> = hidden
            .selectors
            .iter()
            .filter(|selector| selector.quantiser == index)
            .map(|selector| &selector.predicate)
            .collect();
        let bins = quantiser.bins();
        let mut forms = (1..bins).map(|length| in_blocks(bins, length));
        match own[0] {
            Predicate::Bit(_) => assert_eq!(own.len(), quantiser.index_bits() as usize),
            Predicate::Within(_) => assert!(forms.any(|form| form.iter().eq(own.iter().copied()))),
        }
    }
}

#[test]
fn a_grid_keeps_thresholds_on_the_server() {
    let folder = library("xgb_bc");
    let model = float_model(&folder);
    let compiled = compiled("xgb_bc", |options| {
        options.features = FeatureMode::Grid { bits: 6 }
    });
    let Encoding::Selectors(encoding) = &compiled.specs.specs().inputs[0] else {
        panic!("a tree ensemble has selectors")
    };
    let calibration = rows(
        &folder,
        "train.csv",
        &model,
        &compiled.specs.specs().columns,
    );
    for quantiser in &encoding.quantisers {
        assert!(quantiser.splits.len() < 64);
        let mut values: Vec<f32> = calibration
            .iter()
            .map(|row| row[quantiser.feature as usize])
            .collect();
        values.sort_unstable_by(f32::total_cmp);
        for split in &quantiser.splits {
            let above = values.partition_point(|value| value <= split);
            let middle =
                f64::midpoint(f64::from(values[above - 1]), f64::from(values[above])) as f32;
            assert!(
                (split - middle).abs() <= f32::EPSILON * middle.abs(),
                "{split} is not between neighbours of the calibration rows"
            );
        }
    }
    let agreement = &compiled.report.agreement;
    assert!(
        agreement.labels_equal * 100 >= agreement.rows * 97,
        "{agreement:?}"
    );
}

#[test]
fn precision_out_of_reach_is_an_error_that_names_the_best() {
    let error =
        try_compile(&library("rf_bc"), |options| options.precision = Some(30.0)).unwrap_err();
    let CompileError::Precision { wanted, best, .. } = error else {
        panic!("{error}")
    };
    assert!(wanted > 29.0 && best > 5.0 && best < 30.0, "{best}");
    let reached = try_compile(&library("rf_bc"), |options| {
        options.precision = Some(best.floor() - 1.0);
    })
    .unwrap();
    assert!(reached.report.precision.guaranteed_bits >= best.floor() - 1.0);
    let error = try_compile(&library("logreg_bc"), |options| {
        options.precision = Some(40.0);
    })
    .unwrap_err();
    assert!(matches!(error, CompileError::Precision { .. }), "{error}");
}

#[test]
fn calibration_columns_must_fit() {
    let folder = library("xgb_bc");
    let model = fs::read(folder.join("model.onnx")).unwrap();
    let text = fs::read(folder.join("train.csv")).unwrap();
    let compile = |text: &[u8], target: Option<&str>| {
        let mut calibration = Calibration::new("train.csv", text);
        calibration
            .columns
            .targets
            .extend(target.map(str::to_owned));
        compile(&model, calibration, &Options::new("m")).unwrap_err()
    };
    assert!(matches!(
        compile(&text, None),
        CompileError::Columns { count: 31, .. }
    ));
    assert!(matches!(
        compile(&text, Some("label")),
        CompileError::NoSuchColumn { .. }
    ));
    assert!(matches!(
        compile(b"a,b\n1,2\n", None),
        CompileError::Columns { count: 2, .. }
    ));
    assert!(matches!(compile(b"", None), CompileError::Table(_)));
}

/// The first calibration row of a model without missing values gets a gap.
#[test]
fn calibration_rows_decide_on_missing_values_that_trees_do_not_mention() {
    let compile = |name: &str, gap: bool| {
        let folder = library(name);
        let model = fs::read(folder.join("model.onnx")).unwrap();
        let mut text = fs::read_to_string(folder.join("train.csv")).unwrap();
        if gap {
            let (header, rows) = text.split_once('\n').unwrap();
            text = format!("{header}\n{}", &rows[rows.find(',').unwrap()..]);
        }
        let calibration = Calibration::new("train.csv", text.as_bytes()).with_target("target");
        compile(&model, calibration, &Options::new("m"))
    };
    let accepted = |compiled: &Compiled| {
        compiled
            .specs
            .specs()
            .columns
            .iter()
            .any(|column| column.missing)
    };
    let (plain, gap) = (
        compile("rf_bc", false).unwrap(),
        compile("rf_bc", true).unwrap(),
    );
    assert!(
        !accepted(&plain) && plain.report.warnings.is_empty(),
        "{:?}",
        plain.report.warnings
    );
    assert!(accepted(&gap));
    assert!(
        gap.report.warnings[0].contains("missing values"),
        "{:?}",
        gap.report.warnings
    );
    let error = compile("logreg_bc", true).unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("no rule for missing values"),
        "{error}"
    );
}

#[test]
fn options_are_checked() {
    let broken: [fn(&mut Options); 4] = [
        |options| options.features = FeatureMode::Grid { bits: 0 },
        |options| options.features = FeatureMode::Exact { decoys: 1 << 20 },
        |options| options.precision = Some(f64::NAN),
        |options| options.name = String::new(),
    ];
    for change in broken {
        assert!(matches!(
            try_compile(&library("dt_bc"), change),
            Err(CompileError::Option { .. })
        ));
    }
}

#[test]
fn labels_of_the_compiled_model_are_the_float_models() {
    for name in ["xgb_bc", "rf_bc", "xgb_wine", "logreg_digits"] {
        let folder = library(name);
        let (model, compiled) = (float_model(&folder), compiled(name, |_| {}));
        let agreement = &compiled.report.agreement;
        assert!(
            agreement.labels_equal + agreement.margin_cases >= agreement.rows,
            "{name}: {agreement:?}"
        );
        assert_eq!(
            agreement.within_precision, agreement.rows,
            "{name}: {agreement:?}"
        );
        let features = &rows(&folder, "test.csv", &model, &compiled.specs.specs().columns)[0];
        let scores = model.raw_scores(features);
        assert_eq!(
            model
                .postprocess
                .run(vec![Tensor::F64(scores)])
                .unwrap()
                .len(),
            compiled.specs.specs().outputs.len()
        );
    }
}
