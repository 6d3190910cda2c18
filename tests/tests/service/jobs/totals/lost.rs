//! A total that has taken a job, which nobody learns.

use super::super::{send, status_of};
use super::{Holder, is_of, own, spec, stack_with};
use cipherfn_emulator::faults::Fault;
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::job::{ChunkFile, ChunkState};

/// Attempts that a function makes at one request to S3.
const ATTEMPTS: usize = 4;

/// Storage writes that the total has its job, and no answer arrives, however often it is asked: the same declaration
/// again is that job, which is worked on then.
#[tokio::test(flavor = "multi_thread")]
async fn a_total_that_was_taken_without_an_answer_is_taken_by_the_same_declaration() {
    let stay = spec("stay");
    let of = ("stay", stay.canonical());
    let stack = stack_with(of, |setup| setup.faulty = true).await;
    let alice = Holder::new(&stack, "stay", stay.hash()).await;
    let contributions = [alice.contribution(1), alice.contribution(2)];
    let owners = (1..).zip(["bob-token", "carol-token"]);
    for ((number, token), contribution) in owners.zip(&contributions) {
        let grant = alice.grant(number, |_| ()).await;
        let added = stack.service_of(token);
        let added = added.add_sums(&grant, &own(contribution)).await;
        added.expect("added");
    }
    let status = alice.status().await;
    let chunks: Vec<ChunkFile> = status.owners.iter().map(|own| own.chunks[0]).collect();
    let (tenant, id) = (alice.declared.tenant, alice.declared.training);
    let record = format!("jobs/joint/{tenant}/{id}.json");
    let write = format!("/{record}?x-id=PutObject");
    stack.faults().next(ATTEMPTS, &write, Fault::LostAnswer);
    let order = alice.job(1, &chunks);
    let lost = alice.requests.post("/v2/jobs", &order).await.problem();
    assert_eq!(lost.kind, ProblemType::StorageUnavailable);
    let taken = alice.stored(&record).await["job"].clone();
    assert!(taken.is_string(), "it was written all the same");

    let again = alice.requests.post("/v2/jobs", &order).await;
    let job = status_of(&again).job;
    assert_eq!((again.status, serde_json::json!(job)), (200, taken));
    let status = alice.requests.settled(job).await;
    let ChunkState::Done { result, .. } = &status.states[0] else {
        panic!("{status:?}");
    };
    let [north, south] = &contributions;
    is_of(&alice, &send(result, &[]).await.body, [north, south]);
}
