//! Where an expansion that goes on from call to call stands.

use crate::centred::Node;
use crate::parameters::Depth;
use crate::seeded::MaskSeed;

/// What is expanded: seed, depth and bytes of packed ciphertexts.
pub(crate) type Expansion = (MaskSeed, Depth, usize);

/// How far an expansion has come: the branches whose slots follow.
#[derive(Default)]
pub struct Cursor {
    /// What is expanded.
    of: Option<Expansion>,
    /// The branch of the next slots last.
    pub(crate) pending: Vec<Branch>,
    /// Memory of branches that are done.
    pub(crate) spare: Vec<Node>,
}

/// A node of the expansion.
pub(crate) struct Branch {
    pub(crate) level: u32,
    /// Its first slot, counted over all ciphertexts.
    pub(crate) first: usize,
    pub(crate) node: Node,
}

impl Cursor {
    /// Begins another expansion, or goes on with the same one.
    pub(crate) fn begin(&mut self, of: Expansion) {
        if self.of != Some(of) {
            self.clear();
            self.of = Some(of);
        }
    }

    pub(crate) fn clear(&mut self) {
        let pending = self.pending.drain(..).map(|branch| branch.node);
        self.spare.extend(pending);
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}
