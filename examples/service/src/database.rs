//! SQLite in memory, filled when the process starts.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::str::FromStr;

/// How many products the shop has.
pub(crate) const PRODUCTS: i64 = 24;

/// A database of its own with this schema. In memory it lives as long as its connections, which all
/// see the same.
pub(crate) async fn open(name: &str, schema: &'static str) -> anyhow::Result<SqlitePool> {
    let url = format!("sqlite:file:{name}?mode=memory&cache=shared");
    let options = SqliteConnectOptions::from_str(&url)?;
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
