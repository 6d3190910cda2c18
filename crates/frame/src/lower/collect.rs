//! Rows that are moved to their places and added.

use super::atoms::Mixture;
use super::groups::{Origin, Summand, Sums};
use super::{RowGraph, no_room};
use crate::answer::Lane;
use crate::diagram::Diagram;
use crate::graph::weighted;
use crate::pass::POLYNOMIAL_SIZE;
use crate::plan::PlanError;
use crate::resolve::{Grouped, Presence};
use cipherfn_circuit::MAX_OUTPUTS;
use cipherfn_circuit::circuit::NodeId;

/// Rows that are added by places.
pub(super) struct Collected {
    /// The outputs: nodes, and coefficients that count.
    pub(super) outputs: Vec<(NodeId, u32)>,
    /// A lane a summand.
    pub(super) lanes: Vec<Lane>,
    /// Rows that a sum takes.
    pub(super) rows: u32,
}

impl RowGraph<'_> {
    /// Adds rows by places: the outputs, a lane a summand, and how many rows a sum takes. Summands
    /// whose places fit share ciphertexts, so that a row is moved once for all of them.
    pub(super) fn collect(
        &mut self,
        sums: &Sums,
        filter: Option<Diagram>,
        masks: &[Presence],
        limit: u32,
        grouped: &Grouped,
    ) -> Result<Collected, PlanError> {
        let mut count = limit;
        for summand in &sums.summands {
            while let Origin::Loaded(load) = &summand.what
                && load.lane(0, 0, count).is_none()
            {
                count /= 2;
                if count == 0 {
                    return Err(no_room(&grouped.step, &summand.name));
                }
            }
        }
        // Before anything is moved: a choice by a table in the clear has thousands of nodes for each.
        let needed = sums.outputs();
        if needed as u64 > MAX_OUTPUTS {
            return Err(self.resolved.too_many(needed));
        }
        let mut lanes: Vec<Option<Lane>> = vec![None; sums.summands.len()];
        let mut outputs = Vec::new();
        for (index, spread) in sums.spreads.iter().enumerate() {
            let places = spread.layout.places;
            let each = spread.summands_together();
            let own: Vec<usize> = (0..sums.summands.len())
                .filter(|own| sums.summands[*own].spread == index)
                .collect();
            for shared in own.chunks(each) {
                let mut mixture = Mixture::default();
                for (number, summand) in shared.iter().enumerate() {
                    let offset = number as u32 * places as u32;
                    let lane = self.summand(
                        &mut mixture,
                        &sums.summands[*summand],
                        (outputs.len(), offset),
                        count,
                    );
                    lanes[*summand] = lane;
                }
                let mut node = self.mixed(mixture);
                for mask in masks {
                    node = self.present(node, *mask);
                }
                if let Some(filter) = filter {
                    node = self.masked(node, filter);
                }
                let used = (shared.len() as u64 * places).min(POLYNOMIAL_SIZE.into()) as u32;
                let moved = self.moved(node, &spread.keys, &spread.layout);
                outputs.extend(moved.into_iter().map(|node| (node, used)));
            }
        }
        let lanes: Option<Vec<Lane>> = lanes.into_iter().collect();
        Ok(Collected {
            outputs,
            lanes: lanes.ok_or_else(|| no_room(&grouped.step, "len"))?,
            rows: count,
        })
    }

    fn summand(
        &mut self,
        mixture: &mut Mixture,
        summand: &Summand,
        (output, offset): (usize, u32),
        count: u32,
    ) -> Option<Lane> {
        match &summand.what {
            Origin::Loaded(load) => {
                let lane = load.lane(output, offset, count)?;
                if summand.masks.is_empty() {
                    self.add(mixture, load, (offset, lane.unit), true);
                } else {
                    let mut node = self.load(load, lane.unit, true);
                    for mask in &summand.masks {
                        node = self.present(node, *mask);
                    }
                    mixture.add(weighted(node, offset, 1));
                }
                Some(lane)
            }
            Origin::Made(node, lane) => {
                mixture.add(weighted(*node, offset, 1));
                Some(Lane {
                    output,
                    offset,
                    ..*lane
                })
            }
        }
    }

    /// `node` where something is there that is a bit of the row, zero elsewhere.
    fn present(&mut self, node: NodeId, mask: Presence) -> NodeId {
        match mask {
            Presence::Stored(column) => self.masked_by_cell(node, column),
            Presence::Function(diagram) => self.masked(node, diagram),
            Presence::Matched(_) | Presence::Looked { .. } => node,
        }
    }
}
