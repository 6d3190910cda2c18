//! The cheapest circuit that is precise enough.

use crate::backend::{Backend, Budget};
use crate::cost::{Costs, Work};
use crate::families::trees::binned::BinnedEnsemble;
use crate::families::trees::inputs::Weighing;
use crate::families::trees::lower::{Lowered, Shape, lower};
use crate::options::{Prefer, Profile};
use crate::report::Alternative;
use cipherfn_program::{Microseconds, TorusFraction};
use cipherfn_protocol::specs::Gadget;

mod precision;
mod queue;
mod search;

use precision::{Structure, amplitude, assess, provisional_units, resolution};
use queue::Candidate;
use search::Search;

#[cfg(test)]
mod tests;

/// What to choose for.
pub(crate) struct Problem<'a> {
    /// The trees.
    pub ensemble: &'a BinnedEnsemble,
    /// Whether selectors must not tell which split points are used.
    pub hides_use: bool,
    /// What is scarce.
    pub profile: Profile,
    /// Which of time and size to spare more.
    pub prefer: Option<Prefer>,
    /// Guaranteed bits wanted.
    pub target: f64,
    /// Parameter set and transport.
    pub backend: Backend,
    /// What leaves weigh, where they are linear.
    pub weighing: Option<&'a Weighing>,
}

impl Problem<'_> {
    /// The range of a coefficient, in score units, of which bits are guaranteed; it reaches `half` to
    /// either side.
    fn extent(&self, coefficient: usize, half: f64) -> f64 {
        match self.weighing {
            Some(weighing) if weighing.seen[coefficient] > 0.0 => weighing.seen[coefficient],
            _ => 2.0 * half,
        }
    }
}

/// A circuit with its parameters.
pub(crate) struct Choice {
    /// Forms of the features.
    pub shape: Shape,
    /// Gadget of the selectors.
    pub gadget: Gadget,
    /// The circuit; its constants are in units of the gadget's resolution.
    pub lowered: Lowered,
    /// Score units a unit, one a coefficient.
    pub units: Vec<f64>,
    /// Torus amplitude of an input at the end of its range, where leaves weigh inputs.
    pub delta: TorusFraction,
    /// Bound on the error of each coefficient.
    pub budget: Budget,
    /// Guaranteed bits of the worst coefficient.
    pub bits: f64,
    /// Work for one row.
    pub work: Work,
    /// Predicted time for it, by what it is spent on.
    pub stages: [(&'static str, Microseconds); 8],
    /// What each gadget would give.
    pub alternatives: Vec<Alternative>,
}

/// Candidates that are looked at in their final units: the leaves' rounding makes more subtrees
/// equal, and equal ones share their errors.
const MAX_SETTLED: usize = 8;

/// The cheapest choice that reaches the target, or the most precise one.
pub(crate) fn choose(problem: &Problem<'_>) -> Choice {
    let mut search = Search::new(problem);
    let mut candidates = search.candidates();
    let mut best: Option<Choice> = None;
    for _ in 0..MAX_SETTLED {
        let Some(Candidate { shape, gadget, .. }) = candidates.next(&mut search) else {
            break;
        };
        let choice = settle(problem, search.structure(&shape), shape.clone(), gadget);
        let reached = choice.bits >= problem.target;
        if best.as_ref().is_none_or(|best| choice.bits > best.bits) {
            best = Some(choice);
        }
        if reached {
            break;
        }
    }
    let mut best = best.expect("every ensemble can be lowered");
    best.alternatives = search.alternatives(&best.shape);
    best
}

/// A shape's circuit in its final units, from the one in provisional units.
fn settle(problem: &Problem<'_>, rough: &Structure, shape: Shape, gadget: Gadget) -> Choice {
    let backend = problem.backend;
    let n = backend.set.ring.polynomial_size as u32;
    let provisional = provisional_units(problem.ensemble);
    let rough_assessment = assess(problem, gadget, rough, &provisional, None);
    let delta = rough_assessment.delta;
    let resolution = resolution(gadget);
    let room = amplitude(&rough_assessment.budget, rough_assessment.rounding);
    let units: Vec<f64> = rough
        .half
        .iter()
        .map(|half| half / room * resolution)
        .collect();
    let weight = delta / resolution;
    let slots = problem.ensemble.layout.units(&units, weight);
    let lowered = lower(problem.ensemble, &shape, problem.hides_use, n, &slots);
    let fine = Structure::new(lowered, (&units, weight));
    let budget = assess(problem, gadget, &fine, &units, Some(delta)).budget;
    let Structure { lowered, half, .. } = fine;
    let coefficients = half.iter().zip(&units).zip(&lowered.rounding);
    let bits = coefficients
        .enumerate()
        .map(|(coefficient, ((half, unit), rounding))| {
            let precision = (1.5 * budget.error.get() / resolution + rounding) * unit;
            (problem.extent(coefficient, *half) / precision).log2()
        });
    let bits = bits.fold(f64::INFINITY, f64::min);
    let work = lowered.work(gadget, backend);
    let stages = Costs::of(backend.set).stages(&work, gadget);
    Choice {
        shape,
        gadget,
        lowered,
        units,
        delta: TorusFraction::new(delta),
        budget,
        bits,
        work,
        stages,
        alternatives: Vec::new(),
    }
}
