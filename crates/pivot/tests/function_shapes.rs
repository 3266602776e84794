//! `#[tracepoints]` on functions of every shape: they behave as before, and their tracepoints tell how they ended.
#![cfg(feature = "runtime")]
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{block_on, check};
use std::fmt::{Debug, Display};
use std::pin::Pin;

#[pivot::tracepoints("Shape.lifetimes", fields(a = %a, b = %b))]
fn longest<'a>(a: &'a str, b: &'a str) -> &'a str {
    if a.len() >= b.len() {
        return a;
    }
    b
}

#[pivot::tracepoints("Shape.elided", fields(n: usize = words.len()))]
fn first(words: &[String]) -> Option<&String> {
    words.first()
}

#[pivot::tracepoints("Shape.mutable", fields(before: usize = list.len()))]
fn push(list: &mut Vec<u64>, mut item: u64) -> &mut u64 {
    item += 1;
    list.push(item);
    list.last_mut().unwrap()
}

#[pivot::tracepoints("Shape.impl", fields(text = %text))]
fn shout(text: impl Display, times: impl Into<usize>) -> impl Iterator<Item = String> {
    let text = text.to_string().to_uppercase();
    std::iter::repeat_n(text, times.into())
}

#[pivot::tracepoints("Shape.where", fields(key = ?key))]
fn lookup<K, V>(pairs: &[(K, V)], key: K) -> Result<V, String>
where
    K: PartialEq + Debug,
    V: Clone,
{
    let found = pairs.iter().find(|(known, _)| *known == key);
    let (_, value) = found.ok_or_else(|| format!("no {key:?}"))?;
    Ok(value.clone())
}

#[pivot::tracepoints("Shape.const", fields(n: usize = N))]
fn sum<const N: usize>(numbers: [u64; N]) -> u64 {
    numbers.iter().sum()
}

#[pivot::tracepoints("Shape.recursion", fields(n: u64 = n))]
fn factorial(n: u64) -> u64 {
    if n < 2 { 1 } else { n * factorial(n - 1) }
}

/// # Safety
///
/// The pointer points to a number.
#[pivot::tracepoints("Shape.unsafe")]
unsafe fn peek(pointer: *const u64) -> u64 {
    // SAFETY: the caller says so.
    unsafe { *pointer }
}

/// # Safety
///
/// The pointer points to a number.
#[pivot::tracepoints("Shape.async_unsafe")]
async unsafe fn peek_later(pointer: *const u64) -> u64 {
    // SAFETY: the caller says so.
    unsafe { *pointer }
}

#[pivot::tracepoints("Shape.extern", fields(n: i32 = n))]
extern "C" fn negate(n: i32) -> i32 {
    -n
}

#[pivot::tracepoints("Shape.pattern", fields(x: f64 = x, rest: usize = rest.len()))]
fn destructured((x, _y): (f64, f64), [_first, rest @ ..]: [u8; 3], _: ()) -> f64 {
    x
}

#[pivot::tracepoints("Shape.loop")]
fn early(numbers: &[i64]) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
    for number in numbers {
        if *number < 0 {
            return Ok(*number);
        }
        u8::try_from(*number)?;
    }
    Err("none".into())
}

#[derive(Debug)]
struct Stack<T> {
    items: Vec<T>,
}

impl<T: Debug + Clone> Stack<T> {
    #[pivot::tracepoints("Shape.by_value", fields(items: usize = self.items.len()))]
    fn into_last(self) -> Option<T> {
        let Self { mut items } = self;
        items.pop()
    }

    #[pivot::tracepoints("Shape.own_generic", fields(by = ?by))]
    fn map<U, F>(&self, by: U, map: F) -> Vec<U>
    where
        U: Debug + Clone,
        F: Fn(&T, U) -> U,
    {
        self.items.iter().map(|item| map(item, by.clone())).collect()
    }

    #[pivot::tracepoints("Shape.associated")]
    fn of(items: &[T]) -> Self {
        Self { items: items.to_vec() }
    }
}

trait Visitor {
    type Out;
    fn visit(&mut self, node: u64) -> Self::Out;
    fn twice(&mut self, node: u64) -> Self::Out;
    fn later(&self, node: u64) -> impl Future<Output = Result<u64, String>> + Send;
}

impl<T> Visitor for Stack<T>
where
    T: From<u64> + Clone + Send + Sync,
{
    type Out = usize;

    #[pivot::tracepoints("Shape.trait", fields(node: u64 = node))]
    fn visit(&mut self, node: u64) -> Self::Out {
        self.items.push(T::from(node));
        self.items.len()
    }

    #[pivot::tracepoints("Shape.trait_twice")]
    fn twice(&mut self, node: u64) -> Self::Out {
        self.visit(node);
        self.visit(node)
    }

    #[pivot::tracepoints("Shape.trait_async", fields(node: u64 = node))]
    async fn later(&self, node: u64) -> Result<u64, String> {
        tokio::task::yield_now().await;
        if self.items.is_empty() { Err("empty".into()) } else { Ok(node) }
    }
}

#[pivot::tracepoints("Shape.async_borrowed", fields(words: usize = words.len()))]
async fn join<'w>(words: &'w [&'w str], by: &str) -> Result<&'w str, String> {
    tokio::task::yield_now().await;
    let all = words.join(by);
    words.iter().find(|word| all.starts_with(**word)).copied().ok_or(all)
}

#[pivot::tracepoints("Shape.async_recursion", fields(n: u64 = n))]
fn countdown(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { if n == 0 { 0 } else { 1 + countdown(n - 1).await } })
}

#[pivot::tracepoints("Shape.async_panic")]
async fn burst(now: bool) -> u64 {
    tokio::task::yield_now().await;
    if now {
        panic!("on purpose");
    }
    7
}

#[pivot::tracepoints("Shape.never")]
fn stop() -> ! {
    std::panic::resume_unwind(Box::new("stop"))
}

#[test]
fn references_and_their_lifetimes_pass_through() {
    let run = || assert_eq!((longest("ab", "c"), longest("", "c")), ("ab", "c"));
    check("Shape.lifetimes@exit", &["a", "b", "result"], run, &[&["", "c", "c"], &["ab", "c", "ab"]]);
    let run = || assert_eq!(first(&["x".into()]), Some(&"x".to_owned()));
    check("Shape.elided@exit", &["n", "outcome"], run, &[&["1", "ok"]]);
    let run = || {
        let mut list = vec![1];
        *push(&mut list, 4) += 10;
        assert_eq!(list, [1, 15]);
    };
    check("Shape.mutable@exit", &["before", "outcome"], run, &[&["1", "ok"]]);
}

#[test]
fn generics_of_every_kind_pass_through() {
    let run = || assert_eq!(shout("a", 2_u8).collect::<Vec<_>>(), ["A", "A"]);
    check("Shape.impl@exit", &["text", "outcome"], run, &[&["a", "ok"]]);
    let run = || assert_eq!((lookup(&[("a", 1)], "a"), lookup(&[(2, ())], 3)), (Ok(1), Err("no 3".into())));
    check("Shape.where@exit", &["key", "outcome"], run, &[&["\"a\"", "ok"], &["3", "err"]]);
    let run = || assert_eq!((sum([1, 2]), sum([])), (3, 0));
    check("Shape.const@exit", &["n", "result"], run, &[&["0", "0"], &["2", "3"]]);
}

#[test]
fn each_call_of_a_recursion_is_an_event_and_the_innermost_leaves_first() {
    let run = || assert_eq!(factorial(4), 24);
    let expected: [&[&str]; 4] = [&["1", "1"], &["2", "2"], &["3", "6"], &["4", "24"]];
    check("Shape.recursion@exit", &["n", "result"], run, &expected);
    let run = || assert_eq!(block_on(countdown(2)), 2);
    check("Shape.async_recursion@enter", &["n"], run, &[&["0"], &["1"], &["2"]]);
}

#[test]
fn functions_with_another_contract_keep_it() {
    // SAFETY: the reference is a pointer to a number.
    let run = || assert_eq!(unsafe { peek(&5) }, 5);
    check("Shape.unsafe@exit", &["result"], run, &[&["5"]]);
    // SAFETY: the reference is a pointer to a number.
    let run = || assert_eq!(block_on(unsafe { peek_later(&5) }), 5);
    check("Shape.async_unsafe@exit", &["result"], run, &[&["5"]]);
    let run = || {
        let pointer: extern "C" fn(i32) -> i32 = negate;
        assert_eq!(pointer(4), -4);
    };
    check("Shape.extern@exit", &["n", "result"], run, &[&["4", "-4"]]);
    let run = || assert_eq!(destructured((0.5, 1.0), [1, 2, 3], ()), 0.5);
    check("Shape.pattern@exit", &["x", "rest", "result"], run, &[&["0.5", "2", "0.5"]]);
}

#[test]
fn every_way_out_is_told() {
    let run = || {
        assert_eq!(early(&[3, -1]).ok(), Some(-1));
        assert!(early(&[300]).is_err() && early(&[]).is_err());
    };
    check("Shape.loop@exit", &["outcome"], run, &[&["err"], &["err"], &["ok"]]);
    let run = || drop((early(&[300]), early(&[])));
    let texts: [&[&str]; 2] = [&["none"], &["out of range integral type conversion attempted"]];
    check("Shape.loop@error", &["error"], run, &texts);
    let run = || drop(std::panic::catch_unwind(|| stop()));
    check("Shape.never@exit", &["outcome"], run, &[&["panic"]]);
}

#[test]
fn methods_take_self_in_every_form() {
    let stack = || Stack { items: vec![1_u64, 2] };
    let run = || assert_eq!(stack().into_last(), Some(2));
    // Nothing says of any `T` that it can be exported.
    check("Shape.by_value@exit", &["items", "outcome", "result"], run, &[&["2", "ok", "null"]]);
    let run = || assert_eq!(stack().map("a".to_owned(), |item, by| format!("{by}{item}")), ["a1", "a2"]);
    check("Shape.own_generic@exit", &["by", "outcome"], run, &[&["\"a\"", "ok"]]);
    let run = || assert_eq!(Stack::of(&["x"]).items, ["x"]);
    check("Shape.associated@exit", &["outcome"], run, &[&["ok"]]);
}

#[test]
fn methods_of_traits_take_it_also_where_they_are_async() {
    let run = || assert_eq!(Stack::<u64> { items: vec![] }.visit(9), 1);
    check("Shape.trait@exit", &["node", "outcome"], run, &[&["9", "ok"]]);
    let run = || assert_eq!(Stack::<u64> { items: vec![] }.twice(9), 2);
    check("Shape.trait@exit", &["node"], run, &[&["9"], &["9"]]);
    let run = || {
        assert_eq!(block_on(Stack { items: vec![1_u64] }.later(3)), Ok(3));
        assert!(block_on(Stack::<u64> { items: vec![] }.later(4)).is_err());
    };
    check("Shape.trait_async@exit", &["node", "outcome"], run, &[&["3", "ok"], &["4", "err"]]);
}

#[test]
fn async_functions_may_borrow_and_panic() {
    let run = || assert_eq!(block_on(join(&["a", "b"], "+")), Ok("a"));
    check("Shape.async_borrowed@exit", &["words", "result"], run, &[&["2", "a"]]);
    let run = || {
        assert_eq!(block_on(burst(false)), 7);
        assert!(std::panic::catch_unwind(|| block_on(burst(true))).is_err());
    };
    check("Shape.async_panic@exit", &["outcome"], run, &[&["ok"], &["panic"]]);
}

#[test]
fn a_future_that_was_never_polled_has_not_begun() {
    check("Shape.async_panic@enter", &[], || drop(burst(true)), &[]);
    check("Shape.async_panic@exit", &["outcome"], || drop(burst(true)), &[]);
}

#[test]
fn an_async_function_is_sent_to_other_threads_as_before() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let run = || assert_eq!(std::thread::spawn(|| block_on(sent(burst(false)))).join().unwrap(), 7);
    check("Shape.async_panic@exit", &["outcome"], run, &[&["ok"]]);
}
