//! Files of format version 1, byte for byte: they must keep loading, give the same predictions, and
//! be written the same way again.

use cipherfn_client::Client;
use cipherfn_protocol::api::{
    KeyDeclaration, KeyStatus, KeyUpload, ModelList, ModelSummary, Problem,
};
use cipherfn_protocol::message::{Chunks, QueryChunk, ReplyChunk, write_chunk};
use cipherfn_protocol::specs::SpecsDocument;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_tests::{Server, decrypt, golden};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(golden().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
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
fn bundles_keep_their_bytes() {
    for model in ["tree", "linear"] {
        let bytes = file(&format!("{model}.cfn"));
        let bundle = cipherfn_engine::bundle::read(&bytes).unwrap();
        assert_eq!(bundle.specs, file(&format!("{model}.specs.json")));
        assert_eq!(cipherfn_engine::bundle::write(&bundle).unwrap(), bytes);
    }
}

#[test]
fn messages_keep_their_bytes() {
    for model in ["tree", "linear"] {
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
    let bytes = file(&format!("http/{name}.json"));
    let document: T =
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let again = serde_json::to_string(&document).unwrap();
    assert_eq!(again, String::from_utf8(bytes).unwrap(), "{name}");
}

#[test]
fn documents_of_the_service_keep_their_bytes() {
    document::<Problem>("problem");
    document::<Problem>("problem-too-many-rows");
    document::<KeyDeclaration>("key-declaration");
    document::<KeyDeclaration>("key-declaration-in-parts");
    document::<KeyUpload>("key-upload");
    document::<KeyStatus>("key-status");
    document::<KeyStatus>("key-status-rejected");
    document::<ModelList>("model-list");
    document::<ModelSummary>("model");
}

#[test]
fn replies_decrypt_to_the_same_predictions() {
    for model in ["tree", "linear"] {
        let decrypted = decrypt(&client(model), &secret(), &file(&format!("{model}.cfr"))).unwrap();
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
