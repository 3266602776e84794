//! SQLite in memory, filled when the process starts.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::str::FromStr;

/// The number of products that the shop has.
pub(crate) const PRODUCTS: i64 = 24;

/// Opens a database of this process with a schema. It is in memory and lives as long as its connections, which
/// all see the same.
pub(crate) async fn open(name: &str, schema: &'static str) -> anyhow::Result<SqlitePool> {
    let url = format!("sqlite:file:{name}?mode=memory&cache=shared");
    let options = SqliteConnectOptions::from_str(&url)?;

    // One connection at least, for ever: the last that is closed takes the data with it.
    let pool = SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(4)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await?;

    sqlx::raw_sql(schema).execute(&pool).await?;
    Ok(pool)
}
