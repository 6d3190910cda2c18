use super::*;
use crate::cost::Takes;
use crate::families::scores::ScoreMap;
use crate::families::trees::forms::Form;
use crate::families::trees::quantisation::{FeatureInfo, Quantisation};
use crate::model::{Test, Tree, TreeEnsemble, TreeNode};
use crate::options::FeatureMode;
use cipherfn_protocol::hash::Hash;

const FEATURES: u32 = 30;

/// Numbers from a linear congruential generator.
struct Generator(u64);

impl Generator {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

/// A complete tree with random questions and leaves.
fn tree(numbers: &mut Generator, depth: u32, thresholds: u32) -> Tree {
    let inner = (1_u32 << depth) - 1;
    let split = |index: u32, numbers: &mut Generator| TreeNode::Split {
        feature: numbers.below(FEATURES),
        test: Test::Greater(numbers.below(thresholds) as f32 + 0.5),
        missing_goes_yes: false,
        yes: 2 * index + 1,
        no: 2 * index + 2,
    };
    let mut nodes: Vec<TreeNode> = (0..inner).map(|index| split(index, numbers)).collect();
    nodes.extend(
        (0..=inner)
            .map(|_| TreeNode::Leaf(vec![(0, f64::from(numbers.below(2001)) / 1000.0 - 1.0)])),
    );
    Tree { nodes }
}

fn binned(trees: u32, depth: u32, thresholds: u32, mode: FeatureMode) -> (BinnedEnsemble, bool) {
    let mut numbers = Generator(1);
    let trees = (0..trees)
        .map(|_| tree(&mut numbers, depth, thresholds))
        .collect();
    let trees = TreeEnsemble {
        scores: 1,
        base: vec![0.0],
        trees,
    };
    let values: Vec<f32> = (0..=thresholds).map(|value| value as f32).collect();
    let info = |index| FeatureInfo {
        name: format!("f{index}"),
        missing: false,
        decimals: None,
        values: values.clone(),
        mixed: None,
        set: None,
    };
    let features: Vec<FeatureInfo> = (0..FEATURES).map(info).collect();
    let quantisation = Quantisation::fit(&trees, &features, mode, Hash::of(b"model"));
    (
        BinnedEnsemble::new(&trees, &quantisation, &ScoreMap::of_trees(&trees), None),
        quantisation.hides_use,
    )
}

/// The choice under the profile's first parameter set.
fn chosen(ensemble: &BinnedEnsemble, hides_use: bool, profile: Profile, target: f64) -> Choice {
    choose(&problem(ensemble, hides_use, profile, target))
}

fn problem(
    ensemble: &BinnedEnsemble,
    hides_use: bool,
    profile: Profile,
    target: f64,
) -> Problem<'_> {
    Problem {
        ensemble,
        hides_use,
        profile,
        prefer: None,
        target,
        backend: Backend::for_profile(profile, 1)[0],
        weighing: None,
    }
}

fn microseconds(choice: &Choice) -> f64 {
    choice.stages.iter().map(|stage| stage.1.get()).sum()
}

#[test]
fn a_hundred_random_trees_on_a_grid() {
    let (ensemble, hides_use) = binned(100, 6, 63, FeatureMode::Grid { bits: 6 });
    let choice = chosen(&ensemble, hides_use, Profile::Balanced, 8.5);
    println!(
        "{:?} {:?} {:.2} bits, {:.1} ms",
        choice.gadget,
        choice.work,
        choice.bits,
        microseconds(&choice) / 1000.0
    );
    assert!(choice.bits >= 8.5, "{}", choice.bits);
    let mut names = choice.shape.forms.iter().map(Form::name);
    let first = names.next().unwrap();
    assert!(
        names.all(|name| name == first),
        "alike features get one form"
    );
}

#[test]
fn one_large_tree_of_fine_features() {
    let (ensemble, hides_use) = binned(1, 10, 60_000, FeatureMode::Exact { decoys: 0 });
    let choice = chosen(&ensemble, hides_use, Profile::Balanced, 10.0);
    println!(
        "{:?} {:?} {:.2} bits, {:.1} ms",
        choice.gadget,
        choice.work,
        choice.bits,
        microseconds(&choice) / 1000.0
    );
    assert!(choice.bits >= 10.0, "{}", choice.bits);
}

#[test]
fn stumps_with_many_split_points_become_tables() {
    let (ensemble, hides_use) = binned(1500, 1, 255, FeatureMode::Exact { decoys: 0 });
    let choice = chosen(&ensemble, hides_use, Profile::Balanced, 9.0);
    println!("{:?} {:.2} bits", choice.work, choice.bits);
    assert!(choice.bits >= 9.0, "{}", choice.bits);
    assert!(choice.shape.tables, "{:?}", choice.shape);
    // A selector a bit of some fifty bins, and a choice a selector.
    let work = choice.work;
    assert!(work.selectors <= FEATURES * 6, "{work:?}");
    assert!(
        work.cmuxes + work.polynomial_selects <= work.selectors,
        "{work:?}"
    );
}

#[test]
fn the_compact_profile_has_the_fewest_bytes() {
    let (ensemble, hides_use) = binned(10, 4, 15, FeatureMode::Exact { decoys: 0 });
    let [balanced, compact, keyless] = [Profile::Balanced, Profile::Compact, Profile::Keyless]
        .map(|profile| chosen(&ensemble, hides_use, profile, 9.0));
    let bytes = |choice: &Choice, profile| {
        let backend = Backend::for_profile(profile, 1)[0];
        backend.key_bytes() + backend.query_bytes(choice.work.selectors, choice.gadget)
    };
    let (fewest, usual) = (
        bytes(&compact, Profile::Compact),
        bytes(&balanced, Profile::Balanced),
    );
    assert!(fewest < usual, "{fewest} {usual}");
    assert_eq!(keyless.work.slots, 0, "selectors travel whole");
    assert!(balanced.bits >= 9.0 && compact.bits >= 9.0 && keyless.bits >= 9.0);
}

#[test]
fn more_precision_never_costs_less() {
    let (ensemble, hides_use) = binned(20, 4, 31, FeatureMode::Exact { decoys: 0 });
    let choices =
        [6.0, 9.0, 11.0].map(|target| chosen(&ensemble, hides_use, Profile::Balanced, target));
    let times: Vec<f64> = choices.iter().map(microseconds).collect();
    assert!(times.is_sorted(), "{times:?}");
    for choice in &choices {
        let others = &choice.alternatives;
        let own = others.iter().find(|other| other.gadget == choice.gadget);
        let own = own.expect("the gadget that is chosen is among them");
        let (own_time, time) = (own.microseconds.get(), microseconds(choice));
        assert!((own_time - time).abs() < 0.1 * own_time);
        assert!(
            others.iter().any(|other| other.bits > own.bits),
            "{others:?}"
        );
    }
}

#[test]
fn time_and_size_are_spared_as_preferred() {
    let (ensemble, hides_use) = binned(100, 6, 255, FeatureMode::Exact { decoys: 0 });
    let preferring = |prefer| {
        let problem = Problem {
            prefer: Some(prefer),
            ..problem(&ensemble, hides_use, Profile::Balanced, 8.0)
        };
        let choice = choose(&problem);
        assert!(choice.bits >= 8.0, "{}", choice.bits);
        (microseconds(&choice), choice.work.slots)
    };
    let (time, size) = (preferring(Prefer::Time), preferring(Prefer::Size));
    assert!(time.0 < size.0 && time.1 > size.1, "{time:?} {size:?}");
}

#[test]
fn no_preference_finds_what_another_would_rather_have() {
    for mode in [
        FeatureMode::Exact { decoys: 0 },
        FeatureMode::Grid { bits: 5 },
    ] {
        let (ensemble, hides_use) = binned(12, 4, 31, mode);
        let problem = |prefer| Problem {
            prefer,
            ..problem(&ensemble, hides_use, Profile::Balanced, 8.0)
        };
        let preferences = [None, Some(Prefer::Time), Some(Prefer::Size)];
        let choices = preferences.map(|prefer| choose(&problem(prefer)));
        for (prefer, own) in preferences.into_iter().zip(&choices) {
            let price = |choice: &Choice| price(choice, &problem(prefer));
            let cheapest = choices.iter().map(price).fold(f64::INFINITY, f64::min);
            assert!(price(own) <= cheapest, "{mode:?} {prefer:?}");
        }
    }
}

/// What `problem` minimises.
fn price(choice: &Choice, problem: &Problem<'_>) -> f64 {
    let Problem {
        profile,
        prefer,
        backend,
        ..
    } = *problem;
    let costs = Costs::of(backend.set);
    let takes = Takes {
        time: costs.time(&choice.work, choice.gadget),
        memory: costs.memory(&choice.work, choice.gadget),
        query: backend.priced_query_bytes(&choice.work, choice.gadget, profile),
    };
    takes.price((profile, prefer), backend.key_bytes())
}
