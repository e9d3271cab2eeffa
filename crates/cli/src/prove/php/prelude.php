<?php
// Every attack script begins with this: what it is told, and how it says what it tried.
set_time_limit(8);
ini_set('display_errors', '0');
ini_set('html_errors', '0');
while (ob_get_level() > 0) {
    ob_end_clean();
}

$told = json_decode(file_get_contents('php://input'));
$me = $told->me ?? null;
$victim = $told->victim ?? null;
$server = $told->server ?? null;

/**
 * Try something and say how it went: one line of three fields. What the attempt gives is said whole, since secrets are
 * searched for in it. An attempt fails by giving false or null, or by throwing.
 */
function attempt(string $what, callable $act): mixed
{
    error_clear_last();
    $result = null;
    try {
        $result = @$act();
        $why = error_get_last()['message'] ?? 'refused';
    } catch (Throwable $error) {
        $why = $error->getMessage();
    }
    if ($result === false || $result === null) {
        say($what, 'failed', $why);
        return false;
    }
    say($what, 'done', is_string($result) ? $result : json_encode($result, JSON_PARTIAL_OUTPUT_ON_ERROR));
    return $result;
}

function say(string $what, string $how, string $text): void
{
    echo "try\t", strtr($what, "\t\n", '  '), "\t$how\t", $text, "\n";
    // Even with a buffer this would send the head.
    if (ob_get_level() === 0) {
        flush();
    }
}

/** There is nothing to try, for this reason. */
function not_tried(string $why): never
{
    echo "not tried\t$why\n";
    exit;
}

function need_functions(string ...$names): void
{
    foreach ($names as $name) {
        if (!function_exists($name)) {
            not_tried("PHP has no $name() here");
        }
    }
}

/** Run a command by the first way that PHP still has, and give what it says, errors too. */
function command(string $line): string|false
{
    $line .= ' 2>&1';
    foreach (['shell_exec', 'exec', 'system', 'passthru', 'popen', 'proc_open'] as $way) {
        if (!function_exists($way)) {
            continue;
        }
        switch ($way) {
            case 'shell_exec':
                return (string) shell_exec($line);
            case 'exec':
                exec($line, $lines);
                return implode("\n", $lines);
            case 'popen':
                return stream_get_contents(popen($line, 'r'));
            case 'proc_open':
                $process = proc_open(['/bin/sh', '-c', $line], [1 => ['pipe', 'w']], $pipes);
                return stream_get_contents($pipes[1]);
            default:
                ob_start();
                $way($line);
                return ob_get_clean();
        }
    }
    not_tried('PHP starts no programs here');
}

/** As much of a file as could hold a secret. */
function content(string $path): string|false
{
    return file_get_contents($path, false, null, 0, 65536);
}
