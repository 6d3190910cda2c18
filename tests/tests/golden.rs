//! Files of every format version, byte for byte: they must keep loading, give the same predictions,
//! and be written the same way again.

use cipherfn_client::{Client, Mark};
use cipherfn_engine::bundle;
use cipherfn_program::Tensor;
use cipherfn_protocol::api::{
    KeyDeclarationV1, KeyStatusV1, KeyUploadV1, ModelList, ModelSummary, Problem, v2,
};
use cipherfn_protocol::frame::HEADER_LEN;
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::{Chunks, QueryChunk, ReplyChunk, write_chunk};
use cipherfn_protocol::specs::{Bits, Encoding, SpecsDocument};
use cipherfn_protocol::statement::SignedStatement;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::{Estimate, Key, Model, ModelError, Part, Query};
use cipherfn_signing::{SigningKey, verify};
use cipherfn_tests::{Clear, Server, decrypt, golden, library_models, predict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// Id of the secret key among the files of version 2.
const WIDE_KEY: &str = "df1fa5117e0f16ce0d5950b82bc9d02c";

fn file(name: &str) -> Vec<u8> {
    std::fs::read(golden().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A file of format version 2.
fn newest(name: &str) -> Vec<u8> {
    let path = golden().with_file_name("v2").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file beside those of version 2.
fn v3(name: &str) -> Vec<u8> {
    let path = golden().with_file_name("v3").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `decrypt` printed when the files were made.
fn predictions(model: &str) -> String {
    String::from_utf8(file(&format!("{model}.predictions.csv"))).unwrap()
}

fn client(model: &str) -> Client {
    Client::from_specs(&file(&format!("{model}.specs.json"))).unwrap()
}

fn secret() -> SecretKey {
    SecretKey::from_file_bytes(&file("secret.cfk")).unwrap()
}

#[test]
fn keys_keep_their_bytes() {
    assert_eq!(*secret().to_file_bytes(), file("secret.cfk"));
    let key = EvaluationKey::from_file_bytes(&file("evaluation.cfk")).unwrap();
    assert_eq!(key.to_file_bytes(), file("evaluation.cfk"));
    assert_eq!(key.id(), secret().id());
}

/// Clients trust the specs for what answers mean: a circuit beside those of another one is refused.
#[test]
fn a_circuit_that_its_specs_are_not_of_is_refused() {
    let file = newest("tree.cfn");
    let mut bundle = bundle::read(&file).unwrap();
    assert!(Model::new(&bundle).is_ok());
    let bits = &mut bundle.circuit.outputs[0].reply_bits;
    *bits = Bits::new(bits.get() + 1);
    let part = Part { number: 0, of: 1 };
    for refused in [
        Model::new(&bundle),
        Model::with_memory(&bundle, 8 << 30),
        Model::of_part(bundle, Hash::of(&file), part, 8 << 30),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, ModelError::OtherCircuit { .. }), "{error}");
    }
}

/// What the only part of the tree made of its query: workers store it for each other.
#[test]
fn sums_keep_their_form_and_add_up() {
    const DIGEST: Sha256 = Sha256::from_bytes([1; 32]);
    let stored = newest("tree.cfs");
    let file = newest("tree.cfn");
    let part = Part { number: 0, of: 1 };
    let bundle = bundle::read(&file).unwrap();
    let model = Model::of_part(bundle, Hash::of(&file), part, 8 << 30).unwrap();
    let query = Query::parse(&newest("tree.cfq")).unwrap();
    let key = EvaluationKey::from_file_bytes(&self::file("evaluation.cfk")).unwrap();
    let key = Key::new(&key).unwrap();
    let deadline = Instant::now() + Duration::from_mins(10);
    let (key, estimate) = (Some(&key), Estimate::default());
    let sums = query
        .sums(&model, key, DIGEST, &estimate, deadline)
        .unwrap();
    // What follows the head are 64-bit numbers that processors round differently.
    assert_eq!(sums.len(), stored.len());
    assert_eq!(sums[..36], stored[..36]);
    let head = HEADER_LEN..HEADER_LEN + 80;
    assert_eq!(sums[head.clone()], stored[head]);
    let client = Client::from_specs(&newest("tree.specs.json")).unwrap();
    for sums in [sums, stored] {
        let reply = query.add(&model, key, (DIGEST, &[sums]), &estimate, deadline);
        let predicted = decrypt(&client, &secret(), &reply.unwrap().bytes).unwrap();
        assert_eq!(predicted, predictions("tree"));
    }
}

/// A secret key of version 2, and both parts of its evaluation key.
#[test]
fn keys_of_version_2_keep_their_bytes() {
    let file = newest("wide/secret.cfk");
    let secret = SecretKey::from_file_bytes(&file).unwrap();
    assert_eq!(*secret.to_file_bytes(), file);
    assert_eq!(secret.id().to_string(), WIDE_KEY);
    let parts = ["expansion", "inverse"].map(|name| {
        let file = newest(&format!("wide/{name}.cfk"));
        let part = EvaluationKey::from_file_bytes(&file).unwrap();
        assert_eq!(part.to_file_bytes(), file);
        assert_eq!((part.part().name, part.id()), (name, secret.id()));
        part
    });
    // They are keys: what was encrypted under them is answered, and decrypts.
    let key = Key::of_parts(&parts).unwrap().unwrap();
    assert!(key.has("inverse"));
    let file = |end: &str| newest(&format!("wide.{end}"));
    let server = Server::new(&file("cfn"), Some(&parts[0].to_file_bytes())).unwrap();
    let client = Client::from_specs(&file("specs.json")).unwrap();
    let expected = String::from_utf8(file("predictions.csv")).unwrap();
    for reply in [file("cfr"), server.answer(&file("cfq")).unwrap()] {
        assert_eq!(decrypt(&client, &secret, &reply).unwrap(), expected);
    }
}

#[test]
fn specs_keep_their_bytes() {
    for model in ["tree", "linear"] {
        let bytes = file(&format!("{model}.specs.json"));
        let specs = SpecsDocument::from_json_bytes(&bytes).unwrap();
        assert_eq!(specs.format(), 1);
        assert_eq!(specs.version_1().unwrap().unwrap().bytes(), bytes);
    }
}

#[test]
fn specs_of_format_2_keep_their_bytes() {
    for model in ["tree", "linear"] {
        let bytes = newest(&format!("{model}.specs.json"));
        let specs = SpecsDocument::from_json_bytes(&bytes).unwrap();
        assert_eq!(specs.format(), 2);
        let again = SpecsDocument::new(specs.specs().clone()).unwrap();
        assert_eq!(again.bytes(), bytes);
        let older = specs.version_1().unwrap().unwrap();
        assert_eq!(older.bytes(), file(&format!("{model}.specs.json")));
    }
}

/// Format 2 with decimals.
#[test]
fn specs_of_format_3_keep_their_bytes() {
    let bytes = v3("tree.specs.json");
    let specs = SpecsDocument::from_json_bytes(&bytes).unwrap();
    assert_eq!((specs.format(), specs.version_1().unwrap()), (3, None));
    let again = SpecsDocument::new(specs.specs().clone()).unwrap();
    assert_eq!(again.bytes(), bytes);
    let mut plain = specs.specs().clone();
    for encoding in &mut plain.inputs {
        if let Encoding::Selectors(encoding) = encoding {
            for quantiser in &mut encoding.quantisers {
                quantiser.decimals = None;
            }
        }
    }
    let plain = SpecsDocument::new(plain).unwrap();
    assert_eq!(plain.bytes(), newest("tree.specs.json"));
}

/// Integers: what the bits of a network's look-ups are made of.
#[test]
fn specs_of_format_4_keep_their_bytes() {
    let bytes = v3("network.specs.json");
    let specs = SpecsDocument::from_json_bytes(&bytes).unwrap();
    assert_eq!((specs.format(), specs.version_1().unwrap()), (4, None));
    let again = SpecsDocument::new(specs.specs().clone()).unwrap();
    assert_eq!(again.bytes(), bytes);
}

/// Relations between features, by which clients mark rows.
#[test]
fn specs_of_format_6_keep_their_bytes() {
    let bytes = v3("relations.specs.json");
    let specs = SpecsDocument::from_json_bytes(&bytes).unwrap();
    assert_eq!((specs.format(), specs.version_1().unwrap()), (6, None));
    assert!(!specs.specs().relations.is_empty());
    let again = SpecsDocument::new(specs.specs().clone()).unwrap();
    assert_eq!(again.bytes(), bytes);
    let client = Client::from_specs(&bytes).unwrap();
    let row = |prices: [f32; 2]| Ok(vec![Tensor::F32(prices.to_vec())]);
    let rows = [row([60.0, 60.5]), row([60.0, 30.0])];
    let marks: Vec<Mark> = client.marks(&rows).collect();
    assert_eq!(marks[0], Mark::Sound);
    let Mark::Limited(remark) = &marks[1] else {
        panic!("{marks:?}")
    };
    assert!(remark.contains("do not relate"), "{remark}");
}

/// Rows of a linear model that were encrypted under a public key of the same secret key: the reply has its query's
/// version, and decrypts to the same predictions.
#[test]
fn rows_under_a_public_key_keep_their_form() {
    let (query, file) = (v3("linear.public.cfq"), v3("linear.public.cfn"));
    let client = Client::from_specs(&bundle::read(&file).unwrap().specs).unwrap();
    let server = Server::new(&file, None).unwrap();
    let expected = String::from_utf8(v3("linear.public.predictions.csv")).unwrap();
    for reply in [v3("linear.public.cfr"), server.answer(&query).unwrap()] {
        assert_eq!(decrypt(&client, &secret(), &reply).unwrap(), expected);
    }
    let mut again = Vec::new();
    for chunk in Chunks::<_, QueryChunk>::new(query.as_slice()) {
        let (tag, chunk) = chunk.unwrap();
        assert!(chunk.head.public);
        write_chunk(&mut again, tag, &chunk).unwrap();
    }
    assert_eq!(again, query);
}

/// A network's reply to a query under the key of the wide set.
#[test]
fn replies_of_networks_decrypt_to_the_same_predictions() {
    let client = Client::from_specs(&v3("network.specs.json")).unwrap();
    let secret = SecretKey::from_file_bytes(&newest("wide/secret.cfk")).unwrap();
    let decrypted = decrypt(&client, &secret, &v3("network.cfr")).unwrap();
    let expected = String::from_utf8(v3("network.predictions.csv")).unwrap();
    assert_eq!(decrypted, expected);
}

/// RFC 8032's signatures have one value a key and message, so the whole document is fixed.
#[test]
fn statements_keep_their_bytes() {
    let text = format!("cipherfn-signing-key-1 {}\n", "0123456789abcdef".repeat(4));
    let key = SigningKey::from_text(&text).unwrap();
    assert_eq!(*key.to_text(), text);
    let bytes = newest("tree.statement.json");
    let signed = SignedStatement::from_json(&bytes).unwrap();
    verify(&signed).unwrap();
    assert_eq!(signed.statement.specs, Hash::of(&newest("tree.specs.json")));
    assert_eq!(
        key.sign(signed.statement).to_json().unwrap().as_bytes(),
        bytes
    );
}

/// Files of version 1 are read, and written as the files of version 2 that lie beside them. Their
/// specs go on naming their circuits.
#[test]
fn bundles_keep_their_meaning() {
    for model in ["tree", "linear"] {
        let one = bundle::read(&file(&format!("{model}.cfn"))).unwrap();
        assert_eq!(one.specs, file(&format!("{model}.specs.json")));
        let specs = SpecsDocument::from_json_bytes(&one.specs).unwrap();
        assert_eq!(one.circuit.hash().unwrap(), specs.specs().circuit);
        let two = newest(&format!("{model}.cfn"));
        assert_eq!(bundle::read(&two).unwrap(), one);
        assert_eq!(bundle::write(&one).unwrap(), two);
    }
}

/// A tree whose leaves are linear models, beside a score of its own: what version 1 cannot say.
#[test]
fn bundles_of_mixtures_keep_their_bytes() {
    let bytes = newest("mixture.cfn");
    let mixture = bundle::read(&bytes).unwrap();
    assert_eq!(bundle::write(&mixture).unwrap(), bytes);
    assert_eq!(
        mixture.circuit.to_string(),
        String::from_utf8(newest("mixture.txt")).unwrap()
    );
}

/// Look-ups, combinations of them and packed values: what version 2 cannot say.
#[test]
fn bundles_of_lookups_keep_their_bytes() {
    let bytes = v3("lookups.cfn");
    let lookups = bundle::read(&bytes).unwrap();
    assert_eq!(bundle::write(&lookups).unwrap(), bytes);
    let text = lookups.circuit.to_string();
    assert_eq!(text, String::from_utf8(v3("lookups.txt")).unwrap());
}

#[test]
fn messages_keep_their_bytes() {
    for (model, file) in [
        ("tree", file as fn(&str) -> Vec<u8>),
        ("linear", file),
        ("tree", newest),
        ("linear", newest),
        ("batch", newest),
        ("network", v3),
    ] {
        let query = file(&format!("{model}.cfq"));
        let mut again = Vec::new();
        for chunk in Chunks::<_, QueryChunk>::new(query.as_slice()) {
            let (tag, chunk) = chunk.unwrap();
            write_chunk(&mut again, tag, &chunk).unwrap();
        }
        assert_eq!(again, query);
        let reply = file(&format!("{model}.cfr"));
        let mut again = Vec::new();
        for chunk in Chunks::<_, ReplyChunk>::new(reply.as_slice()) {
            let (tag, chunk) = chunk.unwrap();
            write_chunk(&mut again, tag, &chunk).unwrap();
        }
        assert_eq!(again, reply);
    }
}

/// A JSON document of the service keeps parsing, and is written the same way again.
fn document<T: DeserializeOwned + Serialize>(name: &str) {
    keeps_its_bytes::<T>(name, file(&format!("http/{name}.json")));
}

fn keeps_its_bytes<T: DeserializeOwned + Serialize>(name: &str, bytes: Vec<u8>) {
    let document: T =
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let again = serde_json::to_string(&document).unwrap();
    assert_eq!(again, String::from_utf8(bytes).unwrap(), "{name}");
}

#[test]
fn documents_of_the_service_keep_their_bytes() {
    document::<Problem>("problem");
    document::<Problem>("problem-too-many-rows");
    document::<KeyDeclarationV1>("key-declaration");
    document::<KeyDeclarationV1>("key-declaration-in-parts");
    document::<KeyUploadV1>("key-upload");
    document::<KeyStatusV1>("key-status");
    document::<KeyStatusV1>("key-status-rejected");
    document::<ModelList>("model-list");
    document::<ModelSummary>("model");
    let newest = |name: &str| newest(&format!("http/{name}.json"));
    keeps_its_bytes::<v2::KeyDeclaration>("declaration", newest("key-declaration"));
    keeps_its_bytes::<v2::KeyStatus>("status", newest("key-status"));
    keeps_its_bytes::<v2::KeyUpload>("upload", newest("key-upload"));
}

#[test]
fn replies_decrypt_to_the_same_predictions() {
    for model in ["tree", "linear"] {
        let decrypted = decrypt(&client(model), &secret(), &file(&format!("{model}.cfr"))).unwrap();
        assert_eq!(decrypted, predictions(model));
        // The same ciphertexts in messages of version 2.
        let client = Client::from_specs(&newest(&format!("{model}.specs.json"))).unwrap();
        let decrypted = decrypt(&client, &secret(), &newest(&format!("{model}.cfr"))).unwrap();
        assert_eq!(decrypted, predictions(model));
    }
}

/// Rounded scores of one query differ between evaluations by at most a step, and here not at all:
/// the noise is far below the step's half except next to a boundary, and floating-point units of
/// different machines differ by far less than the noise.
#[test]
fn queries_are_answered_alike() {
    for (model, key) in [("tree", Some(file("evaluation.cfk"))), ("linear", None)] {
        let server = Server::new(&file(&format!("{model}.cfn")), key.as_deref()).unwrap();
        let reply = server.answer(&file(&format!("{model}.cfq"))).unwrap();
        assert_eq!(
            decrypt(&client(model), &secret(), &reply).unwrap(),
            predictions(model)
        );
    }
}

/// A query whose rows share ciphertexts, and its packed reply. The evaluation key is a new one of
/// the same secret, so a score may lie a step further; labels do not.
#[test]
fn batches_keep_their_meaning() {
    let secret = SecretKey::from_file_bytes(&newest("batch.secret.cfk")).unwrap();
    let client = Client::from_specs(&newest("batch.specs.json")).unwrap();
    let expected = String::from_utf8(newest("batch.predictions.csv")).unwrap();
    let decrypted = decrypt(&client, &secret, &newest("batch.cfr")).unwrap();
    assert_eq!(decrypted, expected);

    let key = EvaluationKey::generate(&secret).unwrap().to_file_bytes();
    let server = Server::new(&newest("batch.cfn"), Some(&key)).unwrap();
    let reply = server.answer(&newest("batch.cfq")).unwrap();
    assert_eq!(reply.len(), newest("batch.cfr").len());
    let decrypted = decrypt(&client, &secret, &reply).unwrap();
    let labels = |csv: &str| -> Vec<String> {
        let labels = csv.lines().filter_map(|line| line.split(',').next());
        labels.map(str::to_owned).collect()
    };
    assert_eq!(labels(&decrypted), labels(&expected));
}

/// The rows of those queries, in the clear: the first of the library's test rows.
#[test]
fn circuits_mean_the_same_in_the_clear() {
    for (model, library) in [("tree", "dt_bc"), ("linear", "logreg_bc")] {
        let rows = std::fs::read_to_string(library_models().join(library).join("test.csv"));
        let rows: String = rows.unwrap().split_inclusive('\n').take(4).collect();
        let (client, secret) = (client(model), secret());
        for bundle in [
            file(&format!("{model}.cfn")),
            newest(&format!("{model}.cfn")),
        ] {
            let clear = Clear::new(&client, &secret, &bundle).unwrap();
            let found = predict(&clear, rows.as_bytes()).unwrap();
            assert_eq!(found, predictions(model));
        }
    }
}
