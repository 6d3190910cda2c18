//! `cipherfn dev`.

use crate::bucket::{self, DEV_BUCKET, DevFile};
use crate::emulation::{self, Publication, Setup};
use crate::shared::block_on;
use crate::signing::SigningArguments;
use crate::terminal::{self, Terminal};
use anyhow::{Context, Result, bail};
use cipherfn_client_http::{Readers, unfinished_file};
use cipherfn_emulator::{Authorizer, Pages, S3Server, Tenants};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Run the whole service on this machine, without AWS: HTTP API, functions and S3
///
/// Real processes with real cold starts, AWS's payload and time limits, S3 on disk; everything
/// listens on this machine only. Runs until stopped with Ctrl-C; published models, registered keys
/// and work that is not done stay in the data directory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cipherfn dev --port 9000 --publish fraud=fraud.cfn\n  \
                        cipherfn predict --service http://127.0.0.1:9000 --model fraud --keys keys/ --input rows.csv -o predictions.csv"
)]
pub(crate) struct Dev {
    /// Where models and keys are kept
    #[arg(long, value_name = "DIRECTORY", default_value = bucket::DATA)]
    data: PathBuf,
    /// Port of the HTTP API; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    port: u16,
    /// Port of the embedded S3 [default: a free one]
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    s3_port: u16,
    /// Publish a bundle at start; may be given several times
    #[arg(long, value_name = "NAME=BUNDLE")]
    publish: Vec<Publication>,
    #[command(flatten)]
    signing: SigningArguments,
    /// Callers with their tokens or access keys, as JSON [default: everybody is the same tenant]
    #[arg(long, value_name = "FILE")]
    tenants: Option<PathBuf>,
    /// Run built functions, DIRECTORY/NAME/bootstrap, instead of this program's own
    #[arg(long, value_name = "DIRECTORY")]
    functions: Option<PathBuf>,
    /// Also serve the page in this folder, which may call; made by bindings/web/build
    #[arg(long, value_name = "FOLDER")]
    web: Option<PathBuf>,
    /// Port of the page [default: a free one]
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true,
        requires = "web"
    )]
    web_port: u16,
    /// Let the scripts of pages of this origin call (CORS); may be given several times
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Only the embedded S3, for functions that run elsewhere
    #[arg(long, conflicts_with_all = ["functions", "tenants", "web", "allow_origin"])]
    s3_only: bool,
    /// Also write the address to this file, once it is ready
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// Show what the functions log
    #[arg(long, short)]
    verbose: bool,
}

impl Dev {
    pub(crate) fn run(self, terminal: Terminal) -> Result<()> {
        block_on(self.work(terminal))
    }

    async fn work(&self, terminal: Terminal) -> Result<()> {
        fs::create_dir_all(&self.data)
            .with_context(|| format!("cannot make {}", self.data.display()))?;
        if self.s3_only {
            let interval = Duration::from_mins(1);
            let s3 = S3Server::start(
                &self.data,
                self.s3_port,
                DEV_BUCKET,
                emulation::lifecycle(),
                interval,
            )
            .await?;
            let file = DevFile::new(None, s3.endpoint(), s3.credentials());
            self.ready(&file, (s3.endpoint(), None), terminal).await?;
            s3.stop().await;
            return Ok(());
        }
        let setup = Setup {
            data: &self.data,
            ports: (self.port, self.s3_port),
            pages: self.pages()?,
            authorizer: self.authorizer()?,
            functions: self.functions.as_deref(),
            log: if self.verbose {
                Arc::new(|function: &str, line: &str| {
                    terminal::log(function, line);
                })
            } else {
                Arc::new(|_: &str, _: &str| ())
            },
        };
        let emulator = setup.start().await?;
        let file = emulation::dev_file(&emulator);
        let page = emulator.page_url();
        let served = self.ready(&file, (emulator.url(), page), terminal).await;
        emulator.stop().await;
        served
    }

    fn authorizer(&self) -> Result<Authorizer> {
        let Some(path) = &self.tenants else {
            return Ok(Authorizer::Single("local".to_owned()));
        };
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let tenants = Tenants::from_json(&bytes).with_context(|| path.display().to_string())?;
        Ok(Authorizer::Tenants(tenants))
    }

    fn pages(&self) -> Result<Pages> {
        if let Some(folder) = &self.web
            && !folder.join("index.html").is_file()
        {
            bail!(
                "{} holds no page (index.html); build one with `bash bindings/web/build`, which makes target/web/page",
                folder.display()
            );
        }
        Ok(Pages {
            origins: self.allow_origin.clone(),
            folder: self.web.clone(),
            port: self.web_port,
        })
    }

    /// Publishes, says where everything is, and waits to be stopped.
    async fn ready(
        &self,
        file: &DevFile,
        (url, page): (&str, Option<String>),
        terminal: Terminal,
    ) -> Result<()> {
        let signing = self.signing.file(Some(&self.data))?;
        emulation::publish_files(&file.registry(), &self.publish, &signing).await?;
        let dev_file = file.write(&self.data)?;
        let value = serde_json::json!({ "url": file.url, "s3_endpoint": file.s3_endpoint, "bucket": file.bucket, "data": self.data, "page": page });
        terminal.report(&value, || {
            let mut facts = Vec::new();
            if let Some(url) = &file.url {
                facts.push(("service", url.clone()));
            }
            if let Some(page) = &page {
                facts.push(("page", page.clone()));
            }
            facts.push((
                "S3",
                format!("{}, bucket {}", file.s3_endpoint, file.bucket),
            ));
            facts.push(("data", self.data.display().to_string()));
            facts.push((
                "publish",
                format!(
                    "cipherfn publish BUNDLE --name NAME --dev {}",
                    self.data.display()
                ),
            ));
            facts.push(("stop", "Ctrl-C".to_owned()));
            terminal::facts(facts)
        })?;
        if let Some(path) = &self.url_file {
            // Whoever waits for the file finds all of it.
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let write = || {
                let directory = directory.unwrap_or(std::path::Path::new("."));
                let mut file = unfinished_file(directory, Readers::Owner)?;
                writeln!(file, "{url}")?;
                file.persist(path).map_err(|error| error.error)
            };
            write().with_context(|| format!("cannot write {}", path.display()))?;
        }
        stopped().await?;
        let _ = fs::remove_file(dev_file);
        if let Some(path) = &self.url_file {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }
}

/// Until Ctrl-C, or a request to end.
async fn stopped() -> Result<()> {
    #[cfg(unix)]
    {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => stopped?,
            _ = terminate.recv() => (),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}
