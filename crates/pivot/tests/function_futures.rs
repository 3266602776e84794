//! `#[tracepoints]` on functions that return a future, of every shape: they end when the future does.
#![cfg(feature = "runtime")]
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{block_on, check, rows};
use pivot_advice::Value;
use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A future under its usual alias.
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type Answer = Result<u64, String>;

async fn pause() {
    tokio::task::yield_now().await;
}

#[async_trait::async_trait]
trait Store {
    async fn get(&self, key: u64) -> Answer;

    #[pivot::tracepoints("Future.trait_default", fields(key: u64 = key))]
    async fn twice(&mut self, key: u64) -> Answer {
        self.get(key).await?;
        self.get(key).await
    }
}

struct Shelf {
    books: u64,
}

#[async_trait::async_trait]
impl Store for Shelf {
    #[pivot::tracepoints("Future.async_trait", fields(key: u64 = key, books: u64 = self.books))]
    async fn get(&self, key: u64) -> Answer {
        pause().await;
        if key % 2 == 1 {
            return Err(format!("odd {key}"));
        }
        if key == 6 {
            panic!("on purpose");
        }
        Ok(key)
    }
}

#[pivot::tracepoints("Future.boxed", fields(key: u64 = key))]
fn boxed(key: u64) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    Box::pin(async move { Shelf { books: 1 }.get(key).await })
}

#[pivot::tracepoints("Future.alias", fields(name = %name))]
fn alias<'a>(name: &'a str, shelf: &'a Shelf) -> BoxFuture<'a, Answer> {
    let key = name.len() as u64;
    if key == 0 {
        return Box::pin(std::future::ready(Err("empty".to_owned())));
    }
    Box::pin(shelf.get(key))
}

#[pivot::tracepoints("Future.opaque", fields(key: u64 = key))]
fn opaque(key: u64) -> impl Future<Output = Answer> + Send {
    async move {
        pause().await;
        if key % 2 == 1 { Err("odd".into()) } else { Shelf { books: 1 }.get(key).await }
    }
}

#[pivot::tracepoints("Future.unpin")]
fn unpin(key: u64) -> Box<dyn Future<Output = u64> + Unpin> {
    Box::new(std::future::ready(key))
}

#[pivot::tracepoints("Future.pinned_opaque")]
fn pinned_opaque(key: u64) -> Pin<Box<impl Future<Output = Answer>>> {
    Box::pin(opaque(key))
}

#[pivot::tracepoints("Future.plain", fields(key: u64 = key))]
async fn plain(key: u64) -> Answer {
    opaque(key).await
}

#[pivot::tracepoints("Future.output")]
async fn opaque_output(key: u64) -> Result<impl std::fmt::Display, Box<dyn std::error::Error + Send + Sync>> {
    let text = plain(key).await?;
    Ok(text)
}

#[pivot::tracepoints("Future.endless")]
async fn endless() -> ! {
    std::future::pending().await
}

// A function that makes futures later is an ordinary value.
#[pivot::tracepoints("Future.factory")]
fn factory(key: u64) -> Box<dyn Fn() -> Pin<Box<dyn Future<Output = u64>>>> {
    Box::new(move || Box::pin(async move { key }))
}

/// Checks a function for an even key, which is ok, an odd one, which is an error, and 6, which panics.
fn check_ends<F: Future<Output = Answer>>(tracepoint: &str, call: impl Fn(u64) -> F) {
    let run = || {
        assert_eq!(block_on(call(4)), Ok(4));
        assert!(block_on(call(5)).is_err());
        let panics = std::panic::AssertUnwindSafe(|| block_on(call(6)));
        assert!(std::panic::catch_unwind(panics).is_err());
        poll_once(call(8));
    };
    let exit = format!("{tracepoint}@exit");
    check(
        &exit,
        &["key", "outcome", "result"],
        run,
        &[&["4", "ok", "4"], &["5", "err", "null"], &["6", "panic", "null"], &["8", "cancelled", "null"]],
    );
    check(&format!("{tracepoint}@enter"), &["key"], run, &[&["4"], &["5"], &["6"], &["8"]]);
    check(&format!("{tracepoint}@error"), &["key"], run, &[&["5"]]);
    check(&exit, &[], || drop(call(4)), &[]);
}

/// Polls a future once and drops it.
fn poll_once(future: impl Future) {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

#[test]
fn methods_under_async_trait_end_with_their_futures() {
    let shelf: &'static Shelf = Box::leak(Box::new(Shelf { books: 3 }));
    check_ends("Future.async_trait", |key| shelf.get(key));
    check(
        "Future.async_trait@error",
        &["books", "error"],
        || drop(block_on(shelf.get(7))),
        &[&["3", "odd 7"]],
    );
    let run = || assert_eq!(block_on(Shelf { books: 1 }.twice(2)), Ok(2));
    check("Future.trait_default@exit", &["key", "result"], run, &[&["2", "2"]]);
}

#[test]
fn boxed_futures_opaque_ones_and_async_functions_end_alike() {
    check_ends("Future.boxed", boxed);
    check_ends("Future.opaque", opaque);
    check_ends("Future.plain", plain);
}

#[pivot::tracepoints("Future.slow")]
fn slow() -> BoxFuture<'static, u64> {
    Box::pin(async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(20) {
            pause().await;
        }
        1
    })
}

#[test]
fn a_duration_is_that_of_the_future() {
    let rows = rows("Future.slow@exit", &["elapsed"], || assert_eq!(block_on(slow()), 1));
    let [Value::Duration(nanoseconds)] = rows[0].as_slice() else { panic!("{rows:?}") };
    assert!(*nanoseconds >= 20_000_000, "{nanoseconds}");
}

#[test]
fn a_body_that_makes_its_future_begins_when_it_is_called() {
    let shelf = Shelf { books: 1 };
    let run = || {
        assert_eq!(block_on(alias("four", &shelf)), Ok(4));
        assert!(block_on(alias("", &shelf)).is_err());
        drop(alias("a", &shelf));
    };
    let ends: [&[&str]; 3] = [&["", "err"], &["a", "cancelled"], &["four", "ok"]];
    check("Future.alias@exit", &["name", "outcome"], run, &ends);
    check("Future.alias@enter", &["name"], run, &[&[""], &["a"], &["four"]]);
}

#[test]
fn rarer_shapes_end_with_their_futures_too() {
    check("Future.unpin@exit", &["result"], || assert_eq!(block_on(unpin(3)), 3), &[&["3"]]);
    let run = || assert_eq!(block_on(pinned_opaque(4)), Ok(4));
    check("Future.pinned_opaque@exit", &["outcome"], run, &[&["ok"]]);
    let run = || {
        assert_eq!(block_on(opaque_output(4)).ok().map(|shown| shown.to_string()), Some("4".into()));
        assert!(block_on(opaque_output(5)).is_err());
    };
    check("Future.output@exit", &["outcome"], run, &[&["err"], &["ok"]]);
    check("Future.factory@exit", &["outcome"], || drop(factory(1)), &[&["ok"]]);
    assert_eq!(block_on(factory(1)()), 1);
    check("Future.endless@exit", &["outcome"], || poll_once(endless()), &[&["cancelled"]]);
}

#[test]
fn a_sibling_that_a_panic_drops_was_cancelled_and_did_not_panic() {
    let run = || {
        let both = async {
            let (mut left, mut right) = (pin!(plain(8)), pin!(async { panic!("on purpose") }));
            std::future::poll_fn(|cx| -> Poll<()> {
                assert!(left.as_mut().poll(cx).is_pending());
                right.as_mut().poll(cx)
            })
            .await;
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(both))).is_err());
    };
    check("Future.plain@exit", &["key", "outcome"], run, &[&["8", "cancelled"]]);
}

mod without {
    pub(crate) async fn held(block: [u8; 1000], more: Vec<u8>) -> usize {
        super::pause().await;
        block.len() + more.len()
    }

    pub(crate) async fn handed_on(block: [u8; 1000]) -> usize {
        held(block, vec![]).await
    }

    pub(crate) async fn unused(_block: [u8; 1000], _: [u8; 500], n: u64) -> u64 {
        super::pause().await;
        n
    }

    pub(crate) async fn borrowed(text: &str, by: &mut u64) {
        super::pause().await;
        *by += text.len() as u64;
    }
}

mod with {
    #[pivot::tracepoints("Size.held", fields(n: usize = block.len(), more: usize = more.len()))]
    pub(crate) async fn held(block: [u8; 1000], more: Vec<u8>) -> usize {
        super::pause().await;
        block.len() + more.len()
    }

    #[pivot::tracepoints("Size.handed_on", fields(n: usize = block.len()))]
    pub(crate) async fn handed_on(block: [u8; 1000]) -> usize {
        super::without::held(block, vec![]).await
    }

    #[pivot::tracepoints("Size.unused", fields(n: u64 = n))]
    pub(crate) async fn unused(_block: [u8; 1000], _: [u8; 500], n: u64) -> u64 {
        super::pause().await;
        n
    }

    #[pivot::tracepoints("Size.borrowed", fields(text: String = text.to_owned(), by: u64 = *by))]
    pub(crate) async fn borrowed(text: &str, by: &mut u64) {
        super::pause().await;
        *by += text.len() as u64;
    }
}

#[test]
fn a_future_grows_by_a_pointer() {
    let (mut left, mut right) = (0, 0);
    let sizes = [
        (size_of_val(&without::held([0; 1000], vec![])), size_of_val(&with::held([0; 1000], vec![]))),
        (size_of_val(&without::handed_on([0; 1000])), size_of_val(&with::handed_on([0; 1000]))),
        (
            size_of_val(&without::unused([0; 1000], [0; 500], 1)),
            size_of_val(&with::unused([0; 1000], [0; 500], 1)),
        ),
        (size_of_val(&without::borrowed("a", &mut left)), size_of_val(&with::borrowed("a", &mut right))),
    ];
    for (bare, observed) in sizes {
        assert!(observed <= bare + size_of::<usize>(), "{sizes:?}");
    }
}

#[pivot::tracepoints("Caller.sync", fields(n: u64 = n))]
#[track_caller]
fn called(n: u64) -> Result<u32, String> {
    if n == 0 {
        return Err("none".into());
    }
    for digit in [n, 1] {
        u8::try_from(digit).map_err(|error| error.to_string())?;
    }
    Ok(std::panic::Location::caller().line())
}

#[pivot::tracepoints("Caller.option")]
#[track_caller]
fn called_option(text: &str) -> Option<&'static std::panic::Location<'static>> {
    let first = || text.chars().next()?.to_digit(10);
    first()?;
    Some(std::panic::Location::caller())
}

#[test]
fn a_function_with_track_caller_knows_its_caller() {
    let run = || {
        assert_eq!((called(1), line!()), (Ok(line!()), line!()));
        assert!(called(0).is_err() && called(300).is_err());
    };
    let ends: [&[&str]; 3] = [&["0", "err"], &["1", "ok"], &["300", "err"]];
    check("Caller.sync@exit", &["n", "outcome"], run, &ends);
    let run = || {
        assert_eq!(called_option("7").map(|place| place.line()), Some(line!()));
        assert!(called_option("x").is_none());
    };
    check("Caller.option@exit", &["outcome"], run, &[&["ok"], &["ok"]]);
}

/// Notes its name when it is dropped.
struct Noted(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

/// Defines functions that drop what they are given, with or without an attribute.
macro_rules! dropping {
    ($method:ident $(#[$attribute:meta])*) => {
        use super::{Noted, pause};

        $(#[$attribute])*
        pub(crate) fn at_once((_a, _): (Noted, Noted), b: Noted, _: Noted, mut c: Noted) -> &'static str {
            let _first = Noted("local", c.1.clone());
            c.0 = "last";
            b.0
        }

        $(#[$attribute])*
        pub(crate) async fn later((_a, _): (Noted, Noted), b: Noted, _: Noted, mut c: Noted) -> &'static str {
            let _first = Noted("local", c.1.clone());
            pause().await;
            c.0 = "last";
            b.0
        }

        pub(crate) fn later_dropped(noted: &dyn Fn(&'static str) -> Noted) {
            let pair = (noted("a"), noted("rest"));
            super::poll_once(later(pair, noted("b"), noted("unnamed"), noted("c")));
        }

        impl Noted {
            $(#[$attribute])*
            pub(crate) fn $method(self, other: Noted) -> &'static str {
                let _first = Noted("local", self.1.clone());
                other.0
            }
        }
    };
}

mod drops_without {
    dropping! { bare }
}

mod drops_with {
    dropping! { observed #[pivot::tracepoints] }
}

#[test]
fn arguments_are_dropped_as_without_the_attribute() {
    fn order(run: impl FnOnce(&dyn Fn(&'static str) -> Noted)) -> Vec<&'static str> {
        let seen = Rc::new(RefCell::new(vec![]));
        run(&|name| Noted(name, seen.clone()));
        seen.take()
    }

    let bare = order(|noted| {
        drops_without::at_once((noted("a"), noted("rest")), noted("b"), noted("unnamed"), noted("c"));
    });
    let observed = order(|noted| {
        drops_with::at_once((noted("a"), noted("rest")), noted("b"), noted("unnamed"), noted("c"));
    });
    assert_eq!(observed, bare);

    let bare = order(|noted| {
        let pair = (noted("a"), noted("rest"));
        block_on(drops_without::later(pair, noted("b"), noted("unnamed"), noted("c")));
    });
    let observed = order(|noted| {
        let pair = (noted("a"), noted("rest"));
        block_on(drops_with::later(pair, noted("b"), noted("unnamed"), noted("c")));
    });
    assert_eq!(observed, bare);

    let bare = order(drops_without::later_dropped);
    let observed = order(drops_with::later_dropped);
    assert_eq!(observed, bare);
    let bare = order(|noted| assert_eq!(noted("self").bare(noted("other")), "other"));
    let observed = order(|noted| assert_eq!(noted("self").observed(noted("other")), "other"));
    assert_eq!(observed, bare);
}
