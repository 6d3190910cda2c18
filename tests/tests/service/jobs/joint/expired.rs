//! A training of several owners whose time is over.

use super::{Holder, add, named};
use crate::jobs::Requests;
use crate::jobs::training::{program, stack_with};
use crate::live::change;
use crate::stack::{name, tenants};
use cipherfn_client_http::ServiceError;
use cipherfn_protocol::api::ProblemType;
use cipherfn_service::config;
use cipherfn_training::descent::{RowsChunk, synthetic};
use time::OffsetDateTime;

/// A record with every time at which something in it runs out long ago.
fn ended(record: &[u8]) -> Vec<u8> {
    fn end(value: &mut serde_json::Value) -> usize {
        let mut found = 0;
        if let Some(until) = value.get_mut("until") {
            *until = "1970-01-01T00:00:00Z".into();
            found = 1;
        }
        let inner = value.as_object_mut().into_iter();
        let inner = inner.flat_map(serde_json::Map::values_mut);
        found + inner.map(end).sum::<usize>()
    }
    let mut document = serde_json::from_slice(record).expect("JSON");
    assert_eq!(end(&mut document), 1, "{document}");
    document.to_string().into_bytes()
}

/// Its key holder is told so, whatever it asks for, nobody's rows are trained on or taken any more, and there is
/// room for another one.
#[tokio::test(flavor = "multi_thread")]
async fn joint_trainings_run_out() {
    let training = program(1);
    let stack = stack_with(&training, |setup| {
        setup.authorizer = tenants(&["alice", "bob"]);
        let quota = (config::JOB_QUOTA, "1".to_owned());
        setup.environment.push(quota);
    })
    .await;
    let alice = Holder::new(&stack, training.clone()).await;
    let id = alice.declared.training;
    let bob = Requests {
        stack: &stack,
        token: "bob-token",
    };
    let grant = alice.grant(1, 40, |_| ()).await;
    let files: Vec<Vec<u8>> = alice
        .chunks(&synthetic(&training, 20))
        .iter()
        .map(RowsChunk::to_file_bytes)
        .collect();
    add(&bob, &grant, &files).await.expect("added");
    let (status, name) = (alice.status().await, name("risk"));
    let uploaded = alice.service.upload_beside(&status, None, named(), |_| ());
    let uploaded = uploaded.await.expect("declared");
    let another = async || {
        alice
            .service
            .declare_training((&name, training.hash()), &alice.public)
            .await
    };
    let kind = |error: &ServiceError| error.problem().map(|problem| problem.kind);
    let error = another().await.expect_err("no room");
    assert_eq!(kind(&error), Some(ProblemType::JobQuota), "{error}");

    change(&stack, &format!("{id}.json"), ended).await;
    change(
        &stack,
        &format!("index/{}.json", alice.declared.tenant),
        ended,
    )
    .await;

    let refusals = [
        alice.service.training(id).await.map(drop),
        alice.service.offer_training_grant(&grant).await.map(drop),
        alice.service.train(&uploaded, |_| ()).await.map(drop),
    ];
    for refused in refusals {
        let error = refused.expect_err("it has run out");
        assert_eq!(kind(&error), Some(ProblemType::JobExpired), "{error}");
    }
    let late = add(&bob, &grant, &files).await.expect_err("it is late");
    assert_eq!(late.kind, ProblemType::GrantExpired, "{late:?}");
    let list = alice.service.trainings().await.expect("a list");
    assert!(list.trainings.is_empty(), "{list:?}");
    let other = another().await.expect("there is room");
    assert!(other.training != id && other.expires > OffsetDateTime::now_utc());
}
