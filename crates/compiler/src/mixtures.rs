//! Rows that are put together of cells of different calibration rows: each cell is as theirs are, all
//! together are like none of them.

use crate::model::{Estimator, Model};
use crate::simulate::Gaussian;
use cipherfn_program::Tensor;
use cipherfn_protocol::hash::Hash;

/// Rows of each kind.
const ROWS: usize = 512;

/// Such rows, as feature vectors that are finite.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mixtures {
    /// Every cell is drawn from the rows independently.
    pub scattered: Vec<Vec<f32>>,
    /// One cell is another row's.
    pub exchanged: Vec<Vec<f32>>,
}

impl Mixtures {
    /// Of calibration rows, given as the inputs of the pre-processing; none for a model whose functions
    /// are not looked up.
    pub(crate) fn of(model: &Model, rows: &[Vec<Tensor>]) -> Self {
        let looks_up = model.estimators.iter().any(Estimator::looks_up);
        let first = rows.first().filter(|_| looks_up);
        // Inputs have one cell a column.
        let inputs = first.into_iter().flatten().enumerate();
        let cells = inputs.flat_map(|(input, own)| (0..own.len()).map(move |cell| (input, cell)));
        let cells: Vec<(usize, usize)> = cells.collect();
        let Some(first) = first.filter(|_| !cells.is_empty()) else {
            return Self::default();
        };
        let mut source = Gaussian::new(Hash::of(b"mixtures of calibration rows"));
        let mut below = |count: usize| (source.unit() * count as f64) as usize;
        let mut scattered = Vec::with_capacity(ROWS);
        let mut exchanged = Vec::with_capacity(ROWS);
        for _ in 0..ROWS {
            let mut row = first.clone();
            for cell in &cells {
                put(&mut row, *cell, &rows[below(rows.len())]);
            }
            scattered.push(row);
            let mut row = rows[below(rows.len())].clone();
            put(
                &mut row,
                cells[below(cells.len())],
                &rows[below(rows.len())],
            );
            exchanged.push(row);
        }
        // What pre-processing refuses, clients do not send.
        let features = |rows: Vec<Vec<Tensor>>| {
            let vectors = rows
                .into_iter()
                .filter_map(|row| model.features_of(row).ok());
            let is_finite = |vector: &Vec<f32>| vector.iter().all(|value| value.is_finite());
            vectors.filter(is_finite).collect()
        };
        Self {
            scattered: features(scattered),
            exchanged: features(exchanged),
        }
    }

    /// All of them.
    pub(crate) fn kinds(&self) -> [&[Vec<f32>]; 2] {
        [&self.scattered, &self.exchanged]
    }
}

/// Puts a cell of another row in place of a row's own.
fn put(row: &mut [Tensor], (input, cell): (usize, usize), from: &[Tensor]) {
    match (&mut row[input], &from[input]) {
        (Tensor::F32(own), Tensor::F32(from)) => own[cell] = from[cell],
        (Tensor::F64(own), Tensor::F64(from)) => own[cell] = from[cell],
        (Tensor::I64(own), Tensor::I64(from)) => own[cell] = from[cell],
        (Tensor::Text(own), Tensor::Text(from)) => own[cell].clone_from(&from[cell]),
        // All rows have the types of the inputs.
        _ => {}
    }
}
