//! Fused advice: filter, group by at most two keys, and aggregate one field, in one pass that keeps no columns.
//!
//! ```text
//! FROM e IN Store.Read WHERE e.delta > 0 GROUP BY e.user SELECT e.user, SUM(e.delta)
//!
//! compiled   ObserveInRange(delta, > 0)   Observe(user)   find group of column 0   add column 1
//! fused      delta = fields(1); if delta <= 0 { return }
//!            group of [fields(0)] += delta                        (kernel FilterSumSelf1)
//! ```
//!
//! Most advice is like this, and each event of it costs less than a lookup in a hash map. The steps are not looked at
//! one by one: [`plan`] decides once, when the advice is woven, which [`KernelShape`](plan::KernelShape) it has, and
//! every shape is compiled apart by the Rust compiler. Fused advice may have a happened-before join too, as long as
//! nothing more than keys and one argument is asked of the bag's rows.

mod join;
mod kernel;
pub(crate) mod plan;
mod update;
