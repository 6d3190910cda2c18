//! Networks that are none, or that nothing could evaluate.

use super::{info, int, ints, model, node, tensor};
use crate::error::CompileError;
use crate::options::{FitOptions, Limits};
use crate::read::onnx::proto::TensorProto;
use crate::write::proto::{AttributeProto, ModelProto, NodeProto};
use crate::{Calibration, Compiled, Options, compile};
use prost::Message;

/// Far more than any memory holds.
const HUGE: i64 = 1 << 60;

/// Two features, `hidden` hidden values whose weights differ, and a function of them.
fn network(hidden: usize, function: &str) -> ModelProto {
    let each = |from: f32| -> Vec<f32> {
        let place = |index: usize| from + index as f32 / hidden as f32;
        (0..hidden).map(place).collect()
    };
    let columns = hidden as i64;
    model(
        vec![
            node("", "MatMul", &["X", "first"], &["m"], Vec::new()),
            node("", "Add", &["m", "bias"], &["z"], Vec::new()),
            node("", function, &["z"], &["a"], Vec::new()),
            node("", "Gemm", &["a", "second"], &["Y"], Vec::new()),
        ],
        vec![
            tensor("first", &[2, columns], &[each(-0.7), each(0.2)].concat()),
            tensor("bias", &[columns], &each(-0.4)),
            tensor("second", &[columns, 1], &each(-0.45)),
        ],
    )
}

fn nodes(model: &mut ModelProto) -> &mut Vec<NodeProto> {
    &mut model.graph.as_mut().unwrap().node
}

fn weights<'a>(model: &'a mut ModelProto, name: &str) -> &'a mut TensorProto {
    let graph = model.graph.as_mut().unwrap();
    let mut all = graph.initializer.iter_mut();
    all.find(|own| own.name == name).unwrap()
}

fn try_compile(model: &ModelProto) -> Result<Compiled, CompileError> {
    compile_for(model, &Options::new("network"), usual_row)
}

const fn usual_row(index: i32) -> (i32, i32) {
    ((index * 7 % 23) - 11, (index * 5 % 19) - 9)
}

fn compile_for(
    model: &ModelProto,
    options: &Options,
    row: impl Fn(i32) -> (i32, i32),
) -> Result<Compiled, CompileError> {
    let row = |index| {
        let (a, b) = row(index);
        format!("{a},{b}\n")
    };
    let rows = "a,b\n".to_owned() + &(0..60).map(row).collect::<String>();
    let calibration = Calibration::new("rows.csv", rows.as_bytes());
    compile(&model.encode_to_vec(), calibration, options)
}

/// Why a changed network is refused.
fn refused(change: impl FnOnce(&mut ModelProto)) -> String {
    let mut model = network(6, "Relu");
    change(&mut model);
    try_compile(&model).unwrap_err().to_string()
}

#[test]
fn a_network_of_this_form_compiles() {
    let compiled = try_compile(&network(6, "Relu")).unwrap();
    assert_eq!(compiled.report.layers[0].lookups, 6);
}

/// A row each of whose cells is in range may have forms that no calibration row has.
#[test]
fn columns_that_cancel_in_the_model_are_warned_of() {
    let mut model = network(6, "Relu");
    let first = &mut weights(&mut model, "first").float_data;
    for place in 0..6 {
        first[6 + place] = -first[place];
    }
    let options = Options::new("network");
    let together = |index: i32| (usual_row(index).0, usual_row(index).0 + index % 3);
    let is_warned = |rows: &dyn Fn(i32) -> (i32, i32)| {
        let compiled = compile_for(&model, &options, rows).unwrap();
        let mut warnings = compiled.report.warnings.iter();
        warnings.any(|own| own.contains("cells of different calibration rows"))
    };
    assert!(is_warned(&together));
    assert!(!is_warned(&usual_row));
}

/// Two targets that are nearly equal have no largest one that counts; two classes would.
#[test]
fn several_targets_are_no_classes() {
    let mut model = network(6, "Relu");
    let second = weights(&mut model, "second");
    second.dims = vec![6, 2];
    let both = second.float_data.iter();
    second.float_data = both.flat_map(|own| [*own, own + 1e-5]).collect();
    let error = try_compile(&model).unwrap_err().to_string();
    assert!(
        error.contains("the largest score that the model gives"),
        "{error}"
    );
    assert!(
        error.contains("a lower least agreement (--min-agreement)"),
        "{error}"
    );
    model.producer_name = "skl2onnx".into();
    try_compile(&model).unwrap();
}

#[test]
fn weights_that_are_no_numbers_name_node_and_entry() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (name, node) in [("first", "the MatMul"), ("second", "the Gemm")] {
            let error = refused(|model| weights(model, name).float_data[3] = wrong);
            assert!(error.contains(&format!("node \"{node}\"")), "{error}");
            assert!(error.contains("not a finite number"), "{error}");
        }
        let error = refused(|model| weights(model, "bias").float_data[2] = wrong);
        assert!(error.contains("not a finite number"), "{error}");
    }
    // Each weight is one, and what comes of them is none.
    let error = refused(|model| {
        for name in ["first", "second"] {
            let weights = &mut weights(model, name).float_data;
            for weight in weights {
                *weight *= 1e38;
            }
        }
    });
    assert!(error.contains("finite"), "{error}");
}

#[test]
fn shapes_that_do_not_fit_name_the_node() {
    let error = refused(|model| {
        let second = weights(model, "second");
        second.dims = vec![5, 1];
        second.float_data.truncate(5);
    });
    assert!(
        error.contains("\"the Gemm\"") && error.contains("[1, 6] and [5, 1]"),
        "{error}"
    );
    let error = refused(|model| {
        let bias = weights(model, "bias");
        bias.dims = vec![4];
        bias.float_data.truncate(4);
    });
    assert!(error.contains("\"the Add\""), "{error}");
    let error = refused(|model| weights(model, "first").dims = vec![3, 6]);
    assert!(error.contains("\"first\""), "{error}");
}

#[test]
fn operators_that_are_not_evaluated_are_named() {
    for (operator, inputs) in [("LSTM", 3), ("Einsum", 1), ("Resize", 1), ("TopK", 1)] {
        let error = refused(|model| {
            let names = ["z", "first", "second"];
            nodes(model)[2] = node("", operator, &names[..inputs], &["a"], Vec::new());
        });
        let named = format!("node \"the {operator}\" (operator {operator}, domain ai.onnx)");
        assert!(error.contains(&named), "{error}");
    }
    // A function of several numbers between two layers.
    let error = refused(|model| nodes(model)[2].op_type = "Softmax".into());
    assert!(
        error.contains("operator Softmax") && error.contains("between two layers"),
        "{error}"
    );
}

/// A row of two pixels through four kernels of two.
fn convolution(attributes: Vec<AttributeProto>, kernels: &[i64]) -> ModelProto {
    let mut model = model(
        vec![
            node("", "Conv", &["X", "kernels"], &["c"], attributes),
            node("", "Relu", &["c"], &["a"], Vec::new()),
            node(
                "",
                "ReduceMean",
                &["a"],
                &["Y"],
                vec![int("keepdims", 0), ints("axes", &[1, 2, 3])],
            ),
        ],
        vec![tensor(
            "kernels",
            kernels,
            &[0.5, -0.25, 1.0, 0.125, 0.75, -0.5, 0.25, 1.5],
        )],
    );
    model.graph.as_mut().unwrap().input = vec![info("X", &[-1, 1, 1, 2])];
    model
}

#[test]
fn convolutions_of_any_size_are_refused_before_they_are_made() {
    let kernels = [4, 1, 1, 2];
    assert!(try_compile(&convolution(Vec::new(), &kernels)).is_ok());
    for attribute in [
        ints("pads", &[HUGE; 4]),
        ints("pads", &[i64::MAX; 4]),
        ints("pads", &[-HUGE; 4]),
        ints("pads", &[1]),
        ints("strides", &[0, 0]),
        ints("strides", &[-1, 1]),
        ints("dilations", &[0, 1]),
        ints("dilations", &[1, HUGE]),
        ints("kernel_shape", &[HUGE, HUGE]),
        int("group", HUGE),
        int("group", 0),
        int("group", -1),
    ] {
        let name = attribute.name.clone();
        let error = try_compile(&convolution(vec![attribute], &kernels));
        let error = error.map_or_else(|error| error.to_string(), |_| "it compiles".into());
        assert!(error.contains("\"the Conv\""), "{name}: {error}");
    }
    let error = try_compile(&convolution(Vec::new(), &[HUGE, 1, 1, 2]));
    assert!(error.unwrap_err().to_string().contains("\"kernels\""));
}

#[test]
fn layers_too_large_to_evaluate_are_counted_before_they_are_made() {
    let error = try_compile(&network(8193, "Tanh"));
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "node \"the Tanh\": up to it a row would take 8193 functions, and at most 8192 are \
         possible: train with fewer hidden values or filters, or on fewer features"
    );
}

/// A pool of an image has three functions a window of four, counted before any is made.
#[test]
fn pools_too_large_to_evaluate_are_counted_before_they_are_made() {
    let window = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let pool = |size: i64, attributes| {
        let mut model = model(
            vec![
                node("", "Conv", &["X", "kernel"], &["c"], Vec::new()),
                node("", "MaxPool", &["c"], &["p"], attributes),
                node("", "Conv", &["p", "kernel"], &["d"], Vec::new()),
                node(
                    "",
                    "ReduceMean",
                    &["d"],
                    &["Y"],
                    vec![int("keepdims", 0), ints("axes", &[1, 2, 3])],
                ),
            ],
            vec![tensor("kernel", &[1, 1, 1, 1], &[2.0])],
        );
        model.graph.as_mut().unwrap().input = vec![info("X", &[-1, 1, size, size])];
        model
    };
    let error = try_compile(&pool(128, window())).unwrap_err().to_string();
    assert!(
        error.contains("node \"the MaxPool\": up to it a row would take 12288 functions"),
        "{error}"
    );
    // Windows that end with the image are the same in both modes.
    let with_ceiling = |size| {
        let attributes = [window(), vec![int("ceil_mode", 1)]].concat();
        try_compile(&pool(size, attributes))
            .unwrap_err()
            .to_string()
    };
    let (even, odd) = (with_ceiling(4), with_ceiling(3));
    assert!(!even.contains("ceil_mode"), "{even}");
    assert!(odd.contains("\"ceil_mode\""), "{odd}");
}

/// Functions that are off or on over all calibration rows need no table, however far off they are.
#[test]
fn functions_that_are_lines_are_not_looked_up() {
    let mut model = network(6, "Relu");
    let bias = &mut weights(&mut model, "bias").float_data;
    bias[1] = -400.0;
    bias[4] = 300.0;
    let compiled = try_compile(&model).unwrap();
    let layer = &compiled.report.layers[0];
    assert_eq!((layer.lookups, layer.wrapped), (4, 0));
    assert!(layer.error < 0.005, "{layer:?}");
    // None has a kink where the rows are.
    weights(&mut model, "bias").float_data.fill(300.0);
    let compiled = try_compile(&model).unwrap();
    let layer = &compiled.report.layers[0];
    assert_eq!((layer.lookups, layer.selectors), (0, 0));
    assert!(layer.error < 0.005, "{layer:?}");
}

/// Two hidden layers, the second of `steep` times larger weights.
fn deep_network(function: &str, steep: f32) -> ModelProto {
    let mut deep = network(6, function);
    let each = |index: i32| steep * ((index * 7 % 11) as f32 / 5.0 - 1.0);
    let own = nodes(&mut deep);
    own[3] = node("", "MatMul", &["a", "inner"], &["n"], Vec::new());
    own[3].name = "the second MatMul".into();
    own.push(node("", function, &["n"], &["b"], Vec::new()));
    own[4].name = format!("the second {function}");
    own.push(node("", "Gemm", &["b", "second"], &["Y"], Vec::new()));
    let inner: Vec<f32> = (0..36).map(each).collect();
    let graph = deep.graph.as_mut().unwrap();
    graph.initializer.push(tensor("inner", &[6, 6], &inner));
    deep
}

#[test]
fn functions_of_deeper_layers_that_are_lines_take_no_bootstrap() {
    let mut model = deep_network("Relu", 1.0);
    let shift = [-500.0, 0.0, 0.0, 400.0, 0.0, 0.0];
    let own = nodes(&mut model);
    own[4].input = vec!["shifted".into()];
    let mut add = node("", "Add", &["n", "shift"], &["shifted"], Vec::new());
    add.name = "the shift".into();
    own.insert(4, add);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(tensor("shift", &[6], &shift));
    let compiled = try_compile(&model).unwrap();
    let deep = compiled.report.layers[1].deep.unwrap();
    assert!((1..=4).contains(&deep.bootstraps), "{deep:?}");
    assert!(compiled.report.layers[1].error < 0.01);
}

#[test]
fn scores_that_rows_do_not_move_and_noise_that_fills_them_are_named() {
    for model in [network(6, "Tanh"), deep_network("Tanh", 1.0)] {
        let error = compile_for(&model, &Options::new("network"), |_| (3, 4)).unwrap_err();
        assert!(matches!(error, CompileError::StillScore { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("Tanh\": score 0"), "{text}");
    }
    let error = try_compile(&deep_network("Tanh", 1e5)).unwrap_err();
    assert!(matches!(error, CompileError::NoisyLayer { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("Tanh\": noise of its numbers"), "{text}");
}

/// No table follows a function this steep.
#[test]
fn what_no_table_follows_is_refused_with_what_limits_it() {
    let mut model = network(6, "Sin");
    let first = &mut weights(&mut model, "first").float_data;
    for weight in first {
        *weight *= 5000.0;
    }
    let mut options = Options::new("network");
    let error = compile_for(&model, &options, usual_row).unwrap_err();
    assert!(matches!(error, CompileError::Unfaithful { .. }), "{error}");
    // With limits to fit it is one of the tries.
    options.fit = Some(FitOptions {
        limits: Limits::LAMBDA,
        keeps_profile: false,
    });
    let tried = compile_for(&model, &options, usual_row).unwrap_err();
    assert!(matches!(tried, CompileError::DoesNotFit { .. }), "{tried}");
    assert!(tried.to_string().contains("not faithful enough"), "{tried}");
    let text = error.to_string();
    for part in [
        "the compiled model is not faithful enough: scores of the simulated calibration rows are off by",
        "and 1 % is the most",
        "node \"the Sin\" limits it",
        "ask for less with a larger error of the scores (--max-error)",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
