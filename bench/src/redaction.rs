//! Redaction throughput of several outputs at once, as a worker has them: what the host's mask costs against a plain copy of the
//! same bytes, what the standard plugin costs against the mask alone, and what the sandbox costs against the same rules
//! without one.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use sandclock_core::job::HookBinding;
use sandclock_core::run::RunContext;
use sandclock_hooks::KnownSecrets;
use sandclock_plugin_sdk::prelude::{Channel, Redactor, Rules, RunInfo, Verdict, Window};
use sandclock_plugin_sdk::{Result as Redacted, mock};
use serde_json::json;

use crate::figure::{Figure, Work, compare};
use crate::hooks::{Scene, defaults};

/// What a program writes that writes much.
const PIECE_BYTES: usize = 64 << 10;
/// And one that writes a line or two at a time.
const SMALL_PIECE_BYTES: usize = 128;
/// Of one output. One that is shorter is mostly the price of its beginning.
const BYTES: usize = 4 << 20;
const OUTPUTS: usize = 4;
const SECRETS: usize = 100;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let known = KnownSecrets::new();
    for (number, value) in secrets().enumerate() {
        known.learn(&format!("S{number}"), value.as_bytes())?;
    }
    let scene = Scene::new(&known)?;
    let (bare, bound) = (scene.run(&[])?, scene.run(&defaults(&["redact-secrets"]))?);
    let pieces = pieces(PIECE_BYTES);
    let mask = compare(
        "redaction.known_secrets",
        "MiB",
        Work {
            label: "mask, 100 secrets",
            step: &mut || scene.rate(&bare, &pieces),
        },
        Work {
            label: "plain copy",
            step: &mut || copy(&pieces),
        },
    )?;
    let plugin = compare(
        "redaction.with_plugin",
        "MiB",
        Work {
            label: "two masks and redact-secrets",
            step: &mut || scene.rate(&bound, &pieces),
        },
        Work {
            label: "one mask",
            step: &mut || scene.rate(&bare, &pieces),
        },
    )?;
    Ok(vec![
        mask,
        plugin,
        words(
            "redaction.words",
            "100 words in wasm, 64 KiB pieces",
            PIECE_BYTES,
        )?,
        words(
            "redaction.words_small",
            "100 words in wasm, 128-byte pieces",
            SMALL_PIECE_BYTES,
        )?,
    ])
}

/// The words in the standard plugin, and the same rules with no sandbox between.
fn words(name: &'static str, label: &'static str, piece_bytes: usize) -> Result<Figure> {
    let scene = Scene::new(&KnownSecrets::new())?;
    let run = scene.run(&[HookBinding {
        plugin: "redact-secrets".to_owned(),
        config: json!({ "disable": ["all"], "words": secrets().collect::<Vec<_>>() }),
    }])?;
    let pieces = pieces(piece_bytes);
    compare(
        name,
        "MiB",
        Work {
            label,
            step: &mut || scene.rate(&run, &pieces),
        },
        Work {
            label: "the same rules, native",
            step: &mut || native(&pieces),
        },
    )
}

impl Scene {
    /// Redacts outputs in which nothing is secret.
    fn rate(&self, run: &RunContext, pieces: &[Bytes]) -> Result<f64> {
        all_of(self.redact(run, pieces, OUTPUTS))
    }
}

fn copy(pieces: &[Bytes]) -> Result<f64> {
    let outputs = (0..OUTPUTS).flat_map(|_| pieces);
    all_of(
        outputs
            .map(|piece| std::hint::black_box(piece.to_vec()).len())
            .sum(),
    )
}

/// Rules of the SDK for the words.
struct Words(Rules);

impl Redactor for Words {
    fn begin(_: RunInfo, _: Channel) -> Redacted<Self> {
        let rules = secrets().try_fold(Rules::builder(), |rules, word| rules.word("word", &word));
        rules?.build().map(Self)
    }

    fn scan(&mut self, window: Window<'_>) -> Redacted<Verdict> {
        self.0.scan(window)
    }
}

/// Redacts the outputs on all cores.
fn native(pieces: &[Bytes]) -> Result<f64> {
    let redact = || {
        let pieces = pieces.iter().map(Bytes::as_ref);
        let output = mock::redact::<Words>(&mock::Host::new(), pieces);
        output.map_or_else(|error| Err(error.to_string()), |output| Ok(output.len()))
    };
    thread::scope(|scope| {
        let outputs: Vec<_> = (0..OUTPUTS).map(|_| scope.spawn(redact)).collect();
        let mut bytes = 0;
        for output in outputs {
            let output = output.join().map_err(|_| anyhow!("an output broke off"))?;
            bytes += output.map_err(|error| anyhow!(error))?;
        }
        all_of(bytes)
    })
}

/// Nothing is hidden, so all of the outputs comes out.
fn all_of(bytes: usize) -> Result<f64> {
    ensure!(bytes == OUTPUTS * BYTES, "{bytes} bytes came out");
    #[expect(clippy::cast_precision_loss, reason = "a few MiB")]
    let mib = bytes as f64 / f64::from(1 << 20);
    Ok(mib)
}

/// What has to be hidden.
fn secrets() -> impl Iterator<Item = String> {
    (0..SECRETS).map(|number| format!("s3cr3t-{:08x}-{number:03}", number * 2_654_435_761))
}

/// Lines as a build prints them.
fn pieces(piece_bytes: usize) -> Vec<Bytes> {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < BYTES {
        number += 1;
        text.push_str(&format!(
            "[{number:06}] Compiling module-{} v0.{}.{} (/srv/build/src/module)\n",
            number % 97,
            number % 13,
            number % 7
        ));
    }
    text.truncate(BYTES);
    let text = Bytes::from(text);
    (0..BYTES / piece_bytes)
        .map(|at| text.slice(at * piece_bytes..(at + 1) * piece_bytes))
        .collect()
}
