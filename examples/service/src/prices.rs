//! The role `prices`: the price list. HTTP.

use crate::database;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use sqlx::SqlitePool;
use std::net::SocketAddr;
use tower_http::trace::TraceLayer;

const SCHEMA: &str = "
    CREATE TABLE prices (product INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
    INSERT INTO prices SELECT i, 100 + i * 37 FROM n;
";

/// Serves until the process ends.
pub(crate) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let database = database::open("prices", SCHEMA).await?;
    let routes = Router::new().route("/prices/{product}", get(price));
    let routes = routes.layer(TraceLayer::new_for_http()).with_state(database);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    tracing::info!(%listen, "prices");
    Ok(axum::serve(listener, routes).await?)
}

/// `GET /prices/{product}`: the price in cents.
async fn price(
    State(database): State<SqlitePool>,
    Path(product): Path<i64>,
) -> Result<Json<i64>, StatusCode> {
    let query = sqlx::query_scalar("SELECT cents FROM prices WHERE product = ?").bind(product);
    let found = query.fetch_optional(&database).await;
    let found: Option<i64> = found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}
