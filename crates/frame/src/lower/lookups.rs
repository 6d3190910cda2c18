//! Tables, turned by a row's keys, and rows, turned to their keys' places.

use super::RowGraph;
use crate::diagram::{Diagram, NULL};
use crate::graph::{node_operand, weighted};
use crate::pass::{POLYNOMIAL_SIZE, TableSource};
use crate::resolve::Key;
use crate::schema::{KeyLayout, RowInput, TablePart};
use cipherfn_circuit::circuit::{NodeId, Operand, SelectorId, Turn};

const SIZE: u64 = POLYNOMIAL_SIZE as u64;

/// Bits of keys by what they do.
struct Address {
    /// Bits with the places by which they move within a ciphertext.
    low: Vec<(SelectorId, u32)>,
    /// Bits with the ciphertexts by which they move; all are different powers of two.
    high: Vec<(SelectorId, u64)>,
}

impl RowGraph<'_> {
    /// The entry of a joined frame's table that a row's keys name, times an integer, as coefficient
    /// 0; alone if isolated.
    pub(super) fn looked(
        &mut self,
        join: usize,
        part: TablePart,
        weight: i64,
        isolate: bool,
    ) -> NodeId {
        let joined = &self.resolved.joins[join];
        let frame = self.resolved.frames[join + 1];
        let lookup = joined.lookup.unwrap_or_default();
        let layout = frame.lookup_layout(&frame.lookups()[lookup]);
        let tables = (0..layout.blocks())
            .map(|block| TableSource::Stored {
                frame: join + 1,
                lookup,
                part,
                block: block as u32,
                owners: frame.owners().unwrap_or_default(),
            })
            .collect();
        let keys = joined.keys.clone();
        self.turned_to(tables, &keys, &layout, (weight, isolate))
    }

    /// The entry of tables that a row's key columns name, as coefficient 0; nothing of missing keys.
    fn turned_to(
        &mut self,
        tables: Vec<TableSource>,
        keys: &[usize],
        layout: &KeyLayout,
        (weight, isolate): (i64, bool),
    ) -> NodeId {
        let mut node = self.turned_by(tables, keys, layout, weight);
        if isolate {
            node = self.graph.isolated(node, 0);
        }
        // The code of a missing key reaches what is behind the entries, which means nothing.
        self.masked_keys(node, keys)
    }

    /// Tables times an integer, turned so that the entry that a row's key columns name is coefficient
    /// 0. They are multiplied first, as a multiple of what was turned has a multiple of the noise.
    pub(super) fn turned_by(
        &mut self,
        tables: Vec<TableSource>,
        keys: &[usize],
        layout: &KeyLayout,
        weight: i64,
    ) -> NodeId {
        let address = self.address(keys, layout);
        let tables = tables.into_iter().map(|table| {
            let table = self.graph.table(table);
            node_operand(self.graph.combined(None, vec![weighted(table, 0, weight)]))
        });
        let tables: Vec<Operand> = tables.collect();
        let chosen = self.chosen(&tables, &address.high);
        let turns = address.low.into_iter().map(|(selector, places)| Turn {
            selector,
            rotation: 2 * POLYNOMIAL_SIZE - places,
        });
        let table = self.graph.operand(chosen);
        self.graph.turned(table, 0, turns.collect())
    }

    /// Zero where one of the key columns is missing.
    fn masked_keys(&mut self, mut node: NodeId, keys: &[usize]) -> NodeId {
        for key in keys {
            if self.resolved.frames[self.side].columns()[*key].nulls {
                node = self.masked_by_cell(node, *key);
            }
        }
        node
    }

    /// Zero where the cell of a column is missing.
    pub(super) fn masked_by_cell(&mut self, node: NodeId, column: usize) -> NodeId {
        let selector = self.graph.bit(RowInput::Presence(column), 0);
        let chosen = self
            .graph
            .choice(selector, Operand::Zero, node_operand(node));
        self.graph.operand(chosen)
    }

    /// One of the tables, by the number that bits make of it; zero where there is none.
    fn chosen(&mut self, tables: &[Operand], high: &[(SelectorId, u64)]) -> Operand {
        let Some(((selector, step), rest)) = high.split_last() else {
            return tables.first().copied().unwrap_or(Operand::Zero);
        };
        let middle = tables.len().min(*step as usize);
        let clear = self.chosen(&tables[..middle], rest);
        let set = self.chosen(&tables[middle..], rest);
        self.graph.choice(*selector, clear, set)
    }

    /// Places of key columns, whose code behind the last is that of missing cells, as bits.
    fn address(&mut self, keys: &[usize], layout: &KeyLayout) -> Address {
        let mut address = Address {
            low: Vec::new(),
            high: Vec::new(),
        };
        for (index, key) in keys.iter().enumerate() {
            let bits = self.resolved.frames[self.side].columns()[*key].code_bits();
            let (stride, next) = (layout.strides[index], layout.strides.get(index + 1));
            for bit in 0..bits {
                let places = stride << bit;
                // Where the next key begins in the same bit, this one is only that of missing cells.
                if layout.blocks() > 1 && next.is_some_and(|next| places >= *next) {
                    continue;
                }
                let selector = self.graph.bit(RowInput::Code(*key), bit);
                if places < SIZE {
                    address.low.push((selector, places as u32));
                } else if layout.blocks() > 1 || keys.len() == 1 {
                    address.high.push((selector, places / SIZE));
                }
                // Else it is only that of missing cells of one of two keys, which are masked.
            }
        }
        address.high.sort_by_key(|high| high.1);
        address
    }

    /// A row's polynomial, moved to the place of its keys: a node a ciphertext.
    pub(super) fn moved(&mut self, load: NodeId, keys: &[Key], layout: &KeyLayout) -> Vec<NodeId> {
        let mut operand = node_operand(load);
        let mut columns = Vec::new();
        for (key, stride) in keys.iter().zip(&layout.strides) {
            match key {
                Key::Stored(side, column) if self.resolved.is_clear(*side) => {
                    let node = self.graph.operand(operand);
                    let moved = self.moved_by_partner(node, (*side, *column), *stride);
                    operand = node_operand(moved);
                }
                Key::Stored(_, column) => columns.push((*column, *stride)),
                Key::Function { diagram, size, .. } => {
                    operand = self.moved_by(operand, *diagram, *size, *stride);
                }
            }
        }
        let (columns, strides) = columns.into_iter().unzip();
        let stored = KeyLayout {
            strides,
            places: layout.places,
        };
        let columns: Vec<usize> = columns;
        let address = self.address(&columns, &stored);
        // A key may be there twice, grouped by and counted; a look-up names a bit once.
        let mut turns: Vec<Turn> = Vec::new();
        for (selector, rotation) in address.low {
            match turns.iter_mut().find(|turn| turn.selector == selector) {
                Some(turn) => turn.rotation += rotation,
                None => turns.push(Turn { selector, rotation }),
            }
        }
        let node = self.graph.operand(operand);
        let node = self.graph.turned(node, 0, turns);
        let parts = self.parted(node, &address.high);
        let blocks = layout.blocks() as usize;
        parts.into_iter().take(blocks).collect()
    }

    /// A row's polynomial, moved by a function of its bits.
    fn moved_by(&mut self, operand: Operand, diagram: Diagram, size: u64, stride: u64) -> Operand {
        self.choose(diagram, &mut |rows, value| {
            let code = if value == NULL { size } else { value as u64 };
            rows.graph.rotated(operand, (code * stride) as u32)
        })
    }

    /// A polynomial in the ciphertext of a number that bits make, zero in all others.
    fn parted(&mut self, node: NodeId, high: &[(SelectorId, u64)]) -> Vec<NodeId> {
        let Some(((selector, _), rest)) = high.split_last() else {
            return vec![node];
        };
        let set = self
            .graph
            .choice(*selector, Operand::Zero, node_operand(node));
        let set = self.graph.operand(set);
        let clear = self
            .graph
            .combined(None, vec![weighted(node, 0, 1), weighted(set, 0, -1)]);
        let mut parts = self.parted(clear, rest);
        parts.extend(self.parted(set, rest));
        parts
    }
}
