<?php
// load: imap
// keeps: timeout
// without a server
function work() {
    $box = @imap_open('{127.0.0.1:1/imap/notls}INBOX', 'nobody', 'secret', 0, 0);
    imap_timeout(IMAP_OPENTIMEOUT, 7);
    return [$box, imap_rfc822_parse_adrlist('a b <a@b.example>', 'c')[0]->host, imap_utf7_encode("a\xe4"), imap_mail_compose(['from' => 'a@b.example'], [['type' => TYPETEXT, 'contents.data' => 'x']]) !== '',
        imap_mime_header_decode('=?utf-8?Q?a?=')[0]->text, imap_last_error() !== false, count(imap_errors())];
}
function left() { return ['errors' => imap_last_error() !== false, 'timeout' => imap_timeout(IMAP_OPENTIMEOUT) === 7]; }
