use super::Schedule;
use crate::lower::{External, Form, Outcome, Program, Step, SumStep, Term};
use crate::polynomial::Sparse;
use cipherfn_circuit::circuit::SelectorId;

fn cmux(selector: u32, terms: Vec<Term>) -> Step {
    Step::Sum(SumStep {
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
        let schedule = Schedule::with_segment(&program, segment);
        let mut slots = vec![None; schedule.slot_count];
        for stage in &schedule.stages {
            for (step, _) in stage.iter().flat_map(|block| &block.externals) {
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
        cmux(selector, terms)
    };
    let mut steps: Vec<Step> = (0..20)
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
    let stages = super::by_selector(&program, &all);
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
    for block in Schedule::new(&program).stages.iter().flatten() {
        let selectors = block.externals.iter().map(|(step, external)| {
            program.steps[*step as usize].externals()[*external as usize].selector
        });
        assert!(selectors.is_sorted());
    }
}
