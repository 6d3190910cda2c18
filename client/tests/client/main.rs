//! Encryption and decryption of whole batches, against a server that returns what it got.

mod echo;

use cipherfn_client::{Answer, Asked, Batch, Client, ClientError, Column, InputRow, Mark, Values};
use cipherfn_program::{
    EntryKind, Op, ProgramBuilder, RowProgram, ScoreUnits, Tensor, TensorType, UnaryFunction,
};
use cipherfn_protocol::frame::FrameError;
use cipherfn_protocol::message::{
    Chunk, ChunkHead, Chunks, MessageError, QueryChunk, ReplyChunk, write_chunk,
};
use cipherfn_protocol::specs::{
    Bits, ClientSpecs, OutputField, Relation, ScoreDecoding, SpecsDocument,
};
use cipherfn_scheme::SecretKey;
use echo::{answer, answer_with, set, specs};

fn client() -> Client {
    Client::from_specs(&specs("echo")).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "rows on their way in may be bad")]
fn row(value: f32) -> InputRow {
    Ok(vec![Tensor::F32(vec![value])])
}

fn encrypt(client: &Client, key: &SecretKey, rows: Vec<InputRow>) -> Result<Vec<u8>, ClientError> {
    let mut query = Vec::new();
    client.encrypt::<ClientError>(key, rows.into_iter().map(Ok), &mut query, |_| ())?;
    Ok(query)
}

fn decrypt(client: &Client, key: &SecretKey, reply: &[u8]) -> Result<Vec<Answer>, ClientError> {
    let mut answers = Vec::new();
    client.decrypt(key, None, reply, |more| {
        answers.extend(more);
        Ok::<_, ClientError>(())
    })?;
    Ok(answers)
}

fn values(client: &Client, answers: &[Answer]) -> Vec<f64> {
    match client
        .predictions(answers)
        .column("prediction")
        .unwrap()
        .values()
    {
        Values::F64(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_come_back_to_the_stated_precision() {
    let (client, key) = (client(), SecretKey::generate(set()).unwrap());
    let query = encrypt(&client, &key, [-2.0, 0.24, 1.5].map(row).to_vec()).unwrap();
    let answers = decrypt(&client, &key, &answer(&query)).unwrap();
    assert_eq!(values(&client, &answers), [-2.0, 0.25, 1.5]);
    let margins = &answers[0].prediction.as_ref().unwrap().margins;
    assert!((margins[0][0] - 0.001).abs() < 1e-9, "{margins:?}");
}

#[test]
fn many_chunks_keep_their_order() {
    let (client, key) = (client(), SecretKey::generate(set()).unwrap());
    let rows = 2 * client.rows_a_chunk() + 3;
    let value = |row: usize| f64::from(row as u32 % 33) / 8.0 - 2.0;
    let inputs = (0..rows).map(|number| row(value(number) as f32)).collect();
    let query = encrypt(&client, &key, inputs).unwrap();
    let answers = decrypt(&client, &key, &answer(&query)).unwrap();
    let expected: Vec<f64> = (0..rows).map(value).collect();
    assert_eq!(values(&client, &answers), expected);
}

#[test]
fn failed_rows_have_a_reason_and_no_prediction() {
    let (client, key) = (client(), SecretKey::generate(set()).unwrap());
    let query = encrypt(&client, &key, [1.0, -1.0, 0.0].map(row).to_vec()).unwrap();
    let reply = answer_with(&query, |row, bytes| {
        if row == 1 {
            Err("out of \u{1b}[31mluck\n".into())
        } else {
            Ok(bytes)
        }
    });
    let answers = decrypt(&client, &key, &reply).unwrap();
    assert_eq!(answers[1].prediction, None);
    // Nothing that a terminal would obey.
    let remark = "the service: out of  [31mluck ";
    assert_eq!(answers[1].remark.as_deref(), Some(remark));
    let predictions = client.predictions(&answers);
    let validity = predictions.column("prediction").unwrap().validity();
    assert_eq!(validity, Some(&[true, false, true][..]));
}

#[test]
fn what_the_server_sees_does_not_depend_on_values() {
    let (client, key) = (client(), SecretKey::generate(set()).unwrap());
    let bad = vec![
        row(1.0),
        row(f32::NAN),
        Err("unreadable".into()),
        row(f32::INFINITY),
        row(2.5),
    ];
    let encoded = client.encode(&bad);
    let nonce = client.nonce().unwrap();
    let query = client.query(&key, nonce, &encoded.rows).unwrap();
    let good = encrypt(&client, &key, vec![row(1.0); 5]).unwrap();
    assert_eq!(query.len(), good.len());
    let chunks: Vec<_> = Chunks::<_, QueryChunk>::new(query.as_slice())
        .map(|chunk| chunk.unwrap().1.len())
        .collect();
    assert_eq!(chunks, [5]);

    let asked = Asked { nonce, rows: 5 };
    let answers = client.open(&key, asked, 0, &answer(&query)).unwrap();
    assert_eq!(client.marks(&bad).collect::<Vec<_>>(), encoded.marks);
    let marked = answers.into_iter().zip(encoded.marks);
    let answers: Vec<_> = marked.map(|(answer, mark)| answer.marked(mark)).collect();
    let predicted: Vec<_> = answers
        .iter()
        .map(|answer| {
            answer
                .prediction
                .as_ref()
                .map(|prediction| prediction.scores[0])
        })
        .collect();
    assert_eq!(predicted, [Some(1.0), None, None, Some(2.0), Some(2.0)]);
    let remark = |row: usize| answers[row].remark.as_deref().unwrap_or_default();
    assert_eq!(remark(0), "");
    assert!(remark(1).contains("\"x\" is missing"), "{}", remark(1));
    assert_eq!(remark(2), "unreadable");
    assert!(remark(3).starts_with("\"x\" is inf, and was limited to the range -2 to 2"));
    assert!(remark(4).starts_with("\"x\" is 2.5, and was limited"));
}

/// Values inside their ranges that do not relate as they should: answered, with a remark, and nothing of
/// it shows in the query.
#[test]
fn rows_that_break_a_relation_are_marked_and_answered() {
    let document = SpecsDocument::from_json_bytes(&specs("echo")).unwrap();
    let relation = |limit: f64, names: &[&str]| Relation {
        terms: vec![(0, 1.0)],
        centre: 0.5,
        limit,
        names: names.iter().map(|own| (*own).to_owned()).collect(),
    };
    let related = SpecsDocument::new(ClientSpecs {
        relations: vec![
            relation(1.0, &["open", "close"]),
            relation(1.25, &["x"]),
            relation(0.75, &["low", "high", "close"]),
        ],
        ..document.specs().clone()
    });
    let client = Client::new(related.unwrap()).unwrap();
    let key = SecretKey::generate(set()).unwrap();
    let rows = [1.0, -0.5, 2.5].map(row).to_vec();
    let query = encrypt(&client, &key, rows.clone()).unwrap();
    let sound = encrypt(&client, &key, [1.0, 1.0, 1.0].map(row).to_vec()).unwrap();
    assert_eq!(query.len(), sound.len());
    let answers = decrypt(&client, &key, &answer(&query)).unwrap();
    let marked = answers.into_iter().zip(client.marks(&rows));
    let answers: Vec<Answer> = marked.map(|(answer, mark)| answer.marked(mark)).collect();
    assert_eq!(values(&client, &answers), [1.0, -0.5, 2.0]);
    let remark = |row: usize| answers[row].remark.as_deref().unwrap_or_default();
    assert_eq!(remark(0), "");
    // The one that is broken most.
    let broken = "\"low\", \"high\" and \"close\" do not relate as in the rows that the model was compiled \
                  for: they are off by 1.3 times the limit";
    assert!(remark(1).starts_with(broken), "{}", remark(1));
    // 2.5 is limited to 2, and 2 is too far off as well.
    let limited = "\"x\" is 2.5, and was limited to the range -2 to 2";
    assert!(remark(2).starts_with(limited), "{}", remark(2));
    assert!(remark(2).contains("off by 2.0 times"), "{}", remark(2));
    let alone = SpecsDocument::new(ClientSpecs {
        relations: vec![relation(1.0, &["x"])],
        ..document.specs().clone()
    });
    let client = Client::new(alone.unwrap()).unwrap();
    let Some(Mark::Limited(remark)) = client.marks(&[row(2.0)]).next() else {
        panic!("it is marked")
    };
    assert!(
        remark.starts_with("\"x\" does not relate to the others"),
        "{remark}"
    );
}

#[test]
fn an_unusable_row_has_no_answer_whatever_the_server_says() {
    let prediction = cipherfn_client::Prediction {
        scores: vec![1.0],
        outputs: vec![Tensor::F64(vec![1.0])],
        margins: vec![vec![0.0]],
    };
    let answer = Answer {
        prediction: Some(prediction),
        remark: None,
    };
    assert_eq!(answer.clone().marked(Mark::Sound), answer);
    // Nothing that a terminal would obey, wherever it is from.
    let remark = |mark| answer.clone().marked(mark).remark;
    let limited = remark(Mark::Limited("to\u{7}o far".into()));
    assert_eq!(limited.as_deref(), Some("to o far"));
    let marked = answer.marked(Mark::Unusable("\u{1b}no".into()));
    assert_eq!(
        (marked.prediction, marked.remark.as_deref()),
        (None, Some(" no"))
    );
}

/// The reply with other heads: what a service can make of one.
fn forged(reply: &[u8], change: impl Fn(&mut ReplyChunk)) -> Vec<u8> {
    let mut forged = Vec::new();
    for chunk in Chunks::<_, ReplyChunk>::new(reply) {
        let (tag, mut chunk) = chunk.unwrap();
        change(&mut chunk);
        write_chunk(&mut forged, tag, &chunk).unwrap();
    }
    forged
}

#[test]
fn a_reply_answers_what_was_asked() {
    let (client, key) = (client(), SecretKey::generate(set()).unwrap());
    let nonce = client.nonce().unwrap();
    let rows = client.encode(&[row(1.0), row(0.5)]).rows;
    let reply = answer(&client.query(&key, nonce, &rows).unwrap());
    let asked = Asked { nonce, rows: 2 };
    let open = |asked, reply: &[u8]| client.open(&key, asked, 0, reply);
    assert_eq!(open(asked, &reply).unwrap().len(), 2);
    for rows in [1, 3] {
        let error = open(Asked { rows, ..asked }, &reply).unwrap_err();
        assert!(
            matches!(error, ClientError::RowCount { found: 2, expected } if expected == rows),
            "{error}"
        );
    }
    let other = Asked {
        nonce: client.nonce().unwrap(),
        rows: 2,
    };
    assert!(matches!(open(other, &reply), Err(ClientError::OtherQuery)));
    // Version 1 has no nonce by which to know the rows that mean nothing: refused with and without.
    let older = forged(&reply, |chunk| chunk.head.nonce = None);
    for refused in [open(asked, &older), decrypt(&client, &key, &older)] {
        assert!(matches!(
            refused,
            Err(ClientError::ReplyVersion { found: 1 })
        ));
    }
    // Many rows in few bytes are refused by their number, before they are decrypted.
    let packed = forged(&reply, |chunk| {
        chunk.head.packed = true;
        chunk.outcomes = vec![Ok(Vec::new()); 1 << 20];
        chunk.packed = vec![0; 8];
    });
    assert!(matches!(
        open(asked, &packed),
        Err(ClientError::RowCount { .. })
    ));
    let packed = forged(&reply, |chunk| {
        chunk.head.packed = true;
        chunk.outcomes = vec![Ok(Vec::new()); 2];
        chunk.packed = vec![0; 8];
    });
    assert!(matches!(open(asked, &packed), Err(ClientError::Packed)));
}

#[test]
fn columns_of_other_kinds_are_converted_and_checked() {
    let client = client();
    let input = |column: Column| {
        let batch = Batch::new().with("x", column);
        client.rows(&batch).unwrap().swap_remove(0)
    };
    assert_eq!(input(Values::F64(vec![0.5]).into()), row(0.5));
    assert_eq!(input(Values::I64(vec![-1]).into()), row(-1.0));
    assert_eq!(input(Values::Bool(vec![true]).into()), row(1.0));
    let text = input(Values::Text(vec!["0.5".into()]).into()).unwrap_err();
    assert!(text.starts_with("column \"x\": \"0.5\" is text"), "{text}");
    let missing = input(Column::new(Values::I64(vec![1]), Some(vec![false]))).unwrap_err();
    assert!(missing.contains("no rule for missing values"), "{missing}");
    let other = Batch::new().with("X", Values::F64(vec![0.5]));
    assert!(matches!(
        client.rows(&other),
        Err(ClientError::MissingColumns { .. })
    ));
}

#[test]
fn a_client_speaks_the_version_of_its_specs() {
    let key = SecretKey::generate(set()).unwrap();
    let document = SpecsDocument::from_json_bytes(&specs("echo")).unwrap();
    let older = document
        .version_1()
        .unwrap()
        .expect("one input, one output");
    for (document, version) in [(document, 2), (older, 1)] {
        let client = Client::new(document).unwrap();
        let query = encrypt(&client, &key, vec![row(1.0)]).unwrap();
        let heads: Vec<ChunkHead> = Chunks::<_, QueryChunk>::new(query.as_slice())
            .map(|chunk| chunk.unwrap().1.head)
            .collect();
        assert_eq!(
            heads.iter().map(ChunkHead::version).collect::<Vec<_>>(),
            [version]
        );
        assert!(decrypt(&client, &key, &answer(&query)).is_ok());
    }
}

#[test]
fn replies_of_other_keys_and_specs_are_refused() {
    let (client, key) = (client(), SecretKey::generate(set()).unwrap());
    let query = encrypt(&client, &key, vec![row(1.0)]).unwrap();
    let reply = answer(&query);
    let other_key = SecretKey::generate(set()).unwrap();
    assert!(matches!(
        decrypt(&client, &other_key, &reply),
        Err(ClientError::OtherKey { .. })
    ));
    let other_client = Client::from_specs(&specs("another name")).unwrap();
    assert!(matches!(
        decrypt(&other_client, &key, &reply),
        Err(ClientError::OtherSpecs { .. })
    ));
    assert!(matches!(
        decrypt(&client, &key, &query),
        Err(ClientError::Message(MessageError::Frame(
            FrameError::WrongKind { .. }
        )))
    ));
    assert!(matches!(
        decrypt(&client, &key, &reply[..reply.len() - 1]),
        Err(ClientError::Message(_))
    ));
}

#[test]
fn specs_of_another_build_are_refused() {
    let json = String::from_utf8(specs("echo"))
        .unwrap()
        .replace(&set().hash().to_string(), &"0".repeat(64));
    assert!(matches!(
        Client::from_specs(json.as_bytes()),
        Err(ClientError::ParameterSet { .. })
    ));
    let json = String::from_utf8(specs("echo"))
        .unwrap()
        .replace(set().name, "cipherfn-64-fast");
    assert!(Client::from_specs(json.as_bytes()).is_err());
}

/// The echo model's specs, changed.
fn changed(change: impl FnOnce(&mut ClientSpecs)) -> Vec<u8> {
    let document = SpecsDocument::from_json_bytes(&specs("echo")).unwrap();
    let mut specs = document.specs().clone();
    change(&mut specs);
    SpecsDocument::new(specs).unwrap().bytes().to_vec()
}

#[test]
fn several_values_have_names_of_their_own() {
    let names = |outputs: usize| {
        let specs = changed(|specs| {
            let program = ProgramBuilder::new(specs.postprocess.inputs().to_vec()).unwrap();
            let score = program.input(0);
            specs.postprocess = program.finish(&vec![score; outputs]).unwrap();
            specs.outputs = vec![OutputField::Prediction; outputs];
        });
        Client::from_specs(&specs).unwrap().prediction_columns()
    };
    assert_eq!(names(1), ["prediction"]);
    assert_eq!(names(2), ["prediction_0", "prediction_1"]);
}

/// The root of a negative score is no prediction to go on with: it has a remark, beside that of its row.
#[test]
fn predictions_that_are_no_numbers_have_a_remark() {
    let specs = changed(|specs| {
        let mut program = ProgramBuilder::new(specs.postprocess.inputs().to_vec()).unwrap();
        let (function, argument) = (UnaryFunction::Sqrt, program.input(0));
        let root = Op::Unary { function, argument };
        let root = program.push("root", root).unwrap();
        specs.postprocess = program.finish(&[argument, root]).unwrap();
        specs.outputs = vec![OutputField::Prediction; 2];
    });
    let client = Client::from_specs(&specs).unwrap();
    let key = SecretKey::generate(set()).unwrap();
    let rows = [1.0, -1.0, -2.5].map(row).to_vec();
    let query = encrypt(&client, &key, rows.clone()).unwrap();
    let answers = decrypt(&client, &key, &answer(&query)).unwrap();
    let marked = answers.into_iter().zip(client.marks(&rows));
    let answers: Vec<Answer> = marked.map(|(answer, mark)| answer.marked(mark)).collect();
    let remark = |row: usize| answers[row].remark.as_deref().unwrap_or_default();
    assert_eq!(remark(0), "");
    assert!(
        remark(1).starts_with("prediction_1 is NaN"),
        "{}",
        remark(1)
    );
    assert!(
        remark(2).starts_with("\"x\" is -2.5, and was limited"),
        "{}",
        remark(2)
    );
    assert!(remark(2).contains("; prediction_1 is NaN"), "{}", remark(2));
    assert!(answers.iter().all(|answer| answer.prediction.is_some()));
}

#[test]
fn steps_that_would_show_noise_are_refused() {
    let step = |step: f64| changed(|specs| specs.decoding.scores[0].step = ScoreUnits::new(step));
    // The rounding to 24 bits alone has a deviation of 8 sqrt(513 / 12) 2^-24, 3.1e-6.
    for hostile in [1e-300, f64::MIN_POSITIVE, 1e-9, 2e-5] {
        let error = Client::from_specs(&step(hostile)).unwrap_err();
        assert!(
            matches!(&error, ClientError::Step(fine) if fine.score == 0),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains("decoding.scores[0].step"), "{text}");
    }
    Client::from_specs(&step(3e-5)).unwrap();
    // More bits of a reply, or a finer scale, are no way around it.
    let bits = |bits, step| {
        changed(|specs| {
            specs.decoding.replies[0].reply_bits = Bits::new(bits);
            specs.decoding.scores[0].step = ScoreUnits::new(step);
        })
    };
    assert!(Client::from_specs(&bits(64, 1e-12)).is_err());
    // Many scores that cut one coefficient at different places show what one of them hides.
    let readings = |count: u32| {
        changed(|specs| {
            let score = ScoreDecoding {
                step: ScoreUnits::new(3e-5),
                ..specs.decoding.scores[0].clone()
            };
            let shifted = |index| ScoreDecoding {
                offset: ScoreUnits::new(3e-5 / f64::from(count) * f64::from(index)),
                ..score.clone()
            };
            specs.decoding.scores = (0..count).map(shifted).collect();
            let scores = TensorType {
                kind: EntryKind::F64,
                len: count as usize,
            };
            specs.postprocess = RowProgram::identity(vec![scores]).unwrap();
            let names = (0..count).map(|index| index.to_string());
            specs.outputs = vec![OutputField::Scores(names.collect())];
        })
    };
    Client::from_specs(&readings(2)).unwrap();
    let error = Client::from_specs(&readings(1000)).unwrap_err();
    assert!(matches!(error, ClientError::Step { .. }), "{error}");
    // Replies may be copies of one: what each of them could say alone adds up.
    let copies = |replies: u32| {
        changed(|specs| {
            let (form, score) = (specs.decoding.replies[0], specs.decoding.scores[0].clone());
            specs.decoding.replies = vec![form; replies as usize];
            let of_reply = |index| ScoreDecoding {
                coefficient: index / 2,
                step: ScoreUnits::new(3e-5),
                offset: ScoreUnits::new(1e-6 * f64::from(index)),
                ..score.clone()
            };
            specs.decoding.scores = (0..2 * replies).map(of_reply).collect();
            let len = 2 * replies as usize;
            let scores = TensorType {
                kind: EntryKind::F64,
                len,
            };
            specs.postprocess = RowProgram::identity(vec![scores]).unwrap();
            let names = (0..len).map(|index| index.to_string());
            specs.outputs = vec![OutputField::Scores(names.collect())];
        })
    };
    Client::from_specs(&copies(4)).unwrap();
    let error = Client::from_specs(&copies(16)).unwrap_err();
    assert!(matches!(error, ClientError::Step { .. }), "{error}");
}

/// Whether the specs' program takes a score depends on the row: its error must not end the work, or
/// whoever wrote the program would learn one bit a request.
#[test]
fn a_program_that_fails_on_a_score_loses_its_row_alone() {
    let specs = changed(|specs| {
        let scores = TensorType {
            kind: EntryKind::F64,
            len: 1,
        };
        let mut program = ProgramBuilder::new(vec![scores]).unwrap();
        let known = Op::Encode {
            argument: program.input(0),
            keys: Tensor::F64(vec![-1.5, 0.25]),
            values: Tensor::F64(vec![1.0, 2.0]),
            default: None,
        };
        let known = program.push("trap", known).unwrap();
        specs.postprocess = program.finish(&[known]).unwrap();
    });
    let client = Client::from_specs(&specs).unwrap();
    let key = SecretKey::generate(set()).unwrap();
    let query = encrypt(&client, &key, [-1.5, 1.0, 0.25].map(row).to_vec()).unwrap();
    let answers = decrypt(&client, &key, &answer(&query)).unwrap();
    let found = |answer: &Answer| Some(answer.prediction.as_ref()?.outputs[0].to_f64()?[0]);
    let found: Vec<_> = answers.iter().map(found).collect();
    assert_eq!(found, [Some(1.0), None, Some(2.0)]);
    let remark = answers[1].remark.as_ref().unwrap();
    assert!(remark.contains("trap"), "{remark}");
}
