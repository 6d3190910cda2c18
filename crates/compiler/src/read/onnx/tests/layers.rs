//! Layers of larger models, and their transposes.

use super::{info, int, ints, model, node, tensor};
use crate::read::read_layer;
use crate::write::proto::{GraphProto, ModelProto};
use crate::{Calibration, Compiled, Options, Profile, compile};
use cipherfn_engine::{PreparedCircuit, Workspace};
use cipherfn_program::Tensor;
use cipherfn_scheme::query::{InputValues, encrypt_row};
use cipherfn_scheme::{EvaluationKey, SecretKey, reply};
use prost::Message;

/// A number in [-1, 1] that differs from entry to entry.
fn number(index: usize) -> f32 {
    ((index * 3571) % 4999) as f32 / 2499.0 - 1.0
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(number).collect()
}

/// A model that has what no compiler could evaluate, around a linear layer of `inputs` and `outputs` on
/// tokens, and a convolution.
fn larger(inputs: usize, outputs: usize) -> ModelProto {
    let (rows, columns) = (inputs as i64, outputs as i64);
    let mut whole = model(
        vec![
            node("", "Embed", &["X"], &["e"], Vec::new()),
            node("", "Identity", &["w"], &["w1"], Vec::new()),
            node("", "MatMul", &["e", "w1"], &["m"], Vec::new()),
            node("", "Attend", &["m", "m"], &["a"], Vec::new()),
            node(
                "",
                "Gemm",
                &["a", "w", "bias"],
                &["g"],
                vec![int("transB", 0)],
            ),
            node(
                "",
                "Conv",
                &["image", "kernel"],
                &["Y"],
                vec![ints("pads", &[1, 1, 1, 1])],
            ),
        ],
        vec![
            tensor("w", &[rows, columns], &numbers(inputs * outputs)),
            tensor("bias", &[columns], &numbers(outputs)),
            tensor("kernel", &[2, 1, 3, 3], &numbers(18)),
        ],
    );
    let graph: &mut GraphProto = whole.graph.as_mut().unwrap();
    graph.value_info = vec![info("e", &[-1, 5, rows]), info("image", &[-1, 1, 4, 4])];
    whole
}

fn rows(columns: usize, count: usize) -> String {
    let name = |column: usize| format!("x{column}");
    let value = |at: usize| format!("{:.3}", number(at * 31 + 5));
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let mut text = line((0..columns).map(name).collect());
    for row in 0..count {
        text += &line(
            (0..columns)
                .map(|column| value(row * columns + column))
                .collect(),
        );
    }
    text
}

fn compiled(model: &ModelProto, options: &Options, columns: usize) -> Compiled {
    let rows = rows(columns, 12);
    let calibration = Calibration::new("rows.csv", rows.as_bytes());
    compile(&model.encode_to_vec(), calibration, options).unwrap()
}

fn options(layer: &str, transpose: bool) -> Options {
    Options {
        layer: Some(layer.into()),
        transpose,
        ..Options::new("layer")
    }
}

/// What really encrypted rows come to, and what the float layer gives: the error is below the bound.
fn holds(compiled: &Compiled, exact: impl Fn(&[f32]) -> Vec<f64>) {
    let specs = compiled.specs.specs();
    let prepared = PreparedCircuit::new(&compiled.bundle.circuit).unwrap();
    let key = SecretKey::generate(prepared.parameter_set()).unwrap();
    let needs_key = compiled.report.security.needs_evaluation_key;
    assert_eq!(needs_key, !specs.key_parts.is_empty());
    let expanded = needs_key.then(|| EvaluationKey::generate(&key).unwrap().expand().unwrap());
    let width = specs.columns.len();
    for row in 0..3 {
        let row: Vec<f32> = (0..width).map(|at| number(at * 31 + row * 97)).collect();
        let values = InputValues::all(&specs.inputs, &row).unwrap();
        let query = encrypt_row(&key, prepared.inputs(), &values).unwrap();
        assert_eq!(query.len(), compiled.report.sizes.query_row);
        let answer = prepared
            .evaluate_row(expanded.as_ref(), &query, &mut Workspace::default())
            .unwrap();
        assert_eq!(answer.len(), compiled.report.sizes.reply_row);
        let phases = reply::decrypt_row(&key, prepared.outputs(), &answer).unwrap();
        let scores = Tensor::F64(specs.decoding.scores(&phases));
        let found = specs.postprocess.run(vec![scores]).unwrap()[0]
            .to_f64()
            .unwrap();
        let exact = exact(&row);
        assert_eq!(found.len(), exact.len());
        let precision = specs
            .decoding
            .scores
            .iter()
            .map(|score| score.precision.get());
        let precision = precision.fold(0.0, f64::max);
        for (found, exact) in found.iter().zip(&exact) {
            // Results are 32-bit floats.
            assert!(
                (found - exact).abs() <= precision + 1e-5,
                "{found} instead of {exact}"
            );
        }
        let largest = exact.iter().map(|value| value.abs()).fold(0.0, f64::max);
        assert!(precision < largest / 100.0, "{precision} of {largest}");
    }
}

/// Packed, and with all outputs side by side in the profile that has no key.
#[test]
fn a_token_passes_a_linear_layer() {
    const INPUTS: usize = 150;
    const OUTPUTS: usize = 100;
    let whole = larger(INPUTS, OUTPUTS);
    let (weights, bias) = (numbers(INPUTS * OUTPUTS), numbers(OUTPUTS));
    let exact = |with_bias: bool| {
        let (weights, bias) = (&weights, &bias);
        move |row: &[f32]| -> Vec<f64> {
            let output = |output: usize| {
                let terms = row.iter().enumerate();
                let sum: f64 = terms
                    .map(|(at, x)| f64::from(*x) * f64::from(weights[at * OUTPUTS + output]))
                    .sum();
                sum + if with_bias {
                    f64::from(bias[output])
                } else {
                    0.0
                }
            };
            (0..OUTPUTS).map(output).collect()
        }
    };
    let packed = compiled(&whole, &options("the MatMul", false), INPUTS);
    assert_eq!(packed.specs.specs().key_parts, ["expansion"]);
    assert_eq!(packed.bundle.circuit.outputs.len(), 1);
    assert_eq!(packed.specs.format(), 5);
    holds(&packed, exact(false));
    let keyless = Options {
        profile: Profile::Keyless,
        ..options("the Gemm", false)
    };
    let plain = compiled(&whole, &keyless, INPUTS);
    assert!(plain.specs.specs().key_parts.is_empty());
    assert!(plain.report.sizes.query_row > 3 * packed.report.sizes.query_row);
    holds(&plain, exact(true));
}

/// The gradient of the argument: the transpose, and nothing of the bias.
#[test]
fn a_gradient_passes_back() {
    let whole = larger(30, 20);
    let weights = numbers(30 * 20);
    let back = compiled(&whole, &options("the Gemm", true), 20);
    assert!(back.specs.specs().key_parts.is_empty(), "it is small");
    holds(&back, |gradient| {
        let entry = |input: usize| {
            let terms = gradient.iter().enumerate();
            terms
                .map(|(output, x)| f64::from(*x) * f64::from(weights[input * 20 + output]))
                .sum()
        };
        (0..30).map(entry).collect()
    });
}

/// More outputs than a ciphertext has coefficients: several replies, with a key and without.
#[test]
fn many_outputs_take_several_ciphertexts() {
    const OUTPUTS: usize = 2100;
    let whole = larger(3, OUTPUTS);
    let weights = numbers(3 * OUTPUTS);
    let exact = |row: &[f32]| -> Vec<f64> {
        let output = |output: usize| {
            let terms = row.iter().enumerate();
            terms
                .map(|(at, x)| f64::from(*x) * f64::from(weights[at * OUTPUTS + output]))
                .sum()
        };
        (0..OUTPUTS).map(output).collect()
    };
    let two = compiled(&whole, &options("the MatMul", false), 3);
    assert_eq!(two.bundle.circuit.outputs.len(), 2);
    holds(&two, exact);
}

/// A convolution with borders, and its transpose: both by their definition.
#[test]
fn an_image_passes_a_convolution_and_back() {
    let whole = larger(3, 2);
    let kernel = numbers(18);
    // Pixels of the image that a pixel of a channel is computed from, with their weights.
    let taps = |channel: usize, y: i32, x: i32| {
        let kernel = &kernel;
        let offsets = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx)));
        offsets.filter_map(move |(dy, dx)| {
            let (row, column) = (y + dy, x + dx);
            let inside = (0..4).contains(&row) && (0..4).contains(&column);
            let weight = kernel[channel * 9 + (dy + 1) as usize * 3 + (dx + 1) as usize];
            inside.then_some(((row * 4 + column) as usize, f64::from(weight)))
        })
    };
    let pixels = || (0..2).flat_map(|channel| (0..16).map(move |at| (channel, at / 4, at % 4)));
    let forward = compiled(&whole, &options("the Conv", false), 16);
    holds(&forward, |image| {
        pixels()
            .map(|(channel, y, x)| {
                taps(channel, y, x)
                    .map(|(at, weight)| weight * f64::from(image[at]))
                    .sum()
            })
            .collect()
    });
    let back = compiled(&whole, &options("the Conv", true), 32);
    holds(&back, |gradient| {
        let mut image = vec![0.0; 16];
        for ((channel, y, x), own) in pixels().zip(gradient) {
            for (at, weight) in taps(channel, y, x) {
                image[at] += weight * f64::from(*own);
            }
        }
        image
    });
}

#[test]
fn layers_that_are_none_have_their_error() {
    let error = |whole: &ModelProto, layer: &str| {
        let read = read_layer(&whole.encode_to_vec(), layer);
        read.unwrap_err().to_string()
    };
    let whole = larger(3, 2);
    assert_eq!(
        error(&whole, "the Dense"),
        "no node is called \"the Dense\"; linear layers (MatMul, Gemm, Conv) of this model: \
         the MatMul, the Gemm, the Conv"
    );
    let attention = error(&whole, "the Attend");
    assert!(attention.contains("it is chosen as a layer"), "{attention}");
    let mut unknown = larger(3, 2);
    unknown.graph.as_mut().unwrap().value_info.clear();
    let shapes = error(&unknown, "the Conv");
    assert!(
        shapes.contains("does not say how large its input \"image\" is"),
        "{shapes}"
    );
    assert!(shapes.contains("infer_shapes"), "{shapes}");
    let mut computed = larger(3, 2);
    computed.graph.as_mut().unwrap().node[2].input[1] = "X".into();
    let weights = error(&computed, "the MatMul");
    assert!(weights.contains("its weights depend on \"X\""), "{weights}");
    assert!(read_layer(b"tree\nversion=v4\n", "x").is_err());
    // An addend a token.
    let mut addend = larger(3, 2);
    addend.graph.as_mut().unwrap().initializer[1] = tensor("bias", &[5, 2], &numbers(10));
    let rows = rows(3, 12);
    let calibration = Calibration::new("rows.csv", rows.as_bytes());
    let refused = compile(
        &addend.encode_to_vec(),
        calibration,
        &options("the Gemm", false),
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("addend has shape [5, 2]"), "{refused}");
    let calibration = Calibration::new("rows.csv", b"a,b\n1,2\n3,5\n".as_slice());
    let network = model(
        vec![
            node("", "MatMul", &["X", "w"], &["m"], Vec::new()),
            node("", "Relu", &["m"], &["Y"], Vec::new()),
        ],
        vec![tensor("w", &[2, 1], &[1.0, 2.0])],
    );
    let options = Options {
        transpose: true,
        ..Options::new("network")
    };
    let refused = compile(&network.encode_to_vec(), calibration, &options).unwrap_err();
    assert!(
        refused.to_string().contains("more than one linear layer"),
        "{refused}"
    );
}
