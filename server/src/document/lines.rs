//! Where the fields of a text stand.

use std::collections::BTreeMap;

/// On which line each field of a document stands, from 1.
#[derive(Clone, Debug, Default)]
pub struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Notes where a field stands.
    pub(super) fn stands(&mut self, field: &str, line: usize) {
        self.0.insert(field.to_owned(), line);
    }

    /// The line of a field; of the nearest one around it if it is not there itself.
    pub fn of(&self, field: &str) -> Option<usize> {
        let mut path = field;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }
}
