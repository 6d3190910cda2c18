//! The rows of a table to S3: encrypted a chunk at a time, several uploads under way.

use super::blocking;
use super::bulk::{BulkProgress, BulkRun, sha256};
use super::declare::Declaring;
use super::error::ServiceError;
use super::manifest::Sent;
use bytes::Bytes;
use cipherfn_client::InputRow;
use cipherfn_protocol::api::job::{ChunkFile, UploadFolder, UploadPurpose};
use cipherfn_protocol::message::Nonce;
use futures_util::{StreamExt, stream};
use std::pin::pin;
use std::sync::Arc;

impl BulkRun {
    /// Uploads the chunks that have not arrived yet, several at a time, and declares the jobs over
    /// them as they arrive. Without rows all of them have.
    pub(super) async fn send_all<E, I>(
        &self,
        rows: Option<I>,
        mut declaring: Declaring,
        progress: &(impl Fn(BulkProgress) + Sync),
    ) -> Result<(), E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        // Those of an earlier run.
        self.declare_ready(&mut declaring).await?;
        if let Some(rows) = rows {
            self.upload(rows, &mut declaring, progress).await?;
        }
        Ok(self.declare_ready(&mut declaring).await?)
    }

    async fn upload<E, I>(
        &self,
        mut rows: I,
        declaring: &mut Declaring,
        progress: &(impl Fn(BulkProgress) + Sync),
    ) -> Result<(), E>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let (known, mut folder) = {
            let manifest = self.manifest.lock();
            let known: u64 = manifest.chunks.iter().map(|chunk| chunk.rows).sum();
            // The first chunk learns the folder, which all others go into.
            (known, manifest.chunks.first().map(|chunk| chunk.upload))
        };
        let mut uploaded = known;
        progress(BulkProgress::Uploaded(uploaded));
        let skip = move || {
            for row in rows.by_ref().take(known as usize) {
                drop(row?);
            }
            Ok::<_, E>(rows)
        };
        let rows = blocking(skip).await.map_err(E::from)??;
        let batches = stream::unfold(Some(rows), |source| self.next_chunk(source));
        let mut batches = pin!(batches);
        let mut arrived = |sent: Sent| {
            uploaded += sent.rows;
            progress(BulkProgress::Uploaded(uploaded));
            self.manifest.lock().sent(sent).map_err(ServiceError::from)
        };
        if folder.is_none()
            && let Some(first) = batches.next().await
        {
            let sent = self.send(None, first?).await?;
            folder = Some(sent.upload);
            arrived(sent)?;
            self.declare_ready(declaring).await?;
        }
        let in_flight = self.service.0.options.in_flight.get();
        let sent = batches.map(|batch| async move { Ok::<_, E>(self.send(folder, batch?).await?) });
        let mut sent = pin!(sent.buffered(in_flight));
        while let Some(sent) = sent.next().await {
            arrived(sent?)?;
            self.declare_ready(declaring).await?;
        }
        self.manifest.lock().end().map_err(ServiceError::from)?;
        Ok(())
    }

    /// Encrypts the next rows. The source is gone after its last row and after an error.
    async fn next_chunk<E, I>(&self, source: Option<I>) -> Option<(Result<Encrypted, E>, Option<I>)>
    where
        E: From<ServiceError> + Send + 'static,
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
    {
        let mut source = source?;
        let size = self.pace.rows_a_chunk();
        let (client, secret) = (Arc::clone(&self.client), Arc::clone(&self.secret));
        let encrypt = move || {
            let rows = source.by_ref().take(size).collect::<Result<Vec<_>, E>>()?;
            if rows.is_empty() {
                return Ok(None);
            }
            let nonce = client.nonce().map_err(ServiceError::from)?;
            let encoded = client.encode(&rows);
            let query = client.query(&secret, nonce, &encoded.rows);
            let query = query.map_err(ServiceError::from)?;
            let file = ChunkFile {
                bytes: query.len() as u64,
                sha256: sha256(&query),
            };
            let chunk = Encrypted {
                rows: rows.len() as u64,
                nonce,
                file,
                query: query.into(),
            };
            Ok::<_, E>(Some((chunk, source)))
        };
        match blocking(encrypt).await {
            Ok(Ok(None)) => None,
            Ok(Ok(Some((chunk, source)))) => Some((Ok(chunk), Some(source))),
            Ok(Err(error)) => Some((Err(error), None)),
            Err(error) => Some((Err(error.into()), None)),
        }
    }

    /// Uploads a chunk.
    async fn send(
        &self,
        folder: Option<UploadFolder>,
        chunk: Encrypted,
    ) -> Result<Sent, ServiceError> {
        let place = (UploadPurpose::Job, folder);
        let sent = self
            .service
            .upload_file(place, chunk.file, chunk.query, "a chunk");
        let sent = sent.await.map_err(|error| self.service.takes(error))?;
        Ok(Sent {
            upload: sent,
            rows: chunk.rows,
            nonce: chunk.nonce,
            file: chunk.file,
        })
    }
}

/// A chunk on its way.
struct Encrypted {
    rows: u64,
    nonce: Option<Nonce>,
    file: ChunkFile,
    query: Bytes,
}
