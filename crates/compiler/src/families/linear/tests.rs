use super::*;
use crate::backend::Backend;
use crate::families::Reference;
use crate::features::Features;
use crate::options::Options;
use crate::read::sample;
use cipherfn_circuit::circuit::Node;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::ScoreUnits;

fn features(rows: Vec<Vec<f32>>) -> Features {
    let features = rows[0].len();
    Features {
        names: (0..features).map(|feature| format!("f{feature}")).collect(),
        missing: vec![false; features],
        spared: Vec::new(),
        decimals: vec![None; features],
        rows,
        numbers: Vec::new(),
        mixtures: crate::mixtures::Mixtures::default(),
        fills: crate::fills::Fills::default(),
        mixed: std::collections::HashMap::new(),
        sets: std::collections::HashMap::new(),
    }
}

fn rows() -> Features {
    let row = |row: u16| vec![f32::from(row), 5.0, f32::from(row * row) / 100.0];
    features((0..20).map(row).collect())
}

fn planned(model: &LinearModel, precision: Option<f64>) -> Result<Plan, CompileError> {
    let options = Options {
        precision,
        ..Options::new("m")
    };
    model.plan(&Setting {
        features: &rows(),
        options: &options,
        usual_bits: 10.0,
        seed: Hash::of(b"m"),
        backend: Backend::for_profile(options.profile, 1)[0],
        reference: Reference {
            model: &sample(),
            scores: &[],
            region: &[0],
        },
        reach: None,
        bootstrap: None,
    })
}

fn model() -> LinearModel {
    LinearModel {
        weights: vec![
            vec![0.5, 2.0, -3.0],
            vec![-0.5, -2.0, 3.0],
            vec![1.0, 0.0, 1.0],
        ],
        bias: vec![1.0, -1.0, 0.0],
    }
}

#[test]
fn ranges_are_widened() {
    let ranges = ranges::inputs(&rows(), ranges::WIDENING);
    assert_eq!(ranges[0], (9.5, 2.5 * 19.0));
    assert_eq!(ranges[1], (5.0, 2.5 * 5.0), "a constant");
    assert!((ranges[2].1 - 2.5 * 3.61).abs() < 1e-6);
    assert_eq!(
        ranges::inputs(&features(vec![vec![f32::NAN]]), ranges::WIDENING),
        [(0.0, 2.5)]
    );
}

#[test]
fn features_of_little_weight_get_room() {
    let ranges = vec![(0.0, 1.0); 4];
    let widened = ranges::widen(
        &[vec![8.0, 1.0, 0.0, 3.0], vec![1.0, 1.0, 0.0, 0.0]],
        ranges,
    );
    // Mean contributions are 3 and 0.5: feature 1 counts more in the second score, feature 3 is at
    // the mean, feature 2 has no weight.
    assert_eq!(widened, [(0.0, 1.0), (0.0, 1.0), (0.0, 16.0), (0.0, 1.0)]);
    let widened = ranges::widen(&[vec![8.0, 1.0, 0.0, 3.0]], vec![(0.0, 1.0); 4]);
    assert_eq!(widened, [(0.0, 1.0), (0.0, 3.0), (0.0, 16.0), (0.0, 1.0)]);
}

#[test]
fn integer_weights_keep_the_precision_everywhere_in_the_box() {
    let plan = planned(&model(), None).unwrap();
    assert!(plan.facts.bits >= PREFERRED_BITS, "{}", plan.facts.bits);
    let ([Node::Product(product)], Encoding::Linear(encoding)) =
        (plan.circuit.nodes.as_slice(), &plan.encodings[0])
    else {
        panic!("a linear plan")
    };
    let scores = &plan.reading.scores;
    let carried = |score: usize| scores[score].coefficient as usize;
    assert_eq!(
        [0, 1, 2].map(carried),
        [0, 0, 1],
        "the second is the first one's negative"
    );
    assert!((scores[1].scale + scores[0].scale).get().abs() < 1e-12);
    // At every corner of the box, the integer weights give the score within the stated precision.
    for corner in 0..8_u32 {
        let sign = |feature: u32| f64::from(corner >> feature & 1) * 2.0 - 1.0;
        let signs = [0, 1, 2].map(sign);
        for (index, score) in scores.iter().enumerate() {
            let terms = product.weights[carried(index)].iter().zip(&signs);
            let phase: f64 = terms
                .map(|(weight, sign)| *weight as f64 * encoding.delta.get() * sign)
                .sum();
            assert!(
                phase.abs() + score.step.get() / score.scale.get().abs() < 0.5,
                "no wrap-around"
            );
            let exact: f64 = (0..3)
                .map(|feature| {
                    let at =
                        encoding.centre[feature] + signs[feature] * encoding.half_width[feature];
                    model().weights[index][feature] * at
                })
                .sum::<f64>()
                + model().bias[index];
            let error = (score.offset.get() + score.scale.get() * phase - exact).abs();
            assert!(
                error <= score.precision.get() - 1.5 * score.step.get() + 1e-9,
                "{error}"
            );
        }
    }
}

#[test]
fn constant_models_are_answered_without_the_reply() {
    let model = LinearModel {
        weights: vec![vec![0.0; 3]],
        bias: vec![1.0],
    };
    let plan = planned(&model, None).unwrap();
    let [score] = plan.reading.scores.as_slice() else {
        panic!("one score")
    };
    assert_eq!(
        [score.scale, score.offset, score.precision],
        [0.0, 1.0, 0.0].map(ScoreUnits::new)
    );
    assert_eq!(plan.circuit.coefficients(), 1);
}

#[test]
fn more_precision_takes_more_bits_until_it_is_out_of_reach() {
    let at = |bits: f64| planned(&model(), Some(bits)).unwrap();
    let bits = |plan: &Plan| plan.circuit.outputs[0].reply_bits;
    let (coarse, fine, beyond) = (at(8.0), at(14.0), at(40.0));
    assert!(coarse.facts.bits >= 8.0 && fine.facts.bits >= 14.0);
    assert!(bits(&coarse) < bits(&fine));
    assert!(coarse.facts.query_bytes < fine.facts.query_bytes);
    let best = beyond.facts.bits;
    assert!(best > 14.0 && best < 40.0, "{best}");
}
