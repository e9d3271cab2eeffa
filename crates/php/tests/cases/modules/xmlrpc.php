<?php
// load: xmlrpc
function work() {
    $server = xmlrpc_server_create();
    xmlrpc_server_register_method($server, 'twice', fn ($name, $given) => 2 * $given[0]);
    $asked = xmlrpc_encode_request('twice', [4]);
    $answer = xmlrpc_server_call_method($server, $asked, null);
    xmlrpc_server_destroy($server);
    return [xmlrpc_decode($answer), xmlrpc_get_type(1.5), xmlrpc_decode_request($asked, $method), $method, @xmlrpc_decode('none')];
}
function left() { return ['type' => xmlrpc_get_type(1) !== 'int']; }
