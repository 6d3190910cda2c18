//! A campaign: processes of functions and clients die at random while tables are scored as jobs.

use super::bulk::{Cuts, Stop, check, run};
use super::{Owner, stack};
use crate::stack::kill;
use cipherfn_client_http::ServiceError;
use std::path::Path;
use std::time::Duration;

/// Deaths of a campaign.
const DEATHS: usize = 50;

/// Random numbers that are the same in every campaign.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// Kills functions' processes until it is the client's turn.
async fn until_the_client_dies(owner: &Owner<'_>, dice: &mut Dice, deaths: &mut [usize; 3]) {
    const FUNCTIONS: [&str; 2] = ["worker", "jobs"];
    loop {
        if deaths.iter().sum::<usize>() >= DEATHS {
            return std::future::pending().await;
        }
        tokio::time::sleep(Duration::from_millis(20 + dice.below(300))).await;
        let victim = dice.below(3) as usize;
        let Some(function) = FUNCTIONS.get(victim) else {
            deaths[victim] += 1;
            return;
        };
        let processes = owner.stack.emulator.process_ids(function);
        if let Some(process) = processes.first() {
            kill(*process);
            deaths[victim] += 1;
        }
    }
}

/// What a client leaves that dies while it writes: half a line.
fn tear(manifest: &Path) {
    if let Ok(text) = std::fs::read(manifest) {
        let torn = [&text[..], b"{\"chunk\":{\"upload\":"].concat();
        std::fs::write(manifest, torn).expect("written");
    }
}

/// Every row of every table is answered once and in order, whatever died meanwhile.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign of a minute or two: cargo test --workspace --test service campaign -- --ignored --nocapture"]
async fn fifty_deaths_lose_no_row_and_double_none() {
    let stack = stack().await;
    let alice = Owner::new(&stack, "alice-token").await;
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("manifest");
    let (mut dice, mut deaths) = (Dice(9), [0; 3]);
    let (mut tables, mut lost) = (0, 0);
    while deaths.iter().sum::<usize>() < DEATHS {
        let work = run(&alice, (&manifest, "table"), Cuts::default());
        tokio::select! {
            done = work => match done {
                Ok(done) => {
                    check(&alice, done).await;
                    tables += 1;
                }
                // A chunk whose three workers have died: the next run has it done anew.
                Err(Stop::Failed(ServiceError::ChunkFailed { .. })) => lost += 1,
                Err(error) => panic!("{error:?}"),
            },
            () = until_the_client_dies(&alice, &mut dice, &mut deaths) => tear(&manifest),
        }
    }
    // What the last death left.
    while manifest.exists() {
        match run(&alice, (&manifest, "table"), Cuts::default()).await {
            Ok(done) => {
                check(&alice, done).await;
                tables += 1;
            }
            Err(Stop::Failed(ServiceError::ChunkFailed { .. })) => lost += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(tables > 0);
    let [workers, jobs, clients] = deaths;
    println!(
        "{tables} tables whole and in order; killed {workers} workers, {jobs} processes of jobs, {clients} clients; {lost} chunks failed and were done anew"
    );
}
