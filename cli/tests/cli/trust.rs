//! A service that changes the specs learns nothing of the rows.

// A model of one input that needs no evaluation key.
#[path = "../../../client/tests/client/echo.rs"]
mod echo;

use crate::support::{Sandbox, failure, success};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{Encoding, SpecsDocument};
use cipherfn_protocol::statement::{Serial, Statement};
use cipherfn_signing::SigningKey;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

static DEVELOPER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

/// Specs, with the statement beside them.
type Offer = (Vec<u8>, Option<String>);

/// A request: method and target, number of bytes of the body.
type Seen = (String, usize);

/// A service that offers `first` once and then `then`, and says of every query to the former that
/// its specs are stale.
struct Swapper {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Swapper {
    fn start(first: Offer, then: Offer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let _ = serve(stream, &log, &first, &then);
            }
        });
        Self { url, seen }
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Seen>>,
    first: &Offer,
    then: &Offer,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.rsplit_once(' ').unwrap_or_default().0.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut log = log.lock().unwrap();
    let queries = log
        .iter()
        .filter(|(target, _)| target.starts_with("POST"))
        .count();
    log.push((target.clone(), length));
    let (status, kind, headers, body) = if target.starts_with("POST") {
        if queries == 0 {
            let problem = format!(
                r#"{{"type":"urn:cipherfn:problem:stale-specs","title":"stale specs","status":410,"detail":"gone","current_specs":"{}"}}"#,
                Hash::of(&then.0)
            );
            (
                "410 Gone",
                "application/problem+json",
                String::new(),
                problem.into_bytes(),
            )
        } else {
            let reply = echo::answer(&body);
            (
                "200 OK",
                "application/vnd.cipherfn.reply",
                String::new(),
                reply,
            )
        }
    } else {
        let (specs, statement) = if queries == 0 { first } else { then };
        let mut headers = format!("etag: \"{}\"\r\n", Hash::of(specs));
        if let Some(statement) = statement {
            headers = format!("{headers}cipherfn-statement: {statement}\r\n");
        }
        (
            "200 OK",
            "application/vnd.cipherfn.specs+json",
            headers,
            specs.clone(),
        )
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

fn signed(key: &SigningKey, specs: Vec<u8>, serial: u64) -> Offer {
    let statement = key.sign(Statement {
        model: "echo".parse().unwrap(),
        specs: Hash::of(&specs),
        serial: Serial(serial),
    });
    (specs, Some(statement.to_json().unwrap()))
}

/// The echo model's specs for values from 0 to 2: a row of -1.5 is outside.
fn narrow() -> Vec<u8> {
    let document = SpecsDocument::from_json_bytes(&echo::specs("echo")).unwrap();
    let mut specs = document.specs().clone();
    let Encoding::Linear(encoding) = &mut specs.inputs[0] else {
        panic!("a linear model");
    };
    (encoding.centre, encoding.half_width) = (vec![1.0], vec![1.0]);
    SpecsDocument::new(specs).unwrap().bytes().to_vec()
}

/// What a service sees of one row, and what the command says.
fn traffic(
    row: &str,
    first: Offer,
    then: Offer,
    more: &[&str],
) -> (Vec<Seen>, Result<String, String>) {
    let sandbox = Sandbox::new();
    let server = Swapper::start(first, then);
    sandbox.write("rows.csv", &format!("x\n{row}\n"));
    let arguments = [
        "predict",
        "--service",
        &server.url,
        "--model",
        "echo",
        "--keys",
        "keys",
    ];
    let files = ["--input", "rows.csv", "-o", "out.csv"];
    let output = sandbox.run(&[&arguments[..], &files, more].concat());
    let said = if output.status.success() {
        Ok(success(&output))
    } else {
        assert!(
            !sandbox.path("out.csv").exists(),
            "no part is passed off as whole"
        );
        Err(failure(&output))
    };
    let seen = server.seen.lock().unwrap().clone();
    (seen, said)
}

#[test]
fn a_service_that_swaps_specs_learns_nothing() {
    let developer = &*DEVELOPER;
    let stranger = SigningKey::generate().unwrap();
    let first = || signed(developer, echo::specs("echo"), 5);
    let unsigned = (echo::specs("echo"), None);
    let swaps: [(Offer, Offer, Option<&str>); 5] = [
        (first(), (narrow(), None), Some("are not signed")),
        (
            first(),
            signed(&stranger, narrow(), 9),
            Some("not by its developer"),
        ),
        (
            first(),
            signed(developer, narrow(), 4),
            Some("gone back to older specs"),
        ),
        (unsigned, (narrow(), None), Some("have changed")),
        // The developer's own: the row is sent, sound or not.
        (first(), signed(developer, narrow(), 6), None),
    ];
    for (first, then, refused) in swaps {
        let run = |row| traffic(row, first.clone(), then.clone(), &[]);
        let (seen, said) = run("1.5");
        let (other, other_said) = run("-1.5");
        assert_eq!(seen, other, "both rows look alike");
        let queries = seen
            .iter()
            .filter(|(target, _)| target.starts_with("POST"))
            .count();
        if let Some(refused) = refused {
            for said in [said, other_said] {
                let said = said.unwrap_err();
                assert!(
                    said.contains(refused) && said.contains("--accept-specs"),
                    "{said}"
                );
            }
            assert_eq!(queries, 1);
        } else {
            let said = said.unwrap();
            assert!(
                said.contains("by a newer statement") && said.contains("ed25519:"),
                "{said}"
            );
            other_said.unwrap();
            assert_eq!(queries, 2);
        }
    }
}

#[test]
fn whoever_accepts_specs_does_not_accept_the_next_ones() {
    let first = signed(&DEVELOPER, echo::specs("echo"), 5);
    let (seen, said) = traffic("1.5", first, (narrow(), None), &["--accept-specs"]);
    assert!(said.unwrap_err().contains("are not signed"));
    // Specs, what a row takes, the query, other specs; nothing after these.
    assert_eq!(seen.len(), 4, "{seen:?}");
}
