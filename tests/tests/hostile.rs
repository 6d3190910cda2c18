//! Truncated, corrupt, foreign and malicious bytes of every kind: a named error or a valid object,
//! never a panic, in bounded time and memory.

use cipherfn_circuit::Circuit;
use cipherfn_client::Client;
use cipherfn_engine::{ClearCircuit, PreparedCircuit};
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN};
use cipherfn_protocol::message::{Chunks, QueryChunk, ReplyChunk};
use cipherfn_protocol::specs::SpecsDocument;
use cipherfn_scheme::query::{InputShape, InputValues};
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_tests::{Server, decrypt, golden};
use proptest::prelude::*;
use std::sync::LazyLock;

type Parser = fn(&[u8]) -> Result<(), String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn messages<C: cipherfn_protocol::message::Chunk>(bytes: &[u8]) -> Result<(), String> {
    Chunks::<_, C>::new(bytes).try_for_each(|chunk| chunk.map(drop).map_err(text))
}

/// Every kind of binary file: a good one and its reader.
static FILES: LazyLock<Vec<(FrameKind, Vec<u8>, Parser)>> = LazyLock::new(|| {
    let read = |name: &str| std::fs::read(golden().join(name)).expect("golden files exist");
    vec![
        (FrameKind::SecretKey, read("secret.cfk"), |bytes| {
            SecretKey::from_file_bytes(bytes).map(drop).map_err(text)
        }),
        (FrameKind::EvaluationKey, read("evaluation.cfk"), |bytes| {
            EvaluationKey::from_file_bytes(bytes)
                .map(drop)
                .map_err(text)
        }),
        (FrameKind::Bundle, read("tree.cfn"), |bytes| {
            cipherfn_engine::bundle::read(bytes).map(drop).map_err(text)
        }),
        (FrameKind::Query, read("tree.cfq"), messages::<QueryChunk>),
        (FrameKind::Reply, read("tree.cfr"), messages::<ReplyChunk>),
    ]
});

#[test]
fn good_files_are_read() {
    for (kind, bytes, parse) in FILES.iter() {
        assert_eq!(parse(bytes), Ok(()), "{kind:?}");
    }
}

#[test]
fn every_truncation_is_named() {
    for (kind, bytes, parse) in FILES.iter() {
        let lengths = (0..=HEADER_LEN + 8).chain([bytes.len() / 2, bytes.len() - 1]);
        for len in lengths {
            let error = parse(&bytes[..len]).expect_err("a part is not the whole");
            assert!(
                error.contains("truncated"),
                "{kind:?} cut to {len} bytes: {error}"
            );
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for (kind, bytes, parse) in FILES.iter() {
        for extra in [&b"\0"[..], bytes] {
            assert!(
                parse(&[bytes, extra].concat()).is_err(),
                "{kind:?} with {} bytes more",
                extra.len()
            );
        }
    }
}

#[test]
fn every_flipped_bit_is_found() {
    for (kind, bytes, parse) in FILES.iter() {
        let step = (bytes.len() / 64).max(1);
        for index in (0..HEADER_LEN).chain((HEADER_LEN..bytes.len()).step_by(step)) {
            for bit in [0, 7] {
                let mut corrupt = bytes.clone();
                corrupt[index] ^= 1 << bit;
                assert!(
                    parse(&corrupt).is_err(),
                    "{kind:?}: bit {bit} of byte {index}"
                );
            }
        }
    }
}

#[test]
fn files_of_other_kinds_are_named() {
    for (kind, _, parse) in FILES.iter() {
        for (other, bytes, _) in FILES.iter().filter(|(other, ..)| other != kind) {
            let error = parse(bytes).expect_err("another kind");
            assert!(
                error.contains(other.name()) && error.contains(kind.name()),
                "{other:?} as {kind:?}: {error}"
            );
        }
        for foreign in [&b"PK\x03\x04 a zip archive"[..], b"{}", &[0; 4096]] {
            let error = parse(foreign).expect_err("a foreign file");
            assert!(error.contains("not a cipherfn file"), "{kind:?}: {error}");
        }
    }
}

#[test]
fn announced_lengths_are_not_believed() {
    for (kind, bytes, parse) in FILES.iter() {
        for len in [u64::MAX, 1 << 60, 1 << 40] {
            let mut corrupt = bytes.clone();
            corrupt[28..36].copy_from_slice(&len.to_le_bytes());
            let error = parse(&corrupt).expect_err("a length beyond the limit");
            assert!(error.contains("limit"), "{kind:?}: {error}");
        }
    }
}

/// Writes a new checksum after a change of the payload, as an attacker would.
fn forge(kind: FrameKind, bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = frame::decode(bytes, kind, &[1, 2, 3], u64::MAX).expect("a good file");
    change(&mut frame.payload);
    frame::encode(kind, frame.version, frame.parameter_set, &frame.payload)
}

#[test]
fn empty_payloads_are_refused() {
    for (kind, bytes, parse) in FILES.iter() {
        assert!(parse(&forge(*kind, bytes, Vec::clear)).is_err(), "{kind:?}");
    }
}

#[test]
fn a_forged_query_row_is_answered_or_refused() {
    let read = |name: &str| std::fs::read(golden().join(name)).expect("golden files exist");
    let server = Server::new(&read("tree.cfn"), Some(&read("evaluation.cfk"))).expect("good files");
    let query = read("tree.cfq");
    for byte in [0x00, 0x55, 0xff] {
        // Any bits are some ciphertext: the answer is noise, and its owner's alone.
        let forged = forge(FrameKind::Query, &query, |payload| payload[65..].fill(byte));
        assert!(server.answer(&forged).is_ok());
    }
    // Rows of another length.
    let forged = forge(FrameKind::Query, &query, |payload| {
        payload[57..61].copy_from_slice(&1u32.to_le_bytes());
        payload[61..65].copy_from_slice(&16u32.to_le_bytes());
        payload.truncate(65 + 16);
    });
    let reply = server.answer(&forged).expect("an outcome a row");
    let client = Client::from_specs(&read("tree.specs.json")).expect("good specs");
    let secret = SecretKey::from_file_bytes(&read("secret.cfk")).expect("a good key");
    let error = decrypt(&client, &secret, &reply)
        .expect_err("a row without an answer")
        .to_string();
    assert!(error.contains("bytes"), "{error}");
}

#[test]
fn specs_with_other_fields_are_refused() {
    let good =
        std::fs::read_to_string(golden().join("tree.specs.json")).expect("golden files exist");
    assert!(SpecsDocument::from_json_bytes(good.as_bytes()).is_ok());
    for (from, to) in [
        ("\"format\":1", "\"format\":2"),
        ("\"format\":1", "\"format\":1,\"extra\":0"),
        ("\"gadget\"", "\"gadgets\""),
        ("\"base_log\":", "\"base_log\":-"),
        ("\"reply_bits\":", "\"reply_bits\":9"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert!(
            SpecsDocument::from_json_bytes(bad.as_bytes()).is_err(),
            "{to}"
        );
    }
    for len in (0..good.len()).step_by(good.len() / 50) {
        assert!(
            SpecsDocument::from_json_bytes(&good.as_bytes()[..len]).is_err(),
            "cut to {len}"
        );
    }
}

/// Both evaluators agree on whether a circuit is one, and answer a row of those that are.
fn answered_or_refused(circuit: &Circuit) {
    match (
        PreparedCircuit::new(circuit),
        ClearCircuit::new(circuit.clone()),
    ) {
        (Ok(prepared), Ok(clear)) => {
            let inputs: Vec<InputValues> = prepared.inputs().iter().map(zeros).collect();
            let coefficients: usize = prepared.outputs().iter().map(|out| out.coefficients).sum();
            assert_eq!(clear.evaluate(&inputs).unwrap().len(), coefficients);
            // A query of nothing but zeros is some ciphertext.
            let row = vec![0; prepared.query_row_bytes()];
            let key = KEY.parameter_set().name == prepared.parameter_set().name;
            let reply = prepared.evaluate_rows(key.then_some(&KEY), &[prepared.alone(&row)]);
            match &reply[0] {
                Ok(reply) => assert_eq!(reply.len(), prepared.reply_row_bytes()),
                Err(error) => assert!(error.to_string().contains("evaluation key"), "{error}"),
            }
        }
        // What is too large to prepare may still be small enough to follow in the clear.
        (Err(_), _) => {}
        (Ok(_), Err(error)) => panic!("refused in the clear alone: {error}"),
    }
}

fn zeros(shape: &InputShape) -> InputValues {
    match shape {
        InputShape::Selectors(shape) => InputValues::Bits(vec![false; shape.selectors]),
        InputShape::Features(shape) => InputValues::Features(vec![0; shape.features]),
        InputShape::Values(shape) => InputValues::Values(vec![0; shape.values]),
        InputShape::Tables(count) => InputValues::Tables(vec![Vec::new(); *count].into()),
    }
}

static KEY: LazyLock<ExpandedEvaluationKey> = LazyLock::new(|| {
    let bytes = std::fs::read(golden().join("evaluation.cfk")).expect("golden files exist");
    let key = EvaluationKey::from_file_bytes(&bytes).expect("a good key");
    key.expand().expect("an expansion")
});

/// A bundle of look-ups, combinations and packed values.
static LOOKUPS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = golden().with_file_name("v3").join("lookups.cfn");
    std::fs::read(path).expect("golden files exist")
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256), head in 0..=HEADER_LEN) {
        for (_, good, parse) in FILES.iter() {
            let bytes = [&good[..head], &bytes].concat();
            prop_assert!(parse(&bytes).is_err());
        }
    }

    /// A bundle whose payload was changed under a right checksum is refused or is a valid circuit.
    #[test]
    fn forged_bundles_do_no_harm(index in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for good in [&FILES[2].1, &*LOOKUPS] {
            let forged = forge(FrameKind::Bundle, good, |payload| {
                let index = index.index(payload.len());
                payload[index] = byte;
            });
            if let Ok(bundle) = cipherfn_engine::bundle::read(&forged) {
                answered_or_refused(&bundle.circuit);
            }
        }
    }
}
