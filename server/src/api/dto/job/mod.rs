//! A job on the wire: every member that this version supports, its defaults, and its checks.
//!
//! Members that this version does not support are refused, never ignored. What needs more than the
//! document itself (plugins that exist, a schedule that fires) is checked here too where it can be
//! checked without I/O.

mod command;

use std::collections::BTreeMap;

use sandclock_core::Timestamp;
use sandclock_core::job::{
    HookBinding, Job, JobName, Leftovers, OutputMode, Program, ScheduleSpec,
};
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::schedule::{Dialect, DstPolicy};
use serde::{Deserialize, Serialize};

pub use self::command::{LimitsDto, SecretDto};
use super::policy::{MisfireDto, OnLostDto, RetryDto};
use super::{FieldError, as_seconds, seconds};
use utoipa::ToSchema;

/// A job document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Job, example = json!({
    "command": "pg_dump shop | gzip > /backup/shop.gz",
    "schedule": "30 3 * * *",
    "time_zone": "Europe/Berlin",
    "timeout_s": 3600,
    "retry": { "max": 2 },
    "labels": { "team": "shop" },
}))]
#[serde(deny_unknown_fields, default)]
pub struct JobDto {
    /// May be left out where the route names the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// Who is to be asked about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    owner: String,
    /// What bindings and people select it by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    /// Whether it makes ticks; default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// Cron of 5 or 7 fields, `@daily` and its kin, `@every 90s`, `@at 2027-01-01T00:00:00Z`; without one it runs by request only.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// Whose rules read the schedule; default `native`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<DialectDto>,
    /// An IANA name; by default the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// What becomes of times that the clocks skip or repeat; default `vixie`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<DstDto>,
    /// No tick before this, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    /// No tick from this on, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    /// Shell text; either this or `argv`.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// A program and its arguments, run without a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    argv: Option<Vec<String>>,
    /// What runs the text; default `/bin/bash -c`.
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<Vec<String>>,
    /// Variables that the command sees.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    /// Variables whose values the worker finds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, SecretDto>,
    /// Where it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    workdir: Option<String>,
    /// Whom it runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Three octal digits; default `022`.
    #[serde(skip_serializing_if = "Option::is_none")]
    umask: Option<String>,
    /// What a run may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsDto>,
    /// One text (`combined`, the default), or the two pipes apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<OutputDto>,
    /// What becomes of processes that a run leaves behind; default `kill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    leftovers: Option<LeftoversDto>,
    /// What a tick does while a run goes on; default `forbid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<ConcurrencyDto>,
    /// What becomes of ticks that are more than 30 s late.
    #[serde(skip_serializing_if = "Option::is_none")]
    misfire: Option<MisfireDto>,
    /// The limit of a run; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<f64>,
    /// The time between SIGTERM and SIGKILL; default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_s: Option<f64>,
    /// Whether a failed run is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryDto>,
    /// What becomes of a run whose worker is gone; default `record`.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_lost: Option<OnLostDto>,
    /// How long a run goes on without contact before it is lost; default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_after_s: Option<f64>,
    /// Plugins, in the order in which they are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hooks: Vec<HookDto>,
}

macro_rules! names {
    ($(#[$doc:meta])* $dto:ident as $shown:ident => $core:ty { $($name:ident),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[schema(as = $shown)]
        #[serde(rename_all = "lowercase")]
        #[expect(missing_docs, reason = "the names are core's")]
        pub enum $dto { $($name),+ }

        impl From<$dto> for $core {
            fn from(dto: $dto) -> Self {
                match dto { $($dto::$name => Self::$name),+ }
            }
        }

        impl From<$core> for $dto {
            fn from(core: $core) -> Self {
                match core { $(<$core>::$name => Self::$name),+ }
            }
        }
    };
}

names!(/// `dst`
    DstDto as Dst => DstPolicy { Vixie, Skip, Both });
names!(/// `dialect`: whose rules read the schedule; shown only where they are not the native ones.
    DialectDto as Dialect => Dialect { Native, Go });
names!(/// `concurrency`
    ConcurrencyDto as Concurrency => ConcurrencyPolicy { Forbid, Allow, Replace, Queue });
names!(/// `output`
    OutputDto as Output => OutputMode { Combined, Split });
names!(/// `leftovers`
    LeftoversDto as Leftovers => Leftovers { Kill, Keep });

/// A member of `hooks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Hook)]
#[serde(deny_unknown_fields)]
pub struct HookDto {
    /// Its name.
    plugin: String,
    /// What it is told; default `{}`.
    #[serde(default = "empty_object")]
    #[schema(value_type = Object)]
    config: serde_json::Value,
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

impl JobDto {
    /// A document that says nothing but a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }

    /// As core has it, checked. `name` is the route's; `zone` is the default time zone.
    ///
    /// # Errors
    /// Names the first member that is not accepted.
    pub fn to_core(&self, name: &str, zone: &str) -> Result<Job, FieldError> {
        if let Some(own) = self.name.as_deref().filter(|own| *own != name) {
            return Err(FieldError::new(
                "name",
                own,
                format!("the name of the route, {name:?}"),
            ));
        }
        let name =
            JobName::parse(name).map_err(|error| FieldError::new("name", name, error.rule))?;
        let mut job = Job::new(name, self.program()?);
        job.command = self.command_of(job.command)?;
        job.schedule = self.schedule_spec(zone)?;
        job.enabled = self.enabled.unwrap_or(true);
        job.concurrency = self.concurrency.map_or_else(Default::default, Into::into);
        if let Some(misfire) = &self.misfire {
            job.misfire = misfire.to_core()?;
        }
        job.timeout = self
            .timeout_s
            .map(|value| seconds("timeout_s", value, 0.001))
            .transpose()?;
        if let Some(value) = self.grace_s {
            job.grace = seconds("grace_s", value, 0.0)?;
        }
        if let Some(retry) = &self.retry {
            job.retry = retry.to_core()?;
        }
        if let Some(on_lost) = &self.on_lost {
            job.on_lost = on_lost.to_core()?;
        }
        if let Some(value) = self.lost_after_s {
            job.lost_after = seconds("lost_after_s", value, 0.0)?;
        }
        job.hooks = self.bindings()?;
        job.labels = self.labels.clone();
        job.description = self.description.clone();
        job.owner = self.owner.clone();
        job.check()?;
        Ok(job)
    }

    fn bindings(&self) -> Result<Vec<HookBinding>, FieldError> {
        let binding = |(at, hook): (usize, &HookDto)| {
            if !hook.config.is_object() {
                let field = format!("hooks[{at}].config");
                return Err(FieldError::new(field, &hook.config, "a JSON object"));
            }
            let (plugin, config) = (hook.plugin.clone(), hook.config.clone());
            Ok(HookBinding { plugin, config })
        };
        self.hooks.iter().enumerate().map(binding).collect()
    }

    fn schedule_spec(&self, zone: &str) -> Result<Option<ScheduleSpec>, FieldError> {
        let Some(expr) = &self.schedule else {
            let stray = [
                ("dialect", self.dialect.is_some()),
                ("time_zone", self.time_zone.is_some()),
                ("dst", self.dst.is_some()),
                ("starts_at", self.starts_at.is_some()),
                ("ends_at", self.ends_at.is_some()),
            ];
            return match stray.into_iter().find(|(_, given)| *given) {
                Some((field, _)) => Err(FieldError::new(field, "given", "only with a 'schedule'")),
                None => Ok(None),
            };
        };
        let instant = |field: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => Timestamp::parse(text).map(Some).ok_or_else(|| {
                FieldError::new(field, text, "RFC 3339, such as 2027-01-01T00:00:00Z")
            }),
        };
        let spec = ScheduleSpec {
            expr: expr.clone(),
            dialect: self.dialect.map_or(Dialect::Native, Into::into),
            time_zone: self.time_zone.clone().unwrap_or_else(|| zone.to_owned()),
            dst: self.dst.map_or_else(Default::default, Into::into),
            starts_at: instant("starts_at", &self.starts_at)?,
            ends_at: instant("ends_at", &self.ends_at)?,
        };
        crate::timetable::of(&spec)?;
        Ok(Some(spec))
    }

    /// From core, with every value written out, defaults too.
    pub fn from_core(job: &Job) -> Self {
        let spec = job.schedule.as_ref();
        let (command, argv, shell) = match &job.command.program {
            Program::Shell { shell, text } => (Some(text.clone()), None, Some(shell.clone())),
            Program::Argv(argv) => (None, Some(argv.clone()), None),
        };
        Self {
            name: Some(job.name.as_str().to_owned()),
            description: job.description.clone(),
            owner: job.owner.clone(),
            labels: job.labels.clone(),
            enabled: Some(job.enabled),
            schedule: spec.map(|spec| spec.expr.clone()),
            dialect: spec
                .map(|spec| spec.dialect.into())
                .filter(|dialect| *dialect != DialectDto::Native),
            time_zone: spec.map(|spec| spec.time_zone.clone()),
            dst: spec.map(|spec| spec.dst.into()),
            starts_at: spec
                .and_then(|spec| spec.starts_at)
                .map(|at| at.to_string()),
            ends_at: spec.and_then(|spec| spec.ends_at).map(|at| at.to_string()),
            command,
            argv,
            shell,
            env: job.command.env.clone(),
            secrets: job
                .command
                .secrets
                .iter()
                .map(|(name, source)| (name.clone(), SecretDto::from_core(source)))
                .collect(),
            workdir: job.command.workdir.clone(),
            user: job.command.user.clone(),
            umask: Some(format!("{:03o}", job.command.umask)),
            limits: Some(LimitsDto::from_core(&job.command.limits)),
            output: Some(job.command.output.into()),
            leftovers: Some(job.command.leftovers.into()),
            concurrency: Some(job.concurrency.into()),
            misfire: Some(MisfireDto::from_core(job.misfire)),
            timeout_s: job.timeout.map(as_seconds),
            grace_s: Some(as_seconds(job.grace)),
            retry: RetryDto::from_core(&job.retry),
            on_lost: Some(OnLostDto::from_core(job.on_lost)),
            lost_after_s: Some(as_seconds(job.lost_after)),
            hooks: job
                .hooks
                .iter()
                .map(|hook| HookDto {
                    plugin: hook.plugin.clone(),
                    config: hook.config.clone(),
                })
                .collect(),
        }
    }
}
