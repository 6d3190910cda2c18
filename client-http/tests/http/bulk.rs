//! Tables as jobs, where S3 fails in every way that may pass.

use crate::echo::answer;
use crate::server::{Answer, Request, Server, json, response};
use crate::{CLIENT, KEYS, model, options, predictions, table, values};
use cipherfn_client_http::{Bulk, Service, ServiceError, ServiceOptions};
use cipherfn_protocol::api::job::{
    ChunkFile, ChunkState, JobDeclaration, JobId, JobStatus, Transfer, UploadDeclaration,
    UploadFolder, Uploads,
};
use cipherfn_protocol::hash::Sha256;
use http::Method;
use sha2::Digest;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;

const IN_FLIGHT: usize = 3;
const CHUNKS: usize = 8;
const ROWS_A_CHUNK: usize = 10;

/// A service that answers jobs at once, and its S3.
#[derive(Default)]
struct Jobs {
    /// Numbers of addresses by the chunk that they are for, which is the order of the declarations.
    addresses: Vec<Sha256>,
    chunks: HashMap<Sha256, Vec<u8>>,
    orders: Vec<JobDeclaration>,
    /// Requests to S3 under way, and the most at a time.
    under_way: usize,
    most: usize,
    /// Addresses of the chunk that S3 is unwilling to take, one a request, with what became of it.
    unwilling: Vec<(usize, &'static str)>,
}

fn file(bytes: &[u8]) -> ChunkFile {
    ChunkFile {
        bytes: bytes.len() as u64,
        sha256: Sha256::from_bytes(sha2::Sha256::digest(bytes).into()),
    }
}

fn transfer(request: &Request, file: ChunkFile, (method, path): (&str, String)) -> Transfer {
    let host = request.headers()["host"].to_str().unwrap();
    Transfer {
        file,
        method: method.to_owned(),
        url: format!("http://{host}{path}"),
        headers: BTreeMap::new(),
        expires: OffsetDateTime::UNIX_EPOCH,
    }
}

fn refused(status: u16, code: &str) -> Answer {
    let document = format!("<Error><Code>{code}</Code></Error>");
    response(status, "application/xml", document).into()
}

impl Jobs {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.uri().path();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method(), parts.as_slice()) {
            (&Method::POST, ["v2", "uploads"]) => {
                let asked: UploadDeclaration = serde_json::from_slice(request.body()).unwrap();
                let [chunk] = asked.chunks[..] else {
                    panic!("{asked:?}");
                };
                let path = format!("/uploads/{}", self.addresses.len());
                self.addresses.push(chunk.sha256);
                json(&Uploads {
                    upload: asked.upload.unwrap_or(UploadFolder::from_bytes([5; 16])),
                    chunks: vec![transfer(request, chunk, ("PUT", path))],
                })
                .into()
            }
            (&Method::PUT, ["uploads", address]) => self.put(address.parse().unwrap(), request),
            (&Method::POST, ["v2", "jobs"]) => {
                let declared: JobDeclaration = serde_json::from_slice(request.body()).unwrap();
                self.orders.push(declared);
                json(&self.status(request, self.orders.len() - 1, 0)).into()
            }
            (&Method::GET, ["v2", "jobs", id]) => {
                let id: JobId = id.parse().unwrap();
                let job = (0..self.orders.len())
                    .find(|job| job_id(*job) == id)
                    .unwrap();
                let from = request.uri().query().unwrap().strip_prefix("from=");
                json(&self.status(request, job, from.unwrap().parse().unwrap())).into()
            }
            (&Method::DELETE, ["v2", "jobs", _]) => response(204, "text/plain", "").into(),
            (&Method::GET, ["results", job, chunk]) => {
                let (job, chunk): (usize, usize) = (job.parse().unwrap(), chunk.parse().unwrap());
                let query = &self.chunks[&self.orders[job].chunks[chunk].sha256];
                response(200, "application/octet-stream", answer(query)).into()
            }
            other => panic!("{other:?}"),
        }
    }

    /// The second chunk is refused for a while, then not answered, then its address has expired.
    fn put(&mut self, address: usize, request: &Request) -> Answer {
        let chunk = self.addresses[address];
        if self.addresses.get(1) == Some(&chunk) {
            let (what, answer) = match self.unwilling.len() {
                0 => ("busy", refused(503, "SlowDown")),
                1 => ("reset", Answer::Reset),
                2 => ("expired", refused(403, "AccessDenied")),
                _ => ("taken", response(200, "text/plain", "").into()),
            };
            self.unwilling.push((address, what));
            if what != "taken" {
                return answer;
            }
        }
        assert_eq!(file(request.body()).sha256, chunk);
        let before = self.chunks.insert(chunk, request.body().to_vec());
        assert!(before.is_none(), "sent twice");
        response(200, "text/plain", "").into()
    }

    fn status(&self, request: &Request, job: usize, from: usize) -> JobStatus {
        let declared = &self.orders[job];
        let done = |number: usize| {
            let query = &self.chunks[&declared.chunks[number].sha256];
            let path = format!("/results/{job}/{number}");
            ChunkState::Done {
                attempts: 1,
                milliseconds: 1,
                result: transfer(request, file(&answer(query)), ("GET", path)),
            }
        };
        let chunks = declared.chunks.len();
        JobStatus {
            job: job_id(job),
            kind: declared.kind,
            model: Some(declared.model.clone()),
            specs: Some(declared.specs),
            key: declared.key,
            created: OffsetDateTime::UNIX_EPOCH,
            expires: OffsetDateTime::UNIX_EPOCH,
            chunks,
            done: chunks,
            from,
            states: (from..chunks).map(done).collect(),
        }
    }
}

fn job_id(job: usize) -> JobId {
    JobId::from_bytes([u8::try_from(job).unwrap(); 16])
}

/// A server of it; requests to S3 take a moment, so that several are under way.
async fn serve(jobs: &Arc<Mutex<Jobs>>) -> Server {
    let jobs = Arc::clone(jobs);
    Server::start_waiting(move |request| {
        let jobs = Arc::clone(&jobs);
        let (answer, is_upload) = {
            let mut jobs = jobs.lock().unwrap();
            let is_upload = request.method() == Method::PUT;
            jobs.under_way += usize::from(is_upload);
            jobs.most = jobs.most.max(jobs.under_way);
            (jobs.answer(request), is_upload)
        };
        Box::pin(async move {
            if is_upload {
                tokio::time::sleep(Duration::from_millis(20)).await;
                jobs.lock().unwrap().under_way -= 1;
            }
            answer
        })
    })
    .await
}

/// A chunk whose upload fails goes again, under a new address where the old one has expired; the others
/// go at the same time, as many as may, and each once.
#[tokio::test]
async fn uploads_that_fail_are_made_again_beside_the_others() {
    let jobs = Arc::new(Mutex::new(Jobs::default()));
    let server = serve(&jobs).await;
    let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
    let options = ServiceOptions {
        in_flight,
        ..options()
    };
    let service = Service::new(&server.url, options).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let bulk = Bulk {
        model: model(),
        manifest: directory.path().join("manifest"),
        table: "table".to_owned(),
        rows_a_chunk: NonZeroUsize::new(ROWS_A_CHUNK),
        parts: None,
        cost: None,
    };
    let count = CHUNKS * ROWS_A_CHUNK;
    let mut answers = Vec::new();
    let rows = |_| Ok::<_, ServiceError>(table(count).into_iter().map(Ok));
    let take = |more| {
        answers.extend(more);
        Ok(())
    };
    let done = service.predict_bulk(&CLIENT, &KEYS.1, &bulk, rows, |_| (), take);
    let done = done.await.unwrap();
    assert_eq!(values(&answers), predictions(count));
    assert_eq!(done.report.chunks, CHUNKS);
    done.forget().await.unwrap();

    let jobs = jobs.lock().unwrap();
    let [
        (first, "busy"),
        (second, "reset"),
        (third, "expired"),
        (last, "taken"),
    ] = jobs.unwilling[..]
    else {
        panic!("{:?}", jobs.unwilling);
    };
    assert_eq!(
        (second, third),
        (first, first),
        "the address is good until it is refused"
    );
    assert_ne!(last, first);
    assert_eq!(jobs.addresses.len(), CHUNKS + 1, "one chunk has two");
    assert!(
        (2..=IN_FLIGHT).contains(&jobs.most),
        "{} at a time",
        jobs.most
    );
}
