//! Trainings that several owners add rows to, as documents: before their job.

use super::document::Document;
use super::{GrantRefusal, Granting, HeldGrant};
use crate::Tenant;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::grant::{GrantId, GrantTarget, GrantedColumns, SignedGrant};
use cipherfn_protocol::api::job::{ChunkFile, MAX_CHUNKS, MAX_TRAINING};
use cipherfn_protocol::api::trainings::{
    ListedTraining, OwnerRows, TrainingDeclaration, TrainingId, TrainingStatus,
};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A training that owners add rows to. What it is does not change until it is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JointTraining {
    /// Names it, and the folder of its rows.
    pub id: TrainingId,
    /// The key holder.
    pub tenant: Tenant,
    /// The training program.
    pub program: ModelName,
    /// Its version.
    pub specs: SpecsHash,
    /// The key that decrypts.
    pub key: KeyId,
    /// Parameter set of the key.
    pub parameter_set: ParameterSetTag,
    /// When it was declared.
    pub created: OffsetDateTime,
    /// When it runs out.
    pub until: OffsetDateTime,
    /// Who may add rows.
    pub grants: Vec<HeldGrant>,
    /// Who did, in their order.
    pub owners: Vec<OwnerRows>,
}

impl JointTraining {
    /// As it is declared.
    pub fn new(
        tenant: &Tenant,
        declaration: &TrainingDeclaration,
        (created, until): (OffsetDateTime, OffsetDateTime),
    ) -> Self {
        Self {
            id: declaration.training,
            tenant: tenant.clone(),
            program: declaration.program.clone(),
            specs: declaration.specs,
            key: declaration.key,
            parameter_set: declaration.parameter_set,
            created,
            until,
            grants: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// Whether it is what a declaration declares.
    pub fn is(&self, declaration: &TrainingDeclaration) -> bool {
        *declaration
            == TrainingDeclaration {
                training: self.id,
                program: self.program.clone(),
                specs: self.specs,
                key: self.key,
                parameter_set: self.parameter_set,
            }
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.until <= now
    }

    /// In a list.
    pub fn listed(&self) -> ListedTraining {
        ListedTraining {
            training: self.id,
            program: self.program.clone(),
            specs: self.specs,
            key: self.key,
            created: self.created,
            expires: self.until,
            rows: self.rows(),
            owners: self.owners.len() as u64,
            grants: self.grants.len() as u64,
        }
    }

    fn rows(&self) -> u64 {
        let rows = self.owners.iter().map(|owner| owner.rows);
        rows.fold(0, u64::saturating_add)
    }

    /// As the key holder sees it.
    pub fn status(&self) -> TrainingStatus {
        TrainingStatus {
            training: self.id,
            tenant: self.tenant.id(),
            program: self.program.clone(),
            specs: self.specs,
            key: self.key,
            created: self.created,
            expires: self.until,
            rows: self.rows(),
            owners: self.owners.clone(),
            grants: self.grants.iter().map(HeldGrant::status).collect(),
        }
    }

    /// It with an owner's rows: all chunks of them, which were uploaded by a grant and looked at. The same
    /// again changes nothing.
    pub fn added(
        &self,
        presented: &SignedGrant,
        by: &Tenant,
        (rows, files): (u64, &[ChunkFile]),
        now: OffsetDateTime,
    ) -> Result<Self, GrantRefusal> {
        let mut held = self.granted(presented, by, now)?.clone();
        let (grant, chunks) = (presented.grant.id, files.to_vec());
        let own = OwnerRows {
            grant,
            rows,
            chunks,
        };
        if self.owners.contains(&own) {
            return Ok(self.clone());
        }
        for (place, file) in files.iter().enumerate() {
            let piece = held.pieces.iter_mut().find(|piece| piece.file == *file);
            let piece = piece.ok_or(GrantRefusal::NotDeclared(place))?;
            if piece.rows.is_some() || self.has(*file) {
                return Err(GrantRefusal::Known(place));
            }
            piece.rows = Some(if place == 0 { rows } else { 0 });
        }
        let terms = held.grant.grant.target.training();
        let most = terms.map_or(0, |terms| terms.rows);
        if held.rows() > most {
            return Err(GrantRefusal::GrantRows(most));
        }
        let mut training = self.with(&held);
        training.owners.push(own);
        let chunks = || training.owners.iter().flat_map(|owner| &owner.chunks);
        if chunks().count() > MAX_CHUNKS {
            return Err(GrantRefusal::Training("1,000 chunks"));
        }
        if chunks().map(|chunk| chunk.bytes).sum::<u64>() > MAX_TRAINING {
            return Err(GrantRefusal::Training("1 GiB of rows"));
        }
        Ok(training)
    }

    /// It without a grant; without the rows that were added by it, if asked.
    pub fn revoked(&self, id: GrantId, drop_rows: bool) -> Result<Self, GrantRefusal> {
        self.held(id).ok_or(GrantRefusal::Unknown)?;
        let mut training = self.clone();
        training.grants.retain(|held| held.grant.grant.id != id);
        if drop_rows {
            training.owners.retain(|owner| owner.grant != id);
        }
        Ok(training)
    }
}

impl Granting for JointTraining {
    const TOO_MANY: GrantRefusal = GrantRefusal::TooManyOwners;

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn until(&self) -> OffsetDateTime {
        self.until
    }

    fn grants(&self) -> &[HeldGrant] {
        &self.grants
    }

    fn grants_mut(&mut self) -> &mut Vec<HeldGrant> {
        &mut self.grants
    }

    fn check(&self, target: &GrantTarget) -> Result<(), GrantRefusal> {
        let terms = target
            .training()
            .filter(|terms| terms.training == self.id)
            .ok_or(GrantRefusal::Malformed("training", "is another training"))?;
        for (field, problem, is_sound) in [
            (
                "program",
                "is another program",
                terms.program == self.program,
            ),
            ("specs", "is another version", terms.specs == self.specs),
            ("encryption_key", "is another key", terms.key == self.key),
            ("rows", "is 0", terms.rows > 0),
        ] {
            if !is_sound {
                return Err(GrantRefusal::Malformed(field, problem));
            }
        }
        Ok(())
    }

    fn takes(&self, _: Option<&GrantedColumns>) -> Result<(), GrantRefusal> {
        Ok(())
    }

    fn has(&self, file: ChunkFile) -> bool {
        let mut chunks = self.owners.iter().flat_map(|owner| &owner.chunks);
        chunks.any(|chunk| chunk.sha256 == file.sha256)
    }
}

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
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    until: OffsetDateTime,
    grants: Vec<HeldGrant>,
    owners: Vec<OwnerRows>,
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
            created: document.created,
            until: document.until,
            grants: document.grants,
            owners: document.owners,
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
            created: self.created,
            until: self.until,
            grants: self.grants.clone(),
            owners: self.owners.clone(),
        })
    }
}

/// Where a training lies.
pub(super) fn joint_folder(tenant: &Tenant) -> String {
    format!("jobs/joint/{tenant}/")
}

pub(super) fn joint_path(tenant: &Tenant, id: TrainingId) -> String {
    format!("{}{id}.json", joint_folder(tenant))
}

#[cfg(test)]
mod tests;
