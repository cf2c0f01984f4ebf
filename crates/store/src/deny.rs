//! What is never shared, whatever folder it lies in.
//!
//! People share their home folder's neighbours; what sits beside their music
//! must not leave with it. Names are compared without regard to case, because
//! the same folder may be mounted by a system that has none.

/// Why something is left out, in words for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied(pub(crate) &'static str);

/// Folders that hold keys, passwords, cookies or mail.
const FOLDERS: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".gpg",
    ".pki",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".gcloud",
    "gcloud",
    ".password-store",
    ".mozilla",
    ".thunderbird",
    "thunderbird",
    ".electrum",
    ".bitcoin",
    ".ethereum",
    ".monero",
    ".config",
    ".local",
    ".cache",
    ".git",
    ".svn",
    ".hg",
    "keychains",
    "keyrings",
    "credentials",
    "google-chrome",
    "chromium",
    "bravesoftware",
    "firefox profiles",
    "user data",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    ".trash",
    ".gannet-partial",
    "@eadir",
];

/// Files that hold keys, passwords, cookies or history.
const FILES: &[&str] = &[
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_ecdsa_sk",
    "id_ed25519_sk",
    "authorized_keys",
    "known_hosts",
    "identity",
    ".env",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    ".dockercfg",
    ".s3cfg",
    ".boto",
    "credentials",
    "credentials.json",
    "secrets.json",
    "secrets.yaml",
    "secrets.yml",
    "shadow",
    "passwd",
    "wallet.dat",
    "key3.db",
    "key4.db",
    "logins.json",
    "signons.sqlite",
    "cookies.sqlite",
    "cookies",
    "login data",
    "web data",
    "local state",
    "places.sqlite",
    "formhistory.sqlite",
    "ntuser.dat",
    "sam",
    "desktop.ini",
    "thumbs.db",
    "pagefile.sys",
    "hiberfil.sys",
    "swapfile.sys",
];

/// Ends of names of key stores, password stores and unfinished files.
const KEY_ENDINGS: &[&str] = &[
    ".pem",
    ".key",
    ".ppk",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".kdb",
    ".kdbx",
    ".asc.key",
    ".gpg",
    ".pgp",
    ".ovpn",
    ".keychain",
    ".keychain-db",
    ".agilekeychain",
    ".opvault",
    ".wallet",
    ".tfstate",
    ".tfvars",
];

/// Ends of names of files that a program has not finished, or has in hand.
const UNFINISHED_ENDINGS: &[&str] = &[
    "~",
    ".swp",
    ".swo",
    ".swx",
    ".tmp",
    ".temp",
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".filepart",
    ".!qb",
    ".!ut",
    ".aria2",
    ".lock",
    ".lck",
    ".bak~",
    ".kate-swp",
];

/// Starts of names of files that a program has in hand.
const UNFINISHED_STARTS: &[&str] = &["~$", ".~lock.", ".#", "#"];

/// Whether a folder is left out for its name.
pub(crate) fn folder(name: &[u8], share_hidden: bool) -> Option<Denied> {
    let lower = lower(name);
    if FOLDERS.contains(&lower.as_str()) {
        return Some(Denied(
            "it is a folder for keys, passwords or a program's own state",
        ));
    }
    hidden(&lower, share_hidden)
}

/// Whether a file is left out for its name.
pub(crate) fn file(name: &[u8], share_hidden: bool) -> Option<Denied> {
    let lower = lower(name);
    // `.env.local`, `.env.production` and so on.
    if FILES.contains(&lower.as_str()) || lower.starts_with(".env.") || is_key(&lower) {
        return Some(Denied(
            "it is a file for keys, passwords or a program's own state",
        ));
    }
    if UNFINISHED_ENDINGS.iter().any(|end| lower.ends_with(end))
        || UNFINISHED_STARTS
            .iter()
            .any(|start| lower.starts_with(start))
    {
        return Some(Denied("it is a temporary file"));
    }
    hidden(&lower, share_hidden)
}

fn is_key(lower: &str) -> bool {
    KEY_ENDINGS.iter().any(|end| lower.ends_with(end))
}

fn hidden(lower: &str, share_hidden: bool) -> Option<Denied> {
    (!share_hidden && lower.starts_with('.')).then_some(Denied("it is hidden"))
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_the_like_are_denied_even_if_hidden_files_are_shared() {
        for name in [
            ".ssh",
            ".GnuPG",
            ".mozilla",
            "Keychains",
            ".gannet-partial",
            ".git",
        ] {
            assert!(folder(name.as_bytes(), true).is_some(), "{name}");
        }
        for name in [
            "id_rsa",
            "ID_ED25519",
            "server.pem",
            "private.KEY",
            "vault.kdbx",
            ".env",
            ".env.production",
            "Login Data",
            "key4.db",
            "wallet.dat",
            "backup.gpg",
            ".netrc",
            "x.swp",
            "letter.docx~",
            "~$letter.docx",
            ".~lock.sheet.ods#",
            "#notes#",
            "a.part",
            "a.crdownload",
            "authorized_keys",
        ] {
            assert!(file(name.as_bytes(), true).is_some(), "{name}");
        }
    }

    #[test]
    fn hidden_ones_are_a_choice() {
        assert!(folder(b".private", false).is_some());
        assert_eq!(folder(b".private", true), None);
        assert!(file(b".profile", false).is_some());
        assert_eq!(file(b".profile", true), None);
    }

    #[test]
    fn ordinary_names_are_not_denied() {
        for name in [
            "Music",
            "keys to the kingdom",
            "config",
            "Cookies and cream",
            "user data sheets",
        ] {
            assert_eq!(folder(name.as_bytes(), false), None, "{name}");
        }
        for name in [
            "song.mp3",
            "monkey.png",
            "keynote.pdf",
            "environment.md",
            "id_rsa.mp3",
            "party.txt",
            "cookies.pdf",
            "identity.mkv",
            "notes #1.txt",
        ] {
            assert_eq!(file(name.as_bytes(), false), None, "{name}");
        }
        assert_eq!(file(b"\xff\xfe.txt", false), None);
    }
}
