//! The role `load`: customers who look at products, search, order, and now and then want too much.

use crate::database::PRODUCTS;
use std::time::Duration;

/// Sends requests until the process ends.
pub(crate) async fn run(web: &str, customers: u32, pause: Duration) -> anyhow::Result<()> {
    let http = reqwest::Client::new();
    let customers = (0..customers).map(|customer| {
        let (web, http) = (web.to_owned(), http.clone());
        tokio::spawn(async move { buy(&web, &http, i64::from(customer), pause).await })
    });

    // Collected first, so that all of them are spawned before the first is awaited.
    for customer in customers.collect::<Vec<_>>() {
        customer.await?;
    }
    Ok(())
}

/// Sends the requests of one customer, for ever.
async fn buy(web: &str, http: &reqwest::Client, customer: i64, pause: Duration) {
    for turn in customer.. {
        // One product is not there, and every tenth order is of more pieces than one may have.
        let product = turn % (PRODUCTS + 1) + 1;
        let pieces = if turn % 10 == 9 { 9 } else { 1 };
        let order = format!("{{\"product\":{product},\"pieces\":{pieces}}}");
        let json = ("content-type", "application/json");

        let requests = [
            http.get(format!("{web}/health")),
            http.get(format!("{web}/products")),
            http.get(format!("{web}/products/{product}")),
            http.get(format!("{web}/search?stars={}", turn % 5)),
            http.post(format!("{web}/orders")).header(json.0, json.1).body(order),
        ];

        for request in requests {
            match request.send().await {
                Ok(answer) => drop(answer.bytes().await),
                Err(error) => {
                    tracing::warn!(%error, "no answer");
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }
}
