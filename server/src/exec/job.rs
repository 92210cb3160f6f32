//! The executor that the scheduler calls: a run's job becomes a command, its output is carried, its
//! end is told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandclock_core::backend::runs::RunSink;
use sandclock_core::error::WithSources;
use sandclock_core::job::{Command, Leftovers, OutputMode, Program};
use sandclock_core::ports::{Executor, Fault, Hooks, ProcessEnd, Running, StartError};
use sandclock_core::run::{RunContext, RunId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::child::{Child, Control, TreeEnd};
use super::intake::Intake;
use super::link::Processes;
use super::orphans::end_unsupervised;
use super::output::{Output, OutputEnd};
use super::spec::CommandSpec;
use super::surroundings::Surroundings;
use super::tree;
use super::wire::{EndedBy, Exit, Limits, StartStep};

/// Runs jobs as processes.
#[derive(Debug)]
pub struct JobExecutor {
    /// What starts commands.
    pub processes: Processes,
    /// What they see of the worker.
    pub surroundings: Arc<Surroundings>,
    /// What redacts their output.
    pub hooks: Arc<dyn Hooks>,
    /// What stores it.
    pub sink: Arc<dyn RunSink>,
    /// How long the end of a run waits for it to take the last output.
    pub patience: Duration,
}

#[async_trait]
impl Executor for JobExecutor {
    async fn start(
        &self,
        run: &RunContext,
        alive_for: Duration,
    ) -> Result<Box<dyn Running>, StartError> {
        let fail = |error: &dyn std::error::Error| StartError {
            cause: self.surroundings.mask(&WithSources(error).to_string()),
        };
        let env = self
            .surroundings
            .of_run(run)
            .await
            .map_err(|error| fail(&error))?;
        let workdir = self.surroundings.workdir();
        let spec = spec(&run.job.command, env, workdir, run.job.grace, alive_for);
        let mut child = match self.processes.start(&spec).await {
            Ok(child) => child,
            Err(error) => {
                if error.step == StartStep::Unknown {
                    // Its spawner ends what it left, unless that was killed too.
                    end_unsupervised("SANDCLOCK_RUN_ID", run.id.as_str()).await;
                }
                return Err(fail(&error));
            }
        };
        let control = child.control();
        let mut pipes = Vec::new();
        for (channel, pipe) in std::mem::take(&mut child.outputs) {
            pipes.push((
                channel,
                Intake::new(pipe),
                self.hooks.redactor(run, channel).await,
            ));
        }
        let limit = run.job.command.limits.output_bytes;
        let output = Output::new(
            run.id.clone(),
            run.attempt,
            limit,
            Arc::clone(&self.sink),
            self.patience,
        );
        let (end_output, ended) = watch::channel(false);
        let follow = follow(child, run.id.clone(), end_output);
        // One task for both, so that waiting may be given up and taken up again without losing a
        // byte.
        #[expect(
            clippy::disallowed_methods,
            reason = "owned by the returned object, which ends it when dropped"
        )]
        let task = tokio::spawn(async move { tokio::join!(follow, output.carry(pipes, ended)) });
        Ok(Box::new(RunningJob {
            control,
            task,
            end: None,
        }))
    }
}

/// A job in progress. Dropping it ends the job's processes.
#[derive(Debug)]
struct RunningJob {
    control: Control,
    task: JoinHandle<(TreeEnd, OutputEnd)>,
    end: Option<ProcessEnd>,
}

#[async_trait]
impl Running for RunningJob {
    async fn wait(&mut self) -> ProcessEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let end = match (&mut self.task).await {
            Ok((tree, output)) => process_end(tree, output),
            // The task dropped the pipes and its half of the control socket; the other half goes
            // with this object.
            Err(error) => {
                self.control.kill_now();
                lost_by_us(&error.to_string())
            }
        };
        self.end.insert(end).clone()
    }

    fn terminate(&mut self, grace: Duration) {
        self.control.terminate(grace);
    }

    fn extend(&mut self, alive_for: Duration) {
        self.control.extend(alive_for);
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for the processes, and then lets the output end.
async fn follow(mut child: Child, run: RunId, end_output: watch::Sender<bool>) -> TreeEnd {
    let mut end = child.wait().await;
    if end.by == EndedBy::SpawnerLost {
        let (ended, left) = end_unsupervised("SANDCLOCK_RUN_ID", run.as_str()).await;
        end.leftovers = tree::count(ended);
        end.survivors = tree::count(left);
    }
    end_output.send_replace(true);
    end
}

fn spec(
    command: &Command,
    env: Vec<(String, String)>,
    workdir: Option<&str>,
    grace: Duration,
    alive_for: Duration,
) -> CommandSpec {
    let argv = match &command.program {
        Program::Shell { shell, text } => shell.iter().chain([text]).cloned().collect(),
        Program::Argv(argv) => argv.clone(),
    };
    CommandSpec {
        argv,
        env,
        workdir: command.workdir.as_deref().or(workdir).map(str::to_owned),
        user: command.user.clone(),
        umask: command.umask,
        limits: Limits {
            memory_bytes: command.limits.memory_bytes,
            cpu_s: command.limits.cpu_s,
            open_files: command.limits.open_files,
        },
        split: command.output == OutputMode::Split,
        keep_leftovers: command.leftovers == Leftovers::Keep,
        grace,
        alive_for,
    }
}

fn process_end(tree: TreeEnd, output: OutputEnd) -> ProcessEnd {
    let (exit_code, signal, core_dumped) = match tree.exit {
        Exit::Code(code) => (Some(code), None, false),
        Exit::Signal {
            signal,
            core_dumped,
        } => (None, Some(signal), core_dumped),
        Exit::Unknown => (None, None, false),
    };
    ProcessEnd {
        exit_code,
        signal,
        core_dumped,
        fault: fault(&tree),
        leftovers_ended: tree.leftovers,
        output: output.summary,
        tail: output.tail,
        notes: output.notes,
    }
}

/// What went wrong beside the command itself.
fn fault(tree: &TreeEnd) -> Option<Fault> {
    if tree.survivors > 0 {
        // Whatever ended the others: it is not to be started again beside these.
        let n = tree.survivors;
        let cause = format!("{n} of its processes could not be ended, even by SIGKILL");
        return Some(Fault::Executor(cause));
    }
    Some(match tree.by {
        EndedBy::Command | EndedBy::Order => return None,
        EndedBy::NoContact => Fault::NoContact(
            "ended because its worker did not extend its deadline in time".to_owned(),
        ),
        EndedBy::WorkerGone => Fault::NoContact("ended because its worker let go of it".to_owned()),
        EndedBy::SupervisorLost => Fault::Executor(format!(
            "its supervisor was stopped or killed from outside; {} processes that it left were ended",
            tree.leftovers
        )),
        EndedBy::SpawnerLost => Fault::Executor(format!(
            "its supervisor and the spawner were stopped or killed from outside; {} processes of it were found and ended",
            tree.leftovers
        )),
    })
}

fn lost_by_us(error: &str) -> ProcessEnd {
    ProcessEnd {
        exit_code: None,
        signal: None,
        core_dumped: false,
        fault: Some(Fault::Executor(format!("the executor failed: {error}"))),
        leftovers_ended: 0,
        output: Default::default(),
        tail: Default::default(),
        notes: Vec::new(),
    }
}
