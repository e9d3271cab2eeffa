<?php
// load: mailparse
function work() {
    ini_set('mailparse.def_charset', 'koi8-r');
    $mail = mailparse_msg_create();
    mailparse_msg_parse($mail, "Subject: a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n");
    return [mailparse_msg_get_structure($mail), mailparse_msg_get_part_data($mail)['headers']['subject'], mailparse_rfc822_parse_addresses('a <a@b.example>')[0]['address'], mailparse_msg_free($mail)];
}
function left() { return ['encoding' => ini_get('mailparse.def_charset') === 'koi8-r']; }
