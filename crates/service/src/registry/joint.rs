//! Trainings that several owners add rows to, as documents: before their job.

mod document;

use super::{GrantRefusal, Granting, HeldGrant, Job, UploadedWork, Work};
use crate::Tenant;
use cipherfn_protocol::api::grant::{Grant, GrantId, GrantedColumns, SignedGrant};
use cipherfn_protocol::api::grants::{Contributor, GrantStatus, MAX_GRANTS};
use cipherfn_protocol::api::job::{ChunkFile, JobId, MAX_CHUNKS, MAX_TRAINING};
use cipherfn_protocol::api::trainings::{
    ListedTraining, MAX_CONTRIBUTIONS, MAX_TRIES, OwnerRows, TrainingDeclaration, TrainingId,
    TrainingStatus,
};
use cipherfn_protocol::api::{ModelName, PublicKeyFile};
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::message::KeyId;
use std::collections::BTreeSet;
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
    /// The public key that owners encrypt under; of a training that was declared without one nothing is trained.
    pub public_key: Option<PublicKeyFile>,
    /// Where it is a total of sums: from how many owners it is made at least, the key holder not among them.
    pub least_owners: Option<u32>,
    /// When it was declared.
    pub created: OffsetDateTime,
    /// When it runs out.
    pub until: OffsetDateTime,
    /// Who may add rows.
    pub grants: Vec<HeldGrant>,
    /// Who did, in their order.
    pub owners: Vec<OwnerRows>,
    /// The job that trains on their rows: one, unless it has failed.
    pub job: Option<JobId>,
    /// Whether its key holder has ended it: what there is of it is being deleted.
    pub ended: bool,
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
            public_key: Some(declaration.public_key.clone()),
            least_owners: declaration.least_owners,
            created,
            until,
            grants: Vec::new(),
            owners: Vec::new(),
            job: None,
            ended: false,
        }
    }

    /// Whether it is what a declaration declares.
    pub fn is(&self, declaration: &TrainingDeclaration) -> bool {
        let Some(public_key) = self.public_key.clone() else {
            return false;
        };
        *declaration
            == TrainingDeclaration {
                training: self.id,
                program: self.program.clone(),
                specs: self.specs,
                key: self.key,
                parameter_set: self.parameter_set,
                public_key,
                least_owners: self.least_owners,
            }
    }

    /// What stays of it where owners may have grants: its id. Declared once more it would take these again, and an
    /// owner who is told to repeat its command would not see that what it adds to is another total of the same name.
    #[must_use]
    pub fn buried(&self) -> Self {
        Self {
            public_key: None,
            grants: Vec::new(),
            owners: Vec::new(),
            job: None,
            ended: true,
            ..self.clone()
        }
    }

    /// Whether there is nothing of it left but its id.
    pub fn is_buried(&self) -> bool {
        *self == self.buried()
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
            least_owners: self.least_owners,
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
            least_owners: self.least_owners,
            rows: self.rows(),
            owners: self.owners.clone(),
            grants: self.grants.iter().map(HeldGrant::status).collect(),
        }
    }

    /// It with an owner's rows: all chunks of them, which were uploaded by a grant and looked at; or with its sums,
    /// once. The same again changes nothing.
    pub fn added(
        &self,
        presented: &SignedGrant,
        by: &Tenant,
        (rows, files): (u64, &[ChunkFile]),
        now: OffsetDateTime,
    ) -> Result<Self, GrantRefusal> {
        let mut held = self.granted(presented, by, now)?.clone();
        let own = OwnerRows {
            grant: presented.grant.id,
            by: self.least_owners.map(|_| by.id()),
            rows,
            chunks: files.to_vec(),
        };
        if self.owners.contains(&own) {
            return Ok(self.clone());
        }
        self.takes_pieces(own.grant, by)?;
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
        if training.chunks().count() > MAX_CHUNKS {
            return Err(GrantRefusal::Training("1,000 chunks"));
        }
        if training.chunks().map(|chunk| chunk.bytes).sum::<u64>() > MAX_TRAINING {
            return Err(GrantRefusal::Training("1 GiB of rows"));
        }
        Ok(training)
    }

    /// Who has contributed to a total, so that a tenant cannot by a grant; nobody to a training on rows.
    fn contributor(&self, grant: GrantId, by: &Tenant) -> Option<Contributor> {
        self.least_owners?;
        let by = Some(by.id());
        if self.owners.iter().any(|known| known.by == by) {
            return Some(Contributor::Caller);
        }
        let is_used = self.owners.iter().any(|known| known.grant == grant);
        is_used.then_some(Contributor::Another)
    }

    /// It with its job, whose rows are these: all that owners have added, in their order, behind those of the
    /// key holder, if there are any. A part of them alone would be a training on rows that their owners have
    /// given to a larger one, and a second job would tell of them again.
    pub fn trained_by(&self, job: &Job) -> Result<Self, GrantRefusal> {
        if self.job == Some(job.id) {
            return Ok(self.clone());
        }
        self.takes_job(&job.work, job.key)?;
        Ok(Self {
            job: Some(job.id),
            ..self.clone()
        })
    }

    /// That a job would be its job.
    pub fn takes_job(&self, work: &Work, key: KeyId) -> Result<(), GrantRefusal> {
        let work = match (work, self.job) {
            (Work::Train(work), None) => work,
            (Work::Train(_), Some(own)) => return Err(GrantRefusal::Trained(own)),
            _ => return Err(GrantRefusal::OtherJob("kind")),
        };
        for (field, is_same) in [
            ("model", work.model == self.program),
            ("specs", work.specs == self.specs),
            ("key", key == self.key),
        ] {
            if !is_same {
                return Err(GrantRefusal::OtherJob(field));
            }
        }
        self.is_whole(work)
    }

    /// That a job is on all rows that owners have added, and of as many owners as each of them was told: by the
    /// declaration, and by grants, which the key holder has signed.
    pub fn is_whole(&self, work: &UploadedWork) -> Result<(), GrantRefusal> {
        if !self.is_all_rows(work) {
            return Err(GrantRefusal::NotAllRows);
        }
        let terms = self
            .grants
            .iter()
            .map(|held| held.grant.grant.target.training());
        let told = terms.filter_map(|terms| terms?.least_owners);
        let Some(least) = told.chain(self.least_owners).max() else {
            return Ok(());
        };
        // The key holder can tell its own sums from the others'.
        let owners = self.owners.iter().filter_map(|owner| owner.by);
        let others: BTreeSet<_> = owners.filter(|by| *by != self.tenant.id()).collect();
        let found = others.len();
        if found < least as usize {
            return Err(GrantRefusal::TooFewOwners { found, least });
        }
        Ok(())
    }

    /// Whether chunks are all that owners have added, behind none or some that came by no grant; a total has none
    /// of these.
    fn is_all_rows(&self, work: &UploadedWork) -> bool {
        let added: Vec<ChunkFile> = self.chunks().copied().collect();
        let Some(before) = work.chunks.len().checked_sub(added.len()) else {
            return false;
        };
        let (own, others) = work.chunks.split_at(before);
        let came_by_grant = |file: &ChunkFile| {
            let mut pieces = self.grants.iter().flat_map(|held| &held.pieces);
            pieces.any(|piece| piece.file == *file)
        };
        let may_be_own = self.least_owners.is_none() || own.is_empty();
        others == added && may_be_own && !own.iter().any(came_by_grant)
    }

    /// It after its job has failed: there are no weights, and rows may be added or dropped for another one.
    #[must_use]
    pub fn reopened(&self, failed: JobId) -> Self {
        Self {
            job: self.job.filter(|job| *job != failed),
            ..self.clone()
        }
    }

    /// Whether a job may train on a chunk that an owner has encrypted.
    pub fn trains(&self, job: JobId, file: ChunkFile) -> bool {
        self.job == Some(job) && self.chunks().any(|chunk| *chunk == file)
    }

    fn chunks(&self) -> impl Iterator<Item = &ChunkFile> {
        self.owners.iter().flat_map(|owner| &owner.chunks)
    }

    fn is_open(&self) -> Result<(), GrantRefusal> {
        self.job.map_or(Ok(()), |_| Err(GrantRefusal::Begun))
    }

    /// It after a grant was revoked; without the rows that were added by it, if asked.
    pub fn revoked(&self, id: GrantId, drop_rows: bool) -> Result<Self, GrantRefusal> {
        let (mut training, _) = self.without(id, drop_rows)?;
        if drop_rows {
            training.owners.retain(|owner| owner.grant != id);
        }
        Ok(training)
    }
}

impl Granting for JointTraining {
    const TOO_MANY: fn(usize) -> GrantRefusal = GrantRefusal::TooManyOwners;

    fn most_grants(&self) -> usize {
        self.least_owners.map_or(MAX_GRANTS, |_| MAX_CONTRIBUTIONS)
    }

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

    fn check(&self, grant: &Grant) -> Result<(), GrantRefusal> {
        let target = grant.target.training();
        let terms = target
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
            (
                "least_owners",
                "is another number of owners",
                terms.least_owners == self.least_owners,
            ),
            ("rows", "is 0", terms.rows > 0),
            // There are many grants of a total, and all of them are in its record.
            (
                "objects",
                "is more than 3 for a total",
                self.least_owners.is_none() || grant.objects <= MAX_TRIES,
            ),
        ] {
            if !is_sound {
                return Err(GrantRefusal::Malformed(field, problem));
            }
        }
        Ok(())
    }

    fn takes(&self, _: Option<&GrantedColumns>) -> Result<(), GrantRefusal> {
        self.is_open()
    }

    fn takes_pieces(&self, grant: GrantId, by: &Tenant) -> Result<(), GrantRefusal> {
        self.is_open()?;
        let contributor = self.contributor(grant, by);
        contributor.map_or(Ok(()), |who| Err(GrantRefusal::Contributed(who)))
    }

    fn stand(&self, held: &HeldGrant, by: &Tenant) -> GrantStatus {
        GrantStatus {
            contributed: self.contributor(held.grant.grant.id, by),
            ..held.status()
        }
    }

    fn has(&self, file: ChunkFile) -> bool {
        self.chunks().any(|chunk| chunk.sha256 == file.sha256)
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
