use super::*;
use crate::read::read_model;
use cipherfn_program::Op;

/// A model file of LightGBM with split points of a column, and two leaves a tree.
fn model(splits: &[f64]) -> Model {
    let tree = |(index, split): (usize, &f64)| {
        format!(
            "Tree={index}\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold={split:?}\n\
             decision_type=8\nleft_child=-1\nright_child=-2\nleaf_value=0 1\n\n"
        )
    };
    let trees: String = splits.iter().enumerate().map(tree).collect();
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n\
         max_feature_idx=0\nobjective=regression\nfeature_names=x\nfeature_infos=[0:1]\n\n\
         {trees}end of trees\n\npandas_categorical:null\n"
    );
    read_model(text.as_bytes()).unwrap()
}

fn rows(values: &[f64]) -> Vec<Vec<Tensor>> {
    values
        .iter()
        .map(|value| vec![Tensor::F64(vec![*value])])
        .collect()
}

/// All 64-bit numbers of the program in front.
fn shown(model: &Model) -> Vec<f64> {
    let numbers = |op: &Op| match op {
        Op::Narrow { splits, .. } => splits.concat(),
        Op::Constant(Tensor::F64(numbers)) => numbers.clone(),
        _ => Vec::new(),
    };
    let steps = model.preprocess.steps().iter();
    steps.flat_map(|step| numbers(&step.op)).collect()
}

fn score(model: &Model, value: f64) -> f64 {
    let features = model.features_of(vec![Tensor::F64(vec![value])]).unwrap();
    model.raw_scores(&features)[0]
}

/// Split points that 32 bits tell apart, and such that they do not: seconds of this century.
fn models() -> [(Model, Vec<f64>, Vec<f64>); 2] {
    let plain = vec![0.1, 0.25, 0.7];
    let seconds: Vec<f64> = [3, 20, 61]
        .map(|second| 1.7e9 + f64::from(second) + 0.5)
        .into();
    let values: Vec<f64> = (0..200_u8).map(|value| f64::from(value) / 200.0).collect();
    let times = values
        .iter()
        .map(|value| 1.7e9 + (value * 100.0).round())
        .collect();
    [
        (model(&plain), plain, values),
        (model(&seconds), seconds, times),
    ]
}

#[test]
fn a_grid_shows_no_split_point_and_keeps_the_values_apart() {
    for (model, splits, values) in models() {
        let before = shown(&model);
        assert!(
            splits.iter().all(|split| before.contains(split)),
            "{before:?}"
        );
        let grid = FeatureMode::Grid { bits: 8 };
        let concealed = conceal(&model, &rows(&values), grid, Hash::of(b"m"));
        let concealed = concealed.unwrap().unwrap();
        let after = shown(&concealed.model);
        assert!(
            splits.iter().all(|split| !after.contains(split)),
            "{after:?}"
        );
        assert!(concealed.mixed.is_empty());
        for value in values {
            let close = splits
                .iter()
                .any(|split| (value / split - 1.0).abs() < 1e-12);
            if !close {
                let (found, wanted) = (score(&concealed.model, value), score(&model, value));
                assert!((found - wanted).abs() < 1e-9, "{value}: {found}, {wanted}");
            }
        }
    }
}

#[test]
fn decoys_stand_among_the_split_points_and_change_no_value() {
    for (model, splits, values) in models() {
        let mode = FeatureMode::Exact { decoys: 9 };
        let concealed = conceal(&model, &rows(&values), mode, Hash::of(b"m"));
        let concealed = concealed.unwrap().unwrap();
        let after = shown(&concealed.model);
        let real = after.iter().filter(|shown| splits.contains(shown)).count();
        assert_eq!(
            (real, after.len().saturating_sub(1) / 11),
            (3, 1),
            "{after:?}"
        );
        let mixed = &concealed.mixed[&0];
        assert_eq!(mixed.len(), 12);
        assert!(mixed.windows(2).all(|pair| pair[0] < pair[1]));
        let near = splits
            .iter()
            .flat_map(|split| [*split, split.next_up(), split.next_down()]);
        for value in near.chain(values).chain([f64::NAN]) {
            let (found, wanted) = (score(&concealed.model, value), score(&model, value));
            assert!((found - wanted).abs() < 1e-9, "{value}: {found}, {wanted}");
        }
    }
}

#[test]
fn exact_features_without_decoys_stay() {
    let (model, _, values) = models().into_iter().next().unwrap();
    let mode = FeatureMode::Exact { decoys: 0 };
    let concealed = conceal(&model, &rows(&values), mode, Hash::of(b"m")).unwrap();
    assert!(concealed.is_none());
}
