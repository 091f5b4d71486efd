//! Results as records of named figures: medians over rounds, ratios, tables, and lines of JSON.

use anyhow::Result;
use serde_json::{Map, Number, Value};
use std::io::Write;

/// The figures of one measurement, as `--json` prints them.
pub(crate) type Record = Map<String, Value>;

/// Sets a figure of a record.
pub(crate) fn put(record: &mut Record, field: &str, value: impl Into<Value>) {
    record.insert(field.to_owned(), value.into());
}

/// Returns a figure of a record, if it is a number.
pub(crate) fn number(record: &Record, field: &str) -> Option<f64> {
    record.get(field)?.as_f64()
}

/// Returns the text of a figure, or "-" if the record has no such number.
pub(crate) fn cell(record: &Record, field: &str, show: impl FnOnce(f64) -> String) -> String {
    number(record, field).map_or("-".to_owned(), show)
}

/// A column of a table: its title, its field, and the format of its numbers.
pub(crate) type Column = (&'static str, &'static str, fn(f64) -> String);

/// Returns the cells of a record, one for each column.
pub(crate) fn cells<'a>(
    record: &'a Record,
    columns: &'a [Column],
) -> impl Iterator<Item = String> + 'a {
    columns.iter().map(|&(_, field, show)| cell(record, field, show))
}

/// Returns whether no record has errors.
pub(crate) fn all_correct<'a>(records: impl IntoIterator<Item = &'a Record>) -> bool {
    records.into_iter().all(|record| number(record, "errors") == Some(0.0))
}

/// Writes a line with the first error of a record, if it has one.
pub(crate) fn write_error(out: &mut impl Write, name: &str, record: &Record) -> Result<()> {
    if let Some(error) = record.get("first_error").and_then(Value::as_str) {
        writeln!(out, "{name}: wrong: {error}")?;
    }
    Ok(())
}

/// Writes each record as a line of JSON.
pub(crate) fn write_json<'a>(
    out: &mut impl Write,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<()> {
    for record in records {
        writeln!(out, "{}", serde_json::to_string(record)?)?;
    }
    Ok(())
}

/// Returns the median, or the mean of the two middle numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}

/// Returns the records of all rounds as one: the median of each number, the sum of the errors, and
/// the first of any other value.
pub(crate) fn summary(rounds: &[Record]) -> Record {
    let mut summary = Record::new();
    for (field, value) in rounds.iter().flatten() {
        if summary.contains_key(field) && !value.is_null() && !summary[field].is_null() {
            continue;
        }
        let numbers: Vec<f64> = rounds.iter().filter_map(|record| number(record, field)).collect();
        let value = match (field.as_str(), median(numbers.clone())) {
            ("errors", _) => Value::from(numbers.iter().sum::<f64>() as u64),
            (_, None) => value.clone(),
            (_, Some(median)) if value.is_f64() => {
                Number::from_f64(median).map_or(Value::Null, Value::from)
            }
            (_, Some(median)) => Value::from(median as i64),
        };
        summary.insert(field.clone(), value);
    }
    summary
}

/// Returns the median over rounds of a figure divided by that of `base` in the same round.
pub(crate) fn ratio(rounds: &[Record], base: &[Record], field: &str) -> Option<f64> {
    let ratios = rounds.iter().zip(base).filter_map(|(record, base)| {
        let base = number(base, field).filter(|&base| base != 0.0)?;
        Some(number(record, field)? / base)
    });
    median(ratios.collect())
}

/// Formats a rate or count with a unit: `1.23 M`.
pub(crate) fn large(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        1e9.. => (number / 1e9, " G"),
        1e6.. => (number / 1e6, " M"),
        1e3.. => (number / 1e3, " k"),
        _ => (number, ""),
    };
    format!("{scaled:.*}{unit}", if unit.is_empty() || scaled.abs() >= 100.0 { 0 } else { 2 })
}

/// Formats bytes in MiB.
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / (1 << 20) as f64)
}

/// The most columns of what is printed.
const MAX_WIDTH: usize = 100;
/// The columns of a table between two others.
const GAP: usize = 2;

/// Aligns rows of text in columns, the first to the left and the others to the right. Columns for
/// which a line has no room follow in further tables, which all begin with the first `names` ones.
/// A column without a title stays beside the one before it.
pub(crate) fn table(names: usize, rows: &[Vec<String>]) -> String {
    let width = |column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let has_title = |column: usize| {
        let title = rows.first().and_then(|titles| titles.get(column));
        title.is_some_and(|title| !title.is_empty())
    };
    let total = |columns: &[usize]| columns.iter().map(|&i| widths[i] + GAP).sum::<usize>();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for column in 0..widths.len() {
        match groups.last_mut() {
            Some(last) if !has_title(column) => last.push(column),
            _ => groups.push(vec![column]),
        }
    }
    let mut tables: Vec<Vec<usize>> = Vec::new();
    for group in groups {
        match tables.last_mut() {
            Some(last) if total(last) + total(&group) <= MAX_WIDTH + GAP => last.extend(group),
            _ => tables.push((0..names.min(group[0])).chain(group).collect()),
        }
    }
    let line = |columns: &[usize], row: &Vec<String>| {
        let cells = columns.iter().filter_map(|&column| Some((column, row.get(column)?)));
        let cells = cells.map(|(column, cell)| match (column, widths[column]) {
            (0, width) => format!("{cell:<width$}"),
            (_, width) => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned() + "\n"
    };
    let table =
        |columns: &Vec<usize>| rows.iter().map(|row| line(columns, row)).collect::<String>();
    tables.iter().map(table).collect::<Vec<_>>().join("\n")
}

/// Breaks a text into lines at its spaces.
pub(crate) fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut width = 0;
        for word in line.split(' ') {
            let len = word.chars().count();
            let is_first = width == 0;
            let fits = is_first || width + 1 + len <= MAX_WIDTH;
            lines.push_str(match (is_first, fits) {
                (true, _) => "",
                (false, true) => " ",
                (false, false) => "\n",
            });
            width = if fits && !is_first { width + 1 + len } else { len };
            lines.push_str(word);
        }
        lines.push('\n');
    }
    lines
}

/// Formats a ratio: `1.23x`.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

/// Returns the titles of `names` and of columns.
pub(crate) fn titles<'a>(names: &[&'a str], columns: &[Column]) -> Vec<&'a str> {
    names.iter().copied().chain(columns.iter().map(|column| column.0)).collect()
}

/// Returns a [`table`] with titles, the first of which are of `names` columns that name a line.
pub(crate) fn titled(
    names: usize,
    titles: &[&str],
    lines: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let titles = titles.iter().map(|&title| title.to_owned()).collect();
    table(names, &[titles].into_iter().chain(lines).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{Record, large, median, number, ratio, summary, table, wrapped};
    use serde_json::json;

    fn record(value: serde_json::Value) -> Record {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_summary_has_medians_and_all_errors() {
        let round = |rate: f64, bytes: u64, errors: u64, first_error: serde_json::Value| {
            record(json!({
                "impl": "x", "rate": rate, "bytes": bytes, "errors": errors, "none": null,
                "first_error": first_error,
            }))
        };
        let rounds = [
            round(3.0, 30, 1, json!(null)),
            round(1.0, 10, 0, json!("e")),
            round(2.5, 20, 2, json!("f")),
        ];
        assert_eq!(summary(&rounds), round(2.5, 20, 3, json!("e")));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rounds = |rates: [f64; 3]| rates.map(|rate| record(json!({"rate": rate})));
        // Both were slow in the second round.
        let (ours, base) = (rounds([4.0, 1.0, 6.0]), rounds([2.0, 0.5, 2.0]));
        assert_eq!(ratio(&ours, &base, "rate"), Some(2.0));
        assert_eq!(ratio(&ours, &base, "other"), None);
        assert_eq!(ratio(&ours, &rounds([0.0; 3]), "rate"), None);
        assert_eq!(number(&ours[0], "rate"), Some(4.0));
    }

    #[test]
    fn numbers_and_columns() {
        assert_eq!(
            [0.0, 12.0, 1500.0, 2.5e6, 123.4e6].map(large),
            ["0", "12", "1.50 k", "2.50 M", "123 M"]
        );
        let rows = [vec!["a".into(), "bb".into()], vec!["ccc".into(), "−".into()]];
        assert_eq!(table(1, &rows), "a    bb\nccc   −\n");
    }

    #[test]
    fn tables_and_texts_fit_a_line() {
        let cell = |text: &str| text.repeat(40);
        let rows = [vec!["a".into(), cell("b"), cell("c"), cell("d")], vec!["x".into()]];
        let (b, c, d) = (cell("b"), cell("c"), cell("d"));
        assert_eq!(table(1, &rows), format!("a  {b}  {c}\nx\n\na  {d}\nx\n"));
        // A column without a title moves with the one before.
        let rows = [vec!["a".into(), "b".repeat(60), "c".repeat(20), String::new()]];
        let (b, c) = ("b".repeat(60), "c".repeat(20));
        assert_eq!(table(1, &rows), format!("a  {b}  {c}\n"));
        let rows = [&rows[..], &[["x", "y", "z", &"r".repeat(20)].map(str::to_owned).to_vec()]];
        let text = table(1, &rows.concat());
        assert!(text.starts_with(&format!("a  {b}\nx")) && text.contains(&format!("a  {c}\nx")));
        let text = ["word"; 40].join(" ");
        let lines = wrapped(&text);
        assert!(lines.lines().all(|line| line.len() == 99), "{lines}");
        assert_eq!(lines.replace('\n', " ").trim_end(), text);
        assert_eq!(wrapped("a b\n\nc"), "a b\n\nc\n");
    }
}
