//! Cases on stored output: in order, bounded, and readable while it grows.

use sandclock_core::backend::OutputChunk;
use sandclock_core::ports::Channel;

use super::RecordsEnv;
use super::run_log::{append, begin, chunk, header, read};

/// A chunk that was stored stays as it was, whatever comes under its number again.
pub async fn a_repeated_chunk_is_ignored(env: &RecordsEnv) {
    let header = header("reports", 60);
    begin(env, &header, 1).await;
    let run = &header.id;
    let stderr = OutputChunk {
        channel: Channel::Stderr,
        ..chunk(1, "two")
    };
    append(env, run, 1, &[chunk(0, "one"), stderr.clone()], None).await;
    append(env, run, 1, &[chunk(1, "TWO"), chunk(2, "three")], None).await;
    append(env, run, 2, &[chunk(0, "again")], None).await;
    let page = read(env, run, None, 1 << 20).await;
    let want = [
        (1, chunk(0, "one")),
        (1, stderr),
        (1, chunk(2, "three")),
        (2, chunk(0, "again")),
    ];
    assert_eq!(page.chunks, want);
    assert_eq!(page.next, None);
}

/// What lies between head and tail of one attempt can be cut, so that output has a bound.
pub async fn the_middle_of_an_output_can_be_cut(env: &RecordsEnv) {
    let header = header("reports", 60);
    begin(env, &header, 1).await;
    let run = &header.id;
    let first: Vec<_> = (0..6).map(|seq| chunk(seq, "x")).collect();
    append(env, run, 1, &first, None).await;
    append(env, run, 2, &first, None).await;
    append(env, run, 1, &[chunk(6, "x")], Some((2, 5))).await;
    append(env, run, 1, &[chunk(7, "x")], Some((2, 7))).await;
    let page = read(env, run, None, 1 << 20).await;
    let places: Vec<_> = page
        .chunks
        .iter()
        .map(|(n, chunk)| (*n, chunk.seq))
        .collect();
    let whole = (0..6).map(|seq| (2, seq));
    let want: Vec<_> = [(1, 0), (1, 1), (1, 7)].into_iter().chain(whole).collect();
    assert_eq!(places, want);
}

/// Output is read in pages that hold at least one chunk, from any place on.
pub async fn an_output_is_read_in_pages(env: &RecordsEnv) {
    let header = header("reports", 60);
    begin(env, &header, 1).await;
    let run = &header.id;
    let empty = read(env, run, None, 10).await;
    assert!(empty.chunks.is_empty() && empty.next.is_none());
    let chunks = [
        chunk(0, "aaaa"),
        chunk(1, "bbbb"),
        chunk(2, "cccccccccccccccc"),
    ];
    append(env, run, 1, &chunks, None).await;
    append(env, run, 2, &[chunk(0, "dd")], None).await;
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = read(env, run, after, 9).await;
        let seqs: Vec<_> = page
            .chunks
            .iter()
            .map(|(n, chunk)| (*n, chunk.seq))
            .collect();
        pages.push(seqs);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![(1, 0), (1, 1)], vec![(1, 2)], vec![(2, 0)]]);
    let end = read(env, run, Some((2, 0)), 9).await;
    assert!(end.chunks.is_empty() && end.next.is_none());
    append(env, run, 2, &[chunk(1, "ee")], None).await;
    let tail = read(env, run, Some((2, 0)), 9).await;
    assert_eq!(tail.chunks, [(2, chunk(1, "ee"))], "a tail goes on");
}
