//! Losses and what the library's `predict` and `predict_proba` give for them.

use super::LIBRARY;
use crate::error::CompileError;
use crate::read::answer::{Answer, Link};

const LOGISTIC: Link = Link::Logistic { slope: 1.0 };

/// What the library predicts from this many scores. `threshold` is the probability above which the
/// second of two classes is predicted.
pub(super) fn answer(
    name: &str,
    scores: usize,
    threshold: Option<f64>,
) -> Result<Answer, CompileError> {
    let (answer, wanted) = match name {
        "Logloss" | "CrossEntropy" | "Focal" => {
            let threshold = threshold.map_or(0.0, |p| (p / (1.0 - p)).ln());
            let link = LOGISTIC;
            (Answer::Binary { link, threshold }, Some(1))
        }
        "MultiClass" => (Answer::Softmax, None),
        "MultiClassOneVsAll" => (Answer::OneVersusAll(LOGISTIC), None),
        "MultiLogloss" | "MultiCrossEntropy" => (Answer::Labels(LOGISTIC), None),
        "RMSEWithUncertainty" => (Answer::MeanAndVariance, Some(2)),
        "Poisson" | "Tweedie" => (Answer::Values(Link::Exponential), Some(1)),
        "RMSE"
        | "MAE"
        | "MAPE"
        | "Quantile"
        | "Expectile"
        | "LogLinQuantile"
        | "Lq"
        | "Huber"
        | "LogCosh"
        | "GroupQuantile"
        | "NumErrors"
        | "SMAPE"
        | "R2"
        | "MSLE"
        | "MedianAbsoluteError"
        | "Cox"
        | "SurvivalAft"
        | "YetiRank"
        | "YetiRankPairwise"
        | "PairLogit"
        | "PairLogitPairwise"
        | "QueryRMSE"
        | "QuerySoftMax"
        | "QueryCrossEntropy"
        | "LambdaMart"
        | "StochasticRank"
        | "StochasticFilter" => (Answer::Values(Link::Identity), Some(1)),
        "MultiRMSE" | "MultiRMSEWithMissingValues" | "MultiQuantile" => {
            (Answer::Values(Link::Identity), None)
        }
        other => {
            return Err(LIBRARY.unsupported(
                "model_info.params.loss_function.type",
                format!("{other:?} is not known, nor what the library predicts under it"),
                "CatBoost's own losses, such as Logloss or RMSE",
            ));
        }
    };
    if let Some(wanted) = wanted.filter(|&wanted| wanted != scores) {
        let problem = format!("{name} has {wanted} scores, the bias {scores}");
        return Err(LIBRARY.invalid("scale_and_bias", problem));
    }
    Ok(answer)
}
