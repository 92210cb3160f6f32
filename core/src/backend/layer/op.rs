//! The contract methods by name, and which of them may be repeated.

/// Whether the same request may be sent again after an answer that leaves its effect unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It may: the second one changes nothing more, and its answer is as good (S6).
    Always,
    /// Only its caller can tell what a second answer means: it reads again first.
    OnlyWithoutEffect,
}

macro_rules! ops {
    ($($op:ident $name:literal $repeat:ident)+) => {
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
    JobsSnapshot "jobs.snapshot" Always
    JobsWatch "jobs.watch" Always
    JobsGet "jobs.get" Always
    JobsPut "jobs.put" OnlyWithoutEffect
    JobsDelete "jobs.delete" OnlyWithoutEffect
    SessionsOpen "sessions.open" OnlyWithoutEffect
    SessionsRenew "sessions.renew" Always
    SessionsAskToDrain "sessions.ask_to_drain" Always
    SessionsClose "sessions.close" Always
    SessionsLive "sessions.live" Always
    FiresDecide "fires.decide" Always
    FiresAdopt "fires.adopt" Always
    FiresTake "fires.take" Always
    FiresEnd "fires.end" Always
    FiresRebind "fires.rebind" OnlyWithoutEffect
    FiresSettle "fires.settle" Always
    FiresTrigger "fires.trigger" Always
    FeedSnapshot "feed.snapshot" Always
    FeedWatch "feed.watch" Always
    FeedClean "feed.clean" Always
    KillsSend "kills.send" Always
    KillsWatch "kills.watch" Always
    LeadershipCampaign "leadership.campaign" Always
    LeadershipHold "leadership.hold" Always
    LeadershipResign "leadership.resign" Always
    DocsList "docs.list" Always
    DocsPut "docs.put" OnlyWithoutEffect
    DocsDelete "docs.delete" OnlyWithoutEffect
    SinkBegin "sink.begin" Always
    SinkAppend "sink.append" Always
    SinkFinish "sink.finish" Always
    RunsGet "runs.get" Always
    RunsList "runs.list" Always
    RunsReadLog "runs.read_log" Always
    RunsHistory "runs.history" Always
    RunsPrune "runs.prune" Always
    OutboxPut "outbox.put" Always
    OutboxClaim "outbox.claim" OnlyWithoutEffect
    OutboxEnd "outbox.end" Always
    OutboxGather "outbox.gather" Always
    OutboxPace "outbox.pace" OnlyWithoutEffect
    OutboxSet "outbox.set" Always
    OutboxList "outbox.list" Always
    OutboxOfRun "outbox.of_run" Always
    OutboxOfJob "outbox.of_job" Always
    PluginsPush "plugins.push" Always
    PluginsList "plugins.list" Always
    PluginsModule "plugins.module" Always
    PluginsServe "plugins.serve" OnlyWithoutEffect
    PluginsShadow "plugins.shadow" Always
    PluginsSetMode "plugins.set_mode" Always
    PluginsWithdraw "plugins.withdraw" OnlyWithoutEffect
    RecordingsKeep "recordings.keep" Always
    RecordingsOfRun "recordings.of_run" Always
    RecordingsLatest "recordings.latest" Always
    KvGet "kv.get" Always
    KvSwap "kv.swap" OnlyWithoutEffect
    KvClear "kv.clear" Always
    AuditPut "audit.put" Always
    AuditList "audit.list" Always
    AuditPrune "audit.prune" Always
}
