//! What a parameter set makes of a circuit: noise, sizes.

use crate::families::trees::noise::{Variances, deviations};
use crate::options::Profile;
use cipherfn_protocol::specs::{Gadget, Transport};
use cipherfn_scheme::noise;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::SelectorQueryShape;
use cipherfn_scheme::reply::ReplyShape;
use cipherfn_scheme::selectors::GgswShape;

/// log2 of the probability that some score of a row is off by more than its precision.
pub(crate) const FAILURE_LOG2: f64 = -40.0;
/// Share of the error's variance that the reply's rounding may have.
const REPLY_SHARE: f64 = 0.03;

/// A parameter set in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    /// The set.
    pub set: &'static ParameterSet,
}

/// Bound on the error of a result coefficient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// Standard deviation under the worst key, as a fraction of the torus.
    pub deviation: f64,
    /// Largest error at the stated probability, as a fraction of the torus.
    pub error: f64,
    /// Bits of a reply's coefficients.
    pub reply_bits: u32,
}

/// Gadgets of expanded selectors that are tried.
const PACKED: [Gadget; 6] = [
    gadget(8, 3),
    gadget(7, 3),
    gadget(6, 4),
    gadget(5, 5),
    gadget(4, 6),
    gadget(3, 8),
];
/// Gadgets of selectors that travel whole: their noise is fresh, so few levels do.
const WHOLE: [Gadget; 4] = [gadget(23, 1), gadget(15, 2), gadget(12, 3), gadget(9, 4)];

const fn gadget(base_log: u32, levels: u32) -> Gadget {
    Gadget { base_log, levels }
}

impl Backend {
    /// The sets for a profile, the preferred one first.
    pub(crate) fn for_profile(profile: Profile) -> Vec<Self> {
        let names: &[&str] = match profile {
            Profile::Balanced => &["cipherfn-128-n2048-m8-v1"],
            Profile::Compact => &[
                "cipherfn-128-n2048-m8-compact-v1",
                "cipherfn-128-n2048-m8-v1",
            ],
            Profile::Keyless => &["cipherfn-128-n512k4-v1"],
        };
        names
            .iter()
            .filter_map(|name| ParameterSet::by_name(name).ok())
            .map(|set| Self { set })
            .collect()
    }

    /// How selectors travel.
    pub(crate) fn transport(self) -> Transport {
        if self.is_packed() {
            Transport::Packed
        } else {
            Transport::Ggsw
        }
    }

    /// Whether selectors are expanded by the server.
    pub(crate) const fn is_packed(self) -> bool {
        self.set.packing().is_some()
    }

    /// Gadgets to try.
    pub(crate) const fn gadgets(self) -> &'static [Gadget] {
        if self.is_packed() { &PACKED } else { &WHOLE }
    }

    /// Variances of selectors and CMUXes.
    pub(crate) fn variances(self, gadget: Gadget) -> Variances {
        let selector = noise::selector(self.set, self.transport());
        Variances {
            cmux: noise::cmux(self.set, gadget, &selector).get(),
            body_row: noise::scalar_product(&selector, 1.0).get(),
        }
    }

    /// The error bound of a result of `coefficients` coefficients that has `variance`, from at
    /// least `rows` selector rows in equal parts, before it is rounded for the reply.
    pub(crate) fn budget(self, variance: f64, rows: f64, coefficients: usize) -> Budget {
        let switched = |bits: u32| noise::modulus_switch(self.set, bits).get();
        let reply_bits = (8..=40)
            .find(|bits| switched(*bits) <= REPLY_SHARE * variance)
            .unwrap_or(40);
        self.budget_with(
            variance,
            noise::margin(self.set, self.transport(), rows),
            coefficients,
            reply_bits,
        )
    }

    /// The error bound of a linear model's result for replies of given bits.
    pub(crate) fn linear_budget(
        self,
        variance: f64,
        coefficients: usize,
        reply_bits: u32,
    ) -> Budget {
        self.budget_with(variance, noise::KEY_MARGIN, coefficients, reply_bits)
    }

    fn budget_with(
        self,
        variance: f64,
        margin: f64,
        coefficients: usize,
        reply_bits: u32,
    ) -> Budget {
        let deviation =
            (variance + noise::modulus_switch(self.set, reply_bits).get()).sqrt() * margin;
        let error = deviations(FAILURE_LOG2 - (coefficients as f64).log2()) * deviation;
        Budget {
            deviation,
            error,
            reply_bits,
        }
    }

    /// Bytes of a query row of selectors.
    pub(crate) fn query_bytes(self, selectors: u32, gadget: Gadget) -> usize {
        SelectorQueryShape {
            set: self.set,
            selectors: selectors as usize,
            gadget,
            transport: self.transport(),
        }
        .row_bytes()
    }

    /// Bytes of a reply row.
    pub(crate) fn reply_bytes(self, coefficients: usize, bits: u32) -> usize {
        ReplyShape {
            set: self.set,
            coefficients,
            stride: 1,
            bits,
        }
        .row_bytes()
    }

    /// Bytes of the evaluation key, 0 without one.
    pub(crate) fn key_bytes(self) -> usize {
        self.set.packing().map_or(0, |packing| {
            packing.key_rows() * self.set.ring.polynomial_size * self.set.ring.body_bits as usize
                / 8
        })
    }

    /// Bytes of one expanded selector.
    pub(crate) fn ggsw_bytes(self, gadget: Gadget) -> usize {
        let shape = GgswShape {
            glwe_dimension: self.set.ring.glwe_dimension,
            polynomial_size: self.set.ring.polynomial_size,
            gadget,
        };
        shape.ggsw_len() * 16
    }
}
