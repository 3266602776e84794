//! How agents learn what should be woven: as changes, and as a whole where they do not take these.
#![allow(missing_docs, clippy::unwrap_used)]

use pivot_protocol::wire::{self, from_agent::Kind as FromAgent, to_agent::Kind as ToAgent};
use pivot_tests::{PATIENCE, PlayedAgent, TestFrontend};
use prost::Message;

const COUNT: &str = "FROM t IN T SELECT COUNT";

async fn attach(frontend: &TestFrontend, incarnation: u64) -> PlayedAgent {
    let hello = wire::Hello { incarnation, takes_changes: true, ..Default::default() };
    PlayedAgent::attach(&frontend.url(), hello).await
}

/// Waits for the next change, whose pieces come one behind the other, and says that it is woven.
async fn next_change(agent: &mut PlayedAgent) -> wire::WantedChange {
    let mut encoded = Vec::new();
    loop {
        let wanted = |kind| if let ToAgent::Wanted(part) = kind { Some(part) } else { None };
        let part = tokio::time::timeout(PATIENCE, agent.hear(wanted)).await.expect("a change");
        encoded.extend_from_slice(&part.data);
        if !part.more {
            break;
        }
    }

    let change = wire::WantedChange::decode(encoded.as_slice()).unwrap();
    agent.send(FromAgent::Woven(wire::Woven { generation: change.generation, ..Default::default() }));
    change
}

fn numbers(change: &wire::WantedChange) -> Vec<u32> {
    change.queries.iter().map(|query| query.query.unwrap().number).collect()
}

#[tokio::test]
async fn an_agent_is_told_what_is_different_and_all_of_it_when_it_asks() {
    let mut frontend = TestFrontend::start().await;
    let mut agent = attach(&frontend, 1).await;
    let first = next_change(&mut agent).await;
    assert_eq!((first.whole, first.queries.len()), (true, 0));

    let (one, two) = (frontend.install(COUNT).await, frontend.install(COUNT).await);
    let (added, another) = (next_change(&mut agent).await, next_change(&mut agent).await);
    assert_eq!((added.whole, numbers(&added), numbers(&another)), (false, vec![one], vec![two]));
    let sum = added.queries[0].digest.wrapping_add(another.queries[0].digest);
    assert_eq!(another.digest, sum);
    assert!(frontend.uninstall(one).await);
    let removed = next_change(&mut agent).await;
    assert_eq!((removed.removed[0].number, numbers(&removed)), (one, vec![]));

    agent.send(FromAgent::WantedAgain(wire::WantedAgain {}));
    let whole = next_change(&mut agent).await;
    assert_eq!((whole.whole, numbers(&whole), whole.digest), (true, vec![two], removed.digest));
    assert_eq!(whole.generation, removed.generation);
    frontend.stop().await;
}

#[tokio::test]
async fn advice_of_megabytes_comes_in_pieces_and_too_much_of_it_is_refused() {
    let mut frontend = TestFrontend::start().await;
    let field = |name: &str| wire::Field { name: name.into(), r#type: 6 };
    let exports = |number: u32| wire::Exports {
        tracepoint: format!("Large.t{number}"),
        fields: vec![field("x")],
        ..Default::default()
    };
    let catalogue = (0..60).map(exports).collect();
    let hello = wire::Hello { incarnation: 1, takes_changes: true, catalogue, ..Default::default() };
    let mut agent = PlayedAgent::attach(&frontend.url(), hello).await;
    next_change(&mut agent).await;

    let text = format!("FROM t IN Large.** WHERE t.x = '{}' SELECT COUNT", "x".repeat(30_000));
    let mut installed = 0;
    let refused = loop {
        let request = wire::InstallRequest { text: text.clone(), ..Default::default() };
        match frontend.client.install(request).await {
            Ok(response) => {
                let wire::InstallResponse { query, diagnostics, .. } = response.into_inner();
                assert!(query.is_some(), "{:?}", diagnostics.first().map(|found| &found.message));
            }
            Err(status) => break status,
        }
        installed += 1;
        assert!(installed < 30, "each takes 2 MB, and the limit is 32 MiB");
    };
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert!(refused.message().contains("match fewer tracepoints"), "{refused}");

    for _ in 0..installed {
        let change = next_change(&mut agent).await;
        assert_eq!((change.queries.len(), change.queries[0].advice.len()), (1, 60));
    }
    // One of the version before takes it in one message.
    let mut old =
        PlayedAgent::attach(&frontend.url(), wire::Hello { incarnation: 2, ..Default::default() }).await;
    assert_eq!(old.weave().await.since.len(), installed);
    frontend.stop().await;
}
