//! Which backend is used: the one place that names it.
//!
//! Lives on: the process, before the store's threads start; the operator's commands, the simulator.

use std::path::Path;

use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::sqlite::SqliteStore;

/// Opens the database of a data directory for writing: creates it if missing, and brings an older one to the current
/// schema.
pub fn open(path: &Path) -> Result<Box<dyn Backend>, StoreError> {
    Ok(Box::new(SqliteStore::open(path)?))
}

/// A database that ends with the value: the same code for the simulator and for tests.
pub fn in_memory() -> Result<Box<dyn Backend>, StoreError> {
    Ok(Box::new(SqliteStore::in_memory()?))
}
