<?php
// As the attacker: what it asks the running server for. A line that begins with `got-` and the marker must never be seen.
require __DIR__ . '/../prelude.php';
umask(0022);
$directory = "$me->root/$told->directory";
mkdir($directory);
chdir($directory);
$got = "got-$told->marker";
$in_two = "\"\\ngot\" . '-$told->marker'"; // PHP that prints it, without holding it

file_put_contents('plain.txt', "plain-$told->marker\n");
file_put_contents('shown.txt', "$got\n");
file_put_contents('smuggled.txt', "$got\n");

// Files that are hidden, and what editors leave.
mkdir('.git');
foreach (['.user.ini', '.env', '.htaccess', '.htpasswd', '.git/config', 'source.php~', 'source.php.bak', '.source.php.swp', '#source.php#'] as $name) {
    file_put_contents($name, "; x\n$got\n");
}
// A script whose source must not be seen.
file_put_contents('source.php', "<?php /*\n$got\n*/ echo 'ran';");
// Scripts by content, but not by name: they must not run.
$code = "<?php echo $in_two;";
foreach (['a.jpg', 'a.php5', 'a.phar', 'a.pht', 'a.phtml', 'a.PHP', 'a.php.jpg', 'a.php.', 'a.php ', 'a.phps', 'a.inc',
    "a.ph\u{1e57}", "a.\u{ff50}\u{ff48}\u{ff50}", "a.php\u{301}", "a\u{2024}php", "a.\u{2c63}hp", "a.p\u{4bb}p", "\u{2c65}.ph\u{2c63}"] as $name) {
    file_put_contents($name, $code);
}
// Links out of home.
if ($victim) {
    symlink("$victim->root/$told->directory/secret.txt", 'link.txt');
    symlink("$victim->root/$told->directory/script.php", 'link.php');
    symlink("$victim->root/$told->directory", 'link');
    symlink('/proc/self/environ', 'environ.txt');
    symlink('/proc/self/root', 'root');
}
// What a request has put where the server decides; a name that is not the site's own.
file_put_contents('server.php', '<?php
$names = ["HTTP_PROXY", "SCRIPT_FILENAME", "SCRIPT_NAME", "DOCUMENT_ROOT", "REMOTE_USER", "REMOTE_ADDR", "AUTH_TYPE", "PATH_TRANSLATED",
    "PHP_VALUE", "PHP_ADMIN_VALUE", "REDIRECT_STATUS", "HTTP_SCRIPT_FILENAME", "HTTP_DOCUMENT_ROOT", "HTTP_X_UNDERSCORE", "SERVER_NAME", "HTTP_HOST", "HTTPS"];
foreach ($names as $name) {
    foreach ([$_SERVER[$name] ?? "", getenv($name), $_ENV[$name] ?? ""] as $value) {
        $at = strpos((string) $value, "got-");
        if ($at !== false) {
            echo "\n", substr($value, $at);
        }
    }
}
foreach (["auto_prepend_file", "open_basedir", "error_log", "user_agent"] as $name) {
    echo strpos((string) ini_get($name), "got-") === false ? "" : "\n" . ini_get($name);
}
$victim = ' . var_export($victim->domain ?? 'nobody.invalid', true) . ';
foreach (["HTTP_HOST", "SERVER_NAME"] as $name) {
    if (strcasecmp(strtok($_SERVER[$name] ?? "", ":"), $victim) === 0) {
        echo ' . $in_two . ';
    }
}');
// Header lines that hold more than one.
file_put_contents('split.php', '<?php
$got = "got-' . $told->marker . '";
foreach (["\r\n", "\n", "\r", "\0", "\r\n\r\n", "\n\n", "\u{560a}", "\u{10d}\u{10a}"] as $number => $end) {
    @header("X-$number: a$end$got: x");
    @header("Location: /$end$got: x");
    @setcookie("c$number", "a$end$got: x");
    @setrawcookie("d$number", "a$end$got: x");
    @header("HTTP/1.1 200 OK$end$got: x");
}
header_remove("Location");
http_response_code(200);
echo "split";');
file_put_contents('crash.php', '<?php posix_kill(posix_getpid(), 9);');
foreach (['source.php', 'server.php', 'split.php', 'crash.php'] as $name) {
    touch($name, time() - 60);
}
echo 'done';
