//! Queries over the load, sound and unsound, cheap and expensive.

use crate::random::Random;

const FROM: [&str; 9] = [
    "FROM e IN Soak.end",
    "FROM e IN Soak.end JOIN w IN Soak.work ON w -> e",
    "FROM e IN Soak.end LEFT JOIN w IN Soak.risky@error ON w -> e",
    "FROM e IN Soak.end ANTI JOIN r IN Soak.risky ON r -> e",
    "FROM e IN Soak.end JOIN w IN First(Soak.begin) ON w -> e",
    "FROM e IN Soak.end JOIN w IN MostRecent 2 (Soak.work WHERE n > 40) ON w -> e",
    "FROM e IN Soak.risky@exit JOIN b IN Soak.begin ON b -> e",
    "FROM e IN Soak.*",
    "FROM e IN Soak.end JOIN w IN Soak.work ON w -> e JOIN b IN Soak.begin ON b -> w",
];

const GROUP: [&str; 7] = [
    "SELECT COUNT",
    "GROUP BY e.thread SELECT e.thread, COUNT, P99(e.time - e.time) AS none",
    "GROUP BY hash(e.request) % 300 SELECT hash(e.request) % 300 AS part, COUNT",
    "GROUP BY e.tracepoint, e.pid SELECT e.tracepoint, COUNT, COUNT(DISTINCT e.request) AS requests",
    "SELECT e.time, e.tracepoint LIMIT 5",
    "SELECT TOPK(e.request, 3) AS most, HIST(length(e.thread)) AS lengths",
    "GROUP BY e.host SELECT e.host, COUNT AS n, RATE(COUNT) HAVING n > 3 ORDER BY n DESC LIMIT 4",
];

const WHOLE: [&str; 8] = [
    "FROM b IN Soak.begin GROUP BY b.user SELECT b.user, COUNT",
    "FROM b IN Soak.begin GROUP BY b.path SELECT b.path, MAX(b.user)",
    "FROM r IN Soak.risky GROUP BY r.inverse SELECT r.inverse, COUNT",
    "FROM r IN Soak.risky@exit GROUP BY r.outcome SELECT r.outcome, COUNT, P50(r.elapsed), AVG(r.elapsed)",
    "FROM w IN Soak.work GROUP BY w.kind SELECT w.kind, SUM(w.n), STDDEV(w.n), MIN(w.n), ANY(w.thread)",
    "FROM w IN Soak.work WHERE w.nowhere > 3 SELECT COUNT",
    "FROM w IN Soak.nowhere SELECT COUNT",
    "FROM w IN Soak.work SELECT",
];

/// Returns a random query, which need not compile.
pub fn any(random: &mut Random) -> String {
    let (from, group, whole) = (random.pick(&FROM), random.pick(&GROUP), random.pick(&WHOLE));
    let mut text = match random.below(3) {
        0 => (*whole).to_owned(),
        _ => format!("{from} {group}"),
    };

    match random.below(8) {
        // Now and then with an end of its own, so that queries also go by themselves.
        0 => text.push_str(" SAMPLE 0.2"),
        1 => text.push_str(" EVERY 500ms"),
        2 => text.push_str(" FOR 300ms"),
        _ => {}
    }

    text
}
