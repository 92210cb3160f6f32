//! Documents of the fleet beside its jobs: one key each, whose number of its last change is the version.

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::{Compare, Txn, TxnOp, TxnOpResponse};
use sandclock_core::backend::docs::check;
use sandclock_core::backend::{Doc, DocKind, Docs, Precondition, Result, Versioned};
use sandclock_core::{BackendError, ErrorKind};

use crate::client::revision;
use crate::error::Nature;
use crate::facts::{absent, unchanged};
use crate::guard::Guard;
use crate::keys::Key;
use crate::store::Store;
use crate::watch::version;

impl Store {
    /// That the document is what its writer expects.
    fn doc_guard(&self, key: Key, pre: Precondition) -> Vec<Compare> {
        let guard = match pre {
            Precondition::Any => None,
            Precondition::Absent => Some(absent(key)),
            Precondition::Matches(version) => Some(unchanged(key, version)),
        };
        let kept = guard.and_then(|guard| self.guards.only(Guard::Document, guard));
        kept.into_iter().collect()
    }
}

#[async_trait]
impl Docs for Store {
    async fn list(&self, kind: DocKind) -> Result<Vec<Doc>> {
        let (found, _) = (self.client)
            .range("docs.list", &self.keys.docs(kind), None)
            .await?;
        let mut docs: Vec<_> = (found.iter())
            .filter_map(|kv| {
                Some(Doc {
                    name: self.keys.doc_of(kind, kv.key())?,
                    version: version(kv.mod_revision()),
                    body: Bytes::copy_from_slice(kv.value()),
                })
            })
            .collect();
        // Keys are in the order of escaped names.
        docs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(docs)
    }

    async fn put(
        &self,
        kind: DocKind,
        name: &str,
        body: &Bytes,
        pre: Precondition,
    ) -> Result<Versioned<()>> {
        const OP: &str = "docs.put";
        check(name, body)?;
        let key = self.keys.doc(kind, name);
        let txn = Txn::new()
            .when(self.doc_guard(key.clone(), pre))
            .and_then([TxnOp::put(key, body.to_vec(), None)]);
        let answer = self.client.txn(OP, Nature::Writes, txn).await?;
        if !answer.succeeded() {
            return Err(BackendError::new(OP, ErrorKind::Conflict).context(name));
        }
        let version = version(revision(answer.header()));
        Ok(Versioned { version, value: () })
    }

    async fn delete(&self, kind: DocKind, name: &str, pre: Precondition) -> Result<()> {
        const OP: &str = "docs.delete";
        let key = self.keys.doc(kind, name);
        let txn = Txn::new()
            .when(self.doc_guard(key.clone(), pre))
            .and_then([TxnOp::delete(key.clone(), None)])
            .or_else([TxnOp::get(key, None)]);
        let answer = self.client.txn(OP, Nature::Writes, txn).await?;
        let kind = match answer.op_responses().pop() {
            Some(TxnOpResponse::Delete(gone)) if gone.deleted() > 0 => return Ok(()),
            Some(TxnOpResponse::Get(there)) if !there.kvs().is_empty() => ErrorKind::Conflict,
            _ => ErrorKind::NotFound,
        };
        Err(BackendError::new(OP, kind).context(name))
    }
}
