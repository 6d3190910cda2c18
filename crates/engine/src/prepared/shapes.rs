//! Dimensions of query and reply rows, by the circuit.

use crate::error::EngineError;
use cipherfn_circuit::circuit::{Input, Output, SelectorForm};
use cipherfn_scheme::operations::pack;
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::query::{InputShape, LinearQueryShape, SelectorQueryShape, ValueShape};
use cipherfn_scheme::reply::ReplyShape;

pub(super) fn input_shape(
    set: &'static ParameterSet,
    index: usize,
    input: &Input,
) -> Result<InputShape, EngineError> {
    match input {
        Input::Selectors(group) => match group.form {
            SelectorForm::Bits => Ok(InputShape::Selectors(SelectorQueryShape {
                set,
                selectors: group.count as usize,
                gadget: group.gadget,
                transport: group.transport,
            })),
            SelectorForm::Digits { .. } => Err(EngineError::Digits { input: index }),
        },
        Input::Features(input) => Ok(InputShape::Features(LinearQueryShape {
            set,
            features: input.features as usize,
            block: input.block as usize,
            stride: input.stride as usize,
            form: input.form,
            body_bits: input.body_bits,
        })),
        Input::Values(input) => {
            pack::require(set)?;
            Ok(InputShape::Values(ValueShape {
                set,
                values: input.count as usize,
            }))
        }
        Input::Tables(input) => Ok(InputShape::Tables(input.count as usize)),
    }
}

pub(super) fn reply_shape(set: &'static ParameterSet, output: &Output) -> ReplyShape {
    ReplyShape {
        set,
        coefficients: output.coefficients as usize,
        stride: output.stride as usize,
        bits: output.reply_bits,
    }
}
