//! Sums of owners' rows by key, added: frames whose tables are ciphertexts under one public key.

use crate::training::{Total, TotalError};
use cipherfn_frame::file::{FileHead, FrameReader};
use cipherfn_frame::schema::{MAX_OWNERS, Schema, SchemaError};
use cipherfn_frame::totals::{Totals, TotalsError};
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SchemeError;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicTableShape;
use cipherfn_training::{Contribution, TrainingError};
use std::io::Read;

// What is added is a contribution, and has room for as many.
const _: () = assert!(MAX_OWNERS == cipherfn_training::MAX_OWNERS);

/// Why owners' sums cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameTotalError {
    /// A frame of something else.
    #[error(transparent)]
    Totals(#[from] TotalsError),
    /// Sums by another schema.
    #[error(
        "these are sums by another schema than the first: {difference}; all owners must have the very same schema"
    )]
    OtherSchema {
        /// What is not alike.
        difference: String,
    },
    /// Too many owners for the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The dimensions of ciphertexts.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// Sums under another key, given twice, or that are none.
    #[error(transparent)]
    Total(#[from] TotalError),
}

/// The sum of several owners' sums, in memory of one.
#[derive(Debug, Default)]
pub struct FrameTotal {
    sum: Option<(FileHead, Total)>,
    owners: u64,
}

impl FrameTotal {
    /// Adds the sums of a file, of which no more is read than stands before rows.
    ///
    /// # Errors
    /// A file of something else; sums by another schema or under another key than the first, or that were
    /// added before; more owners than there is room for. Nothing is added then.
    pub fn add(&mut self, file: &FrameReader<impl Read>) -> Result<(), FrameTotalError> {
        let head = file.head();
        let totals = Totals::of(&head.schema)?;
        let owners = head.schema.owners().unwrap_or_default();
        let own = head.schema.clone().summed(1)?;
        let of_all = self.owners + u64::from(owners);
        own.clone()
            .summed(u32::try_from(of_all).unwrap_or(u32::MAX))?;
        let contribution = Contribution {
            spec: hash(&own)?,
            key: head.key,
            parameter_set: head.parameter_set,
            owners,
            ciphertexts: file.tables().concat(),
        };
        if let Some((first, total)) = &mut self.sum {
            if let Some(difference) = first.schema.difference(&own) {
                return Err(FrameTotalError::OtherSchema { difference });
            }
            total.add(&contribution)?;
        } else {
            let set = ParameterSet::by_tag(head.parameter_set, "data frame")?;
            let shape = PublicTableShape {
                set,
                tables: totals.tables(),
                entries: totals.entries(),
            };
            let mut total = Total::of(contribution.spec, shape.words()?);
            total.add(&contribution)?;
            let first = FileHead {
                schema: own,
                ..head.clone()
            };
            self.sum = Some((first, total));
        }
        self.owners = of_all;
        Ok(())
    }

    /// The sum: the head of its file, and the tables of its look-up.
    ///
    /// # Errors
    /// Nothing was added.
    pub fn finish(self) -> Result<(FileHead, Vec<u8>), FrameTotalError> {
        let nothing = || TotalError::from(TrainingError::Nothing);
        let (mut head, total) = self.sum.ok_or_else(nothing)?;
        let total = total.finish()?;
        head.schema = head.schema.summed(total.owners)?;
        Ok((head, total.ciphertexts))
    }
}

fn hash(schema: &Schema) -> Result<Hash, SchemaError> {
    Ok(Hash::of(&schema.to_json()?))
}
