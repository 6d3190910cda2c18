use super::Format;

#[test]
fn content_tells_the_format() {
    for (bytes, format) in [
        (&b"tree\nversion=v4\n"[..], Format::LightGbm),
        (b"tree\r\nversion=v4\r\n", Format::LightGbm),
        (b"{ \"learner\": {}, \"version\": [3]}", Format::XgBoostJson),
        (
            b"\xef\xbb\xbf{\"version\":[3],\"learner\":{}}",
            Format::XgBoostJson,
        ),
        (b"{L\0\0\0\0\0\0\0\x07learner", Format::XgBoostUbjson),
        (b"{\"features_info\": {}, \"trees\": []}", Format::CatBoost),
        (b"\x08\x08\x12\x07skl2onnx", Format::Onnx),
        (b"", Format::Onnx),
        (b"tree", Format::Onnx),
    ] {
        assert_eq!(
            Format::of(bytes).unwrap(),
            format,
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn other_forms_get_the_line_that_converts_them() {
    for (bytes, part) in [
        (
            &b"CBM1\x10"[..],
            "save_model(\"model.json\", format=\"json\")",
        ),
        (b"binf\0\0", "save_model(\"model.json\")"),
        (b"\x80\x04\x95", "a pickle"),
        (b"[{\"nodeid\": 0}]", "dump_model"),
        (b"{\"tree_info\": []}", "booster.save_model(\"model.txt\")"),
        (b"{\"a\": 1}", "learner (XGBoost)"),
        (b"{\"a\": ", "EOF"),
        (b"{}", "learner (XGBoost)"),
    ] {
        let error = Format::of(bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
