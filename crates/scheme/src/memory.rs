//! Working memory of one thread.

use crate::centred::SwitchMemory;
use crate::cursor::Cursor;
use crate::fourier::Transform;
use crate::parameters::Packing;

/// Working memory of one thread.
pub(crate) struct Memory {
    /// Of parts of expansions.
    pub(crate) cursor: Cursor,
    pub(crate) work: SwitchMemory,
}

impl Memory {
    /// For products of at most `levels` digits.
    pub(crate) fn new(transform: &Transform, packing: &Packing, levels: u32) -> Self {
        Self {
            cursor: Cursor::default(),
            work: SwitchMemory::new(transform, packing, levels),
        }
    }
}
