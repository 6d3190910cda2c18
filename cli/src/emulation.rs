//! The whole service on this machine: the emulator with cipherfn's functions and routes.

use crate::bucket::{DEV_BUCKET, DevFile};
use crate::files::InputSource;
use crate::server;
use crate::signing::{Developer, KeyFile};
use crate::terminal;
use anyhow::{Context, Result, bail};
use cipherfn_circuit::Bundle;
use cipherfn_emulator::{
    Authorizer, Config, Emulator, Function, Lifecycle, LogSink, Map, Pages, Route,
};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::{self, ModelName, ModelSummary, PublishedKind};
use cipherfn_report::Demands;
use cipherfn_service::registry::{Model, Published};
use cipherfn_service::{Registry, config};
use cipherfn_training::{SummedSchema, TrainingProgram};
use std::env;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use time::OffsetDateTime;

/// Versions of a model that stay live unless said otherwise: the current one and the one before.
pub(crate) const KEEP: NonZeroUsize = NonZeroUsize::new(2).unwrap();
/// A day: how long unfinished uploads stay.
const QUARANTINE: Duration = Duration::from_hours(24);
/// A week and a day: how long what belongs to jobs stays at most.
const JOBS: Duration = Duration::from_hours(8 * 24);
/// Chunks of a large job that are worked on at a time, if there are as many environments.
const MAP_CONCURRENCY: usize = 100;
/// How long a worker may take for a chunk: AWS Lambda's limit.
const WORKER_TIMEOUT: Duration = Duration::from_mins(15);
/// Another Step Functions than the embedded one, as every AWS SDK reads it; with `CIPHERFN_MAP`.
const STEP_FUNCTIONS: &str = "AWS_ENDPOINT_URL_SFN";
/// Settings that the functions take over from this process.
const SETTINGS: [&str; 10] = [
    config::KEY_TTL_DAYS,
    config::KEY_QUOTA,
    config::UPLOAD_TTL_SECONDS,
    config::JOB_TTL_HOURS,
    config::JOB_QUOTA,
    config::MAP_ABOVE,
    config::CHECKPOINT_SECONDS,
    STEP_FUNCTIONS,
    config::MIN_PART_BYTES,
    config::LOG,
];

/// What to start.
pub(crate) struct Setup<'a> {
    /// Where the embedded S3 keeps its objects.
    pub(crate) data: &'a Path,
    /// Ports of the HTTP API and of S3; 0 takes free ones.
    pub(crate) ports: (u16, u16),
    /// Pages that may call, and one that is served.
    pub(crate) pages: Pages,
    /// Who may call.
    pub(crate) authorizer: Authorizer,
    /// Built functions, `NAME/bootstrap` each, instead of this program's own.
    pub(crate) functions: Option<&'a Path>,
    /// Where the functions' output goes.
    pub(crate) log: LogSink,
}

impl Setup<'_> {
    /// Starts it.
    pub(crate) async fn start(self) -> Result<Emulator> {
        let functions = api::Function::ALL.map(|function| self.function(function));
        let routes = api::Route::everywhere().map(|(version, route)| {
            let method = http::Method::from_bytes(route.method().as_bytes())?;
            let function = route.function().name();
            Ok::<_, http::method::InvalidMethod>(Route::new(
                method,
                route.pattern(version),
                function,
            ))
        });
        let config = Config {
            port: self.ports.0,
            s3_port: self.ports.1,
            pages: self.pages,
            authorizer: self.authorizer,
            functions: functions.into_iter().collect::<Result<_>>()?,
            maps: vec![map()],
            routes: routes.collect::<Result<_, _>>()?,
            lifecycle: lifecycle(),
            log: self.log,
            ..Config::new(self.data, DEV_BUCKET)
        };
        Ok(Emulator::start(config).await?)
    }

    fn function(&self, function: api::Function) -> Result<Function> {
        let name = function.name();
        let mut started = if let Some(directory) = self.functions {
            let program = directory.join(name).join("bootstrap");
            if !program.is_file() {
                bail!(
                    "{} is missing; build it with `cargo lambda build --release`",
                    program.display()
                );
            }
            let program = program
                .canonicalize()
                .with_context(|| format!("cannot find {}", program.display()))?;
            Function::new(name, program)
        } else {
            let mut own = Function::new(
                name,
                env::current_exe().context("cannot find the cipherfn command")?,
            );
            own.arguments = vec!["function".into(), name.into()];
            own
        };
        started.concurrency =
            std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        started.environment = SETTINGS
            .iter()
            .filter_map(|setting| Some(((*setting).to_owned(), env::var(setting).ok()?)))
            .collect();
        if function == api::Function::Worker {
            started.timeout = WORKER_TIMEOUT;
        }
        let worker = api::Function::Worker.name();
        let machine = env::var(config::MAP).unwrap_or_else(|_| map().arn());
        for (name, value) in [
            (config::BUCKET, DEV_BUCKET),
            (config::WORKER, worker),
            (config::MAP, &machine),
        ] {
            started
                .environment
                .push((name.to_owned(), value.to_owned()));
        }
        Ok(started)
    }
}

/// The state machine for jobs of many chunks.
fn map() -> Map {
    let worker = api::Function::Worker.name();
    Map {
        name: worker.to_owned(),
        function: worker.to_owned(),
        items: "chunks".to_owned(),
        item: "chunk".to_owned(),
        concurrency: MAP_CONCURRENCY,
    }
}

/// The deployed bucket's rules for what was never completed, and for jobs. Keys that ran out go when
/// their tenant is at its quota.
pub(crate) fn lifecycle() -> Vec<Lifecycle> {
    let rule = |prefix: &str, age| Lifecycle {
        prefix: prefix.to_owned(),
        expire_after: Some(age),
        abort_multipart_after: Some(QUARANTINE),
    };
    let jobs = ["uploads/", "results/", "jobs/", "sums/"].map(|prefix| rule(prefix, JOBS));
    let quarantine = rule("quarantine/", QUARANTINE);
    std::iter::once(quarantine).chain(jobs).collect()
}

/// Where an emulator is.
pub(crate) fn dev_file(emulator: &Emulator) -> DevFile {
    DevFile {
        lambda_endpoint: Some(emulator.lambda_endpoint()),
        ..DevFile::new(
            Some(emulator.url()),
            emulator.s3_endpoint(),
            emulator.credentials(),
        )
    }
}

/// A bundle or a training program to publish at start: `NAME=FILE`.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) name: ModelName,
    pub(crate) file: PathBuf,
}

impl std::str::FromStr for Publication {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once('=').ok_or("give NAME=FILE")?;
        Ok(Self {
            name: name.parse().map_err(|error| format!("{error}"))?,
            file: file.into(),
        })
    }
}

/// What is published of a bundle that was read and checked. Says what its clients need.
pub(crate) fn of_bundle(name: &ModelName, bundle: &Bundle) -> Result<Published> {
    let demands = Demands::of(bundle).with_context(|| format!("model {name}"))?;
    for need in demands.needs() {
        terminal::notice(&format!("model {name}: {need}"));
    }
    Ok(Published {
        hash: bundle.specs_hash(),
        bundle: Some(cipherfn_engine::bundle::write(bundle)?.into()),
        specs: bundle.specs.clone().into(),
        specs_v1: bundle.specs_v1.clone().map(Into::into),
        report: Some(bundle.report.clone().into()),
        kind: PublishedKind::Model,
    })
}

/// What is published of a file: a bundle, or a training program, which is JSON.
pub(crate) fn read_published(name: &ModelName, source: &InputSource) -> Result<Published> {
    let bytes = source.read_all(server::MAX_BUNDLE)?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return of_bundle(name, &server::checked_bundle(&bytes, source)?);
    }
    let training = TrainingProgram::from_json(&bytes).with_context(|| source.name())?;
    if let TrainingProgram::Frame(schema) = &training {
        check_summed(schema).with_context(|| source.name())?;
    }
    Ok(Published {
        hash: training.hash(),
        bundle: None,
        specs: training.canonical()?.into(),
        specs_v1: None,
        report: None,
        kind: PublishedKind::Program,
    })
}

/// That a program of sums by the keys of a frame is such a schema, in the bytes that files of frames have.
fn check_summed(schema: &SummedSchema) -> Result<()> {
    let read = Schema::from_json(schema.json())?.summed(1)?;
    if read.to_json()? != schema.json() {
        bail!("it is not as compile-training writes it; make it by that");
    }
    Ok(())
}

/// Publishes a version, with its developer's statement.
pub(crate) async fn publish(
    registry: &Registry,
    name: &ModelName,
    version: &Published,
    developer: &Developer,
    keep: NonZeroUsize,
) -> Result<ModelSummary> {
    let now = OffsetDateTime::now_utc();
    let sign = |known: Option<&Model>, specs| Some(developer.sign(name, known, specs));
    let published = registry.publish(name, version, &sign, keep, now).await;
    let model = published
        .with_context(|| format!("cannot publish to bucket {}", registry.bucket().name()))?;
    Ok(model.summary())
}

/// Publishes files of bundles and training programs.
pub(crate) async fn publish_files(
    registry: &Registry,
    publications: &[Publication],
    signing: &KeyFile,
) -> Result<()> {
    if publications.is_empty() {
        return Ok(());
    }
    let developer = signing.developer()?;
    developer.introduce();
    for Publication { name, file } in publications {
        let version = read_published(name, &InputSource::File(file.clone()))?;
        publish(registry, name, &version, &developer, KEEP).await?;
    }
    Ok(())
}
