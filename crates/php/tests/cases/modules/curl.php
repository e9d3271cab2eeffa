<?php
function work() {
    $page = curl_init('file://' . __DIR__ . '/hello.php');
    $share = curl_share_init();
    curl_share_setopt($share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
    curl_share_setopt($share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_setopt_array($page, [CURLOPT_RETURNTRANSFER => true, CURLOPT_SHARE => $share, CURLOPT_COOKIELIST => "Set-Cookie: seen=1; domain=a.example"]);
    $text = curl_exec($page);
    $refused = [];
    foreach (['http://127.0.0.1:1/', 'https://localhost:1/', 'http://name.invalid:1/'] as $address) {
        $other = curl_init($address);
        curl_setopt_array($other, [CURLOPT_RETURNTRANSFER => true, CURLOPT_CONNECTTIMEOUT_MS => 1500]);
        curl_exec($other);
        $refused[] = in_array(curl_errno($other), [CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST], true);
    }
    $many = curl_multi_init();
    foreach ([1, 2] as $i) curl_multi_add_handle($many, $handles[$i] = curl_init('file:///etc/hostname'));
    foreach ($handles as $handle) curl_setopt($handle, CURLOPT_WRITEFUNCTION, fn ($h, $d) => strlen($d));
    do { curl_multi_exec($many, $running); } while ($running);
    return [$text, $refused, count(curl_getinfo($page, CURLINFO_COOKIELIST)), curl_multi_errno($many), curl_version()['ssl_version']];
}
function left() {
    $page = curl_init();
    return ['cookies' => curl_getinfo($page, CURLINFO_COOKIELIST) !== [], 'error' => curl_errno($page) !== 0];
}
