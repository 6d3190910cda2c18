use super::super::file::Scalar;
use super::super::objective::Objective;
use super::margins;

fn of(text: &str, scores: usize, objective: &str) -> Result<Vec<f64>, String> {
    let objective = Objective::of(objective).unwrap();
    margins(&Scalar(Some(text.into())), scores, &objective).map_err(|error| error.to_string())
}

#[test]
fn every_form_gives_one_margin_a_score() {
    assert_eq!(of("5E-1", 1, "reg:squarederror").unwrap(), [0.5]);
    assert_eq!(of("5E-1", 3, "multi:softprob").unwrap(), [0.5; 3]);
    assert_eq!(of("[5E-1]", 2, "reg:squarederror").unwrap(), [0.5; 2]);
    assert_eq!(
        of("[1E0,-2E0]", 2, "reg:squarederror").unwrap(),
        [1.0, -2.0]
    );
    assert_eq!(of("5E-1", 1, "binary:logistic").unwrap(), [0.0]);
    assert_eq!(of("1E0", 1, "count:poisson").unwrap(), [0.0]);
    assert_eq!(of("[2.5E-1]", 1, "binary:logitraw").unwrap(), [0.25]);
    let logit = of("[2.5E-1]", 1, "binary:logistic").unwrap()[0];
    assert!((logit + 3.0_f64.ln()).abs() < 1e-6, "{logit}");
}

#[test]
fn other_values_are_refused() {
    for (text, objective, part) in [
        ("", "reg:squarederror", "\"\" is not a number"),
        (
            "[1,2]",
            "reg:squarederror",
            "2 values, the model has 1 scores",
        ),
        ("1E0", "binary:logistic", "1 is no value"),
        ("0", "reg:gamma", "0 is no value"),
        ("nan", "reg:squarederror", "NaN is no value"),
    ] {
        let error = of(text, 1, objective).unwrap_err();
        assert!(
            error.contains("base_score") && error.contains(part),
            "{error}"
        );
    }
}
