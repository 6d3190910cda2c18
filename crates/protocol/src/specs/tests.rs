use super::*;
use cipherfn_program::{Kind, TensorType};
use serde_json::{Value, json};

fn identity(kind: Kind) -> Value {
    serde_json::to_value(RowProgram::identity(vec![TensorType { kind, len: 1 }]).unwrap()).unwrap()
}

fn document() -> Value {
    json!({
        "format": 1,
        "model": {"name": "m", "family": "tree ensemble", "task": "regression"},
        "circuit": "00".repeat(32),
        "parameter_set": {"name": "set", "hash": "11".repeat(32)},
        "columns": [{"name": "a", "kind": "float32", "missing": false}],
        "preprocess": identity(Kind::F32),
        "encoding": {"selectors": {
            "quantisers": [{"feature": 0, "name": "a", "splits": [0.1, 0.2, 1.5], "missing": "last"}],
            "selectors": [{"quantiser": 0, "predicate": {"bit": 2}}, {"quantiser": 0, "predicate": {"within": [[0, 1], [3, 5]]}}],
            "gadget": {"base_log": 8, "levels": 3},
            "transport": "packed"
        }},
        "decoding": {
            "reply_bits": 20, "coefficients": 2, "stride": 1, "failure_log2": -40.0,
            "scores": [{"coefficient": 1, "scale": 2.0, "offset": 0.1, "step": 0.01, "precision": 0.015, "range": [-1.0, 1.0]}]
        },
        "postprocess": identity(Kind::F64),
        "outputs": ["prediction"]
    })
}

fn read(value: &Value) -> Result<SpecsDocument, SpecsError> {
    SpecsDocument::from_json_bytes(&serde_json::to_vec(value).unwrap())
}

#[test]
fn a_document_round_trips_and_keeps_its_bytes() {
    let spaced = serde_json::to_vec_pretty(&document()).unwrap();
    let read = SpecsDocument::from_json_bytes(&spaced).unwrap();
    assert_eq!(read.bytes(), spaced);
    assert_eq!(read.hash(), Hash::of(&spaced));
    let canonical = SpecsDocument::new(read.specs().clone()).unwrap();
    assert_eq!(
        SpecsDocument::from_json_bytes(canonical.bytes()).unwrap(),
        canonical
    );
    let Encoding::Selectors(encoding) = &canonical.specs().encoding else {
        panic!("selectors")
    };
    assert_eq!(encoding.quantisers[0].splits, [0.1_f32, 0.2, 1.5]);
}

#[test]
fn every_bad_field_is_named() {
    let cases: &[(&str, Value, &str)] = &[
        ("/columns", json!([]), "columns"),
        ("/model/name", json!(""), "model.name"),
        (
            "/encoding/selectors/quantisers/0/splits",
            json!([1.0, 1.0]),
            "encoding.quantisers[0].splits",
        ),
        (
            "/encoding/selectors/quantisers/0/splits",
            json!([2.0, 1.0]),
            "encoding.quantisers[0].splits",
        ),
        (
            "/encoding/selectors/selectors/0/quantiser",
            json!(1),
            "encoding.selectors[0].quantiser",
        ),
        (
            "/encoding/selectors/selectors/0/predicate",
            json!({"bit": 3}),
            "encoding.selectors[0].predicate",
        ),
        (
            "/encoding/selectors/selectors/1/predicate",
            json!({"within": [[0, 6]]}),
            "encoding.selectors[1].predicate",
        ),
        (
            "/encoding/selectors/selectors/1/predicate",
            json!({"within": [[2, 3], [1, 2]]}),
            "encoding.selectors[1].predicate",
        ),
        (
            "/encoding/selectors/gadget",
            json!({"base_log": 32, "levels": 2}),
            "encoding.gadget",
        ),
        ("/decoding/reply_bits", json!(65), "decoding.reply_bits"),
        (
            "/decoding/coefficients",
            json!(1_u32 << 31),
            "decoding.coefficients",
        ),
        (
            "/decoding/failure_log2",
            json!(0.0),
            "decoding.failure_log2",
        ),
        ("/decoding/scores", json!([]), "decoding.scores"),
        (
            "/decoding/scores/0/coefficient",
            json!(2),
            "decoding.scores[0].coefficient",
        ),
        (
            "/decoding/scores/0/step",
            json!(0.0),
            "decoding.scores[0].step",
        ),
        (
            "/decoding/scores/0/range",
            json!([1.0, 0.0]),
            "decoding.scores[0].range",
        ),
        ("/outputs", json!([{"probabilities": []}]), "outputs[0]"),
        ("/outputs", json!(["label", "prediction"]), "outputs"),
        ("/preprocess", identity(Kind::F64), "preprocess"),
        ("/postprocess", identity(Kind::F32), "postprocess"),
        (
            "/encoding/selectors/quantisers/0/feature",
            json!(1),
            "preprocess",
        ),
    ];
    read(&document()).unwrap();
    for (path, value, field) in cases {
        let mut broken = document();
        *broken.pointer_mut(path).unwrap() = value.clone();
        match read(&broken) {
            Err(SpecsError::Invalid { field: found, .. }) => assert_eq!(&found, field),
            other => panic!("{path} = {value}: {other:?}"),
        }
    }
}

#[test]
fn linear_encodings_are_checked() {
    let mut linear = document();
    linear["encoding"] = json!({"linear": {
        "names": ["a"], "centre": [0.0], "half_width": [1.0], "delta": 0.1, "block": 64, "stride": 1, "body_bits": 24
    }});
    read(&linear).unwrap();
    for (key, value) in [
        ("centre", json!([])),
        ("half_width", json!([0.0])),
        ("delta", json!(0.5)),
        ("block", json!(0)),
        ("body_bits", json!(0)),
    ] {
        let mut broken = linear.clone();
        broken["encoding"]["linear"][key] = value;
        assert!(
            matches!(read(&broken), Err(SpecsError::Invalid { field, .. }) if field == format!("encoding.{key}")),
            "{key}"
        );
    }
}

#[test]
fn foreign_documents_are_refused() {
    assert!(matches!(
        SpecsDocument::from_json_bytes(b"\x08\x07onnx"),
        Err(SpecsError::Json(_))
    ));
    let mut newer = document();
    newer["format"] = json!(2);
    newer["surprise"] = json!(1);
    assert!(matches!(read(&newer), Err(SpecsError::Format { found: 2 })));
    let mut extra = document();
    extra["surprise"] = json!(1);
    assert!(matches!(read(&extra), Err(SpecsError::Json(_))));
}
