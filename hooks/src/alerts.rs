//! After a run: whom to tell?
//!
//! A plugin's messages are checked and masked, and become drafts for the outbox. A plugin that keeps
//! failing does not silence a failed job: a plain message goes to the default target instead, which
//! names what happened to the run and what happened to the plugin.
//!
//! A failed call is repeated at once, twice: as a rule the plugin is a function of its arguments, so waiting
//! would change nothing. Only when the host itself was short of something it waits a moment, and a call that
//! may have waited for its effects is not repeated.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::backend::DoneRecord;
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::RunState;

use crate::failure::{Failure, FailureCode};
use crate::host::run_end::Delivery;
use crate::instance::Scope;
use crate::limits::{BODY_BYTES, DELIVERIES, HEADER_BYTES, HEADERS, TEXT_BYTES};
use crate::plugin::{Hook, Plugin};
use crate::secrets::KnownSecrets;
use crate::subject::{EndSpec, RunSpec};
use crate::text;

/// The name that plain alerts carry where others name their plugin.
pub const BUILT_IN: &str = "built-in";

const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Headers that belong to the transport or to the target's credentials.
const RESERVED_HEADERS: [&str; 10] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "transfer-encoding",
    "upgrade",
];

/// The drafts of one plugin.
///
/// # Errors
/// What the last try failed with.
pub(crate) async fn drafts(
    plugin: &Arc<Plugin>,
    scope: &Scope,
    run: &RunSpec,
    end: &EndSpec,
) -> Result<Vec<AlertDraft>, Failure> {
    let limits = plugin.limits.run_end;
    let mut tries = 0;
    loop {
        tries += 1;
        let (run, end) = (run.info(), end.end());
        let answer = plugin
            .call_fresh(Hook::RunEnd, limits, scope.clone(), move |instance| {
                let deliveries = instance.on_end(limits, &run, &end)?;
                check(&deliveries)?;
                Ok(deliveries)
            })
            .await;
        match answer {
            Ok(deliveries) => {
                let secrets = &plugin.runtime.secrets;
                let numbered = (0..).zip(deliveries);
                return Ok(numbered
                    .map(|(index, delivery)| draft(secrets, &plugin.name, index, delivery))
                    .collect());
            }
            // What it waits for has had its time, and may have been done.
            Err(failure) if failure.code == FailureCode::Wall && plugin.given.has_any() => {
                return Err(failure);
            }
            Err(failure) if tries == TRIES => return Err(failure),
            Err(failure) if failure.code.may_pass() => tokio::time::sleep(PAUSE).await,
            Err(_) => {}
        }
    }
}

/// The indices that a plugin's messages take up when it is bound so many times: each time has its own, so that the
/// messages of one cannot be taken for repeats of another's.
pub(crate) fn places(times: usize) -> u32 {
    u32::try_from(times * DELIVERIES).unwrap_or(u32::MAX)
}

/// The run's end in a plugin's words; cause and tail are masked.
pub(crate) fn end_of(secrets: &KnownSecrets, done: &DoneRecord, tail: &Bytes) -> EndSpec {
    let cause = secrets.mask_text(&done.outcome.cause).into_owned();
    let tail = String::from_utf8_lossy(tail);
    let tail = secrets.mask_text(&tail).into_owned();
    EndSpec::of(done, cause, tail)
}

/// The message that stands in for those of a failed plugin; `None` if the run's end is nothing that
/// anybody would be told. `index` is the plugin's place among the job's.
pub(crate) fn plain_alert(
    secrets: &KnownSecrets,
    done: &DoneRecord,
    end: &EndSpec,
    plugin: &str,
    failure: &Failure,
    (target, index): (&str, u32),
) -> Option<AlertDraft> {
    let failed = matches!(
        done.outcome.state,
        RunState::Failed | RunState::TimedOut | RunState::Lost | RunState::Missed
    );
    let recovered = done.outcome.state == RunState::Succeeded && done.streak_before.failures > 0;
    if !failed && !recovered {
        return None;
    }
    let body = format!(
        "job {job}, run {run}: {state}: {cause}\n\
         its alert plugin {plugin} failed too, so this message is the scheduler's own: {failure}\n",
        job = done.job,
        run = done.run(),
        state = end.state,
        cause = end.cause,
    );
    Some(AlertDraft {
        plugin: BUILT_IN.to_owned(),
        index,
        target: target.to_owned(),
        dedupe_key: None,
        content_type: "text/plain; charset=utf-8".to_owned(),
        headers: Vec::new(),
        body: secrets.mask_bytes(body.as_bytes()),
    })
}

fn draft(secrets: &KnownSecrets, plugin: &str, index: u32, delivery: Delivery) -> AlertDraft {
    let short = |text: &str| text::presentable(secrets, text, HEADER_BYTES);
    AlertDraft {
        plugin: plugin.to_owned(),
        index,
        target: short(&delivery.target),
        dedupe_key: delivery.dedupe_key.as_deref().map(short),
        content_type: short(&delivery.content_type),
        headers: delivery
            .headers
            .iter()
            .map(|(name, value)| (short(name), short(value)))
            .collect(),
        body: secrets.mask_bytes(&delivery.body),
    }
}

/// Whether the messages are within bounds and no header can be mistaken for another.
fn check(deliveries: &[Delivery]) -> Result<(), Failure> {
    let broken =
        |number: usize, rule: String| Err(Failure::invalid(format!("message {number} {rule}")));
    if deliveries.len() > DELIVERIES {
        return Err(Failure::invalid(format!(
            "{} messages, at most {DELIVERIES} are allowed",
            deliveries.len()
        )));
    }
    for (number, delivery) in deliveries.iter().enumerate() {
        if delivery.body.len() > BODY_BYTES {
            let bytes = delivery.body.len();
            return broken(
                number,
                format!("has a body of {bytes} bytes, at most {BODY_BYTES} are allowed"),
            );
        }
        if delivery.target.is_empty() || !fits(&delivery.target) {
            return broken(number, "names no target".to_owned());
        }
        if delivery.content_type.is_empty() || !fits(&delivery.content_type) {
            return broken(number, "has a content type that is not one".to_owned());
        }
        if delivery.dedupe_key.as_deref().is_some_and(|key| !fits(key)) {
            return broken(
                number,
                format!("has a dedupe key that is not plain text of at most {HEADER_BYTES} bytes"),
            );
        }
        if delivery.headers.len() > HEADERS {
            return broken(number, format!("has more than {HEADERS} headers"));
        }
        for (name, value) in &delivery.headers {
            if let Err(why) = check_header(name, value) {
                return broken(number, why);
            }
        }
    }
    Ok(())
}

/// Whether a plugin may set this header.
///
/// # Errors
/// What is wrong, without a subject.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(), String> {
    if !is_token(name) || !fits(value) {
        return Err("has a header that is not one".to_owned());
    }
    if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("sets {name}, which belongs to the target"));
    }
    Ok(())
}

/// Whether a header can have this value.
fn fits(text: &str) -> bool {
    text.len() <= HEADER_BYTES && text::is_plain(text)
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= TEXT_BYTES && name.bytes().all(allowed)
}
