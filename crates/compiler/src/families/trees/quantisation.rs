//! Split points of every feature.

use crate::decoys::{Draw, Grain, Style};
use crate::families::trees::bins::BinSet;
use crate::features::{CategorySet, Features};
use crate::model::{Test, TreeEnsemble, TreeNode};
use crate::options::FeatureMode;
use cipherfn_program::split_of_decimals;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{MissingBin, Quantiser};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::iter;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// What is known of a feature besides its tests in the trees.
#[derive(Clone, Debug)]
pub(crate) struct FeatureInfo {
    /// Name for errors and reports.
    pub name: String,
    /// Whether a missing value can reach the trees and means something to them.
    pub missing: bool,
    /// Decimals that its values have at most, where that is known.
    pub decimals: Option<u32>,
    /// Its values in the calibration rows, finite, sorted.
    pub values: Vec<f32>,
    /// All its split points, decoys among them, where they are drawn already.
    pub mixed: Option<Vec<f32>>,
    /// The set of categories that its tests ask for, if it holds a category.
    pub set: Option<CategorySet>,
}

impl FeatureInfo {
    /// What calibration rows show of all features.
    pub(crate) fn of(features: &Features) -> Vec<Self> {
        let info = |index: usize| {
            let mut values: Vec<f32> = features.finite_values(index).collect();
            values.sort_unstable_by(f32::total_cmp);
            Self {
                name: features.names[index].clone(),
                missing: features.missing[index],
                decimals: features.decimals[index],
                values,
                mixed: features.mixed.get(&index).cloned(),
                set: features.sets.get(&index).cloned(),
            }
        };
        (0..features.names.len()).map(info).collect()
    }
}

/// The quantisers of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantisation {
    /// One a feature, in the order of features.
    pub quantisers: Vec<Quantiser>,
    /// Whether the selectors must not tell which split points the trees use.
    pub hides_use: bool,
    /// Features whose tests are asked of a category.
    sets: BTreeMap<u32, CategorySet>,
    /// Values in the calibration rows, sorted, a quantiser, for a grid.
    values: Vec<Vec<f32>>,
    mode: FeatureMode,
}

impl Quantisation {
    /// Fits quantisers. Decoys are drawn from `model`, a hash of the model.
    pub(crate) fn fit(
        trees: &TreeEnsemble,
        features: &[FeatureInfo],
        mode: FeatureMode,
        model: Hash,
    ) -> Self {
        let mut uses = uses(trees);
        if matches!(mode, FeatureMode::Exact { .. }) {
            for (feature, usage) in &mut uses {
                usage.merge(features[*feature as usize].decimals);
            }
        }
        let (decoys, hides_use) = match mode {
            FeatureMode::Exact { decoys } => (decoys, decoys > 0),
            FeatureMode::Grid { .. } => (0, true),
        };
        let draw = draw(&uses, features, model);
        let quantiser = |(index, info): (usize, &FeatureInfo)| {
            let feature = index as u32;
            let usage = uses.get(&feature);
            let is_other = |set: &CategorySet| set.feature != index;
            if info.set.as_ref().is_some_and(is_other) {
                return None;
            }
            if usage.is_none() && info.set.is_none() && decoys == 0 {
                return None;
            }
            let real = usage.map_or(&[][..], |usage| usage.splits.as_slice());
            let splits = match mode {
                _ if info.set.is_some() => between_places(info.set.as_ref()),
                FeatureMode::Exact { .. } if decoys > 0 => {
                    info.mixed.clone().unwrap_or_else(|| {
                        let mixed = draw.mix_in(&wide(real), &wide(&info.values), decoys, feature);
                        mixed.into_iter().map(|split| split as f32).collect()
                    })
                }
                FeatureMode::Exact { .. } => real.to_vec(),
                FeatureMode::Grid { bits } => quantile_splits(&info.values, bits),
            };
            // With missing values on the side that most tests send them to, those tests stay single
            // ranges.
            let missing_first = usage.is_some_and(|usage| usage.missing_yes < 0);
            let missing = info.missing.then_some(if missing_first {
                MissingBin::First
            } else {
                MissingBin::Last
            });
            Some(Quantiser {
                feature,
                name: info.name.clone(),
                splits,
                missing,
                decimals: usage
                    .filter(|_| info.set.is_none())
                    .and_then(|usage| usage.decimals),
            })
        };
        let quantisers = features.iter().enumerate().filter_map(quantiser);
        let quantisers: Vec<Quantiser> = quantisers.collect();
        let values = |own: &Quantiser| features[own.feature as usize].values.clone();
        let values = match mode {
            FeatureMode::Exact { .. } => Vec::new(),
            FeatureMode::Grid { .. } => quantisers.iter().map(values).collect(),
        };
        let sets = features.iter().zip(0..);
        let sets = sets.filter_map(|(info, feature)| Some((feature, info.set.clone()?)));
        Self {
            quantisers,
            hides_use,
            sets: sets.collect(),
            values,
            mode,
        }
    }

    /// Split points of all quantisers.
    pub(crate) fn splits(&self) -> usize {
        let own = self.quantisers.iter();
        own.map(|quantiser| quantiser.splits.len()).sum()
    }

    /// How many split points there were if the decimals of the calibration rows were declared; `None`
    /// where as many.
    pub(crate) fn with_decimals(
        &self,
        trees: &TreeEnsemble,
        features: &Features,
        model: Hash,
    ) -> Option<usize> {
        if self.mode != (FeatureMode::Exact { decoys: 0 }) {
            return None;
        }
        let mut infos = FeatureInfo::of(features);
        for (info, decimals) in infos.iter_mut().zip(features.decimals_of_rows()) {
            info.decimals = decimals;
        }
        let fewer = Self::fit(trees, &infos, self.mode, model).splits();
        (fewer < self.splits()).then_some(fewer)
    }

    /// Of which quantiser a test asks, and the bins where it says yes.
    pub(crate) fn question(
        &self,
        feature: u32,
        test: Test,
        missing_goes_yes: bool,
    ) -> Option<(u32, BinSet)> {
        let set = self.sets.get(&feature);
        let quantiser = self.quantiser_of(set.map_or(feature, |set| set.feature as u32))?;
        let answer = match set {
            None => self.answer(quantiser, test, missing_goes_yes),
            Some(set) => {
                let member = |place: &u32| {
                    let is_member = set.members.binary_search(place).is_ok();
                    test.holds(f32::from(u8::from(is_member)))
                };
                let places = (0..=set.categories).filter(member);
                let ranges = places.map(|place| (place, place + 1));
                self.with_missing(quantiser, ranges, missing_goes_yes)
            }
        };
        Some((quantiser, answer))
    }

    /// Index of a feature's quantiser.
    fn quantiser_of(&self, feature: u32) -> Option<u32> {
        self.quantisers
            .binary_search_by_key(&feature, |quantiser| quantiser.feature)
            .ok()
            .map(|index| index as u32)
    }

    /// Bins of quantiser `index` where `test` says yes.
    fn answer(&self, index: u32, test: Test, missing_goes_yes: bool) -> BinSet {
        let quantiser = &self.quantisers[index as usize];
        let splits = &quantiser.splits;
        let ordinary = splits.len() as u32 + 1;
        let exceeded = |value: f32| splits.partition_point(|split| value > *split) as u32;
        let (start, end) = match (test, self.mode) {
            // The bin index is the number of splits exceeded: a value above the split at index `i`
            // has at least `i + 1`.
            (Test::Greater(threshold), FeatureMode::Exact { .. }) => {
                let own = quantiser.decimals;
                let threshold = own.map_or(threshold, |own| split_of_decimals(threshold, own));
                (exceeded(threshold) + 1, ordinary)
            }
            (Test::Greater(threshold), FeatureMode::Grid { .. }) => (
                nearest(splits, &self.values[index as usize], threshold) + 1,
                ordinary,
            ),
            (Test::Equal(value), _) => (exceeded(value), exceeded(value) + 1),
        };
        self.with_missing(index, iter::once((start, end)), missing_goes_yes)
    }

    /// Ranges of the bins of values, and the bin of missing values where these go to yes.
    fn with_missing(
        &self,
        index: u32,
        ranges: impl Iterator<Item = (u32, u32)>,
        missing_goes_yes: bool,
    ) -> BinSet {
        let quantiser = &self.quantisers[index as usize];
        let shift = u32::from(quantiser.missing == Some(MissingBin::First));
        let yes = ranges.fold(BinSet::default(), |yes, (start, end)| {
            yes.union(&BinSet::range(start + shift, end + shift))
        });
        match quantiser.missing_bin() {
            Some(bin) if missing_goes_yes => yes.union(&BinSet::range(bin, bin + 1)),
            _ => yes,
        }
    }
}

/// What the trees ask of one feature.
#[derive(Default)]
struct Usage {
    /// Split points that answer every test exactly, increasing.
    splits: Vec<f32>,
    /// Tests of `>` that send missing values to yes, less those that send them to no.
    missing_yes: i64,
    /// Whether some test is of equality, whose split points lie around single values.
    equal: bool,
    /// Decimals of values that the split points rely on.
    decimals: Option<u32>,
}

impl Usage {
    /// Makes one of split points that no value of so many decimals separates, if there are any.
    fn merge(&mut self, decimals: Option<u32>) {
        let Some(decimals) = decimals.filter(|_| !self.equal) else {
            return;
        };
        let own = self.splits.iter();
        let mut merged: Vec<f32> = own
            .map(|split| split_of_decimals(*split, decimals))
            .collect();
        merged.dedup();
        if merged.len() < self.splits.len() {
            self.splits = merged;
            self.decimals = Some(decimals);
        }
    }
}

fn uses(trees: &TreeEnsemble) -> BTreeMap<u32, Usage> {
    let mut uses: BTreeMap<u32, Usage> = BTreeMap::new();
    for node in trees.trees.iter().flat_map(|tree| &tree.nodes) {
        let TreeNode::Split {
            feature,
            test,
            missing_goes_yes,
            ..
        } = node
        else {
            continue;
        };
        let usage = uses.entry(*feature).or_default();
        match *test {
            Test::Greater(threshold) => {
                usage.splits.push(threshold + 0.0);
                usage.missing_yes += if *missing_goes_yes { 1 } else { -1 };
            }
            // x == v: x exceeds the float below v, and does not exceed v.
            Test::Equal(value) => {
                usage.equal = true;
                usage.splits.extend(
                    [(value + 0.0).next_down(), value + 0.0]
                        .into_iter()
                        .filter(|split| split.is_finite()),
                );
            }
        }
    }
    for usage in uses.values_mut() {
        usage.splits.sort_unstable_by(f32::total_cmp);
        usage.splits.dedup();
    }
    uses
}

/// Splits between the places of categories.
fn between_places(set: Option<&CategorySet>) -> Vec<f32> {
    let places = 0..set.map_or(0, |set| set.categories);
    places.map(|place| place as f32 + 0.5).collect()
}

/// Decoys like the split points of all features.
fn draw(uses: &BTreeMap<u32, Usage>, features: &[FeatureInfo], model: Hash) -> Draw {
    let pair = |(feature, usage): (&u32, &Usage)| {
        let values = &features[*feature as usize].values;
        (wide(&usage.splits), wide(values))
    };
    let pairs: Vec<(Vec<f64>, Vec<f64>)> = uses.iter().map(pair).collect();
    let pairs = pairs
        .iter()
        .map(|(splits, values)| (splits.as_slice(), values.as_slice()));
    Draw {
        style: Style::of(pairs, Grain::Single),
        grain: Grain::Single,
        told_by: Grain::Single,
        model,
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Index of the split that stands for `threshold`: fewest of the sorted `values` lie between the two,
/// so that fewest rows change sides. Of two such ones the nearer, or the lower.
fn nearest(splits: &[f32], values: &[f32], threshold: f32) -> u32 {
    let rank = |split: f32| values.partition_point(|value| *value <= split);
    let own = rank(threshold);
    let distance = |index: usize| {
        let split = splits[index];
        (
            rank(split).abs_diff(own),
            (f64::from(split) - f64::from(threshold)).abs(),
        )
    };
    let above = splits.partition_point(|split| rank(*split) < own);
    let around = above.saturating_sub(1)..splits.len().min(above + 2);
    let nearest = around.reduce(|best, other| {
        if distance(other) < distance(best) {
            other
        } else {
            best
        }
    });
    nearest.unwrap_or(0) as u32
}

/// At most `2^bits - 1` split points between the sorted `values`, with about equally many values in
/// every bin; between all distinct values where these are few.
///
/// A quantile inside a run of equal values moves to the nearer end of the run, and where several
/// quantiles meet the fullest bins are halved in their place: without both, a column of whole
/// numbers keeps a fifth of its edges, and a model loses as much of its thresholds.
fn quantile_splits(values: &[f32], bits: u32) -> Vec<f32> {
    let bins = 1_usize << bits;
    let quantile = |index: usize| boundary(values, 0..values.len(), index * values.len() / bins);
    let mut cuts: BTreeSet<usize> = (1..bins).filter_map(quantile).collect();
    let ends = || cuts.iter().copied().chain([values.len()]);
    let bin = |(start, end): (usize, usize)| (end - start, Reverse(start));
    let mut open: BinaryHeap<_> = iter::once(0).chain(ends()).zip(ends()).map(bin).collect();
    while cuts.len() + 1 < bins
        && let Some((len, Reverse(start))) = open.pop()
    {
        let end = start + len;
        if let Some(cut) = boundary(values, start..end, start + len / 2) {
            cuts.insert(cut);
            open.extend([(start, cut), (cut, end)].map(bin));
        }
    }
    if cuts.is_empty() {
        return vec![values.first().copied().unwrap_or(0.0)];
    }
    cuts.into_iter()
        .map(|cut| between(values[cut - 1], values[cut]))
        .collect()
}

/// The index nearest to `at`, inside `range`, where a value differs from the one before it.
fn boundary(values: &[f32], range: Range<usize>, at: usize) -> Option<usize> {
    let value = *values[range.clone()].get(at - range.start)?;
    let own = &values[range.clone()];
    let run = [
        range.start + own.partition_point(|other| *other < value),
        range.start + own.partition_point(|other| *other <= value),
    ];
    run.into_iter()
        .filter(|end| range.start < *end && *end < range.end)
        .min_by_key(|end| end.abs_diff(at))
}

fn between(low: f32, high: f32) -> f32 {
    Grain::Single.between(low.into(), high.into()) as f32
}
