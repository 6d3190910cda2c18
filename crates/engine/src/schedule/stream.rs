//! Which selectors are in memory when, where there is no room for all of them.
//!
//! Selectors are expanded in *groups* of neighbours, into *frames* of memory. The order of the
//! steps is fixed, so it is known when each group is needed next: of the groups that a stage can do
//! without, the one that is needed last makes room (Belady's rule, which loads the least).

use crate::lower::{Program, ProgramStep};
use cipherfn_circuit::circuit::{InputId, SelectorId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Selectors of a group. Expanding some of them takes the levels above them as well, which is little
/// beside eight.
pub(crate) const GROUP: u32 = 8;

/// A group of selectors to expand into a frame, before a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) group: Group,
    pub(crate) frame: u32,
}

/// Selectors `GROUP` times `number` and on, of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group {
    pub(crate) input: u32,
    pub(crate) number: u32,
}

impl Group {
    /// The group of a selector.
    pub(crate) fn of(selector: SelectorId) -> Self {
        Self {
            input: selector.input.0,
            number: selector.index / GROUP,
        }
    }

    /// Its first selector.
    pub(crate) const fn first(self) -> SelectorId {
        SelectorId {
            input: InputId(self.input),
            index: self.number * GROUP,
        }
    }
}

/// The most frames that any one step needs, and all steps together.
pub(super) fn needs(program: &Program) -> (usize, usize) {
    let (mut most, mut all) = (0, BTreeSet::new());
    for step in &program.steps {
        let needed = groups(step);
        most = most.max(needed.len());
        all.extend(needed);
    }
    (most, all.len())
}

/// The groups that a step reads.
fn groups(step: &ProgramStep) -> BTreeSet<Group> {
    let externals = step.externals().iter().map(|external| external.selector);
    let rows = step.forms().flat_map(|form| form.rows.iter());
    let turns = step.turns().iter().map(|turn| turn.selector);
    externals
        .chain(rows.map(|row| row.selector))
        .chain(turns)
        .map(Group::of)
        .collect()
}

/// Cuts stages until each needs `frames` at most, which is enough for any one step: the steps of a
/// stage do not read each other.
pub(super) fn cut(program: &Program, stages: Vec<Vec<u32>>, frames: usize) -> Vec<Vec<u32>> {
    let mut cut = Vec::with_capacity(stages.len());
    for stage in stages {
        let (mut part, mut needed) = (Vec::new(), BTreeSet::new());
        for step in stage {
            let own = groups(&program.steps[step as usize]);
            if needed.union(&own).count() > frames && !part.is_empty() {
                cut.push(std::mem::take(&mut part));
                needed.clear();
            }
            needed.extend(own);
            part.push(step);
        }
        cut.push(part);
    }
    cut
}

/// What to load before each stage, with `frames` frames.
pub(super) fn loads(program: &Program, stages: &[Vec<u32>], frames: usize) -> Vec<Vec<Load>> {
    let needs: Vec<BTreeSet<Group>> = stages
        .iter()
        .map(|stage| {
            let steps = stage.iter().map(|step| &program.steps[*step as usize]);
            steps.flat_map(groups).collect()
        })
        .collect();
    let mut uses: HashMap<Group, Vec<usize>> = HashMap::new();
    for (stage, needed) in needs.iter().enumerate().rev() {
        for group in needed {
            uses.entry(*group).or_default().push(stage);
        }
    }
    let mut free: Vec<u32> = (0..frames as u32).rev().collect();
    // The frame of each group in memory, and the groups by the stage that needs them next.
    let mut frame_of: BTreeMap<Group, u32> = BTreeMap::new();
    let mut next: BTreeSet<(usize, Group)> = BTreeSet::new();
    let stage_loads = |(stage, needed): (usize, &BTreeSet<Group>)| {
        for group in needed.iter().filter(|group| frame_of.contains_key(group)) {
            next.remove(&(stage, *group));
        }
        let mut loads = Vec::new();
        for group in needed {
            if frame_of.contains_key(group) {
                continue;
            }
            let frame = free.pop().or_else(|| {
                let (_, idle) = next.pop_last()?;
                frame_of.remove(&idle)
            });
            let frame = frame.expect("a stage needs no more groups than there are frames");
            frame_of.insert(*group, frame);
            loads.push(Load {
                group: *group,
                frame,
            });
        }
        for group in needed {
            let later = uses.get_mut(group).expect("it is used here");
            later.pop();
            match later.last() {
                Some(stage) => {
                    next.insert((*stage, *group));
                }
                None => free.extend(frame_of.remove(group)),
            }
        }
        loads
    };
    needs.iter().enumerate().map(stage_loads).collect()
}
