//! Signature Version 4 of requests, checked by signing them again.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::request::Parts;
use sha2::{Digest as _, Sha256};
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// How far a signature's time may be from the server's clock, as on AWS.
const SKEW: Duration = Duration::from_mins(5);
const DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// An `Authorization: AWS4-HMAC-SHA256 ...` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    date: String,
    region: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
}

impl Authorization {
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in header.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let scope: Vec<&str> = credential?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else {
            return None;
        };
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed_headers?.split(';').map(str::to_owned).collect(),
            signature: signature?.to_owned(),
        })
    }

    /// Whether the request was signed with `secret`, for `service`, at most five minutes from `now`.
    pub(crate) fn verify(
        &self,
        service: &str,
        parts: &Parts,
        body: &[u8],
        secret: &str,
        now: SystemTime,
    ) -> bool {
        self.service == service
            && self
                .expected(parts, body, secret, now)
                .is_some_and(|expected| {
                    // Digests are compared, so that the time taken tells nothing about the signature.
                    Sha256::digest(expected.as_bytes()) == Sha256::digest(self.signature.as_bytes())
                })
    }

    fn expected(
        &self,
        parts: &Parts,
        body: &[u8],
        secret: &str,
        now: SystemTime,
    ) -> Option<String> {
        let date = parts.headers.get("x-amz-date")?.to_str().ok()?;
        let time = SystemTime::from(PrimitiveDateTime::parse(date, DATE).ok()?.assume_utc());
        let skew = now
            .duration_since(time)
            .unwrap_or_else(|error| error.duration());
        if skew > SKEW || !date.starts_with(&self.date) || self.date.len() != 8 {
            return None;
        }
        let signed = |name: &str| self.signed_headers.iter().any(|header| header == name);
        if !signed("host") || !signed("x-amz-date") {
            return None;
        }
        let mut headers = Vec::with_capacity(self.signed_headers.len());
        for name in &self.signed_headers {
            let values = parts.headers.get_all(name);
            values.iter().next()?;
            for value in values {
                headers.push((name.as_str(), value.to_str().ok()?));
            }
        }
        let host = parts.headers.get(http::header::HOST)?.to_str().ok()?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = SignableRequest::new(
            parts.method.as_str(),
            format!("http://{host}{path}"),
            headers.into_iter(),
            SignableBody::Bytes(body),
        )
        .ok()?;
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let identity = Credentials::new(&self.access_key_id, secret, None, None, "tenants").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(time)
            .settings(settings)
            .build()
            .ok()?;
        Some(
            sign(request, &parameters.into())
                .ok()?
                .signature()
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_parsed_or_refused() {
        let text = "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=00";
        let parsed = Authorization::parse(text).expect("complete");
        assert_eq!(
            (parsed.access_key_id.as_str(), parsed.signed_headers.len()),
            ("AK", 2)
        );
        for bad in [
            "",
            "Bearer x",
            &text.replace("aws4_request", "aws4"),
            &text.replace("Signature=00", ""),
            &format!("{text},Signature=1"),
        ] {
            assert_eq!(Authorization::parse(bad), None, "{bad}");
        }
    }
}
