use super::*;
use crate::versions::Versions;
use cipherfn_program::{EntryKind, TensorType};
use serde_json::{Value, json};

fn identity(kind: EntryKind) -> Value {
    serde_json::to_value(RowProgram::identity(vec![TensorType { kind, len: 1 }]).unwrap()).unwrap()
}

/// A document of format 1.
fn document() -> Value {
    json!({
        "format": 1,
        "model": {"name": "m", "family": "tree ensemble", "task": "regression"},
        "circuit": "00".repeat(32),
        "parameter_set": {"name": "set", "hash": "11".repeat(32)},
        "columns": [{"name": "a", "kind": "float32", "missing": false}],
        "preprocess": identity(EntryKind::F32),
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
        "postprocess": identity(EntryKind::F64),
        "outputs": ["prediction"]
    })
}

/// The same of format 2.
fn document_2() -> Value {
    let mut document = document();
    document["format"] = json!(2);
    document["key_parts"] = json!(["expansion"]);
    let fields = document.as_object_mut().unwrap();
    let encoding = fields.remove("encoding").unwrap();
    fields.insert("inputs".into(), json!([encoding]));
    let decoding = document["decoding"].as_object_mut().unwrap();
    let reply = ["reply_bits", "coefficients", "stride"]
        .map(|field| (field.to_owned(), decoding.remove(field).unwrap()));
    decoding.insert("replies".into(), json!([serde_json::Map::from_iter(reply)]));
    document
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
    let Encoding::Selectors(encoding) = &canonical.specs().inputs[0] else {
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
        ("/preprocess", identity(EntryKind::F64), "preprocess"),
        ("/postprocess", identity(EntryKind::F32), "postprocess"),
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
    newer["format"] = json!(8);
    newer["surprise"] = json!(1);
    let error = read(&newer).unwrap_err();
    assert_eq!(
        error.to_string(),
        "client specs have format 8, this build reads versions 1 to 7; write them anew with this build"
    );
}

#[test]
fn unknown_fields_are_tolerated_where_they_cannot_change_an_answer() {
    let extended = |mut document: Value, path: &str| {
        document.pointer_mut(path).unwrap()["surprise"] = json!(1);
        read(&document)
    };
    extended(document_2(), "").unwrap();
    assert!(matches!(extended(document(), ""), Err(SpecsError::Json(_))));
    for path in [
        "/model",
        "/inputs/0/selectors",
        "/inputs/0/selectors/quantisers/0",
        "/decoding",
        "/decoding/replies/0",
        "/decoding/scores/0",
        "/columns/0",
        "/preprocess",
    ] {
        assert!(
            matches!(extended(document_2(), path), Err(SpecsError::Json(_))),
            "{path}"
        );
    }
}

#[test]
fn both_formats_say_the_same() {
    let (one, two) = (read(&document()).unwrap(), read(&document_2()).unwrap());
    assert_eq!(one.specs(), two.specs());
    assert_eq!((one.format(), two.format()), (1, 2));
    assert_ne!(one.hash(), two.hash());
    let back = two.version_1().unwrap().expect("one input, one output");
    assert_eq!(back.format(), 1);
    assert_eq!(
        serde_json::from_slice::<Value>(back.bytes()).unwrap(),
        document()
    );
    assert_eq!(SpecsDocument::new(one.specs().clone()).unwrap().format(), 2);
}

#[test]
fn what_format_1_cannot_say_has_no_document_of_it() {
    let mut parts = document_2();
    parts["key_parts"] = json!(["expansion", "inverse"]);
    assert_eq!(read(&parts).unwrap().version_1().unwrap(), None);
    let mut inputs = document_2();
    let input = inputs["inputs"][0].clone();
    inputs["inputs"].as_array_mut().unwrap().push(input);
    assert_eq!(read(&inputs).unwrap().version_1().unwrap(), None);
    let mut replies = document_2();
    let reply = replies["decoding"]["replies"][0].clone();
    let list = replies["decoding"]["replies"].as_array_mut().unwrap();
    list.push(reply);
    // Coefficients are numbered over both outputs.
    replies["decoding"]["scores"][0]["coefficient"] = json!(3);
    let read_back = read(&replies).unwrap();
    assert_eq!(read_back.specs().decoding.coefficients(), 4);
    assert_eq!(read_back.version_1().unwrap(), None);
}

#[test]
fn fields_of_format_2_are_named() {
    for (path, value, field) in [
        ("/key_parts", json!(["a", "a"]), "key_parts[1]"),
        ("/key_parts", json!([""]), "key_parts[0]"),
        ("/inputs", json!([]), "inputs"),
        (
            "/inputs/0/selectors/quantisers/0/splits",
            json!([1.0, 1.0]),
            "inputs[0].quantisers[0].splits",
        ),
        ("/decoding/replies", json!([]), "decoding.replies"),
        (
            "/decoding/replies/0/reply_bits",
            json!(65),
            "decoding.replies[0].reply_bits",
        ),
    ] {
        let mut broken = document_2();
        *broken.pointer_mut(path).unwrap() = value;
        match read(&broken) {
            Err(SpecsError::Invalid { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// How a format is added: a wire type, a line of the enum, an arm of the conversion. The documents
/// of before keep their meaning.
#[test]
fn a_further_format_takes_a_wire_type_and_an_arm() {
    /// Format 8, made up: says beside format 2 who compiled the model.
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct SpecsV8 {
        compiled_by: String,
        #[serde(flatten)]
        rest: SpecsV2,
    }
    crate::versions! {
        enum FutureVersions, read by serde_json::from_slice, error serde_json::Error {
            V1(SpecsV1) = 1,
            V2(SpecsV2) = 2,
            V8(SpecsV8) = 8,
        }
    }
    fn read_future(value: &Value) -> (ClientSpecs, Option<String>) {
        let bytes = serde_json::to_vec(value).unwrap();
        let document = FutureVersions::read(json_version(&bytes).unwrap(), &bytes);
        match document.expect("a known format").unwrap() {
            FutureVersions::V1(document) => (SpecsV2::from(document).into(), None),
            FutureVersions::V2(document) => (document.into(), None),
            FutureVersions::V8(document) => (document.rest.into(), Some(document.compiled_by)),
        }
    }
    let specs = read(&document()).unwrap().specs().clone();
    let mut newer = document_2();
    newer["format"] = json!(8);
    newer["compiled_by"] = json!("somebody");
    assert_eq!(read_future(&document()), (specs.clone(), None));
    assert_eq!(read_future(&document_2()), (specs.clone(), None));
    assert_eq!(read_future(&newer), (specs, Some("somebody".into())));
    assert_eq!(FutureVersions::VERSIONS, [1, 2, 8]);
    assert!(matches!(read(&newer), Err(SpecsError::Format { found: 8 })));
}

/// Integers take a format of their own, and others refuse them.
#[test]
fn integers_are_said_in_format_4() {
    let mut specs = read(&document_2()).unwrap().specs().clone();
    let own = IntegerFeature {
        feature: 0,
        name: "x".into(),
        low: -1.0,
        step: 0.25,
        bits: 3,
        tolerance: None,
    };
    specs.inputs[0] = Encoding::Integers(IntegerEncoding {
        features: vec![own],
        gadget: Gadget::new(BaseLog::new(8), Levels::new(3)),
        transport: Transport::Packed,
    });
    let written = SpecsDocument::new(specs.clone()).unwrap();
    assert_eq!(written.format(), 4);
    let back = SpecsDocument::from_json_bytes(written.bytes()).unwrap();
    assert_eq!(back.specs(), &specs);
    assert!(written.version_1().unwrap().is_none());
    let mut older: Value = serde_json::from_slice(written.bytes()).unwrap();
    older["format"] = json!(3);
    let error = read(&older).unwrap_err().to_string();
    assert!(error.contains("inputs[0] has integers"), "{error}");
    let mut broken: Value = serde_json::from_slice(written.bytes()).unwrap();
    broken["inputs"][0]["integers"]["features"][0]["step"] = json!(0.0);
    let error = read(&broken).unwrap_err().to_string();
    assert!(
        error.contains("features[0].step 0 is not a positive number"),
        "{error}"
    );
}

/// Clients of before would answer rows without a mark whose values lie between the steps.
#[test]
fn tolerances_are_said_in_format_7() {
    let mut specs = read(&document_2()).unwrap().specs().clone();
    specs.inputs[0] = Encoding::Integers(IntegerEncoding {
        features: vec![IntegerFeature {
            feature: 0,
            name: "x".into(),
            low: 0.0,
            step: 1.0,
            bits: 1,
            tolerance: Some(0.01),
        }],
        gadget: Gadget::new(BaseLog::new(8), Levels::new(3)),
        transport: Transport::Packed,
    });
    let written = SpecsDocument::new(specs.clone()).unwrap();
    assert_eq!(written.format(), 7);
    let again = SpecsDocument::from_json_bytes(written.bytes()).unwrap();
    assert_eq!((again.specs(), again.bytes()), (&specs, written.bytes()));
    let value: Value = serde_json::from_slice(written.bytes()).unwrap();
    let mut older = value.clone();
    older["format"] = json!(6);
    let error = read(&older).unwrap_err().to_string();
    let problem = "features[0].tolerance is there, which format 6 does not know";
    assert!(error.contains(problem), "{error}");
    let mut broken = value;
    broken["inputs"][0]["integers"]["features"][0]["tolerance"] = json!(-0.5);
    let error = read(&broken).unwrap_err().to_string();
    assert!(
        error.contains("features[0].tolerance -0.5 is not a positive number"),
        "{error}"
    );
}

/// Clients of before would encrypt features that stand together wrongly.
#[test]
fn features_together_are_said_in_format_5() {
    let mut specs = read(&document_2()).unwrap().specs().clone();
    let names: Vec<String> = (0..specs.preprocess.outputs()[0].len)
        .map(|feature| format!("f{feature}"))
        .collect();
    let linear = |form, block, stride| {
        Encoding::Linear(LinearEncoding {
            centre: vec![0.0; names.len()],
            half_width: vec![1.0; names.len()],
            names: names.clone(),
            delta: TorusFraction::new(0.25),
            block,
            stride,
            form,
            body_bits: Bits::new(40),
        })
    };
    specs.inputs[0] = linear(FeatureForm::Apart, 1, 128);
    let apart = SpecsDocument::new(specs.clone()).unwrap();
    assert_eq!(apart.format(), 2);
    assert!(!String::from_utf8_lossy(apart.bytes()).contains("form\":\"apart"));
    specs.inputs[0] = linear(FeatureForm::Together, 128, 128);
    let together = SpecsDocument::new(specs.clone()).unwrap();
    assert_eq!(together.format(), 5);
    assert!(together.version_1().unwrap().is_none());
    let value: Value = serde_json::from_slice(together.bytes()).unwrap();
    assert_eq!(value["inputs"][0]["linear"]["form"], json!("together"));
    let again = SpecsDocument::from_json_bytes(together.bytes()).unwrap();
    assert_eq!((again.specs(), again.bytes()), (&specs, together.bytes()));
    let mut older = value.clone();
    older["format"] = json!(4);
    let error = read(&older).unwrap_err().to_string();
    assert!(error.contains("inputs[0] has features together"), "{error}");
    let mut wide = value;
    wide["inputs"][0]["linear"]["block"] = json!(129);
    let error = read(&wide).unwrap_err().to_string();
    assert!(error.contains("block 129 is not in 1 ..= 128"), "{error}");
}

/// Clients of before would answer rows that break a relation without a word.
#[test]
fn relations_are_said_in_format_6() {
    let plain = read(&document_2()).unwrap().specs().clone();
    let mut specs = plain.clone();
    specs.relations = vec![Relation {
        terms: vec![(0, 0.1)],
        centre: -0.3,
        limit: 1.0 / 3.0,
        names: vec!["a".into()],
    }];
    let written = SpecsDocument::new(specs.clone()).unwrap();
    assert_eq!(written.format(), 6);
    assert!(written.version_1().unwrap().is_none());
    let value: Value = serde_json::from_slice(written.bytes()).unwrap();
    assert_eq!(value["relations"][0]["terms"], json!([[0, 0.1]]));
    let again = SpecsDocument::from_json_bytes(written.bytes()).unwrap();
    assert_eq!((again.specs(), again.bytes()), (&specs, written.bytes()));
    let plain = SpecsDocument::new(plain).unwrap();
    assert_eq!(
        plain.format(),
        2,
        "without relations clients of before read it"
    );
    let mut older = value.clone();
    older["format"] = json!(5);
    let error = read(&older).unwrap_err().to_string();
    let problem = "relations are there, which format 5 does not know";
    assert!(error.contains(problem), "{error}");
    for (field, bad, problem) in [
        ("terms", json!([]), "relations[0].terms has 0 entries"),
        (
            "terms",
            json!([[0, 1.0], [0, 2.0]]),
            "not in order of the features",
        ),
        (
            "terms",
            json!([[7, 1.0]]),
            "of the 8 features that are read of it",
        ),
        (
            "limit",
            json!(0.0),
            "relations[0].limit 0 is not a positive number",
        ),
        ("names", json!([]), "relations[0].names has 0 entries"),
        ("names", json!([""]), "relations[0].names[0] is not a name"),
        (
            "names",
            json!(["a", "b", "c", "d"]),
            "relations[0].names has 4",
        ),
    ] {
        let mut broken = value.clone();
        broken["relations"][0][field] = bad;
        let error = read(&broken).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

/// Decimals take a format of their own, which clients of before refuse.
#[test]
fn decimals_are_said_in_format_3() {
    let plain = read(&document_2()).unwrap().specs().clone();
    let feature = match &plain.inputs[0] {
        Encoding::Selectors(encoding) => encoding.quantisers[0].feature,
        _ => panic!("a tree"),
    };
    let mut specs = plain.clone();
    if let Encoding::Selectors(encoding) = &mut specs.inputs[0] {
        encoding.quantisers[0].decimals = Some(2);
    }
    let document = SpecsDocument::new(specs.clone()).unwrap();
    assert_eq!(document.format(), 3);
    assert_eq!(document.version_1().unwrap(), None);
    let value: Value = serde_json::from_slice(document.bytes()).unwrap();
    assert_eq!(
        value["decimals"],
        json!([{"feature": feature, "decimals": 2}])
    );
    let again = SpecsDocument::from_json_bytes(document.bytes()).unwrap();
    assert_eq!((again.specs(), again.bytes()), (&specs, document.bytes()));
    assert_eq!(
        SpecsDocument::new(plain).unwrap().format(),
        2,
        "without decimals clients of before read it"
    );
    for (decimals, problem) in [
        (json!([{"feature": 999, "decimals": 2}]), "has no quantiser"),
        (
            json!([{"feature": feature, "decimals": 2}, {"feature": feature, "decimals": 2}]),
            "appears twice",
        ),
        (json!([{"feature": feature, "decimals": 10}]), "more than 9"),
    ] {
        let mut bad = value.clone();
        bad["decimals"] = decimals;
        let error = read(&bad).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    // Decimals stand in the order of the quantisers.
    let mut swapped = value;
    let quantisers = &mut swapped["inputs"][0]["selectors"]["quantisers"];
    let mut second = quantisers[0].clone();
    second["feature"] = json!(feature + 1);
    quantisers.as_array_mut().unwrap().push(second);
    swapped["decimals"] =
        json!([{"feature": feature + 1, "decimals": 2}, {"feature": feature, "decimals": 2}]);
    let error = read(&swapped).unwrap_err().to_string();
    assert!(error.contains("decimals[1].feature"), "{error}");
    assert!(error.contains("not in order"), "{error}");
}
