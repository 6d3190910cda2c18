//! `tfhe`'s complex transform with a fixed plan.
//!
//! `tfhe` picks FFT plans by measuring the machine, which costs 0.1 to 0.45 s a size at start and
//! varies from run to run. A fixed plan is installed before the first use instead, and the same
//! plan is used here, so values can be exchanged with `tfhe`.

use dyn_stack::{PodBuffer, PodStack};
use tfhe::core_crypto::fft_impl::fft64::c64;
use tfhe::core_crypto::fft_impl::fft64::math::fft::{
    Fft, FftAlgo, FftView, Method, Plan as TfhePlan, setup_custom_fft_plan,
};
use tfhe::core_crypto::prelude::PolynomialSize;

/// Working memory of a transform.
pub(super) type Scratch = PodBuffer;

/// The transform of so many complex values.
pub(super) struct Plan {
    plan: TfhePlan,
    fft: Fft,
}

impl Plan {
    pub(super) fn new(fourier_size: usize) -> Self {
        let method = Method::UserProvided {
            base_algo: FftAlgo::Dif4,
            base_n: fourier_size.min(1024),
        };
        let plan = TfhePlan::new(fourier_size, method);
        setup_custom_fft_plan(plan.clone());
        Self {
            plan,
            fft: Fft::new(PolynomialSize(2 * fourier_size)),
        }
    }

    pub(super) fn as_tfhe(&self) -> FftView<'_> {
        self.fft.as_view()
    }

    pub(super) fn scratch(&self) -> Scratch {
        PodBuffer::new(self.plan.fft_scratch())
    }

    pub(super) fn forward(&self, values: &mut [c64], scratch: &mut Scratch) {
        self.plan.fwd(values, PodStack::new(scratch));
    }

    pub(super) fn inverse(&self, values: &mut [c64], scratch: &mut Scratch) {
        self.plan.inv(values, PodStack::new(scratch));
    }
}
