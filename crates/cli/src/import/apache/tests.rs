//! Virtual hosts, from their text to the files of the sites.

use super::super::ledger::List;
use super::super::tests::{self, lines};
use super::super::{Imported, Server};

fn of(apache: &str, pools: &str) -> Imported {
    tests::of(Server::Apache, apache, pools)
}

#[test]
fn every_way_to_run_as_a_user_gives_the_user() {
    for line in [
        "AssignUserID imp-a imp-a",
        "<IfModule mpm_itk_module>\nAssignUserId imp-a imp-a\n</IfModule>",
        "SuexecUserGroup imp-a imp-a",
        "suPHP_UserGroup imp-a imp-a",
        "RMode config\nRUidGid imp-a imp-a",
        "<FilesMatch \\.php$>\nSetHandler \"proxy:unix:/run/php/a.sock|fcgi://localhost\"\n</FilesMatch>",
        "ProxyPassMatch \"^/(.*\\.php(/.*)?)$\" \"unix:/run/php/a.sock|fcgi://localhost/srv/a/htdocs\"",
        "ProxyPassMatch ^/(.*\\.php)$ fcgi://127.0.0.1:9001/srv/a/htdocs/$1",
        "<Proxy \"unix:/run/php/a.sock|fcgi://a\">\n</Proxy>\n<FilesMatch \\.php$>\nSetHandler proxy:fcgi://a\n</FilesMatch>",
        "FastCgiExternalServer /usr/lib/cgi-bin/php -socket /run/php/a.sock",
    ] {
        let text = format!(
            "<VirtualHost *:80>\nServerName a.example\nDocumentRoot /srv/a/htdocs\n{line}\n</VirtualHost>"
        );
        let listen = if line.contains("9001") {
            "9001"
        } else {
            "/run/php/a.sock"
        };
        let pools = format!("[p]\nuser = imp-a\nlisten = {listen}\n");
        let imported = of(&text, &pools);
        assert_eq!(lines(&imported)[1], "user = \"imp-a\"", "{line}");
        assert_eq!(lines(&imported)[2], "home = \"/srv/a\"", "{line}");
    }
}

#[test]
fn settings_of_the_document_root_and_above_it_are_the_site_s() {
    let text = "<Directory /srv/>\nAllowOverride None\n</Directory>\n<VirtualHost *:80>\nServerName a.example:80\nServerAlias *.a.example\nDocumentRoot \"/srv/a\"\nphp_admin_flag display_errors off\n<Directory /srv/a/>\nDirectoryIndex home.php index.cgi\nphp_value upload_max_filesize 32M\nFallbackResource /home.php\nLimitRequestBody 1048576\n</Directory>\n<Directory /srv/a/private>\nRequire all denied\n</Directory>\n</VirtualHost>";
    let imported = of(text, "");
    assert_eq!(
        lines(&imported),
        [
            "domains = [\"a.example\", \"*.a.example\"]",
            "user = \"a-example\"",
            "home = \"/srv/a\"",
            "root = \".\"",
            "index = [\"home.php\"]",
            "front_controller = \"/home.php\"",
            "body_bytes_max = \"1M\"",
            "",
            "[php.value]",
            "\"upload_max_filesize\" = \"32M\"",
            "",
            "[php.admin_value]",
            "\"display_errors\" = false",
        ]
    );
    let open = imported
        .ledger
        .of(List::NotSupported)
        .filter(|(_, entry)| entry.text.starts_with("OPEN HERE"));
    assert_eq!(open.map(|(place, _)| place.line).collect::<Vec<_>>(), [16]);
}

#[test]
fn rewrite_rules_for_what_is_missing_are_the_front_controller() {
    let rules = "RewriteEngine On\nRewriteBase /\nRewriteRule ^index\\.php$ - [L]\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule . /index.php [L]";
    let host = |inner: &str| {
        format!(
            "<VirtualHost *>\nServerName a.example\nDocumentRoot /srv/a\n<Directory /srv/a>\n{inner}\n</Directory>\n</VirtualHost>"
        )
    };
    let imported = of(&host(rules), "");
    assert!(
        !lines(&imported)
            .iter()
            .any(|line| line.starts_with("front_controller")),
        "the default is /index.php"
    );
    let imported = of(&host("AllowOverride None"), "");
    assert!(lines(&imported).contains(&"front_controller = \"\""));
    let imported = of(&host("AllowOverride All"), "");
    assert!(
        !lines(&imported)
            .iter()
            .any(|line| line.starts_with("front_controller")),
        "as .htaccess mostly has it"
    );
}

#[test]
fn hosts_that_only_redirect_give_their_names_away() {
    let text = "<VirtualHost *:80>\nServerName www.a.example\nRedirect permanent / https://a.example/\n</VirtualHost>\n<VirtualHost *:443>\nServerName a.example\nDocumentRoot /srv/a\nSSLEngine on\n</VirtualHost>";
    let imported = of(text, "");
    assert_eq!(
        lines(&imported)[0],
        "domains = [\"a.example\", \"www.a.example\"]"
    );
}

#[test]
fn php_is_off_where_no_module_runs_it() {
    let host = "<VirtualHost *>\nServerName a.example\nDocumentRoot /srv/a\n</VirtualHost>";
    let imported = of(&format!("LoadModule dir_module x.so\n{host}"), "");
    assert!(lines(&imported).contains(&"script_extensions = []"));
    let imported = of(
        &format!(
            "LoadModule php_module x.so\n<FilesMatch \".+\\.ph(?:ar|p|tml)$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\n{host}"
        ),
        "",
    );
    assert!(lines(&imported).contains(&"script_extensions = [\"php\", \"phar\", \"phtml\"]"));
}

#[test]
fn every_directive_is_in_one_list() {
    let imported = of(
        "Foo\n<Bar x>\nBaz\n</Bar>\n<VirtualHost *>\nDocumentRoot /srv/a\nQux\n<Directory /srv/a/b>\nX\n</Directory>\n</VirtualHost>",
        "",
    );
    let all = imported.ledger.entries().count();
    let sum: usize = List::ALL
        .iter()
        .map(|list| imported.ledger.of(*list).count())
        .sum();
    assert_eq!((all, sum), (8, 8));
}
