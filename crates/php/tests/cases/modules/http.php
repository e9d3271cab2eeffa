<?php
// load: raphf http
// set: raphf.persistent_handle.limit = 5
// keeps: handles
function work() {
    $client = new http\Client('curl', 'seen');
    $client->setOptions(['connecttimeout' => 1]);
    $client->enqueue(new http\Client\Request('GET', 'http://127.0.0.1:1/'));
    try { @$client->send(); } catch (http\Exception $e) {}
    $message = new http\Message("HTTP/1.1 200 OK\r\nA: b\r\n\r\ntext");
    return [(string) new http\Url('http://a.example/b?c=d#e', ['path' => '/x']), $message->getHeader('a'), (string) new http\QueryString('a=1&b[]=2'), http\Header::parse("A: b\r\n"),
        strlen(http\Encoding\Stream\Deflate::encode('text')) > 0];
}
function left() { return ['handles' => str_contains(json_encode(raphf\stat_persistent_handles()), 'seen')]; }
function unique() { return [(string) (new http\Message\Body)->addForm(['a' => 'b'])->getBoundary()]; }
