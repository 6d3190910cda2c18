//! Which service a command of the client talks to, and as whom.

use crate::terminal;
use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client_http::{
    Authentication, RetryListener, Retrying, Service, ServiceOptions, Token,
};
use cipherfn_service::bucket;
use clap::ValueEnum;
use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Holds a bearer token.
const TOKEN: &str = "CIPHERFN_TOKEN";

/// How requests prove who is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    /// A token if there is one; otherwise AWS signatures, or nothing on this machine
    Auto,
    /// A bearer token
    Token,
    /// AWS Signature Version 4 with the credentials that every AWS tool uses
    Aws,
    /// Nothing
    None,
}

/// The caller's identity and the shape of the traffic.
#[allow(clippy::doc_markdown, reason = "the text is for the terminal")]
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Connection {
    /// How requests prove who is calling
    #[arg(long, value_enum, default_value = "auto")]
    auth: Auth,
    /// A file that holds the bearer token [default: the variable CIPHERFN_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// AWS region of the API, where its address does not tell it
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Requests under way at a time
    #[arg(long, value_name = "N", default_value = "4")]
    in_flight: NonZeroUsize,
    /// Most rows of one request [default: as many as fit]
    #[arg(long, value_name = "N")]
    rows_a_request: Option<NonZeroUsize>,
}

impl Connection {
    /// Options without an identity.
    pub(crate) fn options(&self) -> ServiceOptions {
        ServiceOptions {
            in_flight: self.in_flight,
            rows_a_request: self.rows_a_request,
            specs_cache: cache(),
            ..ServiceOptions::default()
        }
    }

    /// The service at `url`.
    pub(crate) async fn open(&self, url: &str) -> Result<Service> {
        let options = ServiceOptions {
            authentication: self.authentication(url).await?,
            on_retry: Some(RetryListener::new(tell)),
            ..self.options()
        };
        Ok(Service::new(url, options)?)
    }

    async fn authentication(&self, url: &str) -> Result<Authentication> {
        let token = match (&self.token_file, env::var(TOKEN)) {
            _ if matches!(self.auth, Auth::Aws | Auth::None) => None,
            (Some(path), _) => Some(
                fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
            ),
            (None, Ok(token)) if !token.is_empty() => Some(token),
            _ => None,
        };
        let local = ["http://127.", "http://localhost", "http://[::1]"]
            .iter()
            .any(|start| url.starts_with(start));
        match (self.auth, token) {
            (Auth::None, _) => Ok(Authentication::None),
            (Auth::Auto, None) if local => Ok(Authentication::None),
            (_, Some(token)) => Ok(Authentication::Bearer(
                Token::new(token).context("the bearer token is malformed")?,
            )),
            (Auth::Token, None) => {
                bail_usage!("there is no bearer token; give --token-file, or set {TOKEN}")
            }
            (Auth::Auto | Auth::Aws, None) => {
                let config = bucket::sdk_config().await;
                let credentials = config
                    .credentials_provider()
                    .context("there are no AWS credentials to sign with")?;
                let region = self.region.clone().or_else(|| {
                    // An API's own address tells its region; the configured one is a guess for
                    // others.
                    let tells = url.contains(".execute-api.");
                    config.region().filter(|_| !tells).map(ToString::to_string)
                });
                Ok(Authentication::SigV4 {
                    credentials,
                    region,
                })
            }
        }
    }
}

/// Says that a request is made again: otherwise a slow command looks like one that hangs.
fn tell(retrying: &Retrying) {
    terminal::notice(&format!(
        "{}: {}; attempt {} of {} in {}",
        retrying.route,
        retrying.cause,
        retrying.attempts + 1,
        retrying.most,
        terminal::seconds(retrying.wait.as_secs_f64())
    ));
}

/// Where specs are kept between calls, if this user has a place for that.
fn cache() -> Option<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let directory = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    directory.map(|directory| directory.join("cipherfn").join("specs"))
}
