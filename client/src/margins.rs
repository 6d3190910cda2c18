//! How far a prediction may be off: the scores' guaranteed precision, behind the link.

use cipherfn_program::Tensor;
use cipherfn_protocol::specs::{Decoding, ScoreDecoding};

/// For every entry of `outputs`, how far it moves while the scores stay within their precision. 0 for
/// what is no float. `run` is the specs' post-processing program, and `outputs` what it makes of
/// `scores`.
///
/// The sum, over the coefficients that hold the scores, of what the farther of the two ends of each
/// one's interval does; at least what all scores do together, which a median follows and no single
/// score, and what any two coefficients do in either direction, which a deviation follows: its root
/// is steeper the farther both have moved, and none where it is cut off at 0.
pub(crate) fn margins<E>(
    decoding: &Decoding,
    scores: &[f64],
    outputs: &[Tensor],
    run: impl Fn(&[f64]) -> Result<Vec<Tensor>, E>,
) -> Vec<Vec<f64>> {
    let farthest = |signs: &[f64]| {
        let mut farthest: Vec<Vec<f64>> = none(outputs);
        for end in [1.0, -1.0] {
            let moved = |((score, own), sign): ((&f64, &ScoreDecoding), &f64)| {
                let moved = score + end * sign * own.precision.get();
                moved.clamp(own.range.0.get(), own.range.1.get())
            };
            let decoded = scores.iter().zip(&decoding.scores);
            let moved: Vec<f64> = decoded.zip(signs).map(moved).collect();
            // The program may fail on scores that no row has: no reason to lose the prediction.
            if let Ok(moved) = run(&moved) {
                combine(&mut farthest, &distances(outputs, &moved), f64::max);
            }
        }
        farthest
    };
    let mut margins = none(outputs);
    let mut together = vec![0.0; decoding.scores.len()];
    for coefficient in 0..decoding.coefficients() {
        // Scores that read one coefficient are off together.
        let sign = |own: &ScoreDecoding| {
            let scale = own.scale.get();
            let reads = own.coefficient == coefficient && scale != 0.0;
            f64::from(u8::from(reads)) * scale.signum()
        };
        let signs: Vec<f64> = decoding.scores.iter().map(sign).collect();
        if let Some(first) = signs.iter().find(|sign| **sign != 0.0) {
            combine(&mut margins, &farthest(&signs), |sum, own| sum + own);
            for (together, sign) in together.iter_mut().zip(&signs) {
                *together += sign * first;
            }
        }
    }
    combine(&mut margins, &farthest(&together), f64::max);
    // Numbers of two coefficients differ in a bit: there one moves against the other.
    let bits = decoding.coefficients().next_power_of_two().ilog2();
    for bit in 0..bits {
        let own = decoding.scores.iter().zip(&together);
        let against: Vec<f64> = own
            .map(|(own, sign)| {
                if own.coefficient >> bit & 1 == 1 {
                    -sign
                } else {
                    *sign
                }
            })
            .collect();
        combine(&mut margins, &farthest(&against), f64::max);
    }
    margins
}

fn none(outputs: &[Tensor]) -> Vec<Vec<f64>> {
    outputs
        .iter()
        .map(|tensor| vec![0.0; tensor.len()])
        .collect()
}

/// How far floats are apart; 0 where one is not finite. A label has no digits that could be wrong.
fn distances(before: &[Tensor], after: &[Tensor]) -> Vec<Vec<f64>> {
    let distance = |(before, after): (f64, f64)| {
        let distance = (after - before).abs();
        if distance.is_finite() { distance } else { 0.0 }
    };
    let of = |(before, after): (&Tensor, &Tensor)| match (before, before.to_f64(), after.to_f64()) {
        (Tensor::F32(_) | Tensor::F64(_), Some(before), Some(after)) => {
            before.into_iter().zip(after).map(distance).collect()
        }
        _ => vec![0.0; before.len()],
    };
    before.iter().zip(after).map(of).collect()
}

fn combine(all: &mut [Vec<f64>], more: &[Vec<f64>], by: impl Fn(f64, f64) -> f64) {
    for (all, more) in all.iter_mut().flatten().zip(more.iter().flatten()) {
        *all = by(*all, *more);
    }
}

#[cfg(test)]
mod tests {
    use super::margins;
    use cipherfn_program::{
        BinaryFunction, EntryKind, Op, ProgramBuilder, RowProgram, Tensor, TensorType,
        UnaryFunction,
    };
    use cipherfn_protocol::specs::{Bits, Decoding, ReplyForm, ScoreDecoding, ScoreUnits};

    fn decoding(scores: &[(u32, f64)]) -> Decoding {
        let score = |(coefficient, scale): &(u32, f64)| ScoreDecoding {
            coefficient: *coefficient,
            scale: ScoreUnits::new(*scale),
            offset: ScoreUnits::default(),
            step: ScoreUnits::new(0.25),
            precision: ScoreUnits::new(0.5),
            range: (ScoreUnits::new(-4.0), ScoreUnits::new(4.0)),
        };
        Decoding {
            replies: vec![ReplyForm {
                reply_bits: Bits::new(16),
                coefficients: 2,
                stride: 1,
            }],
            scores: scores.iter().map(score).collect(),
            failure_log2: -40.0,
        }
    }

    fn found(
        decoding: &Decoding,
        scores: &[f64],
        program: impl Fn(&mut ProgramBuilder) -> Op,
    ) -> Vec<f64> {
        let len = scores.len();
        let mut builder = ProgramBuilder::new(vec![TensorType {
            kind: EntryKind::F64,
            len,
        }])
        .unwrap();
        let op = program(&mut builder);
        let output = builder.push("link", op).unwrap();
        let program: RowProgram = builder.finish(&[output]).unwrap();
        let run = |scores: &[f64]| program.run(vec![Tensor::F64(scores.to_vec())]);
        let outputs = run(scores).unwrap();
        margins(decoding, scores, &outputs, run).concat()
    }

    #[test]
    fn both_ends_of_an_interval_count() {
        let exp = |builder: &mut ProgramBuilder| Op::Unary {
            function: UnaryFunction::Exp,
            argument: builder.input(0),
        };
        let one = decoding(&[(0, 8.0)]);
        let margin = found(&one, &[1.0], exp);
        assert!((margin[0] - (1.5_f64.exp() - 1_f64.exp())).abs() < 1e-12);
        // No score lies above the range, so the lower end alone says how far.
        let margin = found(&one, &[4.0], exp);
        assert!((margin[0] - (4_f64.exp() - 3.5_f64.exp())).abs() < 1e-12);
        // A function that is flat above and steep below.
        let flat = |builder: &mut ProgramBuilder| {
            let right = builder.constant("link", Tensor::F64(vec![1.0])).unwrap();
            Op::Binary {
                function: BinaryFunction::Min,
                left: builder.input(0),
                right,
            }
        };
        assert_eq!(found(&one, &[1.0], flat), [0.5]);
        let log = |builder: &mut ProgramBuilder| Op::Unary {
            function: UnaryFunction::Log,
            argument: builder.input(0),
        };
        let margin = found(&one, &[0.25], log);
        assert!(
            (margin[0] - 3_f64.ln()).abs() < 1e-12,
            "below 0 there is none"
        );
    }

    #[test]
    fn scores_of_one_coefficient_are_off_together() {
        let of_both = |function| {
            move |builder: &mut ProgramBuilder| {
                let source = builder.input(0);
                let mut entry = |entry| {
                    let entries = vec![entry];
                    builder
                        .push("entry", Op::Select { source, entries })
                        .unwrap()
                };
                let (left, right) = (entry(0), entry(1));
                Op::Binary {
                    function,
                    left,
                    right,
                }
            }
        };
        let found = |scores: &[(u32, f64)], function| {
            found(&decoding(scores), &[0.75, 0.75], of_both(function))
        };
        let (sum, larger) = (BinaryFunction::Add, BinaryFunction::Max);
        assert_eq!(found(&[(0, 8.0), (0, -8.0)], sum), [0.0]);
        assert_eq!(found(&[(0, 8.0), (1, -8.0)], sum), [1.0]);
        assert_eq!(found(&[(0, 8.0), (1, 0.0)], sum), [0.5]);
        // Neither alone makes the larger one smaller.
        assert_eq!(found(&[(0, 8.0), (1, 8.0)], larger), [1.0]);
        assert_eq!(found(&[(0, 8.0), (1, 8.0)], BinaryFunction::Min), [1.0]);
    }

    /// The root of a mean of squares, off by p, less the square of a mean, off by q: with p = 2bq
    /// and a variance of 2p, both together lead down to 0 and no sum of single moves does.
    #[test]
    fn two_coefficients_move_a_deviation_farther_than_each_alone() {
        let deviation = |builder: &mut ProgramBuilder| {
            let source = builder.input(0);
            let mut push = |op| builder.push("deviation", op).unwrap();
            let [mean, second] = [0, 1].map(|entry| {
                push(Op::Select {
                    source,
                    entries: vec![entry],
                })
            });
            let mut binary = |function, left, right| {
                push(Op::Binary {
                    function,
                    left,
                    right,
                })
            };
            let square = binary(BinaryFunction::Mul, mean, mean);
            let variance = binary(BinaryFunction::Sub, second, square);
            let none = builder.constant("none", Tensor::F64(vec![0.0])).unwrap();
            let argument = builder.push(
                "deviation",
                Op::Binary {
                    function: BinaryFunction::Max,
                    left: variance,
                    right: none,
                },
            );
            Op::Unary {
                function: UnaryFunction::Sqrt,
                argument: argument.unwrap(),
            }
        };
        let (b, p, q) = (1.0_f64, 0.5_f64, 0.25_f64);
        for (first, second) in [(0, 1), (1, 0), (3, 5), (5, 4)] {
            let mut decoding = decoding(&[(first, 8.0), (second, 8.0)]);
            decoding.replies[0].coefficients = 6;
            decoding.scores[0].precision = ScoreUnits::new(q);
            let margin = found(&decoding, &[b, b * b + 2.0 * p], deviation)[0];
            assert!(margin >= 1.41 * p.sqrt(), "{margin}");
            // Cut off at 0: neither alone leads above it, both together do.
            let shown = b * b - 1.5 * p;
            let margin = found(&decoding, &[b, shown], deviation)[0];
            let farthest = (shown + p - (b - q).powi(2)).sqrt();
            assert!(margin >= farthest && farthest > 0.4, "{margin}");
        }
    }
}
