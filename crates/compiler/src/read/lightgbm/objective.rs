//! Objectives and what the library predicts under them (`ConvertOutput`).

use super::LIBRARY;
use crate::error::CompileError;
use crate::read::answer::{Answer, Link};

/// What the library predicts, by the header's `objective`: a name and parameters. A model with an
/// objective of the user's own has none, and predicts raw scores.
pub(super) fn answer(objective: Option<&str>, scores: usize) -> Result<Answer, CompileError> {
    let mut words = objective.unwrap_or("custom").split_ascii_whitespace();
    let name = words.next().unwrap_or("custom");
    let parameters: Vec<&str> = words.collect();
    let slope = || -> Result<f64, CompileError> {
        let Some(text) = parameters
            .iter()
            .find_map(|word| word.strip_prefix("sigmoid:"))
        else {
            return Ok(1.0);
        };
        text.parse()
            .ok()
            .filter(|slope: &f64| slope.is_finite() && *slope > 0.0)
            .ok_or_else(|| LIBRARY.invalid("objective", format!("sigmoid is {text:?}")))
    };
    let answer = match name {
        "regression" | "regression_l2" | "mean_squared_error" | "mse" | "l2" | "rmse"
        | "regression_l1" | "mae" | "l1" | "huber" | "fair" | "quantile" | "mape"
            if parameters.contains(&"sqrt") =>
        {
            Answer::Values(Link::SignedSquare)
        }
        "regression" | "regression_l2" | "mean_squared_error" | "mse" | "l2" | "rmse"
        | "regression_l1" | "mae" | "l1" | "huber" | "fair" | "quantile" | "mape"
        | "lambdarank" | "rank_xendcg" | "custom" | "none" => Answer::Values(Link::Identity),
        "poisson" | "gamma" | "tweedie" => Answer::Values(Link::Exponential),
        "cross_entropy" | "xentropy" => Answer::Values(Link::Logistic { slope: 1.0 }),
        "cross_entropy_lambda" | "xentlambda" => Answer::Values(Link::Softplus),
        "binary" => Answer::Binary {
            link: Link::Logistic { slope: slope()? },
            threshold: 0.0,
        },
        "multiclass" => Answer::Softmax,
        "multiclassova" => Answer::OneVersusAll(Link::Logistic { slope: slope()? }),
        other => {
            return Err(LIBRARY.unsupported(
                "objective",
                format!("{other:?} is not known, nor what the library predicts under it"),
                "the objectives of LightGBM 3 and 4, such as binary or regression",
            ));
        }
    };
    let wants_one = matches!(answer, Answer::Binary { .. });
    if wants_one && scores != 1 {
        let problem = format!("{name} has one score, num_tree_per_iteration is {scores}");
        return Err(LIBRARY.invalid("objective", problem));
    }
    Ok(answer)
}
