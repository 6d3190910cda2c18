//! What can go wrong with specs, rows and sums.

use cipherfn_protocol::frame::{FrameError, FrameKind};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;

/// Failure of an operation of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// Text that is no spec.
    #[error("not a spec: {0}")]
    Document(toml::de::Error),
    /// Bytes that are no program.
    #[error("not a training program: {0}; make it with compile-training")]
    Program(serde_json::Error),
    /// Fewer rows than a batch.
    #[error("{found} rows are fewer than a batch of {batch}; lower \"batch\" in the spec")]
    TooFewRows {
        /// Rows.
        found: usize,
        /// The batch.
        batch: usize,
    },
    /// More steps than are run.
    #[error(
        "the training has {found} steps{}, at most {limit} are run; lower \"epochs\", or raise \"batch\"",
        earlier(*.before)
    )]
    TooManySteps {
        /// Steps, with those before.
        found: usize,
        /// Steps that were done before on other rows.
        before: usize,
        /// The limit.
        limit: usize,
    },
    /// A column that tells nothing.
    #[error(
        "column {column:?} is constant in steps of its range; leave it out of the spec, or narrow the range"
    )]
    Constant {
        /// The column.
        column: String,
    },
    /// Rows that leave nothing to tell apart.
    #[error(
        "all rows are of class {class:?}, and a model tells classes apart; give rows of two classes at least"
    )]
    OneClass {
        /// The class.
        class: String,
    },
    /// Forms beyond the table.
    #[error(
        "the training diverges or comes close: |z| reaches {}, and above {range} residuals are wrong; lower \"rate\", raise \"penalty\", or take fewer \"epochs\"",
        short(*.largest)
    )]
    Diverges {
        /// The largest.
        largest: f64,
        /// How far forms may come.
        range: f64,
    },
    /// Forms beyond the table because of the penalty alone.
    #[error(
        "the training outgrows its table: weights are kept divided by what the penalty leaves of them, {shrunk:.1e} in the end, so that |z| is looked up as {} where it reaches {}, and above {range} residuals are wrong; lower \"penalty\" or \"epochs\"",
        short(*.held),
        short(*.largest)
    )]
    Shrinks {
        /// What the penalty leaves of a weight.
        shrunk: f64,
        /// The largest form, as it is looked up.
        held: f64,
        /// The largest form.
        largest: f64,
        /// How far forms may come.
        range: f64,
    },
    /// Weights to start from, of another program.
    #[error(
        "the training has {expected} {what}, the start has {found}; take weights of such a model"
    )]
    StartShape {
        /// What is counted.
        what: &'static str,
        /// Of the program.
        expected: usize,
        /// Of the start.
        found: usize,
    },
    /// What steps on rows that nobody has simulated have led to.
    #[error(
        "{what} lies outside of the residuals' table, where steps have the wrong sign: the training has diverged, or the service has not run its steps"
    )]
    Outgrown {
        /// What does.
        what: String,
    },
    /// Weights of which nobody can tell whether the forms that led to them were where they seemed to be.
    #[error(
        "rows within the ranges may be led further than {reach}, and forms that are {} apart look the same to the steps: whether these weights are right nobody can tell; smaller weights (a penalty, fewer columns) or a \"rate\" of at most {rate:.2} leave no doubt",
        reach * 4.0 / 3.0
    )]
    Ambiguous {
        /// How far forms may be led without doubt.
        reach: f64,
        /// A rate that leaves none, where all steps are watched.
        rate: f64,
    },
    /// A training on rows of others whose forms were not watched.
    #[error(
        "the state does not say whether forms have kept to the residuals' table, as states of earlier versions do not; train anew with a service of this version"
    )]
    Unwatched,
    /// A last step that may lead anywhere.
    #[error(
        "the last step may change a weight by {jump:.1}, and nobody sees where forms are after it: with more than {range} of them the weights may be none; lower \"rate\", or raise \"decay\""
    )]
    Leaps {
        /// By how much.
        jump: f64,
        /// How far forms are looked up as they are.
        range: f64,
    },
    /// A weight to start from that the program has no room for.
    #[error(
        "the weight of {name} for class {class:?} is {} for a unit of {unit:?}, and must be a number of at most {limit} on either side: beyond that a unit alone leads to residuals of the wrong sign; narrow the column's range in the spec, or start from a model with smaller weights (a penalty makes them smaller)",
        short(*.value)
    )]
    StartWeight {
        /// Of what: a column, or the constant.
        name: String,
        /// The class that it speaks for.
        class: String,
        /// The weight, of a unit.
        value: f64,
        /// The largest that there may be.
        limit: f64,
        /// A unit, in the column's numbers.
        unit: f64,
    },
    /// Forms beyond the table before the first step.
    #[error(
        "the weights that the training starts from lead to |z| of {} on these rows, and above {range} residuals are wrong; start from a model with smaller weights (a penalty makes them smaller), or from nothing",
        short(*.largest)
    )]
    StartBeyond {
        /// The largest.
        largest: f64,
        /// How far forms may come.
        range: f64,
    },
    /// Forms that could go around the torus unseen.
    #[error(
        "the weights lead to |z| of up to {} on rows at the ends of all ranges, and above {limit:.0} a prediction by encrypted weights would be another one unseen; have the weights decrypted (without --keep-encrypted), or train with a penalty or narrower ranges",
        short(*.reach)
    )]
    Reaches {
        /// How far.
        reach: f64,
        /// The limit.
        limit: f64,
    },
    /// A program by which few of an owner's rows decide the weights.
    #[error(
        "one row has {} % of what {rows} rows add to the weights{among}, and the {rows} rows count as {}: the weights would tell of single rows, whatever the number of steps; lower \"decay\" or \"penalty\", or raise \"batch\"",
        short(*.largest), short(*.counting)
    )]
    Uneven {
        /// How many rows there are.
        rows: usize,
        /// As how many that count alike they count.
        counting: f64,
        /// What one row has of all that they add, in percent.
        largest: f64,
        /// Beside which others, as it stands in the sentence.
        among: &'static str,
    },
    /// Weights that are not those of rows at hand. What was decrypted is not told.
    #[error(
        "the weights are not those of these rows: {name}{class} is further from what the steps lead to than noise can take it. Whoever has run the steps may have chosen it to learn of the key from the model: nothing is written. Do not have it trained again, and show nobody what came of it; take a new key ring, and let this one encrypt nothing for that service any more"
    )]
    OtherWeights {
        /// Of what: a column, or the constant.
        name: String,
        /// The class that it speaks for, as it stands in the sentence.
        class: String,
    },
    /// Residuals below their errors.
    #[error(
        "the training drowns in noise: a residual's error is {} times half of a residual; raise \"rate\", or lower \"batch\" or \"decay\"",
        short(*.factor)
    )]
    Drowns {
        /// How many times.
        factor: f64,
    },
    /// A spec of a later format.
    #[error("the spec has format {found}, this build reads 1; take a newer build")]
    Format {
        /// Format found.
        found: u16,
    },
    /// A field of a spec.
    #[error("spec, {place}: {problem}")]
    Field {
        /// Which table of the document.
        place: String,
        /// What is wrong, and the way out.
        problem: String,
    },
    /// A number that no sum can hold.
    #[error("row {row}, column {column:?}: {value} is no finite number; leave the row out")]
    Number {
        /// The row, from 1.
        row: u64,
        /// The column.
        column: String,
        /// The value.
        value: f64,
    },
    /// A text that the spec does not list.
    #[error(
        "row {row}, column {column:?}: {value:?} is not among the values that the spec lists: {known}; correct the cell, or have it listed in the spec of all owners"
    )]
    Category {
        /// The row, from 1.
        row: u64,
        /// The column.
        column: String,
        /// The text.
        value: String,
        /// What is listed.
        known: String,
    },
    /// A row of another number of cells.
    #[error("row {row} has {found} {what} where the spec has {expected}")]
    Cells {
        /// The row, from 1.
        row: u64,
        /// Which cells.
        what: &'static str,
        /// Columns of the spec.
        expected: usize,
        /// Cells given.
        found: usize,
    },
    /// More rows than there is room for.
    #[error(
        "there are {found} rows and the spec has room for {limit}; raise \"rows\" in the spec of all owners and contribute again"
    )]
    TooManyRows {
        /// Rows, as far as they can be told.
        found: u64,
        /// The spec's.
        limit: u64,
    },
    /// More rows in a total than the spec has room for. How many is not told: an owner that sent chosen ciphertexts
    /// would read bits of the key off it.
    #[error(
        "the total is of more rows than the {limit} that the spec has room for; raise \"rows\" in the spec of all owners and contribute again"
    )]
    TooManyRowsTogether {
        /// The spec's.
        limit: u64,
    },
    /// More contributions than there is room for.
    #[error("there are {found} contributions, at most {limit} can be added")]
    TooManyOwners {
        /// Contributions.
        found: u64,
        /// The limit.
        limit: u32,
    },
    /// Bytes that are no file of the kind.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A contribution's payload.
    #[error("the contribution is malformed: {problem}; have its owner make it again")]
    Malformed {
        /// What is wrong.
        problem: String,
    },
    /// A payload that ends within its head.
    #[error("{what} is malformed: it has {bytes} bytes, fewer than {head}; make it anew")]
    Short {
        /// Kind of file.
        what: &'static str,
        /// Bytes of its payload.
        bytes: usize,
        /// Bytes of a head.
        head: usize,
    },
    /// A program of trees where one of descent is needed.
    #[error(
        "the program is of trees, and this is done with programs of gradient descent alone; train by it with cipherfn train"
    )]
    OfTrees,
    /// A program of sums where one of descent is needed.
    #[error(
        "the program is of sums, which owners contribute, and this is done with programs of gradient descent alone; owners add by it with cipherfn joint add, and cipherfn joint total takes the total"
    )]
    OfSums,
    /// A contribution that is not one owner's.
    #[error(
        "it is the sum of {found} contributions; each owner adds its own, so that it is known how many there are"
    )]
    SeveralOwners {
        /// Owners in it.
        found: u32,
    },
    /// A contribution of another parameter set or size than those to its spec.
    #[error("it has {problem}; make it with the public key that the grant names")]
    OtherShape {
        /// What it has.
        problem: String,
    },
    /// A tree that cannot be read or written.
    #[error("not a tree: {0}; grow it again")]
    Tree(serde_json::Error),
    /// A state of something else.
    #[error(
        "the state is of another {what}; go on with the one that it was made of, or begin anew"
    )]
    OtherState {
        /// What differs.
        what: &'static str,
    },
    /// A contribution to other statistics.
    #[error(
        "the contribution is to spec {found}, not to {expected}; all owners must have the very same spec"
    )]
    OtherSpec {
        /// Hash of the spec at hand.
        expected: Hash,
        /// Hash in the contribution.
        found: Hash,
    },
    /// A contribution for another key holder.
    #[error(
        "the contribution is encrypted for key {found}, not for {expected}; contribute again under the right public key"
    )]
    OtherKey {
        /// Id of the key at hand.
        expected: KeyId,
        /// Id in the contribution.
        found: KeyId,
    },
    /// The same contribution twice.
    #[error("contribution {second} is contribution {first} once more; give each once")]
    Doubled {
        /// Which one, from 1.
        first: usize,
        /// Which one, from 1.
        second: usize,
    },
    /// Nothing to add.
    #[error("there are no contributions; give one at least")]
    Nothing,
    /// Sums that no rows have.
    #[error(
        "the sums are of no rows: {problem}; an owner contributed something else, or decryption was with a wrong key"
    )]
    Impossible {
        /// What they contradict.
        problem: String,
    },
    /// A fit that the spec's columns do not allow.
    #[error("{fit} cannot be fitted: {problem}")]
    Fit {
        /// What was to be fitted.
        fit: &'static str,
        /// Why not, and the way out.
        problem: String,
    },
}

impl TrainingError {
    pub(crate) fn field(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            place: place.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn impossible(problem: impl Into<String>) -> Self {
        Self::Impossible {
            problem: problem.into(),
        }
    }

    /// Of a file's payload that ends within its head.
    pub(crate) const fn short(kind: FrameKind, bytes: usize, head: usize) -> Self {
        Self::Short {
            what: kind.with_article(),
            bytes,
            head,
        }
    }

    pub(crate) fn fit(fit: &'static str, problem: impl Into<String>) -> Self {
        Self::Fit {
            fit,
            problem: problem.into(),
        }
    }
}

/// A number in a sentence: as it is, or its power of ten where that would be a line of digits.
pub(crate) fn short(number: f64) -> String {
    if number.abs() < 1e6 {
        format!("{number:.1}")
    } else {
        format!("{number:.1e}")
    }
}

/// Of steps, that some were done before.
fn earlier(before: usize) -> String {
    match before {
        0 => String::new(),
        _ => format!(" with the {before} before it"),
    }
}
