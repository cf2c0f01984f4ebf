//! A table of hostile names, and rules that hold for every name.

use proptest::prelude::*;

use super::*;

/// Every rule that a name that came out keeps, said in another way than the
/// code says it.
fn assert_safe(input: &str, name: &str) {
    let complain = |rule: &str| panic!("{input:?} came out as {name:?}: {rule}");
    if name.is_empty() || name == "." || name == ".." {
        complain("no component");
    }
    if name.len() > 240 {
        complain("too long");
    }
    if std::path::Path::new(name).components().count() != 1 {
        complain("several components");
    }
    if name
        .chars()
        .any(|c| c < ' ' || r#"<>:"/\|?*"#.contains(c) || c == '\u{7f}')
    {
        complain("reserved character");
    }
    if name.starts_with(['.', ' ']) || name.ends_with(['.', ' ']) {
        complain("dot or space at an end");
    }
    let upper = name.split('.').next().unwrap().trim_end().to_uppercase();
    let ports = ["COM", "LPT"].iter().any(|port| {
        "0123456789¹²³"
            .chars()
            .any(|n| upper == format!("{port}{n}"))
    });
    if ports
        || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].contains(&upper.as_str())
    {
        complain("device");
    }
    if name
        .chars()
        .any(|c| ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{200b}')
    {
        complain("deceptive character");
    }
    if name.nfc().collect::<String>() != name {
        complain("not NFC");
    }
    if sanitise_name(name) != name {
        complain("not idempotent");
    }
}

#[track_caller]
fn check(input: &str, expected: &str) {
    let name = sanitise_name(input);
    assert_eq!(name, expected, "{input:?}");
    assert_safe(input, &name);
}

const TABLE: &[(&str, &str)] = &[
    // Ordinary names stay as they are.
    ("Waterloo.flac", "Waterloo.flac"),
    (
        "01 - Ångström (Live) [2003].mp3",
        "01 - Ångström (Live) [2003].mp3",
    ),
    ("naïve café.tar.gz", "naïve café.tar.gz"),
    ("日本語のファイル名.txt", "日本語のファイル名.txt"),
    (
        "a'b&c;d$e`f!g#h%i^j=k+l,m~n@o{p}q",
        "a'b&c;d$e`f!g#h%i^j=k+l,m~n@o{p}q",
    ),
    ("-rf", "-rf"),
    ("README", "README"),
    ("COMPLETE.txt", "COMPLETE.txt"),
    ("console.log", "console.log"),
    ("com10.txt", "com10.txt"),
    ("nullable.rs", "nullable.rs"),
    ("lpt.txt", "lpt.txt"),
    ("%2e%2e%2f", "%2e%2e%2f"),
    // Other folders.
    ("../../.ssh/authorized_keys", "authorized_keys"),
    ("/etc/passwd", "passwd"),
    ("../x", "x"),
    ("..\\..\\x", "x"),
    ("..", "unnamed"),
    (".", "unnamed"),
    ("...", "unnamed"),
    ("/", "unnamed"),
    ("\\", "unnamed"),
    ("//", "unnamed"),
    ("", "unnamed"),
    (" ", "unnamed"),
    ("a/", "a"),
    ("a/..", "a"),
    ("a/.", "a"),
    ("a/ /", "a"),
    ("./a", "a"),
    ("a//b", "b"),
    ("C:\\Windows\\System32\\x.dll", "x.dll"),
    ("C:x", "C_x"),
    ("c:", "c_"),
    ("\\\\server\\share\\f.txt", "f.txt"),
    ("\\\\?\\C:\\f.txt", "f.txt"),
    ("\\\\.\\PhysicalDrive0", "PhysicalDrive0"),
    ("\\Device\\Null", "Null"),
    ("~/x", "x"),
    ("file:///etc/passwd", "passwd"),
    // Look-alike separators and dots.
    ("a\u{2044}b", "a_b"),
    ("a\u{2215}b", "a_b"),
    ("a\u{ff0f}b", "a_b"),
    ("a\u{ff3c}b", "a_b"),
    ("a\u{29f8}b", "a_b"),
    ("\u{ff0e}\u{ff0e}", "__"),
    ("\u{2025}", "\u{2025}"),
    ("invoice.pdf\u{2024}exe", "invoice.pdf_exe"),
    // Hidden.
    (".bashrc", "_bashrc"),
    ("..a", "_.a"),
    (".gannet-partial", "_gannet-partial"),
    (".a.", "_a"),
    // Characters that Windows reserves.
    ("a<b", "a_b"),
    ("a>b", "a_b"),
    ("a\"b", "a_b"),
    ("a|b", "a_b"),
    ("a?b", "a_b"),
    ("a*b", "a_b"),
    ("???", "___"),
    ("a.txt:b", "a.txt_b"),
    ("a.txt::$DATA", "a.txt__$DATA"),
    ("*.*", "_._"),
    // Ends that Windows drops.
    ("a.", "a"),
    ("a...", "a"),
    ("a ", "a"),
    ("a. . .", "a"),
    ("a.txt ", "a.txt"),
    (" a", "a"),
    ("\u{a0}a\u{a0}", "a"),
    ("a\u{3000}", "a"),
    // Devices.
    ("CON", "_CON"),
    ("con", "_con"),
    ("Con", "_Con"),
    ("PRN", "_PRN"),
    ("AUX", "_AUX"),
    ("NUL", "_NUL"),
    ("NUL.txt", "_NUL.txt"),
    ("nul.txt.jpg", "_nul.txt.jpg"),
    ("NUL .txt", "_NUL .txt"),
    ("con.", "_con"),
    ("con ", "_con"),
    ("CON:", "CON_"),
    ("COM0", "_COM0"),
    ("COM1", "_COM1"),
    ("com9.log", "_com9.log"),
    ("LPT1", "_LPT1"),
    ("lpt9.", "_lpt9"),
    ("COM¹", "_COM¹"),
    ("LPT³.x", "_LPT³.x"),
    ("CONIN$", "_CONIN$"),
    ("conout$.txt", "_conout$.txt"),
    ("CLOCK$", "_CLOCK$"),
    ("C\u{200b}ON", "_CON"),
    ("a/NUL", "_NUL"),
    // Files that act.
    ("desktop.ini", "_desktop.ini"),
    ("AUTORUN.INF", "_AUTORUN.INF"),
    ("Thumbs.db", "_Thumbs.db"),
    // Control characters and deceptive ones.
    ("a\0b", "ab"),
    ("a\nb", "a b"),
    ("a\r\nb", "a b"),
    ("a\tb", "a b"),
    ("a\u{1b}[2Jb", "a[2Jb"),
    ("a\u{7}b", "ab"),
    ("a\u{7f}b", "ab"),
    ("a\u{9b}31mb", "a31mb"),
    ("a\u{202e}gpj.exe", "agpj.exe"),
    ("a\u{202a}b\u{202c}", "ab"),
    ("a\u{2066}b\u{2069}", "ab"),
    ("a\u{200e}b\u{200f}", "ab"),
    ("a\u{200b}b\u{feff}", "ab"),
    ("a\u{200d}b", "ab"),
    ("a\u{ad}b", "ab"),
    ("a\u{2028}b", "a b"),
    ("a\u{e000}b", "ab"),
    ("a\u{e0041}b", "ab"),
    ("\u{200b}", "unnamed"),
    ("\u{202e}..", "unnamed"),
    (".\u{200b}.", "unnamed"),
    ("a\u{fffd}b", "a_b"),
    ("  a   b  ", "a b"),
    // One form of what looks the same.
    ("cafe\u{301}.txt", "café.txt"),
    ("e\u{200b}\u{301}", "é"),
    ("\u{212b}", "\u{c5}"),
];

#[test]
fn hostile_names() {
    assert!(TABLE.len() >= 100, "only {} names", TABLE.len());
    for (input, expected) in TABLE {
        check(input, expected);
    }
}

#[test]
fn long_names_keep_their_extension() {
    check(&"x".repeat(300), &"x".repeat(240));
    check(
        &format!("{}.flac", "x".repeat(300)),
        &format!("{}.flac", "x".repeat(235)),
    );
    check(
        &format!("{}.txt", "é".repeat(150)),
        &format!("{}.txt", "é".repeat(118)),
    );
    check(
        &format!("{}.txt", "日".repeat(100)),
        &format!("{}.txt", "日".repeat(78)),
    );
    check(
        &format!("{}. .mp3", "x".repeat(300)),
        &format!("{}.mp3", "x".repeat(236)),
    );
    check(
        &format!("a.{}", "x".repeat(300)),
        &format!("a.{}", "x".repeat(238)),
    );
    check(&format!("{}/b.txt", "a".repeat(5_000)), "b.txt");
    assert_safe("huge", &sanitise_name(&"\u{fdfa}".repeat(1_000_000)));
}

#[test]
fn numbers_go_before_the_extension() {
    assert_eq!(numbered("a.txt", 1), "a.txt");
    assert_eq!(numbered("a.txt", 2), "a (2).txt");
    assert_eq!(numbered("a", 3), "a (3)");
    assert_eq!(numbered("archive.tar.gz", 2), "archive.tar (2).gz");
    assert!(numbered(&"x".repeat(240), u32::MAX).len() <= 255);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_text_comes_out_safe(input in any::<String>()) {
        assert_safe(&input, &sanitise_name(&input));
    }

    #[test]
    fn hostile_pieces_come_out_safe(pieces in prop::collection::vec(prop::sample::select(vec![
        ".", "..", " ", "/", "\\", ":", "con", "NUL", "com1", "\u{202e}", "\u{200b}", "\0", "a", ".txt",
        "e\u{301}", "\u{1b}", "*", "~", "$", "\u{ff0e}", "desktop.ini", "\u{301}", "LPT²", "\u{a0}", "xxxxxxxxxxxxxxxxxxxxxxxx",
        "\u{fdfa}", "日本", "\u{1f468}\u{200d}\u{1f469}",
    ]), 0..24)) {
        let input = pieces.concat();
        assert_safe(&input, &sanitise_name(&input));
    }
}
