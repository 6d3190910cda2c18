use super::{EvaluationKey, SecretKey};
use crate::error::SchemeError;
use crate::parameters::ParameterSet;
use cipherfn_protocol::frame::{self, FrameError, Kind, ParameterSetTag};

const BALANCED: &str = "cipherfn-128-n2048-m8-v1";
const COMPACT: &str = "cipherfn-128-n2048-m8-compact-v1";
const KEYLESS: &str = "cipherfn-128-n512k4-v1";

fn set(name: &str) -> &'static ParameterSet {
    ParameterSet::by_name(name).unwrap()
}

#[test]
fn secret_keys_survive_their_file() {
    for set in ParameterSet::all() {
        let key = SecretKey::generate(set);
        let bytes = key.to_file_bytes();
        assert_eq!(bytes.len(), frame::HEADER_LEN + 256);
        let back = SecretKey::from_file_bytes(&bytes).unwrap();
        assert_eq!(back.coefficients(), key.coefficients());
        assert_eq!(back.parameter_set(), set);
    }
}

#[test]
fn secret_keys_do_not_show_themselves() {
    let text = format!("{:?}", SecretKey::generate(set(BALANCED)));
    assert_eq!(
        text,
        "SecretKey { parameter_set: \"cipherfn-128-n2048-m8-v1\", .. }"
    );
}

#[test]
fn evaluation_keys_survive_their_file() {
    for (name, limit) in [(BALANCED, 1_400_000), (COMPACT, 800_000)] {
        let key = EvaluationKey::generate(&SecretKey::generate(set(name))).unwrap();
        let bytes = key.to_file_bytes();
        assert_eq!(bytes.len(), key.file_len());
        assert!(bytes.len() <= limit, "{name}: {} bytes", bytes.len());
        let back = EvaluationKey::from_file_bytes(&bytes).unwrap();
        assert_eq!(back.parameter_set().name, name);
        assert_eq!(back.to_file_bytes(), bytes);
    }
}

#[test]
fn damaged_keys_are_refused() {
    let bytes = EvaluationKey::generate(&SecretKey::generate(set(COMPACT)))
        .unwrap()
        .to_file_bytes();
    let read = |bytes: &[u8]| EvaluationKey::from_file_bytes(bytes).unwrap_err();
    assert!(matches!(
        read(&bytes[..1000]),
        SchemeError::Frame(FrameError::Truncated { .. })
    ));
    assert!(matches!(
        read(&[&bytes[..], &[0]].concat()),
        SchemeError::Frame(FrameError::Trailing { .. })
    ));
    let mut flipped = bytes.clone();
    flipped[5000] ^= 1;
    assert!(matches!(
        read(&flipped),
        SchemeError::Frame(FrameError::Corrupt { .. })
    ));
    assert!(matches!(
        SecretKey::from_file_bytes(&bytes).unwrap_err(),
        SchemeError::Frame(FrameError::WrongKind { .. })
    ));
    assert!(matches!(
        read(&[]),
        SchemeError::Frame(FrameError::Truncated { .. })
    ));
    assert!(matches!(
        read(b"PK\x03\x04 something else"),
        SchemeError::Frame(FrameError::Foreign { .. })
    ));
}

#[test]
fn keys_of_the_wrong_set_or_length_are_refused() {
    let file = |kind, tag, len: usize| frame::encode(kind, 1, tag, &vec![0; len]);
    let compact = EvaluationKey::generate(&SecretKey::generate(set(COMPACT)))
        .unwrap()
        .to_file_bytes();
    let len = compact.len() - frame::HEADER_LEN;
    let evaluation = |tag, len| {
        EvaluationKey::from_file_bytes(&file(Kind::EvaluationKey, tag, len)).unwrap_err()
    };
    assert!(matches!(
        evaluation(set(BALANCED).tag(), len),
        SchemeError::Length { .. }
    ));
    assert!(matches!(
        evaluation(set(COMPACT).tag(), len - 1),
        SchemeError::Length { .. }
    ));
    assert!(matches!(
        evaluation(set(COMPACT).tag(), 0),
        SchemeError::Length { .. }
    ));
    assert!(matches!(
        evaluation(set(KEYLESS).tag(), len),
        SchemeError::NoPacking { .. }
    ));
    assert!(matches!(
        evaluation(ParameterSetTag::NONE, len),
        SchemeError::UnknownParameterSetTag { .. }
    ));
    assert!(matches!(
        evaluation(set(COMPACT).tag(), 10 << 20),
        SchemeError::Frame(FrameError::TooLarge { .. })
    ));
    let secret = |len| {
        SecretKey::from_file_bytes(&file(Kind::SecretKey, set(KEYLESS).tag(), len)).unwrap_err()
    };
    assert!(matches!(
        secret(255),
        SchemeError::Length {
            expected: 256,
            found: 255,
            ..
        }
    ));
    assert!(matches!(
        EvaluationKey::generate(&SecretKey::generate(set(KEYLESS))),
        Err(SchemeError::NoPacking { .. })
    ));
}
