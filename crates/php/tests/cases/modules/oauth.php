<?php
// load: oauth
function work() {
    $o = new OAuth('key', 'secret', OAUTH_SIG_METHOD_HMACSHA1, OAUTH_AUTH_TYPE_URI);
    $o->setNonce('n');
    $o->setTimestamp('5');
    $signature = $o->generateSignature('GET', 'http://a.example/b', ['c' => 'd']);
    try { @$o->getRequestToken('http://127.0.0.1:1/'); } catch (OAuthException $e) { $said = $e->getCode(); }
    return [$signature, oauth_urlencode('a b'), oauth_get_sbs('GET', 'http://a.example/', ['a' => 'b']), $said ?? null];
}
function left() { return ['answer' => (bool) (new OAuth('key', 'secret'))->getLastResponse()]; }
