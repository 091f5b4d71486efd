//! The command-line tool, run like by a user.

use serde_json::Value;
use std::{
    io::{Read, Write},
    process::{Command, Output, Stdio},
};

fn memkv(args: &str, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_memkv"))
        .args(args.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Some subcommands end without reading their input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Returns the tables of a benchmark, after checking that they fit a line of 100 columns.
fn tables(args: &str) -> String {
    let output = memkv(args, b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{args}: {text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{args}: {line}");
    }
    text
}

/// Returns the objects of `--json`, after checking for success.
fn records(args: &str, input: &[u8]) -> Vec<Value> {
    let output = memkv(args, input);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn measures_every_structure_without_errors() {
    let rows = "fastart,fastart-symbols,fastset,fastart-bulk,arenaart,\
        concurrentart-symbols,btreemap,hashbrown,fst";
    let records = records(&format!("bench --json --n 5k --rounds 2 --impl {rows}"), b"");
    assert_eq!(
        records.iter().map(|record| record["impl"].as_str().unwrap()).collect::<Vec<_>>().join(","),
        rows
    );
    for record in &records {
        assert_eq!((&record["n"], &record["errors"]), (&5000.into(), &0.into()), "{record}");
        let mem = record["mem_bytes"].as_f64().unwrap();
        let raw = record["raw_bytes"].as_f64().unwrap();
        assert!(mem > 0.0 && raw > 0.0);
        assert!((record["overhead_per_key"].as_f64().unwrap() - (mem - raw) / 5000.0).abs() < 1e-6);
        for rate in
            ["insert_per_s", "insert_per_s_wall", "get_per_s", "get_per_s_wall", "miss_per_s"]
        {
            assert!(record[rate].as_f64().unwrap() > 0.0, "{rate}: {record}");
        }
        for rate in ["zipf_get_per_s", "hot_200_get_per_s", "hot_2000_get_per_s"] {
            assert!(record[rate].as_f64().unwrap() > 0.0, "{rate}: {record}");
        }
        assert!(record["hot_50000_get_per_s"].is_null(), "a hot set is smaller than its map");
        assert!(record["rss_bytes"].is_i64());
        let name = record["impl"].as_str().unwrap();
        assert_eq!(
            record["get_many_per_s"].is_f64(),
            name.contains("art") || name == "fastset",
            "{name}"
        );
        assert_eq!(record["scan_keys_per_s"].is_f64(), name != "hashbrown", "{name}");
        assert_eq!(record["remove_per_s"].is_f64(), name != "fst", "{name}");
        assert_eq!(record["mem_half_bytes"].is_i64(), name != "fst", "{name}");
    }
}

#[test]
fn reads_keys_from_the_standard_input() {
    let mut input: Vec<u8> = (0..200).flat_map(|i| format!("key {i}\n").into_bytes()).collect();
    // Duplicates, an empty key, and bytes that are no UTF-8.
    input.extend(b"key 1\n\nkey 1\n\xff\x01\r\n");
    let records = records("bench --json --keys - --impl btreemap --order file", &input);
    // Of 204 lines, of which 202 are different, 4 are held out.
    let n = records[0]["n"].as_u64().unwrap();
    assert!((196..=200).contains(&n), "{n}");
    assert_eq!((&records[0]["keys"], &records[0]["errors"]), (&"-".into(), &0.into()));
}

#[test]
fn frozen_layers_beside_fst() {
    let input: Vec<u8> = (0..3000)
        .flat_map(|i| format!("https://example.org/{}/{i}\n", i * 7919 % 31).into_bytes())
        .collect();
    let figures = records("bench --suite frozen --json --keys - --rounds 2", &input);
    for figure in [
        "build by all threads, peak memory, bytes a key",
        "keys alone, bytes a key",
        "hit, ns",
        "scan, ns a key",
        "Levenshtein 1, µs",
        "build, 1 thread, M keys/s",
    ] {
        let record = figures.iter().find(|record| record["figure"] == figure).expect(figure);
        for column in ["fst ranks", "packed", "packed fsst", "packed onpair", "fst codec"] {
            assert!(record[column].as_f64().unwrap() > 0.0, "{figure}: {record}");
        }
    }
    let of = |figure: &str, column: &str| {
        figures
            .iter()
            .find(|record| record["figure"] == figure)
            .and_then(|record| record[column].as_f64())
    };
    for figure in ["headers of blocks, bytes a key", "hit in a mapped file, ns"] {
        assert!(
            of(figure, "packed onpair").unwrap() > 0.0 && of(figure, "fst").is_none(),
            "{figure}"
        );
    }
    let text = tables("bench --suite frozen --n 2000");
    assert!(text.contains("seek + 50 keys") && !text.contains("wrong"), "{text}");
}

#[test]
fn builds_of_text_are_measured() {
    let record = &records("bench --suite frozen --parts external --n 3000 --json", b"")[0];
    assert_eq!(
        (&record["n"], &record["errors"], &record["budget_bytes"]),
        (&3000.into(), &0.into(), &(256 << 20).into())
    );
    assert!(
        record["text_bytes"].as_u64() > record["file_bytes"].as_u64()
            && record["keys_per_s"].as_f64().unwrap() > 0.0,
        "{record}"
    );
    if cfg!(target_os = "linux") {
        let peak = record["peak_resident_bytes"].as_f64().unwrap();
        assert!(
            peak > 1e6
                && (record["peak_of_budget"].as_f64().unwrap() - peak / f64::from(256 << 20)).abs()
                    < 1e-6,
            "{record}"
        );
    }
}

#[test]
fn measures_threads_and_draws() {
    let plot = std::env::temp_dir().join(format!("memkv-threads-{}.svg", std::process::id()));
    let args = "bench --suite threads --n 3000 --threads 1,2 --millis 5";
    let figures = records(&format!("{args} --json --plot {}", plot.display()), b"");
    let names =
        ["concurrentart", "shardedart", "hybridstore", "rwlock-btreemap", "crossbeam-skiplist"];
    assert!(
        figures
            .iter()
            .map(|record| record["impl"].as_str().unwrap())
            .eq(names.iter().flat_map(|name| [*name; 2]))
    );
    for record in &figures {
        assert_eq!((&record["n"], &record["errors"]), (&2700.into(), &0.into()), "{record}");
        assert!(
            record["load_per_s"].as_f64().unwrap() > 0.0 && record["overhead_per_key"].is_f64()
        );
        for workload in ["reads", "A", "B", "C", "D", "E", "F", "hot", "scan"] {
            let number = |what: &str| record[format!("{workload}_{what}")].as_f64().expect(what);
            assert!(number("per_s") > 0.0, "{workload}: {record}");
            let latencies = ["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(number);
            assert!(latencies[0] > 0.0 && latencies.is_sorted(), "{workload}: {record}");
        }
        assert_eq!(record["A_restarts_per_million"].is_number(), record["impl"] == "concurrentart");
    }
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("concurrentart, 2") && svg.ends_with("</svg>\n")
    );
    std::fs::remove_file(plot).unwrap();
    let text = tables(&format!("{args} --impl concurrentart,concurrentart-symbols"));
    for part in [
        "p50 / p99 / p99.9 / max, µs",
        "overhead/key",
        "restarts per million",
        "with a reader pinned",
        "concurrentart-symbols: ConcurrentArt with KeyCoding::Symbols",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn compares_sizes_and_draws() {
    let plot = std::env::temp_dir().join(format!("memkv-sizes-{}.svg", std::process::id()));
    let args = "bench --suite sizes --n 2000";
    let figures = records(&format!("{args} --json --rounds 2 --plot {}", plot.display()), b"");
    let rows = figures
        .iter()
        .map(|record| (record["impl"].as_str().unwrap(), record["n"].as_u64().unwrap()));
    assert!(rows.eq([100, 1000, 2000].into_iter().flat_map(|n| [("fastart", n), ("btreemap", n)])));
    for record in &figures {
        assert_eq!(record["errors"], 0, "{record}");
        for figure in [
            "bytes_per_key",
            "insert_per_s",
            "get_per_s",
            "miss_per_s",
            "scan_keys_per_s",
            "remove_per_s",
        ] {
            assert!(record[figure].as_f64().unwrap() > 0.0, "{figure}: {record}");
            let ratio = &record[format!("{figure}_ratio")];
            assert_eq!(ratio.is_f64(), record["impl"] == "fastart", "{figure}: {record}");
        }
    }
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("btreemap, 2 k") && svg.ends_with("</svg>\n"));
    std::fs::remove_file(plot).unwrap();
    let text = tables(args);
    for part in ["bytes/key", "removes/s", " : ", "2 k"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let input: Vec<u8> = (0..150).flat_map(|i| format!("key {i}\n").into_bytes()).collect();
    let figures = records("bench --suite sizes --json --keys -", &input);
    assert_eq!(figures.len(), 4);
}

#[test]
fn prints_tables_and_draws() {
    let plot = std::env::temp_dir().join(format!("memkv-plot-{}.svg", std::process::id()));
    let text = tables(&format!("bench --n 1000 --kinds --plot {}", plot.display()));
    for part in [
        "overhead/key",
        "btreemap",
        "fst : btreemap",
        "symbols",
        "uuids",
        "nested",
        "urls, descending",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    std::fs::remove_file(plot).unwrap();
}

#[test]
fn other_suites_print_lines_that_fit() {
    assert!(tables("bench --suite hybrid --n 3000").contains("lookup in the layer"));
    let text = tables("bench --suite bulk --n 5000 --threads 1 --millis 5");
    assert!(text.contains("ShardedArt::load") && text.contains("retired/key"), "{text}");
    assert!(tables("bench --suite frozen --parts external --n 3000").contains("peak resident"));
}

#[test]
fn maps_of_all_values_grow_and_are_frozen_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let args = format!(
        "bench --suite bulk --parts grow --n 3000 --threads 2 --dir {}",
        dir.path().display()
    );
    let sizes = [("u64", 8), ("u32", 4), ("none", 0)].map(|(values, bytes)| {
        let output = memkv(&format!("{args} --values {values} --json"), b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{values}: {stderr}");
        // The figures of a size are shown when it is measured.
        assert!(stderr.contains("memkv: keys 3.00 k, raw/key"), "{stderr}");
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&record["errors"], &record["value_bytes"]),
            (&0.into(), &bytes.into()),
            "{record}"
        );
        for figure in ["frozen_seconds", "frozen_verify_seconds", "frozen_get_per_s"] {
            assert!(record[figure].as_f64().unwrap() > 0.0, "{figure}: {record}");
        }
        // Most of a map so small is unused, how much depends on the threads.
        let of_map = record["sizes"][0]["bytes_per_key"].as_f64().unwrap();
        assert!(of_map > f64::from(bytes), "{record}");
        record["frozen_per_key"].as_f64().unwrap()
    });
    assert!(sizes.windows(2).all(|sizes| sizes[0] > sizes[1] + 2.0), "{sizes:?}");
    assert!(dir.path().read_dir().unwrap().next().is_none(), "a file is left");
    let text = tables(&format!("{args} --values u32"));
    assert!(text.contains("values of 4 bytes") && text.contains("in a file: "), "{text}");
    let output = memkv("bench --suite bulk --parts grow --n 3000 --dir /nowhere", b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("grow: wrong:"), "{text}");
}

#[test]
fn complains_like_a_shell_tool() {
    let status = |args: &str| {
        let output = memkv(args, b"");
        assert!(!output.stderr.is_empty(), "{args}");
        output.status.code()
    };
    assert_eq!(status("bench --n none"), Some(2));
    assert_eq!(status("bench --impl none"), Some(2));
    assert_eq!(status("bench --keys /nowhere/to/be/found"), Some(2));
    assert_eq!(status("bench --keys -"), Some(2));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_memkv"))
        .args(["bench", "--n", "1000", "--impl", "btreemap"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stderr, "memkv: 1 of 1: btreemap on urls\n");
}
