use super::{Answer, ClassNames, Link, behind};
use crate::model::Task;
use crate::read::library::Library;
use cipherfn_program::Tensor;
use cipherfn_protocol::specs::OutputField;

fn run(answer: &Answer, classes: &ClassNames, scores: &[f64]) -> Vec<Tensor> {
    let behind = behind(Library::LightGbm, scores.len(), answer, classes).unwrap();
    assert_eq!(behind.outputs.len(), behind.postprocess.outputs().len());
    let scores = vec![Tensor::F64(scores.to_vec())];
    behind.postprocess.run(scores).unwrap()
}

fn names(names: &[&str]) -> ClassNames {
    ClassNames::Texts(names.iter().map(ToString::to_string).collect())
}

#[test]
fn links_are_the_functions_of_the_libraries() {
    let values = |link, scores: &[f64]| {
        let outputs = run(&Answer::Values(link), &ClassNames::Numbered, scores);
        outputs[0].to_f64().unwrap()
    };
    assert_eq!(values(Link::Identity, &[-2.0, 3.0]), [-2.0, 3.0]);
    assert_eq!(values(Link::SignedSquare, &[-2.0, 3.0]), [-4.0, 9.0]);
    assert_eq!(values(Link::Exponential, &[0.0, 1.0]), [1.0, 1.0_f64.exp()]);
    let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-15, "{found}");
    close(values(Link::Softplus, &[0.0])[0], 2.0_f64.ln());
    let logistic = values(Link::Logistic { slope: 2.0 }, &[0.0, 0.5]);
    close(logistic[0], 0.5);
    close(logistic[1], 1.0 / (1.0 + (-1.0_f64).exp()));
    let uncertain = run(&Answer::MeanAndVariance, &ClassNames::Numbered, &[3.0, 0.5]);
    assert_eq!(uncertain, [Tensor::F64(vec![3.0, 1.0_f64.exp()])]);
}

#[test]
fn labels_have_the_names_of_their_classes() {
    let binary = Answer::Binary {
        link: Link::Logistic { slope: 1.0 },
        threshold: 0.0,
    };
    // A tie is the first class, as the largest of two equal probabilities is.
    let tie = run(&binary, &ClassNames::Numbered, &[0.0]);
    assert_eq!(tie[0], Tensor::I64(vec![0]));
    let signed = run(&binary, &ClassNames::Integers(vec![-1, 1]), &[0.1]);
    assert_eq!(signed[0], Tensor::I64(vec![1]));
    let named = run(&Answer::Softmax, &names(&["a", "b", "c"]), &[0.0, 2.0, 1.0]);
    assert_eq!(named[0], Tensor::Text(vec!["b".into()]));
    let made = behind(Library::XgBoost, 1, &binary, &names(&["no", "yes"])).unwrap();
    assert_eq!(made.task, Task::Classification);
    let classes = OutputField::Probabilities(vec!["no".into(), "yes".into()]);
    assert_eq!(made.outputs[1], classes);
}

#[test]
fn probabilities_one_versus_all_are_not_normalised() {
    let answer = Answer::OneVersusAll(Link::Logistic { slope: 1.0 });
    let outputs = run(&answer, &ClassNames::Numbered, &[0.0, 0.0, 0.0]);
    assert_eq!(outputs[1], Tensor::F64(vec![0.5; 3]));
}

#[test]
fn class_names_must_fit() {
    let problem = |answer: &Answer, classes: &[&str]| {
        let made = behind(Library::XgBoost, 3, answer, &names(classes));
        made.err().unwrap().to_string()
    };
    let two = problem(&Answer::Softmax, &["a", "b"]);
    assert!(two.contains("2 names for a model of 3 classes"), "{two}");
    let regressor = problem(&Answer::Values(Link::Identity), &["a"]);
    assert!(regressor.contains("predicts numbers"), "{regressor}");
}
