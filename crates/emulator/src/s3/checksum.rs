//! Checksums of objects: those declared by a client, those computed, and S3's composite of the
//! parts'.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumAlgorithm};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// Base64 digests, one field an algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checksums {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

/// Reads the `checksum_*` fields of an input.
macro_rules! declared {
    ($input:expr) => {
        $crate::s3::checksum::Checksums {
            crc32: $input.checksum_crc32.clone(),
            crc32c: $input.checksum_crc32c.clone(),
            crc64nvme: $input.checksum_crc64nvme.clone(),
            sha1: $input.checksum_sha1.clone(),
            sha256: $input.checksum_sha256.clone(),
        }
    };
}
pub(crate) use declared;

/// Sets the `checksum_*` fields of an output.
macro_rules! set_checksums {
    ($output:expr, $checksums:expr) => {{
        let checksums: $crate::s3::checksum::Checksums = $checksums;
        $output.checksum_crc32 = checksums.crc32;
        $output.checksum_crc32c = checksums.crc32c;
        $output.checksum_crc64nvme = checksums.crc64nvme;
        $output.checksum_sha1 = checksums.sha1;
        $output.checksum_sha256 = checksums.sha256;
    }};
}
pub(crate) use set_checksums;

impl Checksums {
    /// Adds what came after the body of a streamed upload.
    pub(crate) fn merge_trailers(&mut self, trailers: &HeaderMap) {
        for (name, field) in self.fields() {
            if let Some(value) = trailers.get(name).and_then(|value| value.to_str().ok()) {
                *field = Some(value.to_owned());
            }
        }
    }

    /// Refuses the computed `self` where it is not what the client declared.
    pub(crate) fn verify(&self, declared: &Self) -> S3Result<()> {
        let mut computed = self.clone();
        let mut declared = declared.clone();
        for ((name, computed), (_, declared)) in
            computed.fields().into_iter().zip(declared.fields())
        {
            if declared.is_some() && declared != computed {
                return Err(s3_error!(
                    BadDigest,
                    "The {} you specified did not match the calculated checksum.",
                    name
                ));
            }
        }
        Ok(())
    }

    /// S3's `COMPOSITE` checksums: the digest of the parts' digests, with the number of parts.
    /// Algorithms that a part lacks are left out.
    pub(crate) fn composite(parts: &[Self]) -> Self {
        let mut copies = parts.to_vec();
        let mut columns: Vec<_> = copies.iter_mut().map(Self::fields).collect();
        let mut result = Self::default();
        let hashers = [
            ChecksumHasher {
                crc32: Some(Crc32::default()),
                ..Default::default()
            },
            ChecksumHasher {
                crc32c: Some(Crc32c::default()),
                ..Default::default()
            },
            ChecksumHasher {
                crc64nvme: Some(Crc64Nvme::default()),
                ..Default::default()
            },
            ChecksumHasher {
                sha1: Some(Sha1::default()),
                ..Default::default()
            },
            ChecksumHasher {
                sha256: Some(Sha256::default()),
                ..Default::default()
            },
        ];
        for (algorithm, mut hasher) in hashers.into_iter().enumerate() {
            let digests: Option<Vec<Vec<u8>>> = columns
                .iter_mut()
                .map(|fields| STANDARD.decode(fields[algorithm].1.as_deref()?).ok())
                .collect();
            let Some(digests) = digests else { continue };
            for digest in &digests {
                hasher.update(digest);
            }
            let mut digest = Self::from(hasher.finalize());
            *result.fields()[algorithm].1 = digest.fields()[algorithm]
                .1
                .take()
                .map(|digest| format!("{digest}-{}", parts.len()));
        }
        result
    }

    fn fields(&mut self) -> [(&'static str, &mut Option<String>); 5] {
        [
            ("x-amz-checksum-crc32", &mut self.crc32),
            ("x-amz-checksum-crc32c", &mut self.crc32c),
            ("x-amz-checksum-crc64nvme", &mut self.crc64nvme),
            ("x-amz-checksum-sha1", &mut self.sha1),
            ("x-amz-checksum-sha256", &mut self.sha256),
        ]
    }
}

impl From<Checksum> for Checksums {
    fn from(checksum: Checksum) -> Self {
        declared!(checksum)
    }
}

/// A hasher for what an upload declares in its headers, its trailer or by the algorithm's name.
pub(crate) fn hasher(
    declared: &Checksums,
    algorithm: Option<&ChecksumAlgorithm>,
    headers: &HeaderMap,
) -> ChecksumHasher {
    let trailer = headers
        .get("x-amz-trailer")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .to_ascii_lowercase();
    let algorithm = algorithm.map_or(String::new(), |name| name.as_str().to_ascii_lowercase());
    let wants = |name: &str, value: &Option<String>| {
        value.is_some()
            || algorithm == name
            || trailer
                .split(',')
                .any(|header| header.trim().strip_prefix("x-amz-checksum-") == Some(name))
    };
    ChecksumHasher {
        crc32: wants("crc32", &declared.crc32).then(Default::default),
        crc32c: wants("crc32c", &declared.crc32c).then(Default::default),
        crc64nvme: wants("crc64nvme", &declared.crc64nvme).then(Default::default),
        sha1: wants("sha1", &declared.sha1).then(Default::default),
        sha256: wants("sha256", &declared.sha256).then(Default::default),
    }
}
