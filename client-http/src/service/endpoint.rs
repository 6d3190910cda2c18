//! The address of a service.

use super::error::ServiceError;
use cipherfn_protocol::api::Function;
use reqwest::Url;
use std::net::IpAddr;

/// Stands for the name of the function that answers, where each has an address of its own.
const FUNCTION: &str = "{function}";

/// A checked base address: `https`, or `http` on this machine; perhaps with a path that all routes
/// follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without a slash at the end.
    base: String,
    host: String,
    loopback: bool,
}

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self, ServiceError> {
        let wrong = |reason| ServiceError::Url {
            // What may hold a password is not repeated.
            url: if text.contains(['@', '?']) {
                "the service's address".to_owned()
            } else {
                text.to_owned()
            },
            reason,
        };
        let url = Url::parse(text)
            .map_err(|_| wrong("is not an address like https://HOST or https://HOST/STAGE"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "has a user name or password in it; give a token or AWS credentials instead",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(
                "has a query or fragment; leave out everything from ? or # on",
            ));
        }
        if !is_protected(&url) {
            return Err(wrong(
                "is not https; http is taken for this machine only (localhost, 127.0.0.1, [::1]), because others could read along",
            ));
        }
        Ok(Self {
            base: url
                .as_str()
                .trim_end_matches('/')
                .replace("%7Bfunction%7D", FUNCTION),
            host: url.host_str().unwrap_or_default().to_owned(),
            loopback: is_loopback(&url),
        })
    }

    /// Address of a route, which starts with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        let function = match path {
            _ if path.split('/').nth(2) == Some("keys") => Function::RegisterKey,
            _ if path.ends_with("/predict") => Function::Infer,
            _ => Function::Specs,
        };
        format!("{}{path}", self.base.replace(FUNCTION, function.name()))
    }

    /// The address as given, for people and for caches.
    pub(crate) fn as_str(&self) -> &str {
        &self.base
    }

    pub(crate) const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether an address that the service names may be sent to: nobody on the way can read along,
    /// and a service elsewhere cannot point to what runs on this machine.
    pub(crate) fn may_point_to(&self, url: &Url) -> bool {
        is_protected(url) && (self.loopback || !is_loopback(url))
    }

    /// The region in `ID.execute-api.REGION.amazonaws.com`.
    pub(crate) fn region(&self) -> Option<&str> {
        let mut labels = self.host.split('.').skip(1);
        match (labels.next(), labels.next(), labels.next()) {
            (Some("execute-api"), Some(region), Some("amazonaws")) => Some(region),
            _ => None,
        }
    }
}

/// Whether nobody on the way can read along: TLS, or this machine.
fn is_protected(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && is_loopback(url)
}

/// An address without the query, which makes a presigned one a secret.
pub(crate) fn redacted(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn routes_follow_the_path() {
        for (text, url) in [
            ("https://a.example", "https://a.example/v1/keys"),
            ("https://a.example/prod/", "https://a.example/prod/v1/keys"),
            (
                "http://127.0.0.1:9000/lambda-url/specs",
                "http://127.0.0.1:9000/lambda-url/specs/v1/keys",
            ),
            ("http://[::1]:80", "http://[::1]/v1/keys"),
            ("http://localhost:1", "http://localhost:1/v1/keys"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().url("/v1/keys"), url);
        }
    }

    #[test]
    fn each_function_may_have_its_address() {
        let endpoint = Endpoint::parse("http://localhost:9000/lambda-url/{function}").unwrap();
        assert_eq!(
            endpoint.as_str(),
            "http://localhost:9000/lambda-url/{function}"
        );
        for (path, function) in [
            ("/v1/models", "specs"),
            ("/v2/models/a", "specs"),
            ("/v1/models/keys", "specs"),
            ("/v2/models/a/predict", "infer"),
            ("/v1/keys", "register-key"),
            ("/v1/keys/00/complete", "register-key"),
        ] {
            assert_eq!(
                endpoint.url(path),
                format!("http://localhost:9000/lambda-url/{function}{path}")
            );
        }
    }

    #[test]
    fn others_must_not_read_along() {
        for text in [
            "http://a.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "a.example",
            "",
            "https://user@a.example",
            "https://user:hunter2@a.example",
            "https://a.example/?token=hunter2",
            "https://a.example/#x",
        ] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_service_elsewhere_does_not_point_to_this_machine() {
        let may = |service: &str, to: &str| {
            let to = to.parse().unwrap();
            Endpoint::parse(service).unwrap().may_point_to(&to)
        };
        assert!(may(
            "https://a.example",
            "https://bucket.example/key?X-Amz-Signature=1"
        ));
        assert!(!may("https://a.example", "http://bucket.example/key"));
        assert!(!may("https://a.example", "http://127.0.0.1:9000/key"));
        assert!(!may("https://a.example", "https://localhost/key"));
        assert!(may("http://127.0.0.1:1", "http://localhost:2/key"));
        assert!(may("http://127.0.0.1:1", "https://bucket.example/key"));
    }

    #[test]
    fn an_api_address_tells_its_region() {
        let region = |text| Endpoint::parse(text).unwrap().region().map(str::to_owned);
        assert_eq!(
            region("https://abc123.execute-api.eu-central-1.amazonaws.com/prod").as_deref(),
            Some("eu-central-1")
        );
        assert_eq!(
            region("https://abc123.execute-api.cn-north-1.amazonaws.com.cn").as_deref(),
            Some("cn-north-1")
        );
        assert_eq!(region("https://fraud.example.com"), None);
        assert_eq!(
            region("https://a.execute-api.eu-central-1.example.com"),
            None
        );
    }
}
