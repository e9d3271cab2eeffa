<?php
// Each site has this page in a home of its own. It tells who it runs as, and tries to read what belongs to the other one.
$site = strtok($_SERVER['HTTP_HOST'], '.');
$other = $site === 'one' ? 'two' : 'one';
$escape = fn ($text) => htmlspecialchars((string) $text, ENT_QUOTES);
$user = posix_getpwuid(posix_geteuid())['name'] ?? '(no name)';
$opcache = opcache_get_status(false);

function attempt(string $what, callable $try): array
{
    error_clear_last();
    $result = @$try();
    $error = error_get_last()['message'] ?? 'nothing there';
    $got = $result !== false && $result !== null && $result !== [];
    return [$what, $got, $got ? print_r($result, true) : preg_replace('/^\w+\([^)]*\): /', '', $error)];
}

$attempts = [
    attempt("read /srv/hostel-demo/$other/secret.txt", fn () => file_get_contents("/srv/hostel-demo/$other/secret.txt")),
    attempt("list /srv/hostel-demo/$other", fn () => scandir("/srv/hostel-demo/$other")),
    attempt('read the server\'s configuration', fn () => file_get_contents('/srv/hostel-demo/etc/hostel.toml')),
    attempt("read the other site's log", fn () => file_get_contents("/srv/hostel-demo/var/logs/$other/access.log")),
    attempt("find the other user among the accounts", fn () => posix_getpwnam("hostel-demo-" . ($other === 'one' ? 1 : 2))),
];
$processes = array_filter(scandir('/proc'), 'ctype_digit');
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Site <?= $escape($site) ?></title>
<link rel="stylesheet" href="/style.css">
<h1>This is site <?= $escape($site) ?></h1>
<table>
<tr><th>runs as<td><?= $escape($user) ?>, uid <?= posix_geteuid() ?>, gid <?= posix_getegid() ?>

<tr><th>process<td><?= getmypid() ?>, in a process namespace with <?= count($processes) ?> processes in all
<tr><th>document root<td><code><?= $escape($_SERVER['DOCUMENT_ROOT']) ?></code>
<tr><th>own secret<td><?= $escape(@file_get_contents(dirname(__DIR__) . '/secret.txt')) ?>

<tr><th>PHP<td><?= PHP_VERSION ?>, <?= $escape(PHP_SAPI) ?>

<tr><th>OPcache<td><?= $opcache ? $escape(sprintf('own: %d scripts, %d hits, %.1f MB used', $opcache['opcache_statistics']['num_cached_scripts'], $opcache['opcache_statistics']['hits'], $opcache['memory_usage']['used_memory'] / 1e6)) : 'off' ?>

</table>
<h1>What it tries, and what comes of it</h1>
<table>
<?php foreach ($attempts as [$what, $got, $detail]): ?>
<tr><th><?= $escape($what) ?><td class="<?= $got ? 'open' : 'refused' ?>"><?= $got ? 'it could: ' : 'refused: ' ?><?= $escape($detail) ?>

<?php endforeach ?>
</table>
<p>The other site: <a href="http://<?= $other ?>.localhost:<?= $escape($_SERVER['SERVER_PORT']) ?>/"><?= $other ?></a></p>
