//! Registration of evaluation keys.

use crate::echo;
use crate::registry::{Registry, SIGNATURE};
use crate::server::{Answer, Request, Server, response};
use crate::{ATTEMPTS, keys, model, options, table};
use cipherfn_client::Client;
use cipherfn_client_http::{
    Existing, KeyRing, Made, Registered, Service, ServiceError, ServiceOptions, Uploaded,
};
use cipherfn_protocol::api::{KeyState, Problem, ProblemType, REPLY};
use cipherfn_protocol::specs::SpecsDocument;
use cipherfn_scheme::parameters::ParameterSet;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

/// The echo model's specs with packed selectors, which need an evaluation key.
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let document = SpecsDocument::from_json_bytes(&echo::specs("packed")).unwrap();
    // Of a document of version 1 the need for a key follows from its encoding.
    let document = document.version_1().unwrap().unwrap();
    let mut specs: serde_json::Value = serde_json::from_slice(document.bytes()).unwrap();
    specs["encoding"] = serde_json::json!({"selectors": {
        "quantisers": [{"feature": 0, "name": "x", "splits": [0.0], "missing": null}],
        "selectors": [{"quantiser": 0, "predicate": {"bit": 0}}],
        "gadget": {"base_log": 8, "levels": 3},
        "transport": "packed"
    }});
    Client::from_specs(&serde_json::to_vec(&specs).unwrap()).unwrap()
});
static KEYS: LazyLock<(TempDir, KeyRing)> = LazyLock::new(|| keys(&CLIENT));

fn key_file() -> Vec<u8> {
    let file = KEYS
        .1
        .key_part_file(CLIENT.parameter_set(), CLIENT.key_parts()[0]);
    file.unwrap().bytes
}

/// The echo model's specs in a set with several parts, of which the model needs these.
fn wide_client(parts: &[&str]) -> Arc<Client> {
    let mut specs: serde_json::Value = serde_json::from_slice(&echo::specs("wide")).unwrap();
    specs["parameter_set"] = serde_json::json!({"name": WIDE.name, "hash": WIDE.hash()});
    specs["key_parts"] = serde_json::json!(parts);
    Arc::new(Client::from_specs(&serde_json::to_vec(&specs).unwrap()).unwrap())
}

static WIDE: LazyLock<&ParameterSet> = LazyLock::new(|| {
    let mut sets = ParameterSet::all().iter();
    sets.find(|set| set.parts.len() > 1).unwrap()
});

/// Cuts the key into this many pieces.
fn service(server: &Server, parts: usize) -> Service {
    let options = ServiceOptions {
        piece_bytes: NonZeroU64::new(key_file().len().div_ceil(parts) as u64).unwrap(),
        ..options()
    };
    Service::new(&server.url, options).unwrap()
}

/// On another thread, as its future must allow.
async fn register(service: &Service) -> (Result<Registered, ServiceError>, Vec<Uploaded>) {
    let service = service.clone();
    let registration = tokio::spawn(async move {
        let mut steps = Vec::new();
        let result = service
            .register(&KEYS.1, &CLIENT, |step| steps.push(step))
            .await;
        (result, steps)
    });
    registration.await.unwrap()
}

/// A registry in front of which `fault` may answer: it hears the request and which request of its
/// kind this is, from 1.
async fn registry(
    fault: impl Fn(&Request, usize, &Registry) -> Option<Answer> + Send + Sync + 'static,
) -> (Arc<Registry>, Server) {
    registry_of("v2", fault).await
}

/// The same of a service of this version.
async fn registry_of(
    version: &'static str,
    fault: impl Fn(&Request, usize, &Registry) -> Option<Answer> + Send + Sync + 'static,
) -> (Arc<Registry>, Server) {
    let registry = Arc::new(Registry::new(version));
    let counts = std::sync::Mutex::new(std::collections::BTreeMap::<String, usize>::new());
    let answering = Arc::clone(&registry);
    let server = Server::start(move |request| {
        let route = format!("{} {}", request.method(), request.uri().path());
        let count = *counts
            .lock()
            .unwrap()
            .entry(route)
            .and_modify(|count| *count += 1)
            .or_insert(1);
        fault(request, count, &answering).unwrap_or_else(|| answering.answer(request))
    })
    .await;
    (registry, server)
}

fn is_part(request: &Request, number: u32) -> bool {
    request
        .uri()
        .path()
        .ends_with(&format!("/quarantine/expansion/{number}"))
}

fn puts(server: &Server) -> usize {
    server
        .routes()
        .iter()
        .filter(|route| route.starts_with("PUT"))
        .count()
}

#[tokio::test]
async fn a_key_is_uploaded_once() {
    for (version, parts) in [("v2", 1), ("v2", 3), ("v1", 1), ("v1", 3)] {
        let (registry, server) = registry_of(version, |_, _, _| None).await;
        let service = service(&server, parts);
        let (result, steps) = register(&service).await;
        let Registered::Uploaded(status) = result.unwrap() else {
            panic!("nothing was there")
        };
        assert_eq!(status.parts["expansion"].state, KeyState::Active);
        assert_eq!(registry.file("expansion"), key_file());
        let of = key_file().len() as u64;
        assert_eq!(
            (steps[0], *steps.last().unwrap()),
            (Uploaded { bytes: 0, of }, Uploaded { bytes: of, of })
        );
        assert_eq!(steps.len(), parts + 1);

        let (result, steps) = register(&service).await;
        assert!(matches!(result.unwrap(), Registered::Active(_)));
        assert!(steps.is_empty());
        assert_eq!(puts(&server), parts);
        let key = status.key;
        let again = service.key_status(key).await.unwrap();
        assert_eq!(again.parts["expansion"].state, KeyState::Active);
        assert_eq!(
            server.routes().last().unwrap(),
            &format!("GET /{version}/keys/{key}")
        );
    }
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_with_what_is_missing() {
    let broken = Arc::new(AtomicUsize::new(0));
    let fault = Arc::clone(&broken);
    let (registry, server) = registry(move |request, _, _| {
        let breaks = is_part(request, 2) && fault.load(Ordering::SeqCst) == 0;
        breaks.then_some(Answer::Reset)
    })
    .await;
    let service = service(&server, 3);
    let (result, _) = register(&service).await;
    let error = result.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Upload {
                piece: 2,
                attempts: ATTEMPTS,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        !format!("{error} {error:?}").contains(SIGNATURE),
        "{error:?}"
    );

    let before = puts(&server);
    broken.store(1, Ordering::SeqCst);
    let (result, steps) = register(&service).await;
    assert!(matches!(result.unwrap(), Registered::Uploaded(_)));
    assert_eq!(puts(&server), before + 1, "only the missing part travels");
    assert!(steps[0].bytes > 0 && steps[0].bytes < steps[0].of);
    assert_eq!(registry.file("expansion"), key_file());
}

type Fault = dyn Fn(&Request, usize, &Registry) -> Option<Answer> + Send + Sync;

#[tokio::test]
async fn faults_of_the_store_are_survived() {
    let slow_down = |status, code| {
        let body = format!("<Error><Code>{code}</Code></Error>");
        Some(response(status, "application/xml", body).into())
    };
    let faults: [Box<Fault>; 6] = [
        Box::new(move |request, count, _| {
            (request.method() == "PUT" && count < 4).then(|| slow_down(503, "SlowDown"))?
        }),
        Box::new(move |request, count, _| {
            (request.method() == "PUT" && count < 4).then(|| slow_down(500, "InternalError"))?
        }),
        Box::new(move |request, count, _| {
            (request.method() == "PUT" && count < 4).then(|| slow_down(400, "RequestTimeout"))?
        }),
        // The part arrives and the answer does not: trying again meets "if-none-match".
        Box::new(move |request, count, registry| {
            (request.method() == "PUT" && count < 3).then(|| {
                registry.answer(request);
                Answer::Reset
            })
        }),
        // The address has expired: a new one is asked for.
        Box::new(move |request, count, _| {
            (is_part(request, 2) && count == 1).then(|| slow_down(403, "AccessDenied"))?
        }),
        // The last part is not visible at once.
        Box::new(|request, count, _| {
            (request.uri().path().ends_with("/complete") && count == 1)
                .then(|| Problem::new(ProblemType::UploadMissing, "not there yet").into())
        }),
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        let (registry, server) = registry(fault).await;
        let (result, _) = register(&service(&server, 3)).await;
        assert!(
            matches!(result.unwrap(), Registered::Uploaded(_)),
            "fault {index}"
        );
        assert_eq!(registry.file("expansion"), key_file(), "fault {index}");
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_not_asked_forever() {
    for (status, code, most) in [(400, "BadDigest", 1), (403, "SignatureDoesNotMatch", 2)] {
        let (_, server) = registry(move |request, _, _| {
            let body = format!(
                "<Error><Code>{code}</Code><StringToSign>{SIGNATURE}</StringToSign></Error>"
            );
            (request.method() == "PUT").then(|| response(status, "application/xml", body).into())
        })
        .await;
        let (result, _) = register(&service(&server, 1)).await;
        let error = result.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(code) && !text.contains(SIGNATURE), "{text}");
        assert_eq!(puts(&server), most);
    }
}

#[tokio::test]
async fn refusals_of_the_service_are_named() {
    for kind in [
        ProblemType::KeyQuota,
        ProblemType::KeyConflict,
        ProblemType::WrongParameterSet,
    ] {
        let (_, server) = registry(move |request, _, _| {
            (request.uri().path() == "/v2/keys").then(|| Problem::new(kind, "because").into())
        })
        .await;
        let error = register(&service(&server, 1)).await.0.unwrap_err();
        assert!(error.to_string().contains("because"), "{error}");
        match kind {
            ProblemType::KeyQuota => assert!(matches!(error, ServiceError::KeyQuota { .. })),
            ProblemType::KeyConflict => assert!(matches!(error, ServiceError::KeyConflict { .. })),
            kind => assert_eq!(error.problem().unwrap().kind, kind),
        }
        assert_eq!(puts(&server), 0);
    }
    let (_, server) = registry(|request, _, _| {
        request
            .uri()
            .path()
            .ends_with("/complete")
            .then(|| Problem::new(ProblemType::KeyRejected, "too short").into())
    })
    .await;
    let error = register(&service(&server, 1)).await.0.unwrap_err();
    assert!(
        matches!(&error, ServiceError::KeyRejected { reason, .. } if reason == "too short"),
        "{error}"
    );
}

#[tokio::test]
async fn an_expired_registration_is_renewed() {
    let (registry, server) = registry(|request, count, _| {
        (request.method() == "GET" && count == 1)
            .then(|| Problem::new(ProblemType::KeyExpired, "long ago").into())
    })
    .await;
    assert!(matches!(
        register(&service(&server, 1)).await.0.unwrap(),
        Registered::Uploaded(_)
    ));
    assert_eq!(registry.file("expansion"), key_file());
}

#[tokio::test]
async fn pieces_outside_the_file_are_refused() {
    for (field, value) in [
        ("offset", serde_json::json!(1)),
        ("bytes", serde_json::json!(u64::MAX)),
        ("method", serde_json::json!("POST")),
        ("url", serde_json::json!("http://store.example/1")),
        ("headers", serde_json::json!({"a b": "c"})),
    ] {
        let (_, server) = registry(move |request, _, registry| {
            let Answer::Whole(mut response) = registry.answer(request) else {
                panic!("answers are whole")
            };
            if request.uri().path() == "/v2/keys" {
                let mut upload: serde_json::Value =
                    serde_json::from_slice(response.body()).unwrap();
                upload["pieces"][0][field] = value.clone();
                *response.body_mut() = serde_json::to_vec(&upload).unwrap().into();
            }
            Some(response.into())
        })
        .await;
        let error = register(&service(&server, 1)).await.0.unwrap_err();
        assert!(matches!(error, ServiceError::Answer { .. }), "{error}");
        assert_eq!(puts(&server), 0);
    }
}

#[tokio::test]
async fn a_model_without_need_for_a_key_registers_none() {
    let (_, server) = registry(|_, _, _| None).await;
    let result = service(&server, 1)
        .register(&KEYS.1, &super::CLIENT, |_| ())
        .await;
    assert_eq!(result.unwrap(), Registered::NotNeeded);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn deleting_is_harmless_to_repeat() {
    let (_, server) = registry(|request, count, _| {
        (request.method() == "DELETE").then(|| match count {
            1 => Answer::Reset,
            _ => Problem::new(ProblemType::UnknownKey, "no key").into(),
        })
    })
    .await;
    let (service, key) = (service(&server, 1), super::key());
    service.delete_key(key).await.unwrap();
    assert!(matches!(
        service.delete_key(key).await,
        Err(ServiceError::UnknownKey { .. })
    ));
}

#[tokio::test]
async fn only_parts_that_are_needed_and_missing_travel() {
    let (registry, server) = registry(|_, _, _| None).await;
    let service = Service::new(&server.url, options()).unwrap();
    let one = wide_client(&["expansion"]);
    let (_directory, ring) = keys(&one);
    let both = wide_client(&["expansion", "inverse"]);
    assert!(
        service.register(&ring, &both, |_| ()).await.is_err(),
        "the ring has one part"
    );
    assert_eq!(puts(&server), 0);
    let registered = service.register(&ring, &one, |_| ()).await.unwrap();
    assert!(matches!(registered, Registered::Uploaded(_)));
    assert_eq!(puts(&server), 1);

    ring.fill(&both, Existing::Keep).unwrap();
    let mut steps = Vec::new();
    let registered = service.register(&ring, &both, |step| steps.push(step));
    let Registered::Uploaded(status) = registered.await.unwrap() else {
        panic!("a part was missing")
    };
    assert_eq!(puts(&server), 2);
    let of = WIDE.part("inverse").unwrap().file_bytes(*WIDE) as u64;
    assert_eq!(steps.last(), Some(&Uploaded { bytes: of, of }));
    assert!(
        status
            .parts
            .values()
            .all(|part| part.state == KeyState::Active)
    );
    for part in both.key_parts() {
        let file = ring.key_part_file(*WIDE, part).unwrap();
        assert_eq!(registry.file(part.name), file.bytes);
    }
    // A model that needs less finds it.
    let registered = service.register(&ring, &one, |_| ()).await.unwrap();
    assert!(matches!(registered, Registered::Active(_)));
}

#[test]
fn parts_are_made_under_a_progress() {
    let client = wide_client(&["bootstrap-fast", "expansion"]);
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path().join("keys"));
    let mut steps = Vec::new();
    ring.fill_telling(&client, Existing::Keep, |made| steps.push(made))
        .unwrap();
    let files = client.key_parts().iter();
    let of = files.map(|part| part.file_bytes(*WIDE) as u64).sum();
    assert_eq!(steps.last(), Some(&Made { bytes: of, of }));
    assert!(steps.is_sorted_by_key(|made| made.bytes) && steps.len() > 100);
    // Nothing is made twice.
    let mut again = 0;
    ring.fill_telling(&client, Existing::Keep, |_| again += 1)
        .unwrap();
    assert_eq!(again, 0);
}

#[tokio::test]
async fn a_service_of_version_1_takes_no_parts() {
    let (_, server) = registry_of("v1", |_, _, _| None).await;
    let service = Service::new(&server.url, options()).unwrap();
    let client = wide_client(&["expansion", "inverse"]);
    let (_directory, ring) = keys(&client);
    let error = service.register(&ring, &client, |_| ()).await.unwrap_err();
    assert!(
        matches!(&error, ServiceError::NoParts { parts, .. } if parts == "expansion, inverse"),
        "{error}"
    );
    assert_eq!(puts(&server), 0);
}

/// The service asks for a part that the specs did not name.
#[tokio::test]
async fn a_missing_part_is_made_and_registered_once() {
    let (registry, server) = registry(|request, _, registry| {
        let path = request.uri().path();
        path.ends_with("/predict").then(|| {
            if registry.has("inverse") {
                return response(200, REPLY, echo::answer(request.body())).into();
            }
            let mut problem = Problem::new(ProblemType::MissingKeyPart, "the inverse is missing");
            problem.missing_part = Some("inverse".to_owned());
            problem.into()
        })
    })
    .await;
    let (service, model) = (Service::new(&server.url, options()).unwrap(), model());
    let client = wide_client(&["expansion"]);
    let (_directory, ring) = keys(&client);
    let rows = table(10).into_iter().map(Ok::<_, ServiceError>);
    let done = service.predict(&model, &client, &ring, rows, |_| Ok(()));
    assert_eq!(done.await.unwrap(), 10);
    assert_eq!(puts(&server), 1);
    let part = WIDE.part("inverse").unwrap();
    let file = ring.key_part_file(*WIDE, part).unwrap();
    assert_eq!(registry.file("inverse"), file.bytes);

    // One that the set does not have, or that is missing whatever was registered.
    for part in ["bootstrap", "expansion"] {
        let (_, server) = self::registry(move |request, _, _| {
            request.uri().path().ends_with("/predict").then(|| {
                let mut problem = Problem::new(ProblemType::MissingKeyPart, "it is missing");
                problem.missing_part = Some(part.to_owned());
                problem.into()
            })
        })
        .await;
        let service = Service::new(&server.url, options()).unwrap();
        let rows = table(1).into_iter().map(Ok::<_, ServiceError>);
        let done = service.predict(&model, &client, &ring, rows, |_| Ok(()));
        let error = done.await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
