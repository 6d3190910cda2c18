//! Where a chunk stands whose parts are worked on apart.

use super::Chunk;
use cipherfn_protocol::api::Problem;
use time::OffsetDateTime;

impl Chunk {
    /// Where a chunk stands as a whole, by its own state and those of its parts: those who add its
    /// parts come after those who work on them. It has failed with the first part that has, which the
    /// reason names.
    pub fn of_parts(own: Option<Self>, parts: &[Option<Self>]) -> Option<Self> {
        if own.is_some() {
            return own;
        }
        let failed = parts
            .iter()
            .enumerate()
            .find_map(|(number, part)| match part {
                Some(Self::Failed { attempts, problem }) => {
                    let of = parts.len();
                    let detail = format!("part {number} of {of}: {}", problem.detail);
                    let problem = Problem {
                        detail,
                        ..problem.clone()
                    };
                    let attempts = *attempts;
                    Some(Self::Failed { attempts, problem })
                }
                _ => None,
            });
        let last = || {
            let held = parts.iter().flatten().filter_map(|part| match part {
                Self::Held { until, .. } => Some((*until, part)),
                _ => None,
            });
            held.max_by_key(|(until, _)| *until).map(|(_, part)| part)
        };
        failed.or_else(|| last().cloned())
    }

    /// Of a chunk's parts those that an invocation that begins now would get; where they are all done
    /// but not added, the first: whoever comes for a part that is done adds them.
    pub fn free_parts(own: Option<&Self>, parts: &[Option<Self>], now: OffsetDateTime) -> Vec<u32> {
        let failed = |part: &Option<Self>| matches!(part, Some(Self::Failed { .. }));
        if !Self::is_free(own, now) || parts.iter().any(failed) {
            return Vec::new();
        }
        if Self::are_done(parts) {
            return vec![0];
        }
        let free = (0..).zip(parts);
        let free = free.filter(|(_, part)| Self::is_free(part.as_ref(), now));
        free.map(|(number, _)| number).collect()
    }

    /// Whether all parts have a result.
    pub fn are_done(parts: &[Option<Self>]) -> bool {
        let done = |part: &Option<Self>| matches!(part, Some(Self::Done { .. }));
        parts.iter().all(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_protocol::api::ProblemType;
    use cipherfn_protocol::api::job::ChunkFile;
    use cipherfn_protocol::hash::Sha256;
    use std::time::Duration;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const LATER: OffsetDateTime = NOW.saturating_add(time::Duration::minutes(1));

    fn held(attempt: u32, until: OffsetDateTime) -> Chunk {
        Chunk::Held {
            attempt,
            owner: "owner".to_owned(),
            until,
            claim: None,
            checkpoint: None,
        }
    }

    fn done() -> Chunk {
        let result = ChunkFile {
            bytes: 7,
            sha256: Sha256::from_bytes([7; 32]),
        };
        Chunk::Done {
            attempt: 1,
            result,
            milliseconds: 5,
        }
    }

    fn failed() -> Chunk {
        Chunk::Failed {
            attempts: 2,
            problem: Problem::new(ProblemType::ChunkAltered, "why"),
        }
    }

    #[test]
    fn a_chunk_is_done_by_its_own_document_alone() {
        let of = Chunk::of_parts;
        let all = [Some(done()), Some(done())];
        assert_eq!(of(None, &[None, None]), None);
        assert_eq!(of(None, &all), None, "nobody has added them");
        for own in [done(), held(1, LATER), failed()] {
            assert_eq!(of(Some(own.clone()), &all), Some(own));
        }
        let one_failed = [Some(held(2, LATER)), Some(failed()), None];
        let Some(Chunk::Failed { attempts, problem }) = of(None, &one_failed) else {
            panic!("it has failed");
        };
        assert_eq!((attempts, problem.kind), (2, ProblemType::ChunkAltered));
        assert_eq!(problem.detail, "part 1 of 3: why");
        let late = held(2, LATER + Duration::from_secs(1));
        let working = [Some(done()), Some(held(1, LATER)), Some(late.clone()), None];
        assert_eq!(of(None, &working), Some(late));
    }

    #[test]
    fn what_nobody_works_on_is_free() {
        let free = |own: Option<Chunk>, parts: &[Option<Chunk>]| {
            Chunk::free_parts(own.as_ref(), parts, NOW)
        };
        let all = [Some(done()), Some(done())];
        let none: [u32; 0] = [];
        assert_eq!(free(None, &[None, None, None]), [0, 1, 2]);
        let (live, dead) = (Some(held(1, LATER)), Some(held(1, NOW)));
        assert_eq!(free(None, &[Some(done()), live.clone(), dead.clone()]), [2]);
        assert_eq!(free(None, &[Some(done()), live.clone()]), none);
        assert_eq!(free(None, &[None, Some(failed())]), none, "it has failed");
        assert_eq!(free(None, &all), [0], "to add them");
        assert_eq!(free(dead, &all), [0]);
        assert_eq!(free(live, &all), none);
        assert_eq!(free(Some(held(3, NOW)), &all), none, "lost");
        assert_eq!(free(Some(done()), &all), none);
    }
}
