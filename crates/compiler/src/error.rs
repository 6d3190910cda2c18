//! Why a model cannot be compiled.

use cipherfn_circuit::BundleError;
use cipherfn_engine::EngineError;
use cipherfn_program::ProgramError;
use cipherfn_protocol::specs::SpecsError;
use cipherfn_table::TableError;

/// Most functions of a network: each takes up to 25 KB of a bundle, and some while to choose.
const MAX_FUNCTIONS: usize = 1 << 13;

/// Why a model cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Bytes that are no ONNX model.
    #[error(
        "this is not an ONNX model: {reason}; give the .onnx file that the exporter wrote, or what \
         save_model of XGBoost (.json, .ubj), LightGBM (.txt) or CatBoost (.json) writes"
    )]
    NotOnnx {
        /// What fails.
        reason: String,
    },
    /// A model above the size limit.
    #[error("the model has {len} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// An ONNX model that breaks the format's rules.
    #[error("invalid ONNX model: {place}: {problem}")]
    Invalid {
        /// Node, tensor or graph.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// A valid model that uses something that cannot be compiled.
    #[error("{node}: {problem}; supported: {supported}")]
    Unsupported {
        /// The node: name, operator and domain.
        node: NodeName,
        /// What is not supported.
        problem: String,
        /// What is.
        supported: String,
    },
    /// A valid model whose inputs or outputs as a whole do not fit.
    #[error("unsupported ONNX model: {problem}; supported: {supported}")]
    UnsupportedModel {
        /// What does not fit.
        problem: String,
        /// What does.
        supported: String,
    },
    /// A file of a library that breaks the format's rules.
    #[error("invalid {library} model: {place}: {problem}")]
    InvalidFile {
        /// The library.
        library: String,
        /// Field, tree or node.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// A valid file of a library that uses something that cannot be compiled.
    #[error("unsupported {library} model: {place}: {problem}; supported: {way_out}")]
    UnsupportedFile {
        /// The library.
        library: String,
        /// Field, tree or node.
        place: String,
        /// What is not supported.
        problem: String,
        /// What is.
        way_out: String,
    },
    /// A model in a form that is not read.
    #[error("this is {found}, which is not read; write the form that is in Python: {way_out}")]
    WrongForm {
        /// What the file is.
        found: String,
        /// The line that converts it.
        way_out: String,
    },
    /// JSON that is no model.
    #[error("this is JSON, but no model of XGBoost or CatBoost: {problem}")]
    UnknownJson {
        /// What is missing, or where it stops being JSON.
        problem: String,
    },
    /// A step of pre- or post-processing cannot be formed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The calibration rows cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No column has a name that was given.
    #[error("{source_name} has no column {column:?}; its columns are: {found}")]
    NoSuchColumn {
        /// The file.
        source_name: String,
        /// The name given.
        column: String,
        /// Names found.
        found: String,
        /// What helps, where the header was read as one name.
        remedy: Option<Remedy>,
    },
    /// The calibration rows' columns are not the model's.
    #[error(
        "{source_name} does not fit the model, which has {model}; besides the columns that are left out the file has {count}: {found}; {problem}"
    )]
    Columns {
        /// The file.
        source_name: String,
        /// The model's inputs.
        model: String,
        /// Columns found.
        count: usize,
        /// Names found.
        found: String,
        /// What does not fit.
        problem: String,
        /// What helps, beside other columns.
        remedy: Option<Remedy>,
    },
    /// A calibration file whose first line is a row.
    #[error(
        "{source_name} has no header: its first line holds numbers; write a first line that names the columns"
    )]
    NoHeader {
        /// The file.
        source_name: String,
    },
    /// Predictions that are no list of the model's predictions for the rows.
    #[error("{source_name} cannot be compared with the model: {problem}")]
    Incomparable {
        /// The file of predictions.
        source_name: String,
        /// What does not fit, and the way out.
        problem: String,
    },
    /// The model's predictions are not the library's.
    #[error(
        "the model in this file is not the one that made {source_name}: {differing} of {rows} rows differ:\n{}\n{cause}",
        first.join("\n")
    )]
    Disagreement {
        /// The file of predictions.
        source_name: String,
        /// Rows that differ.
        differing: usize,
        /// Rows compared.
        rows: usize,
        /// The first of them, in words.
        first: Vec<String>,
        /// What is known to make such files differ, and the way out.
        cause: String,
        /// What helps, where it is no other file.
        remedy: Option<Remedy>,
    },
    /// Quantisation and noise change too many labels.
    #[error(
        "the compiled model gives {equal} of {rows} calibration rows the label that the model gives, fewer than the {least} % asked for: {way_out}"
    )]
    Agreement {
        /// Rows with the same label.
        equal: u64,
        /// Rows compared.
        rows: u64,
        /// Percentage asked for.
        least: f64,
        /// What to try, in words.
        way_out: String,
        /// What to try.
        remedy: Remedy,
    },
    /// Functions of linear forms come out too inexact.
    #[error(
        "the compiled model is not faithful enough: {found}; {limit}; or ask for less with {option}"
    )]
    Unfaithful {
        /// How faithful it is.
        found: String,
        /// What limits it, and what to try.
        limit: String,
        /// The option that asks for less.
        option: &'static str,
    },
    /// The grid holds no question that the model asks.
    #[error(
        "the grid of the calibration rows keeps none of the model's split points, so that every row would get the same scores: give more rows, or exact features"
    )]
    Constant,
    /// A score that follows from the row and is the same for all calibration rows.
    #[error(
        "node \"{node}\": score {score} that follows from it is {value} for all calibration rows, so \
         that they say nothing of its range: give rows that differ in it, or leave the score out"
    )]
    StillScore {
        /// The last node of functions.
        node: String,
        /// Which of the region's scores.
        score: usize,
        /// What it is.
        value: f64,
    },
    /// A kernel that falls off within one entry of its table.
    #[error(
        "node \"{node}\": its kernel is too narrow: from one of its points to a row {distance:.1e} away a score changes by {fall:.3} (it has a range of {range:.3} over the calibration rows), and nearer rows cannot be told from the point. Train with a longer length scale (`length_scale` and its bounds) or a smaller `gamma`, on scaled features"
    )]
    NarrowKernel {
        /// The node of functions.
        node: String,
        /// Distance that is told apart.
        distance: f64,
        /// By how much a score changes within it.
        fall: f64,
        /// The score's range over the calibration rows.
        range: f64,
    },
    /// Functions that no feature moves over the calibration rows.
    #[error(
        "node \"{node}\": no feature moves its functions over the calibration rows: give rows that \
         differ"
    )]
    StillLayer {
        /// The first node of the layer.
        node: String,
    },
    /// Noise that is as large as what it is added to.
    #[error(
        "node \"{node}\": noise of its numbers is amplified until it fills the range of the scores, \
         with every part of the key and every gadget: train with weight decay, with fewer layers, or \
         with functions that are less steep"
    )]
    NoisyLayer {
        /// The node that most of the noise is of.
        node: String,
    },
    /// A tree that is too deep.
    #[error("tree {tree} has depth {depth}, more than {limit}; train with a limited depth")]
    TooDeep {
        /// Index of the tree.
        tree: usize,
        /// Its depth.
        depth: usize,
        /// Depth allowed.
        limit: usize,
    },
    /// Trees whose circuit would be too large, counted before it is made.
    #[error(
        "the circuit would make {choices} choices (at most {most_choices}) between {leaves} leaves, {numbers} numbers for all scores (at most {most_numbers}): train fewer or smaller trees, or a model of fewer classes"
    )]
    LargeCircuit {
        /// Inner nodes.
        choices: usize,
        /// Inner nodes allowed.
        most_choices: usize,
        /// Leaves.
        leaves: usize,
        /// One a leaf and score.
        numbers: usize,
        /// Numbers allowed.
        most_numbers: usize,
    },
    /// Layers of functions whose circuit would be too large, counted before it is made.
    #[error(
        "node \"{node}\": up to it a row would take {found} {what}, and at most {most} are \
         possible: train with fewer hidden values or filters, or on fewer features"
    )]
    LargeLayer {
        /// The node that is too much.
        node: String,
        /// What is counted.
        what: &'static str,
        /// How many there would be.
        found: u64,
        /// How many there may be.
        most: u64,
    },
    /// Decimals that a column does not have.
    #[error("decimals: {column:?} cannot be declared to have {decimals}: {problem}")]
    Decimals {
        /// The column.
        column: String,
        /// Decimals declared.
        decimals: u32,
        /// Why it does not have them.
        problem: String,
    },
    /// The precision asked for is out of reach.
    #[error(
        "{wanted} bits of precision cannot be reached in the {profile} profile; {}",
        reachable(*best)
    )]
    Precision {
        /// Bits asked for.
        wanted: f64,
        /// Bits that can be guaranteed.
        best: f64,
        /// Profile in force.
        profile: &'static str,
        /// What helps.
        remedy: Remedy,
    },
    /// No way to compile the model fits the function.
    #[error("{}", does_not_fit(tried, *closest, ways_out))]
    DoesNotFit {
        /// What was tried, a line a try after the limits.
        tried: String,
        /// The try that comes closest.
        closest: Option<usize>,
        /// What would help it, with its predicted effect.
        ways_out: Vec<String>,
    },
    /// An option's value makes no sense.
    #[error("{option} is {found}; give {expected}")]
    Option {
        /// Which: its name on the command line, without the dashes.
        option: &'static str,
        /// The value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A layer is asked for that the model does not have.
    #[error(
        "no node is called {layer:?}; linear layers (MatMul, Gemm, Conv) of this model: {found}"
    )]
    NoSuchLayer {
        /// Name given.
        layer: String,
        /// Names of those that there are.
        found: String,
    },
    /// The compiled circuit breaks a limit.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The bundle breaks a limit.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The compiled specs break a limit.
    #[error(transparent)]
    Specs(#[from] SpecsError),
    /// The system gives the compiler no thread.
    #[error("the compiler needs a thread of its own: {0}")]
    Thread(#[source] std::io::Error),
}

impl CompileError {
    /// Whether the call was wrong rather than the model: options that make no sense, files that do
    /// not belong together.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Incomparable { .. }
                | Self::Option { .. }
                | Self::NoSuchColumn { .. }
                | Self::NoSuchLayer { .. }
                | Self::Columns { .. }
                | Self::NoHeader { .. }
                | Self::Decimals { .. }
        )
    }

    /// What helps, for the caller to word: the compiler does not know how it was called.
    pub const fn remedy(&self) -> Option<&Remedy> {
        match self {
            Self::Columns { remedy, .. }
            | Self::NoSuchColumn { remedy, .. }
            | Self::Disagreement { remedy, .. } => remedy.as_ref(),
            Self::Agreement { remedy, .. } | Self::Precision { remedy, .. } => Some(remedy),
            _ => None,
        }
    }

    /// In the words of a caller that asked for `bits` less.
    pub(crate) fn with_less_precision(mut self, bits: f64) -> Self {
        if let Self::Precision {
            wanted,
            best,
            remedy,
            ..
        } = &mut self
        {
            *wanted -= bits;
            // Rounded down, or the next call would fail, too.
            *best = ((*best - bits) * 10.0).floor() / 10.0;
            if let Remedy::LessPrecision { best: less, .. } = remedy {
                *less = *best;
            }
        }
        self
    }

    /// Refuses a node up to which a row would take more functions than are possible.
    pub(crate) fn check_functions(node: &str, found: usize) -> Result<(), Self> {
        if found <= MAX_FUNCTIONS {
            return Ok(());
        }
        Err(Self::LargeLayer {
            node: node.to_owned(),
            what: "functions",
            found: found as u64,
            most: MAX_FUNCTIONS as u64,
        })
    }

    pub(crate) fn invalid(place: impl std::fmt::Display, problem: impl Into<String>) -> Self {
        Self::Invalid {
            place: place.to_string(),
            problem: problem.into(),
        }
    }
}

fn reachable(best: f64) -> String {
    if best >= 1.0 {
        format!(
            "the best is {best:.1} bits: give 1 to {best:.1}, or no precision for as many as can be"
        )
    } else {
        "no bit of these scores can be guaranteed: leave precision out, or see what limits the model \
         without it"
            .to_owned()
    }
}

fn does_not_fit(tried: &str, closest: Option<usize>, ways_out: &[String]) -> String {
    let closest = closest.map_or(String::new(), |closest| {
        format!("\ntry {} comes closest", closest + 1)
    });
    let help = match ways_out {
        [] => "train a smaller model, or give more".to_owned(),
        ways_out => format!("what would help:\n- {}", ways_out.join("\n- ")),
    };
    format!("nothing that was tried fits {tried}{closest}; {help}")
}

/// What a caller can do about an error.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Remedy {
    /// Name the target, if it is this column; else leave a column out.
    NameTarget {
        /// The likely one.
        column: String,
    },
    /// Say that this byte separates the cells.
    Separator {
        /// What the header shows.
        found: u8,
    },
    /// Say that lines that start with this byte are comments.
    Comment {
        /// What the first line starts with.
        mark: u8,
    },
    /// Name the target, and leave other columns out.
    LeaveOut,
    /// Give the columns in this order.
    Order {
        /// Their names.
        columns: Vec<String>,
    },
    /// A finer grid, or exact features; or allow other labels.
    FinerGrid {
        /// log2 of the bins of a finer one.
        bits: u32,
    },
    /// More bits of the scores than these; or allow other labels.
    MorePrecision {
        /// Bits that are guaranteed now.
        than: f64,
    },
    /// At most these bits of the scores.
    LessPrecision {
        /// Bits that can be guaranteed.
        best: f64,
        /// Whether the keyless profile reaches what is asked for.
        keyless: bool,
    },
}

/// A node of the graph, for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName {
    /// Its name, or a made-up one from its position.
    pub name: String,
    /// Operator.
    pub operator: String,
    /// Operator domain, `ai.onnx` for the default one.
    pub domain: String,
}

impl std::fmt::Display for NodeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "node \"{}\" (operator {}, domain {})",
            self.name, self.operator, self.domain
        )
    }
}
