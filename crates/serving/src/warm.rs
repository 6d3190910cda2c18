//! What stays in memory between requests: prepared models and expanded keys, the least recently
//! used go first. Bounded in bytes.

use crate::{Estimate, Key, Model, ModelError, Part};
use cipherfn_engine::{CACHE_PART, bundle, row_memory};
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_scheme::{EvaluationKey, SchemeError};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A model ready to answer.
#[derive(Debug)]
pub struct WarmModel {
    /// The model.
    pub model: Model,
    /// How long its rows take here.
    pub estimate: Estimate,
}

/// A key ready for expansion of queries.
#[derive(Debug)]
pub struct WarmKey {
    /// The key.
    pub key: Key,
    /// Checksums of the files it came from, by part: an id can be registered anew with other ones.
    pub files: BTreeMap<&'static str, Sha256>,
}

/// Models and keys in memory, by what names them.
pub struct Warm<M, K> {
    models: Cache<M, Arc<WarmModel>>,
    keys: Cache<K, Arc<WarmKey>>,
    row_memory: u64,
}

impl WarmModel {
    /// Prepares a stored bundle, or a part of its circuit; rows under evaluation take at most `memory`
    /// bytes, if they can.
    pub fn new(bytes: &[u8], part: Option<Part>, memory: u64) -> Result<Self, ModelError> {
        let bundle = bundle::read(bytes)?;
        let model = match part {
            None => Model::with_memory(&bundle, memory)?,
            Some(part) => Model::of_part(bundle, Hash::of(bytes), part, memory)?,
        };
        Ok(Self {
            model,
            estimate: Estimate::default(),
        })
    }
}

impl WarmKey {
    /// Brings stored parts of a key, each with its checksum, into the Fourier domain, and adds them
    /// to what there is of the key; `None` where there is nothing.
    pub fn load<B: AsRef<[u8]>>(
        held: Option<Self>,
        files: &[(B, Sha256)],
    ) -> Result<Option<Self>, SchemeError> {
        let read = |(bytes, _): &(B, Sha256)| EvaluationKey::from_file_bytes(bytes.as_ref());
        let parts = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let names = parts.iter().map(|part| part.part().name);
        let checksums = names.zip(files.iter().map(|(_, sha256)| *sha256));
        let (key, mut files) = match held {
            Some(Self { mut key, files }) => {
                parts.iter().try_for_each(|part| key.add(part))?;
                (key, files)
            }
            None => match Key::of_parts(&parts)? {
                Some(key) => (key, BTreeMap::new()),
                None => return Ok(None),
            },
        };
        files.extend(checksums);
        Ok(Some(Self { key, files }))
    }
}

impl<M, K> Warm<M, K>
where
    M: std::hash::Hash + Eq + Send + Sync + 'static,
    K: std::hash::Hash + Eq + Send + Sync + 'static,
{
    /// Caches for a function with `memory` bytes.
    pub fn new(memory: u64) -> Self {
        Self {
            models: cache(memory / CACHE_PART, |model: &Arc<WarmModel>| {
                model.model.circuit().memory_len()
            }),
            keys: cache(memory / CACHE_PART, |key: &Arc<WarmKey>| {
                key.key.memory_len()
            }),
            row_memory: row_memory(memory),
        }
    }

    /// What the rows under evaluation may take: what the caches leave. Caches are rarely full.
    pub const fn row_memory(&self) -> u64 {
        self.row_memory
    }

    /// The model, if it is in memory.
    pub fn model(&self, name: &M) -> Option<Arc<WarmModel>> {
        self.models.get(name)
    }

    /// Keeps a model.
    pub fn keep_model(&self, name: M, model: WarmModel) -> Arc<WarmModel> {
        let model = Arc::new(model);
        self.models.insert(name, Arc::clone(&model));
        model
    }

    /// Lets go of a model.
    pub fn forget_model(&self, name: &M) {
        self.models.invalidate(name);
    }

    /// The key, if it is in memory.
    pub fn key(&self, name: &K) -> Option<Arc<WarmKey>> {
        self.keys.get(name)
    }

    /// Keeps a key.
    pub fn keep_key(&self, name: K, key: WarmKey) -> Arc<WarmKey> {
        let key = Arc::new(key);
        self.keys.insert(name, Arc::clone(&key));
        key
    }

    /// Lets go of a key.
    pub fn forget_key(&self, name: &K) {
        self.keys.invalidate(name);
    }
}

/// Weighs in KiB: a weight is a `u32`.
fn cache<K, V>(bytes: u64, size: fn(&V) -> usize) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(bytes >> 10)
        .weigher(move |_, value| u32::try_from((size(value) >> 10) + 1).unwrap_or(u32::MAX))
        .eviction_policy(EvictionPolicy::lru())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipherfn_scheme::SecretKey;
    use cipherfn_scheme::parameters::ParameterSet;

    #[test]
    fn keys_are_bounded_in_bytes_and_kept_apart() {
        let set = ParameterSet::by_name("cipherfn-128-n2048-m8-compact-v1").unwrap();
        let secret = SecretKey::generate(set).unwrap();
        let file = EvaluationKey::generate(&secret).unwrap().to_file_bytes();
        let files = [(file, Sha256::from_bytes([0; 32]))];
        let key = || WarmKey::load(None, &files).unwrap().unwrap();
        let size = key().key.memory_len() as u64;
        // Room for two.
        let warm = Warm::<&str, (&str, u32)>::new((2 * size + (64 << 10)) * CACHE_PART);
        for id in 0..3 {
            warm.keep_key(("alice", id), key());
        }
        warm.keys.run_pending_tasks();
        assert!(warm.key(&("alice", 0)).is_none(), "the oldest one went");
        assert!(warm.key(&("alice", 1)).is_some() && warm.key(&("alice", 2)).is_some());
        assert!(warm.key(&("bob", 1)).is_none(), "another tenant's");
        warm.forget_key(&("alice", 1));
        assert!(warm.key(&("alice", 1)).is_none());
    }
}
