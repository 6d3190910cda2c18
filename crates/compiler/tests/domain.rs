//! What values a model is compiled for: of how many decimals, and whether any are missing.

use cipherfn_compiler::{
    Calibration, CompileError, Compiled, Decimals, FeatureMode, Options, compile,
};
use cipherfn_protocol::specs::{ClientSpecs, Encoding, SelectorEncoding};

/// Trees of one split each on the first of two columns, as XGBoost saves them: values of `thresholds`
/// and missing ones go right.
fn stumps(thresholds: &[f32]) -> String {
    let tree = |(index, threshold): (usize, &f32)| {
        let right = (index % 7) as f32 - 2.5;
        format!(
            r#"{{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[{threshold},0.25,{right}],"default_left":[0,0,0]}}"#
        )
    };
    let trees: Vec<String> = thresholds.iter().enumerate().map(tree).collect();
    let info = vec!["0"; trees.len()];
    format!(
        r#"{{"learner":{{"feature_names":["price","age"],"gradient_booster":{{"name":"gbtree","model":{{"tree_info":[{}],"trees":[{}]}}}},"learner_model_param":{{"base_score":"0","num_feature":"2"}},"objective":{{"name":"reg:squarederror"}}}},"version":[2,1,0]}}"#,
        info.join(","),
        trees.join(",")
    )
}

/// Split points at every thousandth.
fn thousandths() -> Vec<f32> {
    (0..60_u8)
        .map(|index| 1.0 + f32::from(index) / 1000.0)
        .collect()
}

fn rows(cells: impl Iterator<Item = String>) -> String {
    cells.fold("price,age\n".to_owned(), |rows, cell| rows + &cell + ",3\n")
}

fn hundredths() -> String {
    rows((90..130).map(|price| format!("{}.{:02}", price / 100, price % 100)))
}

fn try_compile(rows: &str, decimals: Decimals) -> Result<Compiled, CompileError> {
    let mut options = Options::new("stumps");
    options.decimals = decimals;
    let calibration = Calibration::new("rows.csv", rows.as_bytes());
    compile(stumps(&thousandths()).as_bytes(), calibration, &options)
}

fn declared(column: &str, decimals: u32) -> Decimals {
    Decimals {
        columns: [(column.to_owned(), decimals)].into(),
        auto: false,
    }
}

fn selectors(specs: &ClientSpecs) -> &SelectorEncoding {
    match &specs.inputs[0] {
        Encoding::Selectors(encoding) => encoding,
        _ => panic!("trees are encoded by selectors"),
    }
}

#[test]
fn split_points_that_declared_decimals_cannot_separate_are_one() {
    let plain = try_compile(&hundredths(), Decimals::default()).unwrap();
    let two = try_compile(&hundredths(), declared("price", 2)).unwrap();
    let auto = Decimals {
        auto: true,
        ..Decimals::default()
    };
    let auto = try_compile(&hundredths(), auto).unwrap();
    assert_eq!(auto.bundle, two.bundle);
    let splits = |compiled: &Compiled| selectors(compiled.specs.specs()).quantisers[0].splits.len();
    // A number of two decimals rounded down to 32 bits is told from the same rounded up.
    assert!(
        splits(&plain) == 60 && (7..=13).contains(&splits(&two)),
        "{}",
        splits(&two)
    );
    assert_eq!((plain.specs.format(), two.specs.format()), (2, 3));
    assert!(
        two.bundle.specs_v1.is_none(),
        "older clients would answer any value"
    );
    assert!(
        two.report
            .to_string()
            .contains("price 2; rows with more are refused")
    );
    // The simulation compares with the model as it is.
    for compiled in [&plain, &two] {
        let agreement = compiled.report.agreement;
        assert_eq!((agreement.rows, agreement.within_precision), (40, 40));
    }
    let encoding = selectors(two.specs.specs());
    assert!(encoding.bits(&[1.03, 3.0]).is_ok());
    let error = encoding.bits(&[1.034, 3.0]).unwrap_err().to_string();
    assert!(error.contains("\"price\" is 1.034"), "{error}");
}

#[test]
fn decimals_that_are_not_so_are_refused() {
    for (decimals, problem) in [
        (declared("price", 1), "of it in the calibration rows"),
        (declared("prize", 2), "no such column, but price, age"),
        (declared("price", 12), "at most 9"),
        (declared("age", 0), "do not ask for its values"),
    ] {
        match try_compile(&hundredths(), decimals) {
            Err(error @ CompileError::Decimals { .. }) => {
                let text = error.to_string();
                assert!(text.contains(problem) && error.is_usage(), "{text}");
            }
            other => panic!("{problem}: {:?}", other.map(|_| ())),
        }
    }
}

#[test]
fn decimals_are_refused_beside_decoys() {
    for (decoys, is_refused) in [(0, false), (2, true)] {
        let mut options = Options::new("stumps");
        options.decimals = declared("price", 2);
        options.features = FeatureMode::Exact { decoys };
        let rows = hundredths();
        let calibration = Calibration::new("rows.csv", rows.as_bytes());
        let result = compile(stumps(&thousandths()).as_bytes(), calibration, &options);
        let option = match result {
            Ok(_) => None,
            Err(CompileError::Option { option, .. }) => Some(option),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(option, is_refused.then_some("decimals"));
    }
}

#[test]
fn a_column_without_values_has_no_decimals_of_its_own() {
    let auto = Decimals {
        auto: true,
        ..Decimals::default()
    };
    let compiled = try_compile(&rows(vec![String::new(); 40].into_iter()), auto).unwrap();
    assert_eq!(
        selectors(compiled.specs.specs()).quantisers[0].decimals,
        None
    );
}

#[test]
fn missing_values_have_a_bit_only_where_calibration_rows_have_some() {
    let without = try_compile(&hundredths(), Decimals::default()).unwrap();
    let encoding = selectors(without.specs.specs());
    assert_eq!(encoding.quantisers[0].missing, None);
    let error = encoding.bits(&[f32::NAN, 3.0]).unwrap_err().to_string();
    assert!(error.contains("\"price\" is missing"), "{error}");
    let said = |compiled: &Compiled| {
        let mut notes = compiled.report.notes.iter();
        notes.any(|note| note.contains("features (\"price\" is the first)"))
    };
    assert!(said(&without), "{:?}", without.report.notes);
    let with = try_compile(&(hundredths() + ",3\n"), Decimals::default()).unwrap();
    assert!(!said(&with), "{:?}", with.report.notes);
    let own = selectors(with.specs.specs());
    assert!(own.quantisers[0].missing.is_some());
    assert!(own.bits(&[f32::NAN, 3.0]).is_ok());
    assert_eq!(
        with.report.agreement.rows, 41,
        "the row without a value is answered"
    );
    let bits = |compiled: &Compiled| compiled.report.work.counts.unwrap().selectors;
    assert!(bits(&without) <= bits(&with));
}
