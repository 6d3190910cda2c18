//! Whose specs a client takes: the rules by which it holds a service to a model's developer.
//!
//! A service that could choose the specs could read rows: by specs that tell one interval of a
//! feature from the rest, then others, then others. So specs come with their developer's
//! [`SignedStatement`], and a client that has seen one takes newer specs of the same developer and
//! no others. Nothing here reads files or asks anybody: a caller keeps the [`Pin`] between calls,
//! apart for every service and model.

use crate::error::Remedy;
use cipherfn_protocol::api::ModelName;
use cipherfn_protocol::hash::SpecsHash;
use cipherfn_protocol::statement::{PublicKey, Serial, SignedStatement};
use cipherfn_signing::verify;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Specs that a service has sent, and what it says of their developer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The model that was asked for.
    pub model: ModelName,
    /// Hash of the specs that came.
    pub specs: SpecsHash,
    /// The statement that came with them; services of version 1 send none.
    pub statement: Option<SignedStatement>,
}

/// What a client remembers of a model at a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Its developer, and the newest statement.
    Developer {
        /// The developer's key.
        key: PublicKey,
        /// Serial of the newest statement that was taken.
        newest: Serial,
        /// The specs that it names.
        specs: SpecsHash,
    },
    /// Specs of whose developer nothing is known: these and no others.
    Specs(SpecsHash),
}

/// A developer whose specs are taken, as a part of documents that remember it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedDeveloper {
    /// The developer's key.
    pub key: PublicKey,
    /// Serial of the newest statement that was taken.
    pub newest: Serial,
}

impl Pin {
    /// From what documents hold: specs, and their developer where one is known.
    pub fn new(specs: SpecsHash, developer: Option<PinnedDeveloper>) -> Self {
        match developer {
            Some(PinnedDeveloper { key, newest }) => Self::Developer { key, newest, specs },
            None => Self::Specs(specs),
        }
    }

    /// What documents hold of it.
    pub const fn parts(&self) -> (SpecsHash, Option<PinnedDeveloper>) {
        match *self {
            Self::Developer { key, newest, specs } => {
                (specs, Some(PinnedDeveloper { key, newest }))
            }
            Self::Specs(specs) => (specs, None),
        }
    }
}

/// What the caller knows from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Nothing: what the pin allows, or whatever comes first.
    Pinned,
    /// The developer's key.
    Developer(PublicKey),
    /// The specs' hash.
    Specs(SpecsHash),
    /// That this service is to be believed, this once.
    Offered,
}

/// Why specs are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are those that were taken the last time.
    Known,
    /// A newer statement of the same developer names them in place of these: later ones, or those
    /// of an earlier version that the developer has gone back to.
    Newer {
        /// Those that were taken the last time.
        than: SpecsHash,
    },
    /// Nothing was known of the model at this service.
    First,
    /// The caller accepts them.
    Accepted,
}

impl Offer {
    /// Judges an offer; gives what to remember of it, and why it is taken.
    pub fn judge(&self, pin: Option<&Pin>, accept: &Accept) -> Result<(Pin, Verdict), TrustError> {
        self.check()?;
        match accept {
            Accept::Pinned => self.judge_by_pin(pin),
            Accept::Offered => Ok(self
                .judge_by_pin(pin)
                .unwrap_or_else(|_| (self.pin(), Verdict::Accepted))),
            Accept::Developer(key) => {
                let same = matches!(pin, Some(Pin::Developer { key: pinned, .. }) if pinned == key);
                match &self.statement {
                    _ if same => self.judge_by_pin(pin),
                    Some(signed) if signed.key == *key => Ok((self.pin(), Verdict::Accepted)),
                    found => Err(self.not_by(*key, found.as_ref())),
                }
            }
            Accept::Specs(hash) if *hash == self.specs => {
                // The caller vouches for these specs; who has signed them is the service's word.
                let pin = pin.cloned().unwrap_or(Pin::Specs(self.specs));
                Ok((pin, Verdict::Accepted))
            }
            Accept::Specs(hash) => Err(TrustError::OtherSpecs {
                model: self.model.clone(),
                expected: *hash,
                found: self.specs,
            }),
        }
    }

    /// A statement must be signed, and about this.
    fn check(&self) -> Result<(), TrustError> {
        let Some(signed) = &self.statement else {
            return Ok(());
        };
        let model = || self.model.clone();
        if verify(signed).is_err() {
            return Err(TrustError::Forged {
                model: model(),
                key: signed.key,
            });
        }
        if signed.statement.model == self.model && signed.statement.specs == self.specs {
            return Ok(());
        }
        Err(TrustError::OtherStatement {
            model: model(),
            stated: signed.statement.model.clone(),
            specs: signed.statement.specs,
        })
    }

    fn judge_by_pin(&self, pin: Option<&Pin>) -> Result<(Pin, Verdict), TrustError> {
        match pin {
            None => Ok((self.pin(), Verdict::First)),
            // A statement on them now could be anybody's: the pin stays.
            Some(Pin::Specs(specs)) if *specs == self.specs => {
                Ok((Pin::Specs(*specs), Verdict::Known))
            }
            Some(Pin::Specs(specs)) => Err(TrustError::Changed {
                model: self.model.clone(),
                pinned: *specs,
                found: self.specs,
            }),
            Some(Pin::Developer { key, newest, specs }) => match &self.statement {
                Some(signed) if signed.key == *key => {
                    let serial = signed.statement.serial;
                    // A service that goes back to specs before could pick the one of all versions
                    // that tells it most. The same specs tell it nothing new.
                    match (serial > *newest, self.specs == *specs) {
                        (true, false) => Ok((self.pin(), Verdict::Newer { than: *specs })),
                        (true, true) => Ok((self.pin(), Verdict::Known)),
                        (false, true) => {
                            let pin = Pin::Developer {
                                key: *key,
                                newest: *newest,
                                specs: *specs,
                            };
                            Ok((pin, Verdict::Known))
                        }
                        (false, false) => Err(TrustError::Older {
                            model: self.model.clone(),
                            found: serial,
                            newest: *newest,
                        }),
                    }
                }
                found => Err(self.not_by(*key, found.as_ref())),
            },
        }
    }

    /// What to remember of it.
    fn pin(&self) -> Pin {
        match &self.statement {
            Some(signed) => Pin::Developer {
                key: signed.key,
                newest: signed.statement.serial,
                specs: self.specs,
            },
            None => Pin::Specs(self.specs),
        }
    }

    fn not_by(&self, pinned: PublicKey, found: Option<&SignedStatement>) -> TrustError {
        let model = self.model.clone();
        match found {
            None => TrustError::Unsigned { model, pinned },
            Some(signed) => TrustError::OtherDeveloper {
                model,
                pinned,
                found: signed.key,
            },
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("as before"),
            Self::Newer { than } => write!(
                f,
                "in place of {}, by a newer statement of the same developer",
                than.short()
            ),
            Self::First => f.write_str("remembered from now on"),
            Self::Accepted => f.write_str("accepted as you asked"),
        }
    }
}

/// Why specs are refused. Nothing was encrypted under them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A statement that its key has not signed.
    #[error(
        "the statement beside the specs of model {model} is forged: {key} has not signed it; tell the service's operator"
    )]
    Forged {
        /// The model.
        model: ModelName,
        /// The key that it names.
        key: PublicKey,
    },
    /// A statement on something else.
    #[error(
        "the service has sent specs of model {model} with a statement on {} of model {stated}; tell its operator", .specs.short()
    )]
    OtherStatement {
        /// The model that was asked for.
        model: ModelName,
        /// The model that is stated.
        stated: ModelName,
        /// The specs that are stated.
        specs: SpecsHash,
    },
    /// Nobody has signed them, and the model's developer is known.
    #[error(
        "the specs of model {model} are not signed, its developer's were, by {pinned}; accept them only if the developer says that they are theirs"
    )]
    Unsigned {
        /// The model.
        model: ModelName,
        /// The developer's key.
        pinned: PublicKey,
    },
    /// Somebody else has signed them.
    #[error(
        "the specs of model {model} are signed by {found}, not by its developer {pinned}; accept them only if the developer says that the key is theirs"
    )]
    OtherDeveloper {
        /// The model.
        model: ModelName,
        /// The developer's key.
        pinned: PublicKey,
        /// Who signed these.
        found: PublicKey,
    },
    /// They are older than specs that were taken before.
    #[error(
        "the service has gone back to older specs of model {model}, and its developer has not said so (statement {}, the newest is {}); accept them only if the developer says that they are current", .found.0, .newest.0
    )]
    Older {
        /// The model.
        model: ModelName,
        /// Serial of their statement.
        found: Serial,
        /// Serial of the newest statement that was taken.
        newest: Serial,
    },
    /// Specs are others than before, and no developer is known.
    #[error(
        "the specs of model {model} have changed from {} to {}, and no developer is known who could vouch for these; accept them only if the developer says that they are theirs", .pinned.short(), .found.short()
    )]
    Changed {
        /// The model.
        model: ModelName,
        /// Specs that were taken before.
        pinned: SpecsHash,
        /// Specs that came.
        found: SpecsHash,
    },
    /// Not the specs that the caller named.
    #[error("model {model} has other specs ({}) than those that were asked for ({})", .found.short(), .expected.short())]
    OtherSpecs {
        /// The model.
        model: ModelName,
        /// Hash that was asked for.
        expected: SpecsHash,
        /// Hash of those that came.
        found: SpecsHash,
    },
}

impl TrustError {
    /// What to do about it, where a caller can do something.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Forged { .. } | Self::OtherStatement { .. } => None,
            Self::OtherSpecs { .. } => Some(Remedy::FetchSpecs),
            _ => Some(Remedy::AcceptSpecs),
        }
    }
}

#[cfg(test)]
mod tests;
