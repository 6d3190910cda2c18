use super::*;

fn rows() -> Vec<Vec<f32>> {
    (0..20_u16)
        .map(|row| vec![f32::from(row), 5.0, f32::from(row * row) / 100.0])
        .collect()
}

fn names() -> Vec<String> {
    ["a", "b", "c"].map(str::to_owned).to_vec()
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
    let ranges = input_ranges(&rows(), 3);
    assert_eq!(ranges[0], (9.5, 2.5 * 19.0));
    assert_eq!(ranges[1], (5.0, 2.5 * 5.0), "a constant");
    assert!((ranges[2].1 - 2.5 * 3.61).abs() < 1e-6);
    assert_eq!(input_ranges(&[vec![f32::NAN]], 1), [(0.0, 2.5)]);
}

#[test]
fn features_of_little_weight_get_room() {
    let ranges = vec![(0.0, 1.0); 4];
    let widened = widen(
        &[vec![8.0, 1.0, 0.0, 3.0], vec![1.0, 1.0, 0.0, 0.0]],
        ranges,
    );
    // Mean contributions are 3 and 0.5: feature 1 counts more in the second score, feature 3 is at
    // the mean, feature 2 has no weight.
    assert_eq!(widened, [(0.0, 1.0), (0.0, 1.0), (0.0, 16.0), (0.0, 1.0)]);
    let widened = widen(&[vec![8.0, 1.0, 0.0, 3.0]], vec![(0.0, 1.0); 4]);
    assert_eq!(widened, [(0.0, 1.0), (0.0, 3.0), (0.0, 16.0), (0.0, 1.0)]);
}

#[test]
fn integer_weights_keep_the_precision_everywhere_in_the_box() {
    let plan = compile(&model(), &names(), &rows(), &Options::new("m")).unwrap();
    assert!(plan.bits >= PREFERRED_BITS, "{}", plan.bits);
    assert_eq!(
        plan.scores.carried,
        [0, 2],
        "the second score is the first one's negative"
    );
    let LinearEncoding {
        centre,
        half_width,
        delta,
        ..
    } = &plan.encoding;
    let Node::Product(Product {
        weights: integers, ..
    }) = &plan.circuit.nodes[0]
    else {
        panic!("one product")
    };
    // At every corner of the box, the integer weights give the score within the stated rounding.
    for corner in 0..8_u32 {
        let signs: Vec<f64> = (0..3)
            .map(|feature| {
                if corner >> feature & 1 == 1 {
                    1.0
                } else {
                    -1.0
                }
            })
            .collect();
        for (output, score) in plan.outputs.iter().zip(&plan.scores.carried) {
            let weights = &integers[plan
                .scores
                .carried
                .iter()
                .position(|other| other == score)
                .unwrap()];
            let phase: f64 = weights
                .iter()
                .zip(&signs)
                .map(|(weight, sign)| *weight as f64 * delta * sign)
                .sum();
            assert!(phase.abs() + output.budget.error < 0.5, "no wrap-around");
            let row = &model().weights[*score as usize];
            let exact: f64 = row
                .iter()
                .zip(&signs)
                .zip(half_width)
                .map(|((weight, sign), half)| weight * sign * half)
                .sum();
            assert!((phase * output.scale - exact).abs() <= output.rounding + 1e-9);
            let at_centre: f64 = row
                .iter()
                .zip(centre)
                .map(|(weight, centre)| weight * centre)
                .sum();
            let offset = plan.scores.scores[*score as usize].offset;
            assert!((offset - at_centre - model().bias[*score as usize]).abs() < 1e-9);
        }
    }
}

#[test]
fn constant_models_are_an_error() {
    let model = LinearModel {
        weights: vec![vec![0.0; 3]],
        bias: vec![1.0],
    };
    assert!(matches!(
        compile(&model, &names(), &rows(), &Options::new("m")),
        Err(CompileError::Constant)
    ));
}

#[test]
fn more_precision_takes_more_bits_until_it_is_out_of_reach() {
    let at = |bits: f64| {
        compile(
            &model(),
            &names(),
            &rows(),
            &Options {
                precision: Some(bits),
                ..Options::new("m")
            },
        )
    };
    let (coarse, fine) = (at(8.0).unwrap(), at(14.0).unwrap());
    assert!(coarse.bits >= 8.0 && fine.bits >= 14.0);
    assert!(coarse.reply_bits < fine.reply_bits && coarse.query_bytes < fine.query_bytes);
    let Err(CompileError::Precision { best, .. }) = at(40.0) else {
        panic!("40 bits cannot be reached")
    };
    assert!(best > 14.0 && best < 40.0, "{best}");
}
