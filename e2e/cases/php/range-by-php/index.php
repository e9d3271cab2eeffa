<?php
header('Accept-Ranges: bytes');
if (preg_match('/bytes=(\d+)-(\d+)/', $_SERVER['HTTP_RANGE'] ?? '', $m)) {
    http_response_code(206);
    header("Content-Range: bytes $m[1]-$m[2]/36");
    echo substr('0123456789abcdefghijklmnopqrstuvwxyz', (int) $m[1], $m[2] - $m[1] + 1);
} else {
    echo '0123456789abcdefghijklmnopqrstuvwxyz';
}
