use super::{EvaluationKey, SecretKey};
use crate::bootstrap::key::Keys;
use crate::error::SchemeError;
use crate::parameters::{KeyPartContents, ParameterSet};
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::Hash;

const BALANCED: &str = "cipherfn-128-n2048-m8-v1";
const COMPACT: &str = "cipherfn-128-n2048-m8-compact-v1";
const WIDE: &str = "cipherfn-128-n2048-m11-v1";
const KEYLESS: &str = "cipherfn-128-n512k4-v1";

fn set(name: &str) -> &'static ParameterSet {
    ParameterSet::by_name(name).unwrap()
}

#[test]
fn secret_keys_survive_their_file() {
    for set in ParameterSet::all() {
        let key = SecretKey::generate(set).unwrap();
        let bytes = key.to_file_bytes();
        // Salt and seed.
        assert_eq!(bytes.len(), frame::HEADER_LEN + 16 + 32);
        let back = SecretKey::from_file_bytes(&bytes).unwrap();
        assert_eq!(back.coefficients(), key.coefficients());
        assert_eq!((back.parameter_set(), back.id()), (set, key.id()));
    }
}

/// A file of version 1 holds the coefficients as bits; written again it is the same, and its id is
/// that of before.
#[test]
fn secret_keys_of_version_1_stay_as_they_are() {
    let set = set(BALANCED);
    let bits: Vec<u8> = (0..256).map(|i: u32| (i * 37 + 11) as u8).collect();
    let bytes = frame::encode(FrameKind::SecretKey, 1, set.tag(), &bits);
    let key = SecretKey::from_file_bytes(&bytes).unwrap();
    assert_eq!(*key.to_file_bytes(), bytes);
    assert_eq!(key.coefficients()[..8], [1, 1, 0, 1, 0, 0, 0, 0]);
    let text = [
        b"cipherfn key id v1 ".as_slice(),
        BALANCED.as_bytes(),
        &bits,
    ]
    .concat();
    assert_eq!(key.id().as_bytes()[..], Hash::of(&text).as_bytes()[..16]);
}

/// Keys of one seed and two salts are one key of two ids; another set makes another key of the
/// seed. The bits are balanced: 1,024 of 2,048 within 5 standard deviations of 22.6.
#[test]
fn secret_keys_follow_from_their_seed() {
    let file = |set: &ParameterSet, salt: u8| {
        let payload = [vec![salt; 16], vec![7; 32]].concat();
        let bytes = frame::encode(FrameKind::SecretKey, 2, set.tag(), &payload);
        SecretKey::from_file_bytes(&bytes).unwrap()
    };
    let (one, other) = (file(set(BALANCED), 1), file(set(BALANCED), 2));
    assert_eq!(one.coefficients(), other.coefficients());
    assert_ne!(one.id(), other.id());
    assert_ne!(one.coefficients(), file(set(COMPACT), 1).coefficients());
    let ones: u64 = one.coefficients().iter().sum();
    assert!(ones.abs_diff(1024) < 113, "{ones}");
}

#[test]
fn secret_keys_do_not_show_themselves() {
    let text = format!("{:?}", SecretKey::generate(set(BALANCED)).unwrap());
    assert_eq!(
        text,
        "SecretKey { parameter_set: \"cipherfn-128-n2048-m8-v1\", .. }"
    );
}

#[test]
fn evaluation_keys_survive_their_file() {
    for (name, limit) in [(BALANCED, 1_400_000), (COMPACT, 800_000)] {
        let key = EvaluationKey::generate(&SecretKey::generate(set(name)).unwrap()).unwrap();
        let bytes = key.to_file_bytes();
        assert_eq!(bytes.len(), key.file_len());
        assert!(bytes.len() <= limit, "{name}: {} bytes", bytes.len());
        let back = EvaluationKey::from_file_bytes(&bytes).unwrap();
        assert_eq!(back.parameter_set().name, name);
        assert_eq!(back.to_file_bytes(), bytes);
    }
}

/// The parts of the wide set, each with a label of its own: below 2.2 MB what is not a bootstrap, and
/// each of these below what it may have.
#[test]
fn parts_survive_their_files() {
    let secret = SecretKey::generate(set(WIDE)).unwrap();
    let mut total = 0;
    for part in secret.parameter_set().parts {
        let mut told = Vec::new();
        let key = EvaluationKey::generate_part_telling(&secret, part.name, &mut |done, all| {
            told.push((done, all));
        });
        let key = key.unwrap();
        let bytes = key.to_file_bytes();
        assert_eq!(bytes.len(), part.file_bytes(set(WIDE)));
        let limit = match part.name {
            "bootstrap-fast" => 19_000_000,
            "bootstrap-precise" => 38_000_000,
            "bootstrap-deep" => 59_000_000,
            _ => {
                total += bytes.len();
                2_200_000
            }
        };
        assert!(bytes.len() <= limit, "{}: {} bytes", part.name, bytes.len());
        if part.name.starts_with("bootstrap") {
            let all = told.len();
            assert!(told.into_iter().eq((1..=all).map(|done| (done, all))));
        }
        let back = EvaluationKey::from_file_bytes(&bytes).unwrap();
        assert_eq!((back.part(), back.id()), (part, secret.id()));
        assert_eq!(back.to_file_bytes(), bytes);
    }
    assert!(total <= 2_200_000, "{total} bytes");
    assert!(matches!(
        EvaluationKey::generate_part(&secret, "bootstrap"),
        Err(SchemeError::UnknownKeyPart { .. })
    ));
    let unlabelled = frame::encode(FrameKind::EvaluationKey, 2, set(WIDE).tag(), &[0; 100]);
    assert!(matches!(
        EvaluationKey::from_file_bytes(&unlabelled),
        Err(SchemeError::UnlabelledKeyPart { .. })
    ));
}

/// The keys of a bootstrap follow from the secret key and the part, whichever version its file has,
/// and have nothing in common with it.
#[test]
fn keys_of_bootstraps_follow_from_the_secret_key() {
    let wide = set(WIDE);
    let bits: Vec<u8> = (0..256).map(|i: u32| (i * 37 + 11) as u8).collect();
    let old = frame::encode(FrameKind::SecretKey, 1, wide.tag(), &bits);
    let new = SecretKey::generate(wide).unwrap().to_file_bytes();
    let mut seen = Vec::new();
    for file in [old.as_slice(), new.as_slice()] {
        let secret = SecretKey::from_file_bytes(file).unwrap();
        seen.push(secret.coefficients()[..768].to_vec());
        for part in wide.parts {
            let KeyPartContents::Bootstrap(bootstrap) = &part.contents else {
                continue;
            };
            let keys = Keys::of(&secret, part, bootstrap);
            let again = Keys::of(&SecretKey::from_file_bytes(file).unwrap(), part, bootstrap);
            for (key, again, len) in [
                (&keys.small, again.small, bootstrap.small.mask_len()),
                (&keys.output, again.output, bootstrap.output.mask_len()),
            ] {
                assert_eq!(key.coefficients(), again.coefficients());
                assert_eq!(key.coefficients().len(), len);
                seen.push(key.coefficients()[..768].to_vec());
            }
        }
    }
    // Two of 768 bits agree in half of them, within six deviations of 13.9.
    for (index, one) in seen.iter().enumerate() {
        for other in &seen[..index] {
            let equal = one.iter().zip(other).filter(|(a, b)| a == b).count();
            assert!(equal.abs_diff(384) < 84, "{equal}");
        }
    }
}

/// A bootstrap of another key, and one that is cut.
#[test]
fn bootstraps_of_other_keys_are_refused() {
    let (secret, other) = (
        SecretKey::generate(set(WIDE)),
        SecretKey::generate(set(WIDE)),
    );
    let mut key = EvaluationKey::generate(&secret.unwrap())
        .unwrap()
        .expand()
        .unwrap();
    let part = EvaluationKey::generate_part(&other.unwrap(), "bootstrap-fast").unwrap();
    assert!(matches!(
        key.add(&part),
        Err(SchemeError::OtherSecretKey {
            part: "bootstrap-fast",
            ..
        })
    ));
    assert!(matches!(
        part.expand(),
        Err(SchemeError::KeyPartMissing {
            part: "expansion",
            ..
        })
    ));
    let bytes = part.to_file_bytes();
    let payload = &bytes[frame::HEADER_LEN..bytes.len() - 1];
    let cut = frame::encode(FrameKind::EvaluationKey, 2, set(WIDE).tag(), payload);
    assert!(matches!(
        EvaluationKey::from_file_bytes(&cut),
        Err(SchemeError::Length { .. })
    ));
}

#[test]
fn damaged_keys_are_refused() {
    let bytes = EvaluationKey::generate(&SecretKey::generate(set(COMPACT)).unwrap())
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
    let compact = EvaluationKey::generate(&SecretKey::generate(set(COMPACT)).unwrap())
        .unwrap()
        .to_file_bytes();
    let len = compact.len() - frame::HEADER_LEN;
    let evaluation = |tag, len| {
        EvaluationKey::from_file_bytes(&file(FrameKind::EvaluationKey, tag, len)).unwrap_err()
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
        evaluation(set(COMPACT).tag(), 60 << 20),
        SchemeError::Frame(FrameError::TooLarge { .. })
    ));
    let secret = |len| {
        SecretKey::from_file_bytes(&file(FrameKind::SecretKey, set(KEYLESS).tag(), len))
            .unwrap_err()
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
        EvaluationKey::generate(&SecretKey::generate(set(KEYLESS)).unwrap()),
        Err(SchemeError::NoPacking { .. })
    ));
}
