//! Redaction throughput against a plain copy of the same bytes: of the host's mask alone, with a hundred known
//! secrets, and with the standard redaction plugin behind it.

use anyhow::{Result, ensure};
use bytes::Bytes;
use sandclock_hooks::KnownSecrets;

use crate::figure::{Figure, Work, compare};
use crate::hooks::Scene;

const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 16;
const SECRETS: usize = 100;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let secrets = KnownSecrets::new();
    for number in 0..SECRETS {
        let value = format!("s3cr3t-{:08x}-{number:03}", number * 2_654_435_761);
        secrets.learn(&format!("S{number}"), value.as_bytes())?;
    }
    let scene = Scene::new(&secrets)?;
    let (bare, bound) = (scene.run(&[])?, scene.run(&["redact-secrets"])?);
    let pieces = pieces();
    let total: usize = pieces.iter().map(Bytes::len).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few MiB")]
    let mib = total as f64 / f64::from(1 << 20);
    let mut copy = || {
        for piece in &pieces {
            ensure!(
                std::hint::black_box(piece.to_vec()).len() == PIECE_BYTES,
                "copied"
            );
        }
        Ok(mib)
    };
    let redact = |run| {
        ensure!(
            scene.redact(run, &pieces) == total,
            "nothing of it is secret"
        );
        Ok(mib)
    };
    let mask = compare(
        "redaction.known_secrets",
        "MiB",
        Work {
            label: "mask, 100 secrets",
            step: &mut || redact(&bare),
        },
        Work {
            label: "plain copy",
            step: &mut copy,
        },
    )?;
    let plugin = compare(
        "redaction.with_plugin",
        "MiB",
        Work {
            label: "two masks and redact-secrets",
            step: &mut || redact(&bound),
        },
        Work {
            label: "plain copy",
            step: &mut copy,
        },
    )?;
    Ok(vec![mask, plugin])
}

/// Lines as a build prints them.
fn pieces() -> Vec<Bytes> {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < PIECE_BYTES * PIECES {
        number += 1;
        text.push_str(&format!(
            "[{number:06}] Compiling module-{} v0.{}.{} (/srv/build/src/module)\n",
            number % 97,
            number % 13,
            number % 7
        ));
    }
    text.truncate(PIECE_BYTES * PIECES);
    let text = Bytes::from(text);
    (0..PIECES)
        .map(|at| text.slice(at * PIECE_BYTES..(at + 1) * PIECE_BYTES))
        .collect()
}
