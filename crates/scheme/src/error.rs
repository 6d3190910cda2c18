//! What can go wrong with parameter sets, keys and ciphertexts.

use cipherfn_protocol::frame::FrameError;
use cipherfn_protocol::message::KeyId;

/// Failure of an operation of this crate. All of them are permanent: the same input fails again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemeError {
    /// Bytes that are not the wanted file.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A name that is not in the table.
    #[error("unknown parameter set \"{name}\"; this build knows {known}")]
    UnknownParameterSet {
        /// Name that was asked for.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// A file of a parameter set that is not in the table.
    #[error(
        "the {what} belongs to a parameter set that this build does not know; make it anew with this build"
    )]
    UnknownParameterSetTag {
        /// Kind of the file.
        what: &'static str,
    },
    /// Two things of different parameter sets.
    #[error(
        "the {what} belongs to parameter set {found}, but {expected} is needed; make a key for that parameter set"
    )]
    ParameterSetMismatch {
        /// What does not fit.
        what: &'static str,
        /// Parameter set that is needed.
        expected: &'static str,
        /// Parameter set that was given.
        found: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}; nothing can be encrypted without")]
    Randomness(getrandom::Error),
    /// A part that the set's evaluation key does not have.
    #[error("the evaluation key of parameter set {set} has no part \"{name}\"; it has {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    UnknownKeyPart {
        /// Name that was asked for.
        name: String,
        /// The parameter set.
        set: &'static str,
        /// Names that exist.
        known: Vec<&'static str>,
    },
    /// A file that names no part of its set.
    #[error(
        "the evaluation key is no part of parameter set {set} that this build knows; make it anew with this build"
    )]
    UnlabelledKeyPart {
        /// The parameter set.
        set: &'static str,
    },
    /// An operation needs a part that is not there.
    #[error(
        "part \"{part}\" of the evaluation key of parameter set {set} is needed; register it as well"
    )]
    KeyPartMissing {
        /// The part.
        part: &'static str,
        /// The parameter set.
        set: &'static str,
    },
    /// Two parts of different keys.
    #[error(
        "part \"{part}\" belongs to secret key {found}, the other parts to {expected}; give the parts of one key ring"
    )]
    OtherSecretKey {
        /// The part.
        part: &'static str,
        /// Id of the key that it was added to.
        expected: KeyId,
        /// Id that it has.
        found: KeyId,
    },
    /// Packing would leave coefficients that the key holder must not see.
    #[error(
        "replies that leave data in other coefficients cannot be packed with the key of parameter set {set}, which clears all but every {kept}th of them; use a parameter set whose key has log2 N levels"
    )]
    CannotClear {
        /// The parameter set.
        set: &'static str,
        /// Distance of the coefficients that stay.
        kept: usize,
    },
    /// An evaluation key was asked of a set that has none.
    #[error("parameter set {set} has no evaluation key; its selectors travel as GGSW ciphertexts")]
    NoPacking {
        /// The parameter set.
        set: &'static str,
    },
    /// Packed selectors came without the key that expands them.
    #[error(
        "packed selectors need the evaluation key of parameter set {set}; register it and name it in the request"
    )]
    EvaluationKeyMissing {
        /// The parameter set.
        set: &'static str,
    },
    /// Too few or too many bytes.
    #[error(
        "the {what} has {found} bytes instead of {expected}; make it anew with the current client specs"
    )]
    Length {
        /// What was read.
        what: &'static str,
        /// Bytes that it must have.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// Bits after the last coefficient that are not zero.
    #[error("the {what} is not in canonical form: padding bits are set; it is corrupt")]
    Padding {
        /// What was read.
        what: &'static str,
    },
    /// Values and shape disagree in number.
    #[error("{found} {what} were given where the shape has {expected}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// Number in the shape.
        expected: usize,
        /// Number given.
        found: usize,
    },
    /// Values of another kind than an input takes.
    #[error("{found} were given where the shape has {expected}")]
    OtherInput {
        /// What the shape has, in words.
        expected: String,
        /// What was given, in words.
        found: String,
    },
    /// A value that the torus cannot hold.
    #[error(
        "a table has the value {value} at {at}, outside of the torus, [-1/2, 1/2); scale the function down"
    )]
    TableValue {
        /// The value.
        value: f64,
        /// Where the function has it.
        at: f64,
    },
    /// An input of rows that the holder of the secret key alone can encrypt.
    #[error(
        "{input} cannot be encrypted under a public key: {reason}; encrypt rows for this model with the key ring, or compile it with fewer bits (--precision 10) or in another profile (docs/public-keys.md)"
    )]
    NotPublic {
        /// What the input takes.
        input: String,
        /// Why.
        reason: &'static str,
    },
    /// A shape that the parameter set cannot hold.
    #[error("a {what} with {problem} does not fit parameter set {set}; compile the model again")]
    Shape {
        /// Which shape.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
        /// The parameter set.
        set: &'static str,
    },
}
