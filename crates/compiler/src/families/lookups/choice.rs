//! Steps of the features, gadget and weights: the cheapest that keep the labels, and the scores
//! within a hundredth of their range, when the calibration rows are simulated.

use super::circuit::{self, CircuitParts, packing_variance};
use super::curve::{Curve, Functions};
use super::fidelity::{Fidelity, STRICTER, SimulatedModel};
use super::grid::{Span, grids};
use super::kernels::check_tables;
use super::layer::{BitColumns, Unit, units};
use super::lines::Lines;
use super::outputs::{OutputFit, OutputSums, check_scores};
use super::rows::{check_finite, fitted_rows};
use crate::backend::Budget;
use crate::cost::{Costs, Takes, Work};
use crate::error::CompileError;
use crate::families::Setting;
use crate::model::{LinearForm, LookupModel};
use crate::simulate::Gaussian;
use cipherfn_program::Microseconds;
use cipherfn_protocol::specs::{BaseLog, Gadget, IntegerFeature, Levels};
use cipherfn_scheme::noise::{self, Deviation, Variance};

/// Gadgets that are tried, from the cheapest and noisiest on.
const GADGETS: [Gadget; 6] = [
    gadget(11, 2),
    gadget(9, 2),
    gadget(8, 3),
    gadget(6, 4),
    gadget(5, 5),
    gadget(4, 6),
];
/// The same of look-ups that bootstraps come behind.
pub(super) const GADGETS_BEFORE_BOOTSTRAPS: [Gadget; 3] =
    [gadget(9, 2), gadget(8, 3), gadget(6, 4)];
/// log2 of the errors that quantised features may bring into the scores, in parts of the torus.
const COARSEST: f64 = -6.0;
const FINEST: f64 = -12.0;
const OCTAVE: f64 = 0.5;
/// Most CMUXes of a layer, as many as circuits may have: about a minute of them.
pub(super) const MAX_TURNS: u64 = 1 << 22;
/// Errors of the scores that are aimed at, in parts of the largest one: other rows are off by more,
/// and those near a boundary between two labels count. The last one alone where precision or
/// error is asked for, which then says what is aimed at.
const GOALS: [f64; 4] = [0.25, 0.4, 0.65, 1.0];

pub(super) const fn gadget(base_log: u32, levels: u32) -> Gadget {
    Gadget::new(BaseLog::new(base_log), Levels::new(levels))
}

/// A layer in integers, with what it costs and gives.
pub(super) struct LookupChoice {
    pub(super) grid: Vec<IntegerFeature>,
    pub(super) gadget: Gadget,
    pub(super) units: Vec<Unit>,
    pub(super) sums: OutputSums,
    pub(super) lines: Option<Lines>,
    pub(super) budget: Budget,
    pub(super) fidelity: Fidelity,
    pub(super) work: Work,
    pub(super) stages: Vec<(&'static str, Microseconds)>,
    price: f64,
}

/// What does not depend on the choice.
pub(super) struct LayerProblem<'a> {
    pub(super) model: &'a LookupModel,
    pub(super) setting: &'a Setting<'a>,
    pub(super) spans: Vec<Span>,
    pub(super) curves: Vec<Curve>,
    /// Feature vectors of the rows that it is fitted on ...
    pub(super) rows: Vec<&'a [f32]>,
    /// ... with their places among the calibration rows,
    pub(super) indices: Vec<usize>,
    /// their forms' values
    pub(super) forms: Vec<Vec<f64>>,
    /// and scores.
    scores: Vec<Vec<f64>>,
    /// How much each feature moves the scores, in the torus a unit of the feature.
    gradients: Vec<f64>,
}

impl<'a> LayerProblem<'a> {
    pub(super) fn of(
        model: &'a LookupModel,
        setting: &'a Setting<'a>,
    ) -> Result<Self, CompileError> {
        CompileError::check_functions(model.node(), model.forms.len())?;
        let features = setting.features;
        let (indices, rows) = fitted_rows(setting);
        let values = rows.iter().map(|row| model.forms_and_scores(row));
        let (forms, scores): (Vec<Vec<f64>>, Vec<Vec<f64>>) = values.unzip();
        check_finite(model.node(), (setting, &indices), &scores)?;
        let spans = Span::of(features);
        let bounds: Vec<(f64, f64)> = model
            .forms
            .iter()
            .map(|form| bounds(form, &spans))
            .collect();
        let size = setting.backend.set.ring.polynomial_size;
        let functions = Functions {
            node: model.nodes.first().map_or("", String::as_str),
            program: &model.functions,
        };
        let curves = Curve::of(functions, &forms, &bounds, size);
        // Far from the points of a narrow kernel scores are all the same.
        if let Ok(curves) = &curves {
            check_tables(model, curves, &scores)?;
        }
        check_scores(model.node(), &scores, &model.weights)?;
        let curves = curves?;
        let mut layer = Self {
            model,
            setting,
            spans,
            curves,
            rows,
            indices,
            forms,
            scores,
            gradients: Vec::new(),
        };
        layer.gradients = layer.gradients();
        Ok(layer)
    }

    /// Root mean square over rows and scores.
    fn gradients(&self) -> Vec<f64> {
        let exact: Vec<Vec<f64>> = vec![vec![0.0; self.curves.len()]; self.rows.len()];
        let scales = self.fit(&exact).sums(&vec![1.0; self.curves.len()]).scales;
        let mut squares = vec![0.0; self.spans.len()];
        let mut gradient = vec![0.0; self.spans.len()];
        for form in &self.forms {
            let slope = |(curve, z): (&Curve, &f64)| {
                // Over a few entries: kinks weigh as often as rows are near them.
                let reach = 8.0 * curve.step;
                (curve.value(z + reach) - curve.value(z - reach)) / (2.0 * reach)
            };
            let slopes: Vec<f64> = self.curves.iter().zip(form).map(slope).collect();
            for (weights, scale) in self.model.weights.iter().zip(&scales) {
                gradient.fill(0.0);
                for (unit, own) in self.model.forms.iter().enumerate() {
                    let factor = weights[unit] * slopes[unit] / scale;
                    for (feature, weight) in &own.weights {
                        gradient[*feature as usize] += factor * weight;
                    }
                }
                squares
                    .iter_mut()
                    .zip(&gradient)
                    .for_each(|(sum, own)| *sum += own * own);
            }
        }
        let count = (self.forms.len() * self.model.bias.len()).max(1) as f64;
        squares
            .into_iter()
            .map(|sum| (sum / count).sqrt())
            .collect()
    }

    fn fit<'b>(&'b self, entries: &'b [Vec<f64>]) -> OutputFit<'b> {
        OutputFit {
            model: self.model,
            curves: &self.curves,
            entries,
            scores: &self.scores,
            features: self.spans.len(),
            reach: self.setting.reach,
        }
    }

    /// The cheapest choice that is faithful enough, or the most faithful one.
    pub(super) fn choose(&self) -> Result<LookupChoice, CompileError> {
        let mut best: Option<LookupChoice> = None;
        let steps = ((COARSEST - FINEST) / OCTAVE) as u32;
        let mut is_still = true;
        for step in 0..=steps {
            let error = (COARSEST - OCTAVE * f64::from(step)).exp2();
            let grid = grids(&self.spans, &self.gradients, error);
            let bits = BitColumns::of(&grid, &self.rows);
            if bits.count() == 0 {
                continue;
            }
            is_still = false;
            let turns = self.turns(&grid);
            match best {
                _ if turns <= MAX_TURNS => {}
                Some(_) => break,
                None => {
                    return Err(CompileError::LargeLayer {
                        node: self.model.node().to_owned(),
                        what: "CMUXes",
                        found: turns,
                        most: MAX_TURNS,
                    });
                }
            }
            let units = units(&self.model.forms, &self.curves, &bits, &self.forms);
            let mut is_dearer = true;
            for gadget in GADGETS {
                let Some(choice) = self.choice(&grid, &bits, &units, gadget)? else {
                    continue;
                };
                is_dearer &= best
                    .as_ref()
                    .is_some_and(|best| self.goal(best) == 0 && best.price < choice.price);
                if best
                    .as_ref()
                    .is_none_or(|best| self.is_better(&choice, best))
                {
                    best = Some(choice);
                }
            }
            if is_dearer && best.is_some() {
                break;
            }
        }
        let node = self.model.node().to_owned();
        best.ok_or(if is_still {
            CompileError::StillLayer { node }
        } else {
            CompileError::NoisyLayer { node }
        })
    }

    /// The most turns that a grid can ask for.
    fn turns(&self, grid: &[IntegerFeature]) -> u64 {
        let weights = self.model.forms.iter().flat_map(|form| &form.weights);
        weights
            .map(|(feature, _)| u64::from(grid[*feature as usize].bits))
            .sum()
    }

    /// The first of the goals that a choice reaches; their number if it reaches none.
    fn goal(&self, choice: &LookupChoice) -> usize {
        let options = self.setting.options;
        let goals = if options.says_how_good() {
            &GOALS[GOALS.len() - 1..]
        } else {
            &GOALS[..]
        };
        let labels = 1.0 - STRICTER * (1.0 - options.min_agreement);
        let bits = choice.fidelity.bits(&choice.sums, choice.budget);
        let is_precise = options.precision.is_none_or(|precision| bits >= precision);
        let most = options.most_error();
        let reaches = |error: &f64| is_precise && choice.fidelity.is_within(labels, most * error);
        goals.iter().position(reaches).unwrap_or(GOALS.len())
    }

    fn is_better(&self, choice: &LookupChoice, best: &LookupChoice) -> bool {
        let (own, other) = (self.goal(choice), self.goal(best));
        match own == other {
            true if own < GOALS.len() => choice.price < best.price,
            true => choice.fidelity.exceeds(&best.fidelity),
            false => own < other,
        }
    }

    fn choice(
        &self,
        grid: &[IntegerFeature],
        bits: &BitColumns<'_>,
        units: &[Unit],
        gadget: Gadget,
    ) -> Result<Option<LookupChoice>, CompileError> {
        let backend = self.setting.backend;
        let selector = noise::selector(backend.set, backend.transport());
        let cmux = noise::cmux(backend.set, gadget, &selector);
        let variance = |unit: &Unit| unit.turns.len() as f64 * cmux;
        let variances: Vec<f64> = units.iter().map(|unit| variance(unit).get()).collect();
        let places: Vec<Vec<i64>> = bits
            .rows
            .iter()
            .map(|bits| units.iter().map(|unit| unit.place(bits)).collect())
            .collect();
        let entries: Vec<Vec<f64>> = places
            .iter()
            .map(|row| {
                let curves = self.curves.iter().zip(row);
                curves.map(|(curve, place)| curve.entry(*place)).collect()
            })
            .collect();
        let mut sums = self.fit(&entries).sums(&variances);
        let lines = sums
            .has_lines()
            .then(|| Lines::of(&sums, grid, &self.setting.features.names, backend));
        let values = limited(&self.rows, grid);
        let phases = |sums: &OutputSums| -> Vec<Vec<f64>> {
            let rows = entries.iter().zip(&values);
            rows.map(|(entries, values)| sums.phases(entries, values))
                .collect()
        };
        sums.centre(&phases(&sums), &self.scores);
        let phases = phases(&sums);
        let Some(budget) = self.budget(&sums, &variances, lines.as_ref(), bits.count(), gadget)
        else {
            return Ok(None);
        };
        let wraps = |row: &Vec<i64>| {
            let outside = self.curves.iter().zip(row);
            outside
                .filter(|(curve, place)| !curve.holds(**place))
                .count()
        };
        let fidelity = Fidelity::of(&SimulatedModel {
            setting: self.setting,
            indices: &self.indices,
            scores: &self.scores,
            sums: &sums,
            phases: &phases,
            noisy: &|row, noise| with_noise(&phases[row], budget.deviation, noise),
            products: sums.scales.len(),
            budget,
            wrapped: places.iter().map(wraps).sum(),
        })?;
        let work = self.work(units, &sums, lines.is_some(), bits.count(), gadget);
        let costs = Costs::of(backend.set);
        let stages = costs.stages(&work, gadget).to_vec();
        let options = self.setting.options;
        let takes = Takes {
            time: stages.iter().map(|stage| stage.1).sum(),
            memory: costs.memory(&work, gadget),
            query: backend.priced_query_bytes(&work, gadget, options.profile),
        };
        let key = backend.file_bytes(backend.expansion());
        Ok(Some(LookupChoice {
            grid: grid.to_vec(),
            gadget,
            units: units.to_vec(),
            sums,
            lines,
            budget,
            fidelity,
            work,
            stages,
            price: takes.price((options.profile, options.prefer), key),
        }))
    }

    /// The error bound of the scores; `None` if it is no bound.
    fn budget(
        &self,
        sums: &OutputSums,
        variances: &[f64],
        lines: Option<&Lines>,
        selectors: usize,
        gadget: Gadget,
    ) -> Option<Budget> {
        let backend = self.setting.backend;
        let of_score = |weights: &Vec<i64>| {
            let tables = weights.iter().zip(variances);
            tables
                .map(|(weight, own)| (*weight as f64).powi(2) * own)
                .sum::<f64>()
        };
        let worst = sums.weights.iter().map(of_score).fold(0.0, f64::max);
        let packing = packing_variance(sums.scales.len(), backend);
        let of_lines = lines.map_or(Variance::default(), |lines| lines.variance(backend));
        let variance = Variance::new(worst) + of_lines + packing;
        let rows = (selectors as f64 * f64::from(gadget.levels.get())).max(1.0);
        let budget = backend.budget(variance, rows, sums.scales.len());
        (budget.error.get() < 0.25).then_some(budget)
    }

    fn work(
        &self,
        units: &[Unit],
        sums: &OutputSums,
        has_lines: bool,
        selectors: usize,
        gadget: Gadget,
    ) -> Work {
        let is_looked_up = |curve: &&Curve| !curve.is_line();
        let terms = sums.weights.iter().flat_map(|weights| {
            let tables = weights.iter().zip(&self.curves);
            tables.filter(|(weight, curve)| **weight != 0 && is_looked_up(curve))
        });
        let terms = terms.count();
        let scores = sums.scales.len() as u32;
        let lookups = self.curves.iter().filter(is_looked_up).count() as u32;
        let selectors = if lookups > 0 { selectors as u32 } else { 0 };
        Work {
            selectors,
            slots: self.setting.backend.slots(selectors, gadget),
            cmuxes: units.iter().map(|unit| unit.turns.len() as u32).sum(),
            lookups,
            terms: terms as u32,
            key_switches: circuit::key_switches(scores, self.setting.backend),
            products: u32::from(has_lines),
            nodes: 0,
            ..Work::default()
        }
    }

    /// The circuit of a choice.
    pub(super) fn parts<'b>(&'b self, choice: &'b LookupChoice) -> CircuitParts<'b> {
        CircuitParts {
            curves: &self.curves,
            choice,
            backend: self.setting.backend,
        }
    }
}

/// Phases with noise of their own each.
pub(super) fn with_noise(phases: &[f64], deviation: Deviation, noise: &mut Gaussian) -> Vec<f64> {
    let noisy = phases
        .iter()
        .map(|phase| phase + deviation.get() * noise.next());
    noisy.collect()
}

/// Smallest and largest value of a form over the features' ranges.
pub(super) fn bounds(form: &LinearForm, spans: &[Span]) -> (f64, f64) {
    let ends = form.weights.iter().map(|(feature, weight)| {
        let (low, high) = spans[*feature as usize].range();
        let (a, b) = (weight * low, weight * high);
        (a.min(b), a.max(b))
    });
    ends.fold((form.bias, form.bias), |sum, own| {
        (sum.0 + own.0, sum.1 + own.1)
    })
}

/// Values as the client encodes them beside the integers, by row.
pub(super) fn limited(rows: &[&[f32]], grid: &[IntegerFeature]) -> Vec<Vec<f64>> {
    let value = |(value, own): (&f32, &IntegerFeature)| {
        let (low, high) = own.range();
        f64::from(*value).clamp(low, high)
    };
    let rows = rows.iter();
    rows.map(|row| row.iter().zip(grid).map(value).collect())
        .collect()
}
