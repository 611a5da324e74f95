//! Values of rows.

use portcullis_core::store::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Type;
use sqlx::{Decode, Row as _, Sqlite};

use crate::fault::store_error;

/// What stands in a column.
pub(crate) fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
    row: &'r SqliteRow,
    name: &str,
) -> Result<T, StoreError> {
    row.try_get(name).map_err(store_error)
}
