//! Functions of every shape, which compile with the attribute as they do without it.

#![allow(async_fn_in_trait, private_interfaces, missing_docs)]
use std::{
    cell::Cell,
    fmt::{Debug, Display},
    future::Future,
    pin::Pin,
    sync::Arc,
};
struct NotSync(Cell<u32>);
pub struct S<T> {
    v: T,
}
impl<T: Debug + Clone + Send + Sync + Unpin + 'static> S<T> {
    #[pivot::tracepoints(fields(n: u64 = n))]
    pub async fn a(&self, n: u64) -> &T {
        std::future::ready(()).await;
        &self.v
    }
    #[pivot::tracepoints]
    pub async fn b<'a>(&'a mut self, other: &'a str) -> Result<&'a str, Box<dyn std::error::Error>> {
        let x: u32 = other.parse()?;
        self.v = self.v.clone();
        let _ = x;
        Ok(other)
    }
    #[pivot::tracepoints(fields(v = ?self.v))]
    pub async fn c(self: Pin<&mut Self>, x: impl Display + Send) -> String {
        let s = self.get_mut();
        std::future::ready(()).await;
        format!("{x}{:?}", s.v)
    }
    #[pivot::tracepoints]
    pub async fn d(self: Arc<Self>) -> usize {
        1
    }
    #[pivot::tracepoints]
    pub async fn e(mut self) -> T {
        self.v = self.v.clone();
        std::future::ready(()).await;
        self.v
    }
    #[pivot::tracepoints]
    pub async fn f<F>(&self, f: F) -> u32
    where
        F: for<'x> Fn(&'x T) -> &'x T,
    {
        let _ = f(&self.v);
        3
    }
    #[pivot::tracepoints]
    pub async fn g(&self, x: &str, y: &'_ [u8]) -> usize {
        std::future::ready(()).await;
        x.len() + y.len()
    }
    #[pivot::tracepoints]
    pub fn h<'s>(&'s self) -> impl Future<Output = &'s T> + 's {
        async move { &self.v }
    }
    #[pivot::tracepoints(fields(n: u64 = n))]
    pub fn i<'s>(&'s self, n: u64) -> Pin<Box<dyn Future<Output = (&'s T, u64)> + Send + 's>> {
        Box::pin(async move { (&self.v, n) })
    }
    #[pivot::tracepoints(fields(x: u64 = x, n: usize = rest.len()))]
    pub async fn k((x, _y): (u64, T), mut rest: Vec<u8>, _: NotSync) -> usize {
        rest.push(1);
        std::future::ready(()).await;
        rest.len() + x as usize
    }
    #[pivot::tracepoints]
    pub async fn l<const N: usize>(a: [T; N]) -> [T; N] {
        a
    }
    #[pivot::tracepoints]
    pub async fn m(x: NotSync) -> u32 {
        x.0.set(1);
        std::future::ready(()).await;
        x.0.get()
    }
}
fn send<T: Send>(_: &T) {}
pub fn sends() {
    send(&S::<u32>::m(NotSync(Cell::new(1))));
    send(&rec(1));
    send(&S::<u32>::k((1, 2), vec![], NotSync(Cell::new(1))));
}
#[pivot::tracepoints(fields(n: u64 = n))]
pub async fn rec(n: u64) -> u64 {
    if n == 0 { 0 } else { Box::pin(rec(n - 1)).await + 1 }
}
#[pivot::tracepoints]
pub fn recb(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { if n == 0 { 0 } else { recb(n - 1).await + 1 } })
}
pub trait Tr {
    async fn t(&self, x: &str) -> usize;
    fn u(&self) -> impl Future<Output = u8> + Send;
    #[pivot::tracepoints]
    async fn w(&self, x: u8) -> u8 {
        x
    }
    #[pivot::tracepoints]
    fn dflt(&self, mut x: Vec<u8>) -> usize
    where
        Self: Sized,
    {
        x.push(1);
        x.len()
    }
}
impl Tr for u8 {
    #[pivot::tracepoints]
    async fn t(&self, x: &str) -> usize {
        x.len() + *self as usize
    }
    #[pivot::tracepoints]
    async fn u(&self) -> u8 {
        *self
    }
    #[pivot::tracepoints]
    async fn w(&self, x: u8) -> u8 {
        x + *self
    }
}
impl Tr for u16 {
    #[pivot::tracepoints]
    async fn t(&self, x: &str) -> usize {
        x.len()
    }
    #[pivot::tracepoints]
    fn u(&self) -> impl Future<Output = u8> + Send {
        async { 1 }
    }
}
#[pivot::tracepoints]
pub async fn dynr(x: bool) -> Box<dyn Debug> {
    if x { Box::new(1) } else { Box::new("a") }
}
#[pivot::tracepoints]
pub async fn dynr2(x: bool) -> Result<Box<dyn Debug>, std::io::Error> {
    if x {
        return Ok(Box::new(1));
    }
    std::fs::read("x")?;
    Ok(Box::new("a"))
}
#[pivot::tracepoints]
pub fn implerr(k: u64) -> impl Future<Output = Result<u64, String>> {
    async move {
        if k == 1 {
            Err("odd".into())
        } else {
            let v = "1".parse().map_err(|e: std::num::ParseIntError| e.to_string())?;
            Ok(v)
        }
    }
}
#[pivot::tracepoints]
pub fn implerr2(k: u64) -> impl Future<Output = Result<Box<dyn Debug>, Box<dyn std::error::Error>>> {
    let _k2 = k;
    async move { if k == 1 { Err("odd".into()) } else { Ok(Box::new(1) as Box<dyn Debug>) } }
}
#[pivot::tracepoints]
pub fn unit_arg(_u: (), v: Vec<u8>) -> u32 {
    let _ = v;
    1
}
#[pivot::tracepoints]
pub async fn unit() {}
#[pivot::tracepoints]
pub async fn never(_x: &str) -> ! {
    panic!("x")
}
#[pivot::tracepoints(fields(x: u32 = x))]
pub fn only_field(x: u32) {}
#[pivot::tracepoints(fields(x: u32 = x))]
pub async fn only_field2(x: u32) {}
#[pivot::tracepoints]
#[track_caller]
pub fn tc<'a>(x: &'a [u32], mut n: usize) -> Result<&'a u32, Box<dyn std::error::Error>> {
    loop {
        n += 1;
        if n > 3 {
            return Ok(x.get(n).ok_or("none")?);
        }
        let f = || -> Option<u32> { Some(*x.first()? + 1) };
        f();
        let y: u32 = "7".parse()?;
        if y == 8 {
            return Err("e".into());
        }
    }
}
#[pivot::tracepoints]
#[track_caller]
pub fn tcu(x: u8) {
    if x == 1 {
        return;
    }
}
#[pivot::tracepoints]
#[track_caller]
pub fn tci(x: u8) -> impl Iterator<Item = u8> {
    if x == 1 {
        return vec![x].into_iter();
    }
    vec![].into_iter()
}
#[pivot::tracepoints]
#[must_use]
pub async fn mu() -> u8 {
    1
}
#[pivot::tracepoints]
pub fn generic_ret<T: Default>() -> T {
    T::default()
}
#[pivot::tracepoints]
pub async fn generic_ret2<T: Default>() -> T {
    T::default()
}
#[pivot::tracepoints]
pub fn arr(x: [u8; 4], mut y: [u8; 4]) -> u8 {
    y[0] = 1;
    x[0] + y[0]
}
#[pivot::tracepoints]
pub fn refpat(ref x: String) -> usize {
    x.len()
}
#[pivot::tracepoints]
pub async fn refpat2(ref x: String) -> usize {
    std::future::ready(()).await;
    x.len()
}
#[pivot::tracepoints]
pub async fn at(x @ (_, _): (u8, u8)) -> u8 {
    x.0
}
#[pivot::tracepoints]
pub async fn st(Foo { a, .. }: Foo, &b: &u8) -> u8 {
    a + b
}
pub struct Foo {
    a: u8,
    pub b: String,
}
pub fn spawnable() -> Box<dyn Future<Output = ()> + Send> {
    Box::new(async {
        mu().await;
        unit().await;
        let x = String::new();
        refpat2(x).await;
        st(Foo { a: 1, b: String::new() }, &1).await;
    })
}
mod inner {
    #[pivot::tracepoints]
    pub(super) async fn priv_ty(x: super::Foo) -> u8 {
        x.a
    }
}
pub async fn call() -> u8 {
    inner::priv_ty(Foo { a: 1, b: String::new() }).await
}
macro_rules! mk {
    ($n:ident, $a:ident : $t:ty, $e:expr) => {
        #[pivot::tracepoints(fields($a: $t = $a))]
        pub async fn $n($a: $t) -> $t {
            $e
        }
        #[pivot::tracepoints]
        #[inline]
        pub fn sync($a: $t) -> $t {
            $a
        }
    };
}
mk!(mkd, x: u32, x + 1);
#[pivot::tracepoints]
pub extern "C" fn ex(mut n: i32) -> i32 {
    n += 1;
    n
}
#[pivot::tracepoints]
pub async fn shadow(call: u8, enter: u8, exit: u8, result: u8, never: u8, index: u8) -> u8 {
    call + enter + exit + result + never + index
}
