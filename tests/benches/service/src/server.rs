//! The service: three routes, each with a statement, under the spans of `tower-http` and of its handlers.

use crate::kind::Kind;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use std::io::Read;
use std::str::FromStr;
use tower_http::trace::TraceLayer;
use tracing_subscriber::EnvFilter;

const SCHEMA: &str = "
    CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE reviews (product INTEGER NOT NULL, stars INTEGER NOT NULL);
    CREATE INDEX reviewed ON reviews (product);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
    INSERT INTO products SELECT i, 'product ' || i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO reviews SELECT i % 24 + 1, i % 5 + 1 FROM n;
";

/// Serves until standard input closes. Prints the port.
pub(crate) fn run(kind: Kind) -> anyhow::Result<()> {
    let own = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("info"))
        .with_ansi(false)
        .with_writer(std::io::sink)
        .finish();

    let _pivot = if kind.has_pivot() {
        let pivot = pivot::builder().process(kind.name()).init()?;
        pivot_subscriber::install(own)?;
        Some(pivot)
    } else {
        tracing::subscriber::set_global_default(own)?;
        None
    };

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let port = runtime.block_on(serve())?;
    println!("{port}");

    // The driver holds the other end: it closes however the driver ends.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Begins to serve, and returns the port.
async fn serve() -> anyhow::Result<u16> {
    let routes = Router::new()
        .route("/products", get(products))
        .route("/products/{id}", get(product))
        .route("/stars/{id}", get(stars))
        .layer(TraceLayer::new_for_http())
        .with_state(database().await?);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(port)
}

async fn database() -> anyhow::Result<SqlitePool> {
    // In memory, and as old as its connections.
    let options = SqliteConnectOptions::from_str("sqlite:file:cost?mode=memory&cache=shared")?;
    let pool = SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(4)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await?;

    sqlx::raw_sql(SCHEMA).execute(&pool).await?;
    Ok(pool)
}

#[derive(Debug, Serialize)]
struct Product {
    id: i64,
    name: String,
}

/// Says that the database has failed.
fn failed(error: sqlx::Error) -> StatusCode {
    tracing::warn!(%error, "the database refused");
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tracing::instrument(skip(database))]
async fn products(State(database): State<SqlitePool>) -> Result<Json<Vec<Product>>, StatusCode> {
    let query = sqlx::query_as("SELECT id, name FROM products");
    let rows: Vec<(i64, String)> = query.fetch_all(&database).await.map_err(failed)?;
    tracing::info!(rows = rows.len(), "listed");
    Ok(Json(rows.into_iter().map(|(id, name)| Product { id, name }).collect()))
}

#[tracing::instrument(skip(database))]
async fn product(
    State(database): State<SqlitePool>,
    Path(id): Path<i64>,
) -> Result<Json<Product>, StatusCode> {
    let query = sqlx::query_scalar("SELECT name FROM products WHERE id = ?").bind(id);
    let name: Option<String> = query.fetch_optional(&database).await.map_err(failed)?;
    let name = name.ok_or(StatusCode::NOT_FOUND)?;
    tracing::info!(name, "found");
    Ok(Json(Product { id, name }))
}

#[tracing::instrument(skip(database))]
async fn stars(State(database): State<SqlitePool>, Path(id): Path<i64>) -> Result<Json<f64>, StatusCode> {
    let query = sqlx::query_scalar("SELECT avg(stars) FROM reviews WHERE product = ?").bind(id);
    let stars: f64 = query.fetch_one(&database).await.map_err(failed)?;
    tracing::info!(stars, "averaged");
    Ok(Json(stars))
}
