use super::{Bundle, BundleError, BundleV1, MAX_BYTES, SetFacts};
use crate::circuit::Circuit;
use crate::samples::{DIMENSIONS, SET, bootstraps, choices, levelled, linear, lookups, mixture};
use crate::wire::v1;
use crate::{CircuitError, codec};
use cipherfn_protocol::frame::{self, FrameError, FrameKind, ParameterSetTag};
use cipherfn_protocol::hash::Hash;
use std::time::{Duration, Instant};

fn tag() -> ParameterSetTag {
    Hash::of(SET.as_bytes()).into()
}

/// The only set of these tests.
fn find(circuit: &Circuit) -> Result<SetFacts, BundleError> {
    let name = &circuit.parameter_set;
    let facts = SetFacts {
        dimensions: DIMENSIONS,
        tag: tag(),
    };
    let unknown = || BundleError::ParameterSetTag {
        circuit: name.clone(),
    };
    (name == SET).then_some(facts).ok_or_else(unknown)
}

fn read(bytes: &[u8]) -> Result<Bundle, BundleError> {
    Bundle::from_bytes(bytes, find)
}

fn write(bundle: &Bundle) -> Result<Vec<u8>, BundleError> {
    bundle.to_bytes(find)
}

fn bundle(circuit: Circuit) -> Bundle {
    Bundle {
        circuit,
        specs: b"{\"specs\":2}".to_vec(),
        specs_v1: Some(b"{\"specs\":1}".to_vec()),
        report: b"{}".to_vec(),
    }
}

/// Version and payload of a bundle's file, whatever its circuit.
fn payload(circuit: &Circuit) -> (u16, Vec<u8>) {
    bundle(circuit.clone()).payload().unwrap()
}

#[test]
fn files_come_back_and_are_deterministic() {
    for (circuit, version) in [
        (levelled(), 2),
        (linear(), 2),
        (mixture(), 2),
        (lookups(), 3),
        (bootstraps(), 4),
        (choices(), 6),
    ] {
        let bundle = bundle(circuit);
        let bytes = write(&bundle).unwrap();
        assert_eq!(bundle.payload().unwrap().0, version);
        assert_eq!(bytes, write(&bundle.clone()).unwrap());
        assert_eq!(read(&bytes).unwrap(), bundle);
    }
}

#[test]
fn files_of_version_1_are_read() {
    for circuit in [levelled(), linear()] {
        let file = BundleV1 {
            circuit: v1::CircuitV1::from_circuit(&circuit).unwrap(),
            specs: b"S".to_vec(),
            report: b"R".to_vec(),
        };
        let payload = codec::encode(&file, MAX_BYTES).unwrap();
        assert!(payload.ends_with(&[1, b'S', 1, b'R']));
        let bundle = read(&frame::encode(FrameKind::Bundle, 1, tag(), &payload)).unwrap();
        assert_eq!(
            bundle,
            Bundle {
                circuit,
                specs: b"S".to_vec(),
                specs_v1: None,
                report: b"R".to_vec(),
            }
        );
        // Written as version 2, with the same circuit hash.
        let again = read(&write(&bundle).unwrap()).unwrap();
        assert_eq!(again, bundle);
        assert_eq!(
            again.circuit.hash().unwrap(),
            Hash::of(&codec::encode(&file.circuit, MAX_BYTES).unwrap())
        );
    }
}

#[test]
fn truncated_and_altered_files_are_named() {
    for circuit in [mixture(), lookups(), bootstraps(), choices()] {
        let bytes = write(&bundle(circuit)).unwrap();
        for len in 0..bytes.len() {
            let error = read(&bytes[..len]).unwrap_err();
            assert!(
                matches!(error, BundleError::Frame(FrameError::Truncated { .. })),
                "{len}: {error}"
            );
        }
        for index in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[index] ^= 0x10;
            assert!(read(&altered).is_err(), "byte {index}");
        }
        assert!(matches!(
            read(&[bytes.as_slice(), b"x"].concat()),
            Err(BundleError::Frame(FrameError::Trailing { extra: 1, .. }))
        ));
    }
}

#[test]
fn payloads_with_a_good_checksum_are_still_checked() {
    for circuit in [mixture(), lookups(), bootstraps(), choices()] {
        let (version, payload) = payload(&circuit);
        let read =
            |payload: &[u8]| read(&frame::encode(FrameKind::Bundle, version, tag(), payload));
        for len in 0..payload.len() {
            assert!(
                matches!(read(&payload[..len]), Err(BundleError::Payload(_))),
                "{len}"
            );
        }
        assert!(matches!(
            read(&[payload.as_slice(), &[0]].concat()),
            Err(BundleError::Payload(_))
        ));
    }
}

#[test]
fn giant_counts_fail_fast() {
    let start = Instant::now();
    let mut payload = vec![SET.len() as u8];
    payload.extend_from_slice(SET.as_bytes());
    // 2^62 inputs in a file of thirty bytes.
    payload.push(253);
    payload.extend_from_slice(&(1u64 << 62).to_le_bytes());
    let bytes = frame::encode(FrameKind::Bundle, 2, tag(), &payload);
    assert!(matches!(read(&bytes), Err(BundleError::Payload(_))));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_header_of_another_parameter_set_is_refused() {
    let other: ParameterSetTag = Hash::of(b"another set").into();
    let (version, payload) = payload(&levelled());
    let file = frame::encode(FrameKind::Bundle, version, other, &payload);
    let error = read(&file).unwrap_err();
    assert!(
        matches!(error, BundleError::ParameterSetTag { .. }),
        "{error}"
    );
}

#[test]
fn invalid_circuits_are_neither_read_nor_written() {
    for mut invalid in [mixture(), lookups(), bootstraps(), choices()] {
        invalid.outputs[0].stride = 0;
        let (version, payload) = payload(&invalid);
        let file = frame::encode(FrameKind::Bundle, version, tag(), &payload);
        for result in [read(&file).map(drop), write(&bundle(invalid)).map(drop)] {
            assert!(matches!(
                result,
                Err(BundleError::Circuit(CircuitError::OutOfRange { .. }))
            ));
        }
    }
}
