//! Answers as objects: `{ outcome, values, remark }`.

use cipherfn_client::{Answer, Mark};
use cipherfn_program::Tensor;
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::JsValue;

/// Largest whole number up to which a JavaScript number holds all, 2^53.
const EXACT: u64 = 1 << 53;

/// Answers to rows, by the names of their columns. `marks` are what the client knows of the rows.
pub(crate) fn objects(names: &[String], answers: Vec<Answer>, marks: &[Mark]) -> Array {
    let names: Vec<JsValue> = names.iter().map(JsValue::from).collect();
    let marked = answers.into_iter().zip(marks);
    marked
        .map(|(answer, mark)| object(&names, answer, mark))
        .collect()
}

fn object(names: &[JsValue], answer: Answer, mark: &Mark) -> JsValue {
    let answer = answer.marked(mark.clone());
    let outcome = match (mark, &answer.prediction) {
        (Mark::Unusable(_), _) => "unusable",
        (_, None) => "failed",
        (Mark::Limited(_), Some(_)) => "limited",
        (_, Some(_)) => "answered",
    };
    let values = answer.prediction.map(|prediction| {
        let cells = prediction.cells();
        let outputs = prediction.outputs.iter();
        let tensors = outputs.flat_map(|tensor| (0..tensor.len()).map(move |at| (tensor, at)));
        let values = tensors.zip(cells).map(|(entry, cell)| value(entry, &cell));
        fields(names.iter().cloned().zip(values))
    });
    fields([
        ("outcome".into(), outcome.into()),
        ("values".into(), values.unwrap_or(JsValue::NULL)),
        (
            "remark".into(),
            answer.remark.map_or(JsValue::NULL, Into::into),
        ),
    ])
}

/// A cell of its output's kind: floats are rounded to the digits that mean something.
fn value((tensor, at): (&Tensor, usize), cell: &str) -> JsValue {
    match tensor {
        Tensor::Text(_) => cell.into(),
        Tensor::I64(values) if values[at].unsigned_abs() > EXACT => values[at].into(),
        Tensor::I64(_) | Tensor::F32(_) | Tensor::F64(_) => {
            // What Rust writes as a float it reads as one.
            cell.parse::<f64>().unwrap_or(f64::NAN).into()
        }
    }
}

fn fields(entries: impl IntoIterator<Item = (JsValue, JsValue)>) -> JsValue {
    let object = Object::new();
    for (name, value) in entries {
        // An ordinary object takes properties.
        let _ = Reflect::set(&object, &name, &value);
    }
    object.into()
}
