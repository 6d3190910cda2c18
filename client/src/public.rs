//! Rows that are encrypted at one place and decrypted at another.

use crate::client::Client;
use crate::encrypt::{EncodedRow, Encrypted, InputRow, Mark};
use crate::error::ClientError;
use cipherfn_protocol::message::{KeyId, Nonce, TARGET_CHUNK};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::query::{self, GroupForm, InputShape};
use cipherfn_scheme::{SchemeError, SecretKey};
use std::io::Write;

/// What rows are encrypted with.
#[derive(Clone, Copy)]
pub(crate) enum RowKey<'a> {
    Secret(&'a SecretKey),
    Public(&'a PublicKey),
}

impl RowKey<'_> {
    /// Id of the secret key that decrypts.
    pub(crate) const fn id(self) -> KeyId {
        match self {
            Self::Secret(key) => key.id(),
            Self::Public(key) => key.id(),
        }
    }

    pub(crate) const fn parameter_set(self) -> &'static ParameterSet {
        match self {
            Self::Secret(key) => key.parameter_set(),
            Self::Public(key) => key.parameter_set(),
        }
    }

    /// A row alone.
    pub(crate) const fn single(self) -> GroupForm {
        match self {
            Self::Secret(key) => GroupForm::single(key.parameter_set()),
            Self::Public(key) => GroupForm::single_under(key.parameter_set()),
        }
    }

    pub(crate) fn encrypt(
        self,
        shapes: &[InputShape],
        form: GroupForm,
        rows: &[EncodedRow],
    ) -> Result<Vec<u8>, SchemeError> {
        match self {
            Self::Secret(key) => query::encrypt_rows(key, shapes, form, rows),
            Self::Public(key) => query::encrypt_rows_under(key, shapes, form, rows),
        }
    }
}

impl Client {
    /// Refuses models whose rows the holder of the secret key alone can encrypt. The specs decide it: a row
    /// under a public key is as exact as they promise, or is not made.
    ///
    /// # Errors
    /// Specs of format 1, whose queries have no version for such rows; inputs that cannot be encrypted so.
    pub fn check_public(&self) -> Result<(), ClientError> {
        if self.specs().format() == 1 {
            return Err(ClientError::PublicFormat);
        }
        self.queries.iter().try_for_each(InputShape::check_public)?;
        Ok(())
    }

    /// Refuses a public key of another parameter set.
    pub fn check_public_key(&self, key: &PublicKey) -> Result<(), ClientError> {
        self.check_set(key.parameter_set())
    }

    /// [`Client::encrypt`] for the holder of another key, who alone can decrypt the answers.
    ///
    /// Whoever decrypts has no marks: a row that cannot be encoded would have an answer like any other, so it ends
    /// the query.
    ///
    /// # Errors
    /// As [`Client::check_public`] says; a key of another parameter set; a row that cannot be encoded; the first
    /// error of `rows`. What was written then is not a whole query, and readers refuse it.
    pub fn encrypt_under<E: From<ClientError>>(
        &self,
        key: &PublicKey,
        rows: impl IntoIterator<Item = Result<InputRow, E>>,
        mut out: impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<Encrypted, E> {
        self.check_public()?;
        self.check_public_key(key)?;
        let nonce = Some(Nonce::random().map_err(ClientError::from)?);
        let mut row = 0;
        let refuse = |_: &[InputRow], marks: &[Mark]| {
            marks.iter().try_for_each(|mark| {
                row += 1;
                match mark {
                    Mark::Unusable(reason) => Err(ClientError::UnusableRow {
                        row,
                        reason: reason.clone(),
                    }),
                    Mark::Sound | Mark::Limited(_) => Ok(()),
                }
            })
        };
        let key = (RowKey::Public(key), nonce);
        let (rows, marks) = self.write_query(key, rows, refuse, &mut out, &mut progress)?;
        Ok(Encrypted {
            nonce,
            rows,
            digest: None,
            marks,
        })
    }

    /// Bytes of a query of `rows` rows under a public key.
    pub fn query_bytes_under(&self, rows: usize) -> usize {
        let group = self.group_under();
        self.query_bytes_of((self.single_under(), group), rows)
    }

    /// How the rows of a long query share ciphertexts.
    pub(crate) fn group_of(&self, key: RowKey<'_>) -> GroupForm {
        match key {
            RowKey::Secret(_) => self.group,
            RowKey::Public(_) => self.group_under(),
        }
    }

    fn group_under(&self) -> GroupForm {
        self.single_under().filled(&self.queries, TARGET_CHUNK)
    }

    const fn single_under(&self) -> GroupForm {
        GroupForm::single_under(self.parameter_set())
    }
}
