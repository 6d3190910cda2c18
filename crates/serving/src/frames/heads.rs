//! What queries take of the heads of the frames that they are given.

use super::FrameQueryError;
use cipherfn_frame::file::FileHead;
use cipherfn_frame::pass::CircuitForm;
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::specs::Bits;
use cipherfn_scheme::parameters::ParameterSet;

/// Bits of a reply's coefficient.
const REPLY_BITS: u32 = 26;
/// Most rows of a sum: what limbs have room for.
pub(super) const MOST_ROWS: u32 = 1 << 11;

/// Schemas of what a plan was given: frames, then tables.
pub(super) fn schemas(heads: &[(FileHead, usize)], tables: &[Schema]) -> Vec<Schema> {
    let frames = heads.iter().map(|(head, _)| head.schema.clone());
    frames.chain(tables.iter().cloned()).collect()
}

/// The head by which circuits are made: of the first frame that has rows, and so selectors with a gadget;
/// owners' sums have none.
pub fn leading(heads: &[(FileHead, usize)]) -> Result<&FileHead, FrameQueryError> {
    let mut with_rows = heads.iter();
    let with_rows = with_rows.find(|(head, _)| head.schema.owners().is_none());
    let leading = with_rows.or(heads.first()).map(|(head, _)| head);
    leading.ok_or(FrameQueryError::NoFrames)
}

/// The form of circuits over frames with such a head.
pub(super) fn circuit_form(
    set: &'static ParameterSet,
    head: &FileHead,
    rows_per_sum: u32,
) -> CircuitForm {
    CircuitForm {
        parameter_set: set.name.into(),
        gadget: head.gadget,
        reply_bits: Bits::new(REPLY_BITS),
        rows_per_sum,
    }
}
