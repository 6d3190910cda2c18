use super::{
    LinearQueryShape, SelectorQueryShape, decode_linear, encrypt_linear, encrypt_selectors,
    expand_selectors,
};
use crate::error::SchemeError;
use crate::keys::{EvaluationKey, SecretKey};
use crate::parameters::ParameterSet;
use crate::selectors::FourierSelectors;
use cipherfn_protocol::specs::{BaseLog, Bits, FeatureForm, Gadget, Levels, Transport};

const BALANCED: &str = "cipherfn-128-n2048-m8-v1";
const COMPACT: &str = "cipherfn-128-n2048-m8-compact-v1";
const KEYLESS: &str = "cipherfn-128-n512k4-v1";
const GADGET: Gadget = Gadget::new(BaseLog::new(6), Levels::new(4));

fn set(name: &str) -> &'static ParameterSet {
    ParameterSet::by_name(name).unwrap()
}

fn packed(selectors: usize, gadget: Gadget) -> SelectorQueryShape {
    SelectorQueryShape {
        set: set(BALANCED),
        selectors,
        gadget,
        transport: Transport::Packed,
    }
}

#[test]
fn sizes() {
    // Seed and 2,048 bodies of 40 bits a ciphertext of 64 selectors.
    assert_eq!(packed(64, GADGET).row_bytes(), 16 + 10_240);
    assert_eq!(packed(65, GADGET).row_bytes(), 16 + 2 * 10_240);
    let shape = SelectorQueryShape {
        set: set(KEYLESS),
        selectors: 3,
        gadget: Gadget::new(BaseLog::new(15), Levels::new(2)),
        transport: Transport::Ggsw,
    };
    assert_eq!(shape.row_bytes(), 16 + 3 * 2 * 5 * 512 * 6);
    let shape = LinearQueryShape {
        set: set(BALANCED),
        features: 30,
        block: 30,
        stride: 1,
        form: FeatureForm::Apart,
        body_bits: Bits::new(40),
    };
    assert_eq!(shape.row_bytes(), 16 + 150);
}

/// Expansion on several threads gives the same bits as on one, for full, partial and several
/// ciphertexts.
#[test]
fn threads_do_not_change_the_result() {
    let key = SecretKey::generate(set(BALANCED)).unwrap();
    let expanded = EvaluationKey::generate(&key).unwrap().expand().unwrap();
    for selectors in [0, 1, 33, 70] {
        let shape = packed(selectors, GADGET);
        let bits: Vec<bool> = (0..selectors).map(|i| i % 2 == 0).collect();
        let row = encrypt_selectors(&key, &shape, &bits).unwrap();
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut out = FourierSelectors::zeroed(shape.ggsw(), selectors);
            pool.install(|| expand_selectors(Some(&expanded), &shape, &row, &mut out))
                .unwrap();
            out
        });
        assert!((0..selectors).all(|index| one.ggsw(index) == three.ggsw(index)));
    }
}

#[test]
fn misuse_is_named() {
    let key = SecretKey::generate(set(BALANCED)).unwrap();
    let shape = packed(2, GADGET);
    let row = encrypt_selectors(&key, &shape, &[true, false]).unwrap();
    let mut out = FourierSelectors::zeroed(shape.ggsw(), 2);
    let expand = |key: Option<&_>, shape: &_, row: &[u8], out: &mut _| {
        expand_selectors(key, shape, row, out).unwrap_err()
    };
    assert!(matches!(
        expand(None, &shape, &row, &mut out),
        SchemeError::EvaluationKeyMissing { .. }
    ));
    let foreign = EvaluationKey::generate(&SecretKey::generate(set(COMPACT)).unwrap())
        .unwrap()
        .expand()
        .unwrap();
    assert!(matches!(
        expand(Some(&foreign), &shape, &row, &mut out),
        SchemeError::ParameterSetMismatch {
            what: "evaluation key",
            ..
        }
    ));
    assert!(matches!(
        expand(None, &shape, &row[1..], &mut out),
        SchemeError::Length {
            expected: 10_256,
            found: 10_255,
            ..
        }
    ));
    assert!(matches!(
        expand(None, &shape, &[], &mut out),
        SchemeError::Length { found: 0, .. }
    ));
    assert!(matches!(
        expand(None, &packed(3, GADGET), &row, &mut out),
        SchemeError::Count {
            expected: 3,
            found: 2,
            ..
        }
    ));
    let other = packed(2, Gadget::new(BaseLog::new(8), Levels::new(3)));
    assert!(matches!(
        expand(None, &other, &row, &mut out),
        SchemeError::Shape { .. }
    ));
    assert!(matches!(
        encrypt_selectors(&key, &shape, &[true]),
        Err(SchemeError::Count {
            expected: 2,
            found: 1,
            ..
        })
    ));
    assert!(matches!(
        encrypt_selectors(
            &SecretKey::generate(set(KEYLESS)).unwrap(),
            &shape,
            &[true; 2]
        ),
        Err(SchemeError::ParameterSetMismatch {
            what: "secret key",
            ..
        })
    ));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let key = SecretKey::generate(set(BALANCED)).unwrap();
    for (base_log, levels) in [(0, 1), (1, 0), (11, 3), (u32::MAX, 2), (33, 1)] {
        let shape = packed(1, Gadget::new(BaseLog::new(base_log), Levels::new(levels)));
        assert!(
            matches!(
                encrypt_selectors(&key, &shape, &[true]),
                Err(SchemeError::Shape { .. })
            ),
            "{base_log} x {levels}"
        );
    }
    assert!(matches!(
        encrypt_selectors(&key, &packed(usize::MAX, GADGET), &[]),
        Err(SchemeError::Shape { .. })
    ));
    let keyless = SelectorQueryShape {
        set: set(KEYLESS),
        ..packed(1, GADGET)
    };
    assert!(matches!(
        encrypt_selectors(&key, &keyless, &[true]),
        Err(SchemeError::NoPacking { .. })
    ));
    for (features, block, stride, body_bits) in [
        (0, 1, 1, 40),
        (5, 0, 1, 40),
        (5, 5, 512, 40),
        (5, 5, 0, 40),
        (5, 5, 1, 0),
        (5, 5, 1, 65),
    ] {
        let shape = LinearQueryShape {
            set: set(BALANCED),
            features,
            block,
            stride,
            form: FeatureForm::Apart,
            body_bits: Bits::new(body_bits),
        };
        assert!(matches!(
            encrypt_linear(&key, &shape, &[0; 5]),
            Err(SchemeError::Shape { .. })
        ));
        assert!(matches!(
            decode_linear(&shape, &[]),
            Err(SchemeError::Shape { .. })
        ));
    }
}

#[test]
fn linear_rows_of_the_wrong_form_are_refused() {
    let key = SecretKey::generate(set(BALANCED)).unwrap();
    let shape = LinearQueryShape {
        set: set(BALANCED),
        features: 3,
        block: 2,
        stride: 1,
        form: FeatureForm::Apart,
        body_bits: Bits::new(43),
    };
    let mut row = encrypt_linear(&key, &shape, &[1 << 60; 3]).unwrap();
    assert_eq!(decode_linear(&shape, &row).unwrap().len(), 2);
    assert!(matches!(
        decode_linear(&shape, &row[..row.len() - 1]),
        Err(SchemeError::Length { .. })
    ));
    *row.last_mut().unwrap() |= 0x80;
    assert!(matches!(
        decode_linear(&shape, &row),
        Err(SchemeError::Padding { .. })
    ));
    assert!(matches!(
        encrypt_linear(&key, &shape, &[0; 2]),
        Err(SchemeError::Count {
            expected: 3,
            found: 2,
            ..
        })
    ));
}
