//! Rows to predictions: encrypted, sent and decrypted in requests that run side by side.
//!
//! ```text
//!   rows ──► encrypt a batch ──► request ─┐
//!                            ──► request ─┼─► check, decrypt ──► in the order of the rows ──► output
//!                            ──► request ─┘
//! ```
//!
//! A batch is read only when a request may start, so memory holds
//! [`super::ServiceOptions::in_flight`] batches, whatever the table's size. It is encrypted for the
//! request that sends it: rows share ciphertexts with those beside them.

use super::error::ServiceError;
use super::transport::Call;
use super::{Service, blocking};
use crate::keyring::KeyRing;
use bytes::Bytes;
use cipherfn_client::{Answer, Asked, Client, ClientError, EncodedRows, InputRow};
use cipherfn_protocol::api::{self, ApiVersion, ModelName, Problem, ProblemType, Route};
use cipherfn_scheme::SecretKey;
use futures_util::{StreamExt, stream};
use http::header::ACCEPT;
use http::{HeaderValue, Method};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Mutex;

impl Service {
    /// Sends rows encrypted under the key ring's secret key; `take` gets their answers in the order
    /// of the rows, some at a time. Gives the number of rows.
    ///
    /// Number, order and size of the requests depend on the number of rows alone: a row that
    /// cannot be encoded is sent as zeros, and its answer says why it has no prediction.
    /// Computation runs beside the runtime's threads; `take` is called from the calling task.
    /// A part of the key that the service turns out to lack is made and registered, once.
    /// [`ServiceError::StaleSpecs`] means that the model has changed: make a new client and start
    /// over. The first error of `rows` ends the work, after the answers to the rows before it.
    pub async fn predict<E>(
        &self,
        model: &ModelName,
        client: &Arc<Client>,
        keys: &KeyRing,
        rows: impl Iterator<Item = Result<InputRow, E>> + Send + 'static,
        mut take: impl FnMut(Vec<Answer>) -> Result<(), E>,
    ) -> Result<u64, E>
    where
        E: From<ServiceError> + Send + 'static,
    {
        let options = &self.0.options;
        let most = most_rows(client, model)?;
        let (ring, set) = (keys.clone(), client.parameter_set());
        let secret = blocking(move || ring.secret_key(set)).await?;
        let secret = Arc::new(secret.map_err(ServiceError::from)?);
        let run = Arc::new(Run {
            service: self.clone(),
            model: model.clone(),
            client: Arc::clone(client),
            keys: keys.clone(),
            secret,
            supplied: Mutex::default(),
            most_rows: AtomicUsize::new(
                options
                    .rows_a_request
                    .map_or(most, |rows| rows.get().min(most)),
            ),
        });
        let batches = stream::unfold(Some(NumberedRows { rows, next: 0 }), {
            let run = Arc::clone(&run);
            move |source| Arc::clone(&run).next_batch(source)
        });
        let answers = batches
            .map(|batch| Arc::clone(&run).answers(batch))
            .buffered(options.in_flight.get());
        let mut answers = pin!(answers);
        let mut count = 0;
        while let Some(answers) = answers.next().await {
            let answers = answers?;
            count += answers.len() as u64;
            take(answers)?;
        }
        Ok(count)
    }
}

/// Most rows of a request.
fn most_rows(client: &Client, model: &ModelName) -> Result<usize, ServiceError> {
    let most = client.rows_within(api::MAX_REQUEST, api::MAX_REPLY);
    if most > 0 {
        return Ok(most);
    }
    let (bytes, limit) = if client.query_bytes(1) > api::MAX_REQUEST {
        (client.query_row_bytes(), api::MAX_REQUEST)
    } else {
        (client.reply_row_bytes(), api::MAX_REPLY)
    };
    Err(ServiceError::RowTooLarge {
        model: model.clone(),
        bytes,
        limit,
    })
}

/// What all requests of one table share.
struct Run {
    service: Service,
    model: ModelName,
    client: Arc<Client>,
    keys: KeyRing,
    secret: Arc<SecretKey>,
    /// Parts of the key that were registered because the service lacked them. Locked meanwhile:
    /// requests side by side lack the same ones.
    supplied: Mutex<BTreeSet<String>>,
    /// Most rows of a request, as far as is known.
    most_rows: AtomicUsize,
}

/// The table, with the number of its next row from 0.
struct NumberedRows<I> {
    rows: I,
    next: u64,
}

/// Rows of a request, with the number of the first one from 0.
struct Batch {
    first: u64,
    encoded: Arc<EncodedRows>,
}

impl Run {
    /// Encodes the next rows. The source is gone after its last row and after an error.
    async fn next_batch<I, E>(
        self: Arc<Self>,
        source: Option<NumberedRows<I>>,
    ) -> Option<(Result<Batch, E>, Option<NumberedRows<I>>)>
    where
        I: Iterator<Item = Result<InputRow, E>> + Send + 'static,
        E: From<ServiceError> + Send + 'static,
    {
        let mut source = source?;
        let count = self.most_rows.load(Ordering::Relaxed);
        let client = Arc::clone(&self.client);
        let encode = move || {
            let rows = source
                .rows
                .by_ref()
                .take(count)
                .collect::<Result<Vec<_>, E>>()?;
            Ok::<_, E>((client.encode(&rows), source))
        };
        match blocking(encode).await {
            Ok(Ok((encoded, _))) if encoded.rows.is_empty() => None,
            Ok(Ok((encoded, mut source))) => {
                let first = source.next;
                source.next += encoded.rows.len() as u64;
                let encoded = Arc::new(encoded);
                Some((Ok(Batch { first, encoded }), Some(source)))
            }
            Ok(Err(error)) => Some((Err(error), None)),
            Err(error) => Some((Err(error.into()), None)),
        }
    }

    /// The answers to a batch, in one request or in more where the service takes fewer rows.
    async fn answers<E: From<ServiceError>>(
        self: Arc<Self>,
        batch: Result<Batch, E>,
    ) -> Result<Vec<Answer>, E> {
        let batch = batch?;
        let rows = batch.encoded.rows.len();
        let mut answers = Vec::with_capacity(rows);
        while answers.len() < rows {
            let left = rows - answers.len();
            let count = left.min(self.most_rows.load(Ordering::Relaxed));
            match self.request_with_key(&batch, answers.len(), count).await {
                Ok(more) => answers.extend(more),
                Err(error) => self.shrink(count, error)?,
            }
        }
        let marks = batch.encoded.marks.iter().cloned();
        let marked = answers.into_iter().zip(marks);
        Ok(marked.map(|(answer, mark)| answer.marked(mark)).collect())
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
                    .unwrap_or(half) as usize;
                // Whole groups of rows, where there is room for any.
                let group = self.client.rows_a_group();
                let most = if most > group {
                    most - most % group
                } else {
                    most
                };
                self.most_rows.fetch_min(most, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// One request, again with each part of the key that the service turns out to lack.
    async fn request_with_key(
        &self,
        batch: &Batch,
        start: usize,
        count: usize,
    ) -> Result<Vec<Answer>, ServiceError> {
        let mut asked = BTreeSet::new();
        loop {
            match self.request(batch, start, count).await {
                Err(ServiceError::MissingKeyPart { part, .. }) if asked.insert(part.clone()) => {
                    let mut supplied = self.supplied.lock().await;
                    if !supplied.contains(&part) {
                        let set = self.client.parameter_set();
                        self.service.supply(&self.keys, set, &part).await?;
                        supplied.insert(part);
                    }
                }
                result => return result,
            }
        }
    }

    /// One request of `count` rows of a batch, from its row `start` on.
    async fn request(
        &self,
        batch: &Batch,
        start: usize,
        count: usize,
    ) -> Result<Vec<Answer>, ServiceError> {
        let (client, secret, encoded) = (
            Arc::clone(&self.client),
            Arc::clone(&self.secret),
            Arc::clone(&batch.encoded),
        );
        let nonce = client.nonce()?;
        let query = move || client.query(&secret, nonce, &encoded.rows[start..start + count]);
        let query = blocking(query).await??;
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
        self.service.require_reply(&call, &answer)?;
        let asked = Asked {
            nonce,
            rows: count as u64,
        };
        let keys = (&self.client, &self.secret);
        let first_row = batch.first + start as u64;
        open(&self.model, keys, answer.body, asked, first_row).await
    }

    fn explain(&self, error: ServiceError) -> ServiceError {
        explain(error, &self.service, (&self.model, &self.client)).about_key(self.secret.id())
    }
}

/// Checks a reply to rows of a table from row `first_row` on, from 0, and decrypts it.
pub(super) async fn open(
    model: &ModelName,
    (client, secret): (&Arc<Client>, &Arc<SecretKey>),
    reply: Bytes,
    asked: Asked,
    first_row: u64,
) -> Result<Vec<Answer>, ServiceError> {
    let (client, secret) = (Arc::clone(client), Arc::clone(secret));
    let decrypted = blocking(move || client.open(&secret, asked, first_row, &reply));
    let model = model.clone();
    let (first, last) = (first_row + 1, first_row + asked.rows);
    match decrypted.await? {
        Ok(answers) => Ok(answers),
        Err(ClientError::RowCount { found, .. }) => Err(ServiceError::RowCount {
            model,
            first,
            last,
            found,
        }),
        Err(source) => Err(ServiceError::Reply {
            model,
            first,
            last,
            source: Box::new(source),
        }),
    }
}

/// What a service says about a model, in the words of a request for it.
pub(super) fn explain(
    error: ServiceError,
    service: &Service,
    (model, client): (&ModelName, &Client),
) -> ServiceError {
    match error.problem() {
        Some(problem) if problem.kind == ProblemType::StaleSpecs => ServiceError::StaleSpecs {
            model: model.clone(),
            used: client.specs().hash(),
            current: problem.current_specs,
        },
        _ => error.about_model(service.url(), model),
    }
}
