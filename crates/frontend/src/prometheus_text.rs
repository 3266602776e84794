//! Figures in the text form that Prometheus reads.
//!
//! ```text
//! # HELP pivot_agents Agents that are known, by whether they are connected.
//! # TYPE pivot_agents gauge
//! pivot_agents{state="connected"} 3
//! ```

use std::fmt::Write;

/// How a figure changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricKind {
    /// A figure that goes up and down.
    Gauge,
    /// A figure that only rises, until the process ends.
    Counter,
    /// Values that are counted in buckets.
    Histogram,
}

/// A text to which figures are added, one family after the other.
#[derive(Debug, Default)]
pub(crate) struct PrometheusText {
    text: String,
}

impl PrometheusText {
    /// Returns the text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Begins a family: what follows are its samples.
    pub(crate) fn family(&mut self, name: &str, kind: MetricKind, help: &str) {
        let kind = match kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
        };
        // Writing to a text cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample; `labels` are names with values.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// Adds a family of one sample.
    pub(crate) fn single(&mut self, name: &str, kind: MetricKind, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_labels_with_escaped_values() {
        let mut text = PrometheusText::default();
        text.family("a", MetricKind::Gauge, "About a.");
        text.sample("a", &[("b", "x\"\\\n"), ("c", "")], 1.5);
        text.single("d_total", MetricKind::Counter, "About d.", 2.0);
        let expected = "# HELP a About a.\n# TYPE a gauge\na{b=\"x\\\"\\\\\\n\",c=\"\"} 1.5\n\
                        # HELP d_total About d.\n# TYPE d_total counter\nd_total 2\n";
        assert_eq!(text.into_text(), expected);
    }
}
