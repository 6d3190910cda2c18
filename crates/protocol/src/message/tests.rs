use super::*;
use crate::frame::ParameterSetTag;
use crate::hash::Hash;

const KEY: KeyId = KeyId::from_bytes([9; 16]);

fn specs() -> SpecsHash {
    Hash::of(b"specs")
}

/// Rows of two bytes, each repeated to the length of two seeds; one byte is a smaller group's.
fn query(first_row: u64, last: bool, rows: &[&[u8]]) -> QueryChunk {
    QueryChunk {
        head: ChunkHead {
            specs: specs(),
            key: KEY,
            nonce: None,
            first_row,
            last,
            row_len: 32,
            group: None,
            packed: false,
            public: false,
        },
        groups: rows.iter().map(|row| row.repeat(16).into()).collect(),
    }
}

fn stream(chunks: &[QueryChunk]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        write_chunk(&mut bytes, ParameterSetTag::NONE, chunk).unwrap();
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<QueryChunk>, MessageError> {
    Chunks::new(bytes)
        .map(|chunk| chunk.map(|(_, chunk)| chunk))
        .collect()
}

#[test]
fn exact_bytes_of_a_query_payload() {
    let mut expected = specs().as_bytes().to_vec();
    expected.extend_from_slice(&[9; 16]); // key
    expected.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]); // first row
    expected.push(1); // last
    expected.extend_from_slice(&[2, 0, 0, 0]); // rows
    expected.extend_from_slice(&[32, 0, 0, 0]); // bytes of a row
    expected.extend_from_slice(&[[0xaa, 0xbb].repeat(16), [0xcc, 0xdd].repeat(16)].concat());
    let chunk = query(7, true, &[&[0xaa, 0xbb], &[0xcc, 0xdd]]);
    assert_eq!(chunk.to_payload(), expected);
    assert_eq!(QueryChunk::from_payload(1, &expected).unwrap(), chunk);
}

#[test]
fn exact_bytes_of_a_reply_payload() {
    let head = ChunkHead {
        specs: specs(),
        key: KEY,
        nonce: None,
        first_row: 0,
        last: false,
        row_len: 2,
        group: None,
        packed: false,
        public: false,
    };
    let chunk = ReplyChunk {
        head,
        outcomes: vec![Ok(vec![5, 6]), Err("no".into())],
        packed: Vec::new(),
    };
    let mut expected = specs().as_bytes().to_vec();
    expected.extend_from_slice(&[9; 16]); // key
    expected.extend_from_slice(&[0; 8]); // first row
    expected.push(0); // not the last
    expected.extend_from_slice(&[2, 0, 0, 0]); // rows
    expected.extend_from_slice(&[2, 0, 0, 0]); // bytes of a row
    expected.extend_from_slice(&[0, 5, 6]); // done
    expected.extend_from_slice(&[1, 2, 0, 0, 0, b'n', b'o']); // failed
    assert_eq!(chunk.to_payload(), expected);
    assert_eq!(ReplyChunk::from_payload(1, &expected).unwrap(), chunk);
}

#[test]
fn long_explanations_are_cut_at_a_character() {
    let head = ChunkHead {
        specs: specs(),
        key: KEY,
        nonce: None,
        first_row: 0,
        last: true,
        row_len: 2,
        group: None,
        packed: false,
        public: false,
    };
    let chunk = ReplyChunk {
        head,
        outcomes: vec![Err("€".repeat(1000))],
        packed: Vec::new(),
    };
    let back = ReplyChunk::from_payload(1, &chunk.to_payload()).unwrap();
    assert_eq!(back.outcomes, [Err("€".repeat(341))]);
}

/// Millions of them would fit into a message, each in memory of its own.
#[test]
fn rows_shorter_than_a_seed_are_refused() {
    let good = query(0, true, &[&[1, 2], &[3, 4]]).to_payload();
    for (len, reason) in [
        (0, "without bytes"),
        (1, "shorter than"),
        (15, "shorter than"),
    ] {
        let mut bytes = good[..65 + 2 * len].to_vec();
        bytes[61] = len as u8;
        let error = QueryChunk::from_payload(1, &bytes).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(QueryChunk::from_payload(1, &good).is_ok());
}

#[test]
fn every_truncation_and_flag_is_refused() {
    let head = ChunkHead {
        specs: specs(),
        key: KEY,
        nonce: None,
        first_row: 0,
        last: true,
        row_len: 2,
        group: None,
        packed: false,
        public: false,
    };
    let reply = ReplyChunk {
        head,
        outcomes: vec![Ok(vec![5, 6]), Err("no".into())],
        packed: Vec::new(),
    }
    .to_payload();
    let query = query(0, true, &[&[1, 2], &[3, 4]]).to_payload();
    for end in 0..query.len() {
        assert!(
            matches!(
                QueryChunk::from_payload(1, &query[..end]),
                Err(MessageError::Malformed { .. })
            ),
            "query of {end} bytes"
        );
    }
    for end in 0..reply.len() {
        assert!(
            matches!(
                ReplyChunk::from_payload(1, &reply[..end]),
                Err(MessageError::Malformed { .. })
            ),
            "reply of {end} bytes"
        );
    }
    for (offset, byte) in [(56, 2), (57, 0), (57, 3), (61, 0), (60, 0xff), (59, 0x11)] {
        let mut bytes = query.clone();
        bytes[offset] = byte;
        assert!(
            QueryChunk::from_payload(1, &bytes).is_err(),
            "byte {offset} = {byte}"
        );
    }
    let mut overflow = query.clone();
    overflow[48..56].fill(0xff);
    assert!(QueryChunk::from_payload(1, &overflow).is_err());
    for (offset, byte) in [(65, 2), (60, 0xff), (69, 0xff)] {
        let mut bytes = reply.clone();
        bytes[offset] = byte;
        assert!(
            ReplyChunk::from_payload(1, &bytes).is_err(),
            "byte {offset} = {byte}"
        );
    }
    assert!(ReplyChunk::from_payload(1, &[reply, vec![0]].concat()).is_err());
}

#[test]
fn chunks_in_order() {
    let chunks = [
        query(0, false, &[&[1, 2]]),
        query(1, false, &[&[3, 4], &[5, 6]]),
        query(3, true, &[&[7, 8]]),
    ];
    assert_eq!(read(&stream(&chunks)).unwrap(), chunks);
}

#[test]
fn incomplete_and_mixed_streams_are_refused() {
    let first = query(0, false, &[&[1, 2]]);
    let last = query(1, true, &[&[3, 4]]);
    assert!(matches!(
        read(&[]),
        Err(MessageError::Unfinished { rows: 0, .. })
    ));
    assert!(matches!(
        read(&stream(std::slice::from_ref(&first))),
        Err(MessageError::Unfinished { rows: 1, .. })
    ));
    assert!(matches!(
        read(&stream(std::slice::from_ref(&last))),
        Err(MessageError::OutOfOrder {
            expected: 0,
            found: 1,
            ..
        })
    ));
    assert!(matches!(
        read(&stream(&[first.clone(), first.clone()])),
        Err(MessageError::OutOfOrder {
            expected: 1,
            found: 0,
            ..
        })
    ));
    assert!(matches!(
        read(&stream(&[first.clone(), last.clone(), last.clone()])),
        Err(MessageError::Trailing { .. })
    ));
    let mut foreign = last.clone();
    foreign.head.specs = Hash::of(b"other");
    assert!(matches!(
        read(&stream(&[first.clone(), foreign])),
        Err(MessageError::Mixed { row: 1, .. })
    ));
    let mut foreign = last.clone();
    foreign.head.key = KeyId::from_bytes([8; 16]);
    assert!(matches!(
        read(&stream(&[first.clone(), foreign])),
        Err(MessageError::Mixed { row: 1, .. })
    ));
    let whole = stream(&[first, last]);
    for end in 1..whole.len() {
        assert!(read(&whole[..end]).is_err(), "stream of {end} bytes");
    }
}

#[test]
fn other_kinds_are_named() {
    let error = Chunks::<_, ReplyChunk>::new(stream(&[query(0, true, &[&[1, 2]])]).as_slice())
        .next()
        .unwrap()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "this is a query, not a reply; give the right file"
    );
}

#[test]
fn chunk_sizes() {
    assert_eq!(rows_a_chunk(0), 4096);
    assert_eq!(rows_a_chunk(34_000), 61);
    assert_eq!(rows_a_chunk(1 << 30), 1);
}

/// The same with a nonce.
fn bound(mut chunk: QueryChunk, nonce: u8) -> QueryChunk {
    chunk.head.nonce = Some(Nonce::from_bytes([nonce; 16]));
    chunk
}

/// The same under a public key.
fn public(mut chunk: QueryChunk) -> QueryChunk {
    chunk.head.public = true;
    chunk
}

#[test]
fn version_2_has_a_nonce_behind_the_key() {
    let chunk = bound(query(7, true, &[&[0xaa, 0xbb]]), 3);
    let mut expected = specs().as_bytes().to_vec();
    expected.extend_from_slice(&[9; 16]); // key
    expected.extend_from_slice(&[3; 16]); // nonce
    expected.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]); // first row
    expected.push(1); // last
    expected.extend_from_slice(&[1, 0, 0, 0]); // rows
    expected.extend_from_slice(&[32, 0, 0, 0]); // bytes of a row
    expected.extend_from_slice(&[0xaa, 0xbb].repeat(16));
    assert_eq!(chunk.to_payload(), expected);
    assert_eq!(QueryChunk::from_payload(2, &expected).unwrap(), chunk);
    let reply = ReplyChunk {
        head: chunk.head,
        outcomes: vec![Err("no".into())],
        packed: Vec::new(),
    };
    expected.truncate(81);
    expected.extend_from_slice(&[1, 2, 0, 0, 0, b'n', b'o']);
    assert_eq!(reply.to_payload(), expected);
    assert_eq!(ReplyChunk::from_payload(2, &expected).unwrap(), reply);
    for end in 0..expected.len() {
        assert!(ReplyChunk::from_payload(2, &expected[..end]).is_err());
    }
}

#[test]
fn frames_name_the_version_of_their_chunk() {
    let chunks = [
        query(0, true, &[&[1, 2]]),
        bound(query(0, true, &[&[1, 2]]), 3),
        public(bound(query(0, true, &[&[1, 2]]), 3)),
    ];
    for (chunk, version) in chunks.iter().zip([1, 2, 3]) {
        let bytes = stream(std::slice::from_ref(chunk));
        assert_eq!(bytes[10..12], [version, 0]);
        assert_eq!(read(&bytes).unwrap(), std::slice::from_ref(chunk));
    }
    let mut newer = stream(&chunks[1..]);
    newer[10] = 4;
    assert_eq!(
        read(&newer).unwrap_err().to_string(),
        "query format version 4 is not supported, this build reads versions 1 to 3; make it anew \
         with this build"
    );
}

#[test]
fn chunks_of_two_queries_or_versions_do_not_mix() {
    let first = bound(query(0, false, &[&[1, 2]]), 3);
    let last = query(1, true, &[&[3, 4]]);
    let whole = [first.clone(), bound(last.clone(), 3)];
    assert_eq!(read(&stream(&whole)).unwrap(), whole);
    for other in [bound(last.clone(), 4), public(bound(last.clone(), 3)), last] {
        assert!(matches!(
            read(&stream(&[first.clone(), other])),
            Err(MessageError::Mixed { row: 1, .. })
        ));
    }
}

#[test]
fn nonces_differ() {
    assert_ne!(Nonce::random().unwrap(), Nonce::random().unwrap());
}

/// Five rows in groups of two, results packed.
#[test]
fn groups_and_packed_results() {
    let mut chunk = bound(query(7, true, &[&[1, 2], &[3, 4], &[5]]), 3);
    chunk.head.group = Some(Group { depth: 9, rows: 2 });
    chunk.head.packed = true;
    chunk
        .groups
        .iter_mut()
        .zip([2, 2, 1])
        .for_each(|(group, rows)| group.rows = rows);
    assert_eq!(chunk.len(), 5);
    let mut head = specs().as_bytes().to_vec();
    head.extend_from_slice(&[9; 16]); // key
    head.extend_from_slice(&[3; 16]); // nonce
    head.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]); // first row
    head.push(7); // last, groups, packed
    head.extend_from_slice(&[5, 0, 0, 0]); // rows
    head.extend_from_slice(&[32, 0, 0, 0]); // bytes of a full group
    let mut expected = head.clone();
    expected.push(9); // depth
    expected.extend_from_slice(&[2, 0, 0, 0]); // rows of a full group
    expected.extend_from_slice(&[[1, 2].repeat(16), [3, 4].repeat(16), [5].repeat(16)].concat());
    assert_eq!(chunk.to_payload(), expected);
    assert_eq!(QueryChunk::from_payload(2, &expected).unwrap(), chunk);

    let mut reply = ReplyChunk {
        head: ChunkHead {
            group: None,
            ..chunk.head
        },
        outcomes: vec![Ok(vec![]), Err("no".into()), Ok(vec![])],
        packed: vec![8, 9],
    };
    head[72] = 5; // last, packed
    head[73] = 3;
    head.extend_from_slice(&[0, 1, 2, 0, 0, 0, b'n', b'o', 0, 8, 9]);
    assert_eq!(reply.to_payload(), head);
    assert_eq!(ReplyChunk::from_payload(2, &head).unwrap(), reply);
    // Results of no bytes are none.
    reply.packed.clear();
    assert!(ReplyChunk::from_payload(2, &reply.to_payload()).is_err());
}

#[test]
fn groups_that_do_not_add_up_are_refused() {
    let mut chunk = bound(query(0, true, &[&[1, 2], &[3, 4], &[5]]), 3);
    chunk.head.group = Some(Group { depth: 9, rows: 2 });
    chunk
        .groups
        .iter_mut()
        .zip([2, 2, 1])
        .for_each(|(group, rows)| group.rows = rows);
    let good = chunk.to_payload();
    for end in 0..good.len() {
        assert!(QueryChunk::from_payload(2, &good[..end]).is_err(), "{end}");
    }
    for (offset, byte) in [
        (73, 4),    // rows: the last group would have none
        (73, 6),    // rows: the last group would be full, and is too short
        (73, 7),    // rows: a further group
        (77, 1),    // bytes of a group: too few
        (77, 0),    // none
        (80, 0xff), // far too many
        (82, 0),    // rows of a group: none
        (82, 1),    // one is no group
        (82, 6),    // one group, of more bytes than a full one
        (85, 0xff), // far too many
        (72, 8),    // unknown flag
    ] {
        let mut bytes = good.clone();
        bytes[offset] = byte;
        assert!(
            QueryChunk::from_payload(2, &bytes).is_err(),
            "byte {offset} = {byte}"
        );
    }
    // Version 1 and replies have no groups.
    let mut old = query(0, true, &[&[1, 2]]).to_payload();
    old[56] = 3;
    assert!(QueryChunk::from_payload(1, &old).is_err());
    let mut reply = ReplyChunk {
        head: chunk.head,
        outcomes: vec![Ok(vec![1; 32])],
        packed: Vec::new(),
    };
    assert!(ReplyChunk::from_payload(2, &reply.to_payload()).is_err());
    reply.head.group = None;
    assert!(ReplyChunk::from_payload(2, &reply.to_payload()).is_ok());
    let rows = |depth| {
        let mut chunk = bound(query(0, false, &[&[1, 2]]), 3);
        chunk.head.group = Some(Group { depth, rows: 2 });
        chunk.groups[0].rows = 2;
        chunk
    };
    let mut last = rows(6);
    (last.head.first_row, last.head.last) = (2, true);
    assert!(matches!(
        read(&stream(&[rows(5), last.clone()])),
        Err(MessageError::Mixed { .. })
    ));
    assert!(read(&stream(&[rows(6), last])).is_ok());
}
