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

/// What rows are encrypted with. A trait, so that a program that has no public keys, as a browser's, has none of
/// their code.
pub(crate) trait RowKey: Copy + Sync {
    /// Id of the secret key that decrypts.
    fn id(self) -> KeyId;

    fn parameter_set(self) -> &'static ParameterSet;

    /// A row alone.
    fn single(self) -> GroupForm;

    /// How the rows of a long query share ciphertexts.
    fn group(self, client: &Client) -> GroupForm;

    fn encrypt(
        self,
        shapes: &[InputShape],
        form: GroupForm,
        rows: &[EncodedRow],
    ) -> Result<Vec<u8>, SchemeError>;
}

impl RowKey for &SecretKey {
    fn id(self) -> KeyId {
        SecretKey::id(self)
    }

    fn parameter_set(self) -> &'static ParameterSet {
        SecretKey::parameter_set(self)
    }

    fn single(self) -> GroupForm {
        GroupForm::single(self.parameter_set())
    }

    fn group(self, client: &Client) -> GroupForm {
        client.group
    }

    fn encrypt(
        self,
        shapes: &[InputShape],
        form: GroupForm,
        rows: &[EncodedRow],
    ) -> Result<Vec<u8>, SchemeError> {
        query::encrypt_rows(self, shapes, form, rows)
    }
}

impl RowKey for &PublicKey {
    fn id(self) -> KeyId {
        PublicKey::id(self)
    }

    fn parameter_set(self) -> &'static ParameterSet {
        PublicKey::parameter_set(self)
    }

    fn single(self) -> GroupForm {
        GroupForm::single_under(self.parameter_set())
    }

    fn group(self, client: &Client) -> GroupForm {
        client.group_under()
    }

    fn encrypt(
        self,
        shapes: &[InputShape],
        form: GroupForm,
        rows: &[EncodedRow],
    ) -> Result<Vec<u8>, SchemeError> {
        query::encrypt_rows_under(self, shapes, form, rows)
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
        let (rows, marks) =
            self.write_query((key, nonce), rows, refuse, &mut out, &mut progress)?;
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

    fn group_under(&self) -> GroupForm {
        self.single_under().filled(&self.queries, TARGET_CHUNK)
    }

    const fn single_under(&self) -> GroupForm {
        GroupForm::single_under(self.parameter_set())
    }
}
