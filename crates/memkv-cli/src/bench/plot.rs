//! Draws results as SVG: one panel of horizontal bars for each figure.

use super::record::{Record, large, number};

/// A panel: its title, its field, the format of its numbers, and whether less is better.
pub(crate) type Panel = (&'static str, &'static str, fn(f64) -> String, bool);

/// The panels of the suite `map`.
pub(crate) const ALONE: [Panel; 3] = [
    (
        "Overhead per key, bytes",
        "overhead_per_key",
        |bytes| format!("{bytes:+.1}").replace('-', "−"),
        true,
    ),
    ("Inserts per second", "insert_per_s", large, false),
    ("Lookups per second", "get_per_s", large, false),
];

/// The panels of the suite `threads`.
pub(crate) const SHARED: [Panel; 5] = [
    ("Load", "load_per_s", large, false),
    ("Reads", "reads_per_s", large, false),
    ("YCSB A", "A_per_s", large, false),
    ("YCSB F", "F_per_s", large, false),
    ("100-key scans beside a writer", "scan_per_s", large, false),
];

const PAGE_WIDTH: f64 = 760.0;
/// Left and right end of the bars. Names are to the left, numbers to the right.
const BAR_ENDS: (f64, f64) = (150.0, 660.0);
const BAR_HEIGHT: f64 = 20.0;
const ROW_HEIGHT: f64 = 28.0;
const TITLE_HEIGHT: f64 = 46.0;
/// Width of the number beside a bar of a negative value.
const NUMBER_WIDTH: f64 = 64.0;

/// Returns the drawing. A record has a bar in each panel whose field it has.
pub(crate) fn svg(title: &str, panels: &[Panel], records: &[Record]) -> String {
    let mut body = String::new();
    let mut y = 44.0;
    for panel in panels {
        y = draw_panel(&mut body, panel, records, y);
    }
    let (title, height) = (escape(title), y + 14.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{PAGE_WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {PAGE_WIDTH} {height}\" font-family=\"Helvetica, Arial, sans-serif\" \
         font-size=\"13\" fill=\"#222\">\n\
         <title>{title}</title>\n\
         <rect width=\"{PAGE_WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"20\" y=\"32\" font-size=\"18\" font-weight=\"bold\">{title}</text>\n\
         {body}</svg>\n"
    )
}

/// Draws a panel at height `y` and returns its lower end.
fn draw_panel(out: &mut String, panel: &Panel, records: &[Record], y: f64) -> f64 {
    let &(title, field, print, less_is_better) = panel;
    let rows: Vec<(&str, f64)> = records
        .iter()
        .filter_map(|record| Some((record.get("impl")?.as_str()?, number(record, field)?)))
        .collect();
    let better = if less_is_better { "less is better" } else { "more is better" };
    let mut draw = |elements: String| out.push_str(&(elements + "\n"));
    draw(format!(
        "<text x=\"20\" y=\"{}\" font-size=\"14\" font-weight=\"bold\">{title} \
         <tspan font-size=\"12\" font-weight=\"normal\" fill=\"#666\">({better})</tspan></text>",
        y + 26.0
    ));
    let least = rows.iter().fold(0.0, |least, row| f64::min(least, row.1));
    let most = rows.iter().fold(0.0, |most, row| f64::max(most, row.1));
    let left = BAR_ENDS.0 + if least < 0.0 { NUMBER_WIDTH } else { 0.0 };
    let scale = (BAR_ENDS.1 - left) / f64::max(most - least, f64::MIN_POSITIVE);
    let zero = left - least * scale;
    let mut top = y + TITLE_HEIGHT - 8.0;
    for (name, value) in rows {
        let colour = if name.starts_with("fastart") || name.starts_with("concurrentart") {
            "#1f6f8b"
        } else {
            "#b8c4cc"
        };
        let length = value.abs() * scale;
        let start = if value < 0.0 { zero - length } else { zero };
        let (number_at, anchor) =
            if value < 0.0 { (start - 6.0, "end") } else { (start + length + 6.0, "start") };
        let (base, name_at) = (top + BAR_HEIGHT - 5.5, BAR_ENDS.0 - 12.0);
        let (name, value) = (escape(name), print(value));
        draw(format!(
            "<text x=\"{name_at:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{start:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" \
             fill=\"{colour}\"/>\n\
             <text x=\"{number_at:.1}\" y=\"{base:.1}\" text-anchor=\"{anchor}\">{value}</text>"
        ));
        top += ROW_HEIGHT;
    }
    draw(format!(
        "<line x1=\"{zero:.1}\" y1=\"{:.1}\" x2=\"{zero:.1}\" y2=\"{:.1}\" stroke=\"#666\"/>",
        y + TITLE_HEIGHT - 12.0,
        top - ROW_HEIGHT + BAR_HEIGHT + 4.0
    ));
    top
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::{ALONE, Record, svg};
    use serde_json::json;

    #[test]
    fn draws_a_bar_for_each_number() {
        let record = |value: serde_json::Value| -> Record { value.as_object().unwrap().clone() };
        let records = [
            record(json!({
                "impl": "fastart", "overhead_per_key": -17.2, "insert_per_s": 1e6, "get_per_s": 2e6,
            })),
            record(json!({
                "impl": "b<tree", "overhead_per_key": 50.2, "insert_per_s": 5e5, "get_per_s": null,
            })),
        ];
        let svg = svg("keys & values", &ALONE, &records);
        // The background and five bars.
        assert_eq!(svg.matches("<rect").count(), 6);
        for text in ["−17.2", "+50.2", "1.00 M", "500 k", "b&lt;tree", "keys &amp; values"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
