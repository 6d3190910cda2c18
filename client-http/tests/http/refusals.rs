//! Errors that no further attempt mends, and replies that are not believed.

use crate::echo::{self, answer};
use crate::server::{Answer, Request, Server, reply, response};
use crate::{CLIENT, answers, key, options, predict, service, table};
use cipherfn_client_http::{
    Existing, KeyRing, KeyRingError, Service, ServiceError, ServiceOptions,
};
use cipherfn_protocol::api::{Problem, ProblemType, REPLY};
use cipherfn_protocol::frame::{self, FrameKind, HEADER_LEN};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::{Chunk, ChunkHead, Chunks, Nonce, ReplyChunk, write_chunk};
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use hyper::body::Bytes;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

async fn refused(kind: ProblemType) -> ServiceError {
    let server = Server::start(move |_| {
        let mut problem = Problem::new(kind, "because");
        problem.current_specs = Some(Hash::of(b"new"));
        problem
    })
    .await;
    let error = predict(&service(&server), 2).await.unwrap_err();
    assert_eq!(server.seen().len(), 1, "{kind:?} is not tried again");
    error
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    for kind in ProblemType::ALL
        .iter()
        .filter(|kind| kind.status() < 500 && **kind != ProblemType::TooManyRows)
    {
        let error = refused(*kind).await;
        let text = error.to_string();
        let key = key();
        match kind {
            ProblemType::UnknownKey => {
                assert!(matches!(error, ServiceError::UnknownKey { key: k } if k == key));
            }
            ProblemType::KeyExpired => {
                assert!(matches!(error, ServiceError::KeyExpired { key: k } if k == key));
            }
            ProblemType::KeyNotActive => {
                assert!(matches!(error, ServiceError::KeyNotActive { .. }));
            }
            ProblemType::UnknownModel => {
                assert!(matches!(error, ServiceError::UnknownModel { .. }));
            }
            ProblemType::StaleSpecs => {
                let (old, new) = (CLIENT.specs().hash(), Hash::of(b"new"));
                assert!(
                    matches!(error, ServiceError::StaleSpecs { used, current: Some(current), .. } if (used, current) == (old, new))
                );
            }
            ProblemType::Unauthenticated => {
                assert!(matches!(error, ServiceError::Denied { status: 401, .. }));
            }
            _ => assert!(text.contains("because"), "{text}"),
        }
        if matches!(
            kind,
            ProblemType::UnknownKey | ProblemType::KeyExpired | ProblemType::KeyNotActive
        ) {
            assert!(
                text.contains("register") && text.contains(&key.to_string()),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn refusals_of_gateways_are_not_tried_again() {
    for status in [400, 403, 404, 413] {
        let server = Server::start(move |_| {
            response(status, "application/json", r#"{"message":"no\nway"}"#)
        })
        .await;
        let error = predict(&service(&server), 1).await.unwrap_err().to_string();
        assert!(error.contains(&format!("status {status}")), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

fn reply_chunks(query: &[u8]) -> Vec<ReplyChunk> {
    Chunks::<_, ReplyChunk>::new(answer(query).as_slice())
        .map(|chunk| chunk.unwrap().1)
        .collect()
}

fn forged(query: &[u8], forge: impl Fn(&mut ReplyChunk)) -> Answer {
    let mut bytes = Vec::new();
    for mut chunk in reply_chunks(query) {
        forge(&mut chunk);
        write_chunk(&mut bytes, echo::set().tag(), &chunk).unwrap();
    }
    reply(bytes).into()
}

type Forgery = fn(&Request) -> Answer;

#[tokio::test]
async fn replies_that_do_not_fit_their_request_are_refused() {
    let forgeries: [(Forgery, &str); 15] = [
        (
            |request| forged(request.body(), |chunk| drop(chunk.outcomes.pop())),
            "sent 2 rows in reply to rows 1 to 3",
        ),
        (
            |request| {
                forged(request.body(), |chunk| {
                    chunk.outcomes.push(chunk.outcomes[0].clone());
                })
            },
            "sent 4 rows in reply to rows 1 to 3",
        ),
        (
            |request| {
                forged(request.body(), |chunk| {
                    chunk.head.key = SecretKey::generate(echo::set()).unwrap().id();
                })
            },
            "under key",
        ),
        (
            |request| {
                forged(request.body(), |chunk| {
                    chunk.head.specs = Hash::of(b"other");
                })
            },
            "other specs",
        ),
        // The reply to another query of as many rows, and one that names no query.
        (
            |request| {
                forged(request.body(), |chunk| {
                    chunk.head.nonce = Some(Nonce::from_bytes([1; 16]));
                })
            },
            "belongs to another query",
        ),
        (
            |request| forged(request.body(), |chunk| chunk.head.nonce = None),
            "is of version 1",
        ),
        (
            |request| forged(request.body(), |chunk| chunk.head.first_row = 1),
            "out of place",
        ),
        (
            |request| forged(request.body(), |chunk| chunk.head.last = false),
            "truncated",
        ),
        (
            |request| {
                forged(request.body(), |chunk| {
                    chunk.head.row_len -= 1;
                    for outcome in &mut chunk.outcomes {
                        let _ = outcome.as_mut().unwrap().pop();
                    }
                })
            },
            "corrupt",
        ),
        (
            |request| {
                let whole = answer(request.body());
                reply([whole.as_slice(), &whole].concat()).into()
            },
            "bytes follow",
        ),
        (
            |request| {
                let whole = answer(request.body());
                reply(whole[..whole.len() - 1].to_vec()).into()
            },
            "truncated",
        ),
        (
            |request| {
                let mut whole = answer(request.body());
                *whole.last_mut().unwrap() ^= 1;
                reply(whole).into()
            },
            "corrupt",
        ),
        (
            |request| reply(request.body().clone()).into(),
            "this is a query",
        ),
        (|_| reply("").into(), "truncated"),
        (
            |request| response(200, "text/plain", answer(request.body())).into(),
            "content type \"text/plain\"",
        ),
    ];
    for (forgery, expected) in forgeries {
        let server = Server::start(forgery).await;
        let (result, answers) = answers(&service(&server), table(3)).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(answers.is_empty(), "{expected}");
        assert_eq!(server.seen().len(), 1, "{expected}");
    }
}

/// A proxy that hands each of two callers the other's reply, which is well formed, of the right
/// specs, key and size.
#[tokio::test]
async fn replies_that_a_proxy_swaps_are_refused() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let (arrived, _) = watch::channel(0);
    let arrived = Arc::new(arrived);
    let server = Server::start_waiting(move |request| {
        let mut seen = bodies.lock().unwrap();
        let (index, bodies, arrived) = (seen.len(), Arc::clone(&bodies), Arc::clone(&arrived));
        seen.push(request.body().clone());
        arrived.send_replace(seen.len());
        Box::pin(async move {
            let mut both = arrived.subscribe();
            both.wait_for(|count| *count == 2).await.unwrap();
            let other: Bytes = bodies.lock().unwrap()[1 - index].clone();
            reply(answer(&other)).into()
        })
    })
    .await;
    let options = ServiceOptions {
        rows_a_request: NonZeroUsize::new(1),
        in_flight: NonZeroUsize::new(2).unwrap(),
        ..options()
    };
    let service = Service::new(&server.url, options).unwrap();
    let (result, answers) = answers(&service, table(2)).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("belongs to another query"), "{error}");
    assert!(answers.is_empty());
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body().len(), seen[1].body().len());
}

#[tokio::test]
async fn a_reply_of_ones_is_an_error_and_no_prediction() {
    // As bytes, and as the content of a frame whose checksum is right.
    let ones: [Forgery; 2] = [
        |request| reply(vec![0xff; answer(request.body()).len()]).into(),
        |request| {
            let length = answer(request.body()).len() - HEADER_LEN;
            let content = vec![0xff; length];
            reply(frame::encode(
                FrameKind::Reply,
                2,
                echo::set().tag(),
                &content,
            ))
            .into()
        },
    ];
    for ones in ones {
        let server = Server::start(ones).await;
        let (result, answers) = answers(&service(&server), table(3)).await;
        assert!(
            matches!(result, Err(ServiceError::Reply { .. })),
            "{result:?}"
        );
        assert!(answers.is_empty());
    }
}

#[tokio::test]
async fn a_mixture_of_two_replies_is_refused() {
    let server = Server::start(|request| {
        let chunk = reply_chunks(request.body()).remove(0);
        let head = ChunkHead {
            last: false,
            ..chunk.head
        };
        let other = ChunkHead {
            key: SecretKey::generate(echo::set()).unwrap().id(),
            first_row: chunk.len() as u64,
            ..chunk.head
        };
        let mut bytes = Vec::new();
        for head in [head, other] {
            write_chunk(
                &mut bytes,
                echo::set().tag(),
                &ReplyChunk {
                    head,
                    ..chunk.clone()
                },
            )
            .unwrap();
        }
        reply(bytes)
    })
    .await;
    let error = predict(&service(&server), 2).await.unwrap_err();
    assert!(error.to_string().contains("mixture"), "{error}");
    assert!(matches!(
        error,
        ServiceError::Reply {
            first: 1,
            last: 2,
            ..
        }
    ));
}

#[tokio::test]
async fn an_endless_reply_is_cut_short() {
    let server =
        Server::start(|_| response(200, REPLY, vec![0; cipherfn_protocol::api::MAX_REPLY + 1]))
            .await;
    let error = predict(&service(&server), 1).await.unwrap_err().to_string();
    assert!(error.contains("more than 4194304 bytes"), "{error}");
}

#[tokio::test]
async fn a_key_ring_without_the_key_is_refused_before_anything_is_sent() {
    let server = Server::start(|_| Answer::Reset).await;
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::at(directory.path());
    let set = &ParameterSet::all()[1];
    ring.fill_parts(set, &[], Existing::Keep).unwrap();
    let rows = table(1).into_iter().map(Ok);
    let result = service(&server)
        .predict(&super::model(), &CLIENT, &ring, rows, |_| Ok(()))
        .await;
    assert!(
        matches!(result, Err(ServiceError::KeyRing(error)) if matches!(*error, KeyRingError::NoKey { .. }))
    );
    assert!(server.seen().is_empty());
}
