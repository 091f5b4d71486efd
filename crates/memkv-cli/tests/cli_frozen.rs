//! The commands for frozen layers, run like by a user.

mod common;

use common::Folder;
use indicatif::HumanCount;
use memkv::{Codec, FrozenLayer, HybridStore, SymbolTable};
use memkv_cli::rng::mix;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    ops::Range,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

fn records(layer: &FrozenLayer) -> Vec<(String, u64)> {
    layer.iter().map(|(key, value)| (String::from_utf8(key).unwrap(), value)).collect()
}

/// Returns lines of `count` records in random order. About one in nine is a second or third value
/// of a key.
fn lines(count: u64) -> String {
    let key = |i: u64| {
        let (host, page) = (mix(mix(i) % (count * 4)), mix(i) % (count * 4));
        format!("https://{:x}.example.org/articles/{:x}/{page:08}.html", host % 500, host >> 50)
    };
    (0..count).map(|i| format!("{}\t{}\n", key(i), mix(i) >> 40)).collect()
}

/// Returns the last value of each key.
fn model(lines: &str) -> BTreeMap<&str, u64> {
    lines
        .lines()
        .map(|line| line.rsplit_once('\t').unwrap())
        .map(|(key, value)| (key, value.parse().unwrap()))
        .collect()
}

#[test]
fn what_is_built_is_found_again() {
    let folder = Folder::new();
    let text = lines(20_000);
    let model = model(&text);
    folder.write("in", &text);
    assert_eq!(folder.text("build in -o layer"), "");
    assert_eq!(folder.names(), ["in", "layer"]);
    let expected: String = model.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
    assert!(folder.text("scan layer") == expected);
    // The printed lines build the same file.
    folder.ok(&["build", "-", "-o", "again"], expected.as_bytes());
    assert!(fs::read(folder.path("layer")).unwrap() == fs::read(folder.path("again")).unwrap());
    let (key, value) = model.iter().nth(777).unwrap();
    assert_eq!(folder.text(&format!("get layer {key}")), format!("{value}\n"));
    // All keys from the standard input.
    let keys: String = model.keys().map(|key| format!("{key}\n")).collect();
    assert!(folder.ok(&["get", "layer", "-"], keys.as_bytes()) == expected.as_bytes());
    assert!(folder.text("scan layer --keys") == keys);
    assert_eq!(
        folder.text("verify layer again"),
        format!("layer: OK, {0} keys\nagain: OK, {0} keys\n", model.len())
    );
    let stats: serde_json::Value =
        serde_json::from_str(&folder.text("stats layer --json")).unwrap();
    assert_eq!((&stats["keys"], &stats["codec"]), (&model.len().into(), &"packed".into()));
    assert_eq!(stats["file_bytes"], fs::metadata(folder.path("layer")).unwrap().len());
    assert_eq!(stats["first_key"], **model.keys().next().unwrap());
    let printed = folder.text("stats layer");
    assert!(
        printed.contains(&format!("keys:      {}\n", HumanCount(model.len() as u64)))
            && printed.contains("a key"),
        "{printed}"
    );
}

#[test]
fn options_change_the_form_and_not_the_content() {
    let folder = Folder::new();
    let text = lines(6000);
    folder.write("in", &text);
    let expected: Vec<(String, u64)> =
        model(&text).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for (symbols, kind) in
        [("none", SymbolTable::None), ("fsst", SymbolTable::Fsst), ("onpair", SymbolTable::OnPair)]
    {
        folder.text(&format!("build in -o layer --symbols {symbols} --chunk 1000"));
        let layer = folder.open("layer");
        assert_eq!((layer.symbols(), layer.chunks()), (kind, expected.len().div_ceil(1000)));
        assert!(records(&layer) == expected, "{symbols}");
    }
    folder.text("build in -o layer --codec fst");
    let layer = folder.open("layer");
    assert_eq!((layer.codec(), layer.chunks()), (Codec::Fst, 1));
    assert!(records(&layer) == expected);
    assert!(folder.text("stats layer").contains("codec:     fst\n"));
}

#[test]
fn plain_and_compressed_files_and_the_standard_input() {
    let folder = Folder::new();
    let text = lines(3000);
    let (first, rest) = text.split_at(text.find('\n').unwrap() + 1);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(rest.as_bytes()).unwrap();
    folder.write("rest.gz", gz.finish().unwrap());
    folder.write("rest.zst", zstd::encode_all(rest.as_bytes(), 0).unwrap());
    folder.write("all", &text);
    folder.text("build all -o expected");
    for rest in ["rest.gz", "rest.zst"] {
        folder.ok(&["build", "-", rest, "-o", "layer"], first.as_bytes());
        assert!(
            fs::read(folder.path("layer")).unwrap() == fs::read(folder.path("expected")).unwrap(),
            "{rest}"
        );
    }
    folder.write("broken.zst", &zstd::encode_all(rest.as_bytes(), 0).unwrap()[..5000]);
    let (code, message) = folder.fails("build broken.zst -o none", b"");
    assert!(code == 2 && message.contains("broken.zst, line "), "{message}");
}

#[test]
fn values_are_as_asked_for() {
    let folder = Folder::new();
    let build = |args: &str, input: &[u8]| {
        let args = format!("build {args} -o layer");
        folder.ok(&args.split(' ').collect::<Vec<_>>(), input);
        records(&folder.open("layer"))
    };
    let pairs = |expected: &[(&str, u64)]| {
        expected.iter().map(|(key, value)| (key.to_string(), *value)).collect::<Vec<_>>()
    };
    let keys = |args: &str, input: &[u8]| {
        let args = format!("build {args} -o layer");
        folder.ok(&args.split(' ').collect::<Vec<_>>(), input);
        folder.open_keys("layer").keys().map(|key| String::from_utf8(key).unwrap()).collect()
    };
    // By default the first line decides.
    let built: Vec<String> = keys("-", b"b\na\n");
    assert_eq!(built, ["a", "b"]);
    assert_eq!(folder.text("scan layer"), "a\nb\n");
    assert_eq!(folder.text("scan layer --json"), "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    assert_eq!(folder.text("get layer b"), "b\n");
    assert_eq!(folder.text("search layer -f c"), "1\ta\n1\tb\n");
    assert!(folder.text("stats layer").contains("values:    none\n"));
    assert_eq!(
        build("-", b"b\t2\na\tx\t18446744073709551615"),
        pairs(&[("a\tx", u64::MAX), ("b", 2)])
    );
    assert_eq!(build("- --values tab", b"\t1\n"), pairs(&[("", 1)]));
    let built: Vec<String> = keys("- --values none", b"b\t2\na\n\n");
    assert_eq!(built, ["", "a", "b\t2"]);
    folder.write("more", "b\nc\t1\r\n");
    assert_eq!(
        build("- more --values line", b"c\nb\n"),
        pairs(&[("b", 3), ("c", 1), ("c\t1\r", 4)])
    );
    // A blank line that is skipped is not the first.
    assert_eq!(build("- --blank skip", b"\na\t1\n"), pairs(&[("a", 1)]));
    let built: Vec<String> = keys("-", b"");
    assert!(built.is_empty());
    assert_eq!(folder.fails("scan layer", b""), (1, String::new()));
    // The error of a line unlike the first one has its number, and nothing is written.
    let before = fs::read(folder.path("layer")).unwrap();
    for (input, place) in [
        ("a\nb\nc\t1\n", "-, line 3: there is a tab"),
        ("a\t1\nb\n", "-, line 2: there is no tab"),
        ("a\t1x\n", "\"1x\" is not"),
    ] {
        let (code, message) = folder.fails("build - -o layer", input.as_bytes());
        assert!(
            code == 2 && message.starts_with("memkv: ") && message.contains(place),
            "{message}"
        );
    }
    assert_eq!(fs::read(folder.path("layer")).unwrap(), before);
    assert_eq!(folder.names(), ["layer", "more"]);
}

#[test]
fn texts_are_values_too() {
    let folder = Folder::new();
    folder.write("lines", "b\tsecond\ttext\r\na\t\nc\tthird\nb\tlast\n");
    folder.ok(&["build", "lines", "--values", "text", "-o", "texts"], b"");
    assert_eq!(folder.ok(&["get", "texts", "b"], b""), b"last\n");
    assert_eq!(folder.ok(&["get", "texts", "-"], b"c\na\n"), b"c\tthird\na\t\n");
    assert_eq!(folder.ok(&["scan", "texts"], b""), b"a\t\nb\tlast\nc\tthird\n");
    assert_eq!(folder.ok(&["scan", "texts", "-r", "-n", "1"], b""), b"c\tthird\n");
    assert_eq!(folder.ok(&["search", "texts", "-e", "^[bc]$"], b""), b"b\tlast\nc\tthird\n");
    assert_eq!(folder.ok(&["verify", "texts"], b""), b"texts: OK, 3 keys\n");
    let stats = String::from_utf8(folder.ok(&["stats", "texts"], b"")).unwrap();
    assert!(stats.contains("keys:      3\n") && stats.contains("last key:  c\n"), "{stats}");
    let first = ["build", "lines", "--values", "text", "-o", "first", "--on-duplicate", "first"];
    folder.ok(&first, b"");
    assert_eq!(folder.ok(&["get", "first", "b"], b""), b"second\ttext\r\n");
    folder.ok(&["merge", "texts", "first", "-o", "merged"], b"");
    assert_eq!(folder.ok(&["get", "merged", "b"], b""), b"second\ttext\r\n");
    folder.ok(&["build", "-", "-o", "numbers"], b"a\t1\n");
    for (args, message) in [
        (&["merge", "texts", "numbers", "-o", "x"][..], "numbers as values, and some byte strings"),
        (&["build", "-", "--values", "text", "-o", "x"], "-, line 2: there is no tab"),
        (
            &["build", "lines", "--values", "text", "--on-duplicate", "sum", "-o", "x"],
            "values of this type cannot be added",
        ),
    ] {
        let output = folder.run(args, b"a\tb\nc\n");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(message), "{args:?}: {stderr}");
    }
    assert!(!folder.names().contains(&"x".to_owned()));
}

#[test]
fn set_operations_print_or_write() {
    let folder = Folder::new();
    let text = |range: Range<u64>, step: u64, value: u64| {
        let keys = range.filter(move |i| i % step == 0);
        keys.map(|i| format!("k{i:05}\t{}\n", i + value)).collect::<String>()
    };
    let parts = [text(0..3000, 2, 0), text(0..3000, 3, 10_000), text(1000..4000, 5, 20_000)];
    for (part, name) in parts.iter().zip(["A", "B", "C"]) {
        folder.ok(&["build", "-", "-o", name, "--chunk", "100"], part.as_bytes());
    }
    let maps = parts.each_ref().map(|part| model(part));
    type Wanted = fn(&[Option<&u64>]) -> bool;
    let operations: [(&str, Wanted); 3] = [
        ("intersection", |found| found.iter().all(Option::is_some)),
        ("difference", |found| found[0].is_some() && found[1..].iter().all(Option::is_none)),
        ("symmetric-difference", |found| found.iter().flatten().count() % 2 == 1),
    ];
    type Rule = fn(Vec<u64>) -> u64;
    let rules: [(&str, Rule); 4] = [
        ("", |values| values[0]),
        (" --on-duplicate first", |values| values[0]),
        (" --on-duplicate last", |values| values[values.len() - 1]),
        (" --on-duplicate sum", |values| values.iter().sum()),
    ];
    let all: BTreeSet<&str> = maps.iter().flat_map(BTreeMap::keys).copied().collect();
    for ((name, is_wanted), layers) in operations.iter().flat_map(|o| [(o, 2), (o, 3)]) {
        let inputs = ["A", "B", "C"][..layers].join(" ");
        for (option, rule) in &rules {
            let expected: Vec<String> = all
                .iter()
                .filter_map(|key| {
                    let found: Vec<_> = maps[..layers].iter().map(|map| map.get(key)).collect();
                    let values = found.iter().flatten().map(|value| **value).collect();
                    is_wanted(&found).then(|| format!("{key}\t{}\n", rule(values)))
                })
                .collect();
            let line = format!("{name} {inputs}{option}");
            assert!(!expected.is_empty() && folder.text(&line) == expected.concat(), "{line}");
            folder.text(&format!("{line} -o out --codec fst"));
            assert_eq!(folder.text("scan out"), expected.concat(), "{line}");
            assert_eq!(folder.text(&format!("{line} -c")), format!("{}\n", expected.len()));
            assert_eq!(folder.text(&format!("{line} -n 2")), expected[..2].concat(), "{line}");
        }
    }
    // A layer without values is one of zeros or of empty texts beside others.
    folder.ok(&["build", "-", "-o", "keys"], b"k00004\nnew\n");
    folder.ok(&["build", "-", "--values", "text", "-o", "texts"], b"new\tt\nold\tu\n");
    assert_eq!(folder.text("intersection A keys"), "k00004\t4\n");
    assert_eq!(folder.text("difference keys A"), "new\t0\n");
    assert_eq!(folder.text("difference keys texts"), "k00004\t\n");
    assert_eq!(folder.text("symmetric-difference texts keys"), "k00004\t\nold\tu\n");
    assert_eq!(folder.text("intersection keys keys"), "k00004\nnew\n");
    folder.text("difference keys A -o difference -q");
    assert_eq!(folder.text("scan difference -k"), "new\n");
    folder.ok(&["build", "-", "-o", "more"], b"more\n");
    folder.text("merge keys more -o union");
    assert_eq!(folder.open_keys("union").len(), 3);
    // The output may be an input, or the standard output.
    folder.text("difference A B -o A");
    let piped = folder.ok(&["difference", "A", "C", "-o", "-"], b"");
    folder.write("piped", piped);
    assert_eq!(folder.text("scan piped -k"), folder.text("difference A C -k"));
}

#[test]
fn records_may_hold_any_bytes() {
    let folder = Folder::new();
    let layer: memkv::BytesLayer = memkv::BytesLayer::from_sorted_bytes(&[
        (&b"a\tb\nc"[..], &b"x\ny"[..]),
        (b"q\"\\", b"\xff"),
        (b"\xc3", b"z"),
    ])
    .unwrap();
    layer.save(folder.path("layer")).unwrap();
    let json = "{\"key\":\"a\\tb\\nc\",\"value\":\"x\\ny\"}\n\
        {\"key\":\"q\\\"\\\\\",\"value_base64\":\"/w==\"}\n\
        {\"key_base64\":\"ww==\",\"value\":\"z\"}\n";
    let null = b"a\tb\nc\tx\ny\0q\"\\\t\xff\0\xc3\tz\0";
    for command in ["scan layer", "search layer -e (?s-u:.)", "intersection layer layer"] {
        let run = |more: &str| {
            let args: Vec<&str> = command.split(' ').chain(more.split(' ')).collect();
            folder.ok(&args, b"")
        };
        assert_eq!(run("--json"), json.as_bytes(), "{command}");
        assert_eq!(run("--null"), null, "{command}");
        assert_eq!(run("--null --keys"), b"a\tb\nc\0q\"\\\0\xc3\0", "{command}");
        assert_eq!(run("--json --keys --limit 1"), b"{\"key\":\"a\\tb\\nc\"}\n", "{command}");
        assert_eq!(run("--json --count"), b"{\"count\":3}\n", "{command}");
        assert_eq!(run("--null --count"), b"3\0", "{command}");
    }
    // What is printed is also read.
    let keys = folder.ok(&["scan", "layer", "--keys", "--null"], b"");
    assert_eq!(folder.ok(&["get", "layer", "-", "--null"], &keys), null);
    assert_eq!(folder.ok(&["get", "layer", "a\tb\nc", "--null"], b""), b"x\ny\0");
    let one = folder.ok(&["get", "layer", "a\tb\nc", "--json"], b"");
    assert_eq!(one, json.split_inclusive('\n').next().unwrap().as_bytes());
    // Keys in messages and statistics.
    let stats = folder.text("stats layer");
    assert!(stats.contains("first key: a\\tb\\nc\nlast key:  \\xc3\n"), "{stats}");
    let stats = folder.text("stats layer --json");
    assert!(stats.contains("\"last_key_base64\":\"ww==\""), "{stats}");
    let long = "\u{e4}".repeat(200);
    let (code, message) = folder.fails(&format!("get layer {long}"), b"");
    assert_eq!((code, message), (1, format!("memkv: no such key: {}…\n", &long[..160])));
    assert_eq!(folder.fails("get layer \x07", b"").1, "memkv: no such key: \\u{7}\n");
    folder.write("twice", format!("{long}\n").repeat(2));
    let (_, message) = folder.fails("build twice -o out --on-duplicate error", b"");
    assert!(message.contains(&format!("the key \"{}…\" is there", &long[..160])), "{message}");
}

#[test]
fn duplicates_follow_the_rule() {
    let folder = Folder::new();
    let input = b"b\t1\na\t10\nb\t3\nb\t2\n";
    folder.write("in", input);
    folder.ok(&["build", "-", "-o", "A"], b"a\t1\nb\t2\n");
    folder.ok(&["build", "-", "-o", "B"], b"b\t40\nc\t50\n");
    folder.ok(&["build", "-", "-o", "C"], b"b\t600\n");
    for (rule, built, merged) in [
        ("", "a\t10\nb\t2\n", "a\t1\nb\t600\nc\t50\n"),
        (" --on-duplicate last", "a\t10\nb\t2\n", "a\t1\nb\t600\nc\t50\n"),
        (" --on-duplicate first", "a\t10\nb\t1\n", "a\t1\nb\t2\nc\t50\n"),
        (" --on-duplicate sum", "a\t10\nb\t6\n", "a\t1\nb\t642\nc\t50\n"),
    ] {
        folder.text(&format!("build in -o out{rule}"));
        assert_eq!(folder.text("scan out"), built, "{rule}");
        folder.text(&format!("merge A B C -o out{rule}"));
        assert_eq!(folder.text("scan out"), merged, "{rule}");
    }
    let before = fs::read(folder.path("out")).unwrap();
    for (command, place) in [("build in", "in, line 1 and in, line 3: "), ("merge A B", "")] {
        let (code, message) = folder.fails(&format!("{command} -o out --on-duplicate error"), b"");
        let expected = format!("memkv: {place}the key \"b\" is there more than once\n");
        assert_eq!((code, message), (2, expected));
    }
    let (code, message) =
        folder.fails("build - -o out --on-duplicate sum", b"a\t18446744073709551615\na\t1\n");
    assert!(code == 2 && message.contains("the sum of the values of \"a\""), "{message}");
    assert_eq!(fs::read(folder.path("out")).unwrap(), before);
    // The output is one of the inputs.
    folder.text("merge A B -o A --codec fst");
    assert_eq!(folder.text("scan A"), "a\t1\nb\t40\nc\t50\n");
    assert_eq!(folder.names(), ["A", "B", "C", "in", "out"]);
}

#[test]
fn spilled_is_as_in_memory() {
    let folder = Folder::new();
    let text = lines(400_000);
    folder.write("in", &text);
    fs::create_dir(folder.path("temp")).unwrap();
    for rule in ["first", "sum"] {
        folder.text(&format!("build in -o large --symbols fsst --on-duplicate {rule}"));
        folder.text(&format!(
            "build in -o small --symbols fsst --on-duplicate {rule} --memory 32M --temp-dir temp"
        ));
        assert!(records(&folder.open("large")) == records(&folder.open("small")), "{rule}");
    }
    assert_eq!(folder.open("large").len(), model(&text).len());
    assert!(fs::read_dir(folder.path("temp")).unwrap().next().is_none());
    // An error after files were spilled leaves nothing. The folder for them must exist.
    folder.write("bad", text + "no tab\n");
    assert!(
        folder
            .fails("build bad -o none --memory 32M --temp-dir temp", b"")
            .1
            .contains("bad, line 400001: there is no tab")
    );
    assert!(fs::read_dir(folder.path("temp")).unwrap().next().is_none());
    let (code, message) = folder.fails("build in -o none --memory 32M --temp-dir missing", b"");
    assert!(code == 2 && message.contains("there is no folder missing"), "{message}");
    assert_eq!(folder.names(), ["bad", "in", "large", "small", "temp"]);
}

#[test]
fn scans_take_ranges() {
    let folder = Folder::new();
    let keys = ["", "a", "ab", "ab\u{ff}", "abc", "b", "ba", "c"];
    let text: String =
        keys.iter().zip(0..).map(|(key, value)| format!("{key}\t{value}\n")).collect();
    folder.ok(&["build", "-", "-o", "layer", "--chunk", "3"], text.as_bytes());
    let line = |i: usize| format!("{}\t{i}\n", keys[i]);
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&i| keys[i]);
    let bounds = [None, Some(""), Some("a"), Some("ab"), Some("abb"), Some("b"), Some("zz")];
    for prefix in bounds {
        for from in bounds {
            for to in bounds {
                let inside = |i: &usize| {
                    keys[*i].starts_with(prefix.unwrap_or(""))
                        && keys[*i] >= from.unwrap_or("")
                        && to.is_none_or(|to| keys[*i] < to)
                };
                let expected: Vec<String> =
                    order.iter().copied().filter(inside).map(line).collect();
                let mut args = vec!["scan", "layer"];
                for (name, bound) in [("--prefix", prefix), ("--from", from), ("--to", to)] {
                    args.extend(bound.iter().flat_map(|bound| [name, bound]));
                }
                let mut text = expected.concat();
                if expected.len().is_multiple_of(2) {
                    args.push("--reverse");
                    text = expected.iter().rev().cloned().collect();
                }
                let output = folder.run(&args, b"");
                assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{args:?}");
                let code = i32::from(expected.is_empty());
                assert_eq!(output.status.code(), Some(code), "{args:?}");
            }
        }
    }
    assert_eq!(folder.text("scan layer --limit 2 --keys --from a"), "a\nab\n");
    assert_eq!(folder.text("scan layer -n 2 -r -k"), "c\nba\n");
    assert_eq!(folder.text("scan layer --limit 0"), "");
    assert_eq!(folder.text("scan layer --limit 99 --check").lines().count(), keys.len());
}

#[test]
fn absent_keys_tell_by_the_exit_status() {
    let folder = Folder::new();
    folder.ok(&["build", "-", "-o", "layer"], b"a\t1\nb\t2\n-\t3\n");
    assert_eq!(folder.text("get layer a b"), "a\t1\nb\t2\n");
    assert_eq!(folder.fails("get layer c", b""), (1, "memkv: no such key: c\n".to_owned()));
    assert_eq!(folder.fails("get layer --quiet c", b""), (1, String::new()));
    assert_eq!(folder.text("get layer --quiet a"), "");
    let output = folder.run(&["get", "layer", "a", "c", "b"], b"");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b"a\t1\nb\t2\n"[..]));
    assert_eq!(folder.ok(&["get", "layer", "-"], b"-\na"), b"-\t3\na\t1\n");
    let output = folder.run(&["get", "layer", "-"], b"a\n\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b"a\t1\n"[..]));
    // Errors.
    let (code, message) = folder.fails("get missing a", b"");
    assert!(code == 2 && message.starts_with("memkv: cannot open missing: "), "{message}");
}

#[test]
fn searches_by_patterns() {
    let folder = Folder::new();
    let input = "https://example.org/cat\t1\nhttps://example.org/cart\t2\n\
        https://example.com/cot\t3\nhttp://example.org/\u{e4}\t4\n";
    folder.ok(&["build", "-", "-o", "layer"], input.as_bytes());
    assert_eq!(
        folder.text("search layer --regex c.t$ --keys"),
        "https://example.com/cot\nhttps://example.org/cat\n"
    );
    assert_eq!(
        folder.text("search layer --regex ^https:.*org.*rt"),
        "https://example.org/cart\t2\n"
    );
    assert_eq!(folder.text("search layer -e example -n 1"), "http://example.org/\u{e4}\t4\n");
    assert_eq!(
        folder.text("search layer --fuzzy https://example.org/cat -k"),
        "https://example.org/cart\nhttps://example.org/cat\n"
    );
    assert_eq!(
        folder.text("search layer --fuzzy https://example.org/cot --distance 2").lines().count(),
        2
    );
    assert_eq!(
        folder.text("search layer --fuzzy https://example.org/cot --distance 3").lines().count(),
        3
    );
    assert_eq!(
        folder.text("search layer -f http://example.org/a -d 1"),
        "1\thttp://example.org/\u{e4}\t4\n"
    );
    // Distances come first, so that the rest is a record.
    assert_eq!(
        folder.text("search layer -f https://example.org/cat -d 3"),
        "1\thttps://example.org/cart\t2\n0\thttps://example.org/cat\t1\n"
    );
    assert_eq!(
        folder.text("search layer -f http://example.org/a --json"),
        "{\"distance\":1,\"key\":\"http://example.org/\u{e4}\",\"value\":4}\n"
    );
    for (prefix, count) in [("", 4), ("http", 4), ("https://", 3), ("https://example.org/ca", 2)] {
        let args = ["search", "layer", "--prefix", prefix, "-e", "[tr\u{e4}]$", "-c"];
        assert_eq!(folder.ok(&args, b""), format!("{count}\n").as_bytes(), "{prefix}");
    }
    assert_eq!(
        folder.text("search layer --prefix https://example.org/car -f https://example.org/cat -k"),
        "https://example.org/cart\n"
    );
    for (bounds, keys) in [
        ("--from https://example.org/", "https://example.org/cat\n"),
        (
            "--from https://example.com/cot --to https://example.org/cat",
            "https://example.com/cot\n",
        ),
        ("--from http --to https://example.org/cart", "https://example.com/cot\n"),
        ("--prefix https: --to https://example.org/", "https://example.com/cot\n"),
    ] {
        assert_eq!(folder.text(&format!("search layer -k -e c.t$ {bounds}")), keys);
    }
    for bounds in ["--prefix a", "--prefix https://example.org/cats", "--from z", "--from b --to a"]
    {
        let args = format!("search layer {bounds} -e .");
        assert_eq!(folder.fails(&args, b""), (1, String::new()));
    }
    assert_eq!(folder.fails("search layer --regex dog", b""), (1, String::new()));
    assert_eq!(folder.fails("search layer --fuzzy dog", b""), (1, String::new()));
    for (args, part) in [
        ("search layer --regex (", "regular expression"),
        ("search layer --regex (a|b)*a(a|b){200}", "regular expression"),
        ("search layer --regex \\w{50000}", "regular expression"),
        ("search missing --regex a", "cannot open missing"),
        ("search layer", "--regex"),
        ("search layer --regex a --fuzzy b", "--fuzzy"),
        ("search layer --fuzzy a --distance 8", "8"),
        ("search layer --regex a --distance 1", "--distance"),
    ] {
        let started = Instant::now();
        let (code, message) = folder.fails(args, b"");
        assert!(code == 2 && message.contains(part), "{args}: {message}");
        assert!(started.elapsed() < Duration::from_secs(60), "{args}");
    }
    // A text of thousands of characters needs no large automaton.
    let long = "x".repeat(50_000);
    folder.ok(&["build", "-", "-o", "long"], format!("{long}\n").as_bytes());
    assert_eq!(
        folder.ok(&["search", "long", "--fuzzy", &long[2..], "--distance", "2"], b"").len(),
        50_003
    );
}

#[test]
fn damaged_files_are_told_from_whole_ones() {
    let folder = Folder::new();
    let text = lines(3000);
    folder.ok(&["build", "-", "-o", "layer", "--chunk", "500"], text.as_bytes());
    let whole = fs::read(folder.path("layer")).unwrap();
    let damaged = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        folder.write("bad", bytes);
    };
    // Inside a chunk: found by commands that check all of it.
    damaged(whole.len() / 3);
    let (code, message) = folder.fails("verify layer bad", b"");
    assert!(code == 2 && message.starts_with("memkv: bad: the content of chunk "), "{message}");
    for (args, status) in [
        ("get bad --check x", 2),
        ("scan bad --check", 2),
        ("search bad --check -e x", 2),
        ("stats bad --check", 2),
    ] {
        let (code, message) = folder.fails(args, b"");
        assert!(code == status && message.contains("is damaged"), "{args}: {message}");
    }
    // A merge always checks everything, and then writes nothing.
    assert!(folder.fails("merge layer bad -o out", b"").1.contains("is damaged"));
    // Damage that is found when the file is opened.
    let openers = [
        ("get bad x", 2),
        ("scan bad", 2),
        ("search bad -e x", 2),
        ("stats bad", 2),
        ("verify bad", 2),
        ("merge bad -o out", 2),
    ];
    let content: [&[u8]; 4] = [
        &whole[..whole.len() - 1],
        &whole[..20],
        b"",
        b"a file of another kind, which is long enough to be one",
    ];
    for bytes in content {
        folder.write("bad", bytes);
        for (args, status) in openers {
            let (code, message) = folder.fails(args, b"");
            assert!(
                code == status && message.starts_with("memkv: cannot open bad: "),
                "{args}: {message}"
            );
        }
    }
    // Anywhere: never a panic, and always found by verify.
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        damaged(at);
        assert_eq!(folder.fails("verify bad", b"").0, 2, "{at}");
        let output = folder.run(&["scan", "bad"], b"");
        assert!(
            matches!(output.status.code(), Some(0 | 2)),
            "{at}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{at}");
    }
    assert_eq!(folder.names(), ["bad", "layer"]);
}

/// Commands take the folder of a store wherever they take a layer, also while it is open.
#[test]
fn stores_are_read_like_layers() {
    let folder = Folder::new();
    let store = HybridStore::open(folder.path("store")).unwrap();
    for i in 0..50u64 {
        store.insert(format!("key{i:02}"), i).unwrap();
    }
    store.compact().unwrap();
    store.remove("key07").unwrap();
    store.insert("key08", 88).unwrap();
    assert_eq!(folder.text("get store key08"), "88\n");
    assert_eq!(folder.text("scan store --from key06 -n 2"), "key06\t6\nkey08\t88\n");
    assert_eq!(folder.text("search store --regex key0[789]"), "key08\t88\nkey09\t9\n");
    assert_eq!(folder.text("verify store"), "store: OK, 49 keys\nstore: not closed, or open\n");
    assert!(folder.text("stats store").contains("50 keys in the base, 2 changes"));
    assert!(folder.text("stats store --json").contains("\"closed\":false"));
    store.close().unwrap();
    assert_eq!(folder.text("verify store"), "store: OK, 49 keys\n");
    assert_eq!(folder.text("repair store"), "keys: 49\n");
    folder.text("merge -o layer store");
    assert_eq!(folder.open("layer").len(), 49);
    folder.ok(&["build", "-", "-o", "keys"], b"key08\nkey07\n");
    assert_eq!(folder.text("intersection keys store"), "key08\t0\n");
    assert_eq!(folder.text("intersection store keys --json"), "{\"key\":\"key08\",\"value\":88}\n");
    assert_eq!(folder.text("difference keys store -k"), "key07\n");
    assert_eq!(folder.text("symmetric-difference store layer keys -c"), "2\n");
    assert_eq!(folder.text("search store --prefix key4 -f key08 -d 2 -n 1"), "2\tkey40\t40\n");
}

#[test]
fn a_damaged_store_is_repaired_when_told_to() {
    let folder = Folder::new();
    let store = HybridStore::open(folder.path("store")).unwrap();
    (0..50u64).for_each(|i| _ = store.insert(format!("key{i:02}"), i).unwrap());
    store.close().unwrap();
    let mut log = fs::read(folder.path("store").join("log-1")).unwrap();
    // Within the second change.
    log[64 + 39 + 30] ^= 1;
    fs::write(folder.path("store").join("log-1"), &log).unwrap();
    let (code, message) = folder.fails("verify store", b"");
    assert!(code == 2 && message.contains("log-1: the frame is damaged"), "{message}");
    let output = folder.run(&["repair", "store"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("bytes of changes\nkeys: 49\n"));
    assert!(text.contains("nothing was changed"), "{text}");
    assert!(fs::read(folder.path("store").join("log-1")).unwrap() == log);
    folder.run(&["repair", "store", "-o", "other"], b"");
    assert_eq!(folder.text("verify other"), "other: OK, 49 keys\n");
    assert_eq!(folder.fails("verify store", b"").0, 2);
    folder.run(&["repair", "store", "--in-place"], b"");
    assert_eq!(folder.text("verify store"), "store: OK, 49 keys\n");
    let (code, message) = folder.fails("repair layer", b"");
    assert!(code == 2 && message.contains("layer has no store"), "{message}");
    // The keys beside a lost chunk are printed whole.
    let store = HybridStore::open(folder.path("large")).unwrap();
    let tail = "\u{e4}\t".repeat(60);
    (0..140_000u64).for_each(|i| _ = store.insert(format!("key{i:06}{tail}"), i).unwrap());
    store.compact().unwrap();
    store.close().unwrap();
    let files = fs::read_dir(folder.path("large")).unwrap().map(|file| file.unwrap().path());
    let base = files.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&base).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(base, bytes).unwrap();
    let text = String::from_utf8(folder.run(&["repair", "large"], b"").stdout).unwrap();
    let shown = tail.replace('\t', "\\t");
    let keys = text.split(&format!("{shown}\"")).count() - 1;
    assert!(keys == 2 && text.contains(" keys after \"key") && text.contains(" before \"key"));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = Folder::new();
    folder.ok(&["build", "-", "-o", "layer"], lines(20_000).as_bytes());
    for args in [
        &["scan", "layer"][..],
        &["search", "layer", "-e", "e"],
        &["stats", "layer"],
        &["verify", "layer"],
        &["get", "layer", "-"],
    ] {
        let mut child = folder.command(args).spawn().unwrap();
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        let feeder = thread::spawn(move || {
            drop(stdin.write_all(lines(20_000).replace('\t', "\n").as_bytes()))
        });
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
        let complaints =
            stderr.lines().filter(|line| !line.starts_with("memkv: no such key")).count();
        assert_eq!(complaints, 0, "{args:?}: {stderr}");
        feeder.join().unwrap();
    }
}

#[test]
fn a_killed_build_leaves_the_old_file_whole() {
    let folder = Folder::new();
    folder.ok(&["build", "-", "-o", "layer"], b"old\t1\n");
    let old = fs::read(folder.path("layer")).unwrap();
    let text = lines(100_000);
    let start = || -> Child {
        let mut child = folder
            .command(&["build", "-", "-o", "layer", "--codec", "fst", "--chunk", "1000"])
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        child
    };
    let unfinished = || folder.names().into_iter().any(|name| name.ends_with(".tmp"));
    // While it reads, and sometimes while it writes.
    let mut killed = 0;
    for delay in [None, Some(0), Some(20), Some(60)] {
        let mut child = start();
        if let Some(delay) = delay {
            drop(child.stdin.take());
            while !unfinished() && child.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(delay));
        }
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        killed += u32::from(!finished);
        let now = fs::read(folder.path("layer")).unwrap();
        assert!(finished || now == old, "{delay:?}");
        folder.write("layer", &old);
        folder
            .names()
            .iter()
            .filter(|name| name.ends_with(".tmp"))
            .for_each(|name| fs::remove_file(folder.path(name)).unwrap());
    }
    assert!(killed >= 2, "{killed}");
    let mut child = start();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(folder.open("layer").len(), model(&text).len());
    assert_eq!(folder.names(), ["layer"]);
}

/// Returns the peak memory of a process in bytes; for an unoptimized program its current memory,
/// without its code, which is large.
#[cfg(target_os = "linux")]
fn memory(child: &Child) -> Option<u64> {
    let status =
        fs::read_to_string(Path::new("/proc").join(child.id().to_string()).join("status")).ok()?;
    let field = if cfg!(debug_assertions) { "RssAnon:" } else { "VmHWM:" };
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_within_the_budget() {
    // To choose the symbols takes some 50 MiB, whatever the budget.
    const BUDGET: u64 = 64 << 20;
    let folder = Folder::new();
    let mut child =
        folder.command(&["build", "-", "-o", "layer", "--memory", "64M"]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = thread::spawn(move || {
        let mut sent = 0;
        let mut i = 0;
        while sent < 4 * BUDGET {
            let block: String = (i..i + 10_000)
                .map(|i| {
                    format!("https://{:x}.example.org/{:016x}/{i:030}\n", mix(i) >> 50, mix(i))
                })
                .collect();
            stdin.write_all(block.as_bytes()).unwrap();
            sent += block.len() as u64;
            i += 10_000;
        }
        i
    });
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(memory(&child).unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    let count = feeder.join().unwrap();
    assert_eq!(folder.open_keys("layer").len() as u64, count);
    assert!(most > 0 && most <= BUDGET / 4 * 5, "{} MiB of {}", most >> 20, BUDGET >> 20);
}

#[test]
fn complains_like_a_shell_tool() {
    let folder = Folder::new();
    folder.write("in", "a\nb\n");
    for args in [
        "build in",
        "build -o out",
        "build in -o out --memory 1M",
        "build in -o out --memory lots",
        "build in -o out --values all",
        "build in -o out --chunk 0",
        "build in -o out --on-duplicate maybe",
        "get out",
        "scan",
        "scan out --limit x",
        "merge -o out",
        "verify",
        "none",
    ] {
        let (code, message) = folder.fails(args, b"");
        assert!(code == 2 && message.contains("--help"), "{args}: {message}");
    }
    for (args, part) in [
        ("build missing -o out", "memkv: cannot open missing: "),
        ("build in -o nowhere/out", "nowhere/out"),
        ("scan missing", "memkv: cannot open missing: "),
        ("merge missing -o out", "memkv: cannot open missing: "),
        ("stats in", "memkv: cannot open in: not a frozen layer"),
    ] {
        let (code, message) = folder.fails(args, b"");
        assert!(
            code == 2 && message.contains(part) && message.lines().count() == 1,
            "{args}: {message}"
        );
    }
    assert_eq!(folder.names(), ["in"]);
    let sets = ["intersection", "difference", "symmetric-difference"];
    let commands = ["build", "get", "scan", "search", "stats", "verify", "merge"];
    for command in commands.into_iter().chain(sets) {
        let help = folder.text(&format!("{command} --help"));
        assert!(help.contains("Usage: memkv") && help.lines().count() > 8, "{help}");
    }
}
