//! Commands on sets of layers, beside the same commands on a layer of the same lines.

mod common;

use common::Folder;
use memkv::{LayerSet, LayerSetBuilder, SetOptions};
use memkv_cli::rng::mix;
use std::fs;
use std::path::PathBuf;

/// Returns lines in random order, some of them with the same key.
fn lines(count: u64) -> String {
    let key = |i: u64| format!("{:x}/{:05}", mix(i) % 7, mix(mix(i)) % (2 * count));
    (0..count).map(|i| format!("{}\t{i}\n", key(i))).collect()
}

/// Builds a layer `NAME.layer` and a set `NAME.set` of the same lines.
fn build(folder: &Folder, name: &str, options: &str, keys_per_file: u64, text: &str) {
    let build = format!("build - {options} --chunk 16 -o");
    let run = |rest: String| {
        let line = format!("{build} {rest}");
        let args: Vec<&str> = line.split(' ').filter(|arg| !arg.is_empty()).collect();
        folder.ok(&args, text.as_bytes());
    };
    run(format!("{name}.layer"));
    run(format!("{name}.set --keys-per-file {keys_per_file}"));
}

/// Asserts that a command prints the same and ends with the same status for sets as for layers.
/// Names in the command that end in `.any` are one or the other.
fn same(folder: &Folder, args: &[&str], input: &[u8]) -> Vec<u8> {
    let [layer, set] = [".layer", ".set"].map(|ending| {
        let args: Vec<String> = args.iter().map(|arg| arg.replace(".any", ending)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = folder.run(&args, input);
        let messages = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), output.stdout, messages)
    });
    assert!(layer == set, "{args:?}: {:?} {:?}", (layer.0, layer.2), (set.0, set.2));
    layer.1
}

fn part(folder: &Folder, set: &str, number: usize) -> PathBuf {
    let path = folder.path(set);
    let set: LayerSet = LayerSet::open(&path).unwrap();
    path.join(&set.parts()[number].path)
}

#[test]
fn a_set_answers_as_a_layer() {
    let folder = Folder::new();
    let numbers = lines(3000);
    let keys: String =
        numbers.lines().map(|line| line.split_once('\t').unwrap().0.to_owned() + "\n").collect();
    build(&folder, "numbers", "", 170, &numbers);
    build(&folder, "texts", "--values text", 450, &numbers);
    build(&folder, "keys", "", 3000, &keys);
    build(&folder, "few", "--values none", 1, "b\nab\na\n");
    build(&folder, "none", "--values line", 5, "");
    let asked = format!("{keys}absent\n\n0/\nzz\n{keys}");
    let odd = keys.lines().step_by(37).collect::<Vec<_>>();
    for name in ["numbers.any", "texts.any", "keys.any", "few.any", "none.any"] {
        let run = |line: &str| {
            let line = line.replace("IT", name);
            same(&folder, &line.split(' ').collect::<Vec<_>>(), b"")
        };
        same(&folder, &["get", name, "-"], asked.as_bytes());
        same(&folder, &["get", name, "-", "--json"], asked.as_bytes());
        same(&folder, &["get", name, "-", "--null"], asked.replace('\n', "\0").as_bytes());
        same(&folder, &["get", name, "-", "--check", "-q"], asked.as_bytes());
        for key in ["absent", "b", odd[1]] {
            run(&format!("get IT {key}"));
            run(&format!("get IT {key} {}", odd[2]));
        }
        for rest in ["", "--prefix 3/", "--from 1/ --to 4/03", "--from 4 --to 1", "--prefix 9"] {
            for form in ["", "-r -k", "-n 5 -k", "-r -n 3", "-n 0", "-c", "-c -n 7", "--null -r"] {
                let line = format!("scan IT {rest} {form}");
                run(&line.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        run("scan IT --json");
        for from in odd.iter().step_by(9) {
            run(&format!("scan IT --from {from} -n 40"));
            run(&format!("scan IT --to {from} -r --count"));
        }
        for search in ["-e ^[25]/0.*7$", "-e 99", "--fuzzy 3/00999 -d 3", "-f b", "-e x", "-e ."] {
            for form in
                ["", " -n 2", " -c", " -k --prefix 3/", " --from 1/ --to 4/03", " --json", " -n 0"]
            {
                run(&format!("search IT {search}{form}"));
            }
        }
        // Files that are written of either are the same.
        for args in ["merge IT few.any", "merge few.any IT IT --zeros", "difference IT few.any"] {
            let written = run(&format!("{args} -q -o -"));
            assert!(!args.starts_with("difference") || !written.is_empty());
        }
    }
    assert_eq!(folder.text("verify numbers.set few.set none.set").lines().count(), 3);
    assert!(folder.text("verify few.set").contains("few.set: OK, 3 keys in 3 parts\n"));
    assert_eq!(folder.text("verify none.set"), "none.set: OK, 0 keys in 0 parts\n");
    let stats = |args: &str| -> serde_json::Value {
        serde_json::from_str(&folder.text(&format!("stats {args} --json"))).unwrap()
    };
    for name in ["numbers", "texts", "keys", "few", "none"] {
        let [layer, set] = [".layer", ".set"].map(|ending| stats(&format!("{name}{ending}")));
        for field in ["keys", "values", "first_key", "last_key"] {
            assert_eq!(layer[field], set[field], "{name}");
        }
        let files = fs::read_dir(folder.path(&format!("{name}.set"))).unwrap();
        let files = files
            .map(|file| file.unwrap())
            .filter(|file| file.file_name().to_str().unwrap().starts_with("part-"));
        let bytes: Vec<u64> = files.map(|file| file.metadata().unwrap().len()).collect();
        assert_eq!(
            (&set["parts"], &set["file_bytes"]),
            (&bytes.len().into(), &bytes.iter().sum::<u64>().into())
        );
    }
    assert_eq!(
        stats("numbers.set")["duplicates"],
        3000 - stats("numbers.set")["keys"].as_u64().unwrap()
    );
    let printed = folder.text("stats few.set");
    assert!(
        printed.contains("parts:     3\n") && printed.ends_with("first key: a\nlast key:  b\n")
    );
}

#[test]
fn operations_take_sets_as_single_inputs() {
    let folder = Folder::new();
    let text = lines(900);
    let every = |n: usize| text.split_inclusive('\n').step_by(n).collect::<String>();
    build(&folder, "a", "", 50, &text);
    build(&folder, "b", "", 33, &every(2));
    build(&folder, "c", "", 1000, &every(3));
    build(&folder, "keys", "--values none", 7, "absent\n0/00001\n");
    build(&folder, "none", "--values line", 5, "");
    for operation in ["intersection", "difference", "symmetric-difference"] {
        for inputs in [
            "a.any b.any",
            "b.any a.any",
            "a.any b.any c.any",
            "a.any a.any",
            "c.any keys.any",
            "a.layer b.any",
            "b.any a.layer c.any",
            "a.any none.any",
            "none.any a.any c.any",
        ] {
            for rest in ["", "--on-duplicate last", "--on-duplicate sum", "-n 3", "-c", "-q -o -"] {
                let line = format!("{operation} {inputs} {rest}");
                same(&folder, &line.split_whitespace().collect::<Vec<_>>(), b"");
            }
        }
    }
    for rule in ["first", "last", "sum"] {
        for inputs in ["a.any b.any", "b.any a.any", "c.any a.layer b.any", "none.any c.any"] {
            let line = format!("merge {inputs} --on-duplicate {rule} -q -o -");
            same(&folder, &line.split(' ').collect::<Vec<_>>(), b"");
        }
    }
    let (code, message) = folder.fails("merge a.set b.set -o out --on-duplicate error", b"");
    assert!(code == 2 && message.contains("is there more than once"), "{message}");
    // Parts of one set have no key twice.
    folder.text("merge a.set -o out --on-duplicate error");
    assert_eq!(folder.text("scan out"), folder.text("scan a.layer"));
}

#[test]
fn builds_take_the_options_of_layers() {
    let folder = Folder::new();
    let text = lines(400_000);
    folder.write("in", &text);
    fs::create_dir(folder.path("temp")).unwrap();
    let mut parts = Vec::new();
    for memory in ["32M", "1G"] {
        for rule in ["first", "sum"] {
            folder.text(&format!(
                "build in -o set --keys-per-file 90000 --symbols fsst --on-duplicate {rule} \
                 --memory {memory} --temp-dir temp"
            ));
            folder.text(&format!("build in -o layer --symbols fsst --on-duplicate {rule}"));
            assert!(folder.text("scan set") == folder.text("scan layer"), "{memory}, {rule}");
            parts.push(fs::read(part(&folder, "set", 1)).unwrap());
        }
    }
    assert!(parts[0] == parts[2] && parts[1] == parts[3], "memory does not change files");
    assert!(fs::read_dir(folder.path("temp")).unwrap().next().is_none());
    // An error leaves the set, and no new file.
    let before = folder.text("scan set -c");
    let count = || fs::read_dir(folder.path("set")).unwrap().count();
    let files = count();
    folder.write("bad", text + "no tab\n");
    for (args, part) in [
        ("build bad -o set --keys-per-file 1000 --memory 32M", "bad, line 400001: there is no tab"),
        ("build in -o set --keys-per-file 1000 --on-duplicate error", "the key \"0/"),
        ("build bad -o new --keys-per-file 1000", "bad, line 400001: there is no tab"),
    ] {
        let (code, message) = folder.fails(args, b"");
        assert!(code == 2 && message.contains(part), "{message}");
    }
    assert_eq!((folder.text("scan set -c"), count()), (before, files));
    assert_eq!(folder.names(), ["bad", "in", "layer", "set", "temp"]);
    let output = folder.run(&["build", "in", "-o", "set", "--keys-per-file", "150000"], b"");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.starts_with("memkv: set: ") && message.contains(" in 3 parts with "),
        "{message}"
    );
    // Values of another kind.
    folder.ok(&["build", "-", "-o", "set", "--keys-per-file", "1"], b"a\nb\n");
    assert_eq!(folder.text("scan set"), "a\nb\n");
}

#[test]
fn damage_ends_a_command_and_names_the_part() {
    let folder = Folder::new();
    build(&folder, "it", "", 100, &lines(900));
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let [second, last] = [1, 6].map(|number| part(&folder, "it.set", number));
    let whole = fs::read(&second).unwrap();
    let commands = [
        "scan it.set",
        "scan it.set -r",
        "search it.set -e .",
        "merge it.set -o out",
        "difference it.set it.layer",
        "verify it.set",
        "scan it.set --check",
        "get it.set - --check",
    ];
    let mut cut = whole.clone();
    cut.pop();
    let longer = [&whole[..], b"x"].concat();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let other = fs::read(&last).unwrap();
    for (what, content) in [
        ("missing", None),
        ("shorter", Some(&cut)),
        ("longer", Some(&longer)),
        ("another", Some(&other)),
        ("damaged", Some(&flipped)),
    ] {
        match content {
            None => fs::remove_file(&second).unwrap(),
            // Parts are not changed in place.
            Some(content) => {
                folder.write("new", content);
                fs::rename(folder.path("new"), &second).unwrap();
            }
        }
        for command in commands {
            // Scans and searches do not check the content.
            if what == "damaged" && !command.contains("check") && !command.starts_with("verify") {
                continue;
            }
            let output = folder.run(&command.split(' ').collect::<Vec<_>>(), b"");
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{what}, {command}: {message}");
            assert!(message.contains(&name(&second)), "{what}, {command}: {message}");
            assert_eq!(message.lines().count(), 1, "{what}, {command}: {message}");
        }
        // The other parts are read. Without a part's keys, no key is taken for absent.
        assert_eq!(folder.text("scan it.set -n 100").lines().count(), 100);
        assert_eq!(folder.run(&["get", "it.set", "zz"], b"").status.code(), Some(1));
    }
    // Each part that is wrong is named.
    fs::remove_file(&last).unwrap();
    let (code, message) = folder.fails("verify it.set it.layer", b"");
    assert_eq!((code, message.lines().count()), (2, 2), "{message}");
    assert!(message.contains(&name(&second)) && message.contains(&name(&last)), "{message}");
    assert!(message.contains("is missing, which the manifest names"), "{message}");
    assert_eq!(folder.fails("stats it.set --check", b"").0, 2);
    assert!(folder.text("stats it.set").contains("parts:     "), "it opens no part");
}

#[test]
fn sets_of_programs_are_read() {
    let folder = Folder::new();
    let mut builder = LayerSetBuilder::create(folder.path("set"), SetOptions::new()).unwrap();
    builder.insert("a", 1).unwrap();
    builder.finish().unwrap();
    let mut builder = LayerSetBuilder::append(folder.path("set"), SetOptions::new()).unwrap();
    builder.insert("b", 2).unwrap();
    builder.finish().unwrap();
    assert_eq!(folder.text("scan set"), "a\t1\nb\t2\n");
    assert_eq!(folder.text("verify set"), "set: OK, 2 keys in 2 parts\n");
    // A value that the tool does not print.
    let options = SetOptions::new();
    LayerSetBuilder::<f64>::create_as(folder.path("floats"), options).unwrap().finish().unwrap();
    let (code, message) = folder.fails("scan floats", b"");
    assert!(code == 2 && message.starts_with("memkv: cannot open floats: the values are of the"));
}

/// Returns the last line of the messages of a command that succeeds.
fn summary(folder: &Folder, args: &str, input: &[u8]) -> String {
    let output = folder.run(&args.split(' ').collect::<Vec<_>>(), input);
    let messages = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{args}: {messages}");
    messages.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn sets_grow_at_their_end() {
    let folder = Folder::new();
    folder.text("build /dev/null -o empty --values tab --keys-per-file 2");
    let mut all = String::new();
    for (i, (input, parts, options)) in [
        ("c\t3\na\t1\nb\t2\n", 2, "--keys-per-file 2"),
        ("f\t6\ne\t5\nf\t7\n", 1, ""),
        ("gg\t9\ng\t8\n", 2, "--keys-per-file 1 --codec fst"),
        ("h\t1\n", 1, "--memory 32M --temp-dir ."),
    ]
    .into_iter()
    .enumerate()
    {
        let line = format!("build - -o empty --append {options}");
        let printed = summary(&folder, line.trim_end(), input.as_bytes());
        let keys = input.lines().count() - usize::from(i == 1);
        let s = if parts == 1 { "" } else { "s" };
        let want = format!(
            "memkv: empty: {keys} more keys of {} bytes in {parts} part{s} with ",
            input.len()
        );
        assert!(printed.starts_with(&want), "{printed}");
        all += input;
    }
    folder.ok(&["build", "-", "-o", "layer"], all.as_bytes());
    assert_eq!(folder.text("scan empty"), folder.text("scan layer"));
    assert_eq!(folder.text("verify empty"), "empty: OK, 8 keys in 6 parts\n");
    assert_eq!(LayerSet::<u64>::open(folder.path("empty")).unwrap().duplicates(), 1);

    // An error leaves the set, and no new file.
    let files = || fs::read_dir(folder.path("empty")).unwrap().count();
    let before = files();
    let long = "a".repeat(200);
    for (input, message) in [
        ("i\t1\nh\t2\n", "memkv: -, line 2: the key \"h\" is not greater than the last"),
        ("i\t1\n\t2\n", "the key \"\" is not greater than the last one of the set, \"h\"\n"),
        (&format!("{long}\t1\n"), "aaa…\" is not greater than the last one of the set, \"h\"\n"),
        ("i\t1\nx\n", "line 2: there is no tab"),
        ("i\n", "cannot write empty: the values are of the kind U64, not Unit"),
    ] {
        let (code, found) = folder.fails("build - -o empty --append", input.as_bytes());
        assert!(code == 2 && found.contains(message), "{found}");
    }
    let (code, found) =
        folder.fails("build - -o empty --append --on-duplicate error", b"x\t1\nx\t2\n");
    assert!(code == 2 && found.contains("is there more than once"), "{found}");
    assert_eq!(files(), before);
    assert_eq!(folder.text("scan empty"), folder.text("scan layer"));

    // No lines, and the other kinds of values.
    assert!(summary(&folder, "build - -o empty --append", b"").contains("0 more keys"));
    folder
        .ok(&["build", "-", "-o", "texts", "--values", "text", "--keys-per-file", "1"], b"a\tx\n");
    assert_eq!(summary(&folder, "build - -o texts --append -q", b"b\t5\ty\n"), "");
    assert_eq!(summary(&folder, "build - -o texts --append -q", b""), "");
    assert_eq!(folder.text("scan texts"), "a\tx\nb\t5\ty\n");
    folder.ok(&["build", "-", "-o", "keys", "--keys-per-file", "1"], b"a\n");
    assert_eq!(summary(&folder, "build - -o keys --append -q", b"c\nb\n"), "");
    assert_eq!(summary(&folder, "build - -o keys --append -q", b""), "");
    assert_eq!(folder.text("scan keys"), "a\nb\nc\n");
}

#[test]
fn old_files_of_sets_are_removed() {
    let folder = Folder::new();
    let build = |input: &str| {
        folder.ok(&["build", "-", "-o", "set", "--keys-per-file", "1"], input.as_bytes());
    };
    build("a\t1\nb\t2\n");
    let old = [0, 1].map(|number| part(&folder, "set", number));
    build("c\t3\n");
    let left = folder.path("set").join("part-0123456789ab-00000.frozen");
    fs::write(&left, "of a build that was killed").unwrap();
    fs::write(folder.path("set").join("note"), "of the user").unwrap();
    // They are too new, unless the user says otherwise.
    for options in ["", " --older-than 1h"] {
        let output =
            folder.run(&format!("vacuum set{options}").split(' ').collect::<Vec<_>>(), b"");
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b""[..]));
        assert_eq!(messages, "memkv: set: 0 files removed\n");
    }
    let output = folder.run(&["vacuum", "set", "--older-than", "0s"], b"");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "memkv: set: 3 files removed\n");
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<PathBuf> = printed.lines().map(PathBuf::from).collect();
    let mut want = [&old[..], &[left]].concat();
    lines.sort();
    want.sort();
    assert!(lines == want && want.iter().all(|path| !path.exists()), "{printed}");
    assert!(folder.path("set").join("note").exists());
    assert_eq!(folder.text("scan set --check"), "c\t3\n");
    // Nothing is left to remove.
    assert_eq!(summary(&folder, "vacuum set --older-than 0s", b""), "memkv: set: 0 files removed");
    assert_eq!(summary(&folder, "vacuum set --older-than 0s -q", b""), "");
}

#[cfg(unix)]
#[test]
fn signals_leave_nothing_behind() {
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::{thread, time::Duration};
    let folder = Folder::new();
    folder.ok(&["build", "-", "-o", "old", "--keys-per-file", "1"], b"a\nb\n");
    fs::create_dir(folder.path("empty")).unwrap();
    let text = lines(100_000);
    let before = |output: &str| match output {
        "new" => None,
        name => Some(fs::read_dir(folder.path(name)).unwrap().count()),
    };
    let mut while_writing = 0;
    for output in ["new", "empty", "old"] {
        // While it reads, and while it writes parts.
        for is_whole in [false, true] {
            let count = before(output);
            let args = ["build", "-", "-o", output, "--keys-per-file", "200"];
            let mut child = folder.command(&args).spawn().unwrap();
            child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
            let files = || fs::read_dir(folder.path(output)).map_or(0, |files| files.count());
            let least = count.unwrap_or(0) + if is_whole { 20 } else { 1 };
            if is_whole {
                drop(child.stdin.take());
            }
            while files() < least {
                assert_eq!(child.try_wait().unwrap(), None);
                thread::yield_now();
            }
            if !is_whole {
                thread::sleep(Duration::from_millis(50));
            }
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
            let status = child.wait().unwrap();
            if status.success() {
                // It was faster than the signal.
                assert!(is_whole);
                continue;
            }
            assert_eq!(status.signal(), Some(15));
            while_writing += u32::from(is_whole);
            let now = folder.path(output).exists().then(files);
            assert_eq!(now, count, "{output}, {is_whole}");
        }
    }
    assert_eq!(folder.text("scan old"), "a\nb\n");
    assert!(while_writing > 0);
}
