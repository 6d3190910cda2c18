//! Key part, gadget of the selectors, steps of the features: the cheapest that keep the labels, and
//! predictions within the error that they may have, when the calibration rows are simulated.

use super::super::answers::cheapest;
use super::super::choice::gadget;
use super::super::layers::{BootstrapPart, bootstrap_parts};
use super::choice::StackedChoice;
use super::circuit::StackedCircuit;
use super::forms::{self, ERRORS, FittedForms, fitted};
use super::problem::StackedProblem;
use crate::cost::{Costs, Takes};
use crate::error::CompileError;
use cipherfn_protocol::specs::{Bits, Gadget};
use std::rc::Rc;

/// Gadgets of selectors that are made of numbers, from the cheapest and noisiest on: more levels make
/// numbers coarser and leaves more exact.
const GADGETS: [Gadget; 3] = [gadget(8, 2), gadget(6, 3), gadget(5, 4)];
/// Levels of a rotation whose results are exact enough for selectors.
const LEAST_LEVELS: u32 = 2;

/// What is decided.
pub(super) struct StackedCandidate {
    pub(super) of: BootstrapPart,
    pub(super) gadget: Gadget,
    /// Comparisons of forms of the row, where there are any.
    pub(super) forms: Option<Rc<FittedForms>>,
    price: f64,
}

impl StackedProblem<'_> {
    /// The cheapest choice that is faithful enough, or the most faithful one.
    pub(super) fn choose(&self) -> Result<StackedChoice, CompileError> {
        let candidates = self.candidates()?;
        let choices = candidates.iter().map(|candidate| self.choice(candidate));
        let best = cheapest(
            choices,
            self.setting.options,
            StackedChoice::answers,
            |_| true,
        )?;
        let node = self.model.node.clone();
        best.ok_or(CompileError::NoisyLayer { node })
    }

    /// By price.
    fn candidates(&self) -> Result<Vec<StackedCandidate>, CompileError> {
        let backend = self.setting.backend;
        let options = self.setting.options;
        let parts = self.parts()?;
        let steps = self.fitted()?;
        let first = steps.first().and_then(Option::as_deref);
        let (_, number_choices) = StackedCircuit {
            problem: self,
            of: parts[0],
            gadget: GADGETS[0],
            forms: first,
            reply_bits: Bits::ALL,
        }
        .circuit();
        if number_choices == 0 {
            return Err(CompileError::Constant);
        }
        let mut candidates = Vec::new();
        for of in parts {
            let costs = Costs::of(backend.set).with_bootstrap(of.bootstrap);
            let key = backend.file_bytes(backend.expansion().iter().chain([of.part]));
            for gadget in GADGETS {
                for forms in &steps {
                    let work = self.work(forms.as_deref(), number_choices);
                    let choices = costs.number_choices(number_choices, gadget);
                    let takes = Takes {
                        time: costs.time(&work, forms::GADGET) + choices,
                        memory: costs.memory(&work, forms::GADGET),
                        query: backend.priced_query_bytes(&work, forms::GADGET, options.profile),
                    };
                    candidates.push(StackedCandidate {
                        of,
                        gadget,
                        forms: forms.clone(),
                        price: takes.price((options.profile, options.prefer), key),
                    });
                }
            }
        }
        candidates.sort_by(|one, other| one.price.total_cmp(&other.price));
        Ok(candidates)
    }

    /// Key parts that make selectors, and that the numbers' own bootstraps can be taken by.
    fn parts(&self) -> Result<Vec<BootstrapPart>, CompileError> {
        let parts = bootstrap_parts(self.setting).into_iter();
        let exact = parts.filter(|of| of.bootstrap.rotation.levels.get() >= LEAST_LEVELS);
        let parts: Vec<BootstrapPart> = exact
            .filter(|of| self.scored.iter().all(|score| score.allows(*of)))
            .collect();
        if parts.is_empty() {
            return Err(CompileError::UnsupportedModel {
                problem: format!(
                    "node \"{}\" compares numbers of networks that bootstrap by different key parts",
                    self.model.node
                ),
                supported: "one such network; or --combiner client, where the trees have at most \
                            1,024 nodes"
                    .into(),
            });
        }
        Ok(parts)
    }

    /// Comparisons of forms of the row in steps, the coarsest first; one entry without any.
    fn fitted(&self) -> Result<Vec<Option<Rc<FittedForms>>>, CompileError> {
        if self.forms.is_empty() {
            return Ok(vec![None]);
        }
        let comparisons = self.model.comparisons.len();
        let size = self.setting.backend.set.ring.polynomial_size;
        let node = &self.model.node;
        let of = |error: &f64| {
            let error = (error.exp2(), size);
            fitted(
                &self.forms,
                comparisons,
                &self.spans,
                &self.rows,
                error,
                node,
            )
        };
        let all = ERRORS.iter().map(of).collect::<Result<Vec<_>, _>>()?;
        if all.iter().all(|forms| forms.selectors == 0) {
            let node = node.clone();
            return Err(CompileError::StillLayer { node });
        }
        Ok(all.into_iter().map(|forms| Some(Rc::new(forms))).collect())
    }
}
