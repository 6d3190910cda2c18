//! What a parameter set makes of a circuit: noise, sizes.

use crate::cost::Work;
use crate::error::CompileError;
use crate::options::Profile;
use crate::report::SharedSizes;
use cipherfn_circuit::circuit::{Input, SelectorForm, SelectorGroup};
use cipherfn_protocol::message::{OUTCOME_OVERHEAD, TARGET_CHUNK};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels, TorusFraction, Transport};
use cipherfn_scheme::noise::{self, Deviation, Variance};
use cipherfn_scheme::operations::pack;
use cipherfn_scheme::parameters::{KeyPart, ParameterSet};
use cipherfn_scheme::query::{GroupForm, InputShape, SelectorQueryShape};
use cipherfn_scheme::reply::{PackedRows, ReplyShape};
use std::collections::BTreeMap;

/// log2 of the probability that some score of a row is off by more than its precision.
pub(crate) const FAILURE_LOG2: f64 = -40.0;
/// Share of the error's variance that the reply's rounding may have.
const REPLY_SHARE: f64 = 0.03;

/// A parameter set in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    /// The set.
    pub set: &'static ParameterSet,
    /// Results of the circuit that share the probability of failure.
    results: usize,
}

/// Variances that the parameter set and gadget give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Variances {
    /// Added by one CMUX between ciphertexts.
    pub cmux: Variance,
    /// Of one coefficient of a selector's body row.
    pub body_row: Variance,
}

/// Bound on the error of a result coefficient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// Standard deviation under the worst key.
    pub deviation: Deviation,
    /// Largest error at the stated probability.
    pub error: TorusFraction,
    /// Bits of a reply's coefficients.
    pub reply_bits: Bits,
}

/// Gadgets of expanded selectors that are tried.
const PACKED: [Gadget; 7] = [
    gadget(10, 2),
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
    Gadget::new(BaseLog::new(base_log), Levels::new(levels))
}

impl Backend {
    /// The sets for a profile, the preferred one first, for circuits of `results` outputs.
    pub(crate) fn for_profile(profile: Profile, results: usize) -> Vec<Self> {
        let names: &[&str] = match profile {
            Profile::Balanced => &["cipherfn-128-n2048-m8-v1"],
            Profile::Compact => &[
                "cipherfn-128-n2048-m8-compact-v1",
                "cipherfn-128-n2048-m8-v1",
            ],
            Profile::Keyless => &["cipherfn-128-n512k4-v1"],
            Profile::Wide => &["cipherfn-128-n2048-m11-v1"],
        };
        names
            .iter()
            .filter_map(|name| ParameterSet::by_name(name).ok())
            .map(|set| Self { set, results })
            .collect()
    }

    /// The sets for circuits with look-ups: their key has to clear what stands beside a score, so it
    /// has all levels, whatever the profile.
    pub(crate) fn for_lookups(profile: Profile, results: usize) -> Result<Vec<Self>, CompileError> {
        if profile == Profile::Keyless {
            return Err(CompileError::UnsupportedModel {
                problem:
                    "functions of linear forms (hidden layers, kernels) in the keyless profile"
                        .into(),
                supported: "the other profiles: looking up takes an evaluation key".into(),
            });
        }
        Ok(Self::for_profile(Profile::Wide, results))
    }

    /// How selectors travel.
    pub(crate) fn transport(self) -> Transport {
        if self.is_packed() {
            Transport::Packed
        } else {
            Transport::Ggsw
        }
    }

    /// An input of so many selectors, a bit each.
    pub(crate) fn bits(self, count: u32, gadget: Gadget) -> Input {
        Input::Selectors(SelectorGroup {
            count,
            gadget,
            transport: self.transport(),
            form: SelectorForm::Bits,
        })
    }

    /// Whether selectors are expanded by the server.
    pub(crate) const fn is_packed(self) -> bool {
        self.set.packing().is_some()
    }

    /// The key parts that expand its queries.
    pub(crate) fn expansion(self) -> &'static [KeyPart] {
        self.set.expansion().map_or(&[], std::slice::from_ref)
    }

    /// Slots that a query of `selectors` selectors expands to; none where they travel whole.
    pub(crate) const fn slots(self, selectors: u32, gadget: Gadget) -> u32 {
        if self.is_packed() {
            selectors * gadget.levels.get()
        } else {
            0
        }
    }

    /// Gadgets to try.
    pub(crate) const fn gadgets(self) -> &'static [Gadget] {
        if self.is_packed() { &PACKED } else { &WHOLE }
    }

    /// Variances of selectors and CMUXes.
    pub(crate) fn variances(self, gadget: Gadget) -> Variances {
        let selector = noise::selector(self.set, self.transport());
        Variances {
            cmux: noise::cmux(self.set, gadget, &selector),
            body_row: noise::scalar_product(&selector, 1.0),
        }
    }

    /// The error bound of a result of `coefficients` coefficients that has `variance`, from at
    /// least `rows` selector rows in equal parts, before it is rounded for the reply.
    pub(crate) fn budget(self, variance: Variance, rows: f64, coefficients: usize) -> Budget {
        let switched = |bits| noise::modulus_switch(self.set, bits);
        let reply_bits = (8..40)
            .map(Bits::new)
            .find(|bits| switched(*bits) <= REPLY_SHARE * variance)
            .unwrap_or(Bits::new(40));
        let more = ((coefficients * self.results) as f64).log2();
        let margin = noise::margin(self.set, self.transport(), rows, more);
        self.budget_with(variance, margin, coefficients, reply_bits)
    }

    /// The error bound of a linear model's result for replies of given bits.
    pub(crate) fn linear_budget(
        self,
        variance: Variance,
        coefficients: usize,
        reply_bits: Bits,
    ) -> Budget {
        self.budget_with(variance, noise::KEY_MARGIN, coefficients, reply_bits)
    }

    fn budget_with(
        self,
        variance: Variance,
        margin: f64,
        coefficients: usize,
        reply_bits: Bits,
    ) -> Budget {
        let packing = match self.set.packing() {
            Some(packing) if self.packs_replies() => pack::variance(self.set, packing),
            _ => Variance::default(),
        };
        let reply = noise::modulus_switch(self.set, reply_bits);
        let deviation = margin * (variance + packing + reply).deviation();
        let failure = FAILURE_LOG2 - ((coefficients * self.results) as f64).log2();
        let error = TorusFraction::new((noise::deviations(failure) * deviation).get());
        Budget {
            deviation,
            error,
            reply_bits,
        }
    }

    /// Bytes of a query row of selectors.
    pub(crate) fn query_bytes(self, selectors: u32, gadget: Gadget) -> usize {
        self.query_shape(selectors, gadget).row_bytes()
    }

    fn query_shape(self, selectors: u32, gadget: Gadget) -> SelectorQueryShape {
        SelectorQueryShape {
            set: self.set,
            selectors: selectors as usize,
            gadget,
            transport: self.transport(),
        }
    }

    /// Bytes of a query row of selectors that decide between circuits. In batches rows share
    /// ciphertexts, so that every slot counts; whole ciphertexts would make the search take as many
    /// slots as fill one.
    pub(crate) fn priced_query_bytes(self, work: &Work, gadget: Gadget, profile: Profile) -> f64 {
        match self.set.packing() {
            Some(packing) if profile == Profile::Wide => {
                let body =
                    self.set.ring.polynomial_size * packing.query_body_bits.get() as usize / 8;
                f64::from(work.slots) * body as f64 / packing.slots() as f64
            }
            _ => self.query_bytes(work.selectors, gadget) as f64,
        }
    }

    /// A row's share of query and reply among as many rows as their ciphertexts have room for;
    /// `None` where it is as large as alone.
    pub(crate) fn shared(
        self,
        inputs: &[InputShape],
        outputs: impl IntoIterator<Item = usize>,
        bits: Bits,
    ) -> Option<SharedSizes> {
        let group = GroupForm::fullest(self.set, inputs, TARGET_CHUNK);
        let outputs = outputs.into_iter();
        let replies: Vec<ReplyShape> = outputs
            .map(|coefficients| self.reply_shape(coefficients, bits))
            .collect();
        let apart = replies.iter().map(ReplyShape::row_bytes).sum();
        let packed = PackedRows::of(&replies).map(|packed| {
            let rows = packed.rows_a_block();
            packed.bytes(rows).div_ceil(rows) + OUTCOME_OVERHEAD
        });
        let shared = SharedSizes {
            query_row: inputs
                .iter()
                .map(|input| input.group_bytes(group))
                .sum::<usize>()
                .div_ceil(group.rows),
            reply_row: packed.unwrap_or(apart),
        };
        let alone = SharedSizes {
            query_row: inputs.iter().map(InputShape::row_bytes).sum(),
            reply_row: apart,
        };
        (shared != alone).then_some(shared)
    }

    /// The key part that packs the results of many rows, where the set has one that can.
    pub(crate) fn packing(self) -> &'static [KeyPart] {
        if self.packs_replies() {
            self.expansion()
        } else {
            &[]
        }
    }

    /// Whether the results of many rows are packed: whatever is compiled for a set that can allows
    /// for the error of it.
    fn packs_replies(self) -> bool {
        PackedRows::of(&[self.reply_shape(1, Bits::ALL)]).is_some()
    }

    /// Bytes of a reply row.
    pub(crate) fn reply_bytes(self, coefficients: usize, bits: Bits) -> usize {
        self.reply_shape(coefficients, bits).row_bytes()
    }

    const fn reply_shape(self, coefficients: usize, bits: Bits) -> ReplyShape {
        ReplyShape {
            set: self.set,
            coefficients,
            stride: 1,
            bits,
        }
    }

    /// Bytes of the file of the expansion, 0 without one.
    pub(crate) fn key_bytes(self) -> usize {
        self.file_bytes(self.expansion())
    }

    /// Bytes of the files of different key parts, each counted once.
    pub(crate) fn file_bytes(self, parts: impl IntoIterator<Item = &'static KeyPart>) -> usize {
        let sizes = parts
            .into_iter()
            .map(|part| (part.name, part.file_bytes(self.set)));
        sizes.collect::<BTreeMap<_, _>>().into_values().sum()
    }
}
