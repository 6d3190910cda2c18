//! Rows of one request share ciphertexts: encrypted groups through client, server and back, and
//! what goes wrong in one.

use cipherfn_client::{Answer, Asked, Client, InputRow};
use cipherfn_compiler::{Compiled, Profile};
use cipherfn_protocol::frame::{HEADER_LEN, ParameterSetTag};
use cipherfn_protocol::hash::Sha256;
use cipherfn_protocol::message::{
    Chunk, ChunkHead, Chunks, Group, HEAD_LEN, MAX_HEAD_LEN, QueryChunk, write_chunk,
};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::{
    CheckpointError, Estimate, Key, Model, Progress, Query, QueryError, Stretch,
};
use cipherfn_tests::{Result, compile, input_rows, library_models, own_models};
use std::error::Error;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A model for keys that pack, somebody's keys, and rows.
struct Wide {
    compiled: Compiled,
    client: Client,
    secret: SecretKey,
    model: Model,
    key: Key,
    rows: Vec<InputRow>,
}

impl Wide {
    /// With the first `rows` test rows.
    fn new(folder: &Path, rows: usize) -> Result<Self> {
        Self::with(Profile::Wide, folder, rows)
    }

    fn with(profile: Profile, folder: &Path, rows: usize) -> Result<Self> {
        let compiled = compile(folder, |options| options.profile = profile)?;
        let client = Client::new(compiled.specs.clone())?;
        assert!(!client.key_parts().is_empty(), "linear models pack with it");
        let secret = SecretKey::generate(client.parameter_set())?;
        let test = std::fs::read(folder.join("test.csv"))?;
        let read = input_rows::<Box<dyn Error>, _>(&client, test.as_slice())?;
        Ok(Self {
            model: Model::new(&compiled.bundle)?,
            key: Key::new(&EvaluationKey::generate(&secret)?)?,
            rows: read.take(rows).collect::<Result<_>>()?,
            compiled,
            client,
            secret,
        })
    }

    fn query(&self, rows: &[InputRow]) -> Vec<u8> {
        let nonce = self.client.nonce().expect("random numbers");
        let encoded = self.client.encode(rows);
        let query = self.client.query(&self.secret, nonce, &encoded.rows);
        query.expect("rows of this model")
    }

    /// As a service answers: parsed, checked, and in time.
    fn answer(&self, query: &[u8]) -> Result<Vec<u8>> {
        let query = Query::parse(query)?;
        query.check(&self.model, Some(&self.key))?;
        query.check_reply(&self.model, 4 << 20)?;
        let deadline = Instant::now() + Duration::from_mins(10);
        let reply = query.answer(&self.model, Some(&self.key), &Estimate::default(), deadline)?;
        assert_eq!(reply.failed, 0);
        Ok(reply.bytes)
    }

    fn open(&self, reply: &[u8]) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        self.client.decrypt(&self.secret, None, reply, |more| {
            answers.extend(more);
            Ok::<_, Box<dyn Error>>(())
        })?;
        Ok(answers)
    }

    /// Scores are the model's within the stated precision, and a step where noise moves them over
    /// its boundary.
    fn assert_same(&self, one: &Answer, other: &Answer) {
        let [one, other] = [one, other].map(|answer| {
            let prediction = answer.prediction.as_ref();
            &prediction.unwrap_or_else(|| panic!("{answer:?}")).scores
        });
        let decodings = &self.client.specs().specs().decoding.scores;
        for ((one, other), decoding) in one.iter().zip(other).zip(decodings) {
            assert!(
                (one - other).abs() <= 2.0 * decoding.precision.get(),
                "{one} and {other}"
            );
        }
    }
}

/// A tree of two classes.
static TREE: LazyLock<Wide> =
    LazyLock::new(|| Wide::new(&library_models().join("dt_bc"), 6).expect("a wide model"));

fn only_chunk(query: &[u8]) -> (ParameterSetTag, QueryChunk) {
    let mut chunks = Chunks::<_, QueryChunk>::new(query);
    let chunk = chunks.next().expect("a chunk").expect("a query");
    assert!(chunks.next().is_none());
    chunk
}

/// Trees and linear models, of two and of several classes, and both beside each other.
#[test]
fn a_batch_is_answered_like_its_rows() {
    for folder in [
        library_models().join("dt_bc"),
        library_models().join("logreg_bc"),
        library_models().join("logreg_digits"),
        library_models().join("voting_mixed"),
        own_models().join("dt_iris"),
    ] {
        let name = folder.display();
        let wide = Wide::new(&folder, 5).unwrap_or_else(|error| panic!("{name}: {error}"));
        let rows = wide.rows.len();
        let query = wide.query(&wide.rows);
        let reply = wide.answer(&query).unwrap();
        assert_eq!(query.len(), wide.client.query_bytes(rows), "{name}");
        assert_eq!(reply.len(), wide.client.reply_bytes(rows), "{name}");
        // Less than two rows alone, replies with one mask an output and a byte a row.
        let (query_row, reply_row) = (wide.client.query_row_bytes(), wide.client.reply_row_bytes());
        let shares = wide.client.rows_a_group() > 1;
        assert!(!shares || query.len() < 2 * query_row, "{name}");
        assert!(reply.len() < 2 * reply_row, "{name}");
        let (_, chunk) = only_chunk(&query);
        assert_eq!(chunk.head.group.is_some(), shares, "{name}");
        assert!(chunk.head.packed, "{name}");

        let batch = wide.open(&reply).unwrap();
        assert_eq!(batch.len(), rows);
        for (row, answer) in wide.rows.iter().zip(&batch) {
            // A single row travels as it always did.
            let query = wide.query(std::slice::from_ref(row));
            assert_eq!(query.len(), HEADER_LEN + HEAD_LEN + query_row);
            let (_, chunk) = only_chunk(&query);
            assert_eq!((chunk.head.group, chunk.head.packed), (None, false));
            let reply = wide.answer(&query).unwrap();
            assert_eq!(reply.len(), HEADER_LEN + HEAD_LEN + 1 + reply_row);
            wide.assert_same(&wide.open(&reply).unwrap()[0], answer);
        }
    }
}

/// The other rows of a request are answered, and those that are not never look like a score of
/// zero.
#[test]
fn a_ciphertext_that_cannot_be_read_fails_the_rows_that_share_it() {
    let wide = &*TREE;
    let (tag, first) = only_chunk(&wide.query(&wide.rows[..3]));
    let (_, second) = only_chunk(&wide.query(&wide.rows[3..]));
    let mut chunk = first.clone();
    chunk.groups.extend(second.groups);
    chunk.groups[1].bytes.pop();
    let reply = wide.model.answer(Some(&wide.key), &chunk);
    assert!(reply.head.packed);
    let mut bytes = Vec::new();
    write_chunk(&mut bytes, tag, &reply).unwrap();
    let answers = wide.open(&bytes).unwrap();
    assert_eq!(answers.len(), 6);
    let alone = wide.open(&wide.answer(&wide.query(&wide.rows[..3])).unwrap());
    for (answer, alone) in answers.iter().zip(alone.unwrap()) {
        wide.assert_same(&alone, answer);
    }
    for answer in &answers[3..] {
        assert!(answer.prediction.is_none());
        let remark = answer.remark.as_deref().unwrap_or_default();
        assert!(remark.contains("that 3 rows share"), "{remark}");
    }

    // Without the key nothing is answered, and every row says so.
    let reply = wide.model.answer(None, &chunk);
    assert!(reply.outcomes.iter().all(std::result::Result::is_err));
    assert!(reply.packed.iter().all(|byte| *byte == 0));
}

/// What a head says is held against the model before anything is made of it.
#[test]
fn heads_that_lie_are_refused() {
    let wide = &*TREE;
    let (tag, good) = only_chunk(&wide.query(&wide.rows));
    let group = good.head.group.expect("rows share ciphertexts");
    let check = |chunk: &QueryChunk| wide.model.check(tag, chunk, Some(&wide.key));
    assert!(check(&good).is_ok());
    let with = |change: &dyn Fn(&mut ChunkHead)| {
        let mut chunk = good.clone();
        change(&mut chunk.head);
        check(&chunk)
    };
    let of = |depth, rows| move |head: &mut ChunkHead| head.group = Some(Group { depth, rows });
    for depth in [0, 4, group.depth - 1, 12, 63, 64, 255] {
        assert_eq!(
            with(&of(depth, group.rows)),
            Err(QueryError::Form),
            "{depth}"
        );
    }
    for rows in [2, group.rows + 1, 1 << 20, u32::MAX] {
        let result = with(&of(group.depth, rows));
        // As many as still fit the same ciphertext make no difference.
        assert!(rows == 2 || result == Err(QueryError::Form), "{rows}");
    }
    assert_eq!(with(&|head| head.row_len -= 1), Err(QueryError::Form));
    let mut short = good.clone();
    short.groups[0].bytes.pop();
    assert_eq!(check(&short), Err(QueryError::Form));
    let mut more = good.clone();
    more.groups[0].rows = 1 << 20;
    assert_eq!(check(&more), Err(QueryError::Form));

    // The lie may also be in bytes: nothing that a service reads makes it panic.
    let mut bytes = Vec::new();
    write_chunk(&mut bytes, tag, &good).unwrap();
    for at in HEADER_LEN + 72..HEADER_LEN + MAX_HEAD_LEN {
        for byte in [0, 1, 2, 7, 0x7f, 0xff] {
            let mut payload = bytes[HEADER_LEN..].to_vec();
            payload[at - HEADER_LEN] = byte;
            if let Ok(chunk) = QueryChunk::from_payload(2, &payload)
                && wide.model.check(tag, &chunk, Some(&wide.key)).is_err()
            {
                assert!(chunk.len() <= payload.len() << 8);
            }
        }
    }
}

/// Keys that cannot clear what lies beside results do not pack them; linear models share nothing.
#[test]
fn models_that_cannot_are_not_asked_to() {
    let folder = library_models().join("dt_bc");
    let compiled = compile(&folder, |options| options.profile = Profile::Compact).unwrap();
    let client = Client::new(compiled.specs.clone()).unwrap();
    let secret = SecretKey::generate(client.parameter_set()).unwrap();
    let model = Model::new(&compiled.bundle).unwrap();
    let key = Key::new(&EvaluationKey::generate(&secret).unwrap()).unwrap();
    let test = std::fs::read(folder.join("test.csv")).unwrap();
    let rows = input_rows::<Box<dyn Error>, _>(&client, test.as_slice()).unwrap();
    let rows: Vec<InputRow> = rows.take(3).map(std::result::Result::unwrap).collect();
    let nonce = client.nonce().unwrap();
    let query = client.query(&secret, nonce, &client.encode(&rows).rows);
    let (tag, mut chunk) = only_chunk(&query.unwrap());
    // Small rows share ciphertexts in every packed profile.
    assert!(chunk.head.group.is_some() && !chunk.head.packed);
    assert!(model.check(tag, &chunk, Some(&key)).is_ok());
    let mut bytes = Vec::new();
    write_chunk(&mut bytes, tag, &model.answer(Some(&key), &chunk)).unwrap();
    let asked = Asked { nonce, rows: 3 };
    let answers = client.open(&secret, asked, 0, &bytes).unwrap();
    assert!(answers.iter().all(|answer| answer.prediction.is_some()));
    chunk.head.packed = true;
    assert!(matches!(
        model.check(tag, &chunk, Some(&key)),
        Err(QueryError::CannotPack { .. })
    ));

    let linear = Wide::new(&library_models().join("logreg_bc"), 3).unwrap();
    let (tag, mut chunk) = only_chunk(&linear.query(&linear.rows));
    assert!(linear.model.check(tag, &chunk, Some(&linear.key)).is_ok());
    assert_eq!(
        linear.model.check(tag, &chunk, None),
        Err(QueryError::NoKey),
        "results are packed with it"
    );
    chunk.head.group = Some(Group { depth: 11, rows: 2 });
    assert_eq!(
        linear.model.check(tag, &chunk, Some(&linear.key)),
        Err(QueryError::Form)
    );
    assert!(linear.compiled.report.sizes.evaluation_key > 0);
}

/// Rows in two chunks, evaluated by one server a wave, each of which goes on from the file that the
/// one before it has left: packed and apart, the bits are those of one server.
#[test]
fn an_interrupted_answer_has_the_same_bits() {
    let folder = library_models().join("dt_bc");
    for profile in [Profile::Wide, Profile::Compact] {
        let wide = Wide::with(profile, &folder, 12).expect("a model");
        let bytes = two_chunks(&wide);
        let query = Query::parse(&bytes).unwrap();
        let (model, key) = (&wide.model, Some(&wide.key));
        let sum = |byte| Sha256::from_bytes([byte; 32]);
        let (estimate, mut file, mut last) = (Estimate::default(), Vec::new(), 0);
        let mut interruptions = 0;
        let now = || Instant::now();
        let reply = loop {
            let mut progress = match interruptions {
                0 => Progress::default(),
                _ => Progress::from_file_bytes(&file, sum(1), query.tag()).unwrap(),
            };
            assert_eq!(progress.rows(), last);
            let stretch = Stretch {
                pause: now(),
                end: now() + Duration::from_mins(10),
            };
            let pace = (&estimate, stretch);
            if let Some(reply) = query.go_on(model, key, &mut progress, pace).unwrap() {
                break reply;
            }
            assert!(progress.rows() > last);
            last = progress.rows();
            file = progress.to_file_bytes(sum(1), query.tag());
            interruptions += 1;
        };
        assert!(interruptions > 1, "{interruptions}");
        assert_eq!(reply.bytes, wide.answer(&bytes).unwrap());

        // A stretch that is over changes nothing; neither does one under another query or model.
        let before = Progress::from_file_bytes(&file, sum(1), query.tag()).unwrap();
        let mut progress = before.clone();
        let over = Stretch {
            pause: now(),
            end: now(),
        };
        let done = query.go_on(model, key, &mut progress, (&estimate, over));
        assert!(done.unwrap().is_none() && progress.rows() == before.rows());
        let other = Progress::from_file_bytes(&file, sum(2), query.tag());
        assert!(matches!(other, Err(CheckpointError::OtherQuery)));
        let alone = wide.query(&wide.rows[..1]);
        let alone = Query::parse(&alone).unwrap();
        let foreign = alone.go_on(model, key, &mut progress, (&estimate, over));
        assert!(matches!(foreign, Err(CheckpointError::Foreign)));
    }
}

/// A query of two chunks of half the rows each.
fn two_chunks(wide: &Wide) -> Vec<u8> {
    let nonce = wide.client.nonce().expect("random numbers");
    let half = wide.rows.len() / 2;
    let mut query = Vec::new();
    for first in [0, half] {
        let encoded = wide.client.encode(&wide.rows[first..first + half]);
        let part = wide.client.query(&wide.secret, nonce, &encoded.rows);
        let (tag, mut chunk) = only_chunk(&part.expect("rows of this model"));
        chunk.head.first_row = first as u64;
        chunk.head.last = first > 0;
        write_chunk(&mut query, tag, &chunk).expect("memory takes all");
    }
    query
}
