<?php
header('ETag: "abc"');
header('Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT');
if (($_SERVER['HTTP_IF_NONE_MATCH'] ?? '') === '"abc"') {
    http_response_code(304);
    exit;
}
echo 'content';
