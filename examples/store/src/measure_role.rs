//! The role `measure`: operations on demand, timed one by one. `benches/paper` measures with it what
//! instrumentation costs.
//!
//! A line `<operation> <count>` on standard input does that many, one after the other, each a request;
//! the answer is a line with their latencies in nanoseconds. Operations are `READ8K`, `OPEN`, `CREATE`,
//! `RENAME` and `HOLD`, which does nothing.

use std::io::BufRead;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::data_set::{get_path, mix};
use crate::{ProcessOptions, StoreClient, StoreError};

const READ_BYTES: u64 = 8 << 10;

/// The events before each operation: `tests/benches/paper` packs a tuple at each, and names them by `Measure.tuple`.
const TUPLES: u64 = 60;

/// Serves the lines until there are no more.
pub(crate) async fn run(options: &ProcessOptions) -> Result<(), StoreError> {
    let role = MeasureRole { options, client: StoreClient::new(&options.name_node, options.role.as_str()) };
    let (sender, mut lines) = mpsc::unbounded_channel();

    // A thread of its own: reading standard input blocks, and may never return.
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
    });

    println!("ready");
    let mut number = 0;
    while let Some(line) = lines.recv().await {
        let (operation, count) = line.split_once(' ').unwrap_or((&line, "1"));
        let mut latencies = Vec::new();
        for _ in 0..count.parse().unwrap_or(0_u64) {
            let begun = Instant::now();
            pivot::request(role.operation(operation, number)).await?;
            latencies.push(begun.elapsed().as_nanos().to_string());

            // Outside the measured time. The image of the name space would grow otherwise.
            if operation == "CREATE" {
                role.client.delete(&role.created_path(number)).await?;
            }
            number += 1;
        }
        println!("{}", latencies.join(" "));
    }
    Ok(())
}

/// A process in the role `measure`, which does the operations that it is asked for.
struct MeasureRole<'a> {
    options: &'a ProcessOptions,
    client: StoreClient,
}

impl MeasureRole<'_> {
    /// Returns the path of the file that an operation creates.
    fn created_path(&self, number: u64) -> String {
        format!("/measured/{}/{number}", self.options.name)
    }

    /// Does one operation. An unknown one does nothing, as `HOLD` does.
    async fn operation(&self, operation: &str, number: u64) -> Result<(), StoreError> {
        pivot::tracepoint!("ClientProtocols");
        // What a query packs at these, the operation carries along.
        for i in 0..TUPLES {
            pivot::tracepoint!("Measure.tuple", i: u64 = i);
        }

        let path = get_path(mix(number) % self.options.dataset.get_files.max(1));
        pivot::tracepoint!("StressTest.DoNextOp", op: String = operation.to_owned(), file: String = path.clone());
        match operation {
            "READ8K" => {
                let places = (self.options.dataset.get_bytes / READ_BYTES).max(1);
                let offset = mix(!number) % places * READ_BYTES;
                self.client.read_range(&path, offset, READ_BYTES, drop).await?;
            }
            "OPEN" => drop(self.client.length(&path).await?),
            "CREATE" => {
                let block_bytes = self.options.dataset.block_bytes;
                self.client.write(&self.created_path(number), Default::default(), block_bytes).await?;
            }
            "RENAME" => self.client.rename(&path, &path).await?,
            _ => {}
        }

        pivot::tracepoint!("JobComplete", id: String = operation.to_owned());
        Ok(())
    }
}
