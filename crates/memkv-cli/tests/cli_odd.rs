//! Command lines and inputs that people get wrong: each exit status and message.

mod common;

use common::Folder;
use memkv::HybridStore;
use std::{
    fs,
    io::Write,
    process::{Command, Output},
};

/// Runs a command with an input, and returns its output and its messages.
fn run(folder: &Folder, args: &str, input: &[u8]) -> (Output, String) {
    let output = folder.run(&args.split(' ').collect::<Vec<_>>(), input);
    let messages = String::from_utf8(output.stderr.clone()).unwrap();
    (output, messages)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn each_is_told_what_is_wrong() {
    let folder = Folder::new();
    let text = "a\t1\nb\t2\n";
    folder.write("text", text);
    folder.write("plain.gz", text);
    folder.write("gzip", gzip(text.as_bytes()));
    folder.write("padded", [gzip(text.as_bytes()), vec![0; 5000]].concat());
    folder.write("zstd", zstd::encode_all(text.as_bytes(), 0).unwrap());
    folder.write("cut", &gzip(&[b'x'; 1 << 16])[..60]);
    folder.write("trash", [gzip(text.as_bytes()), b"trash".to_vec()].concat());
    folder.write("zip", b"PK\x03\x04 and more");
    folder.write("nul", b"a\0b\n");
    folder.write("utf16", b"\xff\xfea\0\n\0");
    folder.write("crlf", "a\t1\r\nb\t2\r\n");
    folder.write("crlf-keys", "a\r\nb\r\n");
    folder.write("mark", b"\xef\xbb\xbfa\nb\n");
    folder.write("blank", "a\n\nb\n");
    folder.write("twice", "a\t1\nb\t2\na\t3\n");
    folder.write("huge", "a\t18446744073709551615\na\t1\n");
    for name in ["folder", "empty-folder"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    let (built, _) = run(&folder, "build text -o layer", b"");
    assert!(built.status.success());
    folder.ok(&["build", "-", "-o", "keys"], b"b\nc\n");
    folder.ok(&["build", "-", "--values", "text", "-o", "texts"], b"c\tx\n");
    folder.ok(&["build", "huge", "--on-duplicate", "first", "-o", "huge-layer"], b"");
    let store = HybridStore::open(folder.path("store")).unwrap();
    store.insert("k", 1).unwrap();
    store.close().unwrap();
    #[cfg(unix)]
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    let layer = fs::read(folder.path("layer")).unwrap();
    folder.write("damaged", &layer[..layer.len() - 9]);
    // Sets: one that is whole, one without a part, and folders that are none.
    for name in ["set", "gap"] {
        folder.ok(&["build", "text", "-o", name, "--keys-per-file", "1"], b"");
    }
    let parts = fs::read_dir(folder.path("gap")).unwrap().map(|file| file.unwrap().path());
    let last = parts.max_by_key(|path| path.to_str().unwrap().contains("-00001.frozen")).unwrap();
    fs::remove_file(last).unwrap();
    for (name, file, content) in [
        ("docs", "read.me", ""),
        ("web", "manifest.json", "{\"name\": \"app\"}"),
        ("broken", "manifest.json", "{\"format\": \"memkv-set\""),
        ("later", "manifest.json", "{\"format\": \"memkv-set\", \"version\": 9}"),
        ("killed", "part-0123456789ab-00000.frozen", "of a build that was killed"),
    ] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::write(folder.path(name).join(file), content).unwrap();
    }
    // The command line, the exit status, and a part of what is said.
    for (args, code, part) in [
        // Inputs are what their first bytes say.
        ("build text -o out", 0, "memkv: out: 2 keys of 8 bytes in 197 bytes, "),
        ("build plain.gz -o out", 0, "2 keys"),
        ("build gzip -o out", 0, "2 keys"),
        ("build padded -o out", 0, "2 keys"),
        ("build zstd -o out", 0, "2 keys"),
        ("build text -q -o out", 0, ""),
        ("build cut -o out", 2, "memkv: cut, line 1: "),
        ("build trash -o out", 2, "memkv: trash, line 3: "),
        ("build zip -o out", 2, "memkv: cannot open zip: it is a zip archive; --raw takes"),
        ("build nul -o out", 2, "memkv: cannot open nul: it is binary: there are NUL bytes"),
        ("build utf16 -o out", 2, "it is text in UTF-16"),
        ("build layer -o out", 2, "memkv: cannot open layer: it is a layer, not text"),
        ("build layer text -o layer", 2, "it is a layer, not text"),
        ("build folder -o out", 2, "memkv: cannot open folder: it is a folder"),
        ("build missing -o out", 2, "memkv: cannot open missing: "),
        ("build nul --raw -o out", 0, "1 keys"),
        // Lines.
        ("build crlf -o out", 2, "memkv: crlf, line 1: \"1\\r\" is not a number"),
        ("build crlf --crlf -o out", 0, "2 keys"),
        ("build crlf-keys -o out", 0, "crlf-keys: 2 of 2 lines end in a carriage return"),
        ("build mark -o out", 0, "memkv: warning: mark: a byte-order mark is part of"),
        ("build mark --crlf -o out", 0, "memkv: out: 2 keys"),
        ("build blank -o out", 0, "3 keys"),
        ("build blank --blank skip -o out", 0, "2 keys"),
        ("build blank --blank error -o out", 2, "memkv: blank, line 2: the line is blank"),
        (
            "build twice --on-duplicate error -o out",
            2,
            "twice, line 1 and twice, line 3: the key \"a\"",
        ),
        ("build huge --on-duplicate sum -o out", 2, "huge, line 1 and huge, line 2: the sum"),
        // Options.
        ("build text -o text", 2, "memkv: text is not a layer; --force replaces it"),
        ("build text -o folder", 2, "memkv: cannot create folder: it is a folder"),
        ("build text -o out --memory 1.5M", 2, "memkv: invalid value '1.5M' for '--memory"),
        ("build text -o out --memory 1.5G", 0, "2 keys"),
        ("build text -o out --temp-dir none", 2, "memkv: --temp-dir: there is no folder none"),
        ("build text", 2, "memkv: the following required arguments were not provided"),
        ("bild text -o out", 2, "memkv: unrecognized subcommand 'bild'"),
        // Layers.
        ("get layer a", 0, ""),
        ("get layer c", 1, "memkv: no such key: c"),
        ("search layer -e ^c", 1, ""),
        ("search layer -e (", 2, "memkv: "),
        ("search layer -f a -d 99", 2, "memkv: invalid value '99'"),
        ("search layer -f a -d 8", 2, "8 is not in 0..=7"),
        ("search layer -f a -d x", 2, "memkv: invalid value 'x'"),
        ("search layer -e a -d 1", 2, "cannot be used with"),
        ("search layer --prefix a", 2, "--regex <REGEX>"),
        ("search layer -e b --prefix a", 1, ""),
        ("search store -e ^k", 0, ""),
        ("get text a", 2, "memkv: cannot open text: not a frozen layer: it is text, of which"),
        ("get zip a", 2, "memkv: cannot open zip: not a frozen layer: it is a zip archive"),
        ("get store/log-1 a", 2, "not a frozen layer: it is a log of a store"),
        ("stats folder", 2, "memkv: cannot open folder: it is a folder with neither a store"),
        ("scan /dev/null", 2, "memkv: cannot open /dev/null: it is a device; a layer is mapped"),
        ("scan pipe", 2, "memkv: cannot open pipe: it is a pipe; a layer is mapped"),
        ("scan layer --prefix c", 1, ""),
        ("scan layer --from b --to a -c", 1, ""),
        ("scan layer -n 0", 0, ""),
        ("scan layer --json --null", 2, "'--json' cannot be used with '--null'"),
        ("get layer a --json --null", 2, "cannot be used with"),
        ("get layer a\tb", 1, "memkv: no such key: a\\tb\n"),
        ("verify folder", 2, "with neither a store nor a set of layers"),
        ("verify layer", 0, ""),
        ("verify damaged", 2, "memkv: "),
        ("merge layer text -o out", 2, "memkv: cannot open text: not a frozen layer"),
        ("merge layer layer -o out", 0, "memkv: out: 2 keys of 2 layers with 4 in "),
        ("merge layer keys -o out", 2, "memkv: some layers have values, and some have none; --ze"),
        ("merge --zeros layer keys -o out", 0, "memkv: out: 3 keys of 2 layers with 4 in "),
        ("merge layer -o out", 0, "memkv: out: 2 keys of 1 layer with 2 in "),
        ("merge store layer -o out", 0, "memkv: out: 3 keys of 2 layers with 3 in "),
        ("merge layer texts -o out", 2, "memkv: some layers have numbers as values, and some"),
        ("merge layer -o store", 2, "memkv: cannot create store: it is a folder, and a layer is"),
        ("merge layer -o pipe --force", 2, "memkv: cannot create pipe: it is a pipe, and a layer"),
        ("merge layer pipe -o out", 2, "memkv: cannot open pipe: it is a pipe"),
        // Set operations.
        ("intersection layer", 2, "memkv: 2 values required by '<FILE> <FILE>...'"),
        ("difference layer", 2, "2 values required"),
        ("symmetric-difference layer", 2, "2 values required"),
        ("intersection layer keys", 0, ""),
        ("intersection layer store", 1, ""),
        ("intersection layer store -n 0", 1, ""),
        ("difference layer layer -c", 1, ""),
        ("difference layer layer -o out", 0, "memkv: out: 0 keys of 2 layers with 4 in "),
        ("difference layer layer -o out -q", 0, ""),
        ("difference layer store -o store", 2, "memkv: cannot create store: it is a folder"),
        ("difference layer store -o text", 2, "memkv: text is not a layer; --force replaces it"),
        ("difference layer missing", 2, "memkv: cannot open missing: "),
        ("difference layer folder", 2, "with neither a store nor a set of layers"),
        ("difference layer pipe", 2, "memkv: cannot open pipe: it is a pipe"),
        ("difference layer damaged", 2, "memkv: cannot open damaged: "),
        ("difference layer texts", 2, "memkv: some layers have numbers as values, and some"),
        ("difference keys texts", 0, ""),
        ("difference layer store --json --null", 2, "cannot be used with"),
        ("difference layer store --json -o out", 2, "cannot be used with"),
        ("difference layer store --force", 2, "--output <FILE>"),
        ("intersection layer layer --on-duplicate error", 2, "memkv: the key \"a\" is there more"),
        ("intersection huge-layer huge-layer --on-duplicate sum", 2, "memkv: the sum of the val"),
        ("intersection texts texts --on-duplicate sum", 2, "values of this type cannot be added"),
        ("intersection keys keys --on-duplicate sum", 2, "values of this type cannot be added"),
        // Sets of layers.
        (
            "build text -o new-set --keys-per-file 1",
            0,
            "new-set: 2 keys of 8 bytes in 2 parts with ",
        ),
        ("build text -o folder --keys-per-file 5", 0, "folder: 2 keys of 8 bytes in 1 part with "),
        ("build text -o killed --keys-per-file 5", 0, "killed: 2 keys"),
        ("build text -o set --keys-per-file 5 -q", 0, ""),
        (
            "build text -o out --keys-per-file 0",
            2,
            "invalid value '0' for '--keys-per-file <KEYS>'",
        ),
        (
            "build text -o out --keys-per-file x",
            2,
            "invalid value 'x' for '--keys-per-file <KEYS>'",
        ),
        ("build text -o - --keys-per-file 5", 2, "memkv: a set of layers is a folder, and cannot"),
        (
            "build text -o layer --keys-per-file 5",
            2,
            "memkv: cannot create layer: it is a file, and",
        ),
        ("build text -o layer --keys-per-file 5 --force", 2, "cannot be used with '--force'"),
        (
            "build text -o pipe --keys-per-file 5",
            2,
            "memkv: cannot create pipe: it is a pipe, and a",
        ),
        (
            "build text -o docs --keys-per-file 5",
            2,
            "memkv: cannot write docs: the folder is neither",
        ),
        ("build text -o store --keys-per-file 5", 2, "the folder is neither empty nor a set of la"),
        ("build text -o web --keys-per-file 5", 2, "web/manifest.json: \"format\" is missing"),
        (
            "build text -o later --keys-per-file 5",
            2,
            "later/manifest.json: version 9 of the format",
        ),
        ("build text -o new --append", 2, "memkv: cannot open new: "),
        (
            "build text -o empty-folder --append",
            2,
            "cannot open empty-folder: it is a folder with neit",
        ),
        ("build text -o docs --append", 2, "memkv: cannot write docs: the folder is neither"),
        ("build text -o layer --append", 2, "memkv: cannot create layer: it is a file, and"),
        ("build text -o store --append", 2, "the folder is neither empty nor a set of la"),
        ("build text -o later --append", 2, "later/manifest.json: version 9 of the format"),
        ("build text -o - --append", 2, "memkv: a set of layers is a folder, and cannot"),
        ("build text -o set --append --force", 2, "cannot be used with '--force'"),
        ("build text -o set --append", 2, "text, line 1: the key \"a\" is not greater than the"),
        ("vacuum set", 0, "memkv: set: 0 files removed"),
        ("vacuum set -q", 0, ""),
        ("vacuum gap --older-than 12h", 0, "memkv: gap: 0 files removed"),
        ("vacuum set --older-than 7", 2, "memkv: invalid value '7' for '--older-than <DURATION>'"),
        ("vacuum", 2, "memkv: the following required arguments were not provided"),
        ("vacuum layer", 2, "memkv: cannot open layer: it is a layer, not a set of layers"),
        ("vacuum store", 2, "memkv: cannot open store: it is a store, not a set of layers"),
        (
            "vacuum empty-folder",
            2,
            "cannot open empty-folder: it is a folder with neither a store nor",
        ),
        ("vacuum docs", 2, "memkv: cannot open docs: it is a folder with neither a store nor"),
        ("vacuum text", 2, "memkv: cannot open text: not a frozen layer: it is text"),
        ("vacuum missing", 2, "memkv: cannot open missing: "),
        ("vacuum later", 2, "later/manifest.json: version 9 of the format"),
        ("build text -o set", 2, "memkv: cannot create set: it is a folder, and a layer is a file"),
        ("merge layer set -o set", 2, "memkv: cannot create set: it is a folder, and a layer is"),
        (
            "build text --values text --on-duplicate sum -o fresh --keys-per-file 5",
            2,
            "memkv: cannot write fresh: values of this type cannot be added",
        ),
        ("build set -o out", 2, "memkv: cannot open set: it is a folder"),
        ("get set a", 0, ""),
        ("get set c", 1, "memkv: no such key: c"),
        ("get gap a", 0, ""),
        ("get gap b", 2, "-00001.frozen is missing, which the manifest names"),
        ("get gap b -q", 2, "-00001.frozen is missing"),
        ("get gap a --check", 2, "-00001.frozen is missing"),
        ("scan gap -n 1", 0, ""),
        ("scan gap", 2, "-00001.frozen is missing"),
        ("scan gap --reverse -n 1", 2, "-00001.frozen is missing"),
        ("search gap -e b", 2, "-00001.frozen is missing"),
        ("stats gap", 0, ""),
        ("verify set layer", 0, ""),
        ("verify gap", 2, "-00001.frozen is missing"),
        ("merge gap -o out", 2, "-00001.frozen is missing"),
        ("intersection gap layer", 2, "-00001.frozen is missing"),
        ("intersection set keys layer", 0, ""),
        ("merge set layer store -o out", 0, "memkv: out: 3 keys of 3 layers with 5 in "),
        ("merge set keys -o out", 2, "memkv: some layers have values, and some have none"),
        ("merge set texts -o out", 2, "memkv: some layers have numbers as values, and some"),
        ("scan docs", 2, "cannot open docs: it is a folder with neither a store nor a set of lay"),
        ("scan web", 2, "web/manifest.json: \"format\" is missing"),
        ("scan broken", 2, "broken/manifest.json: not JSON: "),
        ("scan later", 2, "later/manifest.json: version 9 of the format"),
        ("man none", 2, "memkv: no such command: none"),
    ] {
        let (output, messages) = run(&folder, args, b"");
        assert_eq!(output.status.code(), Some(code), "{args}: {messages}");
        assert!(messages.contains(part), "{args}: {messages}");
        assert_eq!(part.is_empty(), messages.is_empty(), "{args}: {messages}");
        assert_eq!(fs::read(folder.path("layer")).unwrap(), layer, "{args}");
        assert_eq!(fs::read_to_string(folder.path("text")).unwrap(), text, "{args}");
    }
    assert!(!folder.path("fresh").exists());
    for input in [gzip(b"k\t7\n"), zstd::encode_all(&b"k\t7\n"[..], 0).unwrap()] {
        let (output, _) = run(&folder, "build - -o -", &input);
        folder.write("piped", output.stdout);
        assert_eq!(run(&folder, "scan piped", b"").0.stdout, b"k\t7\n");
    }
    assert_eq!(run(&folder, "scan layer --count", b"").0.stdout, b"2\n");
    assert_eq!(run(&folder, "search layer -e . -c", b"").0.stdout, b"2\n");
    assert!(run(&folder, "completions bash", b"").0.stdout.starts_with(b"_memkv()"));
    let page = run(&folder, "man build", b"").0.stdout;
    assert!(String::from_utf8(page).unwrap().contains("carriage return"));
}

#[cfg(unix)]
#[test]
fn signals_leave_nothing_behind() {
    use std::os::unix::process::ExitStatusExt;
    let folder = Folder::new();
    for (output, signal) in [("layer", "INT"), ("layer", "TERM"), ("-", "TERM")] {
        let args = ["build", "-", "-o", output, "--temp-dir", "."];
        let mut child = folder.command(&args).spawn().unwrap();
        // It waits for the rest of its input.
        child.stdin.as_mut().unwrap().write_all(&b"key\n".repeat(2000)).unwrap();
        while folder.names().is_empty() {
            assert_eq!(child.try_wait().unwrap(), None);
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let number = if signal == "INT" { 2 } else { 15 };
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        assert!(folder.names().is_empty(), "{output}, {signal}: {:?}", folder.names());
    }
}
