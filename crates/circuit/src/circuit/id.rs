//! Names of a circuit's parts: an index into the list that holds it, and no other list.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// Place in the list.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        /// The letter of the text form and the index.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A [`Node`](super::Node) of a circuit; a node refers only to earlier ones.
    NodeId,
    "n"
);
id!(
    /// A [`Constant`](super::Constant) of a circuit.
    ConstantId,
    "c"
);
id!(
    /// An [`Input`](super::Input) of a circuit.
    InputId,
    "i"
);
id!(
    /// An [`Output`](super::Output) of a circuit.
    OutputId,
    "o"
);

/// One selector of an input that is a group of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorId {
    /// The group.
    pub input: InputId,
    /// Place in the group.
    pub index: u32,
}

impl SelectorId {
    /// Selector `index` of the first input.
    pub const fn first(index: u32) -> Self {
        Self {
            input: InputId(0),
            index,
        }
    }
}

/// The group and the place in it.
impl fmt::Display for SelectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.input, self.index)
    }
}
