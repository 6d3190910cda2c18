use super::{Family, Plan, Setting};
use crate::error::CompileError;
use crate::model::LookupModel;

impl Family for LookupModel {
    fn name(&self) -> &'static str {
        "network"
    }

    fn plan(&self, _setting: &Setting<'_>) -> Result<Plan, CompileError> {
        Err(CompileError::UnsupportedModel {
            problem: "functions of linear forms".into(),
            supported: "to come".into(),
        })
    }
}
