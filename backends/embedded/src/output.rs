//! The output of runs, in chunks.

use rusqlite::{Connection, Row};
use sandclock_core::backend::{LogPage, OutputChunk};
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::RunId;

use crate::error::{DbError, DbResult};

/// Stores chunks; a seq that is there already is ignored. Then deletes what is cut out.
pub(crate) fn append(
    db: &Connection,
    run: &RunId,
    attempt: u32,
    chunks: &[OutputChunk],
    cut: Option<(u64, u64)>,
) -> DbResult<()> {
    let sql = "INSERT INTO chunks VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let mut insert = db.prepare_cached(sql)?;
    for chunk in chunks {
        insert.execute((
            run.as_str(),
            attempt,
            chunk.seq,
            chunk.channel.as_str(),
            chunk.offset,
            chunk.bytes.bytes().as_ref(),
        ))?;
    }
    if let Some((head_end, tail_start)) = cut {
        let sql = "DELETE FROM chunks WHERE run = ?1 AND attempt = ?2 AND seq >= ?3 AND seq < ?4";
        let mut delete = db.prepare_cached(sql)?;
        delete.execute((run.as_str(), attempt, head_end, tail_start))?;
    }
    Ok(())
}

/// Chunks after a place: one at least, then as many as fit.
pub(crate) fn read(
    db: &Connection,
    run: &RunId,
    after: Option<(u32, u64)>,
    max_bytes: u32,
) -> DbResult<LogPage> {
    let sql = "SELECT attempt, seq, channel, offset, bytes FROM chunks
               WHERE run = ?1 AND (attempt, seq) > (?2, ?3) ORDER BY attempt, seq";
    let mut select = db.prepare_cached(sql)?;
    // Seqs begin at 0, so that -1 is before them all.
    let (attempt, seq) = match after {
        Some((attempt, seq)) => (i64::from(attempt), i64::try_from(seq).unwrap_or(i64::MAX)),
        None => (-1, -1),
    };
    let mut rows = select.query((run.as_str(), attempt, seq))?;
    let mut page = LogPage {
        chunks: Vec::new(),
        next: None,
    };
    let mut room = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    while let Some(row) = rows.next()? {
        let (attempt, chunk) = chunk(row)?;
        let size = chunk.bytes.bytes().len();
        if !page.chunks.is_empty() && size > room {
            page.next = page
                .chunks
                .last()
                .map(|(attempt, chunk)| (*attempt, chunk.seq));
            break;
        }
        room = room.saturating_sub(size);
        page.chunks.push((attempt, chunk));
    }
    Ok(page)
}

fn chunk(row: &Row<'_>) -> DbResult<(u32, OutputChunk)> {
    let channel: String = row.get(2)?;
    let bytes: Vec<u8> = row.get(4)?;
    let chunk = OutputChunk {
        seq: row.get(1)?,
        channel: channel_of(channel)?,
        offset: row.get(3)?,
        // Only redacted bytes were ever stored.
        bytes: Redacted::vouch(bytes.into()),
    };
    Ok((row.get(0)?, chunk))
}

/// The channel of this name.
pub(crate) fn channel_of(name: String) -> DbResult<Channel> {
    [Channel::Combined, Channel::Stdout, Channel::Stderr]
        .into_iter()
        .find(|known| known.as_str() == name)
        .ok_or(DbError::Column {
            column: "channel",
            value: name,
        })
}
