//! Bounds on what lowering may take, checked while it grows: a bundle comes from whoever may publish,
//! and a file of a few megabytes can name the same dense plaintext a million times.

use cipherfn_circuit::CircuitError;

/// Bytes of expressions and steps, over all nodes. A node whose CMUX chooses between two scalars
/// takes about 200, so there is room for more than two million.
const MAX_BYTES: u64 = 1 << 29;
/// Coefficients and terms that are copied, over all nodes. Each takes some nanoseconds to copy and
/// to sort.
const MAX_WORK: u64 = 1 << 27;

/// What has been used of the bounds.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: u64,
    work: u64,
}

impl Budget {
    /// Before `items` of `bytes` in all are copied, beside `pending` bytes of the same node.
    pub(super) fn copy(
        &mut self,
        items: usize,
        bytes: usize,
        pending: &mut usize,
    ) -> Result<(), CircuitError> {
        self.work += items as u64;
        *pending += bytes;
        if self.work > MAX_WORK {
            return Err(CircuitError::TooLarge {
                unit: "copies of plaintext coefficients",
                limit: MAX_WORK,
            });
        }
        within_memory(self.bytes + *pending as u64)
    }

    /// A value of `bytes` stays.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), CircuitError> {
        self.bytes += bytes as u64;
        within_memory(self.bytes)
    }
}

fn within_memory(bytes: u64) -> Result<(), CircuitError> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(CircuitError::TooLarge {
        unit: "bytes of plaintext coefficients",
        limit: MAX_BYTES,
    })
}
