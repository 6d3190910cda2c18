//! Choices by numbers that the server computed: trees behind look-ups, on ciphertexts.

use super::backends::{Backend, Clear, ClearParts, pool};
use super::bootstraps::{Layers, PARTS, bits, errors, key, plain, word};
use crate::noise::of_circuit;
use crate::{EngineError, PreparedCircuit, Workspace};
use cipherfn_circuit::circuit::{Choice, Circuit, Node, NodeId, Operand};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_scheme::query::encrypt_row;
use cipherfn_scheme::{EvaluationKey, SchemeError};

/// Which of two numbers is compared with what, in the order of a heap: clear before set.
const SPLITS: [(usize, f64); 7] = [
    (0, 0.0),
    (1, -0.1),
    (1, 0.1),
    (0, -0.2),
    (1, 0.3),
    (0, 0.2),
    (1, 0.3),
];
/// Numbers at least 0.06 away from all thresholds: twelve deviations of the comparison and more.
const ROWS: [[f64; 2]; 4] = [[-0.3, -0.2], [-0.1, 0.2], [0.1, 0.0], [0.3, 0.2]];

const fn gadget(base_log: u32, levels: u32) -> Gadget {
    Gadget::new(BaseLog::new(base_log), Levels::new(levels))
}

/// In 64ths of the torus.
fn leaf(place: usize) -> f64 {
    (place as f64 * 7.0 - 20.0) / 64.0
}

fn choice(layers: &mut Layers, of: NodeId, sides: [Operand; 2], gadget: Gadget) -> NodeId {
    let (of, [clear, set]) = (plain(of), sides);
    layers.builder.push(Node::Choice(Choice {
        of,
        gadget,
        clear,
        set,
    }))
}

/// The subtree at a place of the heap over two numbers.
fn tree(layers: &mut Layers, numbers: [NodeId; 2], place: usize, gadget: Gadget) -> Operand {
    let Some((number, threshold)) = SPLITS.get(place) else {
        return layers.builder.scalar(word(leaf(place - SPLITS.len())));
    };
    let compared = layers.sum(-threshold, &[(numbers[*number], 1)]);
    let sides = [1, 2].map(|side| tree(layers, numbers, 2 * place + side, gadget));
    Operand::Node(plain(choice(layers, compared, sides, gadget)))
}

/// A tree of each row's numbers.
fn trees(part: &str, gadget: Gadget) -> Circuit {
    let mut layers = Layers::new(part);
    let results: Vec<NodeId> = (0..)
        .zip(ROWS)
        .map(|(row, middles)| {
            let numbers = [0, 1].map(|number| layers.number(2 * row + number, middles[number]));
            match tree(&mut layers, numbers, 0, gadget) {
                Operand::Node(rotated) => rotated.node,
                _ => panic!("a tree has splits"),
            }
        })
        .collect();
    layers.finish(&results)
}

/// The leaves that the numbers lead to, on ciphertexts within eight standard deviations.
#[test]
fn trees_follow_on_numbers() {
    for (part, gadget) in [(PARTS[1], gadget(6, 3)), (PARTS[2], gadget(8, 2))] {
        let circuit = trees(part, gadget);
        let found = Clear.evaluate(&circuit, &bits());
        assert_eq!(ClearParts.evaluate(&circuit, &bits()), found);
        for (numbers, found) in ROWS.iter().zip(found) {
            let mut place = 0;
            while let Some((number, threshold)) = SPLITS.get(place) {
                place = 2 * place + 1 + usize::from(numbers[*number] >= *threshold);
            }
            assert_eq!(found, word(leaf(place - SPLITS.len())));
        }
        let noise = of_circuit(&circuit).unwrap();
        assert_eq!(noise.choices.len(), 4 * SPLITS.len());
        let output = noise.outputs[0];
        let bound = 8.0 * (output.value + output.reply).deviation().get();
        for error in errors(&circuit, &key(part), 1) {
            assert!(error.abs() < bound, "{part}: {error:e}, bound {bound:e}");
        }
        let statistics = PreparedCircuit::new(&circuit).unwrap().statistics();
        let count = 4 * SPLITS.len();
        assert_eq!((statistics.choices, statistics.bootstraps), (count, count));
    }
}

/// 192 choices between look-ups: of each, the error is a product of the selector's and of the
/// difference's digits, whose squares' mean is off by 16 % (one standard deviation) at so many.
#[test]
fn measured_noise_is_the_predicted() {
    let (part, gadget) = (PARTS[2], gadget(8, 2));
    let mut layers = Layers::new(part);
    let results: Vec<NodeId> = (0..96)
        .map(|index| {
            let number = layers.number(index, [0.25, -0.25][index % 2]);
            let sides = [index, index + 5].map(|side| layers.small[side % layers.small.len()]);
            let sides = sides.map(|side| Operand::Node(plain(side)));
            choice(&mut layers, number, sides, gadget)
        })
        .collect();
    let circuit = layers.finish(&results);
    let output = of_circuit(&circuit).unwrap().outputs[0];
    let predicted = (output.value + output.reply).deviation().log2();
    let errors: Vec<f64> = (0..2)
        .flat_map(|_| errors(&circuit, &key(part), 2))
        .collect();
    let squares: f64 = errors.iter().map(|error| error * error).sum();
    let found = (squares / errors.len() as f64).log2() / 2.0;
    println!("predicted 2^{predicted:.2}, measured 2^{found:.2}");
    assert!(
        (predicted - 1.0..predicted + 0.6).contains(&found),
        "predicted 2^{predicted:.2}, measured 2^{found:.2}"
    );
}

/// A plain number chooses when the circuit is lowered; the same bits on one thread and on three; a key
/// without the part is refused.
#[test]
fn what_choices_take() {
    let (part, gadget) = (PARTS[1], gadget(8, 2));
    let mut layers = Layers::new(part);
    let known = layers.sum(-0.125, &[]);
    let [first, second] = [0, 1].map(|index| layers.small[index]);
    let sides = [first, second].map(|side| Operand::Node(plain(side)));
    let known = choice(&mut layers, known, sides, gadget);
    let number = layers.number(0, 0.2);
    let nothing = choice(&mut layers, number, [sides[0], Operand::Zero], gadget);
    let circuit = layers.finish(&[known, nothing]);
    let prepared = PreparedCircuit::new(&circuit).unwrap();
    assert_eq!(prepared.statistics().choices, 1);
    let found = Clear.evaluate(&circuit, &bits());
    assert_eq!(found[1], 0);
    let (secret, expanded) = key(part);
    let row = encrypt_row(&secret, prepared.inputs(), &bits()).unwrap();
    let [one, three] = [1, 3].map(|threads| {
        pool(threads).install(|| {
            prepared
                .evaluate_row(Some(&expanded), &row, &mut Workspace::default())
                .unwrap()
        })
    });
    assert!(one == three);
    let without = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    let error = prepared
        .evaluate_row(Some(&without), &row, &mut Workspace::default())
        .unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Scheme(SchemeError::KeyPartMissing {
                part: "bootstrap-precise",
                ..
            })
        ),
        "{error}"
    );
}
