//! A page's files from a folder, on an origin of their own, with what the page may do said in headers.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

/// Where a page learns the service's address.
const SERVICE: &str = "/cipherfn.json";

/// Answers with the files of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Site(Arc<SiteState>);

#[derive(Debug)]
struct SiteState {
    folder: PathBuf,
    service: String,
    policy: HeaderValue,
}

impl Site {
    /// The files of `folder`, whose scripts may call the service and its S3 and nothing else.
    pub(crate) fn new(folder: &Path, service: &str, s3: &str) -> io::Result<Self> {
        let policy = format!(
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self' {service} {s3}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Ok(Self(Arc::new(SiteState {
            folder: folder.canonicalize()?,
            service: service.to_owned(),
            policy: HeaderValue::try_from(policy).map_err(io::Error::other)?,
        })))
    }
}

impl hyper::service::Service<Request<Incoming>> for Site {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let mut response = if [Method::GET, Method::HEAD].contains(request.method()) {
                state.answer(request.uri().path()).await
            } else {
                let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD");
                let methods = HeaderValue::from_static("GET, HEAD");
                refused.headers_mut().insert(ALLOW, methods);
                refused
            };
            let fixed = [
                (CONTENT_SECURITY_POLICY, state.policy.clone()),
                (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
                (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ];
            response.headers_mut().extend::<[(HeaderName, _); 4]>(fixed);
            Ok(response)
        })
    }
}

impl SiteState {
    async fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        if path == SERVICE {
            let document = serde_json::json!({ "service": self.service }).to_string();
            return typed("application/json", document.into());
        }
        let found = match self.file(path) {
            Some(file) => tokio::fs::read(&file).await.ok().zip(kind(&file)),
            None => None,
        };
        match found {
            Some((bytes, kind)) => typed(kind, bytes.into()),
            None => plain(StatusCode::NOT_FOUND, "no such file"),
        }
    }

    /// The file that a path means, if it lies in the folder.
    fn file(&self, path: &str) -> Option<PathBuf> {
        let path = path.strip_prefix('/')?;
        let path = if path.is_empty() { "index.html" } else { path };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let named = |segment: &str| !segment.is_empty() && !segment.starts_with('.');
        let valid = path
            .split('/')
            .all(|segment| named(segment) && segment.bytes().all(plain));
        let file = valid.then(|| self.folder.join(path).canonicalize().ok())??;
        file.starts_with(&self.folder).then_some(file)
    }
}

/// The content type of a file that a page is made of.
fn kind(file: &Path) -> Option<&'static str> {
    Some(match file.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "wasm" => "application/wasm",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

fn typed(kind: &'static str, bytes: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = typed(
        "text/plain; charset=utf-8",
        Bytes::from_static(text.as_bytes()),
    );
    *response.status_mut() = status;
    response
}
