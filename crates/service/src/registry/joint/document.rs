//! Trainings as they are stored.

use super::{JointTraining, joint_path};
use crate::Tenant;
use crate::registry::HeldGrant;
use crate::registry::document::Document;
use cipherfn_protocol::api::job::JobId;
use cipherfn_protocol::api::trainings::{OwnerRows, TrainingId};
use cipherfn_protocol::api::{ModelName, PublicKeyFile};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

cipherfn_protocol::versions! {
    /// A stored training.
    pub(in crate::registry) enum JointVersions,
    read by serde_json::from_slice, error serde_json::Error {
        /// All of it in one document.
        V1(JointV1) = 1,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::registry) struct JointV1 {
    format: u64,
    training: TrainingId,
    tenant: Tenant,
    program: ModelName,
    specs: SpecsHash,
    key: KeyId,
    parameter_set: ParameterSetTag,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKeyFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    least_owners: Option<u32>,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
    grants: Vec<HeldGrant>,
    owners: Vec<OwnerRows>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
}

impl Document for JointTraining {
    type Versions = JointVersions;

    fn migrate(document: JointVersions) -> Result<Self, String> {
        let JointVersions::V1(document) = document;
        Ok(Self {
            id: document.training,
            tenant: document.tenant,
            program: document.program,
            specs: document.specs,
            key: document.key,
            parameter_set: document.parameter_set,
            public_key: document.public_key,
            least_owners: document.least_owners,
            created: document.created,
            until: document.until,
            grants: document.grants,
            owners: document.owners,
            job: document.job,
            ended: document.ended,
        })
    }

    fn belongs_to(&self, key: &str) -> bool {
        key == joint_path(&self.tenant, self.id)
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&JointV1 {
            format: 1,
            training: self.id,
            tenant: self.tenant.clone(),
            program: self.program.clone(),
            specs: self.specs,
            key: self.key,
            parameter_set: self.parameter_set,
            public_key: self.public_key.clone(),
            least_owners: self.least_owners,
            created: self.created,
            until: self.until,
            grants: self.grants.clone(),
            owners: self.owners.clone(),
            job: self.job,
            ended: self.ended,
        })
    }
}
