//! Fitted models, as a model file is written from them.

/// A model of a table's columns. Its features are the scaled numbers, their squares if it takes them,
/// and for each category column a 1 at the row's category.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedModel {
    /// The spec's name.
    pub name: String,
    /// Columns of numbers.
    pub numbers: Vec<ScaledColumn>,
    /// Whether squares follow the scaled numbers.
    pub squares: bool,
    /// Columns of listed texts.
    pub categories: Vec<CategoryColumn>,
    /// What becomes of the features.
    pub function: FittedFunction,
}

/// A number x, taken as (x - offset) scale.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledColumn {
    /// Header name.
    pub name: String,
    /// What is subtracted.
    pub offset: f64,
    /// Factor.
    pub scale: f64,
}

/// A text, taken as a 1 among zeros. Texts that are not listed are zeros alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryColumn {
    /// Header name.
    pub name: String,
    /// The texts.
    pub categories: Vec<String>,
}

/// A function of the features.
#[derive(Clone, Debug, PartialEq)]
pub enum FittedFunction {
    /// The features themselves.
    Features,
    /// Products with rows of weights.
    Map {
        /// A row an output.
        weights: Vec<Vec<f64>>,
    },
    /// A number.
    Regressor {
        /// A weight a feature.
        weights: Vec<f64>,
        /// Constant.
        intercept: f64,
    },
    /// The class of the largest score, and a function of the scores.
    Classifier {
        /// A label a class.
        labels: Vec<String>,
        /// For each class a weight a feature.
        weights: Vec<Vec<f64>>,
        /// A constant a class.
        intercepts: Vec<f64>,
        /// What becomes of the scores.
        link: ClassLink,
    },
    /// A number and what trees add to it.
    Boosted {
        /// The number.
        base: f64,
        /// Arenas as those of `Trees`, whose leaves have one number each.
        trees: Vec<Vec<FittedNode>>,
    },
    /// The mean of trees.
    Trees {
        /// Arenas: node 0 is the root, children come after their parent.
        trees: Vec<Vec<FittedNode>>,
        /// A label a class; `None` where leaves have a number.
        labels: Option<Vec<String>>,
    },
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum FittedNode {
    /// A number, or a chance a class.
    Leaf(Vec<f64>),
    /// Asks whether a number is above a threshold, as 32-bit floats.
    Split {
        /// The column.
        column: u32,
        /// The threshold.
        threshold: f32,
        /// Node of numbers above it.
        above: u32,
        /// Node of the others.
        below: u32,
        /// Whether missing numbers go where larger ones do.
        missing_above: bool,
    },
}

/// What becomes of the scores of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassLink {
    /// Nothing.
    None,
    /// The logistic function of each.
    Logistic,
    /// Probabilities that sum to 1.
    Softmax,
}

impl FittedModel {
    /// Rows of weights on the columns' own numbers, and constants, of a function that is linear in
    /// them; `None` of others.
    pub fn raw_weights(&self) -> Option<(Vec<Vec<f64>>, Vec<f64>)> {
        if self.squares || !self.categories.is_empty() {
            return None;
        }
        let (weights, intercepts): (&[Vec<f64>], &[f64]) = match &self.function {
            FittedFunction::Regressor { weights, intercept } => (
                std::slice::from_ref(weights),
                std::slice::from_ref(intercept),
            ),
            FittedFunction::Classifier {
                weights,
                intercepts,
                ..
            } => (weights, intercepts),
            FittedFunction::Features
            | FittedFunction::Map { .. }
            | FittedFunction::Boosted { .. }
            | FittedFunction::Trees { .. } => {
                return None;
            }
        };
        let rows = weights.iter().zip(intercepts);
        let raw = rows.map(|(row, intercept)| {
            let scaled = row.iter().zip(&self.numbers);
            let own: Vec<f64> = scaled
                .map(|(weight, column)| weight * column.scale)
                .collect();
            let shift = own.iter().zip(&self.numbers);
            let shift: f64 = shift.map(|(weight, column)| weight * column.offset).sum();
            (own, intercept - shift)
        });
        Some(raw.unzip())
    }
}
