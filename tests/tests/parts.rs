//! Models in parts: what the parts make of a query, added, is its reply; and what is not all of it
//! never is.

use cipherfn_client::{Answer, Client, InputRow};
use cipherfn_compiler::{Compiled, Profile};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::{Estimate, Key, Model, Part, Query, Reply, SumsError};
use cipherfn_tests::{Result, compile, input_rows, library_models};
use std::error::Error;
use std::time::{Duration, Instant};

const PARTS: u32 = 3;
const DIGEST: Sha256 = Sha256::from_bytes([1; 32]);

/// A model, its parts, somebody's keys, and rows.
struct Cut {
    compiled: Compiled,
    client: Client,
    secret: SecretKey,
    key: Option<Key>,
    whole: Model,
    parts: Vec<Model>,
    rows: Vec<InputRow>,
}

impl Cut {
    fn new(name: &str, profile: Profile, rows: usize) -> Result<Self> {
        let folder = library_models().join(name);
        let compiled = compile(&folder, |options| options.profile = profile)?;
        let client = Client::new(compiled.specs.clone())?;
        let secret = SecretKey::generate(client.parameter_set())?;
        let key = if client.key_parts().is_empty() {
            None
        } else {
            Some(Key::new(&EvaluationKey::generate(&secret)?)?)
        };
        let test = std::fs::read(folder.join("test.csv"))?;
        let read = input_rows::<Box<dyn Error>, _>(&client, test.as_slice())?;
        Ok(Self {
            whole: Model::new(&compiled.bundle)?,
            parts: parts(&compiled, b"stored")?,
            rows: read.take(rows).collect::<Result<_>>()?,
            key,
            compiled,
            client,
            secret,
        })
    }

    fn query(&self) -> Query {
        let nonce = self.client.nonce().expect("random numbers");
        let encoded = self.client.encode(&self.rows);
        let query = self.client.query(&self.secret, nonce, &encoded.rows);
        Query::parse(&query.expect("rows of this model")).expect("a query")
    }

    fn sums(&self, model: &Model, query: &Query) -> Vec<u8> {
        let (estimate, deadline) = clock();
        let sums = query.sums(model, self.key.as_ref(), DIGEST, &estimate, deadline);
        sums.expect("sums")
    }

    fn all_sums(&self, query: &Query) -> Vec<Vec<u8>> {
        let parts = self.parts.iter();
        parts.map(|part| self.sums(part, query)).collect()
    }

    fn add(&self, query: &Query, sums: &[Vec<u8>]) -> std::result::Result<Reply, SumsError> {
        let (estimate, deadline) = clock();
        let key = self.key.as_ref();
        query.add(&self.parts[0], key, (DIGEST, sums), &estimate, deadline)
    }

    fn open(&self, reply: &[u8]) -> Vec<Answer> {
        let mut answers = Vec::new();
        let decrypted = self.client.decrypt(&self.secret, None, reply, |more| {
            answers.extend(more);
            Ok::<_, Box<dyn Error>>(())
        });
        decrypted.expect("a reply");
        answers
    }

    fn answer(&self, query: &Query) -> Vec<u8> {
        let (estimate, deadline) = clock();
        let reply = query.answer(&self.whole, self.key.as_ref(), &estimate, deadline);
        reply.expect("in time").bytes
    }
}

fn clock() -> (Estimate, Instant) {
    let deadline = Instant::now() + Duration::from_mins(10);
    (Estimate::default(), deadline)
}

/// All parts of a bundle whose file hashes like these bytes.
fn parts(compiled: &Compiled, file: &[u8]) -> Result<Vec<Model>> {
    let part = |number| {
        let part = Part { number, of: PARTS };
        let bundle = compiled.bundle.clone();
        Ok(Model::of_part(bundle, Hash::of(file), part, 8 << 30)?)
    };
    (0..PARTS).map(part).collect()
}

fn xgb(rows: usize) -> Cut {
    Cut::new("xgb_bc", Profile::Balanced, rows).expect("a model")
}

/// Of trees, of trees and a linear model, of a linear model alone; packed and not.
#[test]
fn the_sum_of_the_parts_is_the_reply() {
    let cases = [
        ("xgb_bc", Profile::Balanced, 4),
        ("xgb_bc", Profile::Wide, 4),
        ("xgb_wine", Profile::Balanced, 1),
        ("voting_mixed", Profile::Wide, 2),
        ("linreg_diabetes", Profile::Balanced, 2),
    ];
    for (name, profile, rows) in cases {
        let cut = Cut::new(name, profile, rows).unwrap_or_else(|error| panic!("{name}: {error}"));
        let query = cut.query();
        let reply = cut.add(&query, &cut.all_sums(&query)).expect("all parts");
        assert_eq!(reply.failed, 0, "{name}");
        let whole = cut.answer(&query);
        assert_eq!(reply.bytes.len(), whole.len(), "{name}");
        let (parts, whole) = (cut.open(&reply.bytes), cut.open(&whole));
        assert_eq!((parts.len(), whole.len()), (rows, rows));
        let decodings = &cut.client.specs().specs().decoding.scores;
        for (part, whole) in parts.iter().zip(&whole) {
            let [part, whole] =
                [part, whole].map(|answer| answer.prediction.as_ref().expect("a prediction"));
            let scores = part.scores.iter().zip(&whole.scores).zip(decodings);
            for ((part, whole), decoding) in scores {
                // Both are as exact as the specs say.
                let difference = (part - whole).abs();
                let precision = decoding.precision.get();
                assert!(difference <= 2.0 * precision, "{name}: {part} {whole}");
            }
        }
    }
}

/// Whole replies differ only where 64-bit numbers were rounded in another order, which replies of 20
/// bits or so do not show: whatever order the sums are added in, it is the same reply.
#[test]
fn the_order_of_the_parts_does_not_matter() {
    let cut = xgb(2);
    let query = cut.query();
    let mut sums = cut.all_sums(&query);
    let reply = cut.add(&query, &sums).expect("all parts").bytes;
    sums.rotate_left(1);
    assert_eq!(cut.add(&query, &sums).expect("all parts").bytes, reply);
    // And so it is whoever evaluates the parts.
    assert_eq!(cut.all_sums(&query)[0], sums[2]);
}

#[test]
fn less_or_other_than_all_parts_is_no_reply() {
    let cut = xgb(1);
    let (query, other) = (cut.query(), cut.query());
    let sums = cut.all_sums(&query);
    let refused = |sums: &[Vec<u8>]| match cut.add(&query, sums) {
        Ok(_) => panic!("a reply"),
        Err(error) => error,
    };
    for missing in 0..sums.len() {
        let mut some = sums.clone();
        some.remove(missing);
        let error = refused(&some);
        let found =
            matches!(error, SumsError::Missing { number, of: PARTS } if number as usize == missing);
        assert!(found, "{error}");
    }
    let none = refused(&[]);
    assert!(matches!(
        none,
        SumsError::Missing {
            number: 0,
            of: PARTS
        }
    ));
    let doubled = [sums.clone(), vec![sums[1].clone()]].concat();
    let error = refused(&doubled);
    assert!(
        matches!(error, SumsError::Number { number: 1, .. }),
        "{error}"
    );
    let twice = [sums[0].clone(), sums[1].clone(), sums[1].clone()];
    let error = refused(&twice);
    assert!(
        matches!(error, SumsError::Number { number: 1, .. }),
        "{error}"
    );

    // A part of another query, of another cut, and of a bundle with the same specs.
    let with = |sum: Vec<u8>| [sums[0].clone(), sum, sums[2].clone()];
    let (estimate, deadline) = clock();
    let digest = Sha256::from_bytes([2; 32]);
    let key = cut.key.as_ref();
    let of_other = other.sums(&cut.parts[1], key, digest, &estimate, deadline);
    let error = refused(&with(of_other.expect("sums")));
    assert!(matches!(error, SumsError::Other { number: 1 }), "{error}");
    let part = Part { number: 1, of: 2 };
    let bundle = cut.compiled.bundle.clone();
    let half = Model::of_part(bundle, Hash::of(b"stored"), part, 8 << 30).expect("a part");
    let error = refused(&with(cut.sums(&half, &query)));
    assert!(matches!(error, SumsError::Other { number: 1 }), "{error}");
    let again = parts(&cut.compiled, b"compiled again").expect("parts");
    let error = refused(&with(cut.sums(&again[1], &query)));
    assert!(matches!(error, SumsError::Other { number: 1 }), "{error}");

    // Damaged bytes.
    for at in [0, 9, 60, 140, sums[1].len() - 1] {
        let mut damaged = sums[1].clone();
        damaged[at] ^= 1;
        let error = refused(&with(damaged));
        assert!(matches!(error, SumsError::Frame(_)), "{at}: {error}");
    }
    let error = refused(&with(sums[1][..sums[1].len() - 1].to_vec()));
    assert!(matches!(error, SumsError::Frame(_)), "{error}");
    assert!(cut.add(&query, &sums).is_ok());
}

/// What fails in any part has failed, and says why.
#[test]
fn a_row_that_a_part_cannot_evaluate_fails() {
    let cut = xgb(1);
    let query = cut.query();
    let mut sums = cut.all_sums(&query);
    let (estimate, deadline) = clock();
    // Without the key nothing is expanded.
    let failed = query.sums(&cut.parts[2], None, DIGEST, &estimate, deadline);
    sums[2] = failed.expect("sums that say so");
    let reply = cut.add(&query, &sums).expect("a reply");
    assert_eq!(reply.failed, 1);
    let answers = cut.open(&reply.bytes);
    assert!(answers[0].prediction.is_none());
    assert!(answers[0].remark.is_some(), "{answers:?}");
}

#[test]
#[should_panic(expected = "a part of a model answers nothing")]
fn parts_answer_no_query() {
    let cut = xgb(1);
    let (estimate, deadline) = clock();
    let key = cut.key.as_ref();
    drop(cut.query().answer(&cut.parts[0], key, &estimate, deadline));
}
