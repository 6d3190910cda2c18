//! Encryption and decryption of whole tables, against a server that returns what it got.

mod echo;

use cipherfn_client::{Client, ClientError};
use cipherfn_protocol::frame::FrameError;
use cipherfn_protocol::message::{ChunkHead, Chunks, MessageError, QueryChunk};
use cipherfn_protocol::specs::SpecsDocument;
use cipherfn_scheme::SecretKey;
use cipherfn_table::Table;
use echo::{answer, answer_with, set, specs};
use std::fmt::Write as _;

fn client() -> Client {
    Client::from_specs(&specs("echo")).unwrap()
}

fn encrypt(client: &Client, key: &SecretKey, csv: &str) -> Result<Vec<u8>, ClientError> {
    let mut query = Vec::new();
    client.encrypt(
        key,
        client.rows(Table::open("rows.csv", csv.as_bytes())?)?,
        &mut query,
        |_| (),
    )?;
    Ok(query)
}

fn decrypt(client: &Client, key: &SecretKey, reply: &[u8]) -> Result<String, ClientError> {
    let mut predictions = Vec::new();
    client.decrypt(key, reply, &mut predictions, |_| ())?;
    Ok(String::from_utf8(predictions).unwrap())
}

#[test]
fn rows_come_back_to_the_stated_precision() {
    let (client, key) = (client(), SecretKey::generate(set()));
    let query = encrypt(&client, &key, "id,x\n1,-2\n2,0.24\n3,1.5\n").unwrap();
    assert_eq!(
        decrypt(&client, &key, &answer(&query)).unwrap(),
        "prediction\n-2.0\n0.25\n1.5\n"
    );
}

#[test]
fn many_chunks_keep_their_order() {
    let (client, key) = (client(), SecretKey::generate(set()));
    let rows = 2 * cipherfn_protocol::message::rows_a_chunk(client.query_row_bytes()) + 3;
    let value = |row: usize| f64::from(row as u32 % 33) / 8.0 - 2.0;
    let mut csv = String::from("x\n");
    for row in 0..rows {
        writeln!(csv, "{}", value(row)).unwrap();
    }
    let predictions = decrypt(
        &client,
        &key,
        &answer(&encrypt(&client, &key, &csv).unwrap()),
    )
    .unwrap();
    assert_eq!(predictions.lines().count(), rows + 1);
    for (row, line) in predictions.lines().skip(1).enumerate() {
        assert_eq!(line, format!("{:?}", value(row)), "row {row}");
    }
}

#[test]
fn failed_rows_are_counted_and_leave_empty_cells() {
    let (client, key) = (client(), SecretKey::generate(set()));
    let query = encrypt(&client, &key, "x\n1\n-1\n0\n").unwrap();
    let reply = answer_with(&query, |row, bytes| {
        if row == 1 {
            Err("out of luck".into())
        } else {
            Ok(bytes)
        }
    });
    let mut predictions = Vec::new();
    let decrypted = client
        .decrypt(&key, reply.as_slice(), &mut predictions, |_| ())
        .unwrap();
    assert_eq!((decrypted.rows, decrypted.failed), (3, 1));
    assert_eq!(
        (
            decrypted.failures[0].row,
            decrypted.failures[0].reason.as_str()
        ),
        (2, "out of luck")
    );
    assert_eq!(predictions, b"prediction\n1.0\n\"\"\n0.0\n");
}

#[test]
fn a_row_out_of_range_names_its_line() {
    let (client, key) = (client(), SecretKey::generate(set()));
    let error = encrypt(&client, &key, "x\n1\n\n2.5\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("rows.csv, line 4: feature \"x\" is 2.5, outside the range -2 to 2"),
        "{error}"
    );
}

#[test]
fn a_client_speaks_the_version_of_its_specs() {
    let key = SecretKey::generate(set());
    let document = SpecsDocument::from_json_bytes(&specs("echo")).unwrap();
    let older = document
        .version_1()
        .unwrap()
        .expect("one input, one output");
    for (document, version) in [(document, 2), (older, 1)] {
        let client = Client::new(document).unwrap();
        let query = encrypt(&client, &key, "x\n1\n").unwrap();
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
    let (client, key) = (client(), SecretKey::generate(set()));
    let reply = answer(&encrypt(&client, &key, "x\n1\n").unwrap());
    let other_key = SecretKey::generate(set());
    assert!(matches!(
        decrypt(&client, &other_key, &reply),
        Err(ClientError::OtherKey { .. })
    ));
    let other_client = Client::from_specs(&specs("another name")).unwrap();
    assert!(matches!(
        decrypt(&other_client, &key, &reply),
        Err(ClientError::OtherSpecs { .. })
    ));
    let query = encrypt(&client, &key, "x\n1\n").unwrap();
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
