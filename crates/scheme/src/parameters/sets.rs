//! The table of parameter sets.

use super::{Bootstrap, KeyPart, KeyPartContents, ModuleRing, Packing, ParameterSet, Ring};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels};

const fn gadget(base_log: u32, levels: u32) -> Gadget {
    Gadget::new(BaseLog::new(base_log), Levels::new(levels))
}

/// Lattice-estimator figures quoted by `tfhe` for its own sets of GLWE dimension times polynomial
/// size 2048.
const SOURCE: &str =
    "tfhe 1.8.2, GLWE of total dimension 2048 with TUniform(17); lattice estimator";

const fn ring(glwe_dimension: usize, polynomial_size: usize) -> Ring {
    Ring {
        glwe_dimension,
        polynomial_size,
        noise_bound_log2: 17,
        security_bits: 134.8,
        source: SOURCE,
        body_bits: Bits::new(48),
    }
}

const fn expansion(
    file_version: u16,
    key_switch: &'static [Gadget],
    query_body_bits: Bits,
) -> KeyPart {
    KeyPart {
        name: "expansion",
        file_version,
        contents: KeyPartContents::Expansion(Packing {
            key_switch,
            scheme_switch: gadget(11, 4),
            query_body_bits,
        }),
    }
}

/// The curve that `tfhe` fits to the lattice estimator's figures for 132 bits.
const MODULE_SOURCE: &str = "tfhe 1.8.2, minimal_lwe_variance_for_132_bits_security_gaussian";

const fn module(glwe_dimension: usize, polynomial_size: usize, deviation_log2: f64) -> ModuleRing {
    ModuleRing {
        glwe_dimension,
        polynomial_size,
        deviation_log2,
        security_bits: 132.0,
        source: MODULE_SOURCE,
        body_bits: Bits::new(24),
    }
}

const fn bootstrap(name: &'static str, bootstrap: Bootstrap) -> KeyPart {
    KeyPart {
        name,
        file_version: 2,
        contents: KeyPartContents::Bootstrap(bootstrap),
    }
}

/// The key-switch gadgets minimise the variance of an expanded selector's rows
/// ([`crate::noise::selector`]) plus a multiple of the number of digits to transform, `sum over
/// levels j of 2^j l_j`, with the evaluation key below 1.40 MB (0.80 MB for the compact set, 2.2 MB
/// for the wide one): the first levels are few and their noise grows most, the last ones cost the
/// time.
///
/// The wide set's bodies need 44 bits: three levels more multiply the query's rounding by 2^3, and
/// at 40 bits it would be most of a slot's error.
///
/// The bootstraps differ in what the output's noise allows (`fast`: integer weights of 5 to 6 bits in
/// the next layer; `precise`: any) and in the error of the number that is looked up (`deep`: half of
/// the others', for many layers). All of them have a small key of few, large polynomials, so that a
/// key switch to it is a product by Fourier transforms.
pub(super) static SETS: [ParameterSet; 4] = [
    ParameterSet {
        name: "cipherfn-128-n2048-m8-v1",
        version: 1,
        ring: ring(1, 2048),
        parts: &[expansion(
            1,
            &[
                gadget(2, 23),
                gadget(2, 23),
                gadget(3, 15),
                gadget(4, 11),
                gadget(4, 11),
                gadget(5, 9),
                gadget(6, 7),
                gadget(7, 6),
            ],
            Bits::new(40),
        )],
    },
    ParameterSet {
        name: "cipherfn-128-n2048-m8-compact-v1",
        version: 1,
        ring: ring(1, 2048),
        parts: &[expansion(
            1,
            &[
                gadget(4, 11),
                gadget(5, 9),
                gadget(5, 9),
                gadget(6, 7),
                gadget(6, 7),
                gadget(7, 6),
                gadget(8, 5),
                gadget(8, 5),
            ],
            Bits::new(40),
        )],
    },
    ParameterSet {
        name: "cipherfn-128-n512k4-v1",
        version: 1,
        ring: ring(4, 512),
        parts: &[],
    },
    ParameterSet {
        name: "cipherfn-128-n2048-m11-v1",
        version: 1,
        ring: ring(1, 2048),
        parts: &[
            expansion(
                2,
                &[
                    gadget(2, 23),
                    gadget(2, 23),
                    gadget(2, 23),
                    gadget(3, 15),
                    gadget(3, 15),
                    gadget(4, 11),
                    gadget(4, 11),
                    gadget(4, 11),
                    gadget(5, 9),
                    gadget(6, 7),
                    gadget(7, 6),
                ],
                Bits::new(44),
            ),
            KeyPart {
                name: "inverse",
                file_version: 2,
                contents: KeyPartContents::Inverse {
                    gadget: gadget(4, 11),
                },
            },
            bootstrap(
                "bootstrap-fast",
                Bootstrap {
                    small: module(3, 256, -16.45),
                    output: ring(2, 1024),
                    rotation: gadget(23, 1),
                    key_switch: gadget(1, 16),
                    back: gadget(15, 2),
                },
            ),
            bootstrap(
                "bootstrap-precise",
                Bootstrap {
                    small: module(3, 256, -16.45),
                    output: ring(2, 1024),
                    rotation: gadget(15, 2),
                    key_switch: gadget(1, 16),
                    back: gadget(15, 2),
                },
            ),
            bootstrap(
                "bootstrap-deep",
                Bootstrap {
                    small: module(7, 128, -19.64),
                    output: ring(1, 2048),
                    rotation: gadget(15, 2),
                    key_switch: gadget(3, 5),
                    back: gadget(15, 2),
                },
            ),
        ],
    },
];
