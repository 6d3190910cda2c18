//! The libraries whose files are read, and what is wrong with a file in their terms.

use crate::error::CompileError;
use std::fmt::{self, Display};

/// Largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 256 << 20;
/// Most nodes of all trees of a file.
pub(crate) const MAX_NODES: usize = 1 << 21;
/// Most levels of a tree. The compiler's own bound is far below; this one keeps reading cheap.
pub(crate) const MAX_DEPTH: usize = 1024;
/// Most columns of a row.
pub(crate) const MAX_COLUMNS: usize = 1 << 16;
/// Most raw scores of a model.
pub(crate) const MAX_SCORES: usize = 1 << 12;
/// Most values of all leaves, and most categories of all sets, of a file.
pub(crate) const MAX_VALUES: usize = 1 << 22;

/// A library with model files of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    XgBoost,
    LightGbm,
    CatBoost,
}

impl Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XgBoost => "XGBoost",
            Self::LightGbm => "LightGBM",
            Self::CatBoost => "CatBoost",
        })
    }
}

impl Library {
    /// The file breaks the format's rules.
    pub(crate) fn invalid(self, place: impl Display, problem: impl Display) -> CompileError {
        CompileError::InvalidFile {
            library: self.to_string(),
            place: place.to_string(),
            problem: problem.to_string(),
        }
    }

    /// The file is valid, and what it says cannot be compiled.
    pub(crate) fn unsupported(
        self,
        place: impl Display,
        problem: impl Display,
        way_out: impl Display,
    ) -> CompileError {
        CompileError::UnsupportedFile {
            library: self.to_string(),
            place: place.to_string(),
            problem: problem.to_string(),
            way_out: way_out.to_string(),
        }
    }

    /// A count that a file states, if it is at most `most`.
    pub(crate) fn count(
        self,
        place: impl Display,
        found: usize,
        most: usize,
        of: &str,
    ) -> Result<usize, CompileError> {
        if found > most {
            return Err(self.invalid(place, format!("{found} {of}, more than {most}")));
        }
        Ok(found)
    }
}

/// A tree of a file, for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreePlace(pub(crate) usize);

impl Display for TreePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tree {}", self.0)
    }
}

/// A node of a tree of a file, for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodePlace {
    pub(crate) tree: usize,
    pub(crate) node: usize,
}

impl Display for NodePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tree {}, node {}", self.tree, self.node)
    }
}
