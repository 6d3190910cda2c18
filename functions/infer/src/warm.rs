//! What stays in memory between requests: prepared models and expanded keys, the least recently
//! used go first. Bounded in bytes.

use crate::estimate::Estimate;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::{Sha256, SpecsHash};
use cipherfn_protocol::message::KeyId;
use cipherfn_scheme::EvaluationKey;
use cipherfn_service::Tenant;
use cipherfn_serving::{Key, Model};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::hash::Hash;
use std::sync::Arc;

/// Each cache may fill this part of the function's memory; the rest is for the rows under
/// evaluation.
const PART: u64 = 4;

/// A model ready to answer.
#[derive(Debug)]
pub(crate) struct WarmModel {
    pub(crate) model: Model,
    pub(crate) estimate: Estimate,
}

/// A key ready for expansion of queries.
#[derive(Debug)]
pub(crate) struct WarmKey {
    pub(crate) key: Key,
    /// Of the file it came from: an id can be registered anew with another file.
    pub(crate) sha256: Sha256,
}

/// Models and keys in memory.
#[derive(Debug)]
pub(crate) struct Warm {
    models: Cache<(ModelName, SpecsHash), Arc<WarmModel>>,
    keys: Cache<(Tenant, KeyId), Arc<WarmKey>>,
}

impl WarmModel {
    /// Prepares a stored bundle.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, String> {
        let model = cipherfn_engine::bundle::read(bytes).and_then(|bundle| Model::new(&bundle));
        Ok(Self {
            model: model.map_err(|error| error.to_string())?,
            estimate: Estimate::default(),
        })
    }
}

impl WarmKey {
    /// Brings a stored key, which has this checksum, into the Fourier domain.
    pub(crate) fn new(bytes: &[u8], sha256: Sha256) -> Result<Self, String> {
        let key = EvaluationKey::from_file_bytes(bytes).and_then(|key| Key::new(&key));
        Ok(Self {
            key: key.map_err(|error| error.to_string())?,
            sha256,
        })
    }
}

impl Warm {
    /// Caches for a function with `memory` bytes.
    pub(crate) fn new(memory: u64) -> Self {
        Self {
            models: cache(memory / PART, |model: &Arc<WarmModel>| {
                model.model.circuit().memory_len()
            }),
            keys: cache(memory / PART, |key: &Arc<WarmKey>| key.key.memory_len()),
        }
    }

    pub(crate) fn model(&self, name: &ModelName, specs: SpecsHash) -> Option<Arc<WarmModel>> {
        self.models.get(&(name.clone(), specs))
    }

    /// Keeps a model for queries of these specs.
    pub(crate) fn keep(
        &self,
        name: &ModelName,
        specs: SpecsHash,
        model: WarmModel,
    ) -> Arc<WarmModel> {
        let model = Arc::new(model);
        self.models.insert((name.clone(), specs), model.clone());
        model
    }

    pub(crate) fn forget(&self, name: &ModelName, specs: SpecsHash) {
        self.models.invalidate(&(name.clone(), specs));
    }

    pub(crate) fn key(&self, tenant: &Tenant, id: KeyId) -> Option<Arc<WarmKey>> {
        self.keys.get(&(tenant.clone(), id))
    }

    pub(crate) fn keep_key(&self, tenant: &Tenant, key: WarmKey) -> Arc<WarmKey> {
        let key = Arc::new(key);
        self.keys
            .insert((tenant.clone(), key.key.id()), key.clone());
        key
    }

    pub(crate) fn forget_key(&self, tenant: &Tenant, id: KeyId) {
        self.keys.invalidate(&(tenant.clone(), id));
    }
}

/// Weighs in KiB: a weight is a `u32`.
fn cache<K, V>(bytes: u64, size: fn(&V) -> usize) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
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
        let key = || {
            WarmKey::new(
                &EvaluationKey::generate(&SecretKey::generate(set))
                    .unwrap()
                    .to_file_bytes(),
                Sha256::from_bytes([0; 32]),
            )
            .unwrap()
        };
        let size = key().key.memory_len() as u64;
        // Room for two.
        let warm = Warm::new((2 * size + (64 << 10)) * PART);
        let (alice, bob) = (Tenant::of("alice"), Tenant::of("bob"));
        let ids: Vec<KeyId> = (0..3)
            .map(|_| warm.keep_key(&alice, key()).key.id())
            .collect();
        warm.keys.run_pending_tasks();
        assert!(warm.key(&alice, ids[0]).is_none(), "the oldest one went");
        assert!(warm.key(&alice, ids[1]).is_some() && warm.key(&alice, ids[2]).is_some());
        assert!(warm.key(&bob, ids[1]).is_none(), "another tenant's");
        warm.forget_key(&alice, ids[1]);
        assert!(warm.key(&alice, ids[1]).is_none());
    }
}
