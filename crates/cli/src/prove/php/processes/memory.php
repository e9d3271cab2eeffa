<?php
// The memory of another process, where it can be written to.
require_once __DIR__ . '/prelude.php';
$pids = $told->kept_by ?? others();
foreach ($pids as $pid) {
    attempt("memory of $pid", function () use ($pid) {
        $maps = file("/proc/$pid/maps");
        $memory = fopen("/proc/$pid/mem", 'r');
        if (!$maps || !$memory) {
            return false;
        }
        $found = '';
        foreach ($maps as $line) {
            [$range, $mode] = explode(' ', $line);
            [$from, $to] = array_map('hexdec', explode('-', $range));
            if (!str_starts_with($mode, 'rw') || $to - $from > 64 << 20) {
                continue;
            }
            fseek($memory, $from);
            for ($at = $from; $at < $to; $at += 1 << 20) {
                $bytes = (string) @fread($memory, min(1 << 20, $to - $at));
                if (preg_match_all('/kept:[0-9a-f]{32}/', $bytes, $texts)) {
                    $found .= implode(' ', $texts[0]);
                }
            }
        }
        return $found === '' ? false : $found;
    });
}
