//! Many clients at once.

use crate::models::{Caller, LINEAR, TREE};
use crate::stack::{Stack, tenants};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_its_own_answers() {
    const CLIENTS: usize = 8;
    const PREDICTIONS: usize = 200;
    let names = ["alice", "bob", "carol", "dave"];
    let stack = Stack::start(|setup| setup.authorizer = tenants(&names)).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    stack.publish("linear", &LINEAR.bundle, 2).await;
    let mut callers = Vec::new();
    for name in names {
        let service = stack.service_of(&format!("{name}-token"));
        let tree = Caller::registered(service.clone(), "tree").await;
        callers.push(Arc::new((tree, Caller::new(service, "linear").await)));
    }
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (caller, next) = (callers[client % callers.len()].clone(), next.clone());
        clients.spawn(async move {
            let mut done = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= PREDICTIONS {
                    return done;
                }
                // Rows of linear scores are told apart by their values.
                if number % 2 == 0 {
                    LINEAR.check(
                        number,
                        1,
                        &caller
                            .1
                            .predict(LINEAR.rows(number, 1))
                            .await
                            .expect("an answer"),
                    );
                } else {
                    TREE.check(
                        number,
                        1,
                        &caller
                            .0
                            .predict(TREE.rows(number, 1))
                            .await
                            .expect("an answer"),
                    );
                }
                done += 1;
            }
        });
    }
    let done: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(done, PREDICTIONS);
    assert_eq!(
        stack.statuses("/predict"),
        [200; PREDICTIONS],
        "none was lost and asked for again"
    );
}
