<?php
// load: mongodb
// without a server
function work() {
    $m = new MongoDB\Driver\Manager('mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200');
    try { $m->executeCommand('a', new MongoDB\Driver\Command(['ping' => 1])); } catch (MongoDB\Driver\Exception\ConnectionTimeoutException $e) { $said = 'timeout'; }
    return [$said, bin2hex(MongoDB\BSON\fromPHP(['a' => 1])), MongoDB\BSON\toJSON(MongoDB\BSON\fromJSON('{"b": [1, null]}')), strlen((string) new MongoDB\BSON\ObjectId)];
}
function left() { return ['variable' => getenv('MONGO') !== false]; }
function unique() { return [(string) new MongoDB\BSON\ObjectId]; }
