//! The order of evaluation: what the cache sees and what threads share.
//!
//! A selector is large (192 KB at N = 2048, k = 1 and three levels), so steps that use the same one
//! should follow each other; but the values between steps are large too (32 KB), and must not
//! become too many. Steps are taken in depth-first order and cut into *segments*. In a segment, the
//! next steps are always those of the selectors that most of the steps with known operands use.

mod stream;

pub(crate) use stream::{GROUP, Group, Load};

use crate::lower::{Program, ProgramStep};
use cipherfn_circuit::circuit::SelectorId;
use cipherfn_scheme::operations::lookup;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

#[cfg(test)]
mod tests;

/// Steps of a segment. The more it has, the more of them use a selector one after the other, and the
/// more values wait meanwhile: those of 16,384 steps took 65 MB more than those of 4,096 (N = 2048,
/// k = 1), which are for where memory is short.
pub(crate) const SEGMENTS: [usize; 2] = [16_384, 4096];
/// Steps of a stage, if there are as many: enough for several threads.
const STAGE: usize = 16;
/// Blocks that a stage is cut into if it has the steps for it.
const BLOCKS: usize = 8;
/// Most steps of a block.
const MAX_BLOCK: usize = 32;
/// Fewest and most steps of a block of look-ups: fewer read each selector more often, and more do not
/// stay in the second-level cache beside it.
const TURN_BLOCK: [usize; 2] = [8, lookup::GROUP];

/// When each step is evaluated and where its value lies.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Stages follow each other.
    pub(crate) stages: Vec<Stage>,
    /// Memory slot of each step's value.
    pub(crate) slots: Vec<u32>,
    /// Number of slots.
    pub(crate) slot_count: usize,
    /// Where not all selectors are in memory at once, or not all are read: which are expanded when.
    pub(crate) streaming: Option<Streaming>,
}

/// A schedule's selectors, expanded as they are needed.
#[derive(Debug)]
pub(crate) struct Streaming {
    /// What to expand before each stage.
    pub(crate) loads: Vec<Vec<Load>>,
    /// Groups of selectors that are in memory at once.
    pub(crate) frames: usize,
}

/// Steps that do not read each other.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Independent of each other.
    Blocks(Vec<Block>),
    /// All bootstraps that are ready, which go to threads in batches.
    Bootstraps(Vec<u32>),
    /// All choices by numbers that are ready, in batches as well.
    Choices(Vec<u32>),
}

/// Steps that one thread evaluates together.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) steps: Vec<u32>,
    /// (step, index of its external product), sorted by selector.
    pub(crate) externals: Vec<(u32, u32)>,
    /// (step, index of its turn), sorted by selector: a selector turns all look-ups of the block
    /// before the next one is read.
    pub(crate) turns: Vec<(u32, u32)>,
}

impl Schedule {
    /// With all selectors in memory and segments of `segment` steps. Of `selectors` selectors only
    /// the groups that are read are expanded, where these are few enough to be worth it: a part of a
    /// circuit does not read all.
    pub(crate) fn new(program: &Program, segment: usize, selectors: usize) -> Self {
        let stages = stages(program, segment);
        let (_, frames) = stream::needs(program);
        let streaming = (frames * GROUP as usize * 4 < selectors * 3).then(|| Streaming {
            loads: stream::at_once(program, stages.len()),
            frames,
        });
        Self::of_stages(program, &stages, streaming)
    }

    /// With about `frames` groups of selectors in memory, as many as any one step needs at least.
    pub(crate) fn streaming(program: &Program, frames: usize) -> Self {
        let (least, all) = stream::needs(program);
        let frames = frames.clamp(least, all);
        let [_, segment] = SEGMENTS;
        let stages = stream::cut(program, stages(program, segment), frames);
        let loads = stream::loads(program, &stages, frames);
        Self::of_stages(program, &stages, Some(Streaming { loads, frames }))
    }

    fn of_stages(program: &Program, stages: &[Vec<u32>], streaming: Option<Streaming>) -> Self {
        let (slots, slot_count) = assign_slots(program, stages);
        let stages = stages
            .iter()
            .map(|stage| Stage::of(program, stage))
            .collect();
        Self {
            stages,
            slots,
            slot_count,
            streaming,
        }
    }
}

/// The stages of all segments.
fn stages(program: &Program, segment: usize) -> Vec<Vec<u32>> {
    let order = depth_first(program);
    let mut places = vec![0; program.steps.len()];
    for (place, step) in order.iter().enumerate() {
        places[*step as usize] = place;
    }
    (0..order.len())
        .step_by(segment)
        .flat_map(|start| {
            let end = order.len().min(start + segment);
            by_selector(program, &order[start..end], |step| {
                let place = places[step as usize];
                (start..end).contains(&place).then(|| place - start)
            })
        })
        .collect()
}

/// The steps that a step reads.
fn operands(program: &Program, step: u32) -> impl Iterator<Item = u32> {
    program.steps[step as usize].terms().map(|term| term.step)
}

/// Every step after what it reads, depth first, from the results.
fn depth_first(program: &Program) -> Vec<u32> {
    let mut order = Vec::with_capacity(program.steps.len());
    let mut visited = vec![false; program.steps.len()];
    let results = program.results.iter().rev();
    let mut stack: Vec<(u32, bool)> = results
        .filter_map(|result| Some((result.step?, false)))
        .collect();
    while let Some((step, expanded)) = stack.pop() {
        if expanded {
            order.push(step);
        } else if !std::mem::replace(&mut visited[step as usize], true) {
            stack.push((step, true));
            stack.extend(
                operands(program, step)
                    .filter(|operand| !visited[*operand as usize])
                    .map(|operand| (operand, false)),
            );
        }
    }
    order
}

/// Stages of a segment: of the steps whose operands are there, those of the selectors that most of
/// them use. The others wait for more that use theirs; bootstraps until there is nothing else to do,
/// so that a key of 60 to 120 MB is read for as many as possible. `place` is that of a step in the
/// segment, if it is in it.
fn by_selector(
    program: &Program,
    segment: &[u32],
    place: impl Fn(u32) -> Option<usize>,
) -> Vec<Vec<u32>> {
    let mut waiting = vec![0_u32; segment.len()];
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); segment.len()];
    for (index, step) in segment.iter().enumerate() {
        for operand in operands(program, *step).filter_map(&place) {
            waiting[index] += 1;
            users[operand].push(index);
        }
    }
    let mut ready = Ready::default();
    for (step, waiting) in segment.iter().zip(&waiting) {
        if *waiting == 0 {
            ready.add(&program.steps[*step as usize], *step);
        }
    }
    let mut stages = Vec::new();
    loop {
        let mut stage = Vec::new();
        while stage.len() < STAGE
            && let Some(steps) = ready.pop()
        {
            stage.extend(steps);
        }
        if stage.is_empty() {
            stage = std::mem::take(&mut ready.bootstraps);
        }
        if stage.is_empty() {
            stage = std::mem::take(&mut ready.choices);
        }
        if stage.is_empty() {
            return stages;
        }
        for done in stage.iter().filter_map(|step| place(*step)) {
            for user in &users[done] {
                waiting[*user] -= 1;
                if waiting[*user] == 0 {
                    let step = segment[*user];
                    ready.add(&program.steps[step as usize], step);
                }
            }
        }
        stages.push(stage);
    }
}

/// Steps whose operands are there, by selector. Groups are kept in the order in which they go:
/// sorting them for every stage takes the square of the number of selectors.
#[derive(Default)]
struct Ready {
    groups: HashMap<Option<SelectorId>, Vec<u32>>,
    /// The largest group first.
    order: BTreeSet<(Reverse<usize>, Option<SelectorId>)>,
    bootstraps: Vec<u32>,
    choices: Vec<u32>,
}

impl Ready {
    fn add(&mut self, of: &ProgramStep, step: u32) {
        match of {
            ProgramStep::Bootstrap(_) => return self.bootstraps.push(step),
            ProgramStep::Choice(_) => return self.choices.push(step),
            _ => {}
        }
        let selector = first_selector(of);
        let group = self.groups.entry(selector).or_default();
        self.order.remove(&(Reverse(group.len()), selector));
        group.push(step);
        self.order.insert((Reverse(group.len()), selector));
    }

    /// The largest group that is no bootstraps.
    fn pop(&mut self) -> Option<Vec<u32>> {
        let (_, selector) = self.order.pop_first()?;
        self.groups.remove(&selector)
    }
}

fn first_selector(step: &ProgramStep) -> Option<SelectorId> {
    let row = || Some(step.forms().next()?.rows.first()?.selector);
    // All look-ups that advance over a group do it together, whichever of its selectors they use.
    if let Some(turn) = step.turns().first() {
        return Some(Group::of(turn.selector).first());
    }
    let external = step.externals().first();
    external.map(|external| external.selector).or_else(row)
}

impl Stage {
    fn of(program: &Program, stage: &[u32]) -> Self {
        match program.steps[stage[0] as usize] {
            ProgramStep::Bootstrap(_) => Self::Bootstraps(stage.to_vec()),
            ProgramStep::Choice(_) => Self::Choices(stage.to_vec()),
            _ => Self::Blocks(blocks(program, stage)),
        }
    }
}

fn blocks(program: &Program, stage: &[u32]) -> Vec<Block> {
    let turns = |step: &u32| !program.steps[*step as usize].turns().is_empty();
    let [least, most] = if stage.iter().any(turns) {
        TURN_BLOCK
    } else {
        [1, MAX_BLOCK]
    };
    let len = (stage.len() / BLOCKS).clamp(least, most);
    let selector_of_external =
        |step: u32, index: u32| program.steps[step as usize].externals()[index as usize].selector;
    let selector_of_turn =
        |step: u32, index: u32| program.steps[step as usize].turns()[index as usize].selector;
    let block = |steps: &[u32]| {
        let count = |step: u32| &program.steps[step as usize];
        Block {
            steps: steps.to_vec(),
            externals: by_selectors(
                steps,
                |step| count(step).externals().len(),
                selector_of_external,
            ),
            turns: by_selectors(steps, |step| count(step).turns().len(), selector_of_turn),
        }
    };
    stage.chunks(len).map(block).collect()
}

/// (step, index) of so many parts of each step, sorted by their selectors.
fn by_selectors(
    steps: &[u32],
    count: impl Fn(u32) -> usize,
    selector: impl Fn(u32, u32) -> SelectorId,
) -> Vec<(u32, u32)> {
    let parts = steps
        .iter()
        .flat_map(|step| (0..count(*step) as u32).map(move |index| (*step, index)));
    let mut parts: Vec<(u32, u32)> = parts.collect();
    parts.sort_by_key(|(step, index)| selector(*step, *index));
    parts
}

/// Gives each step a slot that is free from its stage to the last stage that reads it, and a step
/// that continues another the slot of that one.
fn assign_slots(program: &Program, stages: &[Vec<u32>]) -> (Vec<u32>, usize) {
    let mut last_read = vec![0; program.steps.len()];
    for (stage, steps) in stages.iter().enumerate() {
        for step in steps {
            last_read[*step as usize] = stage;
            operands(program, *step).for_each(|operand| last_read[operand as usize] = stage);
        }
    }
    for step in program.results.iter().filter_map(|result| result.step) {
        last_read[step as usize] = stages.len();
    }
    let mut continued = vec![false; program.steps.len()];
    for step in program.steps.iter().filter_map(ProgramStep::continues) {
        continued[step as usize] = true;
    }
    let mut dying = vec![Vec::new(); stages.len() + 1];
    let mut slots = vec![0; program.steps.len()];
    let (mut free, mut count) = (Vec::new(), 0);
    for (stage, steps) in stages.iter().enumerate() {
        for step in steps {
            let fresh = || {
                free.pop().unwrap_or_else(|| {
                    count += 1;
                    count - 1
                })
            };
            let before = program.steps[*step as usize].continues();
            let slot = before.map_or_else(fresh, |before| slots[before as usize]);
            slots[*step as usize] = slot;
            if !continued[*step as usize] {
                dying[last_read[*step as usize]].push(slot);
            }
        }
        free.append(&mut dying[stage]);
    }
    (slots, count as usize)
}
