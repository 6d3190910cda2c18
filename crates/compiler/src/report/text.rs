//! The report for people.

use super::{
    Agreement, FeatureReport, ModelReport, PrecisionReport, Report, SecurityReport, SizeReport,
    WorkReport,
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
        self.agreement.fmt(f)?;
        self.warnings
            .iter()
            .try_for_each(|warning| line(f, "warning", format_args!("{warning}")))
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
        self.notes
            .iter()
            .try_for_each(|note| line(f, "note", format_args!("{note}")))?;
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
        let forms: Vec<String> = ["index", "thermometer", "coefficient"]
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
        line(f, "specs show", format_args!("{}", self.revealed))
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
            ..
        } = self;
        let bits = format_args!(
            "{guaranteed_bits:.1} bits of the score range of {range_of} (target {target_bits}), failure below 2^{failure_log2:.0} a row"
        );
        line(f, "precision", bits)?;
        let widest = self.scores.iter().copied().fold(0.0, f64::max);
        line(f, "", format_args!("scores within {widest:.3e}"))
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
            line(
                f,
                "",
                format_args!(
                    "{} CMUXes between ciphertexts, {selects} between constants, {} sums",
                    work.cmuxes, work.nodes
                ),
            )?;
        }
        line(
            f,
            "time",
            format_args!(
                "{:.2} ms a row predicted (one thread)",
                self.predicted_microseconds / 1000.0
            ),
        )
    }
}

impl Display for SizeReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            evaluation_key,
            query_row,
            reply_row,
        } = self;
        line(
            f,
            "bytes",
            format_args!(
                "evaluation key {evaluation_key}, query row {query_row}, reply row {reply_row}"
            ),
        )
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
