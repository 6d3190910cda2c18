use super::{Block, Schedule, Stage, Streaming};
use crate::lower::{
    BootstrapStep, ChoiceStep, External, Form, NumberTerm, Outcome, Program, ProgramStep, RowTerm,
    SumStep, Term,
};
use crate::polynomial::Sparse;
use cipherfn_circuit::circuit::{ConstantId, SelectorId};
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};

fn cmux(selector: u32, terms: Vec<Term>) -> ProgramStep {
    ProgramStep::Sum(SumStep {
        linear: Form::default(),
        externals: vec![External {
            selector: SelectorId::first(selector),
            difference: Form {
                terms,
                rows: Vec::new(),
            },
            constant: Sparse::default(),
        }],
    })
}

/// The blocks of a stage that is no bootstraps.
fn blocks(stage: &Stage) -> &[Block] {
    match stage {
        Stage::Blocks(blocks) => blocks,
        Stage::Bootstraps(steps) | Stage::Choices(steps) => panic!("bootstraps: {steps:?}"),
    }
}

/// 60 steps, each a CMUX of two earlier ones, all needed.
fn program() -> Program {
    let term = |step| Term { step, rotation: 0 };
    let step = |step: u32| {
        let terms = if step < 2 {
            Vec::new()
        } else {
            vec![term(step - 1), term(step * 7 % (step - 1))]
        };
        cmux(step * 5 % 7, terms)
    };
    Program {
        steps: (0..60).map(step).collect(),
        results: vec![Outcome {
            constant: Sparse::default(),
            step: Some(59),
        }],
    }
}

#[test]
fn values_are_there_when_they_are_read() {
    let program = program();
    for segment in [1, 3, 16, 1000] {
        let schedule = Schedule::of_stages(&program, &super::stages(&program, segment), None);
        let mut slots = vec![None; schedule.slot_count];
        for stage in &schedule.stages {
            for (step, _) in blocks(stage).iter().flat_map(|block| &block.externals) {
                for term in &program.steps[*step as usize].externals()[0]
                    .difference
                    .terms
                {
                    assert_eq!(
                        slots[schedule.slots[term.step as usize] as usize],
                        Some(term.step),
                        "segment {segment}"
                    );
                }
            }
            for step in blocks(stage).iter().flat_map(|block| &block.steps) {
                slots[schedule.slots[*step as usize] as usize] = Some(*step);
            }
        }
        assert_eq!(slots[schedule.slots[59] as usize], Some(59));
        let evaluated: usize = schedule
            .stages
            .iter()
            .flat_map(blocks)
            .map(|block| block.steps.len())
            .sum();
        assert_eq!(evaluated, 60);
    }
}

/// Steps of one to three selectors, whatever they read.
fn selector_program() -> Program {
    let row = |selector| RowTerm {
        selector: SelectorId::first(selector),
        plaintext: Sparse::sum(vec![(0, 1)]),
    };
    let step = |step: u32| {
        let term = Term {
            step: step / 2,
            rotation: 0,
        };
        let mut next = cmux(
            step * 37 % 200,
            (step > 0).then_some(term).into_iter().collect(),
        );
        if let ProgramStep::Sum(sum) = &mut next {
            sum.linear.rows = (0..step % 3)
                .map(|i| row((step * 53 + i * 91) % 200))
                .collect();
        }
        next
    };
    Program {
        steps: (0..300).map(step).collect(),
        results: (150..300)
            .map(|step| Outcome {
                constant: Sparse::default(),
                step: Some(step),
            })
            .collect(),
    }
}

#[test]
fn selectors_are_there_when_they_are_read() {
    let program = selector_program();
    let groups = 200usize.div_ceil(super::GROUP as usize);
    let mut fewer = usize::MAX;
    for frames in [0, 3, 5, 12, groups] {
        let schedule = Schedule::streaming(&program, frames);
        let streaming = schedule.streaming.unwrap();
        assert_eq!(streaming.frames, frames.max(3), "a step reads three");
        assert_eq!(streaming.loads.len(), schedule.stages.len());
        let mut memory = vec![None; streaming.frames];
        for (stage, loads) in schedule.stages.iter().zip(&streaming.loads) {
            for load in loads {
                assert!(!memory.contains(&Some(load.group)), "it is there already");
                memory[load.frame as usize] = Some(load.group);
            }
            for step in blocks(stage).iter().flat_map(|block| &block.steps) {
                let step = &program.steps[*step as usize];
                let rows = step.forms().flat_map(|form| &form.rows);
                let externals = step.externals().iter().map(|external| external.selector);
                for selector in rows.map(|row| row.selector).chain(externals) {
                    let group = super::Group::of(selector);
                    assert!(memory.contains(&Some(group)), "{frames} frames: {group:?}");
                }
            }
        }
        let steps = schedule
            .stages
            .iter()
            .flat_map(blocks)
            .flat_map(|block| &block.steps);
        assert_eq!(steps.count(), 300);
        let loads = streaming.loads.iter().flatten().count();
        assert!(loads <= fewer, "more memory, fewer loads");
        fewer = loads;
    }
    assert_eq!(fewer, groups, "with room for all each is expanded once");
}

#[test]
fn what_is_read_of_many_selectors_is_expanded_once_and_first() {
    let program = selector_program();
    let segment = super::SEGMENTS[0];
    assert!(Schedule::new(&program, segment, 200).streaming.is_none());
    let schedule = Schedule::new(&program, segment, 1000);
    let Streaming { loads, frames } = schedule.streaming.unwrap();
    let (_, needed) = super::stream::needs(&program);
    assert_eq!((frames, loads.len()), (needed, schedule.stages.len()));
    assert_eq!(loads[0].len(), needed);
    assert!(loads[1..].iter().all(Vec::is_empty));
    let nothing = Program {
        steps: Vec::new(),
        results: Vec::new(),
    };
    let schedule = Schedule::new(&nothing, segment, 200);
    assert_eq!(schedule.streaming.unwrap().frames, 0);
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
        cmux(selector, terms)
    };
    let mut steps: Vec<ProgramStep> = (0..20)
        .map(|_| step(None, 0))
        .chain((0..30).map(|_| step(None, 1)))
        .collect();
    steps.extend((20..50).map(|operand| step(Some(operand), 0)));
    let all: Vec<u32> = (0..80).collect();
    let program = Program {
        steps,
        results: vec![Outcome {
            constant: Sparse::default(),
            step: Some(79),
        }],
    };
    let stages = super::by_selector(&program, &all, |step| Some(step as usize));
    let selectors: Vec<_> = stages
        .iter()
        .map(|stage| super::first_selector(&program.steps[stage[0] as usize]))
        .collect();
    assert_eq!(
        selectors,
        [1, 0].map(|index| Some(SelectorId::first(index)))
    );
    assert_eq!(stages.iter().map(Vec::len).collect::<Vec<_>>(), [30, 50]);
}

#[test]
fn blocks_go_from_selector_to_selector() {
    let program = program();
    for block in Schedule::new(&program, super::SEGMENTS[0], 7)
        .stages
        .iter()
        .flat_map(blocks)
    {
        let selectors = block.externals.iter().map(|(step, external)| {
            program.steps[*step as usize].externals()[*external as usize].selector
        });
        assert!(selectors.is_sorted());
    }
}

#[test]
fn bootstraps_wait_for_each_other() {
    let number = |step| NumberTerm {
        of: Term::of(step),
        constant: 0,
    };
    // Twenty bootstraps of twenty values of ten selectors, a sum of each, and twenty more.
    let bootstrap = |step| {
        ProgramStep::Bootstrap(BootstrapStep {
            number: number(step),
            table: ConstantId(0),
        })
    };
    // Then a choice by each of the last ones: they wait, too.
    let choice = |step| {
        ProgramStep::Choice(ChoiceStep {
            number: number(step),
            gadget: Gadget::new(BaseLog::new(8), Levels::new(2)),
            clear: None,
            difference: Form::default(),
            constant: Sparse::default(),
        })
    };
    let mut steps: Vec<ProgramStep> = (0..20).map(|step| cmux(step % 10, Vec::new())).collect();
    steps.extend((0..20).map(bootstrap));
    steps.extend((20..40).map(|step| cmux(step % 10, vec![Term::of(step)])));
    steps.extend((40..60).map(bootstrap));
    steps.extend((60..80).map(choice));
    let results = (80..100).map(|step| Outcome {
        constant: Sparse::default(),
        step: Some(step),
    });
    let program = Program {
        steps,
        results: results.collect(),
    };
    let schedule = Schedule::new(&program, super::SEGMENTS[0], 10);
    let bootstraps = schedule.stages.iter().filter_map(|stage| match stage {
        Stage::Bootstraps(steps) | Stage::Choices(steps) => {
            let mut steps = steps.clone();
            steps.sort_unstable();
            Some(steps)
        }
        Stage::Blocks(_) => None,
    });
    let expected: [Vec<u32>; 3] = [20..40, 60..80, 80..100].map(Iterator::collect);
    assert_eq!(bootstraps.collect::<Vec<_>>(), expected);
}
