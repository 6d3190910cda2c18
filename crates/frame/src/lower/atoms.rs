//! Numbers of a row as polynomials, in pieces of few bits.

use super::RowGraph;
use super::load::{Load, Piece};
use crate::answer::{Lane, Recombined};
use crate::diagram::{Diagram, NULL};
use crate::graph::{node_operand, weighted};
use crate::pass::ROOM_BITS;
use crate::resolve::{Atom, Linear};
use crate::schema::{RowInput, TablePart};
use cipherfn_circuit::circuit::{ConstantId, Node};
use cipherfn_circuit::circuit::{NodeId, Operand, Select, Sum, Weighted};

/// Bits of a piece of what is made of constants.
const CONSTANT_BITS: u32 = 8;

/// What loads add up to, before it is one node.
#[derive(Debug, Default)]
pub(super) struct Mixture {
    terms: Vec<Weighted>,
    words: Vec<(u32, u64)>,
}

impl Mixture {
    /// Adds a node.
    pub(super) fn add(&mut self, term: Weighted) {
        self.terms.push(term);
    }
}

impl RowGraph<'_> {
    /// Adds a load, at a coefficient and a unit. Values of look-ups are isolated if asked for.
    pub(super) fn add(
        &mut self,
        mixture: &mut Mixture,
        load: &Load,
        (offset, unit): (u32, u32),
        isolate: bool,
    ) {
        if load.constant != 0 {
            mixture.words.push((offset, word(load.constant, unit)));
        }
        for (piece, weight) in &load.pieces {
            let (integer, is_made_up) = weight.integer();
            self.assumed_weights |= is_made_up;
            // Of a model's weights a digit may be zero.
            if integer != 0 {
                let (node, weight) = self.piece(piece, integer, unit, isolate);
                mixture.terms.push(weighted(node, offset, weight));
            }
        }
    }

    /// The sum of loads as a node.
    pub(super) fn mixed(&mut self, mixture: Mixture) -> NodeId {
        let constant = (!mixture.words.is_empty()).then(|| self.graph.polynomial(mixture.words));
        self.graph.combined(constant, mixture.terms)
    }

    /// A load alone at coefficient 0.
    pub(super) fn load(&mut self, load: &Load, unit: u32, isolate: bool) -> NodeId {
        let mut mixture = Mixture::default();
        self.add(&mut mixture, load, (0, unit), isolate);
        self.mixed(mixture)
    }

    /// The bits of an atom, in pieces with their shifts.
    pub(super) fn pieces(&self, atom: &Atom) -> Vec<(u32, Piece)> {
        let piece = |index: u32, (min, max): (i128, i128), native| Piece {
            atom: atom.clone(),
            index,
            min,
            max,
            native,
        };
        let cut = |greatest: i128| -> Vec<(u32, Piece)> {
            let count = (128 - greatest.leading_zeros())
                .div_ceil(CONSTANT_BITS)
                .max(1);
            let range = |index: u32| {
                (
                    0,
                    (greatest >> (CONSTANT_BITS * index)).min((1 << CONSTANT_BITS) - 1),
                )
            };
            (0..count)
                .map(|index| (CONSTANT_BITS * index, piece(index, range(index), None)))
                .collect()
        };
        match atom {
            Atom::Limbs(column) => {
                let column = &self.resolved.frames[self.side].columns()[*column];
                limbs(column, (1, ROOM_BITS), piece)
            }
            Atom::Looked { join, column } => {
                let column = &self.resolved.frames[join + 1].columns()[*column];
                let added = (self.resolved.added(*join), self.room_bits(*join));
                limbs(column, added, piece)
            }
            Atom::Matched(join) | Atom::Present { join, .. } => {
                let unit = self.room_bits(*join) + 1;
                vec![(0, piece(0, (0, self.resolved.added(*join)), Some(unit)))]
            }
            Atom::There(_) => cut(1),
            Atom::Code(column) => {
                let column = &self.resolved.frames[self.side].columns()[*column];
                cut((1 << column.code_bits()) - 1)
            }
            Atom::Function(diagram) => {
                let values = self.resolved.diagrams.values(*diagram);
                cut(values.last().copied().unwrap_or(0).max(1).into())
            }
            Atom::Product(of, factor) => {
                let factor = &self.resolved.frames[self.side].columns()[*factor];
                let most = (1i128 << factor.code_bits()) - 1;
                let pieces = self.pieces(of).into_iter();
                let times = |(shift, own): (u32, Piece)| {
                    (
                        shift,
                        piece(own.index, (own.min * most, own.max * most), own.native),
                    )
                };
                pieces.map(times).collect()
            }
        }
    }

    /// What a look-up's entries leave of the torus to their sums.
    fn room_bits(&self, join: usize) -> u32 {
        let lookup = self.resolved.joins[join].lookup;
        lookup.map_or(ROOM_BITS, |lookup| {
            self.resolved.frames[join + 1].lookups()[lookup].room_bits()
        })
    }

    /// A piece times an integer at a unit: a node and what it still has to be multiplied with.
    fn piece(&mut self, piece: &Piece, weight: i64, unit: u32, isolate: bool) -> (NodeId, i64) {
        let more = piece.native.map_or(0, |native| native - unit);
        let own_weight = weight;
        let weight = if piece.native.is_some() {
            weight << more
        } else {
            weight
        };
        match &piece.atom {
            Atom::Limbs(column) => (self.graph.limb(*column, piece.index), weight),
            Atom::Looked { join, column } => {
                let part = TablePart::Limb(*column, piece.index as usize);
                (self.looked(*join, part, weight, isolate), 1)
            }
            Atom::Matched(join) => (self.looked(*join, TablePart::Matched, weight, isolate), 1),
            Atom::Present { join, column } => (
                self.looked(*join, TablePart::Presence(*column), weight, isolate),
                1,
            ),
            Atom::There(column) => {
                let set = self.word_constant(weight, unit);
                let selector = self.graph.bit(RowInput::Presence(*column), 0);
                let chosen = self
                    .graph
                    .choice(selector, Operand::Zero, Operand::Constant(set));
                (self.graph.operand(chosen), 1)
            }
            Atom::Code(column) => {
                let bits = self.resolved.frames[self.side].columns()[*column].code_bits();
                let first = CONSTANT_BITS * piece.index;
                let selects = (first..bits.min(first + CONSTANT_BITS)).map(|bit| {
                    let set = self.word_constant(weight << (bit - first), unit);
                    Select {
                        selector: self.graph.bit(RowInput::Code(*column), bit),
                        clear: Operand::Zero,
                        set: Operand::Constant(set),
                    }
                });
                let selects = selects.collect();
                (self.selects(selects), 1)
            }
            Atom::Function(diagram) => (self.function(*diagram, piece.index, weight, unit), 1),
            Atom::Product(of, factor) => {
                let own = Piece {
                    atom: (**of).clone(),
                    ..piece.clone()
                };
                let (node, own_weight) = self.piece(&own, own_weight, unit, isolate);
                let bits = self.resolved.frames[self.side].columns()[*factor].code_bits();
                let selects = (0..bits).map(|bit| {
                    let times = self
                        .graph
                        .combined(None, vec![weighted(node, 0, own_weight << bit)]);
                    Select {
                        selector: self.graph.bit(RowInput::Code(*factor), bit),
                        clear: Operand::Zero,
                        set: node_operand(times),
                    }
                });
                let selects = selects.collect();
                (self.selects(selects), 1)
            }
        }
    }

    fn function(&mut self, diagram: Diagram, index: u32, weight: i64, unit: u32) -> NodeId {
        let chosen = self.choose(diagram, &mut |rows, value| {
            let bits = if value == NULL {
                0
            } else {
                value >> (CONSTANT_BITS * index) & ((1 << CONSTANT_BITS) - 1)
            };
            if bits == 0 {
                return Operand::Zero;
            }
            Operand::Constant(rows.word_constant(bits * weight, unit))
        });
        self.graph.operand(chosen)
    }

    fn selects(&mut self, selects: Vec<Select>) -> NodeId {
        self.graph.node(Node::Sum(Sum {
            selects,
            ..Sum::default()
        }))
    }

    fn word_constant(&mut self, integer: i64, unit: u32) -> ConstantId {
        self.graph.constant(0, word(integer, unit))
    }
}

fn limbs(
    column: &crate::schema::Column,
    (added, room_bits): (i128, u32),
    piece: impl Fn(u32, (i128, i128), Option<u32>) -> Piece,
) -> Vec<(u32, Piece)> {
    let limbs = column.limbs().into_iter().zip(0u32..);
    let native = Some(room_bits + column.limb_bits);
    limbs
        .map(|(range, index)| {
            let range = (i128::from(range.min) * added, i128::from(range.max) * added);
            (column.limb_bits * index, piece(index, range, native))
        })
        .collect()
}

/// An integer at a unit.
const fn word(integer: i64, unit: u32) -> u64 {
    (integer as u64).wrapping_shl(u64::BITS - unit)
}

/// A linear expression's answer without its lanes.
pub(super) const fn recombined(
    linear: &Linear,
    parts: Vec<(Lane, u32)>,
    filled: f64,
) -> Recombined {
    Recombined {
        parts,
        constant: linear.constant,
        places: linear.places,
        filled,
    }
}
