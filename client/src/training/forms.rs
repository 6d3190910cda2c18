//! Predictions by weights that stay encrypted at a service.

use super::DescentError;
use super::descent::{alternated, fraction};
use crate::Prediction;
use cipherfn_program::Tensor;
use cipherfn_protocol::hash::Hash;
use cipherfn_scheme::SecretKey;
use cipherfn_scheme::descent::{
    BatchShape, decrypt_forms, encrypt_batch, form_bytes, form_variance, squares_under,
};
use cipherfn_training::descent::{
    Forms, FormsQuery, KeptWeights, MAX_FORMS, MAX_QUERY_BATCHES, Training,
};
use rayon::prelude::*;

/// Deviations that an error is within, but with a probability of 2^-40: eight, of which a key that is worse
/// than average takes one.
const DEVIATIONS: f64 = 8.0;

/// What is known of weights that a service keeps, and the program that they are of.
#[derive(Debug)]
pub struct KeptModel<'a> {
    /// The program.
    pub training: &'a Training,
    /// Its weights.
    pub weights: &'a KeptWeights,
    /// Rows that it was trained on, of each owner.
    pub owners: &'a [usize],
}

/// A query, and what its reply is read by.
#[derive(Clone, Debug)]
pub struct AskedForms {
    /// The bytes to send.
    pub query: Vec<u8>,
    rows: usize,
    /// What an error of each batch's forms is within, a fraction of the torus.
    margins: Vec<f64>,
}

impl KeptModel<'_> {
    fn shape(&self, key: &SecretKey) -> Result<BatchShape, DescentError> {
        let features = self.training.features();
        Ok(BatchShape::new(key.parameter_set(), features)?)
    }

    /// Most rows of a query: what it and its reply have room for. It depends on the program alone.
    ///
    /// # Errors
    /// A parameter set without room for the features; more sets of weights than a reply has room for.
    pub fn most_rows(&self, key: &SecretKey) -> Result<usize, DescentError> {
        let shape = self.shape(key)?;
        let replies = self.training.sets() * form_bytes(&shape);
        let batches = (MAX_QUERY_BATCHES / shape.bytes()).min(MAX_FORMS / replies);
        if batches == 0 {
            return Err(DescentError::TooManySets {
                found: self.training.sets(),
                most: MAX_FORMS / form_bytes(&shape),
            });
        }
        Ok(batches * shape.samples() / self.weights.digits())
    }

    /// Encrypts rows' features ([`Training::encode`]), [`Self::most_rows`] at most.
    ///
    /// # Errors
    /// A parameter set without room for the features; an owner with fewer rows than a batch.
    pub fn ask(&self, key: &SecretKey, rows: &[Vec<i32>]) -> Result<AskedForms, DescentError> {
        let shape = self.shape(key)?;
        // Weights that it went on from were encrypted anew: their steps have left nothing beside them.
        let steps = self.training.steps_of(self.owners)? as f64;
        let digits = self.weights.digits();
        let asked: Vec<Vec<i32>> = rows
            .iter()
            .flat_map(|row| self.weights.asked(row))
            .collect();
        let batches: Vec<&[Vec<i32>]> = asked.chunks(shape.samples()).collect();
        let encrypted = batches.par_iter().map(|rows| {
            let rows = (0..).zip(*rows);
            // By rows: a row's digits are as alike as rows are.
            let rows = rows.map(|(place, row): (usize, _)| alternated(place / digits, row));
            let rows: Vec<Vec<i32>> = rows.collect();
            let rows: Vec<&[i32]> = rows.iter().map(Vec::as_slice).collect();
            let squares = squares_under(key, &shape, &rows)?;
            let variance = form_variance(&shape, squares, steps);
            let margin = DEVIATIONS * variance.deviation().get();
            Ok::<_, DescentError>((encrypt_batch(key, &shape, &rows)?, margin))
        });
        let encrypted = encrypted.collect::<Result<Vec<_>, _>>()?;
        let (batches, margins): (Vec<_>, Vec<_>) = encrypted.into_iter().unzip();
        let query = FormsQuery {
            program: self.training.hash(),
            key: key.id(),
            parameter_set: key.parameter_set().tag(),
            features: self.training.features() as u32,
            rows: asked.len() as u64,
            batches: batches.concat(),
        };
        Ok(AskedForms {
            query: query.to_file_bytes(),
            rows: rows.len(),
            margins,
        })
    }

    /// Decrypts a reply: a prediction a row, in their order. Its outputs are the label and a number a class
    /// ([`Training::prediction_columns`]).
    ///
    /// # Errors
    /// A reply to another query, under another key, or of another size.
    pub fn open(
        &self,
        key: &SecretKey,
        asked: &AskedForms,
        reply: &[u8],
    ) -> Result<Vec<Prediction>, DescentError> {
        let (shape, sets) = (self.shape(key)?, self.training.sets());
        let reply = Forms::from_file_bytes(reply)?;
        let tag = key.parameter_set().tag();
        for (what, same) in [
            ("query", reply.query == Hash::of(&asked.query)),
            ("key", (reply.key, reply.parameter_set) == (key.id(), tag)),
        ] {
            if !same {
                return Err(DescentError::OtherForms { what });
            }
        }
        let length = form_bytes(&shape);
        let expected = asked.margins.len() * sets * length;
        if reply.forms.len() != expected {
            return Err(DescentError::FormsLength {
                expected,
                found: reply.forms.len(),
            });
        }
        let digits = self.weights.digits();
        // For each set the forms of all rows as they were asked.
        let mut forms = vec![Vec::new(); sets];
        for (number, batch) in reply.forms.chunks_exact(length).enumerate() {
            let words = decrypt_forms(key, &shape, batch)?;
            let all = (0..).zip(words).map(|(place, word): (usize, u64)| {
                let form = fraction(word);
                if place / digits % 2 == 1 { -form } else { form }
            });
            forms[number % sets].extend(all);
        }
        let prediction = |row: usize| {
            let places = row * digits..(row + 1) * digits;
            let own: Vec<Vec<f64>> = forms
                .iter()
                .map(|all| all[places.clone()].to_vec())
                .collect();
            // The digits of a row may be in two batches.
            let batches = [places.start, places.end - 1].map(|place| place / shape.samples());
            let margin = asked.margins[batches[0]].max(asked.margins[batches[1]]);
            let said = self.weights.prediction(self.training, &own, margin);
            let label = self.training.target().categories[said.class].clone();
            let (values, margins) = said
                .numbers
                .iter()
                .map(|own| (own.value, own.margin))
                .unzip();
            Prediction {
                scores: said.scores,
                outputs: vec![Tensor::Text(vec![label]), Tensor::F64(values)],
                margins: vec![vec![0.0], margins],
            }
        };
        Ok((0..asked.rows).map(prediction).collect())
    }
}
