//! What a plan becomes: circuits, each evaluated for every row of a frame.

pub use crate::schema::{POLYNOMIAL_SIZE, ROOM_BITS};

use crate::schema::{RowInput, TablePart};
use cipherfn_circuit::Circuit;
use cipherfn_protocol::specs::{Bits, Gadget};

/// What a circuit's text leaves open: chosen by whoever knows the noise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitForm {
    /// Name of the parameter set.
    pub parameter_set: String,
    /// Gadget of all selectors.
    pub gadget: Gadget,
    /// Bits of a result's coefficient that travel.
    pub reply_bits: Bits,
    /// Most rows that one sum takes; above it whoever decrypts adds sums.
    pub rows_per_sum: u32,
}

/// One circuit, evaluated for every row of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The frame, by its place among those of the query.
    pub over: usize,
    /// What the circuit's inputs are of each row, but for its last one, the tables, if there are any.
    pub inputs: Vec<RowInput>,
    /// The tables: what all rows share.
    pub tables: Vec<TableSource>,
    /// What is evaluated for a row.
    pub circuit: Circuit,
    /// What becomes of the rows' results.
    pub collect: Collect,
    /// Tables in the clear whose cells the circuit depends on, and which were not at hand when it was
    /// made, by their places among the frames: it is as expensive and as exact as that of any cells,
    /// and not to be evaluated.
    pub assumed: Vec<usize>,
    /// Whether weights of a published model were not at hand when it was made: likewise.
    pub assumed_weights: bool,
}

impl Pass {
    /// Whether it was made with what is not at hand, and is not to be evaluated.
    pub const fn is_assumed(&self) -> bool {
        !self.assumed.is_empty() || self.assumed_weights
    }

    /// Whether another one gives results of the same form.
    pub fn is_alike(&self, other: &Self) -> bool {
        let form = |pass: &Self| {
            let outputs = pass.circuit.outputs.iter();
            let outputs = outputs.map(|own| (own.coefficients, own.stride, own.reply_bits));
            (pass.over, pass.collect, outputs.collect::<Vec<_>>())
        };
        form(self) == form(other)
    }
}

/// A ciphertext that all rows share: up to [`POLYNOMIAL_SIZE`] entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TableSource {
    /// Entries `block * POLYNOMIAL_SIZE` and on of a look-up's table: encrypted, or of a table of
    /// the server in the clear. Entries have the units of [`Schema::unit`](crate::schema::Schema::unit).
    Stored {
        /// The frame, by its place among those of the query.
        frame: usize,
        /// Its look-up.
        lookup: usize,
        /// Which table.
        part: TablePart,
        /// Which entries.
        block: u32,
        /// How many owners' ciphertexts under a public key it is the sum of; none where the key holder
        /// encrypted it, or nobody did.
        owners: u32,
    },
    /// The sum over all rows of an output of an earlier pass.
    Summed {
        /// The pass.
        pass: usize,
        /// Its output.
        output: usize,
    },
}

/// What becomes of the rows' results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collect {
    /// One result a row, packed: each output has one coefficient.
    Rows,
    /// The sum over the rows, of at most so many at once; whoever decrypts adds the sums.
    Sum {
        /// Rows that have room in one sum.
        rows: u32,
    },
}
