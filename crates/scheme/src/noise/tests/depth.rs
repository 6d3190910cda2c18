//! Selectors of queries that choose their depth, and digit selectors.

use super::*;
use crate::keys::ExpandedEvaluationKey;
use crate::noise::{SelectorNoise, expanded};
use crate::parameters::{Depth, MIN_DEPTH};
use crate::polynomial::rotate;
use crate::query::{GroupShape, encrypt_digits, encrypt_group, expand_row};

const GADGET: Gadget = Gadget::new(BaseLog::new(6), Levels::new(4));

fn group(set: &'static ParameterSet, depth: Depth, selectors: usize) -> GroupShape {
    GroupShape {
        shape: SelectorQueryShape {
            set,
            selectors,
            gadget: GADGET,
            transport: Transport::Packed,
        },
        depth,
        rows: 1,
    }
}

fn predicted(group: &GroupShape) -> SelectorNoise {
    let set = group.shape.set;
    expanded(set, set.packing().unwrap(), group.depth)
}

fn keys(set: &'static ParameterSet) -> (SecretKey, ExpandedEvaluationKey) {
    let secret = SecretKey::generate(set).unwrap();
    let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    (secret, key)
}

/// What is guaranteed at the full depth holds at any other.
#[test]
fn the_full_depth_is_the_noisiest() {
    for set in packed_sets() {
        let packing = set.packing().unwrap();
        let noise = |depth| expanded(set, packing, depth);
        assert_eq!(noise(packing.depth()), selector(set, Transport::Packed));
        for depth in MIN_DEPTH.levels()..packing.depth().levels() {
            let [less, more] = [depth, depth + 1].map(|depth| noise(Depth::new(depth)));
            assert!(less.body < more.body, "{} {depth}", set.name);
            assert!(less.body_constant < more.body_constant);
            assert!(less.mask < more.mask);
        }
    }
}

/// 16 selectors x 4 levels x 2,048 coefficients a key, at depths below the key's.
#[test]
fn rows_of_shallow_queries() {
    reproducible::seeds("rows_of_shallow_queries");
    let set = ParameterSet::by_name("cipherfn-128-n2048-m11-v1").unwrap();
    for depth in [MIN_DEPTH, Depth::new(8)] {
        let group = group(set, depth, 16);
        let rows: Vec<Expanded> = (0..KEYS)
            .map(|_| {
                let (key, expanded) = keys(set);
                let bits: Vec<bool> = (0..16).map(Expanded::bit).collect();
                let bytes = encrypt_group(&key, &group, &[bits]).unwrap();
                let mut selectors = FourierSelectors::zeroed(group.shape.ggsw(), 16);
                expand_row(&expanded, &group, &bytes, 0, &mut selectors).unwrap();
                Expanded { key, selectors }
            })
            .collect();
        let errors = |row: usize| {
            move |expanded: &Expanded| {
                (0..64)
                    .flat_map(|slot| expanded.row_errors(slot / 4, slot % 4, row))
                    .collect::<Vec<_>>()
            }
        };
        let predicted = predicted(&group);
        check(
            "shallow body row",
            predicted.body,
            rows.iter().map(errors(1)),
        );
        check(
            "shallow mask row",
            predicted.mask,
            rows.iter().map(errors(0)),
        );
    }
}

/// External products of 32 digit selectors under each key with 8 random ciphertexts without noise:
/// turned by the digit, with the error of a CMUX by a bit of 1. Every value of the digit occurs, at
/// 8 levels with sign.
#[test]
fn digit_selectors_turn_with_the_noise_of_a_bit() {
    reproducible::seeds("digit_selectors_turn_with_the_noise_of_a_bit");
    for set in packed_sets() {
        let group = group(set, Depth::new(8), 32);
        let zero = Glwe {
            mask: vec![0; 2048],
            body: vec![0; 2048],
        };
        let digits: Vec<u32> = (0..32).map(|index| index * 7 % 16).collect();
        let errors = (0..KEYS).map(|_| {
            let (secret, key) = keys(set);
            let bytes = encrypt_digits(&secret, &group, 4, &[&digits]).unwrap();
            let mut selectors = FourierSelectors::zeroed(group.shape.ggsw(), 32);
            expand_row(&key, &group, &bytes, 0, &mut selectors).unwrap();
            let inputs: Vec<Noiseless> = (0..8).map(|i| Noiseless::random(&secret, i)).collect();
            let products = digits.iter().enumerate().flat_map(|(index, digit)| {
                let (selectors, secret, zero) = (&selectors, &secret, &zero);
                inputs.iter().flat_map(move |input| {
                    let product = tfhe_cmux(selectors, index, zero, &input.glwe);
                    let expected = rotate(&input.message, (*digit as usize) << 8);
                    errors_of(secret, &product, &expected)
                })
            });
            products.collect::<Vec<_>>()
        });
        let variance = cmux(set, GADGET, &predicted(&group));
        check("external product by a digit", variance, errors);
    }
}
