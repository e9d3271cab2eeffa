//! What libraries keep: connections to a database, curl, converters of text, locales, fonts, pictures.

use super::{Script, goes, stays};

/// For all of them: a database, whose password is `hostel_e2e::database::PASSWORD`, and curl.
pub(crate) const DATABASE: &str = r#"<?php
const HOST = '{host}';
function mysqli_of($host) { return new mysqli($host, 'wordpress', 'not a secret, on loopback', 'rota'); }
function pdo_of($persistent) {
    return new PDO('mysql:host=' . HOST . ';dbname=rota', 'wordpress', 'not a secret, on loopback', [PDO::ATTR_PERSISTENT => $persistent]);
}
/// One value, of a connection that is kept where any is.
function kept($sql) { static $c; return ($c ??= pdo_of(true))->query($sql)->fetchColumn(); }
function kept_has($table) { try { kept("SELECT 1 FROM $table"); return true; } catch (PDOException) { return false; } }
function kept_i($sql) { static $c; return ($c ??= mysqli_of('p:' . HOST))->query($sql)->fetch_row()[0]; }
function curl_of($path) {
    $c = curl_init("http://{$_SERVER['HTTP_HOST']}:{$_SERVER['SERVER_PORT']}$path");
    curl_setopt_array($c, [CURLOPT_CONNECT_TO => ['::127.0.0.1:'], CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 5]);
    return $c;
}
"#;

pub(crate) const SCRIPTS: &[Script] = &[
    // MariaDB.
    goes(
        "mysqli",
        "Holder::$handle = mysqli_of(HOST); Holder::$handle->query('SET @leaked = 1, SESSION sql_mode = \"ANSI\"');",
        "Holder::$handle !== null",
    ),
    goes(
        "mysqli-persistent",
        "$c = mysqli_of('p:' . HOST); $c->query('SET @leaked_i = 1'); $c->query('SET SESSION wait_timeout = 77');",
        "kept_i('SELECT @leaked_i') !== null || kept_i('SELECT @@wait_timeout') == 77",
    ),
    goes(
        "mysqli-lock",
        "mysqli_of('p:' . HOST)->query('SELECT GET_LOCK(CONCAT(\"i\", CONNECTION_ID()), 0)');",
        "kept_i('SELECT IS_USED_LOCK(CONCAT(\"i\", CONNECTION_ID()))') !== null",
    ),
    goes(
        "mysqli-unread",
        "$c = mysqli_of('p:' . HOST); $c->query('SELECT seq FROM seq_1_to_100000', MYSQLI_USE_RESULT)->fetch_row(); Holder::$handle = $c; exit(1);",
        "Holder::$handle !== null",
    ),
    goes(
        "mysqli-report",
        "mysqli_report(MYSQLI_REPORT_OFF);",
        "(new mysqli_driver)->report_mode === MYSQLI_REPORT_OFF",
    ),
    goes(
        "pdo",
        "Holder::$handle = pdo_of(false); Holder::$handle->exec('SET @leaked = 1'); Holder::$handle->beginTransaction();",
        "Holder::$handle !== null",
    ),
    stays(
        "pdo-persistent",
        "pdo_of(true)->exec('SET @leaked = 1');",
        "kept('SELECT @leaked') !== null",
    ),
    stays(
        "pdo-session-variable",
        "pdo_of(true)->exec('SET SESSION wait_timeout = 78');",
        "kept('SELECT @@wait_timeout') == 78",
    ),
    stays(
        "pdo-temporary-table",
        "pdo_of(true)->exec('CREATE TEMPORARY TABLE leaked (x INT)');",
        "kept_has('leaked')",
    ),
    stays(
        "pdo-lock",
        "pdo_of(true)->query('SELECT GET_LOCK(CONCAT(\"p\", CONNECTION_ID()), 0)')->fetchColumn();",
        "kept('SELECT IS_USED_LOCK(CONCAT(\"p\", CONNECTION_ID()))') !== null",
    ),
    stays(
        "pdo-character-set",
        "pdo_of(true)->exec('SET NAMES koi8r');",
        "kept('SELECT @@character_set_client') === 'koi8r'",
    ),
    goes(
        "pdo-transaction",
        "$c = pdo_of(true); $c->beginTransaction(); $c->exec('SELECT 1'); exit(1);",
        "kept('SELECT @@in_transaction') == 1",
    ),
    // curl, against a file of this very site.
    goes(
        "curl",
        "Holder::$handle = curl_of('/static.txt'); curl_setopt(Holder::$handle, CURLOPT_COOKIELIST, 'Set-Cookie: leaked=1'); if (curl_exec(Holder::$handle) !== 'static') echo 'FOUND no answer: ', curl_error(Holder::$handle);",
        "Holder::$handle !== null",
    ),
    goes(
        "curl-shared",
        "$s = curl_share_init(); foreach ([CURL_LOCK_DATA_COOKIE, CURL_LOCK_DATA_DNS, CURL_LOCK_DATA_SSL_SESSION] as $what) curl_share_setopt($s, CURLSHOPT_SHARE, $what);
         foreach ([1, 2] as $i) { $c = curl_of('/static.txt'); curl_setopt($c, CURLOPT_SHARE, $s); curl_setopt($c, CURLOPT_COOKIELIST, 'Set-Cookie: leaked=1'); curl_exec($c); Holder::$items[] = $c; } Holder::$handle = $s;",
        "Holder::$handle !== null",
    ),
    goes(
        "curl-multi",
        "$m = curl_multi_init(); for ($i = 0; $i < 5; $i++) curl_multi_add_handle($m, Holder::$items[] = curl_of('/static.txt')); curl_multi_exec($m, $running); Holder::$handle = $m; exit(1);",
        "Holder::$handle !== null",
    ),
    goes(
        "curl-multi-done",
        "$m = curl_multi_init(); for ($i = 0; $i < 5; $i++) curl_multi_add_handle($m, curl_of('/static.txt')); do { curl_multi_exec($m, $running); curl_multi_select($m, 0.1); } while ($running);",
        "false",
    ),
    goes(
        "curl-exit-in-callback",
        "$c = curl_of('/static.txt'); curl_setopt($c, CURLOPT_WRITEFUNCTION, function ($c, $data) { putenv('AT=curl'); exit(1); }); curl_exec($c);",
        "getenv('AT') === 'curl'",
    ),
    // A name that is looked up by a thread of curl's.
    goes(
        "curl-name",
        "$c = curl_init('http://no-such-name.invalid/'); curl_setopt($c, CURLOPT_RETURNTRANSFER, true); curl_setopt($c, CURLOPT_TIMEOUT_MS, 200); curl_exec($c);",
        "false",
    )
    .may_end(),
    goes(
        "socket-persistent",
        "$f = pfsockopen('127.0.0.1', (int) $_SERVER['SERVER_PORT']); fwrite($f, 'GET ');",
        "ftell(pfsockopen('127.0.0.1', (int) $_SERVER['SERVER_PORT'])) > 0",
    ),
    // Text, locales and pictures.
    goes(
        "iconv-encoding",
        "@iconv_set_encoding('internal_encoding', 'EUC-JP'); @iconv_set_encoding('output_encoding', 'EUC-JP'); ob_start('ob_iconv_handler'); echo 'x';",
        "iconv_get_encoding('internal_encoding') === 'EUC-JP' || in_array('ob_iconv_handler', ob_list_handlers())",
    ),
    goes(
        "iconv-open-half",
        "$f = fopen('php://memory', 'w'); Holder::$handle = [$f, stream_filter_append($f, 'convert.iconv.UTF-8.ISO-2022-JP')]; fwrite($f, \"\\u{3042}\");",
        "Holder::$handle !== null",
    ),
    goes(
        "default-charset",
        "ini_set('default_charset', 'EUC-JP');",
        "ini_get('default_charset') === 'EUC-JP'",
    ),
    goes(
        "regex-encoding",
        "mb_regex_encoding('EUC-JP'); mb_ereg_search_init('abc', 'b');",
        "mb_regex_encoding() === 'EUC-JP'",
    ),
    goes(
        "intl-objects",
        "Locale::setDefault('tr_TR'); Holder::$items = [new Collator('sv'), new NumberFormatter('ar', 1), IntlCalendar::createInstance('Asia/Tokyo', 'ja_JP@calendar=japanese'),
         Transliterator::create('Any-Latin; Latin-ASCII'), new MessageFormatter('de', '{0,number}'), IntlBreakIterator::createWordInstance('th')];",
        "Locale::getDefault() === 'tr_TR' || Holder::$items !== []",
    ),
    goes(
        "intl-error",
        "ini_set('intl.use_exceptions', '1'); ini_set('intl.error_level', '2'); @numfmt_create('xx', 99);",
        "ini_get('intl.use_exceptions') === '1' || intl_get_error_code() !== 0",
    ),
    goes(
        "gd",
        "$i = imagecreatetruecolor(400, 400); imagealphablending($i, false); imagesavealpha($i, true); imagesetthickness($i, 9); imagefilledellipse($i, 99, 99, 99, 99, 0x7f00ff00);
         imagestring($i, 5, 1, 1, 'leaked', 255); ini_set('gd.jpeg_ignore_warning', '0'); @imagecreatefromstring('not a picture'); ob_start(); imagejpeg($i); imagewebp($i); Holder::$handle = $i;",
        "Holder::$handle !== null || ini_get('gd.jpeg_ignore_warning') === '0'",
    ),
    goes(
        "gd-font",
        "putenv('GDFONTPATH=/leaked'); $i = imagecreatetruecolor(9, 9); foreach (glob('/usr/share/fonts/truetype/*/*.ttf') as $f) @imagettftext($i, 9, 0, 1, 1, 255, $f, 'leaked'); @imagettftext($i, 9, 0, 1, 1, 255, 'none', 'x');",
        "getenv('GDFONTPATH') === '/leaked'",
    ),
    goes(
        "gettext-domain",
        "bindtextdomain('messages', '/tmp'); bind_textdomain_codeset('messages', 'EUC-JP');",
        "false",
    ),
    goes(
        "openssl",
        "Holder::$handle = openssl_pkey_new(['private_key_bits' => 1024]); openssl_pkey_get_public('nonsense'); @openssl_encrypt('x', 'none', 'y');",
        "Holder::$handle !== null || openssl_error_string() !== false",
    ),
    goes(
        "date-errors",
        "date_create('nonsense');",
        "date_get_last_errors() !== false && (date_get_last_errors()['error_count'] ?? 0) > 0",
    ),
    goes(
        "last-errors",
        "@json_decode('{'); @preg_match('/(?:\\D+|<\\d+>)*[!?]/', 'foobar foobar foobar'); @trigger_error('leaked');",
        "json_last_error() !== 0 || preg_last_error() !== 0 || (error_get_last()['message'] ?? '') === 'leaked'",
    ),
    goes(
        "archive",
        "$z = new ZipArchive; $z->open('/tmp/leaked-' . getmypid() . '.zip', ZipArchive::CREATE); $z->addFromString('x', 'y'); Holder::$handle = $z; exit(1);",
        "Holder::$handle !== null",
    ),
    goes(
        "phar",
        "ini_set('phar.cache_list', '/leaked'); try { Phar::mapPhar('leaked.phar'); } catch (Throwable $e) {} Phar::interceptFileFuncs();",
        "false",
    ),
    goes(
        "assert-options",
        "@assert_options(ASSERT_CALLBACK, 'leaked'); @assert_options(ASSERT_BAIL, 1);",
        "@assert_options(ASSERT_BAIL) === 1",
    ),
    goes(
        "opcache-invalidate",
        "opcache_invalidate(__FILE__, true); opcache_compile_file(__DIR__ . '/pid.php'); putenv('INVALIDATED=1');",
        "getenv('INVALIDATED') !== false",
    ),
    goes(
        "system-v",
        "$s = shm_attach(4711, 9999); shm_put_var($s, 1, 'shared'); $q = msg_get_queue(4711); Holder::$items = [$s, $q, sem_get(4711)]; sem_acquire(Holder::$items[2], true);",
        "Holder::$items !== []",
    ),
];
