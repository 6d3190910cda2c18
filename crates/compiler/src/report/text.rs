//! The report for people.

use super::{
    Agreement, Bound, FeatureReport, LayerReport, ModelReport, PrecisionReport, Quality, Report,
    SecurityReport, SizeReport, TargetReport, WorkReport,
};
use std::fmt::{self, Display, Formatter};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.model.fmt(f)?;
        self.features.fmt(f)?;
        self.security.fmt(f)?;
        self.precision.fmt(f)?;
        self.work.fmt(f)?;
        self.sizes.fmt(f)?;
        self.layers.iter().try_for_each(|layer| layer.fmt(f))?;
        // The same of all layers.
        self.layers.last().map_or(Ok(()), |last| last.errors(f))?;
        self.agreement.fmt(f)?;
        if let Some(fit) = &self.fit {
            writeln!(f, "{:<12}{fit}", "fit")?;
        }
        for target in &self.targets {
            target.fmt(f)?;
        }
        if let Some(rows) = self.expected_rows {
            let equal =
                format_args!("the model gives the library's own predictions on {rows} rows");
            line(f, "expected", equal)?;
        }
        for (key, texts) in [("note", &self.notes), ("warning", &self.warnings)] {
            for text in texts {
                line(f, key, format_args!("{text}"))?;
            }
        }
        Ok(())
    }
}

fn line(f: &mut Formatter<'_>, key: &str, value: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{key:<12}{value}")
}

impl Display for ModelReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(
            f,
            "model",
            format_args!(
                "{} ({}, {}), from {}",
                self.name, self.family, self.task, self.producer
            ),
        )?;
        line(f, "", format_args!("{}", self.operators.join(", ")))?;
        line(
            f,
            "",
            format_args!("{} features, {} raw scores", self.features, self.scores),
        )?;
        self.trees.map_or(Ok(()), |trees| {
            let counts = format_args!(
                "{} trees, {} nodes, {} leaves, depth {}, {} distinct questions",
                trees.trees, trees.nodes, trees.leaves, trees.depth, trees.predicates
            );
            line(f, "", counts)
        })
    }
}

impl Display for FeatureReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = |form: &str| {
            self.encoded
                .iter()
                .filter(|feature| feature.form == form)
                .count()
        };
        let forms: Vec<String> = ["index", "thermometer", "blocks", "integer", "coefficient"]
            .into_iter()
            .filter(|form| of(form) > 0)
            .map(|form| format!("{} as {form}", of(form)))
            .collect();
        line(
            f,
            "features",
            format_args!(
                "{}: {} encrypted ({})",
                self.mode,
                self.encoded.len(),
                forms.join(", ")
            ),
        )?;
        let decimals = self.encoded.iter().filter_map(|feature| {
            let decimals = feature.decimals?;
            Some(format!("{} {decimals}", feature.name))
        });
        let decimals: Vec<String> = decimals.collect();
        if !decimals.is_empty() {
            line(
                f,
                "decimals",
                format_args!("{}; rows with more are refused", decimals.join(", ")),
            )?;
        }
        line(f, "specs show", format_args!("{}", self.revealed))
    }
}

impl Display for LayerReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            lookups,
            on_whole_torus,
            selectors,
            cmuxes,
            deep,
            ..
        } = self;
        let whole = format_args!("({on_whole_torus} on the whole torus)");
        let name = self.nodes.join(", ");
        match deep {
            Some(deep) if deep.choices > 0 => {
                let work = format_args!("{name}: {} choices by numbers", deep.choices);
                line(f, "layer", work)?;
            }
            Some(deep) if deep.bootstraps > 0 => {
                let work = format_args!("{name}: {} bootstraps {whole}", deep.bootstraps);
                line(f, "layer", work)?;
            }
            _ => {
                let work = format_args!(
                    "{name}: {lookups} look-ups {whole} of {selectors} bits, {cmuxes} CMUXes"
                );
                line(f, "layer", work)?;
            }
        }
        let ranges = format_args!(
            "ranges are {} times those of {} calibration rows, {} values were outside",
            self.margin, self.rows, self.wrapped
        );
        line(f, "", ranges)?;
        deep.map_or(Ok(()), |deep| {
            let (low, high) = deep.range;
            let own = format_args!(
                "numbers from {low:.3} to {high:.3} of {:.1} bits, {:.0} % of the error, {:.1} ms, \
                 {:.1} MB",
                deep.bits,
                100.0 * deep.share,
                deep.microseconds.get() / 1000.0,
                deep.memory as f64 / 1e6
            );
            line(f, "", own)
        })
    }
}

impl LayerReport {
    /// What is off in all layers together.
    fn errors(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let labels = self.labels.map_or_else(String::new, |labels| {
            format!(
                "{:.2} % of the labels or largest scores are the model's, ",
                100.0 * labels
            )
        });
        let errors = format_args!(
            "{labels}scores are off by {:.2} % of their range, {:.2} % without noise",
            100.0 * self.error,
            100.0 * self.error_without_noise
        );
        line(f, "", errors)?;
        line(
            f,
            "",
            format_args!("most of the error comes from {}", self.limit),
        )
    }
}

impl Display for SecurityReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(
            f,
            "security",
            format_args!(
                "{:.1} bits, {} ({})",
                self.bits, self.parameter_set, self.source
            ),
        )?;
        let key = if self.needs_evaluation_key {
            "needs an evaluation key"
        } else {
            "needs no evaluation key"
        };
        line(f, "profile", format_args!("{}, {key}", self.profile))
    }
}

impl Display for PrecisionReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            guaranteed_bits,
            target_bits,
            range_of,
            failure_log2,
            bound,
            ..
        } = self;
        let bits = format!(
            "{guaranteed_bits:.1} bits of the score range of {range_of} (target {})",
            (10.0 * target_bits).round() / 10.0
        );
        let bound_text = bound.text(*failure_log2);
        if *bound == Bound::EveryRow {
            line(f, "precision", format_args!("{bits}, {bound_text}"))?;
        } else {
            line(f, "precision", format_args!("{bits}"))?;
            line(f, "", format_args!("{bound_text}"))?;
        }
        let widest = self.scores.iter().copied().fold(0.0, f64::max);
        line(f, "", format_args!("scores within {widest:.3e}"))
    }
}

impl Display for TargetReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            rows,
            clear,
            simulated,
        } = self;
        let measures = format_args!("{target:?} on {rows} rows: {clear}; compiled: {simulated}");
        line(f, "target", measures)
    }
}

impl Display for Quality {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let percent = |part: f64| format!("accuracy {:.1} %", 100.0 * part);
        let measures = [
            self.accuracy.map(percent),
            self.auc.map(|auc| format!("AUC {auc:.3}")),
            self.r2.map(|r2| format!("R2 {r2:.3}")),
        ];
        let measures: Vec<String> = measures.into_iter().flatten().collect();
        match measures.as_slice() {
            [] => f.write_str("nothing to compare"),
            measures => f.write_str(&measures.join(", ")),
        }
    }
}

impl Display for WorkReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let (Some(gadget), Some(work)) = (self.gadget, self.counts) {
            let selectors = format_args!(
                "{} selectors, gadget 2^{} x {} levels, {} slots",
                work.selectors, gadget.base_log, gadget.levels, work.slots
            );
            line(f, "circuit", selectors)?;
            let selects = work.scalar_selects + work.polynomial_selects;
            let products = match work.products {
                0 => String::new(),
                count => format!(", {count} products"),
            };
            line(
                f,
                "",
                format_args!(
                    "{} CMUXes between ciphertexts, {selects} between constants, {} sums{products}",
                    work.cmuxes, work.nodes
                ),
            )?;
        }
        line(
            f,
            "time",
            format_args!(
                "{:.2} ms a row predicted (one thread)",
                self.predicted_microseconds.get() / 1000.0
            ),
        )?;
        let several = self.on_vcpus.iter().filter(|own| own.vcpus > 1);
        let several = several.map(|own| {
            let milliseconds = own.microseconds.get() / 1000.0;
            format!("{milliseconds:.2} ms on {}", own.vcpus)
        });
        let several: Vec<String> = several.collect();
        if several.is_empty() {
            return Ok(());
        }
        line(
            f,
            "",
            format_args!("with more vCPUs {}", several.join(", ")),
        )
    }
}

impl Display for SizeReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            evaluation_key,
            query_row,
            reply_row,
            shared,
        } = self;
        line(
            f,
            "bytes",
            format_args!(
                "evaluation key {evaluation_key}, query row {query_row}, reply row {reply_row}"
            ),
        )?;
        shared.map_or(Ok(()), |shared| {
            let bytes = format_args!(
                "in a request of as many rows as share ciphertexts: query row {}, reply row {}",
                shared.query_row, shared.reply_row
            );
            line(f, "", bytes)
        })
    }
}

impl Display for Agreement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            labels_equal,
            within_precision,
            margin_cases,
            largest_error,
            ..
        } = self;
        let scores = format_args!(
            "scores within the precision on {within_precision} of {rows} rows, largest error {largest_error:.3e}"
        );
        line(f, "agreement", scores)?;
        if self.has_labels {
            line(
                f,
                "",
                format_args!(
                    "labels equal on {labels_equal} of {rows} rows, {margin_cases} closer than the precision"
                ),
            )?;
        }
        if self.skipped > 0 {
            line(
                f,
                "",
                format_args!(
                    "{} calibration rows were skipped: a client refuses them",
                    self.skipped
                ),
            )?;
        }
        Ok(())
    }
}
