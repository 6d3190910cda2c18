//! Adding what owners encrypted under one public key: statistics, and sums by the keys of frames.

use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SchemeError;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicCiphertext;
use cipherfn_training::{Contribution, MAX_OWNERS, Moments, StatisticsSpec, TrainingError};
use std::collections::HashMap;

/// Why contributions cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TotalError {
    /// Ciphertexts that are none of what was to be summed.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// A contribution to something else, or given twice.
    #[error(transparent)]
    Training(#[from] TrainingError),
}

/// The sum of contributions to one spec, in memory of one.
#[derive(Debug)]
pub struct Total {
    /// Hash of the spec, or of what else says what is summed.
    spec: Hash,
    /// Numbers of a contribution.
    words: usize,
    sum: Option<(Contribution, PublicCiphertext)>,
    /// Which contribution had which ciphertexts.
    seen: HashMap<Hash, usize>,
}

impl Total {
    /// Of none.
    pub fn new(spec: &StatisticsSpec) -> Self {
        Self::of(spec.hash(), Moments::words(spec))
    }

    /// Of none to a document of this hash, by which a contribution has so many numbers.
    pub fn of(spec: Hash, words: usize) -> Self {
        Self {
            spec,
            words,
            sum: None,
            seen: HashMap::new(),
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// One to another spec or for another key than the first, one that was added before, more owners
    /// than there is room for. Nothing is added then.
    pub fn add(&mut self, contribution: &Contribution) -> Result<(), TotalError> {
        let first = self.sum.as_ref().map_or(contribution, |(first, _)| first);
        contribution.require(self.spec, first.key)?;
        let set = ParameterSet::by_tag(contribution.parameter_set, "contribution")?;
        let own = PublicCiphertext::from_bytes(set, self.words, &contribution.ciphertexts)?;
        let second = self.seen.len() + 1;
        let digest = Hash::of(&contribution.ciphertexts);
        if let Some(first) = self.seen.get(&digest) {
            let first = *first;
            return Err(TrainingError::Doubled { first, second }.into());
        }
        match &mut self.sum {
            None => self.sum = Some((contribution.clone(), own)),
            Some((head, sum)) => {
                let owners = u64::from(head.owners) + u64::from(contribution.owners);
                let limit = u64::from(MAX_OWNERS);
                let fits = u32::try_from(owners).ok().filter(|_| owners <= limit);
                let fits = fits.ok_or(TrainingError::TooManyOwners {
                    found: owners,
                    limit: MAX_OWNERS,
                })?;
                sum.add(&own)?;
                head.owners = fits;
            }
        }
        self.seen.insert(digest, second);
        Ok(())
    }

    /// The sum.
    ///
    /// # Errors
    /// Nothing was added.
    pub fn finish(self) -> Result<Contribution, TotalError> {
        let (mut head, sum) = self.sum.ok_or(TrainingError::Nothing)?;
        head.ciphertexts = sum.to_bytes();
        Ok(head)
    }
}
