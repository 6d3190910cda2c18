//! Client specs and their cache.

use crate::echo;
use crate::server::{Answer, Request, Response, Server, json, reply, response};
use crate::{KEYS, fetch, model, options, predictions, service, table, values};
use cipherfn_client_http::{Authentication, Service, ServiceError, ServiceOptions, Token};
use cipherfn_protocol::api::{ModelList, ModelSummary, Problem, ProblemType, PublishedKind, SPECS};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::{Chunks, QueryChunk};
use cipherfn_protocol::specs::SpecsDocument;
use http::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH, LOCATION};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn with_tag(mut response: Response, hash: Hash) -> Response {
    response
        .headers_mut()
        .insert(ETAG, format!("\"{hash}\"").parse().unwrap());
    response
}

/// As a service does: the whole document, or "not modified".
fn serve(specs: &[u8], request: &Request) -> Answer {
    assert_eq!(
        (request.method().as_str(), request.uri().path()),
        ("GET", "/v2/models/echo")
    );
    let hash = Hash::of(specs);
    let tag = format!("\"{hash}\"");
    if request
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|held| held == tag.as_str())
    {
        return with_tag(response(304, SPECS, ""), hash).into();
    }
    with_tag(response(200, SPECS, specs.to_vec()), hash).into()
}

fn cached(server: &Server, directory: &Path) -> Service {
    let options = ServiceOptions {
        specs_cache: Some(directory.join("deep/cache")),
        ..options()
    };
    Service::new(&server.url, options).unwrap()
}

fn cache_file(directory: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(directory.join("deep/cache"))
        .unwrap()
        .collect();
    assert_eq!(files.len(), 1);
    files[0].as_ref().unwrap().path()
}

fn conditions(server: &Server) -> Vec<Option<String>> {
    let condition = |request: &Request| {
        Some(
            request
                .headers()
                .get(IF_NONE_MATCH)?
                .to_str()
                .unwrap()
                .to_owned(),
        )
    };
    server.seen().iter().map(condition).collect()
}

#[tokio::test]
async fn a_service_of_version_1_is_spoken_to_in_version_1() {
    let document = SpecsDocument::from_json_bytes(&echo::specs("echo")).unwrap();
    let older = document
        .version_1()
        .unwrap()
        .expect("one input, one output");
    let specs = older.bytes().to_vec();
    let server = Server::start(move |request| -> Answer {
        match request.uri().path() {
            "/v1/models/echo" => {
                with_tag(response(200, SPECS, specs.clone()), Hash::of(&specs)).into()
            }
            "/v1/models/echo/predict" => reply(echo::answer(request.body())).into(),
            // As an HTTP API answers a route that it does not have.
            _ => response(404, "application/json", r#"{"message":"Not Found"}"#).into(),
        }
    })
    .await;
    let service = service(&server);
    let client = fetch(&service).await.unwrap();
    assert_eq!(client.specs().format(), 1);
    let rows = table(3).into_iter().map(Ok::<_, ServiceError>);
    let mut answers = Vec::new();
    let take = |more| {
        answers.extend(more);
        Ok(())
    };
    service
        .predict(&model(), &client, &KEYS.1, rows, take)
        .await
        .unwrap();
    assert_eq!(values(&answers), predictions(3));
    let seen = server.seen();
    let paths: Vec<&str> = seen.iter().map(|request| request.uri().path()).collect();
    assert_eq!(
        paths,
        [
            "/v2/models/echo",
            "/v1/models/echo",
            "/v1/models/echo/predict"
        ]
    );
    for chunk in Chunks::<_, QueryChunk>::new(seen[2].body().as_ref()) {
        assert_eq!(chunk.unwrap().1.head.version(), 1);
    }
}

#[tokio::test]
async fn unchanged_specs_travel_once() {
    let specs = Arc::new(Mutex::new(echo::specs("echo")));
    let served = Arc::clone(&specs);
    let server = Server::start(move |request| serve(&served.lock().unwrap(), request)).await;
    let directory = tempfile::tempdir().unwrap();
    let first = Hash::of(&echo::specs("echo"));
    for _ in 0..2 {
        let client = fetch(&cached(&server, directory.path())).await.unwrap();
        assert_eq!(client.specs().hash(), first);
    }
    *specs.lock().unwrap() = echo::specs("changed");
    let second = Hash::of(&echo::specs("changed"));
    for _ in 0..2 {
        let client = fetch(&cached(&server, directory.path())).await.unwrap();
        assert_eq!(client.specs().hash(), second);
    }
    let tag = |hash: Hash| Some(format!("\"{hash}\""));
    assert_eq!(
        conditions(&server),
        [None, tag(first), tag(first), tag(second)]
    );
    assert_eq!(
        fs::read(cache_file(directory.path())).unwrap(),
        echo::specs("changed")
    );
}

#[tokio::test]
async fn a_damaged_cache_costs_a_transfer_and_no_more() {
    let server = Server::start(|request| serve(&echo::specs("echo"), request)).await;
    let directory = tempfile::tempdir().unwrap();
    let service = cached(&server, directory.path());
    let spawned = service.clone();
    tokio::spawn(async move { fetch(&spawned).await })
        .await
        .unwrap()
        .unwrap();
    let file = cache_file(directory.path());
    for damage in [&b""[..], b"{}", &echo::specs("echo")[1..]] {
        fs::write(&file, damage).unwrap();
        let client = fetch(&service).await.unwrap();
        assert_eq!(client.specs().bytes(), echo::specs("echo"));
        assert_eq!(fs::read(&file).unwrap(), echo::specs("echo"));
    }
    // A cache that cannot be written is none.
    fs::remove_dir_all(directory.path().join("deep")).unwrap();
    fs::write(directory.path().join("deep"), "a file").unwrap();
    fetch(&service).await.unwrap();
}

#[tokio::test]
async fn specs_must_have_the_hash_that_names_them() {
    let specs = echo::specs("echo");
    let forged = with_tag(response(200, SPECS, specs.clone()), Hash::of(b"other"));
    let server = Server::start(move |_| forged.clone()).await;
    let error = fetch(&service(&server)).await.unwrap_err();
    assert!(
        matches!(error, ServiceError::SpecsHash { expected, .. } if expected == Hash::of(b"other"))
    );

    let mut odd = response(200, SPECS, specs.clone());
    odd.headers_mut().insert(ETAG, "\"v1\"".parse().unwrap());
    for nameless in [
        response(200, SPECS, specs.clone()),
        odd,
        response(304, SPECS, ""),
        response(302, SPECS, ""),
    ] {
        let server = Server::start(move |_| nameless.clone()).await;
        let error = fetch(&service(&server)).await.unwrap_err();
        assert!(matches!(error, ServiceError::Answer { .. }), "{error}");
    }

    let mut weak = response(200, SPECS, specs.clone());
    weak.headers_mut()
        .insert(ETAG, format!("W/\"{}\"", Hash::of(&specs)).parse().unwrap());
    let server = Server::start(move |_| weak.clone()).await;
    fetch(&service(&server)).await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_followed_without_identity() {
    let store = Server::start(|_| response(200, "binary/octet-stream", echo::specs("echo"))).await;
    for status in [303, 307] {
        let target = format!("{}/bucket/specs.json?X-Amz-Signature=hunter2", store.url);
        let server = Server::start(move |_| {
            let mut redirect =
                with_tag(response(status, SPECS, ""), Hash::of(&echo::specs("echo")));
            redirect
                .headers_mut()
                .insert(LOCATION, target.parse().unwrap());
            redirect
        })
        .await;
        let authentication = Authentication::Bearer(Token::new("t0ken").unwrap());
        let options = ServiceOptions {
            authentication,
            ..options()
        };
        let service = Service::new(&server.url, options).unwrap();
        fetch(&service).await.unwrap();
        assert!(server.seen()[0].headers().contains_key(AUTHORIZATION));
    }
    for request in store.seen() {
        assert_eq!(request.uri(), "/bucket/specs.json?X-Amz-Signature=hunter2");
        assert!(!request.headers().contains_key(AUTHORIZATION));
    }
}

#[tokio::test]
async fn redirects_that_fail_do_not_tell_their_signature() {
    let store = Server::start(|_| {
        response(
            403,
            "application/xml",
            "<Error><Code>AccessDenied</Code></Error>",
        )
    })
    .await;
    let targets = [
        "http://store.example/specs?X-Amz-Signature=hunter2".to_owned(),
        format!("{}/specs?X-Amz-Signature=hunter2", store.url),
        "http://127.0.0.1:1/specs?X-Amz-Signature=hunter2".to_owned(),
        String::new(),
    ];
    for target in targets {
        let server = Server::start(move |_| {
            let mut redirect = with_tag(response(303, SPECS, ""), Hash::of(b"specs"));
            redirect
                .headers_mut()
                .insert(LOCATION, target.parse().unwrap());
            redirect
        })
        .await;
        let error = fetch(&service(&server)).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("Signature"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn models_are_listed_and_unknown_ones_are_named() {
    let list = ModelList {
        models: vec![ModelSummary {
            name: model(),
            kind: PublishedKind::Model,
            current: Hash::of(b"specs"),
            versions: Vec::new(),
        }],
    };
    let answer = list.clone();
    let server = Server::start(move |request| {
        if request.uri().path() == "/prod/v2/models" {
            return Answer::from(json(&answer));
        }
        Problem::new(ProblemType::UnknownModel, "no model").into()
    })
    .await;
    let service = Service::new(&format!("{}/prod/", server.url), options()).unwrap();
    assert_eq!(service.models().await.unwrap(), list);
    let error = fetch(&service).await.unwrap_err();
    assert!(matches!(error, ServiceError::UnknownModel { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "{}/prod has no model echo; ask it for those that it has",
            server.url
        )
    );
}
