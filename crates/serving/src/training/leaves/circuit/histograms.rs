//! Rows in the bins of each column, apart for each leaf of a tree.
//!
//! The monomial of the leaf that a row reaches, X^leaf, is turned by the row's bin of a column to
//! X^(bin x leaves + leaf): a CMUX a bit of the bin, whatever the number of leaves. What several columns
//! have is added, each with coefficients of its own.

use super::{Builder, unrotated};
use cipherfn_circuit::circuit::{NodeId, Operand, Rotated, Select, SelectorId, Sum};
use std::ops::Range;

impl Builder<'_> {
    /// What `leaves` becomes of a block of columns, and how many coefficients that are.
    pub(super) fn histograms(&mut self, leaves: NodeId, columns: Range<usize>) -> (NodeId, u32) {
        let places = self.training.counted();
        let count = self.training.trees()[0].leaves() as u32;
        let mut first = 0;
        let mut addends = Vec::with_capacity(columns.len());
        for column in columns {
            let mut node = leaves;
            for bit in 0..self.training.bin_bits(column) {
                let turned = Rotated {
                    node,
                    rotation: count << bit,
                };
                node = self.push(Sum {
                    selects: vec![Select {
                        selector: SelectorId::first(self.first[column] + bit),
                        clear: Operand::Node(unrotated(node)),
                        set: Operand::Node(turned),
                    }],
                    ..Sum::default()
                });
            }
            addends.push(Rotated {
                node,
                rotation: first,
            });
            first += places[column] as u32;
        }
        let sum = Sum {
            addends,
            ..Sum::default()
        };
        (self.push(sum), first)
    }
}
