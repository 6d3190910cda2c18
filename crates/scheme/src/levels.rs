//! The levels of expansions and traces.

use crate::centred::{Centred, Node, SwitchMemory};
use crate::kernels;
use crate::keys::ExpandedEvaluationKey;

impl ExpandedEvaluationKey {
    /// One level of an expansion: `node` becomes its even branch, `c + t` with t the key switch of
    /// c(X^(N/2^level + 1)), and `odd` X^(-2^level) (c - t).
    pub(crate) fn split(
        &self,
        level: u32,
        node: &mut Node,
        odd: Option<&mut Node>,
        work: &mut SwitchMemory,
    ) {
        let (automorphism, transform) = (self.automorphism(level), self.transform());
        work.body.copy_from_slice(&node.body);
        automorphism.key_switch(&node.mask, transform, work);
        transform.inverse_twisted(&mut work.image, &mut work.scratch);
        let (odd_mask, odd_body) = odd.map_or((None, None), |odd| {
            (Some(&mut odd.mask), Some(&mut odd.body))
        });
        let untwist = transform.untwist();
        kernels::butterfly(&mut node.mask, &work.image, untwist, odd_mask, 1 << level);
        automorphism.permutation.apply(&mut work.image, &work.body);
        let monomial = self.minus_monomial(level);
        kernels::fourier_butterfly(&mut node.body, &work.image, odd_body, monomial);
    }

    /// One level of a trace: adds to `node` its image under X -> X^(N/2^level + 1).
    pub(crate) fn fold(&self, level: u32, node: &mut Centred, work: &mut SwitchMemory) {
        let image = self.automorphism(level).image(node, self.transform(), work);
        node.add(&image);
    }
}
