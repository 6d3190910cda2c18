//! Predicted work: what a circuit takes, from the numbers of its parameter set.
//!
//! Everything that the server does with ciphertexts is Fourier transforms of polynomials and
//! multiply-adds of transformed ones. Counting both and what they read gives the time of any ring,
//! so a new parameter set needs no table of its own.

use crate::options::{Prefer, Profile};
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::Gadget;
use cipherfn_scheme::parameters::{Bootstrap, Packing, ParameterSet};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// What the server does for one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Encrypted bits.
    pub selectors: u32,
    /// Ciphertexts that the query expands to; 0 where selectors travel whole.
    pub slots: u32,
    /// CMUXes between ciphertexts.
    pub cmuxes: u32,
    /// Choices between two constants of one coefficient.
    pub scalar_selects: u32,
    /// Choices between two constants of several coefficients.
    pub polynomial_selects: u32,
    /// Sums that are kept.
    pub nodes: u32,
    /// Weighted sums of encrypted numbers.
    #[serde(default)]
    pub products: u32,
    /// Tables that are looked up; their CMUXes are counted above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lookups: u32,
    /// Terms of integer combinations.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub terms: u32,
    /// Key switches that clear and pack results.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key_switches: u32,
    /// Tables that are looked up by numbers that the server computed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bootstraps: u32,
    /// CMUXes by selectors that are made of numbers that the server computed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number_choices: u32,
}

impl Work {
    /// Of two circuits that a row is evaluated with.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self {
            selectors: self.selectors + other.selectors,
            slots: self.slots + other.slots,
            cmuxes: self.cmuxes + other.cmuxes,
            scalar_selects: self.scalar_selects + other.scalar_selects,
            polynomial_selects: self.polynomial_selects + other.polynomial_selects,
            nodes: self.nodes + other.nodes,
            products: self.products + other.products,
            lookups: self.lookups + other.lookups,
            terms: self.terms + other.terms,
            key_switches: self.key_switches + other.key_switches,
            bootstraps: self.bootstraps + other.bootstraps,
            number_choices: self.number_choices + other.number_choices,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What the server does for one row of a linear map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinearWork {
    /// Ciphertexts of the features.
    pub ciphertexts: usize,
    /// Products with all of them.
    pub products: usize,
    /// Key switches that pack results.
    pub key_switches: usize,
}

/// Microseconds of one thread, for a ring of polynomial size N and GLWE dimension k.
///
/// Source of the constants: the tree models of docs/benchmarks.md (13 to 21,000 CMUXes, 12 to
/// 10,700 selectors), one thread of an AMD EPYC (Zen 4; 1 MiB of second-level cache a core); the
/// test compares. Other machines scale all of them about alike, and only their ratios decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Costs {
    size: f64,
    /// Polynomials of a GLWE ciphertext, k + 1.
    polynomials: f64,
    /// Levels of key-switching keys that a slot is multiplied with; `None` without expansion.
    levels_a_slot: Option<f64>,
    /// Microseconds of a bootstrap.
    bootstrap: f64,
}

/// Digits of a polynomial and their transform, a coefficient and halving: 2.3 us at N = 2048.
const FORWARD: f64 = 2.3 / (2048.0 * 11.0);
/// A transform back, rounded to the torus: dearer than [`FORWARD`] by the conversion to integers.
const INVERSE: f64 = 3.1 / (2048.0 * 11.0);
/// A complex multiply-add, with the 16 bytes that it reads.
const PRODUCT: f64 = 0.65e-3;
/// A multiply-add of a choice between constants: nothing but memory traffic, as no transform hides
/// the wait for the selector's row. Taken for [`PRODUCT`], thermometers of hundreds of bits look
/// twice as good as they are.
const STREAMED: f64 = 1.3e-3;
/// A word of a mask, expanded from its seed.
const MASK_WORD: f64 = 2.6e-3;
/// A coefficient of a reply, switched to fewer bits.
const REPLY_COEFFICIENT: f64 = 1.5e-3;
/// A byte of the selectors, read from memory once: choices are evaluated selector by selector, so
/// that the caches hold what several of them use.
const MEMORY: f64 = 1e-4;
/// Time of a bootstrap in parts of as many CMUXes between selectors as its key has bits: its
/// ciphertexts are in `tfhe`'s own form and the key is read once a batch, and there are key switches
/// and a decomposition before each.
///
/// Source: networks of docs/benchmarks.md, one thread; the test compares.
const BATCHED: f64 = 1.0;
/// Price of a query byte in microseconds: 1 ms for a packed ciphertext of 12.3 KB, which is what a
/// slow uplink (100 Mbit/s) takes for it.
const MICROSECONDS_A_BYTE: f64 = 1000.0 / 12_300.0;
/// Memory of the function that a row's time is paid for with, in bytes: that of one vCPU. Lambda
/// bills time times memory, so a row whose selectors take as much again costs twice its time.
const FUNCTION_MEMORY: f64 = (1769_u64 << 20) as f64;
/// How much less a byte counts where time is preferred (an uplink of 1 Gbit/s), and more where size
/// is (10 Mbit/s).
const PREFERENCE: f64 = 10.0;

impl Costs {
    /// The costs of a parameter set.
    pub(crate) fn of(set: &ParameterSet) -> Self {
        Self {
            size: set.ring.polynomial_size as f64,
            polynomials: (set.ring.glwe_dimension + 1) as f64,
            levels_a_slot: set.packing().map(levels_a_slot),
            bootstrap: 0.0,
        }
    }

    /// The same for circuits with bootstraps of this kind.
    pub(crate) fn with_bootstrap(mut self, bootstrap: &Bootstrap) -> Self {
        let ring = Self {
            size: bootstrap.output.polynomial_size as f64,
            polynomials: (bootstrap.output.glwe_dimension + 1) as f64,
            ..self
        };
        let levels = f64::from(bootstrap.rotation.levels.get());
        self.bootstrap = BATCHED * bootstrap.small.mask_len() as f64 * ring.cmux(levels);
        self
    }

    /// Time of one row of a levelled circuit.
    pub(crate) fn time(&self, work: &Work, gadget: Gadget) -> Microseconds {
        let stages = self.stages(work, gadget);
        stages.iter().map(|stage| stage.1).sum()
    }

    /// The same by what they are spent on.
    pub(crate) fn stages(&self, work: &Work, gadget: Gadget) -> [(&'static str, Microseconds); 8] {
        let levels = f64::from(gadget.levels.get());
        let selectors = f64::from(work.selectors);
        let expansion = if work.slots > 0 {
            self.slot() * f64::from(work.slots)
        } else {
            self.whole_level() * levels * selectors
        };
        let choices = f64::from(work.cmuxes) * self.cmux(levels)
            + f64::from(work.scalar_selects) * self.scalar(levels)
            + f64::from(work.polynomial_selects) * (self.scalar(levels) + levels * self.forward());
        let products = f64::from(work.products) * self.product();
        let sums = f64::from(work.terms) * self.term()
            + f64::from(work.lookups) * self.polynomials * self.forward();
        let packing = f64::from(work.key_switches) * self.slot();
        let memory = self.memory(work, gadget) * MEMORY;
        [
            ("expanding the query", expansion),
            ("choices", choices),
            ("reading selectors", memory),
            ("products", products),
            ("sums", sums),
            ("bootstraps", f64::from(work.bootstraps) * self.bootstrap),
            ("packing results", packing),
            ("reply", self.reply()),
        ]
        .map(|(stage, time)| (stage, Microseconds::new(time)))
    }

    /// Time of a layer's functions and forms alone.
    pub(crate) fn of_layer(&self, work: &Work, gadget: Gadget) -> Microseconds {
        let shared = self.stages(&Work::default(), gadget);
        let own = self.stages(work, gadget);
        let own: Microseconds = own.iter().map(|stage| stage.1).sum();
        let shared: Microseconds = shared.iter().map(|stage| stage.1).sum();
        Microseconds::new(own.get() - shared.get())
    }

    /// Time of so many choices by numbers: a bootstrap each, a trace and a scheme switch a level of the
    /// selector's gadget, and a CMUX.
    pub(crate) fn number_choices(&self, count: u32, gadget: Gadget) -> Microseconds {
        let levels = f64::from(gadget.levels.get());
        let selector = self.bootstrap + levels * self.size.log2() * self.slot();
        Microseconds::new(f64::from(count) * (selector + self.cmux(levels)))
    }

    /// Bytes of so many values.
    pub(crate) fn values(&self, count: usize) -> usize {
        count * (self.polynomials * self.size * 8.0) as usize
    }

    /// Bytes of a circuit's expanded selectors, most of what a row takes.
    pub(crate) fn memory(&self, work: &Work, gadget: Gadget) -> f64 {
        let levels = f64::from(gadget.levels.get());
        f64::from(work.selectors) * levels * self.rows_products() * 16.0
    }

    /// Time to expand `selectors` selectors.
    pub(crate) fn expansion(&self, selectors: f64, gadget: Gadget) -> Microseconds {
        let levels = f64::from(gadget.levels.get());
        let level = match self.levels_a_slot {
            Some(_) => self.slot(),
            None => self.whole_level(),
        };
        Microseconds::new(selectors * levels * level)
    }

    /// Time of one row of a linear map, by what it is spent on.
    pub(crate) fn linear_stages(&self, work: LinearWork) -> Vec<(&'static str, Microseconds)> {
        let LinearWork {
            ciphertexts,
            products,
            key_switches,
        } = work;
        let masks = (self.polynomials - 1.0) * self.size * MASK_WORD;
        let multiplied = (products * ciphertexts) as f64 * self.size / 2.0 * PRODUCT;
        let transformed = self.forward() * ciphertexts as f64;
        let mut stages = vec![
            ("expanding the query", masks * ciphertexts as f64),
            ("products", self.polynomials * (transformed + multiplied)),
        ];
        if key_switches > 0 {
            let back = self.polynomials * INVERSE * self.transform() * products as f64;
            stages.push(("packing results", back + self.slot() * key_switches as f64));
        }
        stages.push(("reply", self.reply()));
        let stages = stages.into_iter();
        stages
            .map(|(stage, time)| (stage, Microseconds::new(time)))
            .collect()
    }

    fn transform(&self) -> f64 {
        self.size * self.size.log2()
    }

    fn forward(&self) -> f64 {
        FORWARD * self.transform()
    }

    /// Multiply-adds of one level of a GGSW ciphertext: (k + 1) rows of k + 1 polynomials.
    fn rows_products(&self) -> f64 {
        self.polynomials * self.polynomials * self.size / 2.0
    }

    /// One level of a key times a polynomial.
    fn key_level(&self) -> f64 {
        self.forward() + self.polynomials * self.size / 2.0 * PRODUCT
    }

    /// A slot: its share of the key switches (one a slot), and the scheme switch, whose result
    /// stays transformed.
    fn slot(&self) -> f64 {
        self.levels_a_slot.unwrap_or(0.0) * self.key_level()
            + self.polynomials * INVERSE * self.transform()
    }

    /// A level of a selector that travels whole: masks from seeds, then transforms of all rows.
    fn whole_level(&self) -> f64 {
        let masks = self.polynomials * (self.polynomials - 1.0) * self.size * MASK_WORD;
        masks + self.polynomials * self.polynomials * self.forward()
    }

    /// A CMUX between ciphertexts: (k + 1) transforms back and `levels` as many forth.
    fn cmux(&self, levels: f64) -> f64 {
        self.polynomials * (INVERSE * self.transform() + levels * self.forward())
            + levels * self.rows_products() * PRODUCT
    }

    /// A choice between constants of one coefficient: the body row's polynomials times a number.
    fn scalar(&self, levels: f64) -> f64 {
        levels * self.polynomials * self.size / 2.0 * STREAMED
    }

    /// A product of weights that stay transformed, and the way back for the CMUX that reads it.
    fn product(&self) -> f64 {
        self.polynomials * (INVERSE * self.transform() + self.size / 2.0 * PRODUCT)
    }

    /// An integer times a value.
    fn term(&self) -> f64 {
        self.polynomials * self.size / 2.0 * PRODUCT
    }

    fn reply(&self) -> f64 {
        self.polynomials * INVERSE * self.transform()
            + (self.polynomials - 1.0) * self.size * REPLY_COEFFICIENT
    }
}

/// Key levels that a slot of a full ciphertext is multiplied with: level j of the expansion has 2^j
/// key switches for 2^m slots.
fn levels_a_slot(packing: &Packing) -> f64 {
    let key_switches = packing
        .key_switch
        .iter()
        .rev()
        .zip(1..)
        .map(|(gadget, halvings)| f64::from(gadget.levels.get()) * f64::from(-halvings).exp2());
    key_switches.sum::<f64>() + f64::from(packing.scheme_switch.levels.get())
}

/// What a row takes that has a price.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Takes {
    /// Predicted time.
    pub time: Microseconds,
    /// Bytes of its selectors.
    pub memory: f64,
    /// Bytes of its query.
    pub query: f64,
}

impl Takes {
    /// What is minimised: what a profile says, and what is preferred; only differences count. `key`:
    /// bytes of the evaluation key.
    pub(crate) fn price(self, of: (Profile, Option<Prefer>), key: usize) -> f64 {
        let Self { time, query, .. } = self;
        match of.0 {
            // Bytes first; time decides between equals.
            Profile::Compact => (query + key as f64) * 1e6 + time.get(),
            Profile::Balanced | Profile::Keyless | Profile::Wide => {
                let weights = Weights::of(of.1);
                let memory = self.memory / FUNCTION_MEMORY * weights.memory;
                time.get() * (1.0 + memory) + query * MICROSECONDS_A_BYTE * weights.query
            }
        }
    }

    /// By how much the price of a row that takes this much rises with a little `more`.
    pub(crate) fn rise(self, of: (Profile, Option<Prefer>), more: Self) -> f64 {
        let with = |part: f64| {
            let takes = Self {
                time: self.time + Microseconds::new(part * more.time.get()),
                memory: self.memory + part * more.memory,
                query: self.query + part * more.query,
            };
            takes.price(of, 0)
        };
        // Memory times time is the only term that is not linear: the difference of both sides leaves
        // the product of the two rises out.
        (with(1.0) - with(-1.0)) / 2.0
    }
}

/// How much query bytes and memory count, against what they usually do.
struct Weights {
    query: f64,
    memory: f64,
}

impl Weights {
    fn of(prefer: Option<Prefer>) -> Self {
        let (query, memory) = match prefer {
            None => (1.0, 1.0),
            Some(Prefer::Time) => (1.0 / PREFERENCE, 1.0 / PREFERENCE),
            Some(Prefer::Size) => (PREFERENCE, 1.0),
        };
        Self { query, memory }
    }
}
