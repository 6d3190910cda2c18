//! Totals of fewer owners than they were told.

use super::super::now;
use super::{Holder, own, refusals, spec, stack};
use cipherfn_service::bucket::{Bucket, Condition};
use cipherfn_service::registry::JobDeclared;
use cipherfn_service::{Tenant, config};

/// A record that says of fewer owners than their grants do: the worker adds nothing. It is made by hand, as nothing in
/// the service makes one.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_adds_no_fewer_owners_than_grants_say() {
    let stay = spec("stay");
    let stack = stack("stay", stay.canonical()).await;
    let alice = Holder::new(&stack, "stay", stay.hash()).await;
    let grant = alice.grant(1, |_| ()).await;
    let bob = stack.service_of("bob-token");
    let sums = own(&alice.contribution(1));
    bob.add_sums(&grant, &sums).await.expect("added");
    let chunks = alice.status().await.owners[0].chunks.clone();
    let (registry, tenant) = (stack.registry(), Tenant::from(alice.declared.tenant));
    let path = format!("jobs/joint/{tenant}/{}.json", alice.declared.training);
    let rules = config::JobRules::from_env().expect("the defaults");
    for (number, least_owners, expected) in [
        (1, Some(1), "2 owners at least"),
        (2, None, "without a least number"),
    ] {
        let order = alice.job(number, &chunks);
        let declared = registry.declare_job(&tenant, &order, &rules, now());
        let JobDeclared::New(job) = declared.await.expect("declared") else {
            panic!("it is new");
        };
        let mut record = alice.stored(&path).await;
        record["job"] = serde_json::json!(job.id);
        match least_owners {
            Some(least) => record["least_owners"] = serde_json::json!(least),
            None => drop(
                record
                    .as_object_mut()
                    .and_then(|own| own.remove("least_owners")),
            ),
        }
        let record = record.to_string().into();
        let written = registry.bucket().put(&path, record, "", Condition::Always);
        written.await.expect("written");
        alice.requests.work(job.id, 0).await;
        let failed = alice.requests.status(job.id).await;
        let (_, detail) = refusals::problem(&failed.states[0]);
        assert!(detail.contains(expected), "{detail}");
    }
    let objects = stack.objects().await;
    assert!(!objects.iter().any(|key| key.starts_with("results/")));
}
