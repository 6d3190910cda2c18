use super::{GroupShape, encrypt_digits, encrypt_group, expand_row};
use crate::error::SchemeError;
use crate::fourier::Transform;
use crate::keys::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use crate::parameters::{Depth, ParameterSet};
use crate::query::{SelectorQueryShape, encrypt_selectors};
use crate::selectors::FourierSelectors;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels, Transport};
use std::sync::LazyLock;

const WIDE: &str = "cipherfn-128-n2048-m11-v1";

static KEYS: LazyLock<(SecretKey, ExpandedEvaluationKey)> = LazyLock::new(|| {
    let secret = SecretKey::generate(ParameterSet::by_name(WIDE).unwrap()).unwrap();
    let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    (secret, key)
});

fn group(selectors: usize, depth: u32, rows: usize) -> GroupShape {
    GroupShape {
        shape: SelectorQueryShape {
            set: ParameterSet::by_name(WIDE).unwrap(),
            selectors,
            gadget: Gadget::new(BaseLog::new(8), Levels::new(3)),
            transport: Transport::Packed,
        },
        depth: Depth::new(depth),
        rows,
    }
}

fn bit(row: usize, selector: usize) -> bool {
    (row * 7 + selector * 3) % 5 < 2
}

fn rows(group: &GroupShape) -> Vec<Vec<bool>> {
    let selectors = group.shape.selectors;
    (0..group.rows)
        .map(|row| (0..selectors).map(|selector| bit(row, selector)).collect())
        .collect()
}

/// The constant coefficient of each body row, without the gadget's factor, must be the bit. Half of
/// the factor, 2^-9, is thousands of standard deviations of its error.
fn bits(selectors: &FourierSelectors) -> Vec<bool> {
    let transform = Transform::new(2048);
    let mut scratch = transform.scratch();
    let secret = &KEYS.0;
    (0..selectors.len())
        .map(|index| {
            // The first level, factor q / B.
            let row = selectors.row(index, 2, 1);
            let [mut mask, mut body] = [vec![0; 2048], vec![0; 2048]];
            transform.backward_torus(&mut mask, &row[..1024], &mut scratch);
            transform.backward_torus(&mut body, &row[1024..], &mut scratch);
            let product = secret.multiplier().product_at(&mask, &[0])[0];
            let phase = body[0].wrapping_sub(product);
            (phase.wrapping_add(1 << 55) >> 56) == 1
        })
        .collect()
}

#[test]
fn sizes() {
    // 231 slots: eight rows share a ciphertext of 2,048 bodies of 44 bits.
    let eight = group(77, 11, 8);
    assert_eq!((eight.rows_a_ciphertext(), eight.ciphertexts()), (8, 1));
    assert_eq!(eight.bytes(), 16 + 2048 * 44 / 8);
    assert_eq!(group(77, 11, 9).ciphertexts(), 2);
    assert_eq!(group(77, 8, 8).ciphertexts(), 8);
    // More slots than a ciphertext has: rows follow each other without gaps.
    let large = group(800, 11, 3);
    assert_eq!((large.rows_a_ciphertext(), large.ciphertexts()), (0, 4));
    assert_eq!(group(0, 11, 3).bytes(), 16);
}

/// Rows start at the multiples of the largest power of two that there is room for.
#[test]
fn places_of_rows() {
    let places = |group: GroupShape| -> Vec<usize> {
        (0..group.rows)
            .map(|row| group.slots().first(row))
            .collect()
    };
    assert_eq!(places(group(77, 11, 3)), [0, 256, 512]);
    // 150 slots: 13 rows, at distances of up to 157.
    assert_eq!(places(group(50, 11, 14))[..3], [0, 152, 304]);
    assert_eq!(places(group(50, 11, 14))[13], 2048);
    assert_eq!(places(group(800, 11, 3)), [0, 2400, 4800]);
}

/// Each row expanded alone holds its bits, for several rows a ciphertext, several ciphertexts a
/// row, and depths from the least to the key's.
#[test]
fn rows_come_back() {
    for (selectors, depth, count) in [(20, 11, 5), (50, 8, 3), (700, 10, 3), (12, 5, 2)] {
        let group = group(selectors, depth, count);
        let rows = rows(&group);
        let bytes = encrypt_group(&KEYS.0, &group, &rows).unwrap();
        assert_eq!(bytes.len(), group.bytes());
        let mut out = FourierSelectors::zeroed(group.shape.ggsw(), selectors);
        for (row, expected) in rows.iter().enumerate() {
            expand_row(&KEYS.1, &group, &bytes, row, &mut out).unwrap();
            assert_eq!(bits(&out), *expected, "{selectors} at {depth}: row {row}");
        }
    }
}

/// A row alone gives the bits that the expansion of all slots gives, on one thread and on several.
#[test]
fn rows_alone_are_bit_identical() {
    let with_levels = |mut group: GroupShape| {
        group.shape.gadget = Gadget::new(BaseLog::new(6), Levels::new(4));
        group
    };
    let shared = with_levels(group(45, 11, 6));
    let bytes = encrypt_group(&KEYS.0, &shared, &rows(&shared)).unwrap();
    // The same ciphertext read as one row, at the distance of the shared ones: 46 selectors.
    let distance = shared.slots().first(1) / 4;
    let whole = with_levels(group(distance * 6, 11, 1));
    assert_eq!(
        (shared.slots().first(1) % 4, whole.bytes()),
        (0, bytes.len())
    );
    let mut all = FourierSelectors::zeroed(whole.shape.ggsw(), whole.shape.selectors);
    expand_row(&KEYS.1, &whole, &bytes, 0, &mut all).unwrap();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        for row in 0..shared.rows {
            let mut out = FourierSelectors::zeroed(shared.shape.ggsw(), 45);
            pool.install(|| expand_row(&KEYS.1, &shared, &bytes, row, &mut out))
                .unwrap();
            for selector in 0..45 {
                let place = row * distance + selector;
                assert_eq!(out.ggsw(selector), all.ggsw(place), "{row} {selector}");
            }
        }
    }
}

/// A row of its own is a group of one at the key's depth.
#[test]
fn single_rows_are_groups_of_one() {
    let single = group(77, 11, 1);
    let row = rows(&single).remove(0);
    let bytes = encrypt_selectors(&KEYS.0, &single.shape, &row).unwrap();
    assert_eq!(bytes.len(), single.bytes());
    let mut out = FourierSelectors::zeroed(single.shape.ggsw(), 77);
    expand_row(&KEYS.1, &single, &bytes, 0, &mut out).unwrap();
    assert_eq!(bits(&out), row);
}

#[test]
fn misuse_is_named() {
    let shape = group(4, 11, 2);
    let good = rows(&shape);
    let bytes = encrypt_group(&KEYS.0, &shape, &good).unwrap();
    let mut out = FourierSelectors::zeroed(shape.shape.ggsw(), 4);
    for depth in [0, 4, 12, u32::MAX] {
        assert!(matches!(
            encrypt_group(&KEYS.0, &group(4, depth, 2), &good),
            Err(SchemeError::Shape { .. })
        ));
    }
    assert!(matches!(
        encrypt_group(&KEYS.0, &shape, &good[1..]),
        Err(SchemeError::Count {
            what: "rows",
            expected: 2,
            found: 1
        })
    ));
    assert!(matches!(
        expand_row(&KEYS.1, &shape, &bytes, 2, &mut out),
        Err(SchemeError::Count { what: "rows", .. })
    ));
    assert!(matches!(
        expand_row(&KEYS.1, &shape, &bytes[1..], 0, &mut out),
        Err(SchemeError::Length { .. })
    ));
    assert!(matches!(
        encrypt_digits(&KEYS.0, &group(1, 8, 1), 5, &[[3]]),
        Err(SchemeError::Shape { .. })
    ));
    assert!(matches!(
        encrypt_digits(&KEYS.0, &group(1, 8, 1), 4, &[[16]]),
        Err(SchemeError::Shape { .. })
    ));
}
