//! Good files, changed at random, for every decoder. `CIPHERFN_FUZZ_SECONDS` is how long each is
//! tried: half a second in the usual tests. `fuzz/` runs the same targets under libFuzzer.
//!
//! Memory is bounded for the whole process, so that an input that takes more ends it.

use cipherfn_tests::fuzz::{Mutator, TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Address space of the process, in bytes: threads' stacks and all decoders' limits fit into it.
#[cfg(unix)]
const MEMORY: u64 = 6 << 30;
/// An input that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_decoder_stands_changed_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit {
            current: Some(MEMORY),
            maximum: Some(MEMORY),
        };
        setrlimit(Resource::As, limit).expect("a limit");
    }
    let seconds = std::env::var("CIPHERFN_FUZZ_SECONDS");
    let seconds = seconds.map_or(0.5, |text| text.parse().expect("seconds"));
    let time = Duration::from_secs_f64(seconds);
    let failures: Vec<String> = TARGETS
        .iter()
        .filter_map(|target| failure(target, time).err())
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

fn failure(target: &Target, time: Duration) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &&str| std::fs::read(root.join(name)).expect("a seed");
    let seeds: Vec<Vec<u8>> = target.seeds.iter().map(read).collect();
    let start = Instant::now();
    let mut count = 0;
    while count < seeds.len() as u64 || start.elapsed() < time {
        let index = count as usize % seeds.len();
        let mut bytes = seeds[index].clone();
        // The first round are the files as they are.
        if count >= seeds.len() as u64 {
            let other = &seeds[(index + 1) % seeds.len()];
            Mutator::new(count).change(&mut bytes, other);
        }
        let begun = Instant::now();
        let read = catch_unwind(AssertUnwindSafe(|| target.read(&bytes)));
        if read.is_err() || begun.elapsed() > PATIENCE {
            let path = std::env::temp_dir().join(format!("fuzz-{}-{count}", target.name));
            std::fs::write(&path, &bytes).expect("a file for the input");
            let what = if read.is_err() { "panics" } else { "hangs" };
            return Err(format!("{} {what} on {}", target.name, path.display()));
        }
        count += 1;
    }
    println!("{}: {count} inputs", target.name);
    Ok(())
}
