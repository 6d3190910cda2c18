//! Sets of categories: the client tells which category a row has, and the circuit knows the sets.

use super::program::ProgramCopy;
use crate::error::CompileError;
use crate::features::CategorySet;
use crate::model::Model;
use cipherfn_program::{Op, Tensor, ValueId};
use std::collections::{BTreeSet, HashMap};

/// Bits of the feature of members.
const ONE: u32 = 1.0_f32.to_bits();

/// A feature that is 1 for the members of a set of categories, and 0 for others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    feature: usize,
    /// The step that looks up ...
    made: ValueId,
    /// ... this value ...
    argument: ValueId,
    /// ... among these: the members, and NaN where a missing category stays missing.
    keys: Tensor,
}

/// The categories of a value that some set is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AskedSets {
    argument: ValueId,
    /// The look-ups.
    made: BTreeSet<ValueId>,
    /// The first feature that is one of them.
    feature: usize,
    /// All categories of all sets and of the rows.
    categories: CategoryValues,
    /// Whether a missing category stays missing.
    missing: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum CategoryValues {
    Codes(Vec<f32>),
    Texts(Vec<String>),
}

impl AskedSets {
    /// Whether a value is one of the look-ups.
    pub(super) fn replaces(&self, value: ValueId) -> bool {
        self.made.contains(&value)
    }
}

/// For each feature that was a member of a set, the places of the set's members.
pub(super) fn of(members: &[Member], known: &[AskedSets]) -> HashMap<usize, CategorySet> {
    let set = |member: &Member| {
        let known = known.iter().find(|known| known.replaces(member.made))?;
        let set = CategorySet {
            feature: known.feature,
            members: known.categories.places(&member.keys),
            categories: known.categories.len() as u32,
        };
        Some((member.feature, set))
    };
    members.iter().filter_map(set).collect()
}

impl CategoryValues {
    fn len(&self) -> usize {
        match self {
            Self::Codes(codes) => codes.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    fn of(tensors: &[&Tensor]) -> Self {
        let texts = tensors.iter().filter_map(|tensor| match tensor {
            Tensor::Text(texts) => Some(texts.clone()),
            _ => None,
        });
        let mut texts = texts.flatten().collect::<Vec<_>>();
        let codes = tensors.iter().filter_map(|tensor| match tensor {
            Tensor::F32(codes) => Some(codes.clone()),
            _ => None,
        });
        let mut codes: Vec<f32> = codes.flatten().filter(|code| code.is_finite()).collect();
        if texts.is_empty() {
            codes.sort_unstable_by(f32::total_cmp);
            codes.dedup();
            return Self::Codes(codes);
        }
        texts.sort_unstable();
        texts.dedup();
        Self::Texts(texts)
    }

    fn places(&self, keys: &Tensor) -> Vec<u32> {
        let found: Vec<Option<usize>> = match (self, keys) {
            (Self::Codes(all), Tensor::F32(keys)) => {
                let place = |key: &f32| all.binary_search_by(|own| own.total_cmp(key)).ok();
                keys.iter().map(place).collect()
            }
            (Self::Texts(all), Tensor::Text(keys)) => {
                keys.iter().map(|key| all.binary_search(key).ok()).collect()
            }
            _ => Vec::new(),
        };
        let mut places: Vec<u32> = found
            .into_iter()
            .flatten()
            .map(|place| place as u32)
            .collect();
        places.sort_unstable();
        places
    }
}

impl ProgramCopy<'_> {
    /// The features that are members of sets, of a library's own file: what an exported graph looks
    /// up may have other uses.
    pub(super) fn members(&self, model: &Model) -> Vec<Member> {
        if model.summary.exported {
            return Vec::new();
        }
        let member = |feature: usize| {
            let (made, _) = self.trace(feature)?;
            let Op::Encode {
                argument,
                keys,
                values: Tensor::F32(values),
                default: Some(Tensor::F32(default)),
            } = self.op(made)?
            else {
                return None;
            };
            let is_set = values
                .iter()
                .all(|value| value.is_nan() || value.to_bits() == ONE)
                && default.iter().all(|default| *default == 0.0)
                && self.len(*argument) == 1;
            is_set.then(|| Member {
                feature,
                made,
                argument: *argument,
                keys: keys.clone(),
            })
        };
        (0..model.features).filter_map(member).collect()
    }

    /// The categories of every value that is looked up.
    pub(super) fn categories(
        &self,
        members: &[Member],
        rows: &[Vec<Tensor>],
    ) -> Result<Vec<AskedSets>, CompileError> {
        let arguments: BTreeSet<ValueId> = members.iter().map(|member| member.argument).collect();
        let ids: Vec<ValueId> = arguments.iter().map(|id| self.ids[id.index()]).collect();
        let program = self.builder.finish(&ids)?;
        let seen = rows.iter().map(|row| Ok(program.run(row.clone())?));
        let seen: Vec<Vec<Tensor>> = seen.collect::<Result<_, CompileError>>()?;
        let known = arguments.iter().enumerate().map(|(place, &argument)| {
            let own: Vec<&Member> = members
                .iter()
                .filter(|member| member.argument == argument)
                .collect();
            let keys = own.iter().map(|member| &member.keys);
            let all: Vec<&Tensor> = keys.chain(seen.iter().map(|row| &row[place])).collect();
            let is_missing = |member: &&Member| match &member.keys {
                Tensor::F32(keys) => keys.iter().any(|key| key.is_nan()),
                _ => false,
            };
            AskedSets {
                argument,
                made: own.iter().map(|member| member.made).collect(),
                feature: own[0].feature,
                categories: CategoryValues::of(&all),
                missing: own.iter().any(is_missing),
            }
        });
        Ok(known.collect())
    }

    /// The place of a value's category, and one more for any other.
    pub(super) fn category(
        &mut self,
        node: &str,
        known: &AskedSets,
    ) -> Result<ValueId, CompileError> {
        let count = known.categories.len();
        let mut values: Vec<f32> = (0..count).map(|place| place as f32).collect();
        let keys = match &known.categories {
            CategoryValues::Texts(texts) => Tensor::Text(texts.clone()),
            CategoryValues::Codes(codes) => {
                let missing = known.missing.then_some(f32::NAN);
                values.extend(missing);
                Tensor::F32(codes.iter().copied().chain(missing).collect())
            }
        };
        let encode = Op::Encode {
            argument: self.ids[known.argument.index()],
            keys,
            values: Tensor::F32(values),
            default: Some(Tensor::F32(vec![count as f32])),
        };
        Ok(self.builder.push(node, encode)?)
    }
}
