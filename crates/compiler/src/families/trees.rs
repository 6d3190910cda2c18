//! Tree ensembles: quantisers, then binned trees, then a circuit of CMUXes with a noise bound and a
//! predicted cost.
//!
//! ```text
//! TreeEnsemble + calibration rows
//!   quantisation   split points of every feature                    (exact, decoys, grid)
//!   scores         which scores need a coefficient of their own     (p0 = 1 - p1 needs none)
//!   binned         trees over sets of bins, undecidable nodes removed
//!   expression     trees over selector bits: thermometer or decision diagram over index bits, shared
//!   graph          sums merged from the root: at most one CMUX a selector and sum
//!   noise, cost    bound on the error, predicted time
//!   choice         form of every feature, gadget: the cheapest that is precise enough
//! ```

pub(crate) mod binned;
pub(crate) mod bins;
pub(crate) mod choice;
pub(crate) mod cost;
pub(crate) mod decoys;
pub(crate) mod diagram;
pub(crate) mod expression;
pub(crate) mod graph;
pub(crate) mod lower;
pub(crate) mod noise;
pub(crate) mod oblivious;
pub(crate) mod plan;
pub(crate) mod quantisation;
