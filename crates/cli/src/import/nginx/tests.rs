//! Server blocks, from their text to the files of the sites.

use super::super::ledger::List;
use super::super::tests::{self, lines};
use super::super::{Imported, Server};

fn of(nginx: &str, pools: &str) -> Imported {
    tests::of(Server::Nginx, nginx, pools)
}

fn listed(imported: &Imported, list: List) -> Vec<u32> {
    imported
        .ledger
        .of(list)
        .map(|(place, _)| place.line)
        .collect()
}

const POOL: &str =
    "[blog]\nuser = imp-blog\nlisten = /run/php/blog.sock\nphp_admin_value[memory_limit] = 64M\n";

#[test]
fn a_server_with_its_pool_is_a_site() {
    let imported = of(
        "http {\nserver {\nlisten 80;\nserver_name blog.example www.blog.example;\nroot /srv/blog/public;\nindex index.php;\nclient_max_body_size 64m;\nlocation / { try_files $uri $uri/ /index.php?$args; }\nlocation ~ \\.php$ { fastcgi_pass unix:/var/run/php/blog.sock; }\n}\n}",
        POOL,
    );
    assert_eq!(
        lines(&imported),
        [
            "domains = [\"blog.example\", \"www.blog.example\"]",
            "user = \"imp-blog\"",
            "home = \"/srv/blog\"",
            "root = \"public\"",
            "index = [\"index.php\"]",
            "body_bytes_max = \"64M\"",
            "",
            "[php.admin_value]",
            "\"memory_limit\" = \"64M\"",
        ]
    );
    assert_eq!(imported.sites[0].name, "imp-blog");
    assert_eq!(listed(&imported, List::NotSupported), Vec::<u32>::new());
}

#[test]
fn the_block_of_port_443_is_the_same_site() {
    let imported = of(
        "server { listen 80; server_name a.example; return 301 https://$host$request_uri; }\nserver {\nlisten 443 ssl;\nserver_name a.example;\nroot /srv/a/html;\nlocation ~ \\.php$ { fastcgi_pass unix:/run/php/blog.sock; }\n}\nserver { server_name www.a.example; return 301 https://a.example$request_uri; }",
        POOL,
    );
    assert_eq!(
        lines(&imported)[0],
        "domains = [\"a.example\", \"www.a.example\"]"
    );
    assert!(lines(&imported).contains(&"front_controller = \"\""));
}

#[test]
fn a_redirect_of_some_paths_leaves_the_site() {
    for (rule, is_site) in [
        ("rewrite ^/feed https://feeds.example/a permanent;", true),
        ("location = /old { return 301 https://b.example/; }", true),
        ("rewrite ^(.*)$ https://b.example$1 permanent;", false),
        ("return 301 https://b.example$request_uri;", false),
        (
            "location / { return 301 https://b.example$request_uri; }",
            false,
        ),
    ] {
        let imported = of(
            &format!("server {{ server_name a.example; root /srv/a; {rule} }}"),
            "",
        );
        assert_eq!(!imported.sites.is_empty(), is_site, "{rule}");
    }
}

#[test]
fn a_server_without_php_runs_none() {
    let imported = of(
        "server { listen 80; server_name a.example; root /srv/a; location / { try_files $uri $uri/ =404; } }",
        "",
    );
    assert!(lines(&imported).contains(&"script_extensions = []"));
    assert!(lines(&imported).contains(&"index = [\"index.html\"]"));
}

#[test]
fn front_controllers_are_found_however_they_are_written() {
    for (what, front) in [
        (
            "location / { try_files $uri /app.php$is_args$args; }",
            "/app.php",
        ),
        (
            "location / { try_files $uri @f; } location @f { rewrite ^(.*)$ /app.php last; }",
            "/app.php",
        ),
        (
            "location / { if (!-e $request_filename) { rewrite ^ /app.php last; } }",
            "/app.php",
        ),
        (
            "if (!-f $request_filename) { rewrite ^(.*)$ /app.php?q=$1 last; break; }",
            "/app.php",
        ),
        ("try_files $uri $uri/ /app.php;", "/app.php"),
        ("error_page 404 /app.php;", "/app.php"),
        ("location / { try_files $uri $uri/ =404; }", ""),
        (
            "location / { try_files $uri @f; } location @f { rewrite ^/(.*) /doku.php?id=$1 last; }",
            "",
        ),
        ("", ""),
    ] {
        let text = format!(
            "server {{ server_name a.example; root /srv/a; {what} location ~ \\.php$ {{ fastcgi_pass unix:/run/php/blog.sock; }} }}"
        );
        let imported = of(&text, POOL);
        let line = format!("front_controller = \"{front}\"");
        assert!(
            lines(&imported).contains(&line.as_str()),
            "{what}: {:?}",
            lines(&imported)
        );
    }
}

#[test]
fn what_was_closed_is_told() {
    let imported = of(
        "server {\nserver_name a.example;\nroot /srv/a;\nlocation ~ /\\.ht { deny all; }\nlocation ~ ^/(conf|data)/ {\ndeny all;\n}\nlocation /admin {\nauth_basic x;\n}\n}",
        "",
    );
    let open: Vec<u32> = imported
        .ledger
        .of(List::NotSupported)
        .filter(|(_, entry)| entry.text.starts_with("OPEN HERE"))
        .map(|(place, _)| place.line)
        .collect();
    assert_eq!(open, [5, 8]);
    assert!(listed(&imported, List::NotNeeded).contains(&4));
}

#[test]
fn system_users_and_unknown_pools_give_users_of_their_own() {
    let server = "server { server_name a.example; root /srv/a/www; location ~ \\.php$ { fastcgi_pass 127.0.0.1:9000; } }";
    for pools in ["", "[www]\nuser = www-data\nlisten = 9000\n"] {
        let imported = of(server, pools);
        assert_eq!(lines(&imported)[1], "user = \"a-example\"");
        assert!(!imported.ledger.advice().is_empty());
    }
}

#[test]
fn every_directive_is_in_one_list() {
    let imported = of(
        "user x;\nfoo bar;\nhttp { baz { qux 1; } server { root /srv/a; zip on; } }",
        POOL,
    );
    let all = imported.ledger.entries().count();
    let sum: usize = List::ALL
        .iter()
        .map(|list| imported.ledger.of(*list).count())
        .sum();
    assert_eq!((all, sum), (8 + 3, 8 + 3));
}
