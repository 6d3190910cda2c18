//! Format versions of everything that is stored or sent.
//!
//! A type that leaves memory has one *wire type* a version, plain data that nothing else uses, and
//! one *run-time type*. [`versions!`](crate::versions!) declares the wire types as one enum; the
//! run-time type is made from it by `TryFrom`, and turns into the newest wire type by `From`. So
//! code never meets an old version, and a file never follows a change of the code by accident.
//!
//! To add a version: write its wire type, add its line to the enum and its arm to the conversion,
//! write the new type. Files of the old versions keep loading.
//!
//! Frames carry their version in the header; JSON documents have it in their field `format`.

use crate::frame::{Frame, FrameError, FrameKind};
use crate::json::{self, JsonError};
use serde::Deserialize;

/// The wire types of one stored or sent type.
pub trait Versions: Sized {
    /// Versions that this build reads, oldest first. It writes the last one.
    const VERSIONS: &'static [u16];
    /// Why bytes are not of a version's wire type.
    type Error;

    /// Which version this is.
    fn version(&self) -> u16;

    /// Reads bytes of a version; `None` where this build does not know it.
    fn read(version: u16, bytes: &[u8]) -> Option<Result<Self, Self::Error>>;

    /// Reads the payload of a frame of `kind`.
    fn from_frame<E>(frame: &Frame, kind: FrameKind) -> Result<Self, E>
    where
        E: From<FrameError> + From<Self::Error>,
    {
        let read = Self::read(frame.version, &frame.payload).ok_or(FrameError::Version {
            kind,
            found: frame.version,
            known: Self::VERSIONS,
        })?;
        Ok(read?)
    }
}

/// Declares the wire types of one stored or sent type: an enum with [`Versions`]. `read by` names
/// the function from bytes to a wire type, generic over it.
///
/// ```
/// use cipherfn_protocol::versions::Versions;
/// use serde::Deserialize;
///
/// #[derive(Clone, Debug, PartialEq, Deserialize)]
/// struct PointV1 { x: f64 }
/// #[derive(Clone, Debug, PartialEq, Deserialize)]
/// struct PointV2 { x: f64, y: f64 }
///
/// cipherfn_protocol::versions! {
///     /// A point as a document.
///     enum PointVersions, read by serde_json::from_slice, error serde_json::Error {
///         /// On a line.
///         V1(PointV1) = 1,
///         /// In the plane.
///         V2(PointV2) = 2,
///     }
/// }
///
/// let old = PointVersions::read(1, br#"{"x": 0.5}"#).expect("known")?;
/// assert_eq!(old, PointVersions::V1(PointV1 { x: 0.5 }));
/// assert!(PointVersions::read(3, b"{}").is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! versions {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident, read by $read:path, error $error:ty {
            $($(#[$variant_meta:meta])* $variant:ident($wire:ty) = $version:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $visibility enum $name {
            $($(#[$variant_meta])* $variant($wire),)+
        }

        impl $crate::versions::Versions for $name {
            const VERSIONS: &'static [u16] = &[$($version),+];
            type Error = $error;

            fn version(&self) -> u16 {
                match self {
                    $(Self::$variant(_) => $version,)+
                }
            }

            fn read(version: u16, bytes: &[u8]) -> Option<Result<Self, $error>> {
                match version {
                    $($version => Some($read(bytes).map(Self::$variant)),)+
                    _ => None,
                }
            }
        }
    };
}

/// Version of a JSON document: its field `format`, whatever else it holds; 1 where it has none,
/// since the first documents in the bucket had none.
pub fn json_version(bytes: &[u8]) -> Result<u16, JsonError> {
    #[derive(Deserialize)]
    struct Format {
        #[serde(default = "first")]
        format: u16,
    }
    const fn first() -> u16 {
        1
    }
    json::from_slice::<Format>(bytes).map(|document| document.format)
}

/// Versions for people: `version 1`, `versions 1 and 2`, `versions 1 to 3`.
pub(crate) fn list(versions: &[u16]) -> String {
    match versions {
        [] => "no version".into(),
        [only] => format!("version {only}"),
        [one, other] => format!("versions {one} and {other}"),
        [first, .., last] => format!("versions {first} to {last}"),
    }
}
