//! One module a command.

mod bench;
mod compile;
mod compile_training;
mod completions;
mod decrypt;
mod demo;
mod dev;
mod encrypt;
mod evaluate;
mod frame;
mod function;
mod inspect;
mod joint;
mod keygen;
mod keys;
mod load;
mod models;
mod predict;
mod public_key;
mod publish;
mod register;
mod specs;
mod statistics;
mod train;
mod trainings;

use crate::terminal::Terminal;
use anyhow::Result;
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Compile(compile::Compile),
    Inspect(inspect::Inspect),
    Specs(specs::Specs),
    Keygen(keygen::Keygen),
    PublicKey(public_key::PublicKeyFor),
    Encrypt(encrypt::Encrypt),
    Evaluate(evaluate::Evaluate),
    Decrypt(decrypt::Decrypt),
    Predict(predict::Predict),
    Frame(frame::Frame),
    Statistics(statistics::Statistics),
    CompileTraining(compile_training::CompileTraining),
    Train(train::Train),
    Joint(joint::Joint),
    Trainings(trainings::Trainings),
    Publish(publish::Publish),
    Models(models::Models),
    Register(register::Register),
    Keys(keys::Keys),
    Dev(dev::Dev),
    Load(load::Load),
    Bench(bench::Bench),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Function(function::Function),
}

impl Command {
    /// Runs it. `program` describes the whole command line.
    pub(crate) fn run(self, program: fn() -> clap::Command, terminal: Terminal) -> Result<()> {
        match self {
            Self::Compile(command) => command.run(terminal),
            Self::Inspect(command) => command.run(terminal),
            Self::Specs(command) => command.run(terminal),
            Self::Keygen(command) => command.run(terminal),
            Self::PublicKey(command) => command.run(terminal),
            Self::Encrypt(command) => command.run(terminal),
            Self::Evaluate(command) => command.run(terminal),
            Self::Decrypt(command) => command.run(terminal),
            Self::Predict(command) => command.run(terminal),
            Self::Frame(command) => command.run(terminal),
            Self::Statistics(command) => command.run(terminal),
            Self::CompileTraining(command) => command.run(terminal),
            Self::Train(command) => command.run(terminal),
            Self::Joint(command) => command.run(terminal),
            Self::Trainings(command) => command.run(terminal),
            Self::Publish(command) => command.run(terminal),
            Self::Models(command) => command.run(terminal),
            Self::Register(command) => command.run(terminal),
            Self::Keys(command) => command.run(terminal),
            Self::Dev(command) => command.run(terminal),
            Self::Load(command) => command.run(terminal),
            Self::Bench(command) => command.run(terminal),
            Self::Demo(command) => command.run(terminal),
            Self::Completions(command) => command.run(program(), terminal),
            Self::Function(command) => command.run(),
        }
    }
}
