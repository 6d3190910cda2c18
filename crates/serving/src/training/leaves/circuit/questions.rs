//! Trees as functions of the bits of a row's bins.

use super::{Builder, Choice, Shape};
use cipherfn_training::leaves::{LeafNode, LeafTree};

/// The bins of each column that a node is reached with: first and last.
type Bounds = Vec<(u32, u32)>;

/// Whether a column's bin is above a cut.
struct Question {
    column: usize,
    cut: u32,
    /// Bins that come here.
    bounds: (u32, u32),
    above: Shape,
    below: Shape,
}

impl Builder<'_> {
    /// A tree's function, whose leaves have coefficients from `first` on.
    pub(super) fn tree(&mut self, tree: &LeafTree, first: u32) -> Shape {
        let cuts = self.training.cuts().iter();
        let bounds: Bounds = cuts.map(|cuts| (0, cuts.len() as u32)).collect();
        // Children come after their parent: bounds are known from the root down, functions from the
        // leaves up.
        let mut all = vec![bounds; tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate() {
            if let LeafNode::Split {
                column,
                cut,
                above,
                below,
                ..
            } = *node
            {
                let own = all[index].clone();
                let (least, most) = own[column as usize];
                let (mut over, mut under) = (own.clone(), own);
                over[column as usize] = (least.max(cut + 1), most);
                under[column as usize] = (least, most.min(cut));
                all[above as usize] = over;
                all[below as usize] = under;
            }
        }
        let numbers = tree.numbers();
        let mut shapes = vec![Shape::Leaf(0); tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate().rev() {
            shapes[index] = match *node {
                LeafNode::Leaf => Shape::Leaf(first + numbers[index] as u32),
                LeafNode::Split {
                    column,
                    cut,
                    above,
                    below,
                    ..
                } => {
                    let (above, below) = (shapes[above as usize], shapes[below as usize]);
                    let question = Question {
                        column: column as usize,
                        cut,
                        bounds: all[index][column as usize],
                        above,
                        below,
                    };
                    let bits = self.training.bin_bits(column as usize);
                    // No row comes here if there is no bin.
                    self.ask(&question, bits, 0).unwrap_or(below)
                }
            };
        }
        shapes[0]
    }

    /// The function of the lowest `bits` bits of bins that begin with `prefix`; `None` where there is no
    /// such bin.
    fn ask(&mut self, question: &Question, bits: u32, prefix: u32) -> Option<Shape> {
        let least = prefix.max(question.bounds.0);
        let most = (prefix + (1 << bits) - 1).min(question.bounds.1);
        if least > most {
            return None;
        }
        if least > question.cut {
            return Some(question.above);
        }
        if most <= question.cut {
            return Some(question.below);
        }
        // Several bins, so there is a bit left.
        let bit = bits - 1;
        let clear = self.ask(question, bit, prefix);
        let set = self.ask(question, bit, prefix | 1 << bit);
        Some(match (clear, set) {
            (Some(clear), Some(set)) => self.choice(Choice {
                selector: self.first[question.column] + bit,
                clear,
                set,
            }),
            (one, other) => one.or(other)?,
        })
    }

    fn choice(&mut self, choice: Choice) -> Shape {
        if choice.clear == choice.set {
            return choice.clear;
        }
        if let Some(place) = self.places.get(&choice) {
            return Shape::Choice(*place);
        }
        for side in [choice.clear, choice.set] {
            if let Shape::Choice(place) = side {
                self.uses[place as usize] += 1;
            }
        }
        let place = self.choices.len() as u32;
        self.choices.push(choice);
        self.uses.push(0);
        self.places.insert(choice, place);
        Shape::Choice(place)
    }
}
