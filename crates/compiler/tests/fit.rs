//! Models that are to fit a function, and the choice between time and size.

use cipherfn_compiler::fit::{Demand, FitOptions, Limit, Limits};
use cipherfn_compiler::report::Try;
use cipherfn_compiler::{
    Calibration, CompileError, Compiled, FeatureMode, Options, Prefer, Profile, Report, compile,
};
use cipherfn_scheme::parameters::ParameterSet;
use std::fs;
use std::path::Path;

fn try_compile(name: &str, change: impl FnOnce(&mut Options)) -> Result<Compiled, CompileError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/libraries");
    let read = |file: &str| fs::read(folder.join(name).join(file)).unwrap();
    let (model, rows) = (read("model.onnx"), read("train.csv"));
    let mut options = Options::new(name);
    change(&mut options);
    let calibration = Calibration::new("train.csv", rows.as_slice()).with_target("target");
    compile(&model, calibration, &options)
}

fn to_fit(limits: Limits) -> impl FnOnce(&mut Options) {
    move |options| {
        options.fit = Some(FitOptions {
            limits,
            keeps_profile: false,
        });
    }
}

#[test]
fn what_fits_as_it_is_compiles_as_it_does_without_limits() {
    let plain = try_compile("rf_bc", |_| ()).unwrap();
    let fitting = try_compile("rf_bc", to_fit(Limits::LAMBDA)).unwrap();
    assert_eq!(fitting.bundle.circuit, plain.bundle.circuit);
    let fit = fitting.report.fit.as_ref().unwrap();
    assert_eq!(fit.tries.len(), 1);
    let facts = fit.tries[0].facts.as_ref().unwrap();
    assert_eq!(facts.agreement, plain.report.agreement);
    assert!(facts.demand.query_bytes > plain.report.sizes.query_row);
    assert_eq!(
        fitting.bundle.report,
        serde_json::to_vec(&fitting.report).unwrap()
    );
    assert!(
        fitting.report.to_string().contains("\nfit "),
        "{}",
        fitting.report
    );
    let read: Report = serde_json::from_slice(&fitting.bundle.report).unwrap();
    assert_eq!(read, fitting.report);
}

#[test]
fn the_first_try_that_fits_is_taken_and_all_are_told() {
    // One ciphertext of 10 KB, where the forest takes four.
    let limits = Limits {
        bytes: 13_000,
        ..Limits::LAMBDA
    };
    let compiled = try_compile("rf_bc", to_fit(limits)).unwrap();
    let fit = compiled.report.fit.unwrap();
    let (taken, others) = fit.tries.split_last().unwrap();
    assert!(taken.fits() && !others.is_empty());
    for other in others {
        let facts = other.facts.as_ref().unwrap();
        assert!(facts.missed.contains(&Limit::Query), "{other:?}");
    }
    assert!(compiled.report.sizes.query_row <= limits.bytes);
    assert_eq!(taken.profile, Profile::Wide);
}

#[test]
fn a_profile_that_was_chosen_is_kept() {
    // Less than exact features take, and more than a coarse grid does.
    let compiled = try_compile("rf_bc", |options| {
        options.fit = Some(FitOptions {
            limits: Limits {
                seconds: 0.045,
                bytes: 25_000,
                ..Limits::LAMBDA
            },
            keeps_profile: true,
        });
        options.min_agreement = 0.9;
    });
    let fit = compiled.unwrap().report.fit.unwrap();
    let is_balanced = |attempt: &Try| attempt.profile == Profile::Balanced;
    assert!(fit.tries.iter().all(is_balanced));
    assert!(fit.tries.last().unwrap().features.starts_with("grid:"));
}

#[test]
fn what_cannot_fit_is_refused_with_what_comes_closest() {
    let limits = Limits {
        seconds: 0.001,
        ..Limits::LAMBDA
    };
    let error = try_compile("rf_bc", to_fit(limits)).unwrap_err();
    let CompileError::DoesNotFit {
        tried,
        closest: Some(closest),
        ways_out,
    } = &error
    else {
        panic!("{error}");
    };
    // Two lines before the first try; its time is marked.
    let line = tried.lines().nth(closest + 2).unwrap_or_default();
    assert!(line.contains(" ms!"), "{tried}");
    assert!(ways_out.iter().any(|way| way.contains("trees in place of")));
    let text = error.to_string();
    assert!(
        text.contains(&format!("try {} comes closest", closest + 1)),
        "{text}"
    );
}

#[test]
fn time_or_size_is_spared_as_preferred() {
    let with = |name, prefer| {
        let compiled = try_compile(name, |options| {
            options.features = FeatureMode::Grid { bits: 6 };
            options.prefer = prefer;
        });
        let report = compiled.unwrap().report;
        (report.work.predicted_microseconds, report.sizes.query_row)
    };
    let mut differ = 0;
    for name in ["rf_bc", "lgbm_bc"] {
        let usual = with(name, None);
        let (time, size) = (
            with(name, Some(Prefer::Time)),
            with(name, Some(Prefer::Size)),
        );
        println!("{name}: time {time:?}, usual {usual:?}, size {size:?}");
        assert!(
            time.0 <= usual.0 && time.0 <= size.0,
            "{name}: {time:?} {usual:?} {size:?}"
        );
        assert!(
            size.1 <= usual.1 && size.1 <= time.1,
            "{name}: {time:?} {usual:?} {size:?}"
        );
        differ += u32::from(time.0 < size.0 && time.1 > size.1);
    }
    assert!(differ > 0, "both spare the same");
    let refused = try_compile("rf_bc", |options| {
        options.profile = Profile::Compact;
        options.prefer = Some(Prefer::Time);
    });
    assert!(matches!(
        refused,
        Err(CompileError::Option {
            option: "prefer",
            ..
        })
    ));
}

/// A layer of functions: less precise where it has to be, as long as it is faithful.
#[test]
fn networks_fit_without_grids() {
    let within = |seconds| {
        try_compile(
            "mlp_bc",
            to_fit(Limits {
                seconds,
                ..Limits::LAMBDA
            }),
        )
    };
    let plain = try_compile("mlp_bc", |_| ()).unwrap();
    let seconds = plain.report.work.predicted_microseconds.get() / 1e6;
    let fitting = within(0.98 * seconds).unwrap();
    let tries = &fitting.report.fit.as_ref().unwrap().tries;
    assert!(tries.len() > 1 && tries.iter().all(|own| own.features == "exact"));
    assert!(fitting.report.layers[0].error <= 0.01);
    assert!(fitting.report.work.predicted_microseconds < plain.report.work.predicted_microseconds);
    let error = within(0.001).unwrap_err().to_string();
    assert!(error.contains("nothing that was tried fits"), "{error}");
    assert!(!error.contains("grid:"), "a grid changes nothing: {error}");
}

/// Several layers: tried with less precision, too, and all bootstraps count in what would help.
#[test]
fn deeper_networks_are_tried_with_less_precision() {
    let plain = try_compile("mlp_three_layers_wine", |_| ()).unwrap();
    let limits = Limits {
        seconds: 0.15 * plain.report.work.predicted_microseconds.get() / 1e6,
        ..Limits::LAMBDA
    };
    let error = try_compile("mlp_three_layers_wine", to_fit(limits)).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("nothing that was tried fits"), "{error}");
    assert!(error.contains("\n  2   exact"), "{error}");
    assert!(
        error.contains("functions (hidden values, support vectors) in place of"),
        "{error}"
    );
}

/// The key in the form that it is used in has a quarter of a function's memory.
#[test]
fn the_memory_of_a_function_counts_the_bootstrapping_key() {
    let compiled = try_compile("mlp_three_layers_wine", |_| ()).unwrap();
    let circuit = &compiled.bundle.circuit;
    let set = ParameterSet::by_name(&circuit.parameter_set).unwrap();
    let part = set.part(circuit.bootstrap.as_deref().unwrap()).unwrap();
    let key = part.expanded_bytes(set) as u64;
    assert!(key > 50 << 20, "{key}");
    let demand = Demand::of(circuit, 0.1, Limits::LAMBDA.memory).unwrap();
    assert!(demand.memory >= 4 * key, "{} {key}", demand.memory);
}
