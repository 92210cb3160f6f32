//! The contract methods by name, and which of them may be repeated.

/// Whether the same request may be sent again after an answer that leaves its effect unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It may: the second one changes nothing more, and its answer is as good (S6).
    Always,
    /// Only its caller can tell what a second answer means: it reads again first.
    OnlyWithoutEffect,
}

/// What a method does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nothing.
    Reads,
    /// It may change something.
    Changes,
}

macro_rules! ops {
    ($($op:ident $name:literal $nature:ident $repeat:ident)+) => {
        /// A contract method.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is documented where the contract is")]
        pub enum Op {
            $($op,)+
        }

        impl Op {
            /// Every method.
            pub const ALL: &[Self] = &[$(Self::$op,)+];

            /// Its name in errors, metrics and logs: contract, dot, method.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$op => $name,)+
                }
            }

            /// What it does to the store.
            pub fn nature(self) -> Nature {
                match self {
                    $(Self::$op => Nature::$nature,)+
                }
            }

            /// Whether a repeat is safe while the effect is unknown.
            pub fn repeat(self) -> Repeat {
                match self {
                    $(Self::$op => Repeat::$repeat,)+
                }
            }
        }
    };
}

// A put or delete with a precondition would meet its own effect as a conflict; a second session would live
// beside the first until its lease ends; a second rebind finds a fence that is its own; a second claim of
// alerts takes further ones, and a second place in their pace is one too many; what a plugin serves may have been
// changed back in between, and a release that was withdrawn may have been pushed again; a second swap finds its own
// value in place of the expected one. All else, sent twice, is recognised by nonce, fence, id or version, or its
// caller is told to look again. (A push repeated after somebody withdrew it meanwhile is a push.)
ops! {
    JobsSnapshot "jobs.snapshot" Reads Always
    JobsWatch "jobs.watch" Reads Always
    JobsGet "jobs.get" Reads Always
    JobsPut "jobs.put" Changes OnlyWithoutEffect
    JobsDelete "jobs.delete" Changes OnlyWithoutEffect
    SessionsOpen "sessions.open" Changes OnlyWithoutEffect
    SessionsRenew "sessions.renew" Changes Always
    SessionsAskToDrain "sessions.ask_to_drain" Changes Always
    SessionsClose "sessions.close" Changes Always
    SessionsLive "sessions.live" Reads Always
    FiresDecide "fires.decide" Changes Always
    FiresAdopt "fires.adopt" Changes Always
    FiresTake "fires.take" Changes Always
    FiresEnd "fires.end" Changes Always
    FiresRebind "fires.rebind" Changes OnlyWithoutEffect
    FiresSettle "fires.settle" Changes Always
    FiresTrigger "fires.trigger" Changes Always
    FeedSnapshot "feed.snapshot" Reads Always
    FeedWatch "feed.watch" Reads Always
    FeedClean "feed.clean" Changes Always
    KillsSend "kills.send" Changes Always
    KillsWatch "kills.watch" Reads Always
    LeadershipCampaign "leadership.campaign" Changes Always
    LeadershipHold "leadership.hold" Changes Always
    LeadershipResign "leadership.resign" Changes Always
    DocsList "docs.list" Reads Always
    DocsPut "docs.put" Changes OnlyWithoutEffect
    DocsDelete "docs.delete" Changes OnlyWithoutEffect
    SinkBegin "sink.begin" Changes Always
    SinkAppend "sink.append" Changes Always
    SinkFinish "sink.finish" Changes Always
    RunsGet "runs.get" Reads Always
    RunsList "runs.list" Reads Always
    RunsReadLog "runs.read_log" Reads Always
    RunsHistory "runs.history" Reads Always
    RunsPrune "runs.prune" Changes Always
    OutboxPut "outbox.put" Changes Always
    OutboxClaim "outbox.claim" Changes OnlyWithoutEffect
    OutboxEnd "outbox.end" Changes Always
    OutboxGather "outbox.gather" Changes Always
    OutboxPace "outbox.pace" Changes OnlyWithoutEffect
    OutboxSet "outbox.set" Changes Always
    OutboxGet "outbox.get" Reads Always
    OutboxList "outbox.list" Reads Always
    OutboxOfRun "outbox.of_run" Reads Always
    OutboxOfJob "outbox.of_job" Reads Always
    PluginsPush "plugins.push" Changes Always
    PluginsList "plugins.list" Reads Always
    PluginsModule "plugins.module" Reads Always
    PluginsServe "plugins.serve" Changes OnlyWithoutEffect
    PluginsShadow "plugins.shadow" Changes Always
    PluginsSetMode "plugins.set_mode" Changes Always
    PluginsWithdraw "plugins.withdraw" Changes OnlyWithoutEffect
    RecordingsKeep "recordings.keep" Changes Always
    RecordingsOfRun "recordings.of_run" Reads Always
    RecordingsLatest "recordings.latest" Reads Always
    KvGet "kv.get" Reads Always
    KvSwap "kv.swap" Changes OnlyWithoutEffect
    KvClear "kv.clear" Changes Always
    AuditPut "audit.put" Changes Always
    AuditList "audit.list" Reads Always
    AuditPrune "audit.prune" Changes Always
    GoJobs "go.jobs" Reads Always
    GoJob "go.job" Reads Always
    GoSave "go.save" Changes OnlyWithoutEffect
    GoKill "go.kill" Changes Always
    GoWorkers "go.workers" Reads Always
    GoGoWorkers "go.go_workers" Reads Always
    GoEntries "go.log" Reads Always
}
