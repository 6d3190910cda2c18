use super::{ReplyShape, compress, decrypt};
use crate::error::SchemeError;
use crate::keys::SecretKey;
use crate::parameters::ParameterSet;
use cipherfn_protocol::specs::Bits;

const SET: &str = "cipherfn-128-n2048-m8-v1";

fn shape() -> ReplyShape {
    ReplyShape {
        set: ParameterSet::by_name(SET).unwrap(),
        coefficients: 3,
        stride: 5,
        bits: Bits::new(24),
    }
}

#[test]
fn sizes() {
    assert_eq!(shape().row_bytes(), (2048 + 3) * 3);
    assert_eq!(
        ReplyShape {
            bits: Bits::new(20),
            ..shape()
        }
        .row_bytes(),
        5128
    );
}

#[test]
fn coefficients_come_back() {
    let key = SecretKey::generate(shape().set).unwrap();
    let mut body = vec![u64::MAX / 3; 2048];
    for (position, value) in [(0, 1 << 62), (5, 0), (10, 3 << 62)] {
        body[position] = value;
    }
    let row = compress(&shape(), &vec![0; 2048], &body).unwrap();
    assert_eq!(
        decrypt(&key, &shape(), &row).unwrap(),
        [1 << 62, 0, -(1 << 62)]
    );
}

#[test]
fn misuse_is_named() {
    let key = SecretKey::generate(shape().set).unwrap();
    let row = compress(&shape(), &vec![0; 2048], &vec![0; 2048]).unwrap();
    assert!(matches!(
        decrypt(&key, &shape(), &row[1..]),
        Err(SchemeError::Length {
            expected: 6153,
            found: 6152,
            ..
        })
    ));
    assert!(matches!(
        compress(&shape(), &vec![0; 2047], &vec![0; 2048]),
        Err(SchemeError::Count {
            expected: 2048,
            found: 2047,
            ..
        })
    ));
    assert!(matches!(
        compress(&shape(), &vec![0; 2048], &vec![0; 2049]),
        Err(SchemeError::Count { .. })
    ));
    let foreign =
        SecretKey::generate(ParameterSet::by_name("cipherfn-128-n512k4-v1").unwrap()).unwrap();
    assert!(matches!(
        decrypt(&foreign, &shape(), &row),
        Err(SchemeError::ParameterSetMismatch { .. })
    ));
    for bad in [
        ReplyShape {
            coefficients: 0,
            ..shape()
        },
        ReplyShape {
            coefficients: 411,
            ..shape()
        },
        ReplyShape {
            stride: 0,
            ..shape()
        },
        ReplyShape {
            stride: usize::MAX,
            ..shape()
        },
        ReplyShape {
            bits: Bits::new(0),
            ..shape()
        },
        ReplyShape {
            bits: Bits::new(65),
            ..shape()
        },
    ] {
        assert!(matches!(
            decrypt(&key, &bad, &row),
            Err(SchemeError::Shape { .. })
        ));
        assert!(matches!(
            compress(&bad, &vec![0; 2048], &vec![0; 2048]),
            Err(SchemeError::Shape { .. })
        ));
    }
}
