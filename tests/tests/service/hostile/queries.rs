//! Bodies that are no queries, or queries of others.

use crate::models::{Caller, LINEAR, TREE, TREE_OF_OTHER_SET};
use crate::stack::Stack;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_none() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("linear", &LINEAR.bundle, 2).await;
    let caller = Caller::new(stack.service(|_| {}), "linear").await;
    let query = caller.query(&LINEAR.rows(0, 2));
    let kind = async |body: &[u8]| stack.query("linear", body.to_vec()).await.problem().kind;
    // Truncated anywhere, and longer than it says.
    let step = (query.len() / 60).max(1);
    for len in (0..query.len())
        .step_by(step)
        .chain([1, 7, 8, 9, query.len() - 1])
    {
        assert_eq!(
            kind(&query[..len]).await,
            ProblemType::MalformedQuery,
            "{len} bytes"
        );
    }
    assert_eq!(
        kind(&[&query[..], &[0]].concat()).await,
        ProblemType::MalformedQuery
    );
    assert_eq!(
        kind(&[&query[..], &query[..]].concat()).await,
        ProblemType::MalformedQuery
    );
    // Changed anywhere.
    for position in (0..query.len()).step_by(step) {
        let mut changed = query.clone();
        changed[position] ^= 0x10;
        assert_eq!(
            kind(&changed).await,
            ProblemType::MalformedQuery,
            "byte {position}"
        );
    }
    assert_eq!(kind(b"{}").await, ProblemType::MalformedQuery);
    assert_eq!(
        kind(&caller.secret.to_file_bytes()).await,
        ProblemType::MalformedQuery,
        "a key is no query"
    );
    // It answers as before.
    LINEAR.check(0, 2, &caller.open(&stack.query("linear", query).await.body));
}

/// A query's only chunk, changed.
fn changed(query: &[u8], change: impl FnOnce(&mut ParameterSetTag, &mut QueryChunk)) -> Vec<u8> {
    let (mut tag, mut chunk) = Chunks::<_, QueryChunk>::new(query)
        .next()
        .expect("a chunk")
        .expect("a query");
    change(&mut tag, &mut chunk);
    let mut query = Vec::new();
    write_chunk(&mut query, tag, &chunk).expect("written");
    query
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_of_other_models_and_keys() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    stack.publish("linear", &LINEAR.bundle, 2).await;
    stack.publish("other", &TREE_OF_OTHER_SET.bundle, 2).await;
    let tree = Caller::registered(stack.service(|_| {}), "tree").await;
    let linear = Caller::new(stack.service(|_| {}), "linear").await;
    let other = Caller::registered(stack.service(|_| {}), "other").await;
    let query = tree.query(&TREE.rows(0, 2));

    let of_linear = linear.query(&LINEAR.rows(0, 2));
    let problem = stack.query("tree", of_linear).await.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (410, ProblemType::StaleSpecs)
    );
    assert_eq!(problem.current_specs, Some(TREE.bundle.specs_hash()));
    assert_eq!(
        stack.query("nothing", query.clone()).await.problem().kind,
        ProblemType::UnknownModel
    );

    // A key of another parameter set, of nobody, and a model that needs none.
    let with_other_key = changed(&query, |_, chunk| chunk.head.key = other.key());
    let problem = stack.query("tree", with_other_key).await.problem();
    assert_eq!(
        (problem.status, problem.kind),
        (422, ProblemType::WrongParameterSet)
    );
    let with_no_key = changed(&query, |_, chunk| chunk.head.key = linear.key());
    assert_eq!(
        stack.query("tree", with_no_key).await.problem().kind,
        ProblemType::UnknownKey
    );
    // Another tag, and rows of another length.
    let (other_tag, _) =
        Chunks::<_, QueryChunk>::new(other.query(&TREE_OF_OTHER_SET.rows(0, 1)).as_slice())
            .next()
            .expect("a chunk")
            .expect("a query");
    let with_other_tag = changed(&query, |tag, _| *tag = other_tag);
    assert_eq!(
        stack.query("tree", with_other_tag).await.problem().kind,
        ProblemType::MalformedQuery
    );
    let with_short_rows = changed(&query, |_, chunk| {
        chunk.head.row_len -= 1;
        for row in &mut chunk.groups {
            row.bytes.truncate(chunk.head.row_len as usize);
        }
    });
    assert_eq!(
        stack.query("tree", with_short_rows).await.problem().kind,
        ProblemType::MalformedQuery
    );
    let without_rows = changed(&query, |_, chunk| chunk.groups.clear());
    let answer = stack.query("tree", without_rows).await;
    assert!(
        answer.status == 200 || answer.problem().kind == ProblemType::MalformedQuery,
        "{answer:?}"
    );
    TREE.check(0, 2, &tree.open(&stack.query("tree", query).await.body));
}
