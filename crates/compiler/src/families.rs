//! The families of estimators that can be evaluated under encryption.

pub(crate) mod linear;
pub(crate) mod scores;
pub(crate) mod trees;
