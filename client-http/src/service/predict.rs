//! Rows to predictions: encrypted, sent and decrypted in requests that run side by side.
//!
//! ```text
//!   rows ──► encrypt a batch ──► request ─┐
//!                            ──► request ─┼─► check, decrypt ──► in the order of the rows ──► output
//!                            ──► request ─┘
//! ```
//!
//! A batch is encrypted only when a request may start, so memory holds
//! [`super::ServiceOptions::in_flight`] batches, whatever the table's size.

use super::batch::rows_a_request;
use super::error::ServiceError;
use super::transport::Call;
use super::{Service, blocking};
use bytes::Bytes;
use cipherfn_client::Client;
use cipherfn_client::ClientError;
use cipherfn_client::{Answer, Decrypted, PredictionWriter, next_batch};
use cipherfn_protocol::api::{self, ApiVersion, ModelName, Problem, ProblemType, Route};
use cipherfn_protocol::message::{Chunks, Nonce, ReplyChunk};
use cipherfn_scheme::SecretKey;
use cipherfn_table::Rows;
use futures_util::{StreamExt, stream};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method};
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

impl Service {
    /// Sends a table's rows encrypted and writes the predictions as CSV, one line a row in the
    /// order of the rows, a line of empty cells for a row that failed; as [`Client::encrypt`]
    /// and [`Client::decrypt`] do with files. `progress` hears the number of rows so far.
    ///
    /// Computation runs beside the runtime's threads; `output` is written to from the calling task.
    /// After an error, what was written is the start of the predictions and not all of them.
    /// [`ServiceError::StaleSpecs`] means that the model has changed: make a new client and
    /// start over.
    pub async fn predict<R: Read + Send + 'static, W: Write>(
        &self,
        model: &ModelName,
        client: &Arc<Client>,
        secret: &Arc<SecretKey>,
        rows: Rows<R>,
        output: W,
        mut progress: impl FnMut(u64),
    ) -> Result<Decrypted, ServiceError> {
        client.check_key(secret)?;
        let options = &self.0.options;
        let most = rows_a_request(client, model)?;
        let run = Arc::new(Run {
            service: self.clone(),
            model: model.clone(),
            client: Arc::clone(client),
            secret: Arc::clone(secret),
            most_rows: AtomicUsize::new(
                options
                    .rows_a_request
                    .map_or(most, |rows| rows.get().min(most)),
            ),
        });
        let mut predictions = PredictionWriter::new(client, output)?;
        let batches = stream::unfold(Some(Source { rows, next: 0 }), {
            let run = Arc::clone(&run);
            move |source| Arc::clone(&run).next_batch(source)
        });
        let answers = batches
            .map(|batch| Arc::clone(&run).answers(batch))
            .buffered(options.in_flight.get());
        let mut answers = pin!(answers);
        while let Some(answers) = answers.next().await {
            progress(predictions.write(answers?)?);
        }
        Ok(predictions.finish()?)
    }
}

/// What all requests of one table share.
struct Run {
    service: Service,
    model: ModelName,
    client: Arc<Client>,
    secret: Arc<SecretKey>,
    /// Most rows of a request, as far as is known.
    most_rows: AtomicUsize,
}

/// The table, with the number of its next row from 0.
struct Source<R> {
    rows: Rows<R>,
    next: u64,
}

/// Encrypted rows, with the number of the first one from 0.
struct Batch {
    first: u64,
    rows: Arc<Vec<Vec<u8>>>,
}

impl Run {
    /// Encrypts the next rows. The source is gone after its last row and after an error.
    async fn next_batch<R: Read + Send + 'static>(
        self: Arc<Self>,
        source: Option<Source<R>>,
    ) -> Option<(Result<Batch, ServiceError>, Option<Source<R>>)> {
        let mut source = source?;
        let count = self.most_rows.load(Ordering::Relaxed);
        let (client, secret) = (Arc::clone(&self.client), Arc::clone(&self.secret));
        let encrypt = move || {
            let batch = next_batch(&mut source.rows, count)?;
            let rows = client.encrypt_batch(&secret, source.rows.source_name(), batch)?;
            Ok::<_, ClientError>((rows, source))
        };
        match blocking(encrypt).await {
            Ok(Ok((rows, _))) if rows.is_empty() => None,
            Ok(Ok((rows, mut source))) => {
                let first = source.next;
                source.next += rows.len() as u64;
                let rows = Arc::new(rows);
                Some((Ok(Batch { first, rows }), Some(source)))
            }
            Ok(Err(error)) => Some((Err(error.into()), None)),
            Err(error) => Some((Err(error), None)),
        }
    }

    /// The answers to a batch, in one request or in more where the service takes fewer rows.
    async fn answers(
        self: Arc<Self>,
        batch: Result<Batch, ServiceError>,
    ) -> Result<Vec<Answer>, ServiceError> {
        let batch = batch?;
        let mut answers = Vec::with_capacity(batch.rows.len());
        while answers.len() < batch.rows.len() {
            let left = batch.rows.len() - answers.len();
            let count = left.min(self.most_rows.load(Ordering::Relaxed));
            match self.request(&batch, answers.len(), count).await {
                Ok(more) => answers.extend(more),
                Err(error) => self.shrink(count, error)?,
            }
        }
        Ok(answers)
    }

    /// Remembers how many rows the service takes, where that is what the error says and fewer than
    /// `count`.
    fn shrink(&self, count: usize, error: ServiceError) -> Result<(), ServiceError> {
        match error.problem() {
            Some(Problem {
                kind: ProblemType::TooManyRows,
                most_rows,
                ..
            }) if count > 1 => {
                let half = count as u64 / 2;
                let most = most_rows
                    .filter(|most| (1..count as u64).contains(most))
                    .unwrap_or(half);
                self.most_rows.fetch_min(most as usize, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// One request of `count` rows of a batch, from its row `start` on.
    async fn request(
        &self,
        batch: &Batch,
        start: usize,
        count: usize,
    ) -> Result<Vec<Answer>, ServiceError> {
        let (client, secret, rows) = (
            Arc::clone(&self.client),
            Arc::clone(&self.secret),
            Arc::clone(&batch.rows),
        );
        let nonce = client.nonce()?;
        let query = move || client.query(&secret, nonce, &rows[start..start + count]);
        let query = blocking(query).await?;
        let version = match self.client.specs().format() {
            1 => ApiVersion::V1,
            _ => ApiVersion::V2,
        };
        let path = Route::Predict.path(version, self.model.as_str());
        let call = Call::new(Method::POST, path)
            .header(ACCEPT, HeaderValue::from_static(api::REPLY))
            .body(api::QUERY, query);
        let (answer, _) = self
            .service
            .call(&call)
            .await
            .map_err(|error| self.explain(error))?;
        let content_type = answer.header(CONTENT_TYPE).unwrap_or_default();
        if !answer.status.is_success() || content_type != api::REPLY {
            let reason = format!(
                "status {} and content type {content_type:?}",
                answer.status.as_u16()
            );
            return Err(self.service.answer_error(&call, reason));
        }
        self.open(answer.body, nonce, batch.first + start as u64, count as u64)
            .await
    }

    /// Checks a reply and decrypts it.
    async fn open(
        &self,
        reply: Bytes,
        nonce: Option<Nonce>,
        first_row: u64,
        count: u64,
    ) -> Result<Vec<Answer>, ServiceError> {
        let (client, secret) = (Arc::clone(&self.client), Arc::clone(&self.secret));
        let decrypted = blocking(move || {
            let mut answers = Vec::new();
            for chunk in Chunks::<_, ReplyChunk>::new(reply.as_ref()) {
                let (tag, chunk) = chunk?;
                if chunk.head.nonce != nonce {
                    return Err(ClientError::OtherQuery);
                }
                answers.extend(client.decrypt_chunk(&secret, tag, &chunk, first_row)?);
            }
            Ok::<_, ClientError>(answers)
        });
        let model = self.model.clone();
        let (first, last) = (first_row + 1, first_row + count);
        match decrypted.await? {
            Ok(answers) if answers.len() as u64 == count => Ok(answers),
            Ok(answers) => Err(ServiceError::RowCount {
                model,
                first,
                last,
                found: answers.len() as u64,
            }),
            Err(source) => Err(ServiceError::Reply {
                model,
                first,
                last,
                source: Box::new(source),
            }),
        }
    }

    fn explain(&self, error: ServiceError) -> ServiceError {
        match error.problem() {
            Some(problem) if problem.kind == ProblemType::StaleSpecs => ServiceError::StaleSpecs {
                model: self.model.clone(),
                used: self.client.specs().hash(),
                current: problem.current_specs,
            },
            _ => error
                .about_model(self.service.url(), &self.model)
                .about_key(self.secret.id()),
        }
    }
}
