//! Rows that a service counts in the leaves of trees: uploaded once, encrypted; a job a pass over them.

use super::Train;
use super::elsewhere::{self, keys_at, uploading};
use super::grown::grow;
use super::leaves::{Counted, LeafTable};
use super::rows::leaf_hash;
use super::unfinished::Unfinished;
use crate::files::{InputSource, Output};
use crate::terminal::Terminal;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client::training::leaves::{LeafRowsEncryption, decrypt_result};
use cipherfn_client_http::{KeyRing, RowsName, SameTraining, Service, UploadedRows};
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::api::job::JobId;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_serving::training::SET;
use cipherfn_serving::training::leaves::{key_parts, require_exact};
use cipherfn_training::leaves::{GrownTree, LeafTraining};
use std::sync::Arc;
use std::time::Instant;

/// Rows at a service, and the passes over them so far.
struct Passes<'a> {
    service: &'a Service,
    unfinished: &'a Unfinished,
    secret: Arc<SecretKey>,
    uploaded: UploadedRows,
    /// Jobs that are over. All stay until the last one is: with a job go its rows.
    jobs: Vec<JobId>,
    terminal: Terminal,
}

impl Train {
    /// Has a service count a table's rows in the leaves of a program's trees, or grows a tree by its counts.
    pub(super) async fn leaves_elsewhere(
        &self,
        (service, ring, name): (&Service, &KeyRing, &ModelName),
        training: &LeafTraining,
        input: &InputSource,
        told: (Output, Option<String>),
        terminal: Terminal,
    ) -> Result<()> {
        if self.start.is_some() || self.go_on.is_some() || self.keep_encrypted {
            bail_usage!(
                "--start, --continue and --keep-encrypted are for descent, and program {name} is of trees"
            );
        }
        let unfinished = Unfinished::beside(&self.output)?;
        let (rows, clipped) = self.leaf_rows(training, input, terminal)?;
        let set = ParameterSet::by_name(SET)?;
        require_exact(training, set, rows.len()).with_context(|| name.to_string())?;
        let secret = keys_at(service, ring, &key_parts(set)?, terminal).await?;
        let same = SameTraining {
            service: service.url(),
            program: name,
            version: training.hash(),
            key: secret.id(),
            rows: RowsName {
                table: leaf_hash(&rows),
                start: None,
            },
        };
        let uploaded = if let Some(uploaded) = unfinished.read_same(&same)? {
            uploaded
        } else {
            let plain = rows.as_slice().into();
            let rows = LeafRowsEncryption::new(Arc::clone(&secret), training, plain, None)
                .with_context(|| input.name())?;
            let uploaded = upload(service, &same, rows, terminal).await?;
            unfinished.write(&uploaded)?;
            uploaded
        };
        let chunks = uploaded.declaration.chunks.iter();
        let table = LeafTable {
            rows,
            clipped,
            upload: chunks.map(|chunk| chunk.bytes).sum(),
        };
        let mut passes = Passes {
            service,
            unfinished: &unfinished,
            secret,
            uploaded,
            jobs: Vec::new(),
            terminal,
        };
        if training.growth().is_some() {
            let level = async |level: &LeafTraining, number| passes.count(level, number).await;
            let tree = grow(training.clone(), &table.rows, terminal, level).await?;
            self.write_tree(training, &tree, &table, told, terminal)?;
        } else {
            let counted = passes.count(training, 0).await?;
            self.refit(training, &table, &counted, told, terminal)?;
        }
        for job in passes.jobs.iter().rev() {
            service.delete_job(*job).await?;
        }
        unfinished.remove()
    }
}

impl Passes<'_> {
    /// Has the rows counted in a program's trees: of a tree that is grown in a level, by its number from 0.
    async fn count(&mut self, training: &LeafTraining, level: usize) -> Result<Counted> {
        if level > 0 {
            let tree = GrownTree {
                program: self.uploaded.declaration.specs,
                tree: training.trees()[0].clone(),
            };
            let next = self.service.upload_tree(&self.uploaded, (level, &tree));
            let next = next.await.with_context(|| self.unfinished.not_over())?;
            if next != self.uploaded {
                self.unfinished.write(&next)?;
                self.uploaded = next;
            }
        }
        let job = self.uploaded.level(level);
        let job = job.with_context(|| format!("level {level} was not prepared"))?;
        let began = Instant::now();
        let (job, result) = elsewhere::train(
            self.service,
            (&self.uploaded, job),
            (self.unfinished, self.uploaded.rows),
            self.terminal,
        )
        .await?;
        self.unfinished.take(&mut self.uploaded, (level, &result))?;
        self.jobs.push(job);
        let named = (self.uploaded.rows, self.uploaded.rows_hash);
        Ok(Counted {
            counts: decrypt_result(&self.secret, training, named, &result)?,
            seconds: began.elapsed().as_secs_f64(),
            bytes: result.len(),
        })
    }
}

async fn upload(
    service: &Service,
    same: &SameTraining<'_>,
    rows: LeafRowsEncryption,
    terminal: Terminal,
) -> Result<UploadedRows> {
    uploading(terminal, rows.file_bytes(), async |progress| {
        let uploaded = service.upload_leaf_rows(same.program, rows, same.rows.table, |sent| {
            progress.set_position(sent.bytes);
        });
        Ok(uploaded.await?)
    })
    .await
}
