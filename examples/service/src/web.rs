//! The role `web`: the shop for customers. HTTP.
//!
//! Three things are wrong with it, for queries to find: the list of products asks for the reviews of each
//! product, one by one; each price is asked for over a connection of its own; and the search looks at every
//! review for every product.

use crate::database;
use crate::stock::wire::stock_client::StockClient;
use crate::stock::wire::{AvailableRequest, ReserveRequest};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use std::net::SocketAddr;
use tonic::transport::{Channel, Endpoint};
use tower_http::trace::TraceLayer;

const SCHEMA: &str = "
    CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE reviews (product INTEGER NOT NULL, stars INTEGER NOT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, product INTEGER NOT NULL, pieces INTEGER NOT NULL CHECK (pieces < 9));
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
    INSERT INTO products SELECT i, 'product ' || i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO reviews SELECT i % 24 + 1, i % 5 + 1 FROM n;
";

/// The state that all handlers share.
#[derive(Debug, Clone)]
struct Shop {
    database: SqlitePool,
    stock: StockClient<Channel>,
    prices: String,
    http: reqwest::Client,
}

/// Serves until the process ends.
pub(crate) async fn serve(listen: SocketAddr, stock: String, prices: String) -> anyhow::Result<()> {
    let shop = Shop {
        database: database::open("web", SCHEMA).await?,
        stock: StockClient::new(Endpoint::from_shared(stock)?.connect_lazy()),
        prices,
        // No idle connections: each price takes a new one.
        http: reqwest::Client::builder().pool_max_idle_per_host(0).build()?,
    };

    let routes = Router::new()
        .route("/health", get(|| async { "well" }))
        .route("/products", get(products))
        .route("/products/{id}", get(product))
        .route("/orders", post(order))
        .route("/search", get(search))
        .layer(TraceLayer::new_for_http())
        .with_state(shop);

    let listener = tokio::net::TcpListener::bind(listen).await?;
    tracing::info!(%listen, "web");
    Ok(axum::serve(listener, routes).await?)
}

/// The error of a handler, which becomes the status of its answer.
enum ShopError {
    Database(sqlx::Error),
    /// Another service failed.
    Upstream(String),
    NotFound,
}

impl From<sqlx::Error> for ShopError {
    fn from(error: sqlx::Error) -> ShopError {
        ShopError::Database(error)
    }
}

impl From<reqwest::Error> for ShopError {
    fn from(error: reqwest::Error) -> ShopError {
        ShopError::Upstream(error.to_string())
    }
}

impl From<tonic::Status> for ShopError {
    fn from(status: tonic::Status) -> ShopError {
        ShopError::Upstream(status.to_string())
    }
}

impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        match self {
            ShopError::NotFound => StatusCode::NOT_FOUND.into_response(),
            ShopError::Upstream(why) => (StatusCode::BAD_GATEWAY, why).into_response(),
            ShopError::Database(error) => {
                tracing::warn!(%error, "the database refused");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct ListedProduct {
    name: String,
    stars: f64,
}

/// `GET /products`: all products with their average stars.
async fn products(State(shop): State<Shop>) -> Result<Json<Vec<ListedProduct>>, ShopError> {
    let query = sqlx::query_as("SELECT id, name FROM products");
    let products: Vec<(i64, String)> = query.fetch_all(&shop.database).await?;
    let mut listed = Vec::new();
    for (id, name) in products {
        let query = sqlx::query_scalar("SELECT avg(stars) FROM reviews WHERE product = ?");
        let stars: f64 = query.bind(id).fetch_one(&shop.database).await?;
        listed.push(ListedProduct { name, stars });
    }
    Ok(Json(listed))
}

#[derive(Debug, Serialize)]
struct Product {
    name: String,
    cents: i64,
    pieces: i64,
}

/// `GET /products/{id}`: one product with its price and the pieces in stock.
#[tracing::instrument(skip(shop))]
async fn product(State(shop): State<Shop>, Path(id): Path<i64>) -> Result<Json<Product>, ShopError> {
    let query = sqlx::query_scalar("SELECT name FROM products WHERE id = ?").bind(id);
    let name: Option<String> = query.fetch_optional(&shop.database).await?;
    let name = name.ok_or(ShopError::NotFound)?;

    let price = shop.http.get(format!("{}/prices/{id}", shop.prices)).send().await?.error_for_status()?;
    let cents = price.json().await?;
    let available = shop.stock.clone().available(AvailableRequest { product: id }).await?;
    Ok(Json(Product { name, cents, pieces: available.get_ref().pieces }))
}

#[derive(Debug, Deserialize)]
struct PlacedOrder {
    product: i64,
    pieces: i64,
}

/// `POST /orders`: orders pieces of a product, and returns the number of the order.
async fn order(State(shop): State<Shop>, Json(order): Json<PlacedOrder>) -> Result<Json<i64>, ShopError> {
    // More than eight pieces are too many for the table.
    let id: i64 = sqlx::query_scalar("INSERT INTO orders (product, pieces) VALUES (?, ?) RETURNING id")
        .bind(order.product)
        .bind(order.pieces)
        .fetch_one(&shop.database)
        .await?;

    let PlacedOrder { product, pieces } = order;
    shop.stock.clone().reserve(ReserveRequest { product, pieces }).await?;
    Ok(Json(id))
}

#[derive(Debug, Deserialize)]
struct Search {
    stars: i64,
}

/// `GET /search?stars=N`: the products that often have at least N stars.
async fn search(
    State(shop): State<Shop>,
    Query(search): Query<Search>,
) -> Result<Json<Vec<String>>, ShopError> {
    // Without an index, each product looks at each review.
    let query = sqlx::query_scalar(
        "SELECT name FROM products WHERE (SELECT count(*) FROM reviews WHERE product = id AND stars >= ?) > 150",
    );
    Ok(Json(query.bind(search.stars).fetch_all(&shop.database).await?))
}
