use super::*;

fn floats(len: usize) -> TensorType {
    TensorType {
        kind: EntryKind::F32,
        len,
    }
}

#[test]
fn json_keeps_non_finite_constants() {
    let tensor = Tensor::F64(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1]);
    let text = serde_json::to_string(&tensor).unwrap();
    assert_eq!(text, r#"{"f64":["NaN","inf","-inf",0.1]}"#);
    let Tensor::F64(back) = serde_json::from_str(&text).unwrap() else {
        panic!("another kind")
    };
    assert!(back[0].is_nan());
    assert_eq!(back[1..], [f64::INFINITY, f64::NEG_INFINITY, 0.1]);
}

#[test]
fn constants_fold_and_equal_steps_merge() {
    let mut builder = ProgramBuilder::new(vec![floats(2)]).unwrap();
    let one = builder.constant("a", Tensor::F32(vec![1.0])).unwrap();
    let two = builder
        .push(
            "b",
            Op::Binary {
                function: BinaryFunction::Add,
                left: one,
                right: one,
            },
        )
        .unwrap();
    assert_eq!(builder.constant_value(two), Some(&Tensor::F32(vec![2.0])));
    let op = Op::Binary {
        function: BinaryFunction::Mul,
        left: builder.input(0),
        right: two,
    };
    let first = builder.push("c", op.clone()).unwrap();
    assert_eq!(builder.push("d", op).unwrap(), first);
    let program = builder.finish(&[first]).unwrap();
    assert_eq!(program.steps().len(), 2, "the unused constant 1 is dropped");
    assert_eq!(
        program.run(vec![Tensor::F32(vec![1.0, -3.0])]).unwrap(),
        vec![Tensor::F32(vec![2.0, -6.0])]
    );
}

#[test]
fn ill_typed_programs_are_refused_when_read() {
    let refused = |json: &str, part: &str| {
        let error = serde_json::from_str::<RowProgram>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    };
    let program = |step: &str| {
        format!(
            r#"{{"inputs":[{{"kind":"f32","len":2}}],"steps":[{{"node":"n","op":{step}}}],"outputs":[1]}}"#
        )
    };
    refused(
        &program(r#"{"select":{"source":0,"entries":[2]}}"#),
        "selects entry 2 of 2",
    );
    refused(
        &program(r#"{"select":{"source":1,"entries":[0]}}"#),
        "value 1 is not defined",
    );
    refused(
        &program(r#"{"reduce":{"function":"sum","argument":0,"group":0}}"#),
        "no groups of 0",
    );
    refused(
        &program(
            r#"{"mat_mul":{"left":0,"right":0,"rows":4294967296,"inner":4294967296,"columns":1}}"#,
        ),
        "multiplies",
    );
    refused(
        &program(r#"{"pick":{"table":0,"index":0,"inner":1}}"#),
        "takes integers",
    );
    refused(
        r#"{"inputs":[{"kind":"f32","len":1152921504606846976}],"steps":[],"outputs":[0]}"#,
        "too large",
    );
    refused(r#"{"inputs":[],"steps":[],"outputs":[0]}"#, "not defined");
}

#[test]
fn rows_of_another_type_are_refused() {
    let program = RowProgram::identity(vec![floats(2)]).unwrap();
    assert!(program.is_identity());
    assert_eq!(
        program.run(vec![]).unwrap_err(),
        ProgramError::InputCount {
            expected: 1,
            found: 0
        }
    );
    let found = TensorType {
        kind: EntryKind::F64,
        len: 2,
    };
    let error = program.run(vec![Tensor::F64(vec![0.0; 2])]).unwrap_err();
    assert_eq!(
        error,
        ProgramError::InputType {
            index: 0,
            expected: floats(2),
            found
        }
    );
}

#[test]
fn functions_match_known_values() {
    let apply = |function, x: f64| {
        let mut builder = ProgramBuilder::new(vec![TensorType {
            kind: EntryKind::F64,
            len: 1,
        }])
        .unwrap();
        let result = builder
            .push(
                "f",
                Op::Unary {
                    function,
                    argument: builder.input(0),
                },
            )
            .unwrap();
        match builder
            .finish(&[result])
            .unwrap()
            .run(vec![Tensor::F64(vec![x])])
            .unwrap()
            .remove(0)
        {
            Tensor::F64(y) => y[0],
            other => panic!("{other:?}"),
        }
    };
    let close = |function, x, y: f64| {
        let got = apply(function, x);
        assert!(
            (got - y).abs() <= 1e-12 * y.abs().max(1e-3),
            "{function:?}({x}) is {got}, not {y}"
        );
    };
    close(UnaryFunction::Erf, 0.5, 0.520_499_877_813_046_5);
    close(UnaryFunction::Erf, -2.4, -0.999_311_486_103_355);
    close(UnaryFunction::Erf, 2.6, 0.999_763_965_583_470_7);
    close(UnaryFunction::Sigmoid, -40.0, 4.248_354_255_291_589e-18);
    close(UnaryFunction::Sigmoid, 800.0, 1.0);
    close(UnaryFunction::Softplus, 1000.0, 1000.0);
    close(UnaryFunction::Round, 2.5, 2.0);
}

#[test]
fn normalisation_leaves_zero_groups() {
    let mut builder = ProgramBuilder::new(vec![floats(4)]).unwrap();
    let result = builder
        .push(
            "n",
            Op::Normalize {
                norm: Norm::L1,
                argument: builder.input(0),
                group: 2,
            },
        )
        .unwrap();
    let program = builder.finish(&[result]).unwrap();
    let row = vec![Tensor::F32(vec![1.0, -3.0, 0.0, 0.0])];
    assert_eq!(
        program.run(row).unwrap(),
        vec![Tensor::F32(vec![0.25, -0.75, 0.0, 0.0])]
    );
}

#[test]
fn narrowing_keeps_the_side_of_every_split() {
    // 0.1 is no 32-bit float: the floats around it are 0.099999994 and 0.1 (rounded up).
    let splits = vec![vec![0.1_f64, 16_777_217.0]];
    let mut builder = ProgramBuilder::new(vec![TensorType {
        kind: EntryKind::F64,
        len: 1,
    }])
    .unwrap();
    let result = builder
        .push(
            "n",
            Op::Narrow {
                argument: builder.input(0),
                splits: splits.clone(),
            },
        )
        .unwrap();
    let program = builder.finish(&[result]).unwrap();
    for x in [
        0.1,
        0.1_f64.next_up(),
        0.1_f64.next_down(),
        0.0,
        1.0,
        16_777_217.0,
        16_777_217.0_f64.next_up(),
        16_777_216.5,
        -1e300,
        1e300,
    ] {
        let Tensor::F32(y) = program.run(vec![Tensor::F64(vec![x])]).unwrap().remove(0) else {
            panic!("another kind")
        };
        for &split in &splits[0] {
            let rounded = if f64::from(split as f32) > split {
                (split as f32).next_down()
            } else {
                split as f32
            };
            assert_eq!(x > split, y[0] > rounded, "{x} against {split}");
        }
    }
}

#[test]
fn unknown_categories_are_named() {
    let mut builder = ProgramBuilder::new(vec![TensorType {
        kind: EntryKind::Text,
        len: 1,
    }])
    .unwrap();
    let categories = Tensor::Text(vec!["red".into(), "green".into()]);
    let op = |unknown| Op::OneHot {
        argument: ValueId(0),
        categories: categories.clone(),
        unknown,
    };
    let strict = builder.push("onehot", op(false)).unwrap();
    let lax = builder.push("onehot", op(true)).unwrap();
    let row = || vec![Tensor::Text(vec!["blue".into()])];
    assert_eq!(
        builder.finish(&[lax]).unwrap().run(row()).unwrap(),
        vec![Tensor::F32(vec![0.0, 0.0])]
    );
    let error = builder
        .finish(&[strict])
        .unwrap()
        .run(row())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "\"blue\" is not a value that step \"onehot\" of the model knows; it knows red, green"
    );
}
