//! Keys of tenants: the parts that a model needs, from memory or from the bucket.

use crate::Answering;
use cipherfn_protocol::api::{Problem, ProblemType};
use cipherfn_protocol::message::KeyId;
use cipherfn_service::registry::{KeyFile, PartName, Place, Record, Registration};
use cipherfn_service::telemetry::Metric;
use cipherfn_service::{Call, Failure, StorageError, Tenant};
use cipherfn_serving::{WarmKey, WarmModel};
use futures_util::future;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where the files of active parts lie.
type ActiveParts = BTreeMap<PartName, (KeyFile, Place)>;

/// Whether those of the parts that are in memory came from these files.
pub(crate) fn are_held(key: &WarmKey, parts: &ActiveParts) -> bool {
    parts.iter().all(|(name, (file, _))| {
        let held = key.files.get(name.as_str());
        held.is_none_or(|held| *held == file.sha256)
    })
}

impl Answering {
    /// What is registered under the key's id. Another tenant's key is as unknown as one that never
    /// was.
    pub(crate) async fn record(
        &self,
        tenant: &Tenant,
        id: KeyId,
    ) -> Result<Option<Record>, Failure> {
        match self.registry.record(tenant, id).await {
            Err(error @ StorageError::Corrupt { .. }) => {
                let detail = format!(
                    "the registration of key {id} cannot be read; register it again, or delete it"
                );
                let problem = Problem::new(ProblemType::UnknownKey, detail);
                Err(Failure::Damaged(error, problem))
            }
            record => Ok(record?),
        }
    }

    /// Files of parts of the tenant's key, all of which must be active.
    pub(crate) fn active_parts(
        &self,
        tenant: &Tenant,
        id: KeyId,
        record: Option<&Record>,
        parts: &BTreeSet<String>,
        call: &Call,
    ) -> Result<ActiveParts, Failure> {
        let file = |part: &String| {
            let name: PartName = part.parse().map_err(|error| {
                Failure::Internal(format!("the model needs the key part {part:?}: {error}"))
            })?;
            let record = record.ok_or_else(|| unknown_key(id))?;
            Ok((name.clone(), active_part(id, record, &name, call)?))
        };
        let files: Result<ActiveParts, Failure> = parts.iter().map(file).collect();
        if files.is_err() {
            self.warm.forget_key(&(tenant.clone(), id));
        }
        files
    }

    /// The tenant's key with all parts that the model needs, of what is in memory and of what was
    /// loaded for this request; `None` where it was deleted meanwhile.
    pub(crate) async fn complete_key(
        &self,
        tenant: &Tenant,
        id: KeyId,
        (warm, fresh): (Option<Arc<WarmKey>>, Option<WarmKey>),
        model: &WarmModel,
        call: &Call,
    ) -> Result<Option<Arc<WarmKey>>, Failure> {
        let lacks = |key: &WarmKey| -> BTreeSet<String> {
            let parts = model.model.key_parts().iter();
            parts.filter(|part| !key.key.has(part)).cloned().collect()
        };
        let (held, parts) = match (warm, fresh) {
            (Some(warm), _) => {
                let mut parts = lacks(&warm);
                if parts.is_empty() {
                    return Ok(Some(warm));
                }
                // Other requests are using it: it is loaded anew, with one part more.
                parts.extend(warm.files.keys().map(|part| (*part).to_owned()));
                (None, parts)
            }
            (None, Some(fresh)) => {
                let parts = lacks(&fresh);
                (Some(fresh), parts)
            }
            (None, None) => return Ok(None),
        };
        let key = self.load_key(tenant, id, (held, parts), call).await?;
        Ok(key.map(|key| self.warm.keep_key((tenant.clone(), id), key)))
    }

    /// Parts of the tenant's key, all of which must be active now, from memory or from the bucket.
    pub(crate) async fn registered_key(
        &self,
        tenant: &Tenant,
        id: KeyId,
        parts: BTreeSet<String>,
        call: &Call,
    ) -> Result<Arc<WarmKey>, Failure> {
        let name = (tenant.clone(), id);
        if let Some(warm) = self.warm.key(&name) {
            let record = self.record(tenant, id).await?;
            let active = self.active_parts(tenant, id, record.as_ref(), &parts, call)?;
            let has_all = parts.iter().all(|part| warm.key.has(part));
            if has_all && are_held(&warm, &active) {
                return Ok(warm);
            }
            self.warm.forget_key(&name);
        }
        let loaded = self.load_key(tenant, id, (None, parts), call).await?;
        let key = loaded.ok_or_else(|| {
            let detail = format!("key {id} was deleted meanwhile; register it again");
            Problem::new(ProblemType::UnknownKey, detail)
        })?;
        Ok(self.warm.keep_key(name, key))
    }

    /// Parts of the tenant's key from the bucket, added to what there is of it; `None` where it was
    /// deleted meanwhile.
    pub(crate) async fn load_key(
        &self,
        tenant: &Tenant,
        id: KeyId,
        (held, parts): (Option<WarmKey>, BTreeSet<String>),
        call: &Call,
    ) -> Result<Option<WarmKey>, Failure> {
        if parts.is_empty() {
            return Ok(held);
        }
        let fetch = async {
            let record = self.record(tenant, id).await?;
            let files = self.active_parts(tenant, id, record.as_ref(), &parts, call)?;
            let fetch = |(part, file): (PartName, (KeyFile, Place))| async move {
                match self.registry.part(tenant, id, &part, file).await {
                    Err(error @ StorageError::Corrupt { .. }) => {
                        let detail = format!(
                            "the stored part {part} of key {id} is damaged; register the key again"
                        );
                        let problem = Problem::new(ProblemType::KeyNotActive, detail);
                        Err(Failure::Damaged(error, problem))
                    }
                    bytes => Ok(bytes?.map(|bytes| (bytes, file.0.sha256))),
                }
            };
            future::try_join_all(files.into_iter().map(fetch)).await
        };
        let files: Option<Vec<_>> = call
            .stage(Metric::KeyFetch, fetch)
            .await?
            .into_iter()
            .collect();
        let Some(files) = files else {
            return Ok(None);
        };
        let expand = tokio::task::spawn_blocking(move || WarmKey::load(held, &files));
        let key = call.stage(Metric::KeyExpand, expand).await;
        key.map_err(|error| error.to_string())
            .and_then(|key| key.map_err(|error| error.to_string()))
            .map_err(|error| {
                Failure::Internal(format!("the stored key {id} does not load: {error}"))
            })
    }
}

/// The file of a part, which must be active.
fn active_part(
    id: KeyId,
    record: &Record,
    part: &PartName,
    call: &Call,
) -> Result<(KeyFile, Place), Problem> {
    match record.parts.get(part) {
        None => {
            let detail = format!(
                "the model or training needs the part {part} of key {id}, which you have not registered; register it: POST /v2/keys"
            );
            let mut problem = Problem::new(ProblemType::MissingKeyPart, detail);
            problem.missing_part = Some(part.to_string());
            Err(problem)
        }
        Some(registration) if registration.is_expired(call.time()) => Err(Problem::new(
            ProblemType::KeyExpired,
            format!(
                "the registration of the part {part} of key {id} has run out; register it again"
            ),
        )),
        Some(Registration::Active { file, place, .. }) => Ok((*file, *place)),
        Some(_) => Err(Problem::new(
            ProblemType::KeyNotActive,
            format!(
                "the part {part} of key {id} is declared and not active; upload and complete it"
            ),
        )),
    }
}

fn unknown_key(id: KeyId) -> Problem {
    Problem::new(
        ProblemType::UnknownKey,
        format!("you have no key {id}; register it: POST /v1/keys or /v2/keys"),
    )
}
