//! Several circuits that a row is evaluated with.

use super::Facts;
use crate::report::{FeatureReport, SharedSizes};
use std::collections::BTreeMap;

impl Facts {
    /// What holds for two regions together: precision is that of the worse one.
    pub(crate) fn join(&self, other: &Self) -> Self {
        let one = self;
        let reserve = |facts: &Self| facts.bits - facts.target_bits;
        let worse = if reserve(one) <= reserve(other) {
            one
        } else {
            other
        };
        let features = |a: &FeatureReport, b: &FeatureReport| FeatureReport {
            mode: format!("{} and {}", a.mode, b.mode),
            revealed: format!("{}; {}", a.revealed, b.revealed),
            encoded: [a.encoded.as_slice(), b.encoded.as_slice()].concat(),
            with_decimals: a.with_decimals.or(b.with_decimals),
        };
        Self {
            target_bits: worse.target_bits,
            bits: worse.bits,
            range_of: worse.range_of,
            bound: one.bound.max(other.bound),
            features: features(&one.features, &other.features),
            work: one.work.join(&other.work),
            trees: one.trees.or(other.trees),
            layers: [one.layers.as_slice(), other.layers.as_slice()].concat(),
            query_bytes: one.query_bytes + other.query_bytes,
            reply_bytes: one.reply_bytes + other.reply_bytes,
            shared: (one.shared.is_some() || other.shared.is_some()).then(|| {
                let (one, other) = (one.sizes_in_batch(), other.sizes_in_batch());
                SharedSizes {
                    query_row: one.query_row + other.query_row,
                    reply_row: one.reply_row + other.reply_row,
                }
            }),
            key_parts: {
                let both = one.key_parts.iter().chain(&other.key_parts);
                both.map(|part| (part.name, *part))
                    .collect::<BTreeMap<_, _>>()
                    .into_values()
                    .collect()
            },
            warnings: [one.warnings.as_slice(), other.warnings.as_slice()].concat(),
        }
    }
}
