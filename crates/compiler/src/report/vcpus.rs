//! A row's time on several vCPUs, as `--fit` predicts it.

use crate::fit::stretch;
use cipherfn_program::Microseconds;
use serde::{Deserialize, Serialize};

/// A row's time on several vCPUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VcpuTime {
    /// How many.
    pub vcpus: u32,
    /// Predicted time.
    pub microseconds: Microseconds,
}

/// Numbers of vCPUs that times are said for.
const VCPUS: [u32; 4] = [1, 2, 4, 6];
/// A row that takes less is not worth sharing.
const LEAST_SHARED: Microseconds = Microseconds::new(1000.0);

/// Of a row that takes so long on one of them.
pub(super) fn on_vcpus(one: Microseconds) -> Vec<VcpuTime> {
    let time = |vcpus: u32| VcpuTime {
        vcpus,
        microseconds: Microseconds::new(one.get() * stretch(vcpus)),
    };
    let is_shared = one.get() >= LEAST_SHARED.get();
    VCPUS.into_iter().filter(|_| is_shared).map(time).collect()
}
