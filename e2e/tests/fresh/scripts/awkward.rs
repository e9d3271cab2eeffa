//! Requests that end, or break, in the middle of something of PHP's: in a callback of a library, a destructor, an output buffer.

use super::{Script, goes};

pub(crate) const SCRIPTS: &[Script] = &[
    // Output buffers in every state.
    goes(
        "buffer-throws",
        "ob_start(function ($b) { putenv('BUFFER=throws'); throw new Exception('in a buffer'); }); echo 'x';",
        "getenv('BUFFER') === 'throws'",
    ),
    goes(
        "buffer-flushes",
        "ob_start(function ($b) { putenv('BUFFER=flushes'); flush(); ob_flush(); return $b; }); echo 'x';",
        "getenv('BUFFER') === 'flushes'",
    ),
    goes(
        "buffer-in-a-buffer",
        "ob_start(function ($b) { putenv('BUFFER=nests'); ob_start(); return $b; }); echo 'x';",
        "getenv('BUFFER') === 'nests'",
    ),
    goes(
        "buffer-in-shutdown",
        "register_shutdown_function(function () { ob_start(fn ($b) => strrev($b)); echo 'x'; ob_start(null, 2); echo 'yyyy'; });",
        "ob_get_level() > 1",
    ),
    goes(
        "buffer-not-removable",
        "ob_start(null, 0, 0); ob_start(null, 1, PHP_OUTPUT_HANDLER_CLEANABLE); echo 'x';",
        "ob_get_level() > 1",
    ),
    goes(
        "buffer-compressed",
        "ini_set('zlib.output_compression', '1'); ini_set('zlib.output_compression_level', '9'); echo str_repeat('x', 9999);",
        "ini_get('zlib.output_compression') === '1' || ini_get('zlib.output_compression_level') === '9'",
    ),
    goes(
        "buffer-gzip",
        "ob_start('ob_gzhandler'); echo str_repeat('x', 9999); exit(1);",
        "in_array('ob_gzhandler', ob_list_handlers())",
    ),
    goes(
        "buffer-rewrites",
        "output_add_rewrite_var('leaked', '1'); echo '<a href=\"x\">y</a>';",
        "in_array('URL-Rewriter', ob_list_handlers())",
    ),
    goes(
        "buffer-too-large",
        "ini_set('memory_limit', '16M'); ob_start(); for (;;) echo str_repeat('x', 1 << 20);",
        "ini_get('memory_limit') === '16M'",
    ),
    goes(
        "buffer-discards-fatal",
        "ob_start(fn ($b) => ''); putenv('BUFFER=fatal'); no_such_function();",
        "getenv('BUFFER') === 'fatal'",
    ),
    // Exits where somebody waits for an answer.
    goes(
        "exit-in-generator",
        "function g() { try { yield 1; } finally { putenv('AT=generator'); exit(2); } } foreach (g() as $x) exit(1);",
        "getenv('AT') === 'generator'",
    ),
    goes(
        "exit-in-to-string",
        "class S { function __toString() { putenv('AT=string'); exit(1); } } echo 'a' . new S . 'b';",
        "getenv('AT') === 'string'",
    ),
    goes(
        "exit-in-sort",
        "$a = range(1, 99); usort($a, function ($x, $y) { putenv('AT=sort'); if ($x > 50) exit(1); return $y - $x; });",
        "getenv('AT') === 'sort'",
    ),
    goes(
        "fatal-in-sort",
        "ini_set('memory_limit', '16M'); $a = range(1, 99); usort($a, function ($x, $y) { return strlen(str_repeat('x', 99 << 20)); });",
        "ini_get('memory_limit') === '16M'",
    ),
    goes(
        "exit-in-autoloader",
        "spl_autoload_register(function ($c) { putenv('AT=autoloader'); exit(1); }); new NoSuchClass;",
        "getenv('AT') === 'autoloader' || spl_autoload_functions() !== []",
    ),
    goes(
        "fatal-in-autoloader",
        "spl_autoload_register(function ($c) { eval('class NoSuchClass extends NoSuchParent {}'); }); new NoSuchClass;",
        "class_exists('NoSuchClass', false)",
    ),
    goes(
        "exit-in-regex",
        "preg_replace_callback('/(a)(b)?/', function ($m) { putenv('AT=regex'); exit(1); }, 'aaab');",
        "getenv('AT') === 'regex'",
    ),
    goes(
        "exit-in-unserialize",
        "class W { function __wakeup() { putenv('AT=wakeup'); exit(1); } } unserialize('a:2:{i:0;O:1:\"W\":0:{}i:1;R:2;}');",
        "getenv('AT') === 'wakeup'",
    ),
    goes(
        "exit-in-json",
        "class J implements JsonSerializable { function jsonSerialize(): mixed { putenv('AT=json'); exit(1); } } json_encode([[new J]]);",
        "getenv('AT') === 'json'",
    ),
    goes(
        "exit-in-xml-parser",
        "$p = xml_parser_create(); xml_set_element_handler($p, function () { putenv('AT=xml'); exit(1); }, null); xml_parse($p, '<a><b/></a>', true);",
        "getenv('AT') === 'xml'",
    ),
    goes(
        "exit-in-transformation",
        "function ends() { putenv('AT=xslt'); exit(1); } $x = new XSLTProcessor; $x->registerPHPFunctions(); $d = new DOMDocument;
         $d->loadXML('<xsl:stylesheet version=\"1.0\" xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\" xmlns:php=\"http://php.net/xsl\"><xsl:template match=\"/\"><xsl:value-of select=\"php:function(\\'ends\\')\"/></xsl:template></xsl:stylesheet>');
         $x->importStylesheet($d); $x->transformToXml($d);",
        "getenv('AT') === 'xslt'",
    ),
    goes(
        "exit-in-entity-loader",
        "libxml_set_external_entity_loader(function () { putenv('AT=entity'); exit(1); }); $d = new DOMDocument; $d->loadXML('<!DOCTYPE a SYSTEM \"x.dtd\"><a/>', LIBXML_DTDLOAD);",
        "getenv('AT') === 'entity'",
    ),
    goes(
        "exit-in-native-callback",
        "$n = FFI::cdef('void qsort(void *, size_t, size_t, int (*)(const void *, const void *));'); $a = FFI::new('int[9]');
         $n->qsort($a, 9, 4, function ($x, $y) { putenv('AT=native'); exit(1); });",
        "getenv('AT') === 'native'",
    ),
    goes(
        "exit-in-error-handler",
        "set_error_handler(function () { putenv('AT=error'); exit(1); }); $x = $undefined + 1;",
        "getenv('AT') === 'error' || set_error_handler(null) !== null",
    ),
    // PHP 8.2 itself frees something twice then.
    goes(
        "exit-in-filter",
        "class F extends php_user_filter { function filter($in, $out, &$consumed, bool $closing): int { while ($b = stream_bucket_make_writeable($in)) stream_bucket_append($out, $b); putenv('AT=filter'); exit(1); } }
         stream_filter_register('ends', 'F'); $f = fopen('php://memory', 'w'); stream_filter_append($f, 'ends'); fwrite($f, 'x');",
        "getenv('AT') === 'filter' || in_array('ends', stream_get_filters())",
    )
    .dies(),
    goes(
        "exit-in-stream-open",
        "class O { public $context; function stream_open($p, $m, $o, &$opened) { putenv('AT=open'); exit(1); } } stream_wrapper_register('ends', 'O'); include 'ends://x';",
        "getenv('AT') === 'open' || in_array('ends', stream_get_wrappers())",
    ),
    goes(
        "exit-in-stream-read",
        "class R { public $context; function stream_open($p, $m, $o, &$opened) { return true; } function stream_stat() { return []; } function stream_eof() { return false; }
         function stream_read($n) { putenv('AT=read'); exit(1); } } stream_wrapper_register('ends', 'R'); include 'ends://x';",
        "getenv('AT') === 'read' || in_array('ends', stream_get_wrappers())",
    ),
    goes(
        "exit-in-stream-close",
        "class K { public $context; function stream_open($p, $m, $o, &$opened) { return true; } function stream_close() { putenv('AT=close'); exit(1); } }
         stream_wrapper_register('ends', 'K'); Holder::$handle = fopen('ends://x', 'r');",
        "getenv('AT') === 'close' || in_array('ends', stream_get_wrappers())",
    ),
    goes(
        "exit-in-session-write",
        "session_set_save_handler(new class extends SessionHandler { function write($i, $d): bool { putenv('AT=session'); exit(1); } }, true);
         session_id('ends'); session_start(); $_SESSION['x'] = 1;",
        "getenv('AT') === 'session' || session_status() === PHP_SESSION_ACTIVE",
    ),
    goes(
        "fatal-in-session-open",
        "session_set_save_handler(new class extends SessionHandler { function open($p, $n): bool { putenv('AT=session-open'); return no_such_function(); } }, true);
         session_id('ends'); session_start();",
        "getenv('AT') === 'session-open' || session_status() === PHP_SESSION_ACTIVE",
    ),
    goes(
        "exit-in-fiber",
        "Holder::$handle = new Fiber(function () { try { Fiber::suspend(); } finally { putenv('AT=fiber'); } }); Holder::$handle->start();
         $f = new Fiber(function () { exit(1); }); $f->start();",
        "getenv('AT') === 'fiber'",
    ),
    goes(
        "exit-in-tick",
        "function tick() { putenv('AT=tick'); exit(1); } register_tick_function('tick'); eval('declare(ticks=1); $a = 1; $b = 2;');",
        "getenv('AT') === 'tick'",
    ),
    goes(
        "throw-in-collector",
        "class G { public $self; function __destruct() { putenv('AT=collector'); throw new Exception('in the collector'); } } $g = new G; $g->self = $g; unset($g); gc_collect_cycles();",
        "getenv('AT') === 'collector'",
    ),
    goes(
        "throw-in-destructor",
        "class D { function __destruct() { putenv('AT=destructor'); throw new Exception('in a destructor'); } } Holder::$items = [new D, new D];",
        "getenv('AT') === 'destructor'",
    ),
    goes(
        "memory-in-destructor",
        "class M { function __destruct() { ini_set('memory_limit', '16M'); putenv('AT=memory'); str_repeat('x', 99 << 20); } } Holder::$items = [new M, new M];",
        "getenv('AT') === 'memory' || ini_get('memory_limit') === '16M'",
    ),
    goes(
        "endless-string",
        "ini_set('memory_limit', '16M'); class E { function __toString() { return str_repeat('x', 1 << 20) . new E; } } echo new E;",
        "ini_get('memory_limit') === '16M'",
    ),
    goes(
        "error-in-shutdown-after-fatal",
        "register_shutdown_function(function () { putenv('AT=after'); require 'no-such-file.php'; }); no_such_function();",
        "getenv('AT') === 'after'",
    ),
    goes(
        "answer-finished-early",
        "echo 'x'; fastcgi_finish_request(); putenv('AT=early'); Holder::$items[] = str_repeat('x', 1 << 20);",
        "getenv('AT') === 'early'",
    ),
    // Each takes a second.
    goes(
        "timeout",
        "putenv('AT=timeout'); set_time_limit(1); for (;;);",
        "getenv('AT') === 'timeout' || ini_get('max_execution_time') === '1'",
    )
    .seldom(),
    goes(
        "timeout-in-sort",
        "putenv('AT=timeout-in-sort'); set_time_limit(1); $a = [2, 1]; usort($a, function () { for (;;); });",
        "getenv('AT') === 'timeout-in-sort' || ini_get('max_execution_time') === '1'",
    )
    .seldom(),
];
