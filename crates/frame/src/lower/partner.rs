//! What a row's partner in a table in the clear decides: whoever has the table knows which cells a key
//! has, so a choice by these is a choice by the bits of the row's key.

use super::RowGraph;
use crate::diagram::{Diagram, RowBit};
use crate::graph::node_operand;
use crate::plain::PlainTable;
use crate::resolve::Resolved;
use crate::schema::RowInput;
use cipherfn_circuit::circuit::{NodeId, Operand};
use std::collections::HashMap;

/// What a row's key columns are to a look-up.
struct KeyBits {
    /// Of the first frame.
    column: usize,
    bits: u32,
    size: u64,
    /// Codes that a row can have: that of a missing cell, too, where there are some.
    codes: u64,
    stride: u64,
}

/// The cells of a table's rows, by combination of keys.
struct Partners<'t> {
    resolved: &'t Resolved<'t>,
    join: usize,
    table: &'t PlainTable,
    matched: Vec<bool>,
    /// Of columns.
    codes: HashMap<usize, Vec<Option<u64>>>,
}

impl<'t> Partners<'t> {
    fn new(resolved: &'t Resolved<'t>, join: usize, table: &'t PlainTable) -> Self {
        let lookup = resolved.joins[join].lookup.unwrap_or_default();
        Self {
            resolved,
            join,
            table,
            matched: table.matched(lookup),
            codes: HashMap::new(),
        }
    }

    /// The code of a cell of the row of a combination of keys: the one behind the last where there is no
    /// row, or no cell.
    fn code(&mut self, column: usize, place: Option<u64>) -> u64 {
        let lookup = self.resolved.joins[self.join].lookup.unwrap_or_default();
        let table = self.table;
        let codes = self.codes.entry(column);
        let codes = codes.or_insert_with(|| table.codes(lookup, column));
        let found = place.and_then(|place| codes.get(place as usize).copied().flatten());
        let size = self.resolved.frames[self.join + 1].columns()[column]
            .domain
            .size();
        found.unwrap_or(size)
    }

    /// A bit that diagrams ask for.
    fn bit(&mut self, of: RowBit, place: Option<u64>) -> bool {
        match of {
            RowBit::Live => place.is_some_and(|place| {
                let matched = self.matched.get(place as usize);
                matched.copied().unwrap_or_default()
            }),
            // Missing cells have a code.
            RowBit::Presence(_) => false,
            RowBit::Code { column, down } => self.code(column, place) >> RowBit::bit(down) & 1 == 1,
        }
    }
}

impl RowGraph<'_> {
    /// The value that a function of a partner's bits has among those that `leaf` makes of its values.
    pub(super) fn choose_by_partner(
        &mut self,
        node: u32,
        leaf: &mut impl FnMut(&mut Self, i64) -> Operand,
        known: &mut HashMap<u32, Operand>,
    ) -> Operand {
        let resolved = self.resolved;
        let side = resolved.diagrams.question(node).variable.side;
        if let Some(table) = resolved.cells[side] {
            let mut partners = Partners::new(resolved, side - 1, table);
            return self.by_key(side - 1, &mut |rows, place| {
                let bit = |of| partners.bit(of, place);
                let end = resolved.diagrams.followed(Diagram::Node(node), side, bit);
                rows.choose_known(end, leaf, known)
            });
        }
        let ends = resolved.diagrams.ends(Diagram::Node(node), side);
        let ends = ends.into_iter();
        let possible: Vec<Operand> = ends
            .map(|end| self.choose_known(end, leaf, known))
            .collect();
        self.guessed(side, &possible)
    }

    /// A row's polynomial, moved to the place of a cell of its partner.
    pub(super) fn moved_by_partner(
        &mut self,
        node: NodeId,
        (side, column): (usize, usize),
        stride: u64,
    ) -> NodeId {
        let resolved = self.resolved;
        let moved = |rows: &mut Self, code: u64| {
            let places = (code * stride) as u32;
            rows.graph.rotated(node_operand(node), places)
        };
        let chosen = if let Some(table) = resolved.cells[side] {
            let mut partners = Partners::new(resolved, side - 1, table);
            self.by_key(side - 1, &mut |rows, place| {
                let code = partners.code(column, place);
                moved(rows, code)
            })
        } else {
            let size = resolved.frames[side].columns()[column].domain.size();
            let codes = 0..=size;
            let possible: Vec<Operand> = codes.map(|code| moved(self, code)).collect();
            self.guessed(side, &possible)
        };
        self.graph.operand(chosen)
    }

    /// What a row's keys choose, by what is made of each combination of the look-up, and of a key that
    /// is missing.
    fn by_key(
        &mut self,
        join: usize,
        leaf: &mut dyn FnMut(&mut Self, Option<u64>) -> Operand,
    ) -> Operand {
        let keys = self.keys_of(join);
        self.of_keys(&keys, 0, leaf)
    }

    fn keys_of(&self, join: usize) -> Vec<KeyBits> {
        let resolved = self.resolved;
        let frame = resolved.frames[join + 1];
        let joined = &resolved.joins[join];
        let lookup = &frame.lookups()[joined.lookup.unwrap_or_default()];
        let strides = frame.lookup_layout(lookup).strides;
        let keys = joined.keys.iter().zip(strides);
        let keys = keys.map(|(column, stride)| {
            let own = &resolved.frames[0].columns()[*column];
            let size = own.domain.size();
            KeyBits {
                column: *column,
                bits: own.code_bits(),
                size,
                codes: size + u64::from(own.nulls),
                stride,
            }
        });
        keys.collect()
    }

    fn of_keys(
        &mut self,
        keys: &[KeyBits],
        place: u64,
        leaf: &mut dyn FnMut(&mut Self, Option<u64>) -> Operand,
    ) -> Operand {
        let Some((key, _)) = keys.split_first() else {
            return leaf(self, Some(place));
        };
        let chosen = self.of_codes(keys, (key.bits, 0), place, leaf);
        chosen.unwrap_or(Operand::Zero)
    }

    /// What the codes from one on choose by so many bits; nothing where no row has one of them.
    fn of_codes(
        &mut self,
        keys: &[KeyBits],
        (bits, first): (u32, u64),
        place: u64,
        leaf: &mut dyn FnMut(&mut Self, Option<u64>) -> Operand,
    ) -> Option<Operand> {
        let (key, rest) = keys.split_first()?;
        if first >= key.codes {
            return None;
        }
        let Some(bit) = bits.checked_sub(1) else {
            return Some(if first < key.size {
                self.of_keys(rest, place + first * key.stride, leaf)
            } else {
                leaf(self, None)
            });
        };
        let clear = self.of_codes(keys, (bit, first), place, leaf);
        let set = self.of_codes(keys, (bit, first | 1 << bit), place, leaf);
        match (clear, set) {
            (Some(clear), Some(set)) => {
                let selector = self.graph.bit(RowInput::Code(key.column), bit);
                Some(self.graph.choice(selector, clear, set))
            }
            (one, other) => one.or(other),
        }
    }

    /// A choice among what is possible, as one who has no cells takes it to be: as deep as any, of the
    /// deepest of them, and of about as many nodes as most.
    fn guessed(&mut self, side: usize, possible: &[Operand]) -> Operand {
        self.assumed.insert(side);
        let join = side - 1;
        // Rotations of one node are as deep, and a depth goes over all nodes so far.
        let mut known: HashMap<NodeId, usize> = HashMap::new();
        let depth = |own: &Operand| match own {
            Operand::Node(rotated) => *known
                .entry(rotated.node)
                .or_insert_with(|| self.graph.depth(*own)),
            Operand::Zero | Operand::Constant(_) => 0,
        };
        let depths: Vec<usize> = possible.iter().map(depth).collect();
        let deepest = (0..possible.len()).max_by_key(|place| depths[*place]);
        let Some(deepest) = deepest.map(|place| possible[place]) else {
            return Operand::Zero;
        };
        let Some(other) = possible.iter().copied().find(|own| *own != deepest) else {
            return deepest;
        };
        // The deepest at the first combination of keys, and another one at the first of every half that
        // does not have it: each bit on the way there chooses, whatever the rest is.
        let keys = self.keys_of(join);
        let halves = keys
            .iter()
            .flat_map(|key| (0..key.bits).map(|bit| key.stride << bit));
        let halves: Vec<u64> = halves.collect();
        self.by_key(join, &mut |_, place| match place {
            Some(0) => deepest,
            Some(place) if !halves.contains(&place) => {
                let scattered = place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
                possible[(scattered % possible.len() as u64) as usize]
            }
            _ => other,
        })
    }
}
