<?php
// `work` uses a module, `left` says which of what it keeps an earlier request has left, `unique` yields what must never be the same again.
require __DIR__ . '/' . $_GET['module'] . '.php';
if (!extension_loaded($_GET['module'] === 'zend-opcache' ? 'Zend OPcache' : $_GET['module'])) {
    exit('not loaded');
}
$answer = match ($_GET['do']) {
    'work' => work(),
    'left' => array_keys(array_filter(left())),
    'unique' => function_exists('unique') ? unique() : [],
};
echo json_encode($answer, JSON_THROW_ON_ERROR | JSON_PARTIAL_OUTPUT_ON_ERROR);

/** Whether the process holds a connection beside the one to the front. */
function connected(): bool
{
    $open = array_map(fn ($name) => (string) @readlink($name), glob('/proc/self/fd/*'));
    return count(preg_grep('/^socket:/', $open)) > 1;
}
