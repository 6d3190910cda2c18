use super::{CheckpointError, Progress};
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::{ChunkHead, KeyId, Nonce, ReplyChunk};
use cipherfn_scheme::Glwe;

const QUERY: Sha256 = Sha256::from_bytes([1; 32]);
const SET: ParameterSetTag = ParameterSetTag::NONE;

/// A whole reply to two rows, one of which failed, packed, and three rows of the next that wait.
fn progress() -> Progress {
    let glwe = |word| Glwe {
        mask: vec![word, word + 1],
        body: vec![u64::MAX, word],
    };
    Progress {
        replies: vec![ReplyChunk {
            head: ChunkHead {
                specs: Hash::of(b"specs"),
                key: KeyId::from_bytes([2; 16]),
                nonce: Some(Nonce::from_bytes([3; 16])),
                first_row: 0,
                last: false,
                row_len: 9,
                group: None,
                packed: true,
                public: false,
            },
            outcomes: vec![Ok(Vec::new()), Err("why".to_owned())],
            packed: vec![4; 9],
        }],
        waiting: vec![
            Err("why not".to_owned()),
            Ok(vec![glwe(5), glwe(6)]),
            Ok(vec![glwe(7), glwe(8)]),
        ],
    }
}

/// Exact bytes: what was written before an update of the service is gone on from behind it.
#[test]
fn checkpoints_keep_their_bytes() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/v2/checkpoint.cfc"
    );
    let file = std::fs::read(path).unwrap();
    assert_eq!(progress().to_file_bytes(QUERY, SET), file);
    let read = Progress::from_file_bytes(&file, QUERY, SET).unwrap();
    assert_eq!((read.rows(), &read), (5, &progress()));
    let empty = Progress::default().to_file_bytes(QUERY, SET);
    let empty = Progress::from_file_bytes(&empty, QUERY, SET).unwrap();
    assert_eq!(empty, Progress::default());
}

#[test]
fn other_bytes_are_refused_by_name() {
    let file = progress().to_file_bytes(QUERY, SET);
    let read = |bytes: &[u8]| Progress::from_file_bytes(bytes, QUERY, SET);
    let other = Progress::from_file_bytes(&file, Sha256::from_bytes([9; 32]), SET);
    assert!(matches!(other, Err(CheckpointError::OtherQuery)));
    let first = HEADER_LEN + payload().len();
    for len in 0..file.len() {
        // Whole frames are a shorter checkpoint, which the document's checksum tells apart.
        assert_eq!(read(&file[..len]).is_ok(), len == first, "{len}");
    }
    for at in 0..file.len() {
        let mut altered = file.clone();
        altered[at] ^= 1;
        assert!(read(&altered).is_err(), "byte {at}");
    }
    // Under a checksum that fits.
    for (at, byte, reason) in [
        (32, 4, "ends inside"),
        (32, 2, "follow its rows"),
        (36, 1, "unknown outcome"),
        (40, 0, "without words"),
        (47, 255, "ends inside"),
        (48, 7, "unknown outcome"),
    ] {
        let mut payload = payload();
        payload[at] = byte;
        let frame = frame::encode(FrameKind::Checkpoint, 1, SET, &payload);
        let error = read(&frame).unwrap_err().to_string();
        assert!(error.contains(reason), "byte {at}: {error}");
    }
    let newer = frame::encode(FrameKind::Checkpoint, 2, SET, &payload());
    assert!(matches!(read(&newer), Err(CheckpointError::Frame(_))));
}

fn payload() -> Vec<u8> {
    let file = progress().to_file_bytes(QUERY, SET);
    let mut rest = file.as_slice();
    let frame = frame::read(&mut rest, FrameKind::Checkpoint, &[1], u64::MAX);
    frame.unwrap().unwrap().payload
}
