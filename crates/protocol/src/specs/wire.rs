//! Pieces of a client-specs document that all versions share, as they are written. Each is the
//! wire form of the run-time type of its name; a piece that changes gets a form of its own in the
//! module of the version that changes it.
//!
//! Unknown fields are refused here in every version: one that says how a row is encoded or an
//! answer decoded would be a wrong answer if it were ignored.

use cipherfn_program::{self as program, Bits, Gadget, ScoreUnits, TorusFraction, Transport};
use serde::{Deserialize, Serialize};

/// A wire type and the run-time type that it stands for.
pub(super) trait Wire {
    /// The run-time type.
    type Run;
    /// For writing.
    fn of(run: Self::Run) -> Self;
    /// As read.
    fn run(self) -> Self::Run;
}

/// Structs of the fields of their run-time type.
macro_rules! wire_structs {
    ($(struct $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)+ })+) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$attribute])* pub(super) $field: $type,)+
        }

        impl Wire for $name {
            type Run = program::$name;

            fn of(run: Self::Run) -> Self {
                Self { $($field: Wire::of(run.$field),)+ }
            }

            fn run(self) -> Self::Run {
                program::$name { $($field: self.$field.run(),)+ }
            }
        }
    )+};
}

/// Enums of the variants of their run-time type.
macro_rules! wire_enums {
    ($(enum $name:ident { $($variant:ident $(($inner:ident: $type:ty))?,)+ })+) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $name {
            $($variant $(($type))?,)+
        }

        impl Wire for $name {
            type Run = program::$name;

            fn of(run: Self::Run) -> Self {
                match run {
                    $(program::$name::$variant $(($inner))? => {
                        Self::$variant $((Wire::of($inner)))?
                    })+
                }
            }

            fn run(self) -> Self::Run {
                match self {
                    $(Self::$variant $(($inner))? => {
                        program::$name::$variant $(($inner.run()))?
                    })+
                }
            }
        }
    )+};
}

/// Types that are written as they are.
macro_rules! wire_as_is {
    ($($type:ty),+) => {$(
        impl Wire for $type {
            type Run = Self;

            fn of(run: Self) -> Self {
                run
            }

            fn run(self) -> Self {
                self
            }
        }
    )+};
}

wire_structs! {
    struct InputColumn {
        name: String,
        kind: ColumnKind,
        missing: bool,
    }
    struct SelectorEncoding {
        quantisers: Vec<Quantiser>,
        selectors: Vec<Selector>,
        gadget: Gadget,
        transport: Transport,
    }
    struct Selector {
        quantiser: u32,
        predicate: Predicate,
    }
    struct LinearEncoding {
        names: Vec<String>,
        centre: Vec<f64>,
        half_width: Vec<f64>,
        delta: TorusFraction,
        block: u32,
        stride: u32,
        #[serde(default = "FeatureForm::apart", skip_serializing_if = "FeatureForm::is_apart")]
        form: FeatureForm,
        body_bits: Bits,
    }
    struct IntegerEncoding {
        features: Vec<IntegerFeature>,
        gadget: Gadget,
        transport: Transport,
    }
    struct IntegerFeature {
        feature: u32,
        name: String,
        low: f64,
        step: f64,
        bits: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance: Option<f64>,
    }
    struct Relation {
        terms: Vec<(u32, f32)>,
        centre: f64,
        limit: f64,
        names: Vec<String>,
    }
    struct ReplyForm {
        reply_bits: Bits,
        coefficients: u32,
        stride: u32,
    }
    struct ScoreDecoding {
        coefficient: u32,
        scale: ScoreUnits,
        offset: ScoreUnits,
        step: ScoreUnits,
        precision: ScoreUnits,
        range: (ScoreUnits, ScoreUnits),
    }
}

/// Formats 1 and 2 have no decimals, format 3 has them beside the inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Quantiser {
    feature: u32,
    name: String,
    splits: Vec<f32>,
    missing: Option<MissingBin>,
}

impl Wire for Quantiser {
    type Run = program::Quantiser;

    fn of(run: Self::Run) -> Self {
        Self {
            feature: run.feature,
            name: run.name,
            splits: run.splits,
            missing: Wire::of(run.missing),
        }
    }

    fn run(self) -> Self::Run {
        program::Quantiser {
            feature: self.feature,
            name: self.name,
            splits: self.splits,
            missing: self.missing.run(),
            decimals: None,
        }
    }
}

wire_enums! {
    enum ColumnKind {
        Float32,
        Float64,
        Int64,
        Text,
    }
    enum Encoding {
        Selectors(encoding: SelectorEncoding),
        Linear(encoding: LinearEncoding),
        Integers(encoding: IntegerEncoding),
    }
    enum FeatureForm {
        Apart,
        Together,
    }
    enum MissingBin {
        First,
        Last,
    }
    enum Predicate {
        Bit(bit: u32),
        Within(ranges: Vec<(u32, u32)>),
    }
    enum OutputField {
        Label,
        Probabilities(classes: Vec<String>),
        Scores(classes: Vec<String>),
        Prediction,
        Deviation(classes: Vec<String>),
    }
}

impl FeatureForm {
    /// That of formats before 5, which do not say it.
    fn apart() -> Self {
        Self::Apart
    }

    fn is_apart(&self) -> bool {
        *self == Self::Apart
    }
}

impl Encoding {
    /// Whether it is of packed selectors.
    pub(super) fn is_packed(&self) -> bool {
        match self {
            Self::Selectors(encoding) => encoding.transport == Transport::Packed,
            Self::Integers(encoding) => encoding.transport == Transport::Packed,
            Self::Linear(_) => false,
        }
    }
}

wire_as_is!(
    bool,
    u32,
    f32,
    f64,
    String,
    (u32, u32),
    (u32, f32),
    (ScoreUnits, ScoreUnits),
    ScoreUnits,
    TorusFraction,
    Bits,
    Gadget,
    Transport
);

impl<T: Wire> Wire for Vec<T> {
    type Run = Vec<T::Run>;

    fn of(run: Self::Run) -> Self {
        run.into_iter().map(T::of).collect()
    }

    fn run(self) -> Self::Run {
        self.into_iter().map(T::run).collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    type Run = Option<T::Run>;

    fn of(run: Self::Run) -> Self {
        run.map(T::of)
    }

    fn run(self) -> Self::Run {
        self.map(T::run)
    }
}
