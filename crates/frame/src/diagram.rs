//! Functions of a row's bits with few values: decision diagrams, reduced and shared.
//!
//! A node asks for one bit and goes on to one of two others; a terminal is a value. Bits are asked in
//! one order, so equal functions are one node (Bryant, "Graph-based algorithms for Boolean function
//! manipulation", 1986). What a diagram is evaluated with costs one CMUX a node.

use std::collections::HashMap;

/// The value of a missing cell.
pub(crate) const NULL: i64 = -1;
/// Most nodes: seconds of CMUXes for some hundred rows.
const MAX_NODES: usize = 1 << 14;

/// A bit that a diagram asks for. Diagrams ask in the order of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Variable {
    /// Whose rows: 0 of the scanned frame, others of joined ones.
    pub(crate) side: usize,
    pub(crate) of: RowBit,
}

/// A bit of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RowBit {
    /// Whether the row is one.
    Live,
    /// Whether a cell is there.
    Presence(usize),
    /// A bit of the code of a column, the most significant first.
    Code {
        column: usize,
        /// How far below the most significant bit of any code.
        down: u32,
    },
}

impl Variable {
    const fn code(side: usize, column: usize, bit: u32) -> Self {
        Self {
            side,
            of: RowBit::Code {
                column,
                down: RowBit::bit(bit),
            },
        }
    }
}

impl RowBit {
    /// From the distance from the most significant bit of any code to the number of a bit, and back.
    pub(crate) const fn bit(down: u32) -> u32 {
        u64::BITS - 1 - down
    }
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Diagram {
    Terminal(i64),
    Node(u32),
}

/// Asks for a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) variable: Variable,
    pub(crate) clear: Diagram,
    pub(crate) set: Diagram,
}

/// That a function takes too many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Functions that share their nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagrams {
    nodes: Vec<Question>,
    places: HashMap<Question, u32>,
}

impl Diagrams {
    pub(crate) fn question(&self, node: u32) -> Question {
        self.nodes[node as usize]
    }

    /// A function of a code of so many bits: from each start on it has that value, to the next
    /// start. Starts increase, and the first one is 0.
    pub(crate) fn steps(
        &mut self,
        (side, column): (usize, usize),
        bits: u32,
        steps: &[(u64, i64)],
    ) -> Result<Diagram, TooLarge> {
        let Some(bit) = bits.checked_sub(1) else {
            return Ok(Diagram::Terminal(steps.first().map_or(NULL, |step| step.1)));
        };
        if steps.len() == 1 {
            return Ok(Diagram::Terminal(steps[0].1));
        }
        let half = 1u64 << bit;
        let below = steps.partition_point(|step| step.0 < half);
        let mut above: Vec<(u64, i64)> = Vec::new();
        if steps.get(below).is_none_or(|step| step.0 > half) {
            above.push((0, steps[below - 1].1));
        }
        above.extend(steps[below..].iter().map(|step| (step.0 - half, step.1)));
        let clear = self.steps((side, column), bit, &steps[..below])?;
        let set = self.steps((side, column), bit, &above)?;
        self.node(Question {
            variable: Variable::code(side, column, bit),
            clear,
            set,
        })
    }

    /// A bit as a function: 0 or 1.
    pub(crate) fn bit(&mut self, side: usize, of: RowBit) -> Result<Diagram, TooLarge> {
        self.node(Question {
            variable: Variable { side, of },
            clear: Diagram::Terminal(0),
            set: Diagram::Terminal(1),
        })
    }

    /// A function of a function's value.
    pub(crate) fn map(
        &mut self,
        of: Diagram,
        function: impl Fn(i64) -> i64,
    ) -> Result<Diagram, TooLarge> {
        self.both(of, Diagram::Terminal(0), |value, _| function(value))
    }

    /// A function of two functions' values.
    pub(crate) fn both(
        &mut self,
        one: Diagram,
        other: Diagram,
        function: impl Fn(i64, i64) -> i64,
    ) -> Result<Diagram, TooLarge> {
        self.apply((one, other), &function, &mut HashMap::new())
    }

    /// Every value that a function has.
    pub(crate) fn values(&self, of: Diagram) -> Vec<i64> {
        let mut found = Vec::new();
        self.visit(of, |at| {
            if let Diagram::Terminal(value) = at {
                found.push(value);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whose bits a function asks for.
    pub(crate) fn sides(&self, of: Diagram) -> Vec<usize> {
        let mut found = Vec::new();
        self.visit(of, |at| {
            if let Diagram::Node(node) = at {
                found.push(self.question(node).variable.side);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What a function is where all bits of a side are known.
    pub(crate) fn followed(
        &self,
        mut at: Diagram,
        side: usize,
        mut bit: impl FnMut(RowBit) -> bool,
    ) -> Diagram {
        while let Diagram::Node(node) = at {
            let question = self.question(node);
            if question.variable.side != side {
                break;
            }
            at = if bit(question.variable.of) {
                question.set
            } else {
                question.clear
            };
        }
        at
    }

    /// All that a function can be where the bits of a side are known.
    pub(crate) fn ends(&self, of: Diagram, side: usize) -> Vec<Diagram> {
        let mut ends: Vec<Diagram> = Vec::new();
        let mut seen = vec![false; self.nodes.len()];
        let mut left = vec![of];
        while let Some(at) = left.pop() {
            if let Diagram::Node(node) = at
                && self.question(node).variable.side == side
            {
                if !std::mem::replace(&mut seen[node as usize], true) {
                    let question = self.question(node);
                    left.extend([question.set, question.clear]);
                }
            } else if !ends.contains(&at) {
                ends.push(at);
            }
        }
        ends
    }

    fn visit(&self, of: Diagram, mut see: impl FnMut(Diagram)) {
        let mut seen = vec![false; self.nodes.len()];
        let mut left = vec![of];
        while let Some(next) = left.pop() {
            if let Diagram::Node(node) = next {
                if std::mem::replace(&mut seen[node as usize], true) {
                    continue;
                }
                let question = self.question(node);
                left.extend([question.clear, question.set]);
            }
            see(next);
        }
    }

    fn apply(
        &mut self,
        pair: (Diagram, Diagram),
        function: &impl Fn(i64, i64) -> i64,
        known: &mut HashMap<(Diagram, Diagram), Diagram>,
    ) -> Result<Diagram, TooLarge> {
        if let (Diagram::Terminal(one), Diagram::Terminal(other)) = pair {
            return Ok(Diagram::Terminal(function(one, other)));
        }
        if let Some(result) = known.get(&pair) {
            return Ok(*result);
        }
        if known.len() > MAX_NODES {
            return Err(TooLarge);
        }
        let variables = [pair.0, pair.1].map(|side| match side {
            Diagram::Terminal(_) => None,
            Diagram::Node(node) => Some(self.question(node).variable),
        });
        let Some(variable) = variables.into_iter().flatten().min() else {
            unreachable!("one of them is a node");
        };
        let side = |own: Diagram, set: bool| match own {
            Diagram::Node(node) if self.question(node).variable == variable => {
                let question = self.question(node);
                if set { question.set } else { question.clear }
            }
            _ => own,
        };
        let (without, with) = (
            (side(pair.0, false), side(pair.1, false)),
            (side(pair.0, true), side(pair.1, true)),
        );
        let clear = self.apply(without, function, known)?;
        let set = self.apply(with, function, known)?;
        let result = self.node(Question {
            variable,
            clear,
            set,
        })?;
        known.insert(pair, result);
        Ok(result)
    }

    fn node(&mut self, question: Question) -> Result<Diagram, TooLarge> {
        if question.clear == question.set {
            return Ok(question.clear);
        }
        if let Some(place) = self.places.get(&question) {
            return Ok(Diagram::Node(*place));
        }
        if self.nodes.len() == MAX_NODES {
            return Err(TooLarge);
        }
        let place = self.nodes.len() as u32;
        self.nodes.push(question);
        self.places.insert(question, place);
        Ok(Diagram::Node(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(diagrams: &Diagrams, mut at: Diagram, codes: &[u64]) -> i64 {
        loop {
            match at {
                Diagram::Terminal(value) => return value,
                Diagram::Node(node) => {
                    let question = diagrams.question(node);
                    let RowBit::Code { column, down } = question.variable.of else {
                        panic!("codes alone");
                    };
                    let is_set = codes[column] >> RowBit::bit(down) & 1 == 1;
                    at = if is_set { question.set } else { question.clear };
                }
            }
        }
    }

    proptest! {
        #[test]
        fn diagrams_are_the_functions(
            breaks in proptest::collection::btree_map(1u64..32, 0i64..4, 0..6),
            other in 0u64..8,
            first in 0i64..4,
        ) {
            let mut diagrams = Diagrams::default();
            let mut steps = vec![(0, first)];
            steps.extend(breaks.iter().map(|(start, value)| (*start, *value)));
            let wide = diagrams.steps((0, 0), 5, &steps).expect("small");
            let small = diagrams.steps((0, 1), 3, &[(0, 0), (other.max(1), 1)]).expect("small");
            let sum = diagrams.both(wide, small, |one, other| 2 * one + other).expect("small");
            for code in 0..32 {
                let want = steps.iter().rev().find(|step| step.0 <= code).expect("a step").1;
                prop_assert_eq!(value(&diagrams, wide, &[code]), want);
                for key in 0..8 {
                    let second = i64::from(key >= other.max(1));
                    prop_assert_eq!(value(&diagrams, sum, &[code, key]), 2 * want + second);
                }
            }
        }
    }

    #[test]
    fn a_comparison_is_a_node_a_bit_and_equal_functions_are_one() {
        let mut diagrams = Diagrams::default();
        let above = diagrams
            .steps((0, 0), 11, &[(0, 0), (1001, 1)])
            .expect("small");
        assert!(diagrams.nodes.len() <= 11);
        let not_above = diagrams.map(above, |value| 1 - value).expect("small");
        assert_eq!(diagrams.map(not_above, |value| 1 - value), Ok(above));
        assert_eq!(diagrams.values(above), [0, 1]);
        let steps: Vec<_> = (0..1u64 << 15).map(|code| (code, code as i64)).collect();
        assert_eq!(diagrams.steps((0, 1), 15, &steps), Err(TooLarge));
    }
}
