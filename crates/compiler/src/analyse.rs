//! Passes over the compiler's own operations: each looks at every value once, in order, and knows
//! no file format.

pub(crate) mod additive;
pub(crate) mod affine;
pub(crate) mod binned;
pub(crate) mod classes;
pub(crate) mod exact;
pub(crate) mod labels;
mod leafwise;
mod lookups;
mod maxima;
pub(crate) mod missing;
pub(crate) mod origins;
pub(crate) mod place;
pub(crate) mod places;
pub(crate) mod ranges;
