<?php
// keeps: domain, codeset
function work() {
    setlocale(LC_ALL, 'C.UTF-8');
    bindtextdomain('seen', sys_get_temp_dir());
    bind_textdomain_codeset('seen', 'ISO-8859-1');
    return [textdomain('seen'), gettext('text'), ngettext('one', 'many', 2)];
}
function left() { return ['domain' => textdomain(null) !== 'messages', 'codeset' => bind_textdomain_codeset('seen', null) !== false]; }
