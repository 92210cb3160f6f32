//! The modules of plugins, as files in GridFS.
//!
//! A file belongs to one release and is there before it. What a push that came to nothing has left behind, or a
//! withdrawal that was interrupted, goes with a later push.

use std::io;

use bytes::Bytes;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use sandclock_core::backend::{ModuleDigest, Result};
use sandclock_core::{BackendError, ErrorKind};

use crate::error::Access;
use crate::schema::plugin::FILE;
use crate::schema::{CHUNKS, FILES};
use crate::store::Store;

/// A file that no release has is left alone for so long: its push may still be under way. Clocks of processes that
/// push may differ by less.
const ABANDONED_S: u32 = 24 * 3_600;

/// What a stream of GridFS says, as the driver would.
fn of_stream(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(Error::from)
}

/// Above every id that was drawn so long ago that nobody can mean it any more.
fn abandoned_before() -> ObjectId {
    let now = ObjectId::new().timestamp().timestamp_millis() / 1_000;
    let now = u32::try_from(now).unwrap_or(u32::MAX);
    ObjectId::from_parts(now.saturating_sub(ABANDONED_S), [0; 5], [0; 3])
}

impl Store {
    /// Keeps a module as a file of its own; returns the file.
    pub(crate) async fn keep_module(
        &self,
        op: &'static str,
        digest: &ModuleDigest,
        module: &[u8],
    ) -> Result<Bson> {
        let upload = async {
            let mut file = self.modules.open_upload_stream(digest.as_str()).await?;
            file.write_all(module).await.map_err(of_stream)?;
            file.close().await.map_err(of_stream)?;
            Ok(file.id().clone())
        };
        self.transfer(op, Access::Write, upload).await
    }

    /// The bytes of a file that should have so many.
    pub(crate) async fn read_module(
        &self,
        op: &'static str,
        file: &Bson,
        bytes: u64,
    ) -> Result<Bytes> {
        let about = self.modules.find_one(doc! { "_id": file });
        let about = self.read(op, async { about.await }).await?;
        let failed = |kind| BackendError::new(op, kind).context("the file of a module");
        let about = about.ok_or_else(|| failed(ErrorKind::NotFound))?;
        // Before anything is read: how much that would be is for the file to say, and others can write to it.
        if about.length != bytes || about.chunk_size_bytes == 0 {
            return Err(failed(ErrorKind::Corrupt));
        }
        let download = async {
            // A buffer that is never full is never made twice as large.
            let room = usize::try_from(bytes).unwrap_or_default() + 32;
            let mut module = Vec::with_capacity(room);
            let mut stream = self.modules.open_download_stream(file.clone()).await?;
            stream.read_to_end(&mut module).await.map_err(of_stream)?;
            Ok(module)
        };
        Ok(self.transfer(op, Access::Read, download).await?.into())
    }

    /// Deletes a file that no release has any more. Whether it worked does not matter: what stays is swept.
    pub(crate) async fn discard_module(&self, op: &'static str, file: Bson) {
        let _swept = self.write(op, self.modules.delete(file)).await;
    }

    /// Deletes what no release has and no push can still mean: files, and pieces that never became one.
    pub(crate) async fn sweep_modules(&self, op: &'static str) -> Result<()> {
        let kept = self.plugins.distinct(FILE, doc! {});
        let kept = self.read(op, async { kept.await }).await?;
        let abandoned = doc! { "$lt": abandoned_before(), "$nin": kept };
        for (collection, member) in [(FILES, "_id"), (CHUNKS, "files_id")] {
            let collection = self.db.collection::<Document>(collection);
            let delete = collection.delete_many(doc! { member: &abandoned });
            self.write(op, delete).await?;
        }
        Ok(())
    }
}
