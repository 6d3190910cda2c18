//! Compile reports for people: what a row takes of a function ([`Demands`]), what that means for whoever
//! deploys the model ([`Verdict`]), and all of it as one page with pictures ([`page()`]).

mod demands;
mod page;
pub mod quantity;
mod verdict;

pub use demands::{Demands, TooLarge};
pub use page::page;
pub use verdict::{Line, Mark, Verdict};
