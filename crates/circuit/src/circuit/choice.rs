//! Choices by numbers that the server computed.

use super::{Operand, Rotated};
use cipherfn_protocol::specs::Gadget;

/// `z in [0, 1/2) ? set : clear`, with z the constant coefficient of a value as a fraction of the torus
/// in [-1/2, 1/2): a CMUX by a selector that is made of a number, a circuit bootstrap by the part that
/// the circuit names ([`Circuit::bootstrap`](super::Circuit::bootstrap)). So trees may follow on what
/// the server computed: z = x - t compares x with t.
///
/// z is compared with an error, that of the value and that of the switch to the table's steps, which are
/// as many times as long as the gadget has levels, rounded up to a power of two. Of `of` nothing but the
/// choice is left in the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The node, times the monomial that brings the number to place 0.
    pub of: Rotated,
    /// Gadget of the selector.
    pub gadget: Gadget,
    /// Value when z is negative.
    pub clear: Operand,
    /// Value when it is not.
    pub set: Operand,
}

impl Choice {
    /// What it chooses between: clear, set.
    pub const fn sides(&self) -> [Operand; 2] {
        [self.clear, self.set]
    }

    /// The side that a number chooses, in units of 2^-64 of the torus.
    pub const fn chosen(&self, number: u64) -> Operand {
        if number < 1 << 63 {
            self.set
        } else {
            self.clear
        }
    }

    /// The nodes that it reads: the number's, and those that it chooses between.
    pub fn reads(&self) -> impl Iterator<Item = Rotated> {
        let sides = self.sides().into_iter().filter_map(Operand::node);
        std::iter::once(self.of).chain(sides)
    }
}
