//! The order of evaluation: what the cache sees and what threads share.
//!
//! A selector is large (192 KB at N = 2048, k = 1 and three levels), so steps that use the same one
//! should follow each other; but the values between steps are large too (32 KB), and must not
//! become too many. Steps are taken in depth-first order and cut into *segments*. In a segment, the
//! next steps are always those of the selectors that most of the steps with known operands use.

use crate::lower::{Form, Program};
use std::collections::{BTreeMap, HashMap};

/// Steps of a segment: at most 128 MB of values at N = 2048, k = 1.
const SEGMENT: usize = 4096;
/// Steps of a stage, if there are as many: enough for several threads.
const STAGE: usize = 16;
/// Blocks that a stage is cut into if it has the steps for it.
const BLOCKS: usize = 8;
/// Most steps of a block.
const MAX_BLOCK: usize = 32;

/// When each step is evaluated and where its value lies.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Stages follow each other; the blocks of one stage are independent.
    pub(crate) stages: Vec<Vec<Block>>,
    /// Memory slot of each step's value.
    pub(crate) slots: Vec<u32>,
    /// Number of slots.
    pub(crate) slot_count: usize,
}

/// Steps that one thread evaluates together.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) steps: Vec<u32>,
    /// (step, index of its product), sorted by selector.
    pub(crate) products: Vec<(u32, u32)>,
}

impl Schedule {
    pub(crate) fn new(program: &Program) -> Self {
        Self::with_segment(program, SEGMENT)
    }

    fn with_segment(program: &Program, segment: usize) -> Self {
        let order = depth_first(program);
        let mut stages = Vec::new();
        for segment in order.chunks(segment) {
            stages.extend(by_selector(program, segment));
        }
        let (slots, slot_count) = assign_slots(program, &stages);
        let stages = stages.iter().map(|stage| blocks(program, stage)).collect();
        Self {
            stages,
            slots,
            slot_count,
        }
    }
}

/// The steps that a step reads.
fn operands(program: &Program, step: u32) -> impl Iterator<Item = u32> {
    let step = &program.steps[step as usize];
    let forms = std::iter::once(&step.linear)
        .chain(step.products.iter().map(|product| &product.difference));
    forms.flat_map(|form: &Form| form.terms.iter().map(|term| term.step))
}

/// Every step after what it reads, depth first, from the result.
fn depth_first(program: &Program) -> Vec<u32> {
    let mut order = Vec::with_capacity(program.steps.len());
    let mut visited = vec![false; program.steps.len()];
    let mut stack: Vec<(u32, bool)> = program
        .result
        .map(|step| (step, false))
        .into_iter()
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
/// them use. The others wait for more that use theirs.
fn by_selector(program: &Program, segment: &[u32]) -> Vec<Vec<u32>> {
    let place: HashMap<u32, usize> = segment
        .iter()
        .enumerate()
        .map(|(place, step)| (*step, place))
        .collect();
    let mut waiting = vec![0_u32; segment.len()];
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); segment.len()];
    for step in segment {
        for operand in operands(program, *step) {
            if let Some(operand) = place.get(&operand) {
                waiting[place[step]] += 1;
                users[*operand].push(*step);
            }
        }
    }
    let mut ready: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    let add = |ready: &mut BTreeMap<Option<u32>, Vec<u32>>, step: u32| {
        ready
            .entry(first_selector(program, step))
            .or_default()
            .push(step);
    };
    for step in segment.iter().filter(|step| waiting[place[step]] == 0) {
        add(&mut ready, *step);
    }
    let mut stages = Vec::new();
    while !ready.is_empty() {
        let mut groups: Vec<(usize, Option<u32>)> = ready
            .iter()
            .map(|(selector, steps)| (steps.len(), *selector))
            .collect();
        groups.sort_by_key(|(len, selector)| (std::cmp::Reverse(*len), *selector));
        let mut stage = Vec::new();
        for (_, selector) in groups {
            stage.extend(ready.remove(&selector).unwrap_or_default());
            if stage.len() >= STAGE {
                break;
            }
        }
        for step in &stage {
            for user in &users[place[step]] {
                let left = &mut waiting[place[user]];
                *left -= 1;
                if *left == 0 {
                    add(&mut ready, *user);
                }
            }
        }
        stages.push(stage);
    }
    stages
}

fn first_selector(program: &Program, step: u32) -> Option<u32> {
    let step = &program.steps[step as usize];
    step.products
        .first()
        .map(|product| product.selector)
        .or(step.linear.rows.first().map(|row| row.selector))
}

fn blocks(program: &Program, stage: &[u32]) -> Vec<Block> {
    let len = (stage.len() / BLOCKS).clamp(1, MAX_BLOCK);
    let block = |steps: &[u32]| {
        let products = |step: &u32| {
            let step = *step;
            (0..program.steps[step as usize].products.len() as u32)
                .map(move |product| (step, product))
        };
        let mut products: Vec<(u32, u32)> = steps.iter().flat_map(products).collect();
        products.sort_by_key(|(step, product)| {
            program.steps[*step as usize].products[*product as usize].selector
        });
        Block {
            steps: steps.to_vec(),
            products,
        }
    };
    stage.chunks(len).map(block).collect()
}

/// Gives each step a slot that is free from its stage to the last stage that reads it.
fn assign_slots(program: &Program, stages: &[Vec<u32>]) -> (Vec<u32>, usize) {
    let mut last_read = vec![0; program.steps.len()];
    for (stage, steps) in stages.iter().enumerate() {
        for step in steps {
            last_read[*step as usize] = stage;
            operands(program, *step).for_each(|operand| last_read[operand as usize] = stage);
        }
    }
    if let Some(result) = program.result {
        last_read[result as usize] = stages.len();
    }
    let mut dying = vec![Vec::new(); stages.len() + 1];
    let mut slots = vec![0; program.steps.len()];
    let (mut free, mut count) = (Vec::new(), 0);
    for (stage, steps) in stages.iter().enumerate() {
        for step in steps {
            let slot = free.pop().unwrap_or_else(|| {
                count += 1;
                count - 1
            });
            slots[*step as usize] = slot;
            dying[last_read[*step as usize]].push(slot);
        }
        free.append(&mut dying[stage]);
    }
    (slots, count as usize)
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use crate::lower::{Form, Product, Program, Step, Term};
    use crate::polynomial::Sparse;

    /// 60 steps, each a CMUX of two earlier ones, all needed.
    fn program() -> Program {
        let term = |step| Term { step, rotation: 0 };
        let step = |step: u32| {
            let terms = if step < 2 {
                Vec::new()
            } else {
                vec![term(step - 1), term(step * 7 % (step - 1))]
            };
            let difference = Form {
                terms,
                rows: Vec::new(),
            };
            let product = Product {
                selector: step * 5 % 7,
                difference,
                constant: Sparse::default(),
            };
            Step {
                linear: Form::default(),
                products: vec![product],
            }
        };
        Program {
            steps: (0..60).map(step).collect(),
            constant: Sparse::default(),
            result: Some(59),
        }
    }

    #[test]
    fn values_are_there_when_they_are_read() {
        let program = program();
        for segment in [1, 3, 16, 1000] {
            let schedule = Schedule::with_segment(&program, segment);
            let mut slots = vec![None; schedule.slot_count];
            for stage in &schedule.stages {
                for (step, _) in stage.iter().flat_map(|block| &block.products) {
                    for term in &program.steps[*step as usize].products[0].difference.terms {
                        assert_eq!(
                            slots[schedule.slots[term.step as usize] as usize],
                            Some(term.step),
                            "segment {segment}"
                        );
                    }
                }
                for step in stage.iter().flat_map(|block| &block.steps) {
                    slots[schedule.slots[*step as usize] as usize] = Some(*step);
                }
            }
            assert_eq!(slots[schedule.slots[59] as usize], Some(59));
            let evaluated: usize = schedule
                .stages
                .iter()
                .flatten()
                .map(|block| block.steps.len())
                .sum();
            assert_eq!(evaluated, 60);
        }
    }

    #[test]
    fn steps_wait_for_others_of_their_selector() {
        // Chains of two steps over selectors 0 and 1, 1 and 0, alternating: by level, each selector
        // would come up twice.
        let step = |operand: Option<u32>, selector: u32| {
            let terms = operand
                .map(|step| Term { step, rotation: 0 })
                .into_iter()
                .collect();
            Step {
                linear: Form::default(),
                products: vec![Product {
                    selector,
                    difference: Form {
                        terms,
                        rows: Vec::new(),
                    },
                    constant: Sparse::default(),
                }],
            }
        };
        let mut steps: Vec<Step> = (0..20)
            .map(|_| step(None, 0))
            .chain((0..30).map(|_| step(None, 1)))
            .collect();
        steps.extend((20..50).map(|operand| step(Some(operand), 0)));
        let all: Vec<u32> = (0..80).collect();
        let program = Program {
            steps,
            constant: Sparse::default(),
            result: Some(79),
        };
        let stages = super::by_selector(&program, &all);
        let selectors: Vec<Option<u32>> = stages
            .iter()
            .map(|stage| super::first_selector(&program, stage[0]))
            .collect();
        assert_eq!(selectors, [Some(1), Some(0)]);
        assert_eq!(stages.iter().map(Vec::len).collect::<Vec<_>>(), [30, 50]);
    }

    #[test]
    fn blocks_go_from_selector_to_selector() {
        let program = program();
        for block in Schedule::new(&program).stages.iter().flatten() {
            let selectors = block.products.iter().map(|(step, product)| {
                program.steps[*step as usize].products[*product as usize].selector
            });
            assert!(selectors.is_sorted());
        }
    }
}
