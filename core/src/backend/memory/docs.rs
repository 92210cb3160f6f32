//! The documents of the model.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::MemoryStore;
use crate::backend::docs::check;
use crate::backend::{Doc, DocKind, Docs, Precondition, Result, Version, Versioned};
use crate::error::{BackendError, ErrorKind};

/// Documents by kind and name.
pub(super) type Documents = BTreeMap<(DocKind, String), (Version, Bytes)>;

#[async_trait]
impl Docs for MemoryStore {
    async fn list(&self, kind: DocKind) -> Result<Vec<Doc>> {
        Ok(self.shared.change(|state| {
            let docs = state.docs.iter().filter(|((of, _), _)| *of == kind);
            docs.map(|((_, name), (version, body))| Doc {
                name: name.clone(),
                version: *version,
                body: body.clone(),
            })
            .collect()
        }))
    }

    async fn put(
        &self,
        kind: DocKind,
        name: &str,
        body: &Bytes,
        pre: Precondition,
    ) -> Result<Versioned<()>> {
        check(name, body)?;
        self.shared.change(|state| {
            let key = (kind, name.to_owned());
            if !pre.holds(state.docs.get(&key).map(|(version, _)| *version)) {
                return Err(BackendError::new("docs.put", ErrorKind::Conflict).context(name));
            }
            let version = state.next_version();
            state.docs.insert(key, (version, body.clone()));
            Ok(Versioned { version, value: () })
        })
    }

    async fn delete(&self, kind: DocKind, name: &str, pre: Precondition) -> Result<()> {
        let refused = |kind| Err(BackendError::new("docs.delete", kind).context(name));
        self.shared.change(|state| {
            let key = (kind, name.to_owned());
            let Some((version, _)) = state.docs.get(&key) else {
                return refused(ErrorKind::NotFound);
            };
            if !pre.holds(Some(*version)) {
                return refused(ErrorKind::Conflict);
            }
            state.docs.remove(&key);
            Ok(())
        })
    }
}
