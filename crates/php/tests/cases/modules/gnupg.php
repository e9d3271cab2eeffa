<?php
// load: gnupg
function work() {
    $home = getenv('HOME') . '/tmp/gnupg';
    @mkdir($home, 0700);
    $g = new gnupg(['home_dir' => $home]);
    $g->seterrormode(gnupg::ERROR_SILENT);
    $g->setarmor(1);
    return [$g->getengineinfo()['protocol'], @$g->import('no key'), $g->verify('text', false), $g->getprotocol()];
}
function left() { return ['error' => (string) (new gnupg)->geterror() !== '']; }
