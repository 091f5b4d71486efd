//! Draws results as SVG: one panel of horizontal bars for each figure, three panels in a row.

use super::record::{Record, large, number};
use std::fmt::Write;

/// What the names of this library's structures begin with.
const OURS: [&str; 6] =
    ["fastart", "arenaart", "concurrentart", "shardedart", "frozenlayer", "hybridstore"];

/// A panel: its title, its field, the format of its numbers, and whether less is better.
pub(crate) type Panel = (&'static str, &'static str, fn(f64) -> String, bool);

/// The panels of the suite `map`.
pub(crate) const ALONE: [Panel; 3] = [
    (
        "Overhead, bytes a key",
        "overhead_per_key",
        |bytes| format!("{bytes:+.1}").replace('-', "−"),
        true,
    ),
    ("Inserts a second", "insert_per_s", large, false),
    ("Lookups a second", "get_per_s", large, false),
];

/// The panels of the suite `threads`.
pub(crate) const SHARED: [Panel; 5] = [
    ("Load", "load_per_s", large, false),
    ("Reads", "reads_per_s", large, false),
    ("YCSB A", "A_per_s", large, false),
    ("YCSB F", "F_per_s", large, false),
    ("Scans of 100 keys, one writer", "scan_per_s", large, false),
];

const PAGE_WIDTH: f64 = 860.0;
const MARGIN: f64 = 16.0;
/// Panels beside each other. The rest is below.
const PANELS_PER_ROW: usize = 3;
const PANEL_GAP: f64 = 14.0;
/// Width of the names, at the left of each row of panels.
const NAMES_WIDTH: f64 = 116.0;
/// Width of the number beside a bar.
const NUMBER_WIDTH: f64 = 48.0;
const BAR_HEIGHT: f64 = 14.0;
const BAR_DISTANCE: f64 = 19.0;
const TITLE_HEIGHT: f64 = 44.0;

/// Returns the drawing. A record has a bar in each panel whose field it has.
pub(crate) fn svg(title: &str, panels: &[Panel], records: &[Record]) -> String {
    let (mut body, mut y) = (String::new(), 34.0);
    let width = (PAGE_WIDTH - 2.0 * MARGIN - NAMES_WIDTH) / PANELS_PER_ROW as f64 - PANEL_GAP;
    let rows: Vec<&Record> = records.iter().filter(|record| name(record).is_some()).collect();
    for panels in panels.chunks(PANELS_PER_ROW) {
        let bars = y + TITLE_HEIGHT;
        for (i, record) in rows.iter().enumerate() {
            text(
                &mut body,
                MARGIN + NAMES_WIDTH,
                base(bars, i),
                "end",
                &escape(name(record).unwrap_or("")),
            );
        }
        let mut x = MARGIN + NAMES_WIDTH + PANEL_GAP;
        for panel in panels {
            draw_panel(&mut body, panel, &rows, x, width, y);
            x += width + PANEL_GAP;
        }
        y = bars + rows.len() as f64 * BAR_DISTANCE + 8.0;
    }
    let (title, height) = (escape(title), y + 6.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{PAGE_WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {PAGE_WIDTH} {height}\" font-family=\"Helvetica, Arial, sans-serif\" \
         font-size=\"12\" fill=\"#222\">\n\
         <title>{title}</title>\n\
         <rect width=\"{PAGE_WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n\
         {body}</svg>\n"
    )
}

fn name(record: &Record) -> Option<&str> {
    record.get("impl")?.as_str()
}

/// Returns the base line of the text of a row.
fn base(bars: f64, row: usize) -> f64 {
    bars + row as f64 * BAR_DISTANCE + BAR_HEIGHT - 3.0
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let _ =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

/// Draws a panel whose upper left corner is at `x` and `y`.
fn draw_panel(out: &mut String, panel: &Panel, rows: &[&Record], x: f64, width: f64, y: f64) {
    let &(title, field, print, less_is_better) = panel;
    let better = if less_is_better { "less is better" } else { "more is better" };
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"10\" fill=\"#666\">{better}</text>",
        y + 20.0,
        y + 34.0
    );
    let values: Vec<Option<f64>> = rows.iter().map(|record| number(record, field)).collect();
    let known = || values.iter().flatten().copied();
    let (least, most) = (known().fold(0.0, f64::min), known().fold(0.0, f64::max));
    // Numbers of negative bars are to their left.
    let left = x + if least < 0.0 { NUMBER_WIDTH } else { 0.0 };
    let scale = (x + width - NUMBER_WIDTH - left) / f64::max(most - least, f64::MIN_POSITIVE);
    let (zero, bars) = (left - least * scale, y + TITLE_HEIGHT);
    for (i, (record, value)) in rows.iter().zip(&values).enumerate() {
        let Some(value) = *value else { continue };
        let is_ours =
            name(record).is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours)));
        let colour = if is_ours { "#1f6f8b" } else { "#b8c4cc" };
        let length = value.abs() * scale;
        let start = if value < 0.0 { zero - length } else { zero };
        let top = bars + i as f64 * BAR_DISTANCE;
        let _ = writeln!(
            out,
            "<rect x=\"{start:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" \
             height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>"
        );
        let (at, anchor) =
            if value < 0.0 { (start - 4.0, "end") } else { (start + length + 4.0, "start") };
        text(out, at, base(bars, i), anchor, &print(value));
    }
    let end = bars + rows.len() as f64 * BAR_DISTANCE;
    let _ = writeln!(
        out,
        "<line x1=\"{zero:.1}\" y1=\"{:.1}\" x2=\"{zero:.1}\" y2=\"{end:.1}\" stroke=\"#666\"/>",
        bars - 4.0
    );
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
