//! What a plan becomes: circuits, each evaluated for every row of a frame.
//!
//! The terms are those of `cipherfn_circuit`, one to one, without what encryption adds (gadgets,
//! bits that travel): a [`Term::Choices`] is a sum of CMUXes, a [`Term::Turned`] a look-up, a
//! [`Term::Isolated`] a pack of one item. Coefficients are torus words, units of 2^-64.

use crate::schema::{RowInput, TablePart};

/// log2 of the torus fraction that a limb's full range takes where a row's values begin: the sum of
/// 2^11 of them has half the torus.
pub const ROOM_BITS: u32 = 12;
/// Coefficients of a ciphertext.
pub const POLYNOMIAL_SIZE: u32 = 2048;

/// One circuit, evaluated for every row of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The frame, by its place among those of the query.
    pub over: usize,
    /// What of each row it reads, in this order.
    pub inputs: Vec<RowInput>,
    /// What all rows share.
    pub tables: Vec<TableInput>,
    /// Values, each made of earlier ones.
    pub terms: Vec<Term>,
    /// The results.
    pub outputs: Vec<PassOutput>,
    /// What becomes of the rows' results.
    pub collect: Collect,
}

/// A ciphertext that all rows share: up to [`POLYNOMIAL_SIZE`] entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TableInput {
    /// Entries `block * POLYNOMIAL_SIZE` and on of a look-up's table: encrypted, or of a frame of the
    /// server in the clear. The limb v is v 2^-(12 + limb bits); numbers of rows (matched, present)
    /// are limbs of one bit.
    Stored {
        /// The frame.
        frame: usize,
        /// Its look-up.
        lookup: usize,
        /// Which table.
        part: TablePart,
        /// Which entries.
        block: u32,
    },
    /// The sum over rows of an output of an earlier pass.
    Summed {
        /// The pass.
        pass: usize,
        /// Its output.
        output: usize,
    },
}

/// A value's place among the terms of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TermId(pub u32);

/// A bit of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BitId {
    /// Which input of the pass.
    pub input: u32,
    /// Which of its bits.
    pub bit: u32,
}

/// A polynomial of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// A limb of an input: v 2^-(12 + limb bits) at coefficient 0, and zero elsewhere.
    Slot {
        /// Which input of the pass.
        input: u32,
        /// Which limb.
        limb: u32,
    },
    /// A table.
    Table(u32),
    /// The same for every row: positions, increasing, and torus words.
    Constant(Vec<(u32, u64)>),
    /// A sum of integers times monomials times values.
    Combined(Vec<Weighted>),
    /// A sum of choices.
    Choices(Vec<Choice>),
    /// A value, times a monomial a bit.
    Turned(Turned),
    /// Coefficient 0 of a value, and zero elsewhere.
    Isolated(TermId),
}

/// `weight * X^rotation * term`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weighted {
    /// The value.
    pub term: TermId,
    /// The monomial's degree, below twice the polynomial size.
    pub rotation: u32,
    /// The integer.
    pub weight: i64,
}

/// One CMUX: `bit ? set : clear`, where nothing is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The bit.
    pub bit: BitId,
    /// Value of 0.
    pub clear: Option<TermId>,
    /// Value of 1.
    pub set: Option<TermId>,
}

/// `X^rotation * table`, times the X^rotation of each turn whose bit is 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turned {
    /// What is turned.
    pub table: TermId,
    /// Where it begins, below twice the polynomial size.
    pub rotation: u32,
    /// Bits with their monomials' degrees.
    pub turns: Vec<(BitId, u32)>,
}

/// A result of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassOutput {
    /// The value.
    pub term: TermId,
    /// Coefficients of it that count, from 0 on.
    pub coefficients: u32,
    /// log2 of what the integer 1 is divided by: it is the torus fraction 2^-unit.
    pub unit: u32,
}

/// What becomes of the rows' results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collect {
    /// One result a row, packed: each output has one coefficient.
    Rows,
    /// The sum over the rows, of at most so many at once; whoever decrypts adds the sums.
    Sum {
        /// Rows that fit one sum.
        rows: u32,
    },
}
