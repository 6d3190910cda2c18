//! Client specs, training programs and documents of tables, transferred only when they have changed.

use super::endpoint;
use super::error::ServiceError;
use super::retry;
use super::transport::{self, Answer, Call, Cause};
use super::{Service, blocking};
use crate::keyring::KeyRing;
use crate::unfinished::{Readers, unfinished_file};
use bytes::Bytes;
use cipherfn_client::{Accept, Client, Offer, Verdict};
use cipherfn_frame::plan::PublishedScore;
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::PublishedVersion;
use cipherfn_protocol::api::{ModelName, Route, STATEMENT};
use cipherfn_protocol::hash::{Hash, SpecsHash};
use cipherfn_protocol::specs::MAX_BYTES;
use cipherfn_protocol::statement::{PublicKey, SignedStatement, StatementError};
use cipherfn_training::descent::Training;
use cipherfn_training::{TrainingError, TrainingProgram};
use http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderValue, StatusCode};
use reqwest::Url;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::OffsetDateTime;

/// A model's client, and whose specs it has.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The client.
    pub client: Arc<Client>,
    /// Who has signed its specs; `None` where nobody has.
    pub developer: Option<PublicKey>,
    /// When, as the developer states.
    pub signed: Option<OffsetDateTime>,
    /// Why they are taken.
    pub verdict: Verdict,
}

/// A training program, of gradient descent or of any kind, and whose it is.
#[derive(Clone, Debug)]
pub struct FetchedProgram<T = Training> {
    /// The program.
    pub training: T,
    /// Who has signed it; `None` where nobody has.
    pub developer: Option<PublicKey>,
    /// When, as the developer states.
    pub signed: Option<OffsetDateTime>,
    /// Why it is taken.
    pub verdict: Verdict,
}

/// A published table in the clear, as far as it is public, and whose it is.
#[derive(Clone, Debug)]
pub struct FetchedTable {
    /// Its name, and the hash of its document.
    pub version: PublishedVersion,
    /// What is public of it.
    pub schema: Schema,
    /// Who has signed its document; `None` where nobody has.
    pub developer: Option<PublicKey>,
    /// Why it is taken.
    pub verdict: Verdict,
}

/// A published linear model as a score of plans, as far as it is public, and whose it is.
#[derive(Clone, Debug)]
pub struct FetchedScore {
    /// Its name, and the hash of its specs.
    pub version: PublishedVersion,
    /// What its specs say of the score.
    pub score: PublishedScore,
    /// Who has signed its specs; `None` where nobody has.
    pub developer: Option<PublicKey>,
    /// Why they are taken.
    pub verdict: Verdict,
}

/// A document that a service has checked in, and what was made of it.
struct Taken<T> {
    specs: SpecsHash,
    made: T,
    statement: Option<SignedStatement>,
    verdict: Verdict,
}

impl<T> Taken<T> {
    fn developer(&self) -> Option<PublicKey> {
        self.statement.as_ref().map(|signed| signed.key)
    }

    fn signed(&self) -> Option<OffsetDateTime> {
        let signed = self.statement.as_ref();
        signed.and_then(|signed| signed.statement.serial.time())
    }
}

impl Service {
    /// A training program of gradient descent, by the rules of [`Self::client`]: names of programs and models
    /// are the same.
    pub async fn program(
        &self,
        program: &ModelName,
        ring: &KeyRing,
        accept: &Accept,
    ) -> Result<FetchedProgram, ServiceError> {
        let parse = |bytes: &[u8]| TrainingProgram::from_json(bytes)?.descent();
        self.fetched_program(program, ring, accept, parse).await
    }

    /// A training program of any kind.
    pub async fn any_program(
        &self,
        program: &ModelName,
        ring: &KeyRing,
        accept: &Accept,
    ) -> Result<FetchedProgram<TrainingProgram>, ServiceError> {
        let parse = |bytes: &[u8]| TrainingProgram::from_json(bytes);
        self.fetched_program(program, ring, accept, parse).await
    }

    async fn fetched_program<T: Send + 'static>(
        &self,
        program: &ModelName,
        ring: &KeyRing,
        accept: &Accept,
        parse: impl FnOnce(&[u8]) -> Result<T, TrainingError> + Send + 'static,
    ) -> Result<FetchedProgram<T>, ServiceError> {
        let named = program.clone();
        let read = move |bytes: &Bytes| {
            parse(bytes).map_err(|source| ServiceError::Program {
                program: named,
                source: Box::new(source),
            })
        };
        let taken = self.taken((Route::Program, program), ring, accept, read);
        let taken = taken.await.map_err(|error| self.trains(error))?;
        Ok(FetchedProgram {
            developer: taken.developer(),
            signed: taken.signed(),
            verdict: taken.verdict,
            training: taken.made,
        })
    }

    /// A model's client, from its current specs, or from those that `accept` names, and why they are
    /// taken: by what `ring` remembers of the model at this service ([`Offer::judge`]). With [`super::ServiceOptions::specs_cache`] they
    /// are transferred only when they have changed; a cache that cannot be written or was
    /// damaged costs a transfer and no more.
    pub async fn client(
        &self,
        model: &ModelName,
        ring: &KeyRing,
        accept: &Accept,
    ) -> Result<Fetched, ServiceError> {
        let read = |bytes: &Bytes| Ok(Arc::new(Client::from_specs(bytes)?));
        let taken = self
            .taken((Route::Specs, model), ring, accept, read)
            .await
            .map_err(|error| error.about_model(self.url(), model))?;
        Ok(Fetched {
            developer: taken.developer(),
            signed: taken.signed(),
            verdict: taken.verdict,
            client: taken.made,
        })
    }

    /// What is public of a table in the clear, by the rules of [`Self::client`].
    pub async fn table(
        &self,
        name: &ModelName,
        ring: &KeyRing,
        accept: &Accept,
    ) -> Result<FetchedTable, ServiceError> {
        let of = name.clone();
        let read = move |bytes: &Bytes| {
            let not_one = |problem: String| ServiceError::NoTable {
                name: of.clone(),
                problem,
            };
            let schema = Schema::from_json(bytes).map_err(|error| not_one(error.to_string()))?;
            match schema.cells() {
                Some(_) if schema.name() == of.as_str() => Ok(schema),
                Some(_) => Err(not_one(format!("it is table {:?}", schema.name()))),
                None => Err(not_one("it is the schema of an encrypted frame".to_owned())),
            }
        };
        let taken = self.taken((Route::Specs, name), ring, accept, read).await;
        let taken = taken.map_err(|error| error.about_table(self.url(), name))?;
        Ok(FetchedTable {
            version: PublishedVersion {
                name: name.clone(),
                specs: taken.specs,
            },
            developer: taken.developer(),
            verdict: taken.verdict,
            schema: taken.made,
        })
    }

    /// The score of a linear model for plans over frames, by the rules of [`Self::client`].
    pub async fn score(
        &self,
        name: &ModelName,
        ring: &KeyRing,
        accept: &Accept,
    ) -> Result<FetchedScore, ServiceError> {
        let of = name.clone();
        let read = move |bytes: &Bytes| {
            let client = Client::from_specs(bytes)?;
            PublishedScore::new(of.as_str(), client.specs())
                .map_err(|source| ServiceError::NoScore { source })
        };
        let taken = self
            .taken((Route::Specs, name), ring, accept, read)
            .await
            .map_err(|error| error.about_model(self.url(), name))?;
        Ok(FetchedScore {
            version: PublishedVersion {
                name: name.clone(),
                specs: taken.specs,
            },
            developer: taken.developer(),
            verdict: taken.verdict,
            score: taken.made,
        })
    }

    /// What is published under a name, and taken by what `ring` remembers.
    async fn taken<T: Send + 'static>(
        &self,
        (route, model): (Route, &ModelName),
        ring: &KeyRing,
        accept: &Accept,
        read_document: impl FnOnce(&Bytes) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<Taken<T>, ServiceError> {
        let path = self.cache_path(model);
        let cached = match path.clone() {
            Some(path) => blocking(move || read(&path)).await?,
            None => None,
        };
        // The hash is that of the bytes as they are, so damaged ones match no live specs.
        let held = cached
            .as_ref()
            .map(|bytes| (Hash::of(bytes), bytes.clone()));
        let tag = held
            .as_ref()
            .and_then(|(hash, _)| HeaderValue::try_from(format!("\"{hash}\"")).ok());
        let prepare = |mut call: Call| {
            call.most = MAX_BYTES as usize;
            if let Accept::Specs(hash) = accept {
                call.path = format!("{}?specs={hash}", call.path);
            }
            match &tag {
                Some(tag) => call.header(IF_NONE_MATCH, tag.clone()),
                None => call,
            }
        };
        let (call, answer) = self.get(route, model.as_str(), prepare).await?;
        let named = named_hash(&answer);
        let statement = statement(&answer);
        let statement = statement.map_err(|error| self.answer_error(&call, error.to_string()))?;
        let bytes = match (answer.status, held) {
            (StatusCode::NOT_MODIFIED, Some((hash, bytes)))
                if named.is_none_or(|named| named == hash) =>
            {
                bytes
            }
            (StatusCode::OK, _) => {
                let expected = named.ok_or_else(|| {
                    self.answer_error(&call, "specs without an ETag that is their hash")
                })?;
                checked(model, expected, answer.body)?
            }
            (StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT, _) => {
                let target = answer.header(LOCATION).unwrap_or_default();
                let stored = self.follow(&call, target).await?;
                let expected = named.or_else(|| named_hash(&stored)).ok_or_else(|| {
                    self.answer_error(
                        &call,
                        "a redirect to specs without an ETag that is their hash",
                    )
                })?;
                checked(model, expected, stored.body)?
            }
            (status, _) => return Err(self.answer_error(&call, format!("status {status}"))),
        };
        let (ring, service, accept) = (ring.clone(), self.url().to_owned(), accept.clone());
        let model = model.clone();
        let taken = blocking(move || {
            let offer = Offer {
                model,
                specs: Hash::of(&bytes),
                statement,
            };
            // Before anything is made of them; remembered only where they can be used.
            ring.check(&service, &offer, &accept)?;
            let made = read_document(&bytes)?;
            let verdict = ring.judge(&service, &offer, &accept)?;
            if let Some(path) = path
                && cached.as_ref() != Some(&bytes)
            {
                let directory = path.parent().unwrap_or(Path::new("."));
                let _ = fs::create_dir_all(directory).and_then(|()| write(&path, &bytes));
            }
            Ok::<_, ServiceError>(Taken {
                specs: offer.specs,
                made,
                statement: offer.statement,
                verdict,
            })
        });
        taken.await?
    }

    /// Fetches from where the service points to: a presigned URL, which needs no identity and gets
    /// none.
    async fn follow(&self, call: &Call, target: &str) -> Result<Answer, ServiceError> {
        let base = Url::parse(&self.0.endpoint.url(&call.path));
        let target = base
            .and_then(|base| base.join(target))
            .ok()
            .filter(|url| !target.is_empty() && self.0.endpoint.may_point_to(url))
            .ok_or_else(|| {
                self.answer_error(
                    call,
                    "a redirect to an address that is missing, not https, or on this machine",
                )
            })?;
        let route = || format!("GET {}", endpoint::redacted(&target));
        let fetched = retry::retry(&self.0.options, route, || async {
            let answer = transport::exchange(self.0.http.get(target.clone()), call.most).await?;
            if answer.status == StatusCode::OK {
                return Ok(answer);
            }
            Err(retry::Failure {
                retryable: retry::is_passing(answer.status.as_u16()),
                wait: retry::wait(&answer.headers),
                cause: Cause::Answer(Box::new(answer)),
            })
        });
        match fetched.await {
            Ok((answer, _)) => Ok(answer),
            Err((Cause::Ours(error), _)) => Err(error),
            Err((Cause::Transport(cause), attempts)) => Err(ServiceError::Unreachable {
                route: route(),
                attempts,
                cause,
            }),
            Err((Cause::Answer(answer), attempts)) => Err(ServiceError::Status {
                route: route(),
                attempts,
                status: answer.status.as_u16(),
                text: answer.text(),
            }),
        }
    }

    /// Where the specs of a model of this service lie.
    fn cache_path(&self, model: &ModelName) -> Option<PathBuf> {
        let directory = self.0.options.specs_cache.as_ref()?;
        let service = Hash::of(self.url().as_bytes()).short();
        Some(directory.join(format!("{service}-{model}.json")))
    }
}

/// The hash in an `ETag`, whether or not something on the way made it weak.
fn named_hash(answer: &Answer) -> Option<SpecsHash> {
    let tag = answer.header(ETAG)?;
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn checked(model: &ModelName, expected: SpecsHash, bytes: Bytes) -> Result<Bytes, ServiceError> {
    let found = Hash::of(&bytes);
    if found == expected {
        return Ok(bytes);
    }
    Err(ServiceError::SpecsHash {
        model: model.clone(),
        expected,
        found,
    })
}

/// What is cached, if it can be read.
fn read(path: &Path) -> Option<Bytes> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .ok()?
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes.into())
}

/// The developer's statement beside the specs, if there is one.
fn statement(answer: &Answer) -> Result<Option<SignedStatement>, StatementError> {
    let value = answer.headers.get(STATEMENT);
    value
        .map(|value| SignedStatement::from_json(value.as_bytes()))
        .transpose()
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = unfinished_file(directory, Readers::Owner)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
