//! What is refused of a declaration before anything is done.

use cipherfn_protocol::api::job::{
    ChunkFile, JobDeclaration, MAX_CHUNK, MAX_PARTS, MAX_SHARES, MAX_TRAINING, RowCost,
    WORKER_SECONDS,
};
use cipherfn_protocol::api::trainings::{MAX_CONTRIBUTIONS, TrainingDeclaration};
use cipherfn_protocol::api::{MAX_JSON, Problem, ProblemType};
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_training::TrainingProgram;
use cipherfn_training::descent::Training;
use std::collections::HashMap;

/// Format of the public keys that workers read.
const PUBLIC_KEY_VERSION: u16 = 1;

/// Chunks must be 1 to `most`, of a size that is taken, and no two the same: the same query twice
/// would be the same ciphertexts, which no client makes.
pub(crate) fn chunks(chunks: &[ChunkFile], most: usize) -> Result<(), Problem> {
    let malformed = |detail| Err(Problem::new(ProblemType::MalformedRequest, detail));
    if chunks.is_empty() || chunks.len() > most {
        return malformed(format!(
            "chunks: {} are declared; declare 1 to {most} at a time",
            chunks.len()
        ));
    }
    let mut seen = HashMap::with_capacity(chunks.len());
    for (number, chunk) in chunks.iter().enumerate() {
        if !(1..=MAX_CHUNK).contains(&chunk.bytes) {
            return malformed(format!(
                "chunks: number {number} has {} bytes; a chunk has 1 to {MAX_CHUNK}",
                chunk.bytes
            ));
        }
        if let Some(first) = seen.insert(chunk.sha256, number) {
            return malformed(format!(
                "chunks: numbers {first} and {number} are the same; declare each chunk once"
            ));
        }
    }
    Ok(())
}

/// Parts must be 1 to [`MAX_PARTS`], and chunks times parts at most [`MAX_SHARES`] where there are
/// several.
pub(crate) fn parts(declaration: &JobDeclaration) -> Result<(), Problem> {
    let (chunks, parts) = (declaration.chunks.len(), declaration.parts);
    let malformed = |detail| Err(Problem::new(ProblemType::MalformedRequest, detail));
    if !(1..=MAX_PARTS).contains(&parts) {
        return malformed(format!(
            "parts: {parts} are declared; declare 1 to {MAX_PARTS}"
        ));
    }
    if parts > 1 && chunks * parts as usize > MAX_SHARES {
        return malformed(format!(
            "parts: {chunks} chunks in {parts} parts each are more than {MAX_SHARES}; declare several jobs of fewer chunks"
        ));
    }
    Ok(())
}

/// A training is the work of one worker at a time, which has all chunks in memory.
pub(crate) fn training(declaration: &JobDeclaration) -> Result<(), Problem> {
    let malformed = |detail| Err(Problem::new(ProblemType::MalformedRequest, detail));
    if declaration.parts != 1 {
        return malformed("parts: a training is not worked on in parts; declare 1".to_owned());
    }
    let bytes: u64 = declaration.chunks.iter().map(|chunk| chunk.bytes).sum();
    if bytes > MAX_TRAINING {
        return malformed(format!(
            "chunks: {bytes} bytes in all, a training has at most {MAX_TRAINING}; train on fewer rows"
        ));
    }
    Ok(())
}

/// A program must be one that can be read, and that several owners can add to. A total of sums is of two owners at least: that of one is
/// its sums.
pub(crate) fn joint(
    program: Option<&TrainingProgram>,
    declaration: &TrainingDeclaration,
) -> Result<(), Problem> {
    let name = &declaration.program;
    let refused = |detail| Err(Problem::new(ProblemType::MalformedRequest, detail));
    let Some(program) = program else {
        // Nobody could tell what owners may add, nor whether it says of how many it is.
        return refused(format!(
            "program: version {} of {name} is none that this service can read; compile it again (compile-training) and publish that, or declare the training at a newer service",
            declaration.specs.short()
        ));
    };
    match program {
        TrainingProgram::Leaves(_) => {
            return refused(format!(
                "program: {name} counts rows in trees, which the key holder alone can encrypt; owners add rows to programs of gradient descent, and sums to those of statistics"
            ));
        }
        TrainingProgram::Descent(training) => {
            if let Err(error) = training.require_even() {
                return refused(format!(
                    "program: {name} is none for rows of owners: {error}"
                ));
            }
        }
        TrainingProgram::Statistics(_) | TrainingProgram::Frame(_) => {
            let least = declaration.least_owners.unwrap_or_default();
            return if (2..=MAX_CONTRIBUTIONS as u32).contains(&least) {
                Ok(())
            } else {
                refused(format!(
                    "least_owners: {least} owners; a total is declared to be of 2 to {MAX_CONTRIBUTIONS} at least"
                ))
            };
        }
    }
    if declaration.least_owners.is_some() {
        return refused(format!(
            "least_owners: program {name} trains on rows, and only totals of sums say how many owners they have; leave it out"
        ));
    }
    Ok(())
}

/// A training's public key must be one, of the key and the parameter set that it is declared for.
pub(crate) fn public_key(declaration: &TrainingDeclaration) -> Result<(), Problem> {
    let refused = |problem: String| {
        let detail = format!("public_key: {problem}; send the file of the training's public key");
        Problem::new(ProblemType::MalformedRequest, detail)
    };
    let file = declaration.public_key.as_bytes();
    let kind = FrameKind::PublicKey;
    let frame = frame::decode(file, kind, &[PUBLIC_KEY_VERSION], MAX_JSON as u64);
    let frame = frame.map_err(|error| refused(error.to_string()))?;
    if frame.parameter_set != declaration.parameter_set {
        return Err(refused("it is of another parameter set".to_owned()));
    }
    if !frame.payload.starts_with(declaration.key.as_bytes()) {
        return Err(refused("it is of another key".to_owned()));
    }
    Ok(())
}

/// A step must not be predicted to take longer than a worker has: a state is kept between steps, so three
/// workers would be lost for nothing.
pub(crate) fn steps(training: &Training, cost: &RowCost) -> Result<(), Problem> {
    let seconds = cost.worker_microseconds() / 1e6;
    if seconds <= WORKER_SECONDS {
        return Ok(());
    }
    let batch = training.batch();
    let most = (batch as f64 * WORKER_SECONDS / seconds).floor();
    let way_out = if most >= 1.0 {
        format!("lower \"batch\" in the spec to {most} and publish that")
    } else {
        "train on fewer classes".to_owned()
    };
    let detail = format!(
        "specs: a step of {batch} rows and {} sets of weights is predicted to take {seconds:.0} s of a worker, which has {WORKER_SECONDS} s; {way_out}, or have the operator give workers more memory (WorkerMemory)",
        training.sets()
    );
    Err(Problem::new(ProblemType::MalformedRequest, detail))
}

/// What a worker does of a row, all or a part of it, must not be predicted to take longer than a worker
/// has: there is no checkpoint within a row, so three would be lost for nothing.
pub(crate) fn time(parts: u32, cost: &RowCost) -> Result<(), Problem> {
    let seconds = cost.worker_microseconds() / 1e6;
    if seconds <= f64::from(parts) * WORKER_SECONDS {
        return Ok(());
    }
    let needed = (seconds / WORKER_SECONDS).ceil();
    let way_out = if needed <= f64::from(MAX_PARTS) {
        format!("declare {needed} parts or more")
    } else {
        "publish a smaller model, or give workers more memory".to_owned()
    };
    let detail = format!(
        "parts: a row is predicted to take {seconds:.0} s of a worker, which has {WORKER_SECONDS} s, and is to be evaluated in {parts}; {way_out}"
    );
    Err(Problem::new(ProblemType::MalformedRequest, detail))
}

#[cfg(test)]
mod tests {
    use super::{chunks, parts, steps, time, training};
    use cipherfn_protocol::api::job::{
        ChunkFile, IdempotencyKey, JobDeclaration, JobKind, MAX_CHUNK, MAX_PARTS, MAX_TRAINING,
        RowCost, UploadFolder,
    };
    use cipherfn_protocol::hash::{Hash, Sha256};
    use cipherfn_protocol::message::KeyId;
    use cipherfn_training::descent::Training;

    fn chunk(bytes: u64, digit: u8) -> ChunkFile {
        ChunkFile {
            bytes,
            sha256: Sha256::from_bytes([digit; 32]),
        }
    }

    #[test]
    fn what_no_client_would_declare_is_refused_by_number() {
        let sound = [chunk(1, 0), chunk(MAX_CHUNK, 1)];
        assert!(chunks(&sound, 2).is_ok());
        let refused = |declared: &[ChunkFile], most| chunks(declared, most).unwrap_err().detail;
        assert!(refused(&[], 2).contains("0 are declared"));
        assert!(refused(&sound, 1).contains("1 to 1"));
        for bytes in [0, MAX_CHUNK + 1, u64::MAX] {
            let declared = [chunk(1, 0), chunk(bytes, 1)];
            assert!(refused(&declared, 2).contains(&format!("number 1 has {bytes} bytes")));
        }
        let doubled = [chunk(1, 0), chunk(1, 1), chunk(1, 0)];
        assert!(refused(&doubled, 3).contains("numbers 0 and 2 are the same"));
    }

    fn declaration(kind: JobKind, chunks: Vec<ChunkFile>, parts: u32) -> JobDeclaration {
        JobDeclaration {
            idempotency_key: IdempotencyKey::from_bytes([1; 16]),
            kind,
            model: "fraud".parse().unwrap(),
            specs: Hash::of(b"specs"),
            key: KeyId::from_bytes([2; 16]),
            upload: UploadFolder::from_bytes([3; 16]),
            chunks,
            parts,
        }
    }

    #[test]
    fn trainings_beyond_a_worker_s_memory_and_in_parts_are_refused() {
        let most = (MAX_TRAINING / MAX_CHUNK) as usize;
        let declared = |chunks: usize, parts| {
            let chunks = vec![chunk(MAX_CHUNK, 0); chunks];
            training(&declaration(JobKind::Train, chunks, parts)).map_err(|refused| refused.detail)
        };
        assert_eq!(declared(most, 1), Ok(()));
        let refused = declared(most + 1, 1).unwrap_err();
        assert!(refused.contains("train on fewer rows"), "{refused}");
        assert!(declared(1, 2).unwrap_err().contains("parts"));
    }

    #[test]
    fn more_parts_than_workers_would_get_are_refused() {
        let declared = |chunks: usize, in_parts: u32| {
            let chunks = vec![chunk(1, 0); chunks];
            parts(&declaration(JobKind::Predict, chunks, in_parts))
        };
        for (chunks, in_parts) in [(1000, 1), (1, MAX_PARTS), (50, 2), (25, 4)] {
            assert!(declared(chunks, in_parts).is_ok());
        }
        for (chunks, in_parts) in [(1, 0), (1, MAX_PARTS + 1), (1, u32::MAX)] {
            let refused = declared(chunks, in_parts).unwrap_err().detail;
            assert!(refused.contains("declare 1 to 32"), "{refused}");
        }
        let refused = declared(51, 2).unwrap_err().detail;
        assert!(refused.contains("51 chunks in 2 parts"), "{refused}");
    }

    /// Of a row that is predicted to take so many seconds of a worker with one processor.
    #[test]
    fn what_no_worker_would_end_is_refused_with_the_parts_that_it_takes() {
        let declared = |seconds: f64, in_parts| {
            let cost = RowCost {
                specs: Hash::of(b"specs"),
                row_microseconds: seconds * 1e6,
                worker_memory_mb: 1769,
                architecture: "x86_64".to_owned(),
            };
            time(in_parts, &cost).map_err(|refused| refused.detail)
        };
        for (seconds, in_parts) in [(0.01, 1), (900.0, 1), (901.0, 2), (28_000.0, MAX_PARTS)] {
            assert_eq!(declared(seconds, in_parts), Ok(()));
        }
        for (seconds, in_parts, way_out) in [
            (
                901.0,
                1,
                "901 s of a worker, which has 900 s, and is to be evaluated in 1; declare 2 parts",
            ),
            (3601.0, 4, "declare 5 parts or more"),
            (28_801.0, MAX_PARTS, "publish a smaller model"),
        ] {
            let refused = declared(seconds, in_parts).unwrap_err();
            assert!(refused.contains(way_out), "{refused}");
        }
    }
    /// Sets of weights are one a class, and a row of a step takes 19 ms of a thread for each.
    #[test]
    fn steps_that_no_worker_would_end_are_refused_with_the_batch_that_it_takes() {
        let refused = |batch: usize, classes: usize, memory| {
            let classes: Vec<String> = (0..classes).map(|class| format!("\"{class}\"")).collect();
            let text = format!(
                "format = 1\nname = \"t\"\nalgorithm = \"svm\"\nbatch = {batch}\nepochs = 1\nrate = 1.0\n[[column]]\nname = \"a\"\nlow = 0\nhigh = 1\n[target]\nname = \"y\"\nclasses = [{}]\n",
                classes.join(", ")
            );
            let training = Training::from_toml(&text).unwrap();
            let cost = RowCost {
                specs: training.hash(),
                row_microseconds: training.step_microseconds(),
                worker_memory_mb: memory,
                architecture: "x86_64".to_owned(),
            };
            steps(&training, &cost).map_err(|refused| refused.detail)
        };
        assert_eq!(refused(1024, 2, 1769), Ok(()));
        assert_eq!(refused(1024, 46, 1769), Ok(()));
        let late = refused(1024, 60, 1769).unwrap_err();
        assert!(
            late.contains("1167 s of a worker") && late.contains("\"batch\" in the spec to 789"),
            "{late}"
        );
        assert_eq!(refused(1024, 60, 3538), Ok(()));
        let never = refused(1, 1000, 20).unwrap_err();
        assert!(never.contains("fewer classes"), "{never}");
    }
}
