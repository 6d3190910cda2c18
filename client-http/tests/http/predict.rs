//! Batches, their order, and failures that pass.

use crate::echo::{answer, answer_with};
use crate::server::{Answer, Request, Server, reply, response};
use crate::{ATTEMPTS, CLIENT, answers, options, predict, predictions, service, table};
use cipherfn_client::Answer as RowAnswer;
use cipherfn_client_http::{RetryListener, Service, ServiceError, ServiceOptions};
use cipherfn_program::Tensor;
use cipherfn_protocol::api::{MAX_REPLY, MAX_REQUEST, Problem, ProblemType, QUERY};
use cipherfn_protocol::message::{Chunk, Chunks, MAX_EXPLANATION, QueryChunk};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

fn echo(request: &Request) -> Answer {
    assert_eq!(
        (request.method().as_str(), request.uri().path()),
        ("POST", "/v2/models/echo/predict")
    );
    assert_eq!(request.headers()["content-type"], QUERY);
    reply(answer(request.body())).into()
}

/// Rows of each chunk of a query.
fn chunks(query: &[u8]) -> Vec<usize> {
    Chunks::<_, QueryChunk>::new(query)
        .map(|chunk| chunk.unwrap().1.len())
        .collect()
}

fn rows(request: &Request) -> usize {
    chunks(request.body()).iter().sum()
}

fn batched(server: &Server, rows: usize, in_flight: usize) -> Service {
    let options = ServiceOptions {
        rows_a_request: NonZeroUsize::new(rows),
        in_flight: NonZeroUsize::new(in_flight).unwrap(),
        ..options()
    };
    Service::new(&server.url, options).unwrap()
}

#[tokio::test]
async fn predictions_are_in_the_order_of_the_rows_whichever_answer_comes_first() {
    const REQUESTS: usize = 4;
    // The request that arrives last is answered first, so all of them must be under way together.
    let (answered, _) = watch::channel(0);
    let answered = Arc::new(answered);
    let arrived = AtomicUsize::new(0);
    let server = Server::start_waiting(move |request| {
        let (answered, body) = (Arc::clone(&answered), answer(request.body()));
        let turn = REQUESTS - 1 - arrived.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            answered
                .subscribe()
                .wait_for(|count| *count == turn)
                .await
                .unwrap();
            answered.send_modify(|count| *count += 1);
            reply(body).into()
        })
    })
    .await;
    let written = predict(&batched(&server, 2, REQUESTS), 2 * REQUESTS)
        .await
        .unwrap();
    assert_eq!(written, predictions(2 * REQUESTS));
    assert_eq!(server.seen().len(), REQUESTS);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let server = {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        Server::start_waiting(move |request| {
            let (now, body) = (Arc::clone(&now), answer(request.body()));
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                reply(body).into()
            })
        })
        .await
    };
    assert_eq!(
        predict(&batched(&server, 3, 2), 50).await.unwrap(),
        predictions(50)
    );
    assert_eq!(server.seen().len(), 17);
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn requests_stay_below_the_limits() {
    const ROWS: usize = 2000;
    let server = Server::start(echo).await;
    assert_eq!(
        predict(&service(&server), ROWS).await.unwrap(),
        predictions(ROWS)
    );
    let seen = server.seen();
    assert_eq!(seen.iter().map(rows).sum::<usize>(), ROWS);
    assert!(seen.len() > 2);
    let mut full = 0;
    for request in &seen {
        let chunks = chunks(request.body());
        let (rows, heads) = (chunks.iter().sum::<usize>(), chunks.len() * 133);
        let (query_row, reply_row) = (CLIENT.query_row_bytes(), 1 + CLIENT.reply_row_bytes());
        assert_eq!(request.body().len(), rows * query_row + heads);
        assert!(request.body().len() <= MAX_REQUEST);
        assert!(rows * reply_row + heads <= MAX_REPLY);
        // Every row may fail with the longest explanation.
        assert!(rows * (5 + MAX_EXPLANATION) + heads <= MAX_REPLY);
        let fuller = |row| (rows + 1) * row + heads + 133;
        full += usize::from(fuller(query_row) > MAX_REQUEST || fuller(reply_row) > MAX_REPLY);
    }
    assert_eq!(
        full,
        seen.len() - 1,
        "one more row would not fit, except in the last request"
    );
}

#[tokio::test]
async fn answers_come_as_requests_end_and_futures_can_be_spawned() {
    let server = Server::start(echo).await;
    let service = batched(&server, 4, 3);
    let counts = tokio::spawn(async move {
        let mut counts = Vec::new();
        let model = super::model();
        let rows = table(10).into_iter().map(Ok);
        let take = |answers: Vec<RowAnswer>| {
            counts.push(answers.len());
            Ok::<_, ServiceError>(())
        };
        let done = service.predict(&model, &CLIENT, &super::KEYS.1, rows, take);
        assert_eq!(done.await.unwrap(), 10);
        counts
    });
    assert_eq!(counts.await.unwrap(), [4, 4, 2]);
}

#[tokio::test]
async fn fewer_rows_are_sent_where_the_service_asks_for_it() {
    for (most_rows, expected) in [(Some(3), 3), (None, 2), (Some(0), 2), (Some(1 << 40), 2)] {
        let server = Server::start(move |request| {
            if rows(request) <= 3 {
                return echo(request);
            }
            let mut problem = Problem::new(ProblemType::TooManyRows, "too many");
            problem.most_rows = most_rows;
            problem.into()
        })
        .await;
        assert_eq!(
            predict(&batched(&server, 8, 1), 20).await.unwrap(),
            predictions(20)
        );
        let sizes: Vec<_> = server.seen().iter().map(rows).collect();
        assert_eq!(
            sizes.iter().filter(|size| **size > 3).count(),
            if most_rows == Some(3) { 1 } else { 2 },
            "{sizes:?}"
        );
        assert!(
            sizes
                .iter()
                .rev()
                .skip(1)
                .take(4)
                .all(|size| *size <= expected),
            "{sizes:?}"
        );
    }
}

#[tokio::test]
async fn one_row_that_is_too_many_is_an_error() {
    let server =
        Server::start(|_| Problem::new(ProblemType::TooManyRows, "a row takes an hour")).await;
    let error = predict(&service(&server), 3).await.unwrap_err();
    assert_eq!(error.problem().unwrap().kind, ProblemType::TooManyRows);
    assert!(
        error.to_string().ends_with("a row takes an hour"),
        "{error}"
    );
    assert_eq!(server.seen().iter().map(rows).collect::<Vec<_>>(), [3, 1]);
}

#[tokio::test]
async fn failures_that_pass_are_survived() {
    let failures: [fn(&Request) -> Answer; 9] = [
        |_| Problem::new(ProblemType::Internal, "bug").into(),
        |_| Problem::new(ProblemType::StorageUnavailable, "slow down").into(),
        |_| Problem::new(ProblemType::OutOfTime, "later").into(),
        |_| {
            response(
                500,
                "application/json",
                r#"{"message":"Internal Server Error"}"#,
            )
            .into()
        },
        |_| response(502, "text/html", "<html>bad gateway</html>").into(),
        |_| response(504, "application/json", "{}").into(),
        |_| {
            let mut response = response(
                429,
                "application/json",
                r#"{"message":"Too Many Requests"}"#,
            );
            response.headers_mut().insert("retry-after", 0.into());
            response.into()
        },
        |_| Answer::Reset,
        |request| Answer::Cut(reply(answer(request.body()))),
    ];
    for failure in failures {
        let failed = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            if failed.fetch_add(1, Ordering::SeqCst) < 3 {
                failure(request)
            } else {
                echo(request)
            }
        })
        .await;
        assert_eq!(predict(&service(&server), 5).await.unwrap(), predictions(5));
        let seen = server.seen();
        assert_eq!(seen.len(), 4);
        assert!(seen.iter().all(|request| request.body() == seen[0].body()));
    }
}

#[tokio::test]
async fn the_caller_hears_of_each_attempt_that_is_made_again() {
    let server = Server::start(|_| response(503, "text/plain", "later")).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let options = ServiceOptions {
        on_retry: Some(RetryListener::new(move |retrying| {
            listener.lock().unwrap().push(retrying.clone());
        })),
        ..options()
    };
    let service = Service::new(&server.url, options).unwrap();
    predict(&service, 1).await.unwrap_err();
    let heard = heard.lock().unwrap();
    let attempts: Vec<_> = heard.iter().map(|retrying| retrying.attempts).collect();
    assert_eq!(
        attempts,
        [1, 2, 3],
        "of {ATTEMPTS} the last is not made again"
    );
    assert!(
        heard
            .iter()
            .all(|it| it.cause == "status 503" && it.most.get() == ATTEMPTS)
    );
    assert!(heard[0].route.contains("POST") && heard[0].route.contains("/v2/models/echo"));
}

#[tokio::test]
async fn attempts_end_and_are_told() {
    let server =
        Server::start(|_| Problem::new(ProblemType::StorageUnavailable, "the store\u{1b}is away"))
            .await;
    let error = predict(&service(&server), 1).await.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Problem {
                attempts: ATTEMPTS,
                ..
            }
        ),
        "{error:?}"
    );
    let text = error.to_string();
    let expected = format!(
        "POST {}/v2/models/echo/predict answered 503 storage unavailable after 4 attempts: ",
        server.url
    );
    assert!(
        text.starts_with(&expected) && text.ends_with("the store is away"),
        "{text}"
    );
    assert_eq!(server.seen().len(), ATTEMPTS as usize);

    let server = Server::start(|_| Answer::Reset).await;
    let error = predict(&service(&server), 1).await.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Unreachable {
                attempts: ATTEMPTS,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(server.seen().len(), ATTEMPTS as usize);

    let nobody = Service::new("http://127.0.0.1:1", options()).unwrap();
    let error = predict(&nobody, 1).await.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Unreachable {
                attempts: ATTEMPTS,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn failed_rows_have_their_number_in_the_table() {
    let server = Server::start(|request| {
        let outcome = |row, bytes| {
            if row == 1 {
                Err("out of luck".to_owned())
            } else {
                Ok(bytes)
            }
        };
        reply(answer_with(request.body(), outcome))
    })
    .await;
    let (result, answers) = answers(&batched(&server, 3, 2), table(6)).await;
    assert_eq!(result.unwrap(), 6);
    let failed = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.prediction.is_none());
    let failed: Vec<_> = failed
        .map(|(row, answer)| (row, answer.remark.as_deref()))
        .collect();
    let reason = Some("the service: out of luck");
    assert_eq!(failed, [(1, reason), (4, reason)]);
}

#[tokio::test]
async fn requests_are_the_same_whatever_the_rows_hold() {
    let mut bodies = Vec::new();
    let bad = |row: usize| match row {
        1 => Ok(vec![Tensor::F32(vec![f32::NAN])]),
        2 => Err("not a number".to_owned()),
        4 => Ok(vec![Tensor::F32(vec![f32::INFINITY])]),
        _ => Ok(vec![Tensor::F32(vec![0.5])]),
    };
    for rows in [table(5), (0..5).map(bad).collect()] {
        let server = Server::start(echo).await;
        let (result, answers) = answers(&batched(&server, 2, 1), rows).await;
        assert_eq!(result.unwrap(), 5);
        let seen = server.seen();
        let lengths: Vec<_> = seen.iter().map(|request| request.body().len()).collect();
        bodies.push((
            lengths,
            answers
                .iter()
                .filter(|answer| answer.remark.is_some())
                .count(),
        ));
    }
    assert_eq!(bodies[0].0, bodies[1].0);
    assert_eq!([bodies[0].1, bodies[1].1], [0, 3]);
}

#[tokio::test]
async fn an_unreadable_table_ends_after_the_answers_before() {
    let server = Server::start(echo).await;
    let rows = table(4).into_iter().map(Ok);
    let broken = || ServiceError::Cancelled;
    let rows = rows.chain([Err(broken())]);
    let mut count = 0;
    let take = |answers: Vec<RowAnswer>| {
        count += answers.len();
        Ok(())
    };
    let service = batched(&server, 2, 2);
    let model = super::model();
    let done = service.predict(&model, &CLIENT, &super::KEYS.1, rows, take);
    assert!(matches!(done.await, Err(ServiceError::Cancelled)));
    assert_eq!(count, 4, "earlier answers are there");
}

#[tokio::test]
async fn a_table_is_read_no_further_than_requests_are_under_way() {
    const ROWS: usize = 120;
    const ROWS_A_REQUEST: usize = 2;
    const IN_FLIGHT: usize = 3;
    let read = Arc::new(AtomicUsize::new(0));
    let (seen, ahead) = (Arc::clone(&read), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(&ahead);
    let answered = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let before = answered.fetch_add(rows(request), Ordering::SeqCst);
        most.fetch_max(seen.load(Ordering::SeqCst) - before, Ordering::SeqCst);
        echo(request)
    })
    .await;
    let rows = (0..ROWS).map(move |_| {
        read.fetch_add(1, Ordering::SeqCst);
        Ok::<_, ServiceError>(Ok(vec![Tensor::F32(vec![0.5])]))
    });
    let service = batched(&server, ROWS_A_REQUEST, IN_FLIGHT);
    let model = super::model();
    let done = service.predict(&model, &CLIENT, &super::KEYS.1, rows, |_| Ok(()));
    assert_eq!(done.await.unwrap(), ROWS as u64);
    assert!(ahead.load(Ordering::SeqCst) <= IN_FLIGHT * ROWS_A_REQUEST);
}
