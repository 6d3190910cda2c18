//! Objectives, their links, and what the library predicts under them.

use super::LIBRARY;
use crate::error::CompileError;
use crate::read::answer::{Answer, Link};

/// What is known of an objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Objective {
    predicts: Predicts,
    /// From the intercept as the file states it to a margin.
    pub(super) intercept: Intercept,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Predicts {
    Values(Link),
    Classes,
    TwoClasses,
    Sign,
}

/// The form of `base_score`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intercept {
    Margin,
    Probability,
    Mean,
}

const LOGISTIC: Link = Link::Logistic { slope: 1.0 };

impl Objective {
    pub(super) fn of(name: &str) -> Result<Self, CompileError> {
        let (predicts, intercept) = match name {
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:absoluteerror"
            | "reg:pseudohubererror"
            | "reg:quantileerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map"
            | "binary:logitraw" => (Predicts::Values(Link::Identity), Intercept::Margin),
            "reg:logistic" => (Predicts::Values(LOGISTIC), Intercept::Probability),
            "binary:logistic" => (Predicts::TwoClasses, Intercept::Probability),
            "binary:hinge" => (Predicts::Sign, Intercept::Margin),
            "multi:softmax" | "multi:softprob" => (Predicts::Classes, Intercept::Margin),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                (Predicts::Values(Link::Exponential), Intercept::Mean)
            }
            other => {
                return Err(LIBRARY.unsupported(
                    "the objective",
                    format!("{other:?} is not known, nor what the library predicts under it"),
                    "the objectives of XGBoost 1 to 3, such as binary:logistic or reg:squarederror",
                ));
            }
        };
        Ok(Self {
            predicts,
            intercept,
        })
    }

    /// What the library predicts from this many margins.
    pub(super) const fn answer(&self, scores: usize) -> Answer {
        match self.predicts {
            Predicts::Values(link) => Answer::Values(link),
            Predicts::TwoClasses if scores > 1 => Answer::Labels(LOGISTIC),
            Predicts::TwoClasses => Answer::Binary {
                link: LOGISTIC,
                threshold: 0.0,
            },
            Predicts::Sign => Answer::Sign,
            Predicts::Classes => Answer::Softmax,
        }
    }
}
